-- How many certificates of a line are good, and when its last one ends, without reading the certificates.
CREATE INDEX certificate_line ON certificate (line, not_after);
CREATE INDEX certificate_line_revoked ON certificate (line, not_after) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificate_line_responder ON certificate (line, not_after) WHERE profile = 'responder';
