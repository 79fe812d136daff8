//! One file a verb; here: which verb goes where, and how errors become exit codes.

mod agents;
pub(crate) mod audit;
pub(crate) mod budget;
mod config;
mod control;
mod decisions;
mod demo;
mod doctor;
mod drive;
pub(crate) mod gateway;
pub(crate) mod keys;
mod lists;
pub(crate) mod models;
mod policy;
pub(crate) mod route;
mod run;
pub(crate) mod sandbox;
pub(crate) mod secrets;
pub(crate) mod serve;
mod tail;
pub(crate) mod trust;
pub(crate) mod usage;
mod violations;

use crate::{
    args::{Args, Verb},
    exit::Exit,
    render,
};
use clap::CommandFactory as _;
use maestria_kernel::{At, RunId};
use maestria_server::{App, Config, EngineError, Options, Sources};

/// What a person is told when a verb fails.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) hint: String,
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn user(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
            exit: Exit::User,
        }
    }

    pub(crate) fn render(&self) -> String {
        render::problem(&self.what, &self.hint)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let exit = if matches!(error, EngineError::Bug { .. }) {
            Exit::Bug
        } else {
            Exit::User
        };
        Self {
            what: error.to_string(),
            hint: String::new(),
            exit,
        }
    }
}

impl From<maestria_server::AppError> for Failure {
    fn from(error: maestria_server::AppError) -> Self {
        Self::user(error.to_string(), "")
    }
}

impl From<maestria_kernel::port::StoreError> for Failure {
    fn from(error: maestria_kernel::port::StoreError) -> Self {
        Self::user(error.to_string(), "")
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::user(error.to_string(), "")
    }
}

pub(crate) type Done = Result<Exit, Failure>;

/// What every verb is given.
pub(crate) struct Context {
    pub(crate) sources: Sources,
    pub(crate) verbose: bool,
    pub(crate) paint: render::Paint,
}

impl Context {
    fn config(&self) -> Result<Config, Failure> {
        Config::load(&self.sources)
            .map_err(|e| Failure::user(e.to_string(), "`maestria config check` lists all mistakes"))
    }

    async fn app(&self) -> Result<App, Failure> {
        self.app_with(Options::default()).await
    }

    async fn app_with(&self, options: Options) -> Result<App, Failure> {
        self.app_of(self.config()?, options).await
    }

    async fn app_of(&self, config: Config, options: Options) -> Result<App, Failure> {
        // The demo's agents are always there for runs that name them, so that a killed demo can be resumed.
        let options = Options {
            scripted: demo::providers(),
            ..options
        };
        Ok(App::open(config, options).await?)
    }
}

/// Does what the verb says.
pub(crate) fn execute(args: Args) -> Done {
    let paint = render::Paint::detect(args.no_color);
    let context = Context {
        sources: Sources::ambient(args.config),
        verbose: args.verbose,
        paint,
    };
    match args.verb {
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "maestria", &mut std::io::stdout());
            Ok(Exit::Ok)
        }
        Verb::Config { verb } => config::execute(&context, &verb),
        Verb::Policy { verb } => policy::execute(&context, verb),
        Verb::Audit { verb } => audit::execute(&context, verb.as_ref()),
        Verb::Route(args) => route::execute(&context, args),
        Verb::Secrets { verb } => secrets::execute(&context, verb),
        Verb::Models { verb } if !matches!(verb, Some(models::Models::Train(_))) => {
            models::execute(&context, verb.as_ref())
        }
        verb => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            if !matches!(verb, Verb::Gateway(_) | Verb::Serve(_)) {
                // Only servers have work for all cores.
                builder.worker_threads(2);
            }
            let runtime = builder.enable_all().build()?;
            let done = runtime.block_on(dispatch(&context, verb));
            runtime.shutdown_timeout(std::time::Duration::from_millis(200));
            done
        }
    }
}

async fn dispatch(context: &Context, verb: Verb) -> Done {
    match verb {
        Verb::Demo(args) => demo::execute(context, args).await,
        Verb::Run(args) => run::execute(context, args).await,
        Verb::Runs(output) => lists::runs(context, output.json).await,
        Verb::Show(which) => lists::show(context, &which).await,
        Verb::Events {
            since: Some(number),
            follow,
            ..
        } => tail::since(context, number, follow).await,
        Verb::Events { which, follow, .. } => lists::events(context, &which, follow).await,
        Verb::Tail { run } => tail::tail(context, run.as_deref()).await,
        Verb::Diff { which, task } => lists::diff(context, &which, task).await,
        Verb::Apply(which) => control::apply(context, &which).await,
        Verb::Discard(which) => control::discard(context, &which).await,
        Verb::Pause(which) => control::pause(context, &which).await,
        Verb::Resume(face) => control::resume(context, &face).await,
        Verb::Abort { which, because } => control::abort(context, &which, because).await,
        Verb::Retry(face) => control::retry(context, &face).await,
        Verb::Rerun { face, from } => control::rerun(context, &face, &from).await,
        Verb::Review(face) => control::review(context, &face).await,
        Verb::Decisions { verb } => decisions::execute(context, verb).await,
        Verb::Trust { verb } => trust::execute(context, verb).await,
        Verb::Violations(which) => violations::execute(context, &which).await,
        Verb::Agents { verb } => agents::execute(context, verb).await,
        Verb::Doctor(output) => doctor::execute(context, output.json).await,
        Verb::Gateway(args) => gateway::execute(context, args).await,
        Verb::Serve(args) => serve::execute(context, &args).await,
        Verb::Open => serve::open(context).await,
        Verb::Token { verb } => serve::token(context, verb),
        Verb::Sandbox { verb } => sandbox::execute(context, verb).await,
        Verb::Usage(args) => usage::execute(context, args).await,
        Verb::Budget { verb } => budget::execute(context, verb.as_ref()).await,
        Verb::Keys { verb } => keys::execute(context, verb).await,
        Verb::Models {
            verb: Some(models::Models::Train(args)),
        } => models::train(context, &args).await,
        Verb::Config { .. }
        | Verb::Audit { .. }
        | Verb::Policy { .. }
        | Verb::Completions { .. }
        | Verb::Route(_)
        | Verb::Secrets { .. }
        | Verb::Models { .. } => Ok(Exit::Ok),
    }
}

/// Who acts, for the log.
pub(crate) fn by() -> String {
    std::env::var("USER")
        .ok()
        .filter(|u| !u.is_empty())
        .unwrap_or_else(|| "terminal".to_owned())
}

/// The run that a person means.
pub(crate) async fn find(app: &App, given: &str) -> Result<RunId, Failure> {
    app.find(given)
        .await
        .map_err(|e| Failure::user(e.to_string(), "`maestria runs` lists them"))
}

pub(crate) fn now() -> At {
    maestria_server::now()
}
