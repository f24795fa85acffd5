-- The log of everything issued. Its entries are the certificates in the order of `certificate_names.position`; here are
-- the hashes above them: level 1 has one for each 256 entries, level 2 one for each 256 of those, and so on.
CREATE TABLE log_node (
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash   BLOB    NOT NULL,
    PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER log_is_not_changed BEFORE UPDATE ON log_node BEGIN SELECT RAISE (ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_is_not_shortened BEFORE DELETE ON log_node BEGIN SELECT RAISE (ABORT, 'the log is append-only'); END;

-- Why what was about to be signed came to nothing.
ALTER TABLE certificate ADD COLUMN failure TEXT;

-- Whether a list was signed, behind its number. Those from before count as if they were.
ALTER TABLE crl ADD COLUMN signed INTEGER NOT NULL DEFAULT 1;
