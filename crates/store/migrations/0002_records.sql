-- Everything an authority remembers beside certificates and audit: invites, partners, orders, accounts, settings are
-- kinds of record. A change names the version that it was made from.

CREATE TABLE record (
    kind    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    owner   TEXT    NOT NULL,
    version INTEGER NOT NULL,
    expires INTEGER,
    body    TEXT    NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX record_owner ON record (kind, owner, id);
CREATE INDEX record_expires ON record (expires) WHERE expires IS NOT NULL;

-- From where an event was caused: an address and a way in. Events from before have none, and hash as they did.
ALTER TABLE audit ADD COLUMN origin TEXT NOT NULL DEFAULT '';

CREATE INDEX audit_release ON audit (sequence) WHERE action = 'release';
