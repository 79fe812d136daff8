//! Where a worker's models are: at its own provider, or at the gateway with a key that lives no longer than the work.

use super::{
    config::{AgentConfig, Kind},
    drive::Audience,
    home::key_names,
};
use maestria_kernel::{
    Event,
    model::{CallNews, Caller},
    money::Usage,
    port::Boxed,
};
use serde_json::json;
use std::fmt;
use tokio::sync::mpsc;

/// The name of the gateway as a provider, where an agent wants one.
const PROVIDER: &str = "maestria";

/// The variable that holds Codex's key.
const CODEX_KEY: &str = "MAESTRIA_GATEWAY_KEY";

/// Gives workers access to the gateway.
pub trait Switchboard: Send + Sync + fmt::Debug {
    /// Opens an access whose calls count for the caller; `stand_in` answers where a model is asked for that nobody
    /// serves.
    fn open(&self, caller: Caller, stand_in: Option<String>) -> Boxed<'_, Result<Access, String>>;
}

/// A worker's way to its models.
#[derive(Default)]
pub struct Access {
    gateway: Option<Gateway>,
    used: Usage,
    refused: Option<String>,
}

/// The gateway, as one worker has it.
struct Gateway {
    url: String,
    key: String,
    news: mpsc::UnboundedReceiver<CallNews>,
    close: Box<dyn FnOnce() + Send + Sync>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("url", &self.gateway.as_ref().map(|g| &g.url))
            .finish_non_exhaustive()
    }
}

impl Access {
    /// By the agent's own configuration.
    pub fn own() -> Self {
        Self::default()
    }

    /// By the gateway at `url`. `close` makes the key void; the news end when its last call has ended.
    pub fn gateway(
        url: String,
        key: String,
        news: mpsc::UnboundedReceiver<CallNews>,
        close: impl FnOnce() + Send + Sync + 'static,
    ) -> Self {
        Self {
            gateway: Some(Gateway {
                url,
                key,
                news,
                close: Box::new(close),
            }),
            ..Self::default()
        }
    }

    /// Whether the gateway counts the calls.
    pub const fn is_metered(&self) -> bool {
        self.gateway.is_some()
    }

    /// The agent's configuration with the gateway's address and key in it, and no other of its vendor's keys.
    pub fn apply(&self, kind: Kind, config: &AgentConfig) -> AgentConfig {
        let mut config = config.clone();
        let Some(Gateway { url, key, .. }) = &self.gateway else {
            return config;
        };
        for name in key_names(kind) {
            config.env.remove(*name);
        }
        config.pass_env.retain(|name| !key_names(kind).contains(&name.as_str()));
        for (name, value) in environment(kind, url, key, config.model.as_deref()) {
            config.env.insert(name.to_owned(), value);
        }
        match kind {
            Kind::Codex => config.args.extend(codex(url)),
            Kind::Opencode => {
                let model = config.model.take().unwrap_or_else(|| "auto".to_owned());
                config.model = Some(format!("{PROVIDER}/{model}"));
            }
            Kind::Claude | Kind::Gemini | Kind::Qwen | Kind::Acp => {}
        }
        config
    }

    /// Does the work, and tells meanwhile what the gateway tells.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>, audience: &Audience<'_>) -> T {
        let Some(gateway) = &mut self.gateway else {
            return work.await;
        };
        let mut work = std::pin::pin!(work);
        loop {
            let news = tokio::select! {
                done = &mut work => return done,
                Some(news) = gateway.news.recv() => news,
            };
            note(&mut self.used, &mut self.refused, news, audience);
        }
    }

    /// Makes the key void. When this returns, all its calls have ended and are told; what they used, and the last
    /// refusal for want of money.
    pub async fn end(mut self, audience: &Audience<'_>) -> (Usage, Option<String>) {
        if let Some(mut gateway) = self.gateway.take() {
            (gateway.close)();
            while let Some(news) = gateway.news.recv().await {
                note(&mut self.used, &mut self.refused, news, audience);
            }
        }
        (self.used, self.refused)
    }
}

fn note(used: &mut Usage, refused: &mut Option<String>, news: CallNews, audience: &Audience<'_>) {
    let task = audience.task;
    match news {
        CallNews::Called {
            model,
            usage,
            millis,
            scripted,
            request,
        } => {
            *used += usage;
            audience.tell(Event::ModelCalled {
                task,
                model,
                usage,
                millis,
                scripted,
                request: Some(request),
            });
        }
        CallNews::Refused { because, of_run } => {
            *refused = Some(because.clone());
            audience.tell(Event::BudgetRefused { task, because, of_run });
        }
    }
}

/// The variables by which an agent finds the gateway.
fn environment(kind: Kind, url: &str, key: &str, model: Option<&str>) -> Vec<(&'static str, String)> {
    let (url, key) = (url.to_owned(), key.to_owned());
    let anthropic = [("ANTHROPIC_BASE_URL", url.clone()), ("ANTHROPIC_API_KEY", key.clone())];
    let openai = [
        ("OPENAI_BASE_URL", format!("{url}/v1")),
        ("OPENAI_API_KEY", key.clone()),
    ];
    let gemini = [("GOOGLE_GEMINI_BASE_URL", url.clone()), ("GEMINI_API_KEY", key.clone())];
    match kind {
        Kind::Claude => anthropic.to_vec(),
        Kind::Codex => vec![(CODEX_KEY, key)],
        Kind::Gemini => gemini.to_vec(),
        Kind::Qwen => openai
            .into_iter()
            .chain([("OPENAI_MODEL", model.unwrap_or("auto").to_owned())])
            .collect(),
        Kind::Opencode => vec![("OPENCODE_CONFIG_CONTENT", opencode(&url, &key, model.unwrap_or("auto")))],
        // Which of them it reads is its own affair.
        Kind::Acp => anthropic.into_iter().chain(openai).chain(gemini).collect(),
    }
}

/// Codex takes a provider by settings, without a file.
fn codex(url: &str) -> Vec<String> {
    let of = |key: &str, value: &str| format!("model_providers.{PROVIDER}.{key}={value}");
    let settings = [
        format!("model_provider={PROVIDER:?}"),
        of("name", "\"Maestria\""),
        of("base_url", &format!("{:?}", format!("{url}/v1"))),
        of("wire_api", "\"responses\""),
        of("env_key", &format!("{CODEX_KEY:?}")),
        of("supports_websockets", "false"),
    ];
    settings
        .into_iter()
        .flat_map(|setting| ["-c".to_owned(), setting])
        .collect()
}

fn opencode(url: &str, key: &str, model: &str) -> String {
    let name = format!("{PROVIDER}/{model}");
    json!({
        "model": name, "small_model": name, "autoupdate": false, "share": "disabled",
        "provider": {PROVIDER: {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Maestria",
            "options": {"baseURL": format!("{url}/v1"), "apiKey": key},
            "models": {model: {"name": model, "tool_call": true, "limit": {"context": 128_000, "output": 8_192}}},
        }},
    })
    .to_string()
}

#[cfg(test)]
mod tests;
