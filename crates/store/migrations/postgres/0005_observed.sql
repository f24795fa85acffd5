-- What replicas and gateways see of TLS (`ca::observed`). It is bounded, and nothing acts upon it.

-- How often something happened in a stretch of `span` seconds from `start` on.
CREATE TABLE tally (
    kind        text   COLLATE "C" NOT NULL,
    span        bigint NOT NULL,
    start       bigint NOT NULL,
    name        text   COLLATE "C" NOT NULL,
    key         text   COLLATE "C" NOT NULL,
    tls_version text   COLLATE "C" NOT NULL,
    count       bigint NOT NULL,
    PRIMARY KEY (kind, span, start, name, key, tls_version)
);

-- Handshakes that were refused lately. `octets` is the length of the recording.
CREATE TABLE refused_handshake (
    number    bigint PRIMARY KEY,
    at        bigint NOT NULL,
    octets    bigint NOT NULL,
    body      text   NOT NULL,
    recording bytea
);

-- What was last said of a client or of a gateway. All that is written together has one `change`, which grows.
CREATE TABLE said (
    kind   text   COLLATE "C" NOT NULL,
    id     text   COLLATE "C" NOT NULL,
    change bigint NOT NULL,
    at     bigint NOT NULL,
    body   text   NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX said_change ON said (kind, change);
