//! `maestria models`: what is configured, and what models cost and can do.

use super::{Context, Done, Failure};
use crate::{exit::Exit, render};
use clap::{Args as ClapArgs, Subcommand};
use maestria_api::money;
use maestria_kernel::{Cost, Tokens};
use maestria_server::gateway::{
    Catalogue, Model, catalogue,
    lessons::{self, Difficulty, Trained, Weights},
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

pub(super) async fn execute(context: &Context, verb: Option<&Models>) -> Done {
    match verb {
        None | Some(Models::List) => list(&context.place()?.models().await?),
        Some(Models::Prices) => prices(&catalogue(&context.config()?)?),
        Some(Models::Train(args)) => return train(context, args).await,
    }
    Ok(Exit::Ok)
}

fn list(models: &money::Models) {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    let configured = models.items.iter().filter(|model| model.configured);
    rows.extend(configured.map(|model| {
        let note = match (model.local, model.listed) {
            (true, _) => "local: free",
            (false, true) => "",
            (false, false) => "not in the catalogue: default price",
        };
        let price = [
            model.price.input,
            model.price.cached,
            model.price.written,
            model.price.output,
        ];
        let can = [("tools", model.tools), ("vision", model.vision), ("json", model.json)];
        row(&model.model, price, model.context, can, note)
    }));
    if rows.len() == 1 {
        println!(
            "no model is configured; `maestria config init` writes a file with an example, `maestria models prices` shows \
             what the catalogue knows"
        );
        return;
    }
    println!("{}", render::columns(&rows));
    println!("\nroutes: {}", models.routes.join(", "));
}

fn prices(catalogue: &Catalogue) {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    let mut all = catalogue.all().to_vec();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    rows.extend(
        all.iter()
            .map(|(prefix, model)| known(&format!("{prefix}*"), model, "")),
    );
    rows.push(known("any other", &catalogue.model(""), "default"));
    println!("{}", render::columns(&rows));
}

fn known(name: &str, model: &Model, note: &str) -> Vec<String> {
    let price = [
        model.price.input,
        model.price.cached,
        model.price.written,
        model.price.output,
    ];
    let can = [("tools", model.tools), ("vision", model.vision), ("json", model.json)];
    row(name, price, model.context, can, note)
}

fn row(name: &str, price: [Cost; 4], context: u64, can: [(&str, bool); 3], note: &str) -> Vec<String> {
    let can: Vec<&str> = can.iter().filter(|(_, able)| *able).map(|(name, _)| *name).collect();
    let mut row = vec![name.to_owned()];
    row.extend(price.map(|cost| cost.to_string()));
    row.extend([Tokens(context).to_string(), can.join(" "), note.to_owned()]);
    row
}

async fn train(context: &Context, args: &Train) -> Done {
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
