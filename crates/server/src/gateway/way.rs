//! How each coding CLI comes by its models: through the gateway, or as it is configured itself.

use crate::config::Workers;
use maestria_agents::cli::{
    AgentConfig, Kind, Way,
    home::{has_key, has_login},
};
use maestria_gateway::Gateway;
use std::collections::BTreeMap;

/// Variables by which a CLI is told where its models are.
const ADDRESSES: &[&str] = &[
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "OPENAI_BASE_URL",
    "OPENCODE_CONFIG_CONTENT",
];

/// Settings that do the same for Codex.
const SETTINGS: &[&str] = &["model_provider", "openai_base_url"];

/// Decides the way of an agent; `caller` is the environment in which logins are looked for.
pub(crate) fn choose(
    workers: Workers,
    gateway: &Gateway,
    kind: Kind,
    config: &AgentConfig,
    caller: &BTreeMap<String, String>,
) -> Way {
    let own = |because: &str| Way::OwnBecause(because.to_owned());
    match workers {
        Workers::Never => own("`workers` of [gateway] is \"never\""),
        Workers::Always => Way::Gateway {
            stand_in: served(gateway, kind, config).unwrap_or_else(|| Some("auto".to_owned())),
        },
        Workers::Auto => {
            let Some(stand_in) = served(gateway, kind, config) else {
                // Without any provider there is nothing to tell.
                return if gateway.find(|_| true).is_none() && !gateway.takes_any(DIALECTS) {
                    Way::Own
                } else {
                    own("no configured provider serves its models")
                };
            };
            if names_an_address(config) {
                own("its own settings say where its models are")
            } else if has_key(kind, config) {
                own("it has a key of its own")
            } else if has_login(kind, config, caller) {
                own("it has a login of its own")
            } else {
                Way::Gateway { stand_in }
            }
        }
    }
}

const DIALECTS: &[&str] = &["anthropic", "gemini", "openai", "responses"];

fn names_an_address(config: &AgentConfig) -> bool {
    let names = config.env.keys().chain(&config.pass_env);
    names.into_iter().any(|name| ADDRESSES.contains(&name.as_str()))
        || config.args.iter().any(|arg| SETTINGS.iter().any(|s| arg.contains(s)))
}

/// Whether some provider serves an agent's models, and which of them stands in where it asks for one that nobody
/// serves.
fn served(gateway: &Gateway, kind: Kind, config: &AgentConfig) -> Option<Option<String>> {
    if let Some(model) = config.model.as_ref().filter(|model| gateway.knows(model)) {
        return Some(Some(model.clone()));
    }
    let (prefixes, dialects): (&[&str], &[&str]) = match kind {
        Kind::Claude => (&["claude"], &["anthropic"]),
        Kind::Codex => (&["gpt", "codex", "o1", "o3", "o4"], &["openai", "responses"]),
        Kind::Gemini => (&["gemini"], &["gemini"]),
        Kind::Qwen => (&["qwen"], &[]),
        // It asks for what it is told.
        Kind::Opencode => (&[""], &[]),
        // Nobody knows which models it asks for.
        Kind::Acp => (&[], &[]),
    };
    let listed = gateway.find(|model| prefixes.iter().any(|prefix| model.starts_with(prefix)));
    listed.map(Some).or_else(|| gateway.takes_any(dialects).then_some(None))
}

#[cfg(test)]
mod tests;
