-- The certificates of the authority's own CAs: they stand in the log beside everything that those CAs issue. An entry's
-- number is taken here or in `certificate`, never in both.
CREATE TABLE ca_certificate (
    log_entry bigint PRIMARY KEY,
    serial    bytea  NOT NULL UNIQUE,
    der       bytea  NOT NULL
);

-- A replica from before, which knows nothing of that, must not sign a log with holes in it: under the new name it finds
-- no certificates to put into the log or to read from it, and says so until it is started again.
ALTER TABLE certificate RENAME COLUMN entry TO log_entry;
