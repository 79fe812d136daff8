//! The meter's rows, and what they add up to.

use crate::sqlite::record::{natural, whole};
use maestria_kernel::{
    At, Cost,
    ledger::{CallRow, UsageBy, UsageLine},
};
use rusqlite::{Connection, Row, params};

pub(super) fn insert(connection: &Connection, calls: &[CallRow]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO gateway_calls (at, request, client, run, task, agent, project, asked, provider, model, reason,
                                    input, cached, written, output, reasoning, estimated, cost, millis, first_millis,
                                    outcome, code, retries)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)",
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
        ])?;
    }
    Ok(())
}

pub(super) fn list(connection: &Connection, since: At, limit: u32) -> rusqlite::Result<Vec<CallRow>> {
    let mut select = connection.prepare(
        "SELECT at, request, client, run, task, agent, project, asked, provider, model, reason, input, cached, written,
                output, reasoning, estimated, cost, millis, first_millis, outcome, code, retries
         FROM gateway_calls WHERE at >= ?1 ORDER BY at DESC, number DESC LIMIT ?2",
    )?;
    let rows = select.query_map(params![since.0, limit], call_row)?;
    rows.collect()
}

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
    })
}

const fn group(by: UsageBy) -> &'static str {
    match by {
        UsageBy::Run => "coalesce(run, '')",
        UsageBy::Task => "coalesce(task, '')",
        UsageBy::Agent => "coalesce(agent, '')",
        UsageBy::Client => "client",
        UsageBy::Model => "provider || '/' || model",
        UsageBy::Day => "date(at / 1000, 'unixepoch')",
    }
}

/// The group is one of the texts above, never a caller's.
pub(super) fn usage(connection: &Connection, by: UsageBy, since: At) -> rusqlite::Result<Vec<UsageLine>> {
    let group = group(by);
    let mut select = connection.prepare(&format!(
        "SELECT {group}, count(*), sum(outcome <> 'ok'), sum(input), sum(cached), sum(output), sum(cost)
         FROM gateway_calls WHERE at >= ?1 GROUP BY 1 ORDER BY sum(cost) DESC, 1"
    ))?;
    let lines = select.query_map([since.0], |row| {
        Ok(UsageLine {
            group: row.get(0)?,
            calls: natural(row.get(1)?),
            failed: natural(row.get(2)?),
            input: natural(row.get(3)?),
            cached: natural(row.get(4)?),
            output: natural(row.get(5)?),
            cost: Cost(row.get(6)?),
            ..UsageLine::default()
        })
    })?;
    let mut lines: Vec<UsageLine> = lines.collect::<rusqlite::Result<_>>()?;
    let mut nth = connection.prepare(&format!(
        "SELECT millis FROM gateway_calls WHERE at >= ?1 AND {group} = ?2 ORDER BY millis LIMIT 1 OFFSET ?3"
    ))?;
    for line in &mut lines {
        let mut percentile = |percent: u64| {
            let place = (line.calls - 1) * percent / 100;
            nth.query_row(params![since.0, line.group, whole(place)], |row| {
                row.get(0).map(natural)
            })
        };
        (line.p50_millis, line.p95_millis, line.p99_millis) = (percentile(50)?, percentile(95)?, percentile(99)?);
    }
    Ok(lines)
}
