-- The books of the model gateway. Money is micro-dollars, days are counted from the Unix epoch (UTC).

-- What is spent of a scope on its day, and what is leased by owners for calls under way.
CREATE TABLE accounts (
    scope   TEXT    NOT NULL,
    day     INTEGER NOT NULL,
    spent   INTEGER NOT NULL DEFAULT 0,
    alerted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    owner TEXT    NOT NULL,
    scope TEXT    NOT NULL,
    day   INTEGER NOT NULL,
    held  INTEGER NOT NULL,
    PRIMARY KEY (scope, day, owner)
) STRICT, WITHOUT ROWID;

CREATE TABLE client_keys (
    name       TEXT    NOT NULL PRIMARY KEY,
    prefix     TEXT    NOT NULL,
    hash       TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    budget     INTEGER,
    run        TEXT,
    task       TEXT,
    agent      TEXT,
    project    TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE gateway_calls (
    number       INTEGER NOT NULL PRIMARY KEY,
    at           INTEGER NOT NULL,
    request      TEXT    NOT NULL,
    client       TEXT    NOT NULL,
    run          TEXT,
    task         TEXT,
    agent        TEXT,
    project      TEXT,
    asked        TEXT    NOT NULL,
    provider     TEXT    NOT NULL,
    model        TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    input        INTEGER NOT NULL,
    cached       INTEGER NOT NULL,
    written      INTEGER NOT NULL,
    output       INTEGER NOT NULL,
    reasoning    INTEGER NOT NULL,
    estimated    INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    millis       INTEGER NOT NULL,
    first_millis INTEGER NOT NULL,
    outcome      TEXT    NOT NULL,
    code         TEXT    NOT NULL,
    retries      INTEGER NOT NULL
) STRICT;

CREATE INDEX gateway_calls_by_time ON gateway_calls (at);
