-- What replicas and gateways see of TLS (`ca::observed`). It is bounded, and nothing acts upon it.

-- How often something happened in a stretch of `span` seconds from `start` on.
CREATE TABLE tally (
    kind        TEXT    NOT NULL,
    span        INTEGER NOT NULL,
    start       INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    tls_version TEXT    NOT NULL,
    count       INTEGER NOT NULL,
    PRIMARY KEY (kind, span, start, name, key, tls_version)
) STRICT, WITHOUT ROWID;

-- Handshakes that were refused lately. `octets` is the length of the recording.
CREATE TABLE refused_handshake (
    number    INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    octets    INTEGER NOT NULL,
    body      TEXT    NOT NULL,
    recording BLOB
) STRICT;

-- What was last said of a client or of a gateway. All that is written together has one `change`, which grows.
CREATE TABLE said (
    kind   TEXT    NOT NULL,
    id     TEXT    NOT NULL,
    change INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    body   TEXT    NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX said_change ON said (kind, change);
