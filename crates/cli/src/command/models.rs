//! `maestria models`: what is configured, and what models cost and can do.

use super::{Context, Done};
use crate::{exit::Exit, render};
use clap::Subcommand;
use maestria_server::gateway::{Model, catalogue};

#[derive(Debug, Subcommand)]
pub(crate) enum Models {
    /// The configured models, with what the catalogue knows of them.
    List,
    /// The whole catalogue: dollars per million tokens.
    Prices,
}

const HEAD: [&str; 8] = ["model", "input", "cached", "written", "output", "context", "can", ""];

pub(super) fn execute(context: &Context, verb: Option<&Models>) -> Done {
    let config = context.config()?;
    let catalogue = catalogue(&config)?;
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    match verb {
        None | Some(Models::List) => {
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
            let routes = config.gateway.routes.keys();
            let mut names: Vec<String> = routes
                .map(|r| if r == "default" { "auto".to_owned() } else { r.clone() })
                .collect();
            if !names.iter().any(|name| name == "auto") {
                names.push("auto".to_owned());
            }
            if rows.len() == 1 {
                println!(
                    "no model is configured; `maestria config init` writes a file with an example, `maestria models \
                     prices` shows what the catalogue knows"
                );
                return Ok(Exit::Ok);
            }
            println!("{}", render::columns(&rows));
            println!("\nroutes: {}", names.join(", "));
        }
        Some(Models::Prices) => {
            let mut all = catalogue.all().to_vec();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            rows.extend(all.iter().map(|(prefix, model)| row(format!("{prefix}*"), model, "")));
            rows.push(row("any other".to_owned(), &catalogue.model(""), "default"));
            println!("{}", render::columns(&rows));
        }
    }
    Ok(Exit::Ok)
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
