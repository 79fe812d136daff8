//! `maestria serve`, `open` and `token`; and the server that stands beside a run.

use super::{Context, Done, Failure};
use crate::{args::Beside, exit::Exit};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use maestria_api::meta::Role;
use maestria_kernel::RunId;
use maestria_server::{
    App, Hosting,
    http::{Access, ListenError, Server, running},
};
use std::{net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
};

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// Where to listen, instead of `listen` of [server]; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Listen on a Unix socket, too, in a folder that only you can enter; docs/api.md says what is spoken there.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Print the token.
    Show,
    /// Make a new one; all credentials of the old one end when the server is started again.
    Rotate,
    /// Print a credential with a role and an end, for a program or a colleague.
    Issue {
        /// Whose it is, for the log.
        #[arg(long)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum, default_value = "viewer")]
        role: Rank,
        /// How long it is good.
        #[arg(long, default_value_t = 24, value_name = "HOURS")]
        hours: u32,
    },
}

/// What a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rank {
    /// Read.
    Viewer,
    /// Also submit, act and decide.
    Operator,
    /// Also see the configuration.
    Admin,
}

pub(super) async fn execute(context: &Context, args: &Serve) -> Done {
    let app = Arc::new(context.app().await?);
    let address = args.listen.unwrap_or(app.config.listen);
    let server = Server::bind(app.clone(), context.sources.clone(), address, Hosting::All)
        .await
        .map_err(|e| Failure::user(e.to_string(), ""))?;
    let server = match &args.socket {
        Some(path) => server.with_socket(path).map_err(|e| Failure::user(e.to_string(), ""))?,
        None => server,
    };
    println!("http://{}", server.address());
    eprintln!("sign in (once, within ten minutes): {}", server.link()?);
    let mut terminate = signal(SignalKind::terminate())?;
    server
        .run(async move {
            tokio::select! {
                // An error means that no signal can be heard; the other one is left.
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        })
        .await;
    app.close().await;
    eprintln!("stopped; runs under way go on with the next `maestria serve`, or with `maestria resume`");
    Ok(Exit::Ok)
}

pub(super) async fn open(context: &Context) -> Done {
    let config = context.config()?;
    let Some(address) = running(&config).await else {
        return Err(Failure::user(
            "no server of this store runs",
            "`maestria serve` starts one; a run has one beside it",
        ));
    };
    let link = Access::open(&config)?.link(address)?;
    println!("{link}");
    // Where there is no desktop, the link is enough.
    let opened = tokio::process::Command::new("xdg-open")
        .arg(&link)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let _ = tokio::time::timeout(Duration::from_secs(5), opened).await;
    Ok(Exit::Ok)
}

pub(super) fn token(context: &Context, verb: Option<Token>) -> Done {
    let config = context.config()?;
    match verb {
        None | Some(Token::Show) => println!("{}", Access::open(&config)?.token()),
        Some(Token::Rotate) => {
            println!("{}", Access::rotate(&config)?.token());
            eprintln!("start the server again: until then it takes the old one");
        }
        Some(Token::Issue { name, role, hours }) => {
            let role = match role {
                Rank::Viewer => Role::Viewer,
                Rank::Operator => Role::Operator,
                Rank::Admin => Role::Admin,
            };
            let life = Duration::from_secs(u64::from(hours) * 3600);
            let (credential, _) = Access::open(&config)?.issue(&name, role, super::now(), life);
            println!("{credential}");
        }
    }
    Ok(Exit::Ok)
}

/// A server that goes with a run.
#[derive(Debug, Default)]
pub(super) struct Standing(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Standing {
    /// Lets people look around until they press Ctrl-C.
    pub(super) async fn stay(&self) {
        if self.0.is_some() {
            eprintln!("\nthe dashboard stays open until Ctrl-C; `maestria serve` shows the run again");
            // An error means that no signal can be heard; then there is nothing to wait for.
            let _ = tokio::signal::ctrl_c().await;
        }
    }

    /// Ends it; pages that are open say so.
    pub(super) async fn end(self) {
        if let Some((stop, served)) = self.0 {
            // It may have ended by itself, which is as good.
            let _ = stop.send(());
            let _ = served.await;
        }
    }
}

/// Starts the dashboard beside a run. A run is not stopped by a dashboard that cannot be had.
pub(super) async fn beside(context: &Context, app: &Arc<App>, wish: Beside, run: RunId) -> Standing {
    if wish.no_dashboard {
        return Standing::default();
    }
    match bind(context, app, wish.port).await {
        Ok(server) => {
            match server.link() {
                Ok(link) => eprintln!("dashboard: {}", link.replacen("/#", &format!("/runs/{run}#"), 1)),
                Err(error) => eprintln!("note: {error}"),
            }
            let (stop, stopped) = oneshot::channel();
            let served = tokio::spawn(server.run(async move {
                // The sender gone means the same as a word from it.
                let _ = stopped.await;
            }));
            Standing(Some((stop, served)))
        }
        Err(error) => {
            eprintln!("note: no dashboard: {error}");
            Standing::default()
        }
    }
}

/// Listens where it was wished, or where the configuration says, or, when that is taken, anywhere.
async fn bind(context: &Context, app: &Arc<App>, port: Option<u16>) -> Result<Server, ListenError> {
    let usual = app.config.listen;
    let at = |port| {
        let address = SocketAddr::new(usual.ip(), port);
        Server::bind(app.clone(), context.sources.clone(), address, Hosting::Settle)
    };
    if let Some(port) = port {
        return at(port).await;
    }
    match at(usual.port()).await {
        Err(ListenError::Bind { .. }) => at(0).await,
        bound => bound,
    }
}
