-- The memory of an authority in PostgreSQL 13 or newer, in standard SQL alone. Times are seconds since
-- 1970-01-01T00:00:00Z; serial numbers are the content octets of their INTEGER. Texts are ordered by their octets.

CREATE TABLE authority (
    id         integer PRIMARY KEY CHECK (id = 1),
    name       text    NOT NULL,
    root       bytea   NOT NULL,
    issuing    bytea   NOT NULL,
    created_at bigint  NOT NULL
);

-- One row from the intent on: `der` is NULL until the certificate was signed and recorded. `label_key` is the label
-- without regard to ASCII case. `position` is the order of intents.
CREATE TABLE certificate (
    position          bigint PRIMARY KEY,
    serial            bytea  NOT NULL UNIQUE,
    profile           text   NOT NULL,
    label             text   NOT NULL,
    label_key         text   COLLATE "C" NOT NULL,
    names             text   NOT NULL,
    tbs               bytea  NOT NULL,
    der               bytea,
    not_before        bigint NOT NULL,
    not_after         bigint NOT NULL,
    requested_by      text   NOT NULL,
    requested_at      bigint NOT NULL,
    issued_at         bigint,
    replaces          bytea,
    location          text,
    revoked_at        bigint,
    revocation_reason smallint
);

CREATE INDEX certificate_label ON certificate (label_key, position);
CREATE INDEX certificate_not_after ON certificate (not_after);
CREATE INDEX certificate_revoked ON certificate (position) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificate_issued ON certificate (issued_at);
CREATE INDEX certificate_unfinished ON certificate (position) WHERE der IS NULL;

CREATE TABLE crl (
    number      bigint PRIMARY KEY,
    this_update bigint NOT NULL
);

CREATE TABLE audit (
    sequence bigint PRIMARY KEY,
    at       bigint NOT NULL,
    actor    text   NOT NULL,
    origin   text   NOT NULL,
    action   text   NOT NULL,
    serial   bytea,
    details  text   NOT NULL,
    hash     bytea  NOT NULL
);

CREATE INDEX audit_serial ON audit (serial, sequence) WHERE serial IS NOT NULL;
CREATE INDEX audit_revocation ON audit (sequence) WHERE action IN ('revoke', 'release');

CREATE INDEX audit_revoked_at ON audit (at) WHERE action = 'revoke';

-- The end of the audit trail and of the certificates. Whoever writes holds this row until its transaction ends, so of
-- all replicas one writes at a time, and none of them leads.
CREATE TABLE head (
    id       integer PRIMARY KEY CHECK (id = 1),
    sequence bigint  NOT NULL,
    hash     bytea   NOT NULL,
    position bigint  NOT NULL
);

INSERT INTO head (id, sequence, hash, position)
VALUES (1, 0, '\x0000000000000000000000000000000000000000000000000000000000000000', 0);

CREATE TABLE record (
    kind    text   COLLATE "C" NOT NULL,
    id      text   COLLATE "C" NOT NULL,
    owner   text   COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    expires bigint,
    body    text   NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX record_owner ON record (kind, owner, id);
CREATE INDEX record_expires ON record (expires) WHERE expires IS NOT NULL;
