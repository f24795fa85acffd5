-- The log of everything issued: the place of each certificate in it, in the order of completion, and the hashes above
-- full tiles: level 1 has one for each 256 entries, level 2 one for each 256 of those, and so on.
ALTER TABLE certificate ADD COLUMN entry bigint;

UPDATE certificate SET entry = ordered.entry FROM (
    SELECT serial, row_number() OVER (ORDER BY min(sequence)) - 1 AS entry
    FROM audit WHERE action = 'issue' AND serial IS NOT NULL GROUP BY serial
) AS ordered
WHERE certificate.serial = ordered.serial AND certificate.der IS NOT NULL;

CREATE UNIQUE INDEX certificate_entry ON certificate (entry);

ALTER TABLE head ADD COLUMN entries bigint NOT NULL DEFAULT 0;
UPDATE head SET entries = (SELECT count(*) FROM certificate WHERE entry IS NOT NULL);

CREATE TABLE log_node (
    level  smallint NOT NULL,
    number bigint   NOT NULL,
    hash   bytea    NOT NULL,
    PRIMARY KEY (level, number)
);

-- Why what was about to be signed came to nothing.
ALTER TABLE certificate ADD COLUMN failure text;

-- Whether a list was signed, behind its number. Those from before count as if they were.
ALTER TABLE crl ADD COLUMN signed boolean NOT NULL DEFAULT true;
