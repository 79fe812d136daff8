-- The calls of agents with a login of their own, which only the logs of runs have: few among many events.
CREATE INDEX events_own_calls ON events (at) WHERE kind = 'model.called' AND body ->> '$.request' IS NULL;

DROP VIEW model_metrics;
DROP VIEW model_usage;

-- As before, but through the index.
CREATE VIEW model_usage AS
SELECT at, run, task, agent, client, project, provider, model, asked,
       CASE operation WHEN '' THEN 'chat' ELSE operation END AS operation, reason,
       input, cached, written, output, reasoning, estimated, cost, millis, first_millis, outcome, code, finish, retries,
       waited_millis, 1 AS gateway
FROM gateway_calls
UNION ALL
SELECT c.at, c.run, c.body ->> '$.task',
       (SELECT d.body ->> '$.agent' FROM events d
        WHERE d.run = c.run AND d.kind = 'task.dispatched' AND d.seq < c.seq AND d.body ->> '$.task' = c.body ->> '$.task'
        ORDER BY d.seq DESC LIMIT 1),
       'run', NULL,
       CASE instr(c.body ->> '$.model', '/') WHEN 0 THEN ''
            ELSE substr(c.body ->> '$.model', 1, instr(c.body ->> '$.model', '/') - 1) END,
       substr(c.body ->> '$.model', instr(c.body ->> '$.model', '/') + 1), c.body ->> '$.model', 'chat', '',
       c.body ->> '$.usage.input', c.body ->> '$.usage.cached', 0, c.body ->> '$.usage.output', 0, 0,
       c.body ->> '$.usage.cost', c.body ->> '$.millis', 0, 'ok', '', '', 0, 0, 0
FROM events c WHERE c.kind = 'model.called' AND c.body ->> '$.request' IS NULL;

-- As before, but the calls are sorted once, and only what is wanted of them: those of one duration are added up, and where a
-- percentile lies is looked for among the sums.
CREATE VIEW model_metrics AS
WITH times AS (
    SELECT provider, model, operation, millis, count(*) AS calls,
           sum(outcome = 'ok') AS ok, sum(outcome = 'failed') AS failed, sum(outcome = 'refused') AS refused,
           sum(outcome = 'cancelled') AS cancelled, sum(code LIKE 'cache\_%' ESCAPE '\') AS cache_hits, sum(retries) AS retries,
           sum(input) AS input, sum(cached) AS cached, sum(output) AS output, sum(reasoning) AS reasoning, sum(cost) AS cost,
           sum(first_millis) FILTER (WHERE first_millis > 0) AS first_millis, sum(first_millis > 0) AS firsts, max(at) AS last_at
    FROM model_usage GROUP BY provider, model, operation, millis
), ranked AS (
    SELECT *, sum(calls) OVER (PARTITION BY provider, model, operation ORDER BY millis) AS upto,
           sum(calls) OVER (PARTITION BY provider, model, operation) AS all_calls
    FROM times
)
SELECT provider, model, operation, sum(calls) AS calls,
       sum(ok) AS ok, sum(failed) AS failed, sum(refused) AS refused, sum(cancelled) AS cancelled,
       sum(cache_hits) AS cache_hits, sum(retries) AS retries,
       sum(input) AS input, sum(cached) AS cached, sum(output) AS output, sum(reasoning) AS reasoning, sum(cost) AS cost,
       sum(millis * calls) / sum(calls) AS mean_millis,
       min(millis) FILTER (WHERE upto >= 1 + (all_calls - 1) * 50 / 100) AS p50_millis,
       min(millis) FILTER (WHERE upto >= 1 + (all_calls - 1) * 95 / 100) AS p95_millis,
       sum(first_millis) / sum(firsts) AS mean_first_millis,
       max(last_at) AS last_at
FROM ranked GROUP BY provider, model, operation ORDER BY cost DESC, calls DESC;
