//! Providers: who answers, over HTTP or from a script, and with which keys.

pub(crate) mod answer;
pub(crate) mod failure;
pub(crate) mod http;
mod line;
pub(crate) mod playbook;

pub(crate) use answer::{Chunk, Opened, Stream};
pub(crate) use failure::{Blame, Failure};

use crate::{
    limit::{Limits, Rate},
    wire::{Ask, Dialect, Losses, Piece},
};
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use playbook::Playbook;
use std::{fmt, path::PathBuf, time::Duration};

/// How long a provider may take to show that it is there.
const PROBE: Duration = Duration::from_secs(10);

/// A configured provider.
#[derive(Clone, Default)]
pub struct ProviderConfig {
    /// Its name, the `NAME` of `[providers.NAME]`.
    pub name: String,
    /// `openai`, `responses`, `anthropic`, `gemini` or `playbook`.
    pub dialect: String,
    /// Where it is, with the path its dialect's clients take (`…/v1` for the OpenAI dialects).
    pub base_url: Option<String>,
    /// The keys, found by the caller; calls are balanced between them.
    pub keys: Vec<String>,
    /// Its models; `*` stands for any.
    pub models: Vec<String>,
    /// Costs nothing.
    pub local: bool,
    /// How much of the traffic it takes beside others that serve the same model; 0 counts as 1.
    pub weight: u32,
    /// A playbook's script: a file …
    pub script: Option<PathBuf>,
    /// … or the script itself.
    pub script_text: Option<String>,
    /// How much it may be asked; a client that finds it used up waits, or goes elsewhere.
    pub rate: Rate,
    /// How long it is waited for.
    pub patience: Patience,
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("name", &self.name)
            .field("dialect", &self.dialect)
            .field("base_url", &self.base_url)
            .field("keys", &self.keys.len())
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

/// How long a provider is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next byte.
    pub silence: Duration,
    /// Before the first retry; doubled for each further one.
    pub backoff: Duration,
    /// The longest wait between two tries; a provider that asks for more is given up.
    pub longest_wait: Duration,
    /// Retries of one call.
    pub retries: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(180),
            backoff: Duration::from_millis(500),
            longest_wait: Duration::from_secs(20),
            retries: 3,
        }
    }
}

/// A provider that cannot be used as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such dialect.
    #[error(
        "[providers.{provider}]: `{dialect}` is no dialect; there are openai, responses, anthropic, gemini, playbook"
    )]
    Dialect {
        /// The provider.
        provider: String,
        /// What was given.
        dialect: String,
    },
    /// Something is missing.
    #[error("[providers.{provider}]: `{key}` is missing")]
    Missing {
        /// The provider.
        provider: String,
        /// The key.
        key: &'static str,
    },
    /// An address that is none.
    #[error("[providers.{provider}]: `base_url` {url} is no address such as https://api.example.com/v1")]
    Url {
        /// The provider.
        provider: String,
        /// What was given.
        url: String,
    },
    /// A key that no HTTP header can carry.
    #[error("[providers.{provider}]: the key holds characters that no header can carry; is there a line break in it?")]
    Key {
        /// The provider.
        provider: String,
    },
    /// A script that is none.
    #[error("[providers.{provider}]: the script {what}")]
    Script {
        /// The provider.
        provider: String,
        /// What is wrong with it.
        what: String,
    },
    /// A route that leads nowhere.
    #[error("[routes.{route}]: {what}")]
    Route {
        /// The route.
        route: String,
        /// What is wrong with it.
        what: String,
    },
}

/// A provider, ready to be called.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) models: Vec<String>,
    pub(crate) local: bool,
    pub(crate) weight: u32,
    pub(crate) patience: Patience,
    pub(crate) limits: Limits,
    pub(crate) way: Way,
    /// Where its keys stand among the lanes of all providers.
    pub(crate) keys: Vec<Option<String>>,
}

/// How a provider is reached.
#[derive(Debug)]
pub(crate) enum Way {
    Http { dialect: Dialect, base: String },
    Playbook(Playbook),
}

/// A call as it goes to a provider.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// Headers of the client that belong to the dialect.
    pub(crate) headers: HeaderMap,
    pub(crate) stream: bool,
}

impl Provider {
    pub(crate) fn new(config: ProviderConfig) -> Result<Self, ConfigError> {
        let keys = if config.keys.is_empty() {
            vec![None]
        } else {
            config.keys.iter().cloned().map(Some).collect()
        };
        for key in &config.keys {
            maestria_secrets::know(&config.name, key);
        }
        let way = way(&config)?;
        if let Way::Http { dialect, .. } = &way {
            for key in config.keys.iter() {
                if HeaderValue::from_str(&dialect.key_header(key).1).is_err() {
                    return Err(ConfigError::Key { provider: config.name });
                }
            }
        }
        Ok(Self {
            local: config.local || matches!(way, Way::Playbook(_)),
            name: config.name,
            models: config.models,
            weight: config.weight.max(1),
            patience: config.patience,
            limits: Limits::new(config.rate),
            way,
            keys,
        })
    }

    /// The dialect it speaks; a playbook speaks none.
    pub(crate) const fn dialect(&self) -> Option<Dialect> {
        match &self.way {
            Way::Http { dialect, .. } => Some(*dialect),
            Way::Playbook(_) => None,
        }
    }

    /// Whether it serves a model.
    pub(crate) fn serves(&self, model: &str) -> bool {
        self.models.iter().any(|m| m == model || m == "*") || (self.is_scripted() && model == "script")
    }

    /// Whether it takes any model's name.
    pub(crate) fn takes_any(&self) -> bool {
        self.models.iter().any(|m| m == "*")
    }

    /// Whether its answers come from a script.
    pub(crate) const fn is_scripted(&self) -> bool {
        matches!(self.way, Way::Playbook(_))
    }

    /// The request in its dialect, and what of it could not be carried.
    pub(crate) fn write(&self, ask: &Ask) -> (Outgoing, Losses) {
        let Way::Http { dialect, base } = &self.way else {
            let nothing = Outgoing {
                path: String::new(),
                body: Bytes::new(),
                headers: HeaderMap::new(),
                stream: ask.stream,
            };
            return (nothing, Losses::default());
        };
        let (mut body, losses) = dialect.write(ask);
        if *dialect == Dialect::OpenAi && !base.contains("openai.com") && !base.contains("azure.com") {
            // Most compatible servers know only the older name.
            if let Some(most) = body.as_object_mut().and_then(|b| b.remove("max_completion_tokens")) {
                body["max_tokens"] = most;
            }
        }
        let outgoing = Outgoing {
            path: dialect.path(&ask.model, ask.stream),
            body: body.to_string().into(),
            headers: HeaderMap::new(),
            stream: ask.stream,
        };
        (outgoing, losses)
    }

    /// Opens a call: returns when the answer has begun, or is there. Nothing of a failed call was content.
    pub(crate) async fn open(
        &self,
        client: &http::Client,
        key: Option<&str>,
        ask: Option<&Ask>,
        call: &Outgoing,
    ) -> Result<Opened, Failure> {
        match &self.way {
            Way::Http { dialect, base } => {
                let uri = format!("{base}{}", call.path);
                let headers = self.headers(*dialect, key, &call.headers);
                let response = client.post(&uri, headers, call.body.clone(), &self.patience).await;
                let response = response.map_err(|f| f.named(&self.name, key))?;
                let opened = answer::open(*dialect, response, call.stream, self.patience.silence).await;
                opened.map_err(|f| f.named(&self.name, key))
            }
            Way::Playbook(playbook) => match ask {
                Some(ask) => playbook.answer(ask).map(Opened::Pieces),
                None => Err(Failure::request(
                    "a playbook answers only questions to a model".to_owned(),
                )),
            },
        }
    }

    /// Looks whether the provider is there and takes the key, by asking for its models, which costs nothing.
    pub(crate) async fn probe(&self, client: &http::Client, key: Option<&str>) -> Result<(), Failure> {
        let Way::Http { dialect, base } = &self.way else {
            return Ok(());
        };
        let uri = match dialect {
            Dialect::OpenAi | Dialect::Responses => format!("{base}/models"),
            Dialect::Anthropic => format!("{base}/v1/models"),
            Dialect::Gemini => format!("{base}/v1beta/models"),
        };
        let patience = Patience {
            silence: PROBE.min(self.patience.silence),
            ..self.patience
        };
        let headers = self.headers(*dialect, key, &HeaderMap::new());
        let response = client.get(&uri, headers, &patience).await?;
        let status = response.status();
        // Who knows no such path is there all the same.
        if status == hyper::StatusCode::UNAUTHORIZED || status.is_server_error() {
            return Err(Failure::refused(status, response.headers(), b""));
        }
        Ok(())
    }

    fn headers(&self, dialect: Dialect, key: Option<&str>, own: &HeaderMap) -> HeaderMap {
        let mut headers = own.clone();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if let Some((name, value)) = key.map(|key| dialect.key_header(key))
            && let Ok(mut value) = HeaderValue::from_str(&value)
        {
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        if dialect == Dialect::Anthropic && !headers.contains_key("anthropic-version") {
            headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        }
        headers
    }
}

fn way(config: &ProviderConfig) -> Result<Way, ConfigError> {
    let provider = || config.name.clone();
    if config.dialect == "playbook" {
        let script = |what: String| ConfigError::Script {
            provider: provider(),
            what,
        };
        let text = match (&config.script_text, &config.script) {
            (Some(text), _) => text.clone(),
            (None, Some(path)) => {
                std::fs::read_to_string(path).map_err(|e| script(format!("{}: {e}", path.display())))?
            }
            (None, None) => {
                return Err(ConfigError::Missing {
                    provider: provider(),
                    key: "script",
                });
            }
        };
        return Playbook::parse(&config.name, &text).map(Way::Playbook).map_err(script);
    }
    let Some(dialect) = Dialect::named(&config.dialect) else {
        return Err(ConfigError::Dialect {
            provider: provider(),
            dialect: config.dialect.clone(),
        });
    };
    let base = config
        .base_url
        .as_deref()
        .unwrap_or(dialect.usual_url())
        .trim_end_matches('/');
    let uri: Option<hyper::Uri> = base.parse().ok();
    if !uri.is_some_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some()) {
        return Err(ConfigError::Url {
            provider: provider(),
            url: base.to_owned(),
        });
    }
    Ok(Way::Http {
        dialect,
        base: base.to_owned(),
    })
}

/// The pieces of an answer that was there at once.
pub(crate) type Pieces = Vec<Piece>;
