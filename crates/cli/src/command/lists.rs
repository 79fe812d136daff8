//! Looking at runs.

use super::{Context, Done, Failure, now};
use crate::{args::Which, exit::Exit, render};
use maestria_kernel::TaskKey;

pub(super) async fn runs(context: &Context, json: bool) -> Done {
    let rows = context.place()?.runs().await?;
    if json {
        return print_json(&rows);
    }
    println!("{}", render::runs(&rows, now(), context.paint));
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
