//! `maestria usage`: what was called, by whom, and what it cost.

use super::{Context, Done, lists::print_json, now};
use crate::{exit::Exit, place::Place, render};
use clap::{
    Args as ClapArgs,
    builder::{PossibleValuesParser, TypedValueParser},
};
use maestria_kernel::{
    At, Cost, Tokens,
    ledger::{UsageBy, UsageLine},
};

fn grouping() -> impl TypedValueParser<Value = UsageBy> {
    PossibleValuesParser::new(UsageBy::ALL.map(UsageBy::as_str)).try_map(|word| {
        let by = UsageBy::ALL.into_iter().find(|by| by.as_str() == word);
        by.ok_or_else(|| format!("`{word}` is no grouping"))
    })
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Usage {
    /// What to group by.
    #[arg(long, value_parser = grouping(), default_value = "model")]
    by: UsageBy,
    /// Only the calls of this run.
    #[arg(long, value_name = "RUN", conflicts_with = "advice")]
    run: Option<String>,
    /// How many days back.
    #[arg(long, default_value_t = 30, value_name = "DAYS")]
    days: u32,
    /// What the same calls would have cost on another model that did as well.
    #[arg(long, conflicts_with = "csv")]
    advice: bool,
    /// As comma-separated values.
    #[arg(long)]
    csv: bool,
    /// As one JSON document on stdout.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
}

pub(super) async fn execute(context: &Context, args: Usage) -> Done {
    let since = At(now().0 - i64::from(args.days) * 86_400_000);
    let place = context.place()?;
    if args.advice {
        return advice(&place, since, args.json).await;
    }
    let run = match &args.run {
        Some(given) => Some(place.find(given).await?),
        None => None,
    };
    let lines = place.usage(args.by, since, run).await?;
    if args.json {
        return print_json(&lines);
    }
    let name = args.by.as_str();
    if args.csv {
        println!("{}", maestria_api::money::csv(name, &lines).trim_end());
        return Ok(Exit::Ok);
    }
    if lines.is_empty() {
        println!("no model was called in the last {} days", args.days);
        return Ok(Exit::Ok);
    }
    let head = [
        name, "calls", "failed", "hits", "input", "cached", "output", "cost", "p50", "p95", "p99",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(lines.iter().map(row));
    let total: Cost = lines.iter().map(|line| line.cost).sum();
    println!("{}", render::columns(&rows));
    println!("\n{total} in the last {} days", args.days);
    Ok(Exit::Ok)
}

async fn advice(place: &Place, since: At, json: bool) -> Done {
    let advice = place.advice(since).await?;
    if json {
        return print_json(&advice.items);
    }
    if advice.items.is_empty() {
        println!(
            "nothing to advise from {} calls; a model is only held against another one that the same agent or key has \
             used at least 20 times, as well and as fast",
            advice.calls
        );
    }
    for one in &advice.items {
        println!("{}\n", render::clean(&one.to_string()));
    }
    Ok(Exit::Ok)
}

fn row(line: &UsageLine) -> Vec<String> {
    let group = if line.group.is_empty() { "(none)" } else { &line.group };
    let millis = |millis: u64| format!("{millis} ms");
    vec![
        group.to_owned(),
        line.calls.to_string(),
        line.failed.to_string(),
        line.hits.to_string(),
        Tokens(line.input).to_string(),
        Tokens(line.cached).to_string(),
        Tokens(line.output).to_string(),
        line.cost.to_string(),
        millis(line.p50_millis),
        millis(line.p95_millis),
        millis(line.p99_millis),
    ]
}
