-- The certificates of the authority's own CAs: they stand in the log beside everything that those CAs issue. `entry` is
-- the place in the log, from 0, and `behind` how many of those that were issued stand before it: every other place is
-- taken by them, in the order of their completion.
CREATE TABLE ca_certificate (
    entry  INTEGER PRIMARY KEY,
    behind INTEGER NOT NULL,
    serial BLOB    NOT NULL UNIQUE,
    der    BLOB    NOT NULL
) STRICT;

CREATE TRIGGER ca_certificate_is_not_changed BEFORE UPDATE ON ca_certificate BEGIN SELECT RAISE (ABORT, 'the log is append-only'); END;
CREATE TRIGGER ca_certificate_is_not_taken BEFORE DELETE ON ca_certificate BEGIN SELECT RAISE (ABORT, 'the log is append-only'); END;

-- A process from before, which knows nothing of that, must not sign a log with holes in it: under the new name it finds
-- no certificates to put into the log or to read from it, and says so until it is started again.
ALTER TABLE certificate_names RENAME TO completed_certificate;
