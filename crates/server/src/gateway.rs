//! The model gateway, wired: configuration, keys from the environment, books in the store, and one lease owner a
//! process.

mod alerts;
mod in_house;
pub mod lessons;
mod owner;
mod told;
pub mod vault;
pub(crate) mod way;

pub use in_house::InHouse;
pub use told::{RouteError, advice, budgets, models, route};

use crate::{
    app::{AppError, Options, now},
    config::Config,
    telemetry::Telemetry,
};
pub use maestria_gateway::{
    Alert, Candidate, Catalogue, Decision, Gateway, LaneStatus, Lost, Model, Policy, Price, Route, Weights, Wish,
    key::{KeyError, create as create_key},
};
use maestria_gateway::{OnAlert, Outside, ProviderConfig, Rate, Rules, Server, Service, Setup};
use maestria_kernel::ledger::{Account, Ledger};
use maestria_store::{SqliteLedger, SqliteStore};
use owner::{Owner, absorb};
use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

/// How the gateway is set up by a configuration.
///
/// # Errors
/// [`AppError::Config`] when the person's own catalogue or the vault cannot be read.
pub fn setup(config: &Config, options: &Options) -> Result<Setup, AppError> {
    let mut routes = config.gateway.routes.clone();
    if let Some(balanced) = Policy::named("balanced") {
        routes.entry("default".to_owned()).or_insert(Route::Policy(balanced));
    }
    Ok(Setup {
        providers: providers(config, options)?,
        balance: config.gateway.balance,
        catalogue: catalogue(config)?,
        routes,
        weights: lessons::kept(config)?.map_or(Weights::BUILT_IN, |kept| kept.weights),
    })
}

fn providers(config: &Config, options: &Options) -> Result<Vec<ProviderConfig>, AppError> {
    let vault = vault::keys(config)?;
    let lookup = |name: &String| std::env::var(name).ok().filter(|v| !v.is_empty());
    let configured = config.providers.iter().map(|(name, table)| {
        let written = table.key.iter().map(|key| key.reveal().to_owned());
        ProviderConfig {
            name: name.clone(),
            dialect: table.dialect.clone(),
            base_url: table.base_url.clone(),
            keys: written
                .chain(table.key_env.iter().filter_map(lookup))
                .chain(
                    table
                        .key_secret
                        .iter()
                        .filter_map(|name| Some(vault.get(name)?.reveal().to_owned())),
                )
                .collect(),
            models: table.models.clone(),
            local: table.local,
            weight: table.weight,
            rate: Rate {
                requests: table.requests_per_minute.into(),
                tokens: table.tokens_per_minute.into(),
                ..Rate::default()
            },
            script: table.script.clone(),
            ..ProviderConfig::default()
        }
    });
    let scripted = options.scripted.iter().map(|scripted| ProviderConfig {
        name: scripted.name.clone(),
        dialect: "playbook".to_owned(),
        models: vec!["script".to_owned()],
        local: true,
        script_text: Some(scripted.script.clone()),
        ..ProviderConfig::default()
    });
    Ok(configured.chain(scripted).collect())
}

/// What models cost and can do: built in, and the person's own file over it.
///
/// # Errors
/// [`AppError::Config`] when that file cannot be read.
pub fn catalogue(config: &Config) -> Result<Catalogue, AppError> {
    let Some(path) = &config.gateway.models_file else {
        return Ok(Catalogue::built_in().clone());
    };
    let wrong = |what: String| AppError::Config(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    Ok(Catalogue::built_in().under(Catalogue::read(&text).map_err(wrong)?))
}

/// A set-up in which each maker's models of the catalogue are there, to look at decisions without any provider.
pub fn sample(setup: Setup) -> Setup {
    let mut providers: std::collections::BTreeMap<&str, ProviderConfig> = std::collections::BTreeMap::new();
    for (prefix, _) in setup.catalogue.all() {
        let (maker, dialect) = match prefix.split('-').next() {
            Some("claude") => ("anthropic", "anthropic"),
            Some("gemini") => ("google", "gemini"),
            Some("deepseek") => ("deepseek", "openai"),
            _ => ("openai", "openai"),
        };
        let provider = providers.entry(maker).or_insert_with(|| ProviderConfig {
            name: maker.to_owned(),
            dialect: dialect.to_owned(),
            ..ProviderConfig::default()
        });
        provider.models.push(prefix.clone());
    }
    Setup {
        providers: providers.into_values().collect(),
        ..setup
    }
}

/// The books.
///
/// # Errors
/// [`AppError::Store`].
pub async fn books(config: &Config) -> Result<Arc<dyn Ledger>, AppError> {
    let path = config.store.clone();
    let opened = tokio::task::spawn_blocking(move || SqliteLedger::open(path)).await;
    Ok(Arc::new(opened.map_err(|e| AppError::Config(e.to_string()))??))
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Listening {
    server: Server,
    owner: Owner,
    telemetry: Option<Telemetry>,
    /// What the dead had held and is spent now.
    pub absorbed: Vec<(Account, maestria_kernel::Cost)>,
}

impl Listening {
    /// Listens at the configured address, or at this one.
    ///
    /// # Errors
    /// [`AppError`] names what is in the way.
    pub async fn open(config: &Config, listen: Option<SocketAddr>, on_alert: OnAlert) -> Result<Self, AppError> {
        let ledger = books(config).await?;
        let data = config.store.parent().unwrap_or(Path::new("."));
        let owner = Owner::lock(&data.join("locks"))?;
        let absorbed = absorb(&*ledger, &owner).await?;
        let table = &config.gateway;
        let rules = Rules {
            auth: table.auth(|| {
                let fresh = maestria_gateway::key::random().map_err(|e| AppError::Config(e.to_string()))?;
                token(&data.join("gateway.token"), fresh)
            })?,
            budget: table.budget.clone(),
            rate: table.rate,
            on_loss: table.on_loss,
            cache: table.cache.clone(),
            batch_wait: table.batch_wait,
        };
        let telemetry = observe(config, ledger.clone()).await?;
        let outside = Outside {
            ledger,
            owner: owner.name.clone(),
            on_alert,
            now: Arc::new(now),
        };
        let config_error = |e: maestria_gateway::ConfigError| AppError::Config(e.to_string());
        let service = Service::new(setup(config, &Options::default())?, rules, outside).map_err(config_error)?;
        let server = Server::bind(listen.unwrap_or(table.listen), Arc::new(service), table.bounds).await;
        Ok(Self {
            server: server.map_err(|e| AppError::Config(e.to_string()))?,
            owner,
            telemetry,
            absorbed,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.server.address()
    }

    /// Serves until `stop` is done.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.server.run(stop).await;
        self.owner.release();
        if let Some(telemetry) = self.telemetry {
            telemetry.close().await;
        }
    }
}

/// Tells a collector what the gateway does, where one is configured.
async fn observe(config: &Config, ledger: Arc<dyn Ledger>) -> Result<Option<Telemetry>, AppError> {
    if config.telemetry.endpoint.is_none() {
        return Ok(None);
    }
    let path = config.store.clone();
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(path)).await;
    let store = Arc::new(opened.map_err(|e| AppError::Config(e.to_string()))??);
    Ok(Telemetry::start(&config.telemetry, store, ledger, config.data()))
}

/// The token in a file that only its owner can read; `fresh` becomes it when it is not there.
pub(crate) fn token(path: &Path, fresh: String) -> Result<String, AppError> {
    let read = || -> std::io::Result<String> {
        match std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Ok(mut file) => {
                file.write_all(fresh.as_bytes())?;
                Ok(fresh)
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                let mut text = String::new();
                File::open(path)?.read_to_string(&mut text)?;
                Ok(text.trim().to_owned())
            }
            Err(e) => Err(e),
        }
    };
    let folder = |source| AppError::Folder {
        path: path.to_owned(),
        source,
    };
    let token = read().map_err(folder)?;
    maestria_secrets::know("token", &token);
    if token.len() < 16 {
        return Err(AppError::Config(format!(
            "{}: the token is too short; remove the file",
            path.display()
        )));
    }
    Ok(token)
}
