-- What a certificate is found by where somebody has only its fingerprint. Of an expression, so that what a replica from
-- before issues is in it too.
CREATE INDEX certificate_sha256 ON certificate (sha256(der)) WHERE der IS NOT NULL;
