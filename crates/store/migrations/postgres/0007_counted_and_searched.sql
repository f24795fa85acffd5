-- How many certificates are good, of a line or of all, and when they end, without reading the certificates.
CREATE INDEX certificate_standing ON certificate (line, not_after, profile)
    WHERE der IS NOT NULL AND revoked_at IS NULL;
-- The first place in the log of a moment, however many have the same one.
DROP INDEX IF EXISTS certificate_issued;
CREATE INDEX certificate_issued ON certificate (issued_at, log_entry);
CREATE INDEX certificate_line_revoked ON certificate (line, not_after) WHERE revoked_at IS NOT NULL;

-- What a certificate is found by where somebody has a part of a name: every three characters that stand together in its
-- names. What is found so is checked. Of an expression, as with fingerprints.
CREATE FUNCTION countersign_trigrams(names text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
    AS $$ SELECT ARRAY(SELECT substr(names, at, 3) FROM generate_series(1, length(names) - 2) AS at) $$;
CREATE INDEX certificate_trigrams ON certificate USING gin (countersign_trigrams(names));
