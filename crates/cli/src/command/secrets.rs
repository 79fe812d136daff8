//! `maestria secrets`: the keys of providers, encrypted at rest. Values come from stdin, never from the command line, which
//! everybody on the machine can read.

use super::{Context, Done, Failure, lists::print_json, now};
use crate::{args::Output, exit::Exit, render};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use maestria_secrets::Funnel;
use maestria_server::gateway::vault::{Entry, LockKind, Secret, Vault, VaultError, passphrase, vault};
use std::io::{IsTerminal as _, Read as _};

/// The longest input that is read, in bytes.
const LONGEST: u64 = 64 << 10;

#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Keep a secret; its value is read from stdin. A provider names it: `key_secret = "NAME"`.
    Set {
        /// What to call it.
        name: String,
    },
    /// The names of all secrets.
    List(Output),
    /// Forget a secret.
    Remove {
        /// Its name.
        name: String,
    },
    /// Make new keys for the vault and seal everything again.
    Rotate(Rotate),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rotate {
    /// What locks it from now on; a new passphrase is read from stdin. Without it: what locks it now, made anew.
    #[arg(long, value_name = "LOCK")]
    lock: Option<By>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum By {
    /// A file that only you can read.
    File,
    /// A passphrase, given in MAESTRIA_PASSPHRASE.
    Passphrase,
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::user(error.to_string(), "")
    }
}

pub(super) fn execute(context: &Context, verb: Option<Secrets>) -> Done {
    let vault = vault(&context.config()?);
    let passphrase = passphrase();
    let passphrase = passphrase.as_ref();
    match verb {
        Some(Secrets::Set { name }) => {
            let value = read("the secret")?;
            let set_at = now().0;
            let is_short = value.reveal().trim().len() < Funnel::SHORTEST;
            vault.set(&name, Entry { value, set_at }, passphrase)?;
            println!("{name} is kept; a provider uses it with key_secret = \"{name}\"");
            if is_short {
                let least = Funnel::SHORTEST;
                println!("it has fewer than {least} bytes: nothing takes so short a value out of logs and events");
            }
        }
        None => list(&vault, passphrase, false)?,
        Some(Secrets::List(output)) => list(&vault, passphrase, output.json)?,
        Some(Secrets::Remove { name }) => {
            vault.remove(&name, passphrase)?;
            println!("{name} is forgotten");
        }
        Some(Secrets::Rotate(args)) => {
            let anew = match (args.lock, vault.lock_kind()?) {
                (Some(By::File), _) | (None, Some(LockKind::File) | None) => None,
                (Some(By::Passphrase), _) => Some(read("the new passphrase")?),
                (None, Some(LockKind::Passphrase)) => passphrase.cloned(),
            };
            vault.rotate(passphrase, anew.as_ref())?;
            println!("everything is sealed under new keys");
        }
    }
    Ok(Exit::Ok)
}

/// What stands on stdin, without the line break at its end.
fn read(what: &str) -> Result<Secret, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("type {what}, then Enter and Ctrl-D; it shows, so rather: maestria secrets … < FILE");
    }
    let mut text = String::new();
    let read = stdin.lock().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| Failure::user(format!("{what} cannot be read: {error}"), "give it as text on stdin"))?;
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(Secret::new(text))
}

fn list(vault: &Vault, passphrase: Option<&Secret>, json: bool) -> Result<(), Failure> {
    let entries = match vault.read(passphrase) {
        Err(VaultError::None) => Default::default(),
        read => read?,
    };
    if json {
        let rows = entries
            .iter()
            .map(|(name, entry)| serde_json::json!({"name": name, "set_at": entry.set_at}));
        return print_json(&rows.collect::<Vec<_>>()).map(drop);
    }
    if entries.is_empty() {
        println!("no secrets yet; `maestria secrets set NAME < FILE` keeps one");
        return Ok(());
    }
    let mut rows = vec![["name", "set"].map(str::to_owned).to_vec()];
    rows.extend(entries.into_iter().map(|(name, entry)| vec![name, day(entry.set_at)]));
    println!("{}", render::columns(&rows));
    Ok(())
}

pub(super) fn day(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| "–".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}
