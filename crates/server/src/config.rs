//! Configuration: defaults < file < environment (`MAESTRIA_…`) < flags. Every value knows where it comes from, unknown
//! keys are errors that name the nearest one, and secrets are never shown.

mod edit;
mod gateway;
mod layers;
mod schema;
mod sources;
mod telemetry;
mod value;
mod workflows;

pub use edit::{EditError, set};
pub use gateway::{GatewayTable, Workers};
pub use maestria_secrets::Secret;
pub use sources::Sources;
pub use telemetry::TelemetryTable;
pub use workflows::Workflows;

use layers::Layers;
use maestria_api::meta::{Setting, Settings};
use maestria_kernel::{
    Cost,
    agent::{Role, Vendor},
    plan::shares::Band,
    violation,
    workflow::Limits,
};
use maestria_sandbox::Demand;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// All that is wrong with a configuration, each with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// `[agents.NAME]`: a coding CLI or another program that works.
#[derive(Debug, Clone)]
pub struct AgentTable {
    /// How Maestria speaks with it: `claude`, `codex`, `gemini`, `opencode`, `qwen`, `acp`, `oneshot`.
    pub kind: String,
    /// Program and leading arguments.
    pub command: Vec<String>,
    /// Environment that it gets besides the cleared one.
    pub env: BTreeMap<String, Secret>,
    /// The model it is told to use.
    pub model: Option<String>,
    /// The roles it takes; empty: all.
    pub roles: Vec<Role>,
    /// Folders it may use besides its worktree.
    pub allow_dirs: Vec<PathBuf>,
    /// How long it may be silent.
    pub idle_timeout: Option<Duration>,
    /// Do not lend it the person's own login.
    pub isolate_login: bool,
    /// Hosts it may reach besides its models.
    pub network: Vec<String>,
}

/// `[providers.NAME]`: models for the native agents.
#[derive(Debug, Clone)]
pub struct ProviderTable {
    /// `openai`, `responses`, `anthropic`, `gemini` or `playbook`.
    pub dialect: String,
    /// Where it is.
    pub base_url: Option<String>,
    /// The key itself.
    pub key: Option<Secret>,
    /// The environment variables that hold keys; calls are balanced between them.
    pub key_env: Vec<String>,
    /// The secrets of the vault that are keys; calls are balanced between them.
    pub key_secret: Vec<String>,
    /// Its models, the preferred first.
    pub models: Vec<String>,
    /// Costs nothing.
    pub local: bool,
    /// The script of a `playbook`.
    pub script: Option<PathBuf>,
    /// The roles that native agents on it take; empty: all.
    pub roles: Vec<Role>,
    /// How much of the traffic it takes beside others that serve the same model.
    pub weight: u32,
    /// The most requests a minute; 0: any.
    pub requests_per_minute: u32,
    /// The most tokens a minute; 0: any.
    pub tokens_per_minute: u32,
}

/// The configuration in force.
#[derive(Debug, Clone)]
pub struct Config {
    /// Coding CLIs by name.
    pub agents: BTreeMap<String, AgentTable>,
    /// Model providers by name.
    pub providers: BTreeMap<String, ProviderTable>,
    /// The model gateway.
    pub gateway: GatewayTable,
    /// The most that all runs of 24 hours may cost before no new one begins.
    pub day_budget: Option<Cost>,
    /// The most a run may cost, unless it says otherwise.
    pub run_budget: Option<Cost>,
    /// Limits of runs.
    pub limits: Limits,
    /// Shares the vendors should have.
    pub shares: Vec<Band>,
    /// The database.
    pub store: PathBuf,
    /// Where sessions go.
    pub workspaces: PathBuf,
    /// The command that checks a project; empty: look for one.
    pub checks: Vec<String>,
    /// The longest that checks may take.
    pub checks_timeout: Duration,
    /// The person's policy file, which need not be there.
    pub policy: PathBuf,
    /// Whether workers, their commands and the project's checks are walled in.
    pub sandbox: Demand,
    /// Limits of a worker: memory in bytes.
    pub worker_memory: u64,
    /// Limits of a worker: CPU in percent of the whole machine.
    pub worker_cpu_percent: u32,
    /// Limits of a worker: processes.
    pub worker_processes: u64,
    /// Limits of a worker: open files.
    pub worker_files: u64,
    /// What an attempt may add to the disk, bytes; 0: no limit.
    pub worker_disk: u64,
    /// How long an attempt may take.
    pub worker_timeout: Duration,
    /// How long a worker may be silent.
    pub idle_timeout: Duration,
    /// Ignored files that tasks need.
    pub env_files: Vec<String>,
    /// Folder of the person's own workflows.
    pub workflows: PathBuf,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Runs that one server drives at once; more wait.
    pub runs_at_once: usize,
    /// The most requests a second that a key or a credential may send; 0: any. The token is not held to it.
    pub requests_per_second: u32,
    /// The server's certificate.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// Names that the server goes by besides those of this machine.
    pub hosts: Vec<String>,
    /// Origins of other pages that may use the API.
    pub cors: Vec<String>,
    /// The public key (Ed25519, PEM) of somebody else who issues credentials.
    pub jwt_key: Option<PathBuf>,
    /// Who that is, as it stands in `iss`.
    pub jwt_issuer: Option<String>,
    /// Whom such credentials are for, as it stands in `aud`.
    pub jwt_audience: String,
    /// Where traces go.
    pub telemetry: TelemetryTable,
    layers: Layers,
}

impl Config {
    /// What `config init` writes.
    pub const STARTER: &'static str = include_str!("config/starter.toml");

    /// Reads all layers.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong, each with file and line.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut layers = Layers::read(sources)?;
        let mut wrong = Vec::new();
        let config = Self::resolve(&mut layers, sources, &mut wrong);
        if wrong.is_empty() {
            Ok(Self { layers, ..config })
        } else {
            Err(ConfigError(wrong))
        }
    }

    fn resolve(layers: &mut Layers, sources: &Sources, wrong: &mut Vec<String>) -> Self {
        let data = sources.data();
        let mut get = value::Reader { layers, wrong };
        let limits = Limits {
            parallel: get.number("limits.parallel"),
            retries: get.number("limits.retries"),
            rework_rounds: get.number("limits.rework_rounds"),
            confidence_percent: get.percent("limits.confidence_percent"),
            review_after_secs: get.duration("limits.review_after").as_secs(),
            backoff_millis: u64::try_from(get.duration("limits.backoff").as_millis()).unwrap_or(u64::MAX),
            violations: get.number("limits.violations"),
            violations_of: violation::Kind::ALL
                .into_iter()
                .filter_map(|kind| Some((kind, get.optional_count(&format!("limits.violations_of.{kind}"))?)))
                .collect(),
            approval_expires_secs: get.duration("limits.approval_expires").as_secs(),
            decision_expires_secs: get.duration("limits.decision_expires").as_secs(),
        };
        let vendors = [
            ("gemini", Vendor::Gemini),
            ("claude", Vendor::Claude),
            ("codex", Vendor::Codex),
        ];
        let shares = vendors
            .into_iter()
            .filter_map(|(name, vendor)| {
                let (least, most) = get.band(&format!("shares.{name}"))?;
                Some(Band { vendor, least, most })
            })
            .collect();
        let agents: Vec<String> = get.layers.names("agents");
        let providers: Vec<String> = get.layers.names("providers");
        Self {
            agents: agents
                .into_iter()
                .filter_map(|name| Some((name.clone(), get.agent(&name)?)))
                .collect(),
            providers: providers
                .into_iter()
                .map(|name| (name.clone(), get.provider(&name)))
                .collect(),
            gateway: GatewayTable::resolve(&mut get),
            day_budget: get.money("budget.day"),
            run_budget: get.money("budget.run"),
            limits,
            shares,
            store: get.path("store.path").unwrap_or_else(|| data.join("maestria.db")),
            workspaces: get.path("workspace.root").unwrap_or_else(|| data.join("workspaces")),
            checks: get.words("checks.command"),
            checks_timeout: get.duration("checks.timeout"),
            sandbox: match get.one_of("sandbox.mode", &Demand::ALL.map(Demand::word)).as_str() {
                "off" => Demand::Off,
                "degraded" => Demand::Degraded,
                _ => Demand::Required,
            },
            worker_memory: get.bytes("workers.memory"),
            worker_cpu_percent: get.percent("workers.cpu_percent"),
            worker_processes: get.number("workers.processes"),
            worker_files: get.number("workers.files"),
            worker_disk: get.bytes("workers.disk"),
            worker_timeout: get.duration("workers.timeout"),
            idle_timeout: get.duration("workers.idle_timeout"),
            env_files: get.words("target.env_files"),
            workflows: sources.path().with_file_name("workflows"),
            policy: sources.policy(),
            listen: get.address("server.listen"),
            runs_at_once: get.number("server.runs_at_once"),
            requests_per_second: get.number("server.requests_per_second"),
            tls_cert: get.path("server.tls_cert"),
            tls_key: get.path("server.tls_key"),
            hosts: get.words("server.hosts"),
            cors: get.origins("server.cors"),
            jwt_key: get.path("server.jwt_key"),
            jwt_issuer: get.text("server.jwt_issuer"),
            jwt_audience: get.text("server.jwt_audience").unwrap_or_default(),
            telemetry: TelemetryTable::resolve(&mut get),
            layers: Layers::default(),
        }
    }

    /// The folder of the database and of all that lies beside it.
    pub fn data(&self) -> PathBuf {
        self.store.parent().unwrap_or(std::path::Path::new(".")).to_owned()
    }

    /// The values in force, each with its key and its origin; as TOML, secrets masked.
    pub fn effective(&self) -> Vec<(String, String, String)> {
        let shown = |key: &str, value: &toml::Value| match schema::is_secret(key) {
            true => "\"…\"".to_owned(),
            false => value.to_string(),
        };
        let values = self.layers.effective().into_iter();
        values
            .map(|(key, value, origin)| (key.clone(), shown(&key, &value), origin))
            .collect()
    }

    /// The values in force, as the API shows them; `path` is the file they are read from.
    pub fn settings(&self, path: &Path) -> Settings {
        let items = self.effective().into_iter();
        Settings {
            path: path.display().to_string(),
            items: items
                .map(|(key, value, origin)| Setting { key, value, origin })
                .collect(),
            next: None,
        }
    }
}

#[cfg(test)]
mod tests;
