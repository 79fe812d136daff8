-- The log of runs, what it owes, and the inbox. Times are milliseconds since the Unix epoch, money is micro-dollars.
PRAGMA application_id = 1296123219; -- "MAES"

CREATE TABLE runs (
    id         TEXT    NOT NULL PRIMARY KEY,
    state      TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    workspace  TEXT    NOT NULL,
    workflow   TEXT    NOT NULL,
    percent    INTEGER NOT NULL,
    input      INTEGER NOT NULL,
    cached     INTEGER NOT NULL,
    output     INTEGER NOT NULL,
    cost       INTEGER NOT NULL,
    decisions  INTEGER NOT NULL,
    work       TEXT    NOT NULL,
    scripted   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    run     TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE owed (
    run   TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    place INTEGER NOT NULL,
    body  TEXT    NOT NULL,
    PRIMARY KEY (run, seq, place)
) STRICT, WITHOUT ROWID;

-- `answered` is 0 while a command waits; then `refused` says why it was refused, or is null when it was taken.
CREATE TABLE inbox (
    run      TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    body     TEXT    NOT NULL,
    answered INTEGER NOT NULL DEFAULT 0,
    refused  TEXT,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

-- For people with an SQL prompt; the program itself reads only the tables above.
CREATE VIEW model_calls AS
SELECT run, seq, at,
       body ->> '$.task'         AS task,
       body ->> '$.model'        AS model,
       body ->> '$.usage.input'  AS input,
       body ->> '$.usage.cached' AS cached,
       body ->> '$.usage.output' AS output,
       body ->> '$.usage.cost'   AS cost,
       body ->> '$.millis'       AS millis,
       body ->> '$.scripted'     AS scripted
FROM events WHERE kind = 'model.called';

CREATE VIEW task_attempts AS
SELECT run, seq, at,
       body ->> '$.task'    AS task,
       body ->> '$.attempt' AS attempt,
       body -> '$.outcome'  AS outcome
FROM events WHERE kind = 'task.finished';

CREATE VIEW permissions AS
SELECT run, seq, at,
       body ->> '$.task'            AS task,
       body ->> '$.question.tool'   AS tool,
       body -> '$.permission'       AS permission
FROM events WHERE kind = 'permission.ruled';
