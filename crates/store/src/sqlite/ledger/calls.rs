//! The meter's rows, and what they add up to.

use crate::sqlite::record::{natural, whole};
use maestria_kernel::{
    At, Cost,
    ledger::{CallRow, UsageBy, UsageLine, UsageOf},
};
use rusqlite::{Connection, Row, params};
use std::collections::HashMap;

pub(super) fn insert(connection: &Connection, calls: &[CallRow]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO gateway_calls (at, request, client, run, task, agent, project, asked, provider, model, reason,
                                    input, cached, written, output, reasoning, estimated, cost, millis, first_millis,
                                    outcome, code, retries, door, operation, finish, waited_millis, trace)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
                 ?24, ?25, ?26, ?27, ?28)",
    )?;
    for call in calls {
        insert.execute(params![
            call.at.0,
            call.request,
            call.client,
            call.run,
            call.task,
            call.agent,
            call.project,
            call.asked,
            call.provider,
            call.model,
            call.reason,
            whole(call.input),
            whole(call.cached),
            whole(call.written),
            whole(call.output),
            whole(call.reasoning),
            call.estimated,
            call.cost.0,
            whole(call.millis),
            whole(call.first_millis),
            call.outcome,
            call.code,
            call.retries,
            call.door,
            call.operation,
            call.finish,
            whole(call.waited_millis),
            call.trace,
        ])?;
    }
    Ok(())
}

pub(super) fn list(connection: &Connection, since: At, limit: u32) -> rusqlite::Result<Vec<CallRow>> {
    let mut select = connection.prepare(&format!(
        "SELECT {COLUMNS} FROM gateway_calls WHERE at >= ?1 ORDER BY at DESC, number DESC LIMIT ?2"
    ))?;
    let rows = select.query_map(params![since.0, limit], call_row)?;
    rows.collect()
}

pub(super) fn after(connection: &Connection, number: u64, limit: u32) -> rusqlite::Result<Vec<(u64, CallRow)>> {
    let mut select = connection.prepare(&format!(
        "SELECT {COLUMNS}, number FROM gateway_calls WHERE number > ?1 ORDER BY number LIMIT ?2"
    ))?;
    let rows = select.query_map(params![whole(number), limit], |row| {
        Ok((row.get("number").map(natural)?, call_row(row)?))
    })?;
    rows.collect()
}

pub(super) fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(max(number), 0) FROM gateway_calls";
    connection.query_row(sql, [], |row| row.get(0)).map(natural)
}

/// In the order in which [`call_row`] reads them.
const COLUMNS: &str = "at, request, client, run, task, agent, project, asked, provider, model, reason, input, cached,
    written, output, reasoning, estimated, cost, millis, first_millis, outcome, code, retries, door, operation, finish,
    waited_millis, trace";

fn call_row(row: &Row<'_>) -> rusqlite::Result<CallRow> {
    let count = |place: usize| row.get(place).map(natural);
    Ok(CallRow {
        at: At(row.get(0)?),
        request: row.get(1)?,
        client: row.get(2)?,
        run: row.get(3)?,
        task: row.get(4)?,
        agent: row.get(5)?,
        project: row.get(6)?,
        asked: row.get(7)?,
        provider: row.get(8)?,
        model: row.get(9)?,
        reason: row.get(10)?,
        input: count(11)?,
        cached: count(12)?,
        written: count(13)?,
        output: count(14)?,
        reasoning: count(15)?,
        estimated: row.get(16)?,
        cost: Cost(row.get(17)?),
        millis: count(18)?,
        first_millis: count(19)?,
        outcome: row.get(20)?,
        code: row.get(21)?,
        retries: row.get(22)?,
        door: row.get(23)?,
        operation: row.get(24)?,
        finish: row.get(25)?,
        waited_millis: count(26)?,
        trace: row.get(27)?,
    })
}

/// All calls of the books, and those that only the logs of runs know: of agents that do not use the gateway. The project
/// of those is the last part of their run's target. An index holds their events, so no others are looked at.
const CALLS: &str = "
    WITH calls AS (
        SELECT at, coalesce(run, '') AS run, coalesce(task, '') AS task, coalesce(agent, '') AS agent, client,
               coalesce(project, '') AS project, CASE provider WHEN '' THEN '' ELSE provider || '/' || model END AS model,
               input, cached, output, cost, millis, outcome, code
        FROM gateway_calls WHERE at >= ?1 AND (?2 IS NULL OR run = ?2)
        UNION ALL
        SELECT c.at, c.run, coalesce(c.body ->> '$.task', ''),
               coalesce((SELECT d.body ->> '$.agent' FROM events d
                         WHERE d.run = c.run AND d.kind = 'task.dispatched' AND d.seq < c.seq
                               AND d.body ->> '$.task' = c.body ->> '$.task'
                         ORDER BY d.seq DESC LIMIT 1), ''),
               'run',
               coalesce((SELECT substr(r.target, 1 + length(rtrim(r.target, replace(r.target, '/', ''))))
                         FROM runs r WHERE r.id = c.run), ''),
               c.body ->> '$.model', c.body ->> '$.usage.input', c.body ->> '$.usage.cached', c.body ->> '$.usage.output',
               c.body ->> '$.usage.cost', c.body ->> '$.millis', 'ok', ''
        FROM events c
        WHERE c.kind = 'model.called' AND c.body ->> '$.request' IS NULL AND c.at >= ?1 AND (?2 IS NULL OR c.run = ?2))";

const fn group(by: UsageBy) -> &'static str {
    match by {
        UsageBy::Run => "run",
        UsageBy::Task => "task",
        UsageBy::Agent => "agent",
        UsageBy::Client => "client",
        UsageBy::Project => "project",
        UsageBy::Provider => "substr(model, 1, instr(model || '/', '/') - 1)",
        UsageBy::Model => "model",
        UsageBy::Day => "date(at / 1000, 'unixepoch')",
    }
}

/// The group is one of the texts above, never a caller's. The calls are read in whatever order they stand: to sort them takes
/// longer than all the rest.
pub(super) fn usage(connection: &Connection, by: UsageBy, of: &UsageOf) -> rusqlite::Result<Vec<UsageLine>> {
    let group = group(by);
    let mut select = connection.prepare(&format!(
        "{CALLS} SELECT {group}, millis, outcome <> 'ok', input, cached, output, cost, code LIKE 'cache\\_%' ESCAPE '\\' FROM calls"
    ))?;
    let mut rows = select.query(params![of.since.0, of.run])?;
    let mut sums: HashMap<String, Sum> = HashMap::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str()?;
        match sums.get_mut(name) {
            Some(sum) => sum.add(row)?,
            None => sums.entry(name.to_owned()).or_default().add(row)?,
        }
    }
    let mut lines: Vec<UsageLine> = sums.into_iter().map(|(group, sum)| sum.line(group)).collect();
    lines.sort_by(|a, b| b.cost.cmp(&a.cost).then_with(|| a.group.cmp(&b.group)));
    Ok(lines)
}

/// What the calls of a group add up to.
#[derive(Default)]
struct Sum {
    line: UsageLine,
    millis: Vec<u32>,
}

impl Sum {
    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let line = &mut self.line;
        self.millis
            .push(u32::try_from(row.get::<_, i64>(1)?.max(0)).unwrap_or(u32::MAX));
        line.calls += 1;
        line.failed += u64::from(row.get::<_, bool>(2)?);
        line.input += natural(row.get(3)?);
        line.cached += natural(row.get(4)?);
        line.output += natural(row.get(5)?);
        line.cost += Cost(row.get(6)?);
        line.hits += u64::from(row.get::<_, bool>(7)?);
        Ok(())
    }

    fn line(mut self, group: String) -> UsageLine {
        self.millis.sort_unstable();
        let at = |percent: usize| {
            let place = self.millis.len().saturating_sub(1) * percent / 100;
            self.millis.get(place).copied().map_or(0, u64::from)
        };
        UsageLine {
            group,
            p50_millis: at(50),
            p95_millis: at(95),
            p99_millis: at(99),
            ..self.line
        }
    }
}
