//! Which places and hosts a worker needs, as a profile of the sandbox: its worktree, its home, the tools on its `PATH`, its
//! models, and nothing else.

use crate::cli::Kind;
use maestria_sandbox::{Demand, Endpoint, Network, Profile, Walls};
use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// What belongs to the system, and is readable for every worker anyway.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/etc", "/opt"];
/// What of cargo's home may be read: tools and sources, not the tokens of registries.
const CARGO: [&str; 4] = ["bin", "registry", "git", "config.toml"];

/// What a worker stands on.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    /// Its program, as configured.
    pub(crate) program: &'a Path,
    /// Its worktree or checkout.
    pub(crate) worktree: &'a Path,
    /// It may change nothing there.
    pub(crate) read_only: bool,
    /// Further folders that it may change.
    pub(crate) write: Vec<PathBuf>,
    /// Its whole environment.
    pub(crate) env: &'a [(OsString, OsString)],
    /// What of it all it is not to see.
    pub(crate) hidden: &'a [PathBuf],
    /// Whom it may talk to.
    pub(crate) network: Network,
}

impl Ground<'_> {
    /// The walls around it, if they are asked for.
    pub(crate) fn walls(&self, demand: Demand) -> Option<Walls> {
        let mut profile = if self.read_only {
            Profile::review([self.worktree.to_owned()])
        } else {
            Profile::worker([self.worktree.to_owned()])
        };
        profile
            .write
            .extend(self.write.iter().filter(|folder| folder.is_dir()).cloned());
        profile.read.extend(self.tools());
        profile.read.extend(repository(self.worktree));
        profile.hidden = self.hidden.to_vec();
        profile.network = self.network.clone();
        demand.walls(profile)
    }

    /// Programs, their libraries and what they were installed with, wherever a person keeps them.
    fn tools(&self) -> Vec<PathBuf> {
        let path = self.variable("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path)
            .filter(|folder| folder.is_absolute())
            .collect();
        let program = if self.program.components().count() > 1 {
            Some(self.program.to_owned())
        } else {
            folders
                .iter()
                .map(|folder| folder.join(self.program))
                .find(|file| file.is_file())
        };
        let installed = program
            .and_then(|program| program.canonicalize().ok())
            .map(|real| installation(&real));
        let beside = folders.iter().filter_map(|folder| Some(folder.parent()?.join("lib")));
        let cargo = self.variable("CARGO_HOME").map(PathBuf::from);
        let cargo = cargo.iter().flat_map(|home| CARGO.map(|name| home.join(name)));
        let rustup = self.variable("RUSTUP_HOME").map(PathBuf::from);
        let named = folders
            .iter()
            .cloned()
            .chain(beside)
            .chain(cargo)
            .chain(rustup)
            .chain(installed);
        let of_person = |place: &PathBuf| !SYSTEM.iter().any(|root| place.starts_with(root)) && place.exists();
        let wide = |place: &PathBuf| place.parent().is_none() || Path::new("/tmp") == place;
        named
            .filter(|place| of_person(place) && !wide(place))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.env.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str())
    }
}

/// The folder that a program came in: the whole of a package with its dependencies, else the program's own.
fn installation(program: &Path) -> PathBuf {
    let modules = program
        .ancestors()
        .filter(|place| place.file_name() == Some(OsStr::new("node_modules")))
        .last();
    modules.or(program.parent()).unwrap_or(program).to_owned()
}

/// The repository that a worktree belongs to, which git reads and a worker leaves alone.
fn repository(worktree: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(worktree.join(".git")).ok()?;
    let folder = worktree.join(text.strip_prefix("gitdir:")?.trim());
    let common = std::fs::read_to_string(folder.join("commondir")).ok()?;
    folder.join(common.trim()).canonicalize().ok()
}

/// Whom a coding CLI talks to: the addresses in its environment and configured arguments, its vendor where it has none, and
/// what is configured.
pub(crate) fn network(kind: Kind, env: &[(OsString, OsString)], args: &[String], configured: &[String]) -> Network {
    let values = env.iter().filter_map(|(_, value)| value.to_str());
    let texts = values.chain(args.iter().map(String::as_str));
    let mut endpoints: Vec<Endpoint> = texts.flat_map(addresses).collect();
    if endpoints.is_empty() {
        endpoints.extend(vendor(kind).iter().filter_map(|host| host.parse().ok()));
    }
    for text in configured {
        match text.parse() {
            Ok(endpoint) => endpoints.push(endpoint),
            // Less network than was meant, and a worker that says so, rather than more.
            Err(error) => tracing::warn!(%error, "a host that a worker may reach cannot be read"),
        }
    }
    let mut seen = BTreeSet::new();
    endpoints.retain(|endpoint| seen.insert(endpoint.to_string()));
    Network::List { endpoints }
}

/// The hosts of the web addresses in a text.
fn addresses(text: &str) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for (scheme, port) in [("https://", 443), ("http://", 80)] {
        for (at, _) in text.match_indices(scheme) {
            let rest = &text[at + scheme.len()..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".-_:[]".contains(c)));
            let authority = &rest[..end.unwrap_or(rest.len())];
            let parsed: Option<Endpoint> = authority.parse().ok();
            found.extend(parsed.map(|endpoint| {
                let said = authority
                    .rsplit(':')
                    .next()
                    .is_some_and(|last| last != authority && last.bytes().all(|byte| byte.is_ascii_digit()));
                if said { endpoint } else { Endpoint { port, ..endpoint } }
            }));
        }
    }
    found
}

/// Where a CLI finds its models and its login, when nothing else is configured.
const fn vendor(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Claude => &[
            "api.anthropic.com",
            "console.anthropic.com",
            "platform.claude.com",
            "claude.ai",
        ],
        Kind::Codex => &["api.openai.com", "chatgpt.com", "auth.openai.com"],
        Kind::Gemini => &[
            "generativelanguage.googleapis.com",
            "cloudcode-pa.googleapis.com",
            "aiplatform.googleapis.com",
            "oauth2.googleapis.com",
        ],
        Kind::Qwen => &["dashscope.aliyuncs.com", "chat.qwen.ai", "portal.qwen.ai"],
        Kind::Opencode | Kind::Acp => &[
            "api.anthropic.com",
            "api.openai.com",
            "generativelanguage.googleapis.com",
            "opencode.ai",
            "models.dev",
        ],
    }
}

#[cfg(test)]
mod tests;
