//! `maestria route`: which model would answer, and why; nobody is called.

use super::{Context, Done, lists::print_json};
use crate::{exit::Exit, place::Place, render};
use clap::{Args as ClapArgs, ValueEnum};
use maestria_api::money::{RouteDecision, RouteWish};
use maestria_server::gateway::lessons;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Need {
    Tools,
    Vision,
    Json,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Route {
    /// The prompt.
    prompt: String,
    /// What the model must be able to do.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NEEDS")]
    needs: Vec<Need>,
    /// Tokens that are sent, such as 180k.
    #[arg(long, default_value = "0", value_name = "TOKENS", value_parser = tokens)]
    context: u64,
    /// The route, policy or model that is asked for.
    #[arg(long, default_value = "auto", value_name = "NAME")]
    model: String,
    /// With all candidates and their scores.
    #[arg(long)]
    explain: bool,
    /// As one JSON document on stdout.
    #[arg(long)]
    json: bool,
}

/// `180k` or `180000`.
fn tokens(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1_000),
        None => match text.strip_suffix(['m', 'M']) {
            Some(number) => (number, 1_000_000),
            None => (text, 1),
        },
    };
    let parsed: Option<u64> = number.parse().ok().and_then(|n: u64| n.checked_mul(factor));
    parsed.ok_or_else(|| "write it like 180k or 180000".to_owned())
}

pub(super) async fn execute(context: &Context, args: Route) -> Done {
    let place = context.place()?;
    let routed = place
        .route(RouteWish {
            prompt: args.prompt,
            route: Some(args.model),
            tools: args.needs.contains(&Need::Tools),
            vision: args.needs.contains(&Need::Vision),
            json: args.needs.contains(&Need::Json),
            context: args.context,
            ..RouteWish::default()
        })
        .await?;
    let decision = &routed.decision;
    if args.json {
        return print_json(decision);
    }
    if routed.sampled {
        eprintln!("note: no provider is configured; these are all models of the catalogue, as if each were");
    }
    println!("{}", decision.model);
    println!("{}", decision.reason);
    println!("confidence {:.2}", decision.confidence);
    if args.explain {
        println!("\n{}", render::columns(&candidates(decision)));
        if let Place::Here(here) = &place
            && let Some(trained) = lessons::kept(&here.config()?)?
        {
            println!(
                "\nwhat is hard was learned from {} examples on {} (`maestria models train`)",
                trained.examples, trained.trained
            );
        }
    }
    Ok(Exit::Ok)
}

fn candidates(decision: &RouteDecision) -> Vec<Vec<String>> {
    let head = ["model", "score", "quality", "expected", "latency", "warm cache", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(decision.candidates.iter().map(|c| {
        vec![
            c.model.clone(),
            c.score.map_or_else(|| "–".to_owned(), |score| format!("{score:.3}")),
            format!("{:.2}", c.quality),
            c.expected_cost.to_string(),
            match (c.latency_millis, c.p95_millis) {
                (Some(median), Some(p95)) => format!("{median} ms, p95 {p95} ms"),
                _ => "–".to_owned(),
            },
            c.warm_saves.map_or_else(|| "–".to_owned(), |saved| format!("-{saved}")),
            c.left_out.clone().unwrap_or_default(),
        ]
    }));
    rows
}
