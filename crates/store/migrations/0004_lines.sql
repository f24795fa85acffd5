-- Which of the authority's issuing CAs signed it: 1 is the one that it began with, and a rollover makes the next.
ALTER TABLE certificate ADD COLUMN line INTEGER NOT NULL DEFAULT 1;
