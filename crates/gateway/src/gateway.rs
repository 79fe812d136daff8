//! The gateway: finds the provider that is meant and calls it.

use crate::{
    price::Price,
    provider::{http::Http, playbook::Playbook},
    wire::Dialect,
};
use maestria_kernel::{
    model::{ModelError, ModelReply, ModelRequest},
    port::{Boxed, Models},
};
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// A configured provider.
#[derive(Clone)]
pub struct ProviderConfig {
    /// Its name, the `NAME` of `[providers.NAME]`.
    pub name: String,
    /// `openai`, `responses`, `anthropic`, `gemini` or `playbook`.
    pub dialect: String,
    /// Where it is, with the path its dialect's clients take (`…/v1` for the OpenAI dialects).
    pub base_url: Option<String>,
    /// The key, found by the caller.
    pub key: Option<String>,
    /// Its models.
    pub models: Vec<String>,
    /// Costs nothing.
    pub local: bool,
    /// A playbook's script: a file …
    pub script: Option<PathBuf>,
    /// … or the script itself.
    pub script_text: Option<String>,
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("name", &self.name)
            .field("dialect", &self.dialect)
            .field("base_url", &self.base_url)
            .field("key", &self.key.as_ref().map(|_| "…"))
            .field("models", &self.models)
            .finish_non_exhaustive()
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
    /// A script that is none.
    #[error("[providers.{provider}]: the script {what}")]
    Script {
        /// The provider.
        provider: String,
        /// What is wrong with it.
        what: String,
    },
}

enum Provider {
    Http(Box<Http>),
    Playbook(Playbook),
}

/// All providers behind the kernel's port.
pub struct Gateway {
    providers: BTreeMap<String, Provider>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.providers.keys()).finish()
    }
}

impl Gateway {
    /// A gateway to these providers. Nothing is called yet.
    ///
    /// # Errors
    /// [`ConfigError`] for the first provider that cannot be used as it is configured.
    pub fn new(configs: Vec<ProviderConfig>) -> Result<Self, ConfigError> {
        let providers = configs
            .into_iter()
            .map(|config| Ok((config.name.clone(), build(config)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { providers })
    }
}

fn build(config: ProviderConfig) -> Result<Provider, ConfigError> {
    let missing = |key| ConfigError::Missing {
        provider: config.name.clone(),
        key,
    };
    if config.dialect == "playbook" {
        let text = match (&config.script_text, &config.script) {
            (Some(text), _) => text.clone(),
            (None, Some(path)) => std::fs::read_to_string(path).map_err(|e| ConfigError::Script {
                provider: config.name.clone(),
                what: format!("{}: {e}", path.display()),
            })?,
            (None, None) => return Err(missing("script")),
        };
        let script = Playbook::parse(&config.name, &text);
        return script.map(Provider::Playbook).map_err(|what| ConfigError::Script {
            provider: config.name,
            what,
        });
    }
    let Some(dialect) = Dialect::named(&config.dialect) else {
        return Err(ConfigError::Dialect {
            provider: config.name,
            dialect: config.dialect,
        });
    };
    let base = config
        .base_url
        .clone()
        .or_else(|| dialect.usual_url().map(str::to_owned))
        .ok_or_else(|| missing("base_url"))?;
    Ok(Provider::Http(Box::new(Http::new(
        config.name,
        dialect,
        &base,
        config.key,
        config.local,
    ))))
}

impl Models for Gateway {
    fn call<'a>(
        &'a self,
        request: ModelRequest,
        on_text: &'a (dyn Fn(&str) + Send + Sync),
    ) -> Boxed<'a, Result<ModelReply, ModelError>> {
        Box::pin(async move {
            match self.providers.get(&request.model.provider) {
                Some(Provider::Playbook(playbook)) => playbook.answer(&request, on_text),
                Some(Provider::Http(http)) => {
                    let price = if http.is_local() {
                        Price::FREE
                    } else {
                        Price::of(&request.model.model)
                    };
                    let mut reply = http.call(&request, on_text).await?;
                    reply.usage = price.charge(reply.usage);
                    Ok(reply)
                }
                None => {
                    let names: Vec<&str> = self.providers.keys().map(String::as_str).collect();
                    let detail = format!(
                        "no provider `{}` is configured; configured are: {}",
                        request.model.provider,
                        names.join(", ")
                    );
                    Err(ModelError::Unknown { detail })
                }
            }
        })
    }
}
