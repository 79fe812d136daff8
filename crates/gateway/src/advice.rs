//! What the same calls would have cost elsewhere.
//!
//! Read from the books alone: a model is only held against another that the same people have used as well, often enough,
//! for requests as long, and whose calls ended well as often and as fast. How good the answers were is in no book, so
//! each piece of advice carries the catalogue's grades of both.

use crate::catalogue::{Catalogue, Price};
use crate::wire::Counts;
use maestria_kernel::{
    Cost,
    ledger::{Advice, CallRow},
};
use std::collections::BTreeMap;

/// Calls of a model from which something can be told.
const ENOUGH: usize = 20;

/// The least that is worth a word, in percent.
const WORTH: i64 = 10;

/// How much rarer calls may end well elsewhere, in percent.
const SLACK: usize = 2;

/// The calls of one model for one of those who call.
#[derive(Default)]
struct Pile<'a> {
    rows: Vec<&'a CallRow>,
}

impl Pile<'_> {
    fn well_percent(&self) -> usize {
        let well = self.rows.iter().filter(|row| row.outcome == "ok").count();
        well * 100 / self.rows.len().max(1)
    }

    fn longest(&self) -> u64 {
        self.rows.iter().map(|row| row.input).max().unwrap_or(0)
    }

    fn p95(&self) -> u64 {
        let mut times: Vec<u64> = self.rows.iter().map(|row| row.millis).collect();
        times.sort_unstable();
        times
            .get(times.len().saturating_sub(1) * 95 / 100)
            .copied()
            .unwrap_or(0)
    }

    fn cost(&self) -> Cost {
        self.rows.iter().map(|row| row.cost).sum()
    }

    /// What its calls would have cost at another price. The other's prompt cache may not have been as warm, so nothing is
    /// taken to be cached.
    fn at(&self, price: &Price) -> Cost {
        let of = |row: &&CallRow| {
            price.cost(&Counts {
                input: row.input,
                output: row.output,
                ..Counts::default()
            })
        };
        self.rows.iter().map(of).sum()
    }
}

/// Advice from calls, what saves most first: for each who and model the one that would have saved most.
pub fn advise(calls: &[CallRow], catalogue: &Catalogue) -> Vec<Advice> {
    let mut piles: BTreeMap<(&str, String), Pile<'_>> = BTreeMap::new();
    for row in calls
        .iter()
        .filter(|row| !row.model.is_empty() && !row.code.starts_with("cache_"))
    {
        let who = row.agent.as_deref().unwrap_or(&row.client);
        let model = format!("{}/{}", row.provider, row.model);
        piles.entry((who, model)).or_default().rows.push(row);
    }
    piles.retain(|_, pile| pile.rows.len() >= ENOUGH);
    let mut all: Vec<Advice> = piles
        .iter()
        .filter_map(|((who, from), pile)| {
            let others = piles.iter().filter(|((other, to), _)| other == who && to != from);
            let better = others.filter_map(|((_, to), other)| compare(who, (from, pile), (to, other), catalogue));
            better.max_by_key(|advice| advice.cost.0 - advice.instead.0)
        })
        .collect();
    all.sort_by_key(|advice| std::cmp::Reverse(advice.cost.0 - advice.instead.0));
    all
}

fn compare(who: &str, from: (&str, &Pile<'_>), to: (&str, &Pile<'_>), catalogue: &Catalogue) -> Option<Advice> {
    let model = |name: &str| catalogue.model(name.split_once('/').map_or(name, |(_, model)| model));
    let (here, there) = (model(from.0), model(to.0));
    // A local model costs nothing by the books, whatever the catalogue says.
    let price = if to.1.cost() == Cost::ZERO {
        Price::FREE
    } else {
        there.price
    };
    let advice = Advice {
        who: who.to_owned(),
        from: from.0.to_owned(),
        to: to.0.to_owned(),
        calls: from.1.rows.len(),
        cost: from.1.cost(),
        instead: from.1.at(&price),
        well_percent: (from.1.well_percent(), to.1.well_percent()),
        known_from: to.1.rows.len(),
        grades: (here.quality.edit, there.quality.edit),
    };
    let fits = from.1.longest() <= there.context;
    let as_well = advice.well_percent.1 + SLACK >= advice.well_percent.0;
    // Twice as slow is another outcome.
    let as_fast = to.1.p95() <= from.1.p95().saturating_mul(2);
    (fits && as_well && as_fast && advice.saved_percent() >= WORTH).then_some(advice)
}

#[cfg(test)]
mod tests;
