-- What a certificate is found by where somebody has only its fingerprint: the SHA-256 of `der`.
ALTER TABLE certificate ADD COLUMN sha256 BLOB;

CREATE INDEX certificate_sha256 ON certificate (sha256) WHERE sha256 IS NOT NULL;
-- What was issued before, or since by a process from before: whoever opens the file puts it in.
CREATE INDEX certificate_without_sha256 ON certificate (id) WHERE sha256 IS NULL AND der IS NOT NULL;
