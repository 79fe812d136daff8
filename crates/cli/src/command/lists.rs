//! Looking at runs.

use super::{Context, Done, Failure, find, now};
use crate::{args::Which, exit::Exit, out, render};
use maestria_kernel::{Seq, TaskKey};
use std::time::Duration;

pub(super) async fn runs(context: &Context, json: bool) -> Done {
    let app = context.app().await?;
    let rows = app.engine.store().runs().await?;
    if json {
        return print_json(&rows);
    }
    println!("{}", render::runs(&rows, now(), context.paint));
    Ok(Exit::Ok)
}

pub(super) async fn show(context: &Context, which: &Which) -> Done {
    let app = context.app().await?;
    let run = app.engine.load(find(&app, &which.run).await?).await?;
    if which.output.json {
        return print_json(&run);
    }
    println!("{}", render::show(&run, now(), context.paint));
    Ok(Exit::Ok)
}

pub(super) async fn events(context: &Context, which: &Which, follow: bool) -> Done {
    let app = context.app().await?;
    let id = find(&app, &which.run).await?;
    let store = app.engine.store();
    let mut after = Seq::default();
    loop {
        let page = store.events(id, after, 4096).await?;
        for stored in &page {
            after = stored.seq;
            println!("{}", render::json_line(id, stored));
        }
        // When the reader has gone, it has seen enough.
        if out::is_broken() {
            return Ok(Exit::Ok);
        }
        let ended = || async { Ok::<_, Failure>(app.engine.load(id).await?.state.is_finished()) };
        if page.is_empty() && (!follow || ended().await?) {
            return Ok(Exit::Ok);
        }
        if page.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

pub(super) async fn diff(context: &Context, which: &Which, task: Option<String>) -> Done {
    let app = context.app().await?;
    let run = app.engine.load(find(&app, &which.run).await?).await?;
    let task = match task {
        None => None,
        Some(key) => {
            let known = run.by_key(&TaskKey::new(key.to_uppercase())).map(|t| t.plan.id);
            Some(known.ok_or_else(|| Failure::user(format!("{} has no task {key}", run.id), "see `maestria show`"))?)
        }
    };
    let repository = &app.engine.ports().repository;
    let text = repository
        .diff(&run, task)
        .await
        .map_err(|e| Failure::user(e.what, e.hint))?;
    println!("{text}");
    Ok(Exit::Ok)
}

pub(super) fn print_json<T: serde::Serialize>(value: &T) -> Done {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::user(e.to_string(), ""))?;
    println!("{text}");
    Ok(Exit::Ok)
}
