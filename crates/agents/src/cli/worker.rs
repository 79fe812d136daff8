//! A configured coding CLI as a [`Worker`]: prepares its home, drives its processes, repairs, judges, commits, reports.

mod attempt;
mod reviewing;

use crate::{
    binding,
    cli::{
        access::{Access, Switchboard},
        config::{AgentConfig, Kind, Transport, Way},
        drive::Times,
        launch::{Grants, launch},
        probe::{self, Probes},
        reader::Dialect,
        slot::Slots,
        talk::Turn,
    },
    roster::Worker,
    trust::Sight,
    walls::{Ground, network},
};
use maestria_kernel::{
    Cost, TaskId,
    agent::{Agent, Role},
    id::{AgentName, SessionId},
    model::Caller,
    money::Usage,
    outcome::Outcome,
    port::{Boxed, Control, Observer, ReviewJob, TaskJob},
    review::Opinion,
    time::At,
    trace,
};
use maestria_sandbox::Spec;
use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What a call of a model, by its name, with so many tokens costs.
pub type CallPricing = fn(&str, &Usage) -> Cost;

/// What surrounds Maestria: the caller's environment, of which workers get a few variables, and a folder for what was
/// found out about agents.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The caller's environment.
    pub env: BTreeMap<String, String>,
    /// Where probes are remembered between two runs; `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// What a call costs where the agent does not say; `None`: nothing is assumed.
    pub pricing: Option<CallPricing>,
    /// The person's policy file, which need not be there.
    pub policy: Option<PathBuf>,
    /// The person's book of what they trust of repositories ([`crate::trust`]), which need not be there.
    pub trust: Option<PathBuf>,
    /// Who gives workers their keys for the gateway.
    pub switchboard: Option<Arc<dyn Switchboard>>,
    /// So many runs of a hundred are traced; `None`: none, and workers are told of no trace.
    pub traced: Option<u8>,
}

impl Surroundings {
    /// Those of this process. Variables that are not UTF-8 are left out.
    pub fn of_process(cache: Option<PathBuf>) -> Self {
        let pairs =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self {
            env: pairs.collect(),
            cache,
            pricing: None,
            policy: None,
            trust: None,
            switchboard: None,
            traced: None,
        }
    }

    /// The variable that tells a worker where in which trace it is, if runs are traced.
    pub(super) fn trace(&self, place: impl FnOnce(u8) -> trace::Place) -> Option<(OsString, OsString)> {
        let percent = self.traced?;
        Some(("TRACEPARENT".into(), place(percent).to_string().into()))
    }

    /// The person's home.
    pub fn home(&self) -> Option<PathBuf> {
        self.env.get("HOME").map(PathBuf::from)
    }
}

/// A coding CLI.
#[derive(Debug)]
pub struct CliAgent {
    pub(super) name: AgentName,
    pub(super) kind: Kind,
    pub(super) config: AgentConfig,
    pub(super) around: Arc<Surroundings>,
    pub(super) probes: Probes,
    slots: Slots,
    /// What each session has used so far, for dialects that count over a whole session.
    counted: Mutex<HashMap<SessionId, Usage>>,
}

impl CliAgent {
    /// The agent configured as `name`.
    pub fn new(name: impl Into<String>, config: AgentConfig, around: Arc<Surroundings>) -> Self {
        let name = name.into();
        Self {
            kind: config.kind(&name),
            probes: Probes::new(around.cache.clone()),
            name: AgentName::new(name),
            config,
            around,
            slots: Slots::default(),
            counted: Mutex::default(),
        }
    }

    /// What it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How it is spoken with: as configured, else as the last probe found, else two-way.
    pub(super) fn transport(&self) -> Transport {
        self.config
            .transport
            .or_else(|| self.probes.transport())
            .unwrap_or(Transport::TwoWay)
    }

    fn times(&self) -> Times {
        Times {
            idle: Duration::from_secs(self.config.idle_seconds),
            most: Duration::from_secs(self.config.most_seconds),
            linger: Duration::from_secs(self.config.linger_seconds),
            grace: Duration::from_secs(self.config.grace_seconds),
        }
    }

    /// What it writes over its transport.
    fn dialect(&self) -> Dialect {
        match (self.transport(), self.kind) {
            (Transport::TwoWay, Kind::Claude) => Dialect::Claude,
            (Transport::TwoWay, Kind::Codex) => Dialect::CodexAppServer,
            (Transport::TwoWay, _) => Dialect::Acp,
            (Transport::OneShot, kind) => Dialect::usual(kind),
        }
    }

    /// Opens the way to its models; where that leads through the gateway, with a key that ends with the access.
    async fn access(&self, caller: Caller) -> Result<Access, String> {
        let Way::Gateway { stand_in } = &self.config.way else {
            return Ok(Access::own());
        };
        let Some(switchboard) = &self.around.switchboard else {
            return Err("there is no gateway to give it a key".to_owned());
        };
        switchboard.open(caller, stand_in.clone()).await
    }

    /// The process for a turn; its prompt for stdin, if it goes there.
    fn spec(
        &self,
        config: &AgentConfig,
        turn: &Turn,
        grants: &Grants,
        sight: &Sight,
        home: &Path,
        marker: String,
    ) -> (Spec, Option<String>) {
        let transport = self.transport();
        let launched = launch(self.kind, transport, config, turn, grants);
        let mut spec = Spec::new(self.config.program(self.name.as_str()), &turn.cwd);
        spec.name = self.name.to_string();
        spec.args = launched.args;
        spec.env = super::home::environment(self.kind, transport, grants.vouched, config, home, &self.around.env);
        spec.limits = self.config.limits.clone();
        spec.marker = Some(marker);
        let ground = Ground {
            program: &spec.program,
            worktree: &turn.cwd,
            read_only: turn.read_only,
            write: std::iter::once(home.to_owned())
                .chain(grants.dirs.iter().cloned())
                .collect(),
            env: &spec.env,
            hidden: &sight.hidden,
            // Not the arguments of the turn: its prompt is among them, and a prompt grants nothing.
            network: network(self.kind, &spec.env, &config.args, &config.network),
        };
        spec.walls = ground.walls(self.config.sandbox);
        (spec, launched.stdin)
    }

    /// The fingerprint of its environment as configured, which a restart of the gateway does not change.
    fn environment(&self, vouched: bool, home: &Path) -> String {
        let config = &self.config;
        let env = super::home::environment(self.kind, self.transport(), vouched, config, home, &self.around.env);
        binding::of_environment(&env)
    }

    fn counted(&self, session: Option<&SessionId>) -> Usage {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        session
            .and_then(|session| counted.get(session))
            .copied()
            .unwrap_or_default()
    }

    fn count(&self, session: Option<&SessionId>, used: Usage) {
        if let Some(session) = session {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            *counted.entry(session.clone()).or_default() += used;
        }
    }
}

/// The moment. Workers are outside the kernel: they may know the clock.
fn now() -> At {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    At(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The roles of a coding CLI.
pub(super) const ROLES: [Role; 4] = [Role::Editor, Role::Analyst, Role::Reviewer, Role::Validator];

impl Worker for CliAgent {
    fn name(&self) -> &AgentName {
        &self.name
    }

    fn probe(&self) -> Boxed<'_, Agent> {
        Box::pin(probe::probe(self))
    }

    fn perform<'a>(&'a self, job: TaskJob, observer: &'a dyn Observer) -> Boxed<'a, Outcome> {
        Box::pin(attempt::perform(self, job, observer))
    }

    fn review<'a>(&'a self, job: ReviewJob, observer: &'a dyn Observer) -> Boxed<'a, Opinion> {
        Box::pin(reviewing::review(self, job, observer))
    }

    fn control(&self, task: TaskId, control: Control) -> Boxed<'_, ()> {
        Box::pin(self.slots.control(task, control))
    }
}
