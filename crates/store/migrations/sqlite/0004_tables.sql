-- What the books say of a call besides: where it came in, what was wanted, why the model stopped, how long it waited for its
-- client's rate, and in which trace it is.
ALTER TABLE gateway_calls ADD COLUMN door          TEXT    NOT NULL DEFAULT '';
ALTER TABLE gateway_calls ADD COLUMN operation     TEXT    NOT NULL DEFAULT '';
ALTER TABLE gateway_calls ADD COLUMN finish        TEXT    NOT NULL DEFAULT '';
ALTER TABLE gateway_calls ADD COLUMN waited_millis INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gateway_calls ADD COLUMN trace         TEXT;

-- Tables for people with an SQL prompt; docs/tables.md tells them column by column. They are views of the log and the books, so
-- they are never behind; the program itself does not read them. Times are milliseconds since the Unix epoch, money is
-- micro-dollars.

-- One row a task of each run's newest plan, and each task that was added to it.
CREATE VIEW tasks AS
WITH plans AS (
    SELECT run, max(seq) AS seq FROM events WHERE kind = 'plan.proposed' GROUP BY run
), planned AS (
    SELECT e.run, e.seq, t.key AS place, t.value AS task
    FROM plans p JOIN events e ON e.run = p.run AND e.seq = p.seq, json_each(e.body, '$.plan.tasks') t
    UNION ALL
    SELECT e.run, e.seq, 1000000 + e.seq, e.body -> '$.task'
    FROM plans p JOIN events e ON e.run = p.run AND e.seq > p.seq
    WHERE e.kind = 'task.added'
), steps AS (
    SELECT run, seq, at, kind, body ->> '$.task' AS task, body
    FROM events
    WHERE kind IN ('task.unblocked', 'task.dispatched', 'task.parked', 'task.requeued', 'task.approved', 'task.merge_started',
                   'task.merged', 'task.held', 'task.skipped', 'task.cancelled', 'task.reset', 'task.finished')
    UNION ALL
    SELECT run, seq, at, kind, body ->> '$.review.task', body
    FROM events
    WHERE kind = 'review.requested' AND body ->> '$.review.trigger' IN ('milestone', 'blocker')
), sums AS (
    SELECT run, task,
           max(seq) FILTER (WHERE kind <> 'task.finished')              AS newest,
           max(seq) FILTER (WHERE kind = 'task.dispatched')             AS dispatched,
           max(seq) FILTER (WHERE kind = 'task.finished')               AS finished,
           min(at)  FILTER (WHERE kind = 'task.dispatched')             AS started_at,
           max(at)  FILTER (WHERE kind IN ('task.merged', 'task.skipped', 'task.cancelled')) AS ended_at,
           count(*) FILTER (WHERE kind = 'task.dispatched')             AS attempts,
           count(*) FILTER (WHERE kind = 'task.requeued' AND body ->> '$.rework') AS reworks
    FROM steps WHERE task IS NOT NULL GROUP BY run, task
), used AS (
    SELECT run, task, sum(input) AS input, sum(output) AS output, sum(cost) AS cost
    FROM model_calls WHERE task IS NOT NULL GROUP BY run, task
)
SELECT p.task ->> '$.id' AS id, p.run, p.task ->> '$.key' AS key, p.task ->> '$.title' AS title, p.task ->> '$.kind' AS kind,
       coalesce(d.body ->> '$.agent', p.task ->> '$.agent') AS agent,
       CASE n.kind
           WHEN 'task.unblocked' THEN 'ready'      WHEN 'task.requeued'      THEN 'ready'
           WHEN 'task.dispatched' THEN 'running'   WHEN 'task.parked'        THEN 'parked'
           WHEN 'review.requested' THEN 'reviewing' WHEN 'task.approved'     THEN 'approved'
           WHEN 'task.merge_started' THEN 'merging' WHEN 'task.merged'       THEN 'done'
           WHEN 'task.held' THEN 'held'            WHEN 'task.skipped'       THEN 'skipped'
           WHEN 'task.cancelled' THEN 'cancelled'  ELSE 'waiting'
       END AS state,
       coalesce(s.attempts, 0) AS attempts, coalesce(s.reworks, 0) AS reworks,
       f.body ->> '$.outcome.verdict' AS verdict, f.body ->> '$.outcome.reason' AS reason,
       s.started_at,
       CASE WHEN n.kind IN ('task.merged', 'task.skipped', 'task.cancelled') THEN s.ended_at END AS ended_at,
       coalesce(u.input, 0) AS input, coalesce(u.output, 0) AS output, coalesce(u.cost, 0) AS cost
FROM planned p
LEFT JOIN sums s ON s.run = p.run AND s.task = p.task ->> '$.id'
LEFT JOIN events n ON n.run = p.run AND n.seq = s.newest
LEFT JOIN events d ON d.run = p.run AND d.seq = s.dispatched
LEFT JOIN events f ON f.run = p.run AND f.seq = s.finished
LEFT JOIN used u ON u.run = p.run AND u.task = p.task ->> '$.id'
ORDER BY p.run, p.place;

-- One row a workflow: what became of its runs.
CREATE VIEW workflows AS
SELECT workflow AS name, count(*) AS runs,
       sum(state = 'completed') AS completed, sum(state = 'failed') AS failed, sum(state = 'aborted') AS aborted,
       sum(state NOT IN ('completed', 'failed', 'aborted')) AS open,
       sum(decisions) AS decisions,
       CAST(avg(updated_at - created_at) FILTER (WHERE state = 'completed') AS INTEGER) AS mean_millis,
       sum(input) AS input, sum(output) AS output, sum(cost) AS cost,
       min(created_at) AS first_at, max(updated_at) AS last_at
FROM runs GROUP BY workflow ORDER BY workflow;

-- Every model call: those of the gateway's books, and those that only a run's log has, of agents with a login of their own.
CREATE VIEW model_usage AS
SELECT at, run, task, agent, client, project, provider, model, asked,
       CASE operation WHEN '' THEN 'chat' ELSE operation END AS operation, reason,
       input, cached, written, output, reasoning, estimated, cost, millis, first_millis, outcome, code, finish, retries,
       waited_millis, 1 AS gateway
FROM gateway_calls
UNION ALL
SELECT c.at, c.run, c.task,
       (SELECT d.body ->> '$.agent' FROM events d
        WHERE d.run = c.run AND d.kind = 'task.dispatched' AND d.seq < c.seq AND d.body ->> '$.task' = c.task
        ORDER BY d.seq DESC LIMIT 1),
       'run', NULL, CASE instr(c.model, '/') WHEN 0 THEN '' ELSE substr(c.model, 1, instr(c.model, '/') - 1) END,
       substr(c.model, instr(c.model, '/') + 1), c.model, 'chat', '',
       c.input, c.cached, 0, c.output, 0, 0, c.cost, c.millis, 0, 'ok', '', '', 0, 0, 0
FROM model_calls c JOIN events e ON e.run = c.run AND e.seq = c.seq
WHERE e.body ->> '$.request' IS NULL;

-- One row a provider's model and operation.
CREATE VIEW model_metrics AS
WITH ranked AS (
    SELECT *,
           row_number() OVER (PARTITION BY provider, model, operation ORDER BY millis) AS place,
           count(*) OVER (PARTITION BY provider, model, operation) AS all_calls
    FROM model_usage
)
SELECT provider, model, operation, count(*) AS calls,
       sum(outcome = 'ok') AS ok, sum(outcome = 'failed') AS failed, sum(outcome = 'refused') AS refused,
       sum(outcome = 'cancelled') AS cancelled, sum(code LIKE 'cache\_%' ESCAPE '\') AS cache_hits, sum(retries) AS retries,
       sum(input) AS input, sum(cached) AS cached, sum(output) AS output, sum(reasoning) AS reasoning, sum(cost) AS cost,
       CAST(avg(millis) AS INTEGER) AS mean_millis,
       max(millis) FILTER (WHERE place <= 1 + (all_calls - 1) * 50 / 100) AS p50_millis,
       max(millis) FILTER (WHERE place <= 1 + (all_calls - 1) * 95 / 100) AS p95_millis,
       CAST(avg(first_millis) FILTER (WHERE first_millis > 0) AS INTEGER) AS mean_first_millis,
       max(at) AS last_at
FROM ranked GROUP BY provider, model, operation ORDER BY cost DESC, calls DESC;

-- One row a review that was asked for.
CREATE VIEW reviews AS
SELECT q.body ->> '$.review.id' AS id, q.run, q.body ->> '$.review.task' AS task, q.body ->> '$.review.reviewer' AS reviewer,
       q.body ->> '$.review.trigger' AS trigger, q.body ->> '$.review.round' AS round,
       q.body ->> '$.review.independent' AS independent, q.at AS asked_at, a.at AS answered_at,
       a.body ->> '$.opinion.verdict' AS verdict, coalesce(json_array_length(a.body, '$.opinion.findings'), 0) AS findings,
       a.body ->> '$.opinion.text' AS text
FROM events q
LEFT JOIN events a ON a.run = q.run AND a.kind = 'review.received' AND a.body ->> '$.review' = q.body ->> '$.review.id'
WHERE q.kind = 'review.requested';

-- One row a question to a person.
CREATE VIEW decisions AS
SELECT q.body ->> '$.decision.id' AS id, q.run, q.body ->> '$.decision.task' AS task, q.body ->> '$.decision.about' AS about,
       q.body ->> '$.decision.question' AS question,
       CASE a.kind WHEN 'decision.made' THEN 'made' WHEN 'decision.withdrawn' THEN 'withdrawn' ELSE 'waiting' END AS state,
       q.at AS asked_at, a.at AS answered_at, a.body ->> '$.answer.choice' AS choice, a.body ->> '$.answer.by' AS "by",
       coalesce(a.body ->> '$.answer.because', a.body ->> '$.because') AS because
FROM events q
LEFT JOIN events a ON a.run = q.run AND a.kind IN ('decision.made', 'decision.withdrawn')
                      AND a.body ->> '$.decision' = q.body ->> '$.decision.id'
WHERE q.kind = 'decision.requested';

-- One row a thing that a worker did or tried that it may not.
CREATE VIEW violations AS
SELECT run, seq, at, body ->> '$.task' AS task, body ->> '$.agent' AS agent, body ->> '$.attempt' AS attempt,
       CASE version WHEN 1 THEN 'memory' ELSE body ->> '$.violation.kind' END AS kind,
       CASE version WHEN 1 THEN 'workers.memory' ELSE body ->> '$.violation.rule' END AS rule,
       CASE version WHEN 1 THEN 'worker' ELSE body ->> '$.violation.subject' END AS subject,
       CASE version WHEN 1 THEN body ->> '$.violation' ELSE body ->> '$.violation.because' END AS because
FROM events WHERE kind = 'violation.recorded';

-- One row an agent that a run has met: as it was seen last, and what it has done in all runs.
CREATE VIEW agents AS
WITH met AS (
    SELECT a.value ->> '$.name' AS name, a.value AS agent, e.at,
           row_number() OVER (PARTITION BY a.value ->> '$.name' ORDER BY e.at DESC, e.run DESC) AS place,
           count(*) OVER (PARTITION BY a.value ->> '$.name') AS runs
    FROM events e, json_each(e.body, '$.agents') a WHERE e.kind = 'run.prepared'
), tried AS (
    SELECT d.body ->> '$.agent' AS name, count(*) AS attempts,
           sum(f.body ->> '$.outcome.verdict' = 'completed') AS completed,
           sum(f.body ->> '$.outcome.verdict' <> 'completed') AS failed,
           sum(f.body ->> '$.outcome.usage.cost') AS cost, max(coalesce(f.at, d.at)) AS last_at
    FROM events d
    LEFT JOIN events f ON f.run = d.run AND f.kind = 'task.finished' AND f.body ->> '$.task' = d.body ->> '$.task'
                          AND f.body ->> '$.attempt' = d.body ->> '$.attempt' AND f.seq > d.seq
    WHERE d.kind = 'task.dispatched' GROUP BY 1
), judged AS (
    SELECT reviewer AS name, count(*) AS reviews FROM reviews GROUP BY 1
)
SELECT m.name,
       CASE json_type(m.agent, '$.vendor')
           WHEN 'object' THEN (SELECT v.key || ' ' || v.value FROM json_each(m.agent, '$.vendor') v)
           ELSE m.agent ->> '$.vendor'
       END AS vendor,
       m.agent ->> '$.transport' AS transport, m.agent ->> '$.version' AS version, m.agent ->> '$.unusable' AS unusable,
       m.agent ->> '$.scripted' AS scripted, m.runs, coalesce(t.attempts, 0) AS attempts, coalesce(t.completed, 0) AS completed,
       coalesce(t.failed, 0) AS failed, coalesce(j.reviews, 0) AS reviews, coalesce(t.cost, 0) AS cost,
       max(m.at, coalesce(t.last_at, 0)) AS last_at
FROM met m LEFT JOIN tried t ON t.name = m.name LEFT JOIN judged j ON j.name = m.name
WHERE m.place = 1 ORDER BY m.name;
