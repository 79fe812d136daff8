//! How long a routing decision takes, reason and all, between all models of the catalogue.

use maestria_benches::{Figure, Table};
use maestria_gateway::{Catalogue, Gateway, Policy, ProviderConfig, Route, Setup, Wish};
use std::time::Instant;

const DECISIONS: usize = 20_000;

pub(crate) fn decide(table: &mut Table) -> anyhow::Result<()> {
    let catalogue = Catalogue::built_in().clone();
    let provider = ProviderConfig {
        name: "all".to_owned(),
        dialect: "openai".to_owned(),
        models: catalogue.all().iter().map(|(prefix, _)| prefix.clone()).collect(),
        ..ProviderConfig::default()
    };
    let models = provider.models.len();
    let balanced = Policy::ALL.into_iter().find(|p| p.name == "balanced");
    let gateway = Gateway::new(Setup {
        providers: vec![provider],
        routes: balanced
            .map(|p| ("default".to_owned(), Route::Policy(p)))
            .into_iter()
            .collect(),
        catalogue,
        ..Setup::default()
    })?;
    let wish = Wish {
        prompt: "Refactor the database layer and explain the trade-offs. ".repeat(20),
        system: "You plan the work of a team.".to_owned(),
        route: "auto".to_owned(),
        tools: true,
        ..Wish::default()
    };
    let mut times = Vec::with_capacity(DECISIONS);
    for _ in 0..DECISIONS {
        let started = Instant::now();
        let decision = gateway.explain(&wish)?;
        times.push(started.elapsed());
        anyhow::ensure!(!decision.reason.is_empty(), "a decision without a reason");
    }
    times.sort_unstable();
    let at = |percent: usize| times[(DECISIONS - 1) * percent / 100].as_secs_f64() * 1e6;
    table.show(&Figure::at_most(
        "routing decision, p99",
        at(99),
        "µs",
        50.0,
        format!(
            "median {:.0} µs, {models} models, a prompt of {} bytes",
            at(50),
            wish.prompt.len()
        ),
    ));
    Ok(())
}
