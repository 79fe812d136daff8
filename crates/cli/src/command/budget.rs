//! `maestria budget`: what may be spent, and what is.

use super::{Context, Done, Failure};
use crate::{exit::Exit, render};
use clap::Subcommand;
use maestria_kernel::{Cost, ledger::Balance};
use maestria_server::config::set;

#[derive(Debug, Subcommand)]
pub(crate) enum Budget {
    /// The limits in force, and what is spent and held of them.
    Show,
    /// Change a limit in the configuration file: 100/day, 5/run.
    Set {
        /// Dollars a day, or a run.
        #[arg(value_name = "DOLLARS/SCOPE", value_parser = limit)]
        limit: Limit,
    },
    /// The scopes that have passed their alert today.
    Alerts,
}

/// A limit as it is written on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    dollars: Cost,
    scope: String,
}

fn limit(text: &str) -> Result<Limit, String> {
    let (dollars, scope) = text.split_once('/').ok_or("write it like 100/day or 5/run")?;
    if !matches!(scope, "day" | "run") {
        return Err(format!("`{scope}` is no scope; there are day and run"));
    }
    Ok(Limit {
        dollars: dollars
            .parse()
            .map_err(|e: maestria_kernel::money::BadAmount| e.to_string())?,
        scope: scope.to_owned(),
    })
}

pub(super) async fn execute(context: &Context, verb: Option<&Budget>) -> Done {
    if let Some(Budget::Set { limit }) = verb {
        let Limit { dollars, scope } = limit;
        let value = format!("{}.{:06}", dollars.0 / 1_000_000, dollars.0 % 1_000_000);
        let changed = set(&context.sources, "budget", scope, &value);
        changed.map_err(|e| Failure::user(e.to_string(), "`maestria config check` lists all mistakes"))?;
        println!("{dollars} a {scope}, from the next start of a gateway or run on");
        return Ok(Exit::Ok);
    }
    let budgets = context.place()?.budgets().await?;
    if matches!(verb, Some(Budget::Alerts)) {
        let alerted: Vec<Vec<String>> = budgets.balances.iter().filter(|b| b.alerted).map(row).collect();
        if alerted.is_empty() {
            println!("no scope has passed its alert today");
        } else {
            println!("{}", render::columns(&alerted));
        }
        return Ok(Exit::Ok);
    }
    let limit = |limit: Option<Cost>| limit.map_or_else(|| "no limit".to_owned(), |l| l.to_string());
    println!("day      {}", limit(budgets.day));
    println!("run      {}", limit(budgets.run));
    println!("task     {}", limit(budgets.task));
    println!("client   {} a day, unless the key has its own", limit(budgets.client));
    println!("project  {} a day", limit(budgets.project));
    println!("model    {} a day", limit(budgets.model));
    println!("alert at {} %", budgets.alert_percent);
    if !budgets.balances.is_empty() {
        let mut rows = vec![["scope", "spent", "held", ""].map(str::to_owned).to_vec()];
        rows.extend(budgets.balances.iter().map(row));
        println!("\n{}", render::columns(&rows));
    }
    Ok(Exit::Ok)
}

fn row(balance: &Balance) -> Vec<String> {
    let note = if balance.alerted { "alerted" } else { "" };
    vec![
        balance.scope.clone(),
        balance.spent.to_string(),
        balance.held.to_string(),
        note.to_owned(),
    ]
}
