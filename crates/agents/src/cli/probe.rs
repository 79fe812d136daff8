//! Finds out whether an agent can be used: its program, version, flags and login. What is wrong is named, with a hint.

mod asking;
mod memory;

pub use memory::Probes;

use crate::cli::{
    config::{Kind, Transport, Way},
    home::{has_key, has_login},
    launch::needed,
    worker::{CliAgent, ROLES},
};
use asking::Asking;
use maestria_kernel::agent::Agent;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a program says about itself; true for as long as the file stays the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its version.
    pub version: Option<String>,
    /// Flags of the two-way protocol that it does not know.
    pub missing_two_way: Vec<String>,
    /// Flags of the one-shot form that it does not know.
    pub missing_one_shot: Vec<String>,
}

/// Why an agent cannot be used, with what to do about it.
type Unusable = String;

/// Probes an agent.
pub async fn probe(agent: &CliAgent) -> Agent {
    let found = find_out(agent).await;
    let transport = agent.transport();
    let (version, unusable) = match found {
        Ok(about) => (about.version, None),
        Err((version, why)) => (version, Some(why)),
    };
    Agent {
        name: agent.name.clone(),
        vendor: agent.kind.vendor(agent.name.as_str()),
        roles: ROLES.to_vec(),
        transport: format!("{}{}", words(agent.kind, transport), way(&agent.config.way)),
        version,
        unusable,
        scripted: false,
    }
}

/// How Maestria speaks with it, for people.
const fn words(kind: Kind, transport: Transport) -> &'static str {
    match (transport, kind) {
        (Transport::TwoWay, Kind::Claude) => "stream-json control",
        (Transport::TwoWay, Kind::Codex) => "app-server",
        (Transport::TwoWay, _) => "ACP",
        (Transport::OneShot, _) => "one-shot JSONL",
    }
}

/// How it comes by its models, for people.
fn way(way: &Way) -> String {
    match way {
        Way::Own => String::new(),
        Way::OwnBecause(because) => format!(", models not through the gateway: {because}"),
        Way::Gateway { .. } => ", models through the gateway".to_owned(),
    }
}

async fn find_out(agent: &CliAgent) -> Result<About, (Option<String>, Unusable)> {
    let program = locate(agent).map_err(|why| (None, why))?;
    let asking = Asking::new(agent, &program).map_err(|why| (None, why))?;
    let about = match agent.probes.recall(&program, &agent.config, agent.kind) {
        Some(about) => about,
        None => {
            let about = introduce(agent, &asking).await.map_err(|why| (None, why))?;
            agent.probes.remember(&program, &agent.config, agent.kind, &about);
            about
        }
    };
    let version = about.version.clone();
    choose(agent, &about).map_err(|why| (version.clone(), why))?;
    login(agent, &asking).await.map_err(|why| (version, why))?;
    Ok(about)
}

/// Finds the program as the worker's own start will: a path as it is, a name in the worker's `PATH`.
fn locate(agent: &CliAgent) -> Result<PathBuf, Unusable> {
    let program = agent.config.program(agent.name.as_str());
    let missing = |place: &str| {
        let install = match agent.kind {
            Kind::Claude => "npm install -g @anthropic-ai/claude-code",
            Kind::Codex => "npm install -g @openai/codex",
            Kind::Gemini => "npm install -g @google/gemini-cli",
            Kind::Opencode => "npm install -g opencode-ai",
            Kind::Qwen => "npm install -g @qwen-code/qwen-code",
            Kind::Acp => "install it",
        };
        format!(
            "{program} was not found {place}; {install}, or set `command` in [agents.{}]",
            agent.name
        )
    };
    if program.contains('/') {
        let path = PathBuf::from(&program);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(missing("there"))
        };
    }
    let path = agent.config.env.get("PATH").or_else(|| agent.around.env.get("PATH"));
    let folders = path
        .map(|path| path.split(':').map(PathBuf::from).collect::<Vec<_>>())
        .unwrap_or_default();
    let found = folders
        .into_iter()
        .map(|folder| folder.join(&program))
        .find(|file| is_executable(file));
    found.ok_or_else(|| missing("in PATH"))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// Asks the program for its version and its flags. An agent of no known kind is greeted over ACP instead.
async fn introduce(agent: &CliAgent, asking: &Asking<'_>) -> Result<About, Unusable> {
    if agent.kind == Kind::Acp {
        let version = asking.greet().await?;
        return Ok(About {
            version,
            ..About::default()
        });
    }
    let (version, help) = futures_util::future::join(asking.ask(&["--version"]), asking.ask(&["--help"])).await;
    let (version, help) = (version?, help?);
    if !version.succeeded() {
        return Err(format!(
            "`{} --version` failed: {}; reinstall it",
            agent.config.program(agent.name.as_str()),
            version.words()
        ));
    }
    // Some programs print their help on stderr, and some leave with 1 after it.
    let text = help.text();
    let missing = |transport| {
        let flags = needed(agent.kind, transport).iter();
        flags
            .filter(|flag| !text.contains(**flag))
            .map(|flag| (*flag).to_owned())
            .collect()
    };
    Ok(About {
        version: version.version(),
        missing_two_way: missing(Transport::TwoWay),
        missing_one_shot: missing(Transport::OneShot),
    })
}

/// Chooses the transport: two-way where the program can, else one-shot, unless the configuration says which.
fn choose(agent: &CliAgent, about: &About) -> Result<(), Unusable> {
    let broken = |flags: &[String]| {
        let version = about.version.as_deref().unwrap_or("this version");
        format!(
            "{} {version} does not know {} any more; install the version maestria was tested with",
            agent.config.program(agent.name.as_str()),
            flags.join(", ")
        )
    };
    let (two_way, one_shot) = (&about.missing_two_way, &about.missing_one_shot);
    match agent.config.transport {
        Some(Transport::TwoWay) if !two_way.is_empty() => Err(broken(two_way)),
        Some(Transport::OneShot) if !one_shot.is_empty() => Err(broken(one_shot)),
        Some(_) => Ok(()),
        None if two_way.is_empty() => {
            agent.probes.choose(Transport::TwoWay);
            Ok(())
        }
        None if one_shot.is_empty() && agent.kind != Kind::Acp => {
            tracing::warn!(agent = %agent.name, flags = %two_way.join(", "), "the two-way protocol is broken; one-shot is used");
            agent.probes.choose(Transport::OneShot);
            Ok(())
        }
        None => Err(broken(two_way)),
    }
}

/// Whether it is logged in, or has a key. Agents that cannot tell are believed if their login file is there.
async fn login(agent: &CliAgent, asking: &Asking<'_>) -> Result<(), Unusable> {
    if has_key(agent.kind, &agent.config) {
        return Ok(());
    }
    let name = &agent.name;
    let (words, how): (&[&str], &str) = match agent.kind {
        Kind::Claude => (&["auth", "status"], "run `claude` once and log in"),
        Kind::Codex => (&["login", "status"], "run `codex login`"),
        Kind::Gemini => (&[], "run `gemini` once and log in"),
        // Their providers are as various as their configurations; a run will tell.
        Kind::Opencode | Kind::Qwen | Kind::Acp => return Ok(()),
    };
    let logged_in = if words.is_empty() {
        has_login(agent.kind, &agent.config, &agent.around.env)
    } else {
        asking.ask(words).await?.succeeded()
    };
    if logged_in {
        Ok(())
    } else {
        Err(format!("not logged in; {how}, or give it a key in [agents.{name}.env]"))
    }
}
