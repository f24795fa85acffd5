-- The memory of an authority. Times are seconds since 1970-01-01T00:00:00Z; serial numbers are the content octets
-- of their INTEGER.

CREATE TABLE authority (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    name       TEXT    NOT NULL,
    root       BLOB    NOT NULL,
    issuing    BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- One row from the intent on: `der` is NULL until the certificate was signed and recorded, and `tbs` is emptied
-- then, since the certificate holds it. One constraint keeps serial numbers unique over both.
CREATE TABLE certificate (
    id                INTEGER PRIMARY KEY,
    serial            BLOB    NOT NULL UNIQUE,
    profile           TEXT    NOT NULL,
    label             TEXT    NOT NULL COLLATE NOCASE,
    tbs               BLOB    NOT NULL,
    der               BLOB,
    not_before        INTEGER NOT NULL,
    not_after         INTEGER NOT NULL,
    requested_by      TEXT    NOT NULL,
    requested_at      INTEGER NOT NULL,
    issued_at         INTEGER,
    replaces          BLOB,
    location          TEXT,
    revoked_at        INTEGER,
    revocation_reason INTEGER
) STRICT;

CREATE INDEX certificate_label ON certificate (label, id);
CREATE INDEX certificate_not_after ON certificate (not_after);
CREATE INDEX certificate_revoked ON certificate (not_after) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificate_revoked_newest ON certificate (id) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificate_unfinished ON certificate (id) WHERE der IS NULL;

-- What a certificate can be found by, in lower case. `position` is the order of completion, which one writer at a time
-- gives without gaps behind it: that of `id` is the order of intents.
CREATE TABLE certificate_names (
    position INTEGER PRIMARY KEY,
    id       INTEGER NOT NULL UNIQUE REFERENCES certificate (id),
    names    TEXT    NOT NULL
) STRICT;

-- The trigrams of those names up to a position; those after it are read one by one. Without positions and text of its
-- own it is a third as large, and what it finds is checked against the names.
CREATE VIRTUAL TABLE name_trigrams USING fts5 (
    names, content = '', columnsize = 0, detail = none, tokenize = 'trigram'
);

CREATE TABLE name_index (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    through INTEGER NOT NULL
) STRICT;

INSERT INTO name_index (id, through) VALUES (1, 0);

CREATE TABLE crl (
    number      INTEGER PRIMARY KEY,
    this_update INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    serial   BLOB,
    details  TEXT    NOT NULL,
    hash     BLOB    NOT NULL
) STRICT;

CREATE INDEX audit_serial ON audit (serial, sequence) WHERE serial IS NOT NULL;
CREATE INDEX audit_revoke ON audit (sequence) WHERE action = 'revoke';
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE (ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'audit is append-only'); END;
