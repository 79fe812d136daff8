-- Where decisions stand among all, in the order in which people look at them: those that wait (`place`: when it expires), then
-- the others (`place`: when it was answered, negative). A row is written with the event that asks, and again with the one that
-- answers.
CREATE TABLE asked (
    decision TEXT    NOT NULL PRIMARY KEY,
    run      TEXT    NOT NULL,
    closed   INTEGER NOT NULL,
    place    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX asked_in_order ON asked (closed, place, decision);

INSERT INTO asked (decision, run, closed, place)
SELECT body ->> '$.decision.id', run, 0, body ->> '$.decision.expires_at' FROM events WHERE kind = 'decision.requested';

UPDATE asked SET closed = 1, place = -ended.at
FROM (SELECT body ->> '$.decision' AS decision, at FROM events WHERE kind IN ('decision.made', 'decision.withdrawn')) AS ended
WHERE ended.decision = asked.decision;
