-- What the keys of submissions stand for, for as long as they do: fingerprints of the key and of what was sent, and the run.
-- A row is written with the first event of its run.
CREATE TABLE sent (
    key     TEXT    NOT NULL PRIMARY KEY,
    request TEXT    NOT NULL,
    run     TEXT    NOT NULL,
    until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sent_by_end ON sent (until);
