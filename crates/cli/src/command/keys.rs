//! `maestria keys`: who may ask the gateway.

use super::{Context, Done, Failure, lists::print_json, now};
use crate::{args::Output, exit::Exit, render};
use clap::{Args as ClapArgs, Subcommand};
use maestria_kernel::{Cost, ledger::ClientKey};
use maestria_server::gateway::{books, create_key};

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key; it is printed once, on stdout, and kept only as a hash.
    Create(Create),
    /// All keys, without the keys themselves.
    List(Output),
    /// End a key, at once for new calls.
    Revoke {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Create {
    /// What to call it.
    #[arg(long)]
    name: String,
    /// The most it may cost a day, in dollars.
    #[arg(long, value_name = "DOLLARS")]
    budget: Option<Cost>,
    /// The run its calls count for.
    #[arg(long)]
    run: Option<String>,
    /// The task its calls count for.
    #[arg(long)]
    task: Option<String>,
    /// The agent that has it.
    #[arg(long)]
    agent: Option<String>,
    /// The project its calls count for.
    #[arg(long)]
    project: Option<String>,
}

pub(super) async fn execute(context: &Context, verb: Option<Keys>) -> Done {
    let books = books(&context.config()?).await?;
    match verb {
        Some(Keys::Create(args)) => {
            let like = ClientKey {
                name: args.name,
                budget: args.budget,
                run: args.run,
                task: args.task,
                agent: args.agent,
                project: args.project,
                ..ClientKey::default()
            };
            let made = create_key(&*books, like, now()).await;
            let key = made.map_err(|e| Failure::user(e.to_string(), "`maestria keys list` shows those there are"))?;
            println!("{key}");
            eprintln!("note: this is the only time the key is shown");
        }
        None => list(&books.keys().await?, false)?,
        Some(Keys::List(output)) => list(&books.keys().await?, output.json)?,
        Some(Keys::Revoke { name }) => {
            if !books.revoke_key(name.clone(), now()).await? {
                return Err(Failure::user(
                    format!("there is no key `{name}` in force"),
                    "`maestria keys list` shows those there are",
                ));
            }
            println!("{name} is revoked");
        }
    }
    Ok(Exit::Ok)
}

fn list(keys: &[ClientKey], json: bool) -> Result<(), Failure> {
    if json {
        return print_json(&keys).map(drop);
    }
    if keys.is_empty() {
        println!("no keys yet; `maestria keys create --name ci` makes one");
        return Ok(());
    }
    let mut rows = vec![
        ["name", "key", "budget a day", "counts for", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(keys.iter().map(|key| {
        let scopes = [&key.run, &key.task, &key.agent, &key.project];
        let scopes: Vec<&str> = scopes.into_iter().flatten().map(String::as_str).collect();
        vec![
            key.name.clone(),
            format!("{}…", key.prefix),
            key.budget.map_or_else(|| "–".to_owned(), |b| b.to_string()),
            scopes.join(" "),
            if key.revoked_at.is_some() {
                "revoked".to_owned()
            } else {
                String::new()
            },
        ]
    }));
    println!("{}", render::columns(&rows));
    Ok(())
}
