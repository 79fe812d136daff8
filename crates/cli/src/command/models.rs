//! `maestria models`: what is configured, and what models cost and can do.

use super::{Context, Done, Failure};
use crate::{exit::Exit, render};
use clap::{Args as ClapArgs, Subcommand};
use maestria_server::{
    Config,
    gateway::{
        Catalogue, Model, catalogue,
        lessons::{self, Difficulty, Trained, Weights},
    },
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Models {
    /// The configured models, with what the catalogue knows of them.
    List,
    /// The whole catalogue: dollars per million tokens.
    Prices,
    /// Learn from your own runs which requests are hard, for routes that choose by a policy.
    Train(Train),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Train {
    /// Also from this file: a line each, {"prompt": "…", "model": "…", "well": true}.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Show what would be learned, and keep nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go back to the built-in weights.
    #[arg(long, conflicts_with_all = ["from", "dry_run"])]
    reset: bool,
}

const HEAD: [&str; 8] = ["model", "input", "cached", "written", "output", "context", "can", ""];

pub(super) fn execute(context: &Context, verb: Option<&Models>) -> Done {
    let config = context.config()?;
    let catalogue = catalogue(&config)?;
    if matches!(verb, Some(Models::Prices)) {
        prices(&catalogue);
    } else {
        list(&config, &catalogue);
    }
    Ok(Exit::Ok)
}

fn list(config: &Config, catalogue: &Catalogue) {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    for (name, table) in &config.providers {
        for model in &table.models {
            let known = catalogue.model(model);
            let note = match (table.local, known.listed) {
                (true, _) => "local: free",
                (false, true) => "",
                (false, false) => "not in the catalogue: default price",
            };
            rows.push(row(format!("{name}/{model}"), &known, note));
        }
    }
    if rows.len() == 1 {
        println!(
            "no model is configured; `maestria config init` writes a file with an example, `maestria models prices` shows \
             what the catalogue knows"
        );
        return;
    }
    let routes = config.gateway.routes.keys();
    let mut names: Vec<String> = routes
        .map(|r| if r == "default" { "auto".to_owned() } else { r.clone() })
        .collect();
    if !names.iter().any(|name| name == "auto") {
        names.push("auto".to_owned());
    }
    println!("{}", render::columns(&rows));
    println!("\nroutes: {}", names.join(", "));
}

fn prices(catalogue: &Catalogue) {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    let mut all = catalogue.all().to_vec();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    rows.extend(all.iter().map(|(prefix, model)| row(format!("{prefix}*"), model, "")));
    rows.push(row("any other".to_owned(), &catalogue.model(""), "default"));
    println!("{}", render::columns(&rows));
}

fn row(name: String, model: &Model, note: &str) -> Vec<String> {
    let price = model.price;
    let can = [("tools", model.tools), ("vision", model.vision), ("json", model.json)];
    let can: Vec<&str> = can.iter().filter(|(_, able)| *able).map(|(name, _)| *name).collect();
    vec![
        name,
        price.input.to_string(),
        price.cached.to_string(),
        price.written.to_string(),
        price.output.to_string(),
        maestria_kernel::Tokens(model.context).to_string(),
        can.join(" "),
        note.to_owned(),
    ]
}

pub(super) async fn train(context: &Context, args: &Train) -> Done {
    let config = context.config()?;
    if args.reset {
        let said = if lessons::forget(&config)? {
            "the built-in weights are in force again"
        } else {
            "the built-in weights are in force; nothing was trained"
        };
        println!("{said}");
        return Ok(Exit::Ok);
    }
    let catalogue = catalogue(&config)?;
    let mut examples = Vec::new();
    if let Some(path) = &args.from {
        let wrong =
            |what: String| Failure::user(format!("{}: {what}", path.display()), "`maestria models train --help`");
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        examples = lessons::read(&text, &catalogue).map_err(wrong)?;
    }
    let given = examples.len();
    examples.extend(lessons::gather(&config, &catalogue).await?);
    println!("{} examples from runs, {given} from a file", examples.len() - given);
    let hint = "more runs, or `--from FILE` with examples of your own";
    let trained = lessons::train(&examples).map_err(|few| Failure::user(few.to_string(), hint))?;
    let (Trained::Better(_, losses) | Trained::NoBetter(losses)) = &trained;
    println!(
        "off on examples not trained from (cross-entropy, less is better): built-in {:.4}, your own {:.4}",
        losses.built_in, losses.own
    );
    let Some(difficulty) = trained.keep(&examples, today()) else {
        println!("the built-in weights are as good; nothing is changed");
        return Ok(Exit::Ok);
    };
    println!("\n{}", render::columns(&compared(&difficulty)));
    if args.dry_run {
        println!("\nnothing is kept (--dry-run)");
    } else {
        println!("\nkept in {}", lessons::keep(&config, &difficulty)?.display());
    }
    Ok(Exit::Ok)
}

fn compared(difficulty: &Difficulty) -> Vec<Vec<String>> {
    let (old, new) = (Weights::BUILT_IN, difficulty.weights);
    let rows = [
        ("level", old.level, new.level),
        ("hard words", old.hard_words, new.hard_words),
        ("easy words", old.easy_words, new.easy_words),
        ("length", old.length, new.length),
        ("code", old.code, new.code),
        ("questions", old.questions, new.questions),
        ("results of tools", old.results, new.results),
        ("tools", old.tools, new.tools),
    ];
    let head = ["log-odds of", "built-in", "yours"].map(str::to_owned).to_vec();
    let row = |(name, old, new): (&str, f64, f64)| vec![name.to_owned(), format!("{old:+.2}"), format!("{new:+.2}")];
    std::iter::once(head).chain(rows.map(row)).collect()
}

fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}
