//! Accounts: what is spent, and what is held by whom.

use maestria_kernel::{
    Cost,
    ledger::{Account, Balance, Settled, Short, Want},
};
use rusqlite::{Connection, params};

/// Leases from all accounts or from none; the transaction around it keeps everybody else out meanwhile.
pub(super) fn lease(
    connection: &Connection,
    owner: &str,
    wants: &[Want],
) -> rusqlite::Result<Result<Vec<Cost>, Short>> {
    let mut granted = Vec::with_capacity(wants.len());
    for want in wants {
        let (spent, held) = standing(connection, &want.account)?;
        let room = want.limit.0.saturating_sub(spent).saturating_sub(held);
        if room < want.least.0 {
            return Ok(Err(Short {
                scope: want.account.scope.clone(),
                limit: want.limit,
                spent: Cost(spent),
                held: Cost(held),
            }));
        }
        granted.push(Cost(room.min(want.most.0).max(want.least.0)));
    }
    for (want, amount) in wants.iter().zip(&granted).filter(|(_, amount)| amount.0 != 0) {
        hold(connection, owner, &want.account, amount.0)?;
    }
    Ok(Ok(granted))
}

fn standing(connection: &Connection, account: &Account) -> rusqlite::Result<(i64, i64)> {
    connection
        .prepare_cached(
            "SELECT coalesce((SELECT spent FROM accounts WHERE scope = ?1 AND day = ?2), 0),
                    coalesce((SELECT sum(held) FROM leases WHERE scope = ?1 AND day = ?2), 0)",
        )?
        .query_row(params![account.scope, account.day], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
}

fn hold(connection: &Connection, owner: &str, account: &Account, amount: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO leases (owner, scope, day, held) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET held = held + ?4",
        )?
        .execute(params![owner, account.scope, account.day, amount])
        .map(drop)
}

fn spend(connection: &Connection, account: &Account, amount: i64) -> rusqlite::Result<(i64, bool)> {
    connection
        .prepare_cached(
            "INSERT INTO accounts (scope, day, spent) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET spent = spent + ?3 RETURNING spent, alerted",
        )?
        .query_row(params![account.scope, account.day, amount], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
}

pub(super) fn settle(connection: &Connection, owner: &str, settled: &[Settled]) -> rusqlite::Result<Vec<Account>> {
    let mut alerts = Vec::new();
    for one in settled {
        let account = &one.account;
        let (spent, alerted) = spend(connection, account, one.spent.0)?;
        hold(connection, owner, account, -one.spent.plus(one.returned).0)?;
        connection
            .prepare_cached("DELETE FROM leases WHERE owner = ?1 AND scope = ?2 AND day = ?3 AND held <= 0")?
            .execute(params![owner, account.scope, account.day])?;
        if !alerted && one.alert_from.is_some_and(|from| spent >= from.0) {
            connection
                .prepare_cached("UPDATE accounts SET alerted = 1 WHERE scope = ?1 AND day = ?2")?
                .execute(params![account.scope, account.day])?;
            alerts.push(account.clone());
        }
    }
    Ok(alerts)
}

pub(super) fn owners(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare("SELECT DISTINCT owner FROM leases ORDER BY owner")?;
    let owners = select.query_map([], |row| row.get(0))?;
    owners.collect()
}

pub(super) fn absorb(connection: &Connection, owner: &str) -> rusqlite::Result<Vec<(Account, Cost)>> {
    let mut select = connection.prepare_cached("DELETE FROM leases WHERE owner = ?1 RETURNING scope, day, held")?;
    let held = select.query_map([owner], |row| {
        let account = Account {
            scope: row.get(0)?,
            day: row.get(1)?,
        };
        Ok((account, Cost(row.get(2)?)))
    })?;
    let held: Vec<(Account, Cost)> = held.collect::<rusqlite::Result<_>>()?;
    for (account, amount) in &held {
        spend(connection, account, amount.0)?;
    }
    Ok(held)
}

pub(super) fn balances(connection: &Connection, day: i64) -> rusqlite::Result<Vec<Balance>> {
    let mut select = connection.prepare(
        "SELECT scope, day, sum(spent), sum(held), max(alerted) FROM (
             SELECT scope, day, spent, 0 AS held, alerted FROM accounts
             UNION ALL SELECT scope, day, 0, held, 0 FROM leases)
         WHERE day IN (0, ?1) GROUP BY scope, day ORDER BY day DESC, scope",
    )?;
    let balances = select.query_map([day], |row| {
        Ok(Balance {
            scope: row.get(0)?,
            day: row.get(1)?,
            spent: Cost(row.get(2)?),
            held: Cost(row.get(3)?),
            alerted: row.get(4)?,
        })
    })?;
    balances.collect()
}
