-- How many certificates are good, of a line or of all, and when they end, without reading the certificates.
CREATE INDEX certificate_standing ON certificate (line, not_after, profile)
    WHERE der IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX certificate_line_revoked ON certificate (line, not_after) WHERE revoked_at IS NOT NULL;
