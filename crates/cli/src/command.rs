//! One file a verb; here: which verb goes where, and how errors become exit codes.

mod agents;
pub(crate) mod audit;
pub(crate) mod budget;
mod config;
mod control;
mod decisions;
pub(crate) mod demo;
mod doctor;
mod drive;
pub(crate) mod gateway;
pub(crate) mod keys;
mod lists;
mod local;
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
    place::{self, Here, Place, Reach},
    render,
};
use clap::CommandFactory as _;
use maestria_api::{client::ClientError, problem::Code};
use maestria_kernel::At;
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

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        // What a server says is somebody else's text.
        let (what, hint) = (render::clean(&error.to_string()), render::clean(&error.hint()));
        let made = "on the server's machine, `maestria token issue --name NAME --role operator` makes one";
        let (what, hint, exit) = match error.code() {
            Some(Code::Unauthorised) => (
                "the server does not take the token".to_owned(),
                format!("`--token-file FILE` or MAESTRIA_TOKEN gives another; {made}"),
                Exit::Access,
            ),
            Some(Code::Forbidden) => (what, format!("it takes another token; {made}"), Exit::Access),
            Some(Code::ForeignHost) => (what, hint, Exit::Access),
            Some(Code::Internal) => (what, hint, Exit::Bug),
            _ => (what, hint, Exit::User),
        };
        let what = match error {
            ClientError::Refused(refusal) if refusal.status >= 500 => {
                format!("{what} (request {})", render::clean(&refusal.request_id))
            }
            _ => what,
        };
        Self { what, hint, exit }
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
    pub(crate) reach: Reach,
    pub(crate) verbose: bool,
    pub(crate) paint: render::Paint,
}

impl Context {
    /// Where the work is.
    fn place(&self) -> Result<Place, Failure> {
        self.place_with(Options::default())
    }

    fn place_with(&self, options: Options) -> Result<Place, Failure> {
        Ok(match self.reach.client(&self.sources)? {
            Some(client) => Place::There(client),
            None => Place::Here(Here::new(self.sources.clone(), options)),
        })
    }

    fn config(&self) -> Result<Config, Failure> {
        place::read_config(&self.sources)
    }

    async fn app(&self) -> Result<App, Failure> {
        place::open(self.config()?, Options::default()).await
    }
}

/// Does what the verb says.
pub(crate) fn execute(args: Args) -> Done {
    let context = Context {
        sources: Sources::ambient(args.config),
        reach: args.reach,
        verbose: args.verbose,
        paint: render::Paint::detect(args.no_color),
    };
    local::check(&context, &args.verb)?;
    if let Verb::Completions { shell } = args.verb {
        clap_complete::generate(shell, &mut Args::command(), "maestria", &mut std::io::stdout());
        return Ok(Exit::Ok);
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if !matches!(args.verb, Verb::Gateway(_) | Verb::Serve(_)) {
        // Only servers have work for all cores.
        builder.worker_threads(2);
    }
    let runtime = builder.enable_all().build()?;
    let done = runtime.block_on(dispatch(&context, args.verb));
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    done
}

async fn dispatch(context: &Context, verb: Verb) -> Done {
    match verb {
        Verb::Demo(args) => demo::execute(context, args).await,
        Verb::Run(args) => run::execute(context, args).await,
        Verb::Runs(wanted) => lists::runs(context, &wanted).await,
        Verb::Show(which) => lists::show(context, &which).await,
        Verb::Events {
            since: Some(number),
            follow,
            ..
        } => tail::since(context, number, follow).await,
        Verb::Events { which, follow, .. } => tail::events(context, &which, follow).await,
        Verb::Tail { run } => tail::tail(context, run.as_deref()).await,
        Verb::Diff { which, task } => lists::diff(context, &which, task).await,
        Verb::Apply(which) => control::apply(context, &which).await,
        Verb::Discard(which) => control::discard(context, &which).await,
        Verb::Pause(which) => control::pause(context, &which).await,
        Verb::Resume(face) => control::resume(context, &face).await,
        Verb::Abort { which, because } => control::abort(context, &which, because).await,
        Verb::Retry(face) => control::retry(context, &face).await,
        Verb::Rerun { face, from, message } => control::rerun(context, &face, &from, message).await,
        Verb::Tell {
            which,
            task,
            file,
            line,
            message,
        } => control::tell(context, &which, task.as_deref(), (message, file, line)).await,
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
        Verb::Models { verb } => models::execute(context, verb.as_ref()).await,
        Verb::Route(args) => route::execute(context, args).await,
        Verb::Config { verb } => config::execute(context, &verb).await,
        Verb::Policy { verb } => policy::execute(context, verb).await,
        Verb::Audit { verb } => audit::execute(context, verb.as_ref()).await,
        Verb::Secrets { verb } => secrets::execute(context, verb),
        // Done without all this.
        Verb::Completions { .. } => Ok(Exit::Ok),
    }
}

/// Who acts, for the log.
pub(crate) fn by() -> String {
    std::env::var("USER")
        .ok()
        .filter(|u| !u.is_empty())
        .unwrap_or_else(|| "terminal".to_owned())
}

pub(crate) fn now() -> At {
    maestria_server::now()
}
