-- One order over the events of all runs, for readers that follow everything. Each row is one commit: `events` of them,
-- the newest of which is event `last` of its run and has the number `number`; the others have the numbers before it.
CREATE TABLE feed (
    number INTEGER NOT NULL PRIMARY KEY,
    run    TEXT    NOT NULL,
    last   INTEGER NOT NULL,
    events INTEGER NOT NULL
) STRICT;

CREATE INDEX feed_by_run ON feed (run, last);

-- What was there before counts as one commit a run.
INSERT INTO feed (number, run, last, events)
SELECT sum(newest) OVER (ORDER BY begun, run), run, newest, newest
FROM (SELECT run, max(seq) AS newest, min(at) AS begun FROM events GROUP BY run);
