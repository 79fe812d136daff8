//! The product, wired: the only place that plugs rooms into each other.

use crate::{
    audit::{self, Audited},
    config::{AgentTable, Config, Workflows},
    gateway::{InHouse, LaneStatus, way},
    stream::pages::Pages,
    telemetry::Telemetry,
};
use maestria_agents::{
    cli::{AgentConfig, CliAgent, Kind, Surroundings, Transport},
    native::NativeWorker,
    planner::Planning,
    roster::{Roster, Worker},
    worktree::{Checks, Settings, Worktrees},
};
use maestria_engine::{Engine, EngineError, Ports, SystemClock};
use maestria_gateway::{Gateway, Price};
use maestria_kernel::{
    At, Cost, RunId, Tokens, Usage,
    agent::Role,
    id::AgentName,
    model::ModelRef,
    port::{Models, Store, StoreError},
    request::Request,
};
use maestria_sandbox::Limits;
use maestria_store::SqliteStore;
use std::{
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::OnceCell;

/// What keeps the product from opening.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something is configured that cannot be.
    #[error("{0}")]
    Config(String),
    /// A folder cannot be made.
    #[error("the folder {} cannot be made: {source}; name another one as `path` under `[store]`, or see to its rights", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// No plan could be made.
    #[error("{0}")]
    Plan(String),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A scripted provider added beside the configuration, for the demo.
#[derive(Debug, Clone)]
pub struct ScriptedProvider {
    /// The provider's and its agent's name.
    pub name: String,
    /// The playbook.
    pub script: String,
    /// Its agent reviews; otherwise it plans, looks and edits.
    pub reviews: bool,
}

/// How to open the product, besides its configuration.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Work on a copy of targets without git.
    pub copy_plain: bool,
    /// Scripted providers; the first plans.
    pub scripted: Vec<ScriptedProvider>,
}

/// What a person wishes, as it comes from a command line or a client.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The task.
    pub text: String,
    /// The folder to work on.
    pub target: PathBuf,
    /// Where the session goes; `None`: a folder of its own below the configured root.
    pub workspace: Option<PathBuf>,
    /// The workflow's name.
    pub workflow: String,
    /// Only these agents.
    pub agents: Vec<AgentName>,
    /// The most it may cost.
    pub budget: Option<Cost>,
    /// Who wishes.
    pub by: String,
}

/// The product, open.
#[derive(Debug)]
pub struct App {
    /// Drives runs.
    pub engine: Arc<Engine>,
    /// The configuration in force.
    pub config: Config,
    workflows: Workflows,
    agents: Vec<AgentName>,
    hidden: Vec<AgentName>,
    locks: PathBuf,
    in_house: Arc<InHouse>,
    pub(crate) audited: Arc<Audited>,
    telemetry: OnceCell<Option<Telemetry>>,
}

/// The moment it is.
pub fn now() -> At {
    use maestria_engine::Clock as _;
    SystemClock.now()
}

impl App {
    /// Opens the store and plugs everything together. Starts nothing.
    ///
    /// # Errors
    /// [`AppError`] names what is in the way and what to do.
    pub async fn open(config: Config, options: Options) -> Result<Self, AppError> {
        let workflows =
            Workflows::load(&config.workflows, &config.limits).map_err(|e| AppError::Config(e.to_string()))?;
        let data = config.data();
        make_private(&data)?;
        let path = config.store.clone();
        let opened = tokio::task::spawn_blocking(move || SqliteStore::open(path)).await;
        let store: Arc<dyn Store> = Arc::new(opened.map_err(|e| AppError::Config(e.to_string()))??);
        let audited = Arc::new(Audited::new(store, audit::trail(&config.store)));
        let store: Arc<dyn Store> = audited.clone();
        let plan = gateway(&config, &options)?;
        let in_house = Arc::new(InHouse::new(&config, &options));
        let models: Arc<dyn Models> = in_house.clone();
        let planner = planner(&config, &options, &models);
        let workers = workers(&config, &options, &plan, &in_house);
        let agents: Vec<AgentName> = workers.iter().map(|w| w.name().clone()).collect();
        let hidden: Vec<AgentName> = options
            .scripted
            .iter()
            .map(|s| AgentName::new(s.name.clone()))
            .collect();
        let settings = Settings {
            env_files: config.env_files.clone(),
            copy_plain: options.copy_plain,
            trust: Some(trust_book(&config.store)),
            checks: Checks {
                command: (!config.checks.is_empty()).then(|| config.checks.clone()),
                timeout: config.checks_timeout,
                sandbox: config.sandbox,
            },
        };
        let ports = Ports {
            store,
            planner: Arc::new(planner),
            agents: Arc::new(Roster::new(workers).hiding(hidden.clone())),
            repository: Arc::new(Worktrees::new(settings)),
            clock: Arc::new(SystemClock),
        };
        let locks = data.join("locks");
        let engine = Arc::new(Engine::new(ports, locks.clone()));
        in_house.alert_to(&engine);
        Ok(Self {
            engine,
            config,
            workflows,
            agents,
            hidden,
            locks,
            in_house,
            audited,
            telemetry: OnceCell::new(),
        })
    }

    /// Begins to tell a collector of traces what happens, where one is configured. What goes wrong with it is logged: a run is
    /// not stopped by those who look at it.
    pub async fn observe(&self) {
        let begun = self.telemetry.get_or_try_init(|| async {
            if self.config.telemetry.endpoint.is_none() {
                return Ok::<_, AppError>(None);
            }
            let ledger = crate::gateway::books(&self.config).await?;
            let data = self.config.data();
            Ok(Telemetry::start(
                &self.config.telemetry,
                self.engine.store(),
                ledger,
                data,
            ))
        });
        if let Err(error) = begun.await {
            tracing::warn!(%error, "traces cannot be told");
        }
    }

    /// How the export of traces fares in this process, where there is one.
    pub(crate) fn telemetry(&self) -> Option<&Telemetry> {
        self.telemetry.get()?.as_ref()
    }

    /// Ends what the product still has open. What is leased of budgets and not given back counts as spent.
    pub async fn close(&self) {
        self.in_house.close().await;
        if let Some(telemetry) = self.telemetry() {
            telemetry.close().await;
        }
    }

    /// How the providers' keys fare; nothing before the first call.
    pub fn lanes(&self) -> Vec<LaneStatus> {
        self.in_house.lanes()
    }

    /// The agents that a run has unless it names others: all but those of the demo.
    pub fn agents(&self) -> Vec<AgentName> {
        self.agents
            .iter()
            .filter(|name| !self.hidden.contains(name))
            .cloned()
            .collect()
    }

    /// The workflows that a run can go through.
    pub fn workflows(&self) -> Vec<maestria_kernel::workflow::Workflow> {
        self.workflows.all().cloned().collect()
    }

    /// A new run's id.
    pub fn new_run(&self) -> RunId {
        RunId::new(uuid::Uuid::now_v7())
    }

    /// Turns a wish into a request.
    ///
    /// # Errors
    /// Unknown workflows and agents, with the nearest name.
    pub fn request(&self, wish: Wish) -> Result<Request, AppError> {
        let workflow = self.workflows.get(&wish.workflow).map_err(AppError::NotFound)?.clone();
        for name in &wish.agents {
            if !self.agents.contains(name) {
                let known: Vec<String> = self.agents().iter().map(ToString::to_string).collect();
                let text = format!("there is no agent `{name}`; configured are: {}", known.join(", "));
                return Err(AppError::NotFound(text));
            }
        }
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let workspace = match &wish.workspace {
            Some(folder) => absolute(folder),
            None => self
                .config
                .workspaces
                .join(self.new_run().to_string().replacen("run_", "session-", 1)),
        };
        Ok(Request {
            text: wish.text,
            target: absolute(&wish.target).display().to_string(),
            workspace: workspace.display().to_string(),
            workflow,
            agents: wish.agents,
            budget: wish.budget.or(self.config.run_budget),
            shares: self.config.shares.clone(),
            by: wish.by,
        })
    }

    /// Whether a new run may begin: the runs of the last 24 hours have cost less than the day's budget.
    ///
    /// # Errors
    /// [`AppError::Config`] with what was spent.
    pub async fn check_day_budget(&self) -> Result<(), AppError> {
        let since = now().0 - 24 * 3_600_000;
        let mut spent = Cost::default();
        let mut pages = Pages::of(self.engine.store());
        while let Some(page) = pages.next().await? {
            let today = page.iter().take_while(|row| row.created_at.0 >= since);
            spent = spent.plus(today.map(|row| row.usage.cost).sum());
            if page.last().is_some_and(|row| row.created_at.0 < since) {
                break;
            }
        }
        self.check_spent(spent)
    }

    /// The same for somebody who knows what they have cost.
    ///
    /// # Errors
    /// [`AppError::Config`] with what was spent.
    pub(crate) fn check_spent(&self, spent: Cost) -> Result<(), AppError> {
        match self.config.day_budget {
            Some(budget) if spent >= budget => Err(AppError::Config(format!(
                "the day's budget is spent: {spent} of {budget} in the last 24 hours; raise `day` of [budget] or wait"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether another process drives a run now. A lock of our own may live on for a moment in what we have just forked, and
    /// who only enters a command drives nothing.
    pub(crate) fn is_driven_by_another(&self, run: RunId) -> bool {
        let holder = std::fs::read_to_string(self.locks.join(format!("{run}.lock"))).unwrap_or_default();
        let passes = holder.trim() == std::process::id().to_string() || holder == maestria_engine::PASSING;
        !passes && self.is_driven(run)
    }

    /// Whether some process drives a run now.
    pub fn is_driven(&self, run: RunId) -> bool {
        let file = std::fs::File::open(self.locks.join(format!("{run}.lock")));
        file.is_ok_and(|f| f.try_lock_shared().is_err())
    }
}

/// A folder only its owner can look into.
pub(crate) fn make_private(folder: &Path) -> Result<(), AppError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| AppError::Folder {
        path: folder.to_owned(),
        source,
    })
}

/// Puts a folder under git, with its files as the first commit.
///
/// # Errors
/// What git said.
pub async fn start_repository(folder: &Path) -> Result<(), String> {
    maestria_agents::worktree::start_repository(folder)
        .await
        .map_err(|e| e.to_string())
}

fn gateway(config: &Config, options: &Options) -> Result<Gateway, AppError> {
    Gateway::new(crate::gateway::setup(config, options)?).map_err(|e| AppError::Config(e.to_string()))
}

/// The models that native agents can use, the preferred first: provider, model, roles, scripted.
fn native_models(config: &Config, options: &Options) -> Vec<(ModelRef, Vec<Role>, bool)> {
    let all = [
        Role::Planner,
        Role::Analyst,
        Role::Editor,
        Role::Reviewer,
        Role::Validator,
    ];
    let scripted = options.scripted.iter().map(|s| {
        let roles = if s.reviews {
            vec![Role::Reviewer]
        } else {
            vec![Role::Planner, Role::Analyst, Role::Editor]
        };
        (
            ModelRef {
                provider: s.name.clone(),
                model: "script".to_owned(),
            },
            roles,
            true,
        )
    });
    let configured = config.providers.iter().filter_map(|(name, table)| {
        let model = table
            .models
            .first()
            .cloned()
            .or_else(|| (table.dialect == "playbook").then(|| "script".to_owned()))?;
        let roles = if table.roles.is_empty() {
            all.to_vec()
        } else {
            table.roles.clone()
        };
        Some((
            ModelRef {
                provider: name.clone(),
                model,
            },
            roles,
            table.dialect == "playbook",
        ))
    });
    scripted.chain(configured).collect()
}

fn planner(config: &Config, options: &Options, models: &Arc<dyn Models>) -> Planning {
    let plans = native_models(config, options)
        .into_iter()
        .filter(|(_, roles, _)| roles.contains(&Role::Planner));
    let candidates = plans.map(|(model, ..)| (agent_name(options, &model), model)).collect();
    Planning::new(models.clone(), candidates, price)
}

/// The name of the native agent on a model.
fn agent_name(options: &Options, model: &ModelRef) -> AgentName {
    if options.scripted.iter().any(|s| s.name == model.provider) {
        AgentName::new(model.provider.clone())
    } else {
        AgentName::new(format!("native-{}", model.provider))
    }
}

/// What so many tokens are expected to cost: three parts sent, one part received.
fn price(model: &ModelRef, tokens: Tokens) -> Cost {
    let price = Price::of(&model.model);
    let quarter = Tokens(tokens.0 / 4);
    Cost::of(Tokens(tokens.0 - quarter.0), price.input).plus(Cost::of(quarter, price.output))
}

/// What a call has cost by the catalogue, for agents that do not say.
fn call_price(model: &str, usage: &Usage) -> Cost {
    let price = Price::of(model);
    let fresh = Tokens(usage.input.0.saturating_sub(usage.cached.0));
    Cost::of(fresh, price.input)
        .plus(Cost::of(usage.cached, price.cached))
        .plus(Cost::of(usage.output, price.output))
}

fn workers(config: &Config, options: &Options, gateway: &Gateway, in_house: &Arc<InHouse>) -> Vec<Arc<dyn Worker>> {
    let native = native_models(config, options)
        .into_iter()
        .map(|(model, roles, scripted)| {
            let name = agent_name(options, &model);
            let worker = NativeWorker::new(name, model, roles, scripted, in_house.clone());
            let worker = worker.sandboxed(config.sandbox).ruled_by(Some(config.policy.clone()));
            Arc::new(worker.trusting(Some(trust_book(&config.store)))) as Arc<dyn Worker>
        });
    let around = Arc::new(Surroundings {
        pricing: Some(call_price),
        policy: Some(config.policy.clone()),
        trust: Some(trust_book(&config.store)),
        switchboard: Some(in_house.clone()),
        traced: config.telemetry.traced(),
        ..Surroundings::of_process(config.store.parent().map(|data| data.join("probes")))
    });
    let clis = config.agents.iter().map(|(name, table)| {
        let mut agent = cli_config(config, table);
        let kind = agent.kind(name);
        agent.way = way::choose(config.gateway.workers, gateway, kind, &agent, &around.env);
        Arc::new(CliAgent::new(name.clone(), agent, around.clone())) as Arc<dyn Worker>
    });
    clis.chain(native).collect()
}

/// The person's book of what they trust of repositories, beside the store.
pub fn trust_book(store: &Path) -> PathBuf {
    store.with_file_name("trust.json")
}

/// A configured coding CLI as its room takes it.
fn cli_config(config: &Config, table: &AgentTable) -> AgentConfig {
    let (program, args) = match table.command.split_first() {
        Some((program, args)) => (Some(program.clone()), args.to_vec()),
        None => (None, Vec::new()),
    };
    let one_shot = table.kind == "oneshot";
    AgentConfig {
        kind: Kind::named(&table.kind),
        command: program,
        args,
        env: table
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
            .collect(),
        model: table.model.clone(),
        allow_dirs: table.allow_dirs.clone(),
        transport: one_shot.then_some(Transport::OneShot),
        isolate_login: table.isolate_login,
        sandbox: config.sandbox,
        network: table.network.clone(),
        limits: Limits {
            memory: Some(config.worker_memory),
            cpu_percent: Some(Limits::of_machine(config.worker_cpu_percent)),
            processes: Some(config.worker_processes),
            open_files: Some(config.worker_files),
            file_size: None,
        },
        disk_bytes: config.worker_disk,
        most_seconds: config.worker_timeout.as_secs(),
        idle_seconds: table.idle_timeout.unwrap_or(config.idle_timeout).as_secs(),
        ..AgentConfig::default()
    }
}

/// The configured agents by name, each with how it is spoken with.
pub fn configured_agents(config: &Config) -> Vec<(String, String)> {
    let clis = config
        .agents
        .iter()
        .map(|(name, table)| (name.clone(), format!("{}: {}", table.kind, table.command.join(" "))));
    let native = config.providers.iter().map(|(name, table)| {
        let models = table.models.join(", ");
        (
            format!("native-{name}"),
            format!("model {name}/{models} ({})", table.dialect),
        )
    });
    clis.chain(native).collect()
}

/// Checks what only the rooms themselves can check: providers and workflows.
///
/// # Errors
/// What is wrong, a line each.
pub fn check(config: &Config) -> Result<(), String> {
    let mut wrong = Vec::new();
    wrong.extend(gateway(config, &Options::default()).err().map(|e| e.to_string()));
    wrong.extend(
        Workflows::load(&config.workflows, &config.limits)
            .err()
            .map(|e| e.to_string()),
    );
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}
