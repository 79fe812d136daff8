//! Looking at runs.

use super::{Context, Done, Failure, now};
use crate::{
    args::{Runs, Which},
    exit::Exit,
    render,
};
use maestria_kernel::TaskKey;
use maestria_server::{States, UnknownState};

/// Runs in a table, if nobody says how many.
const USUAL: u32 = 50;

pub(super) async fn runs(context: &Context, wanted: &Runs) -> Done {
    let most = match wanted.limit {
        None if wanted.output.json => usize::MAX,
        given => given.unwrap_or(USUAL) as usize,
    };
    let states = States::parse(wanted.state.as_deref().unwrap_or_default())
        .map_err(|unknown| Failure::user(unknown.to_string(), UnknownState::HINT))?;
    // One more tells whether there are more.
    let mut rows = context.place()?.runs(&states, most.saturating_add(1)).await?;
    let is_all = rows.len() <= most;
    rows.truncate(most);
    if wanted.output.json {
        return print_json(&rows);
    }
    if rows.is_empty() && !states.is_all() {
        println!("no run is {states}; `maestria runs` lists all");
    } else {
        println!("{}", render::runs(&rows, now(), context.paint));
    }
    if !is_all {
        eprintln!("and older ones: `--limit` says how many are shown, `--state` which");
    }
    Ok(Exit::Ok)
}

pub(super) async fn show(context: &Context, which: &Which) -> Done {
    let place = context.place()?;
    let run = place.load(place.find(&which.run).await?).await?;
    if which.output.json {
        return print_json(&run);
    }
    println!("{}", render::show(&run, now(), context.paint));
    Ok(Exit::Ok)
}

pub(super) async fn diff(context: &Context, which: &Which, task: Option<String>) -> Done {
    let place = context.place()?;
    let run = place.load(place.find(&which.run).await?).await?;
    let task = match task {
        None => None,
        Some(key) => {
            let known = run.by_key(&TaskKey::new(key.to_uppercase())).map(|t| t.plan.id);
            Some(known.ok_or_else(|| Failure::user(format!("{} has no task {key}", run.id), "see `maestria show`"))?)
        }
    };
    let text = place.diff(&run, task).await?;
    if text.is_empty() {
        eprintln!("nothing is changed");
    } else {
        println!("{text}");
    }
    Ok(Exit::Ok)
}

pub(super) fn print_json<T: serde::Serialize>(value: &T) -> Done {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::user(e.to_string(), ""))?;
    println!("{text}");
    Ok(Exit::Ok)
}
