//! Verbs that are about this machine: with a server named, they say so instead of doing something else than was meant.

use super::{Context, Failure, budget::Budget, models::Models};
use crate::args::{Agents, Config, Policy, Verb};

/// Refuses what a server cannot be asked for.
pub(super) fn check(context: &Context, verb: &Verb) -> Result<(), Failure> {
    let Some(server) = context.reach.server(&context.sources) else {
        return Ok(());
    };
    match why_here(verb) {
        Some((name, why)) => Err(Failure::user(
            format!("`maestria {name}` is not asked of a server ({server}): {why}"),
            context.reach.how_to_stay(),
        )),
        None => Ok(()),
    }
}

/// The name of a verb that only this machine does, and why.
fn why_here(verb: &Verb) -> Option<(&'static str, &'static str)> {
    Some(match verb {
        Verb::Demo(_) => (
            "demo",
            "it makes a sample repository and drives a run, both on this machine",
        ),
        Verb::Serve(_) => ("serve", "it starts a server on this machine"),
        Verb::Open => ("open", "only the server's machine can make a link that signs in"),
        Verb::Token { .. } => (
            "token",
            "credentials are made on the machine of the server that takes them",
        ),
        Verb::Gateway(_) => ("gateway", "it starts a gateway on this machine"),
        Verb::Keys { .. } => ("keys", "they are those of this machine's gateway"),
        Verb::Secrets { .. } => (
            "secrets",
            "the vault is a file of this machine, and its contents never travel",
        ),
        Verb::Sandbox { .. } => (
            "sandbox",
            "it runs programs on this machine; `maestria doctor` asks the server",
        ),
        Verb::Agents {
            verb: Some(Agents::Replay { .. }),
        } => (
            "agents replay",
            "it reads a file of this machine, and needs no server for it",
        ),
        Verb::Budget {
            verb: Some(Budget::Set { .. }),
        } => ("budget set", "it writes the configuration file of this machine"),
        Verb::Models {
            verb: Some(Models::Prices),
        } => (
            "models prices",
            "it is the catalogue of this program; `maestria models` asks the server",
        ),
        Verb::Models {
            verb: Some(Models::Train(_)),
        } => ("models train", "it learns from the runs of this machine"),
        Verb::Config {
            verb: Config::Init { .. },
        } => ("config init", "it writes the configuration file of this machine"),
        Verb::Config { verb: Config::Check } => (
            "config check",
            "it reads the configuration file of this machine; a server has checked its own when it began",
        ),
        Verb::Policy {
            verb: Policy::Check { .. },
        } => (
            "policy check",
            "it reads a file of this machine, and needs no server for it",
        ),
        Verb::Trust { .. } => (
            "trust",
            "it reads a repository of this machine, and writes down what you trust here",
        ),
        // One by one, so that a new verb has to say where it belongs.
        Verb::Run(_)
        | Verb::Runs(_)
        | Verb::Show(_)
        | Verb::Events { .. }
        | Verb::Tail { .. }
        | Verb::Diff { .. }
        | Verb::Apply(_)
        | Verb::Discard(_)
        | Verb::Pause(_)
        | Verb::Resume(_)
        | Verb::Abort { .. }
        | Verb::Retry(_)
        | Verb::Rerun { .. }
        | Verb::Tell { .. }
        | Verb::Review(_)
        | Verb::Decisions { .. }
        | Verb::Violations(_)
        | Verb::Agents { .. }
        | Verb::Route(_)
        | Verb::Models { .. }
        | Verb::Usage(_)
        | Verb::Budget { .. }
        | Verb::Doctor(_)
        | Verb::Config { .. }
        | Verb::Policy { .. }
        | Verb::Audit { .. }
        | Verb::Completions { .. } => return None,
    })
}
