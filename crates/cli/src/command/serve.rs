//! `maestria serve`, `open` and `token`; and the server that stands beside a run.

use super::{Context, Done, Failure, lists::print_json, secrets::day};
use crate::{
    args::{Beside, Output},
    exit::Exit,
    render,
};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use maestria_api::meta::{KeyLine, Role};
use maestria_kernel::{At, RunId};
use maestria_server::{
    App, Config, Hosting,
    http::{Access, ListenError, Place, Revoked, Server, running},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};
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
    /// Let other machines in. They must speak TLS, and each needs a credential like anybody else.
    #[arg(long)]
    allow_remote: bool,
    /// The certificate, PEM, instead of `tls_cert` of [server].
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Its key, PEM, instead of `tls_key` of [server].
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A name that the server goes by, besides `hosts` of [server]; may be repeated.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
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
        #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=8760))]
        hours: u32,
    },
    /// Make a key for a program that stays; it is printed once, and kept only as a code.
    Create {
        /// What to call it, in the log and to revoke it.
        #[arg(long)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum, default_value = "viewer")]
        role: Rank,
        /// After how many days it ends by itself.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: Option<u32>,
    },
    /// All keys, with their last use; without the keys themselves.
    List(Output),
    /// End a key, by its name, or a credential, by itself or its id; at once, with all that it holds open.
    Revoke {
        /// The key's name, the credential, or its id.
        what: String,
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

impl From<Rank> for Role {
    fn from(rank: Rank) -> Self {
        match rank {
            Rank::Viewer => Self::Viewer,
            Rank::Operator => Self::Operator,
            Rank::Admin => Self::Admin,
        }
    }
}

pub(super) async fn execute(context: &Context, args: &Serve) -> Done {
    let app = Arc::new(context.app().await?);
    let server = Server::bind(
        app.clone(),
        context.sources.clone(),
        &place(args, &app.config),
        Hosting::All,
    )
    .await
    .map_err(|e| Failure::user(e.to_string(), ""))?;
    let server = match &args.socket {
        Some(path) => server.with_socket(path).map_err(|e| Failure::user(e.to_string(), ""))?,
        None => server,
    };
    println!("{}", server.base());
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

fn place(args: &Serve, config: &Config) -> Place {
    Place {
        address: args.listen.unwrap_or(config.listen),
        allow_remote: args.allow_remote,
        certificate: args.tls_cert.clone().or_else(|| config.tls_cert.clone()),
        key: args.tls_key.clone().or_else(|| config.tls_key.clone()),
        hosts: args.hosts.iter().chain(&config.hosts).cloned().collect(),
    }
}

pub(super) async fn open(context: &Context) -> Done {
    let config = context.config()?;
    let Some(base) = running(&config).await else {
        return Err(Failure::user(
            "no server of this store runs",
            "`maestria serve` starts one; a run has one beside it",
        ));
    };
    let link = Access::open(&config)?.link(&base)?;
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
            let life = Duration::from_secs(u64::from(hours) * 3600);
            let issued = Access::open(&config)?.issue(&name, role.into(), super::now(), life)?;
            println!("{}", issued.credential);
            eprintln!("note: `maestria token revoke {}` ends it", issued.id);
        }
        Some(Token::Create { name, role, days }) => {
            let life = days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3600));
            let made = Access::open(&config)?.add_key(&name, role.into(), super::now(), life);
            let (key, _) =
                made.map_err(|e| Failure::user(e.to_string(), "`maestria token list` shows those there are"))?;
            println!("{key}");
            eprintln!("note: this is the only time the key is shown");
        }
        Some(Token::List(output)) => list(&Access::open(&config)?.keys()?, output.json)?,
        Some(Token::Revoke { what }) => {
            let revoked = Access::open(&config)?.revoke(&what, super::now());
            match revoked.map_err(|e| Failure::user(e.to_string(), "`maestria token list` shows the keys there are"))? {
                Revoked::Key(line) => println!("the key {} is revoked", line.name),
                Revoked::Credential(id) => println!("the credential {id} is revoked"),
            }
        }
    }
    Ok(Exit::Ok)
}

fn list(keys: &[KeyLine], json: bool) -> Result<(), Failure> {
    if json {
        return print_json(&keys).map(drop);
    }
    if keys.is_empty() {
        println!("no keys yet; `maestria token create --name ci` makes one");
        return Ok(());
    }
    let titles = ["name", "key", "role", "made", "last used", "ends", ""].map(str::to_owned);
    let mut rows = vec![titles.to_vec()];
    let told = |at: Option<At>| at.map_or_else(|| "–".to_owned(), |at| day(at.0));
    rows.extend(keys.iter().map(|key| {
        let end = if key.revoked_at.is_some() { "revoked" } else { "" };
        vec![
            key.name.clone(),
            format!("{}…", key.prefix),
            key.role.as_str().to_owned(),
            told(Some(key.created_at)),
            told(key.used_at),
            told(key.expires_at),
            end.to_owned(),
        ]
    }));
    println!("{}", render::columns(&rows));
    Ok(())
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
    // What goes with a run is for this machine alone.
    let ip = if usual.ip().is_loopback() {
        usual.ip()
    } else {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    };
    let at = async |port| {
        let place = Place::near(SocketAddr::new(ip, port));
        Server::bind(app.clone(), context.sources.clone(), &place, Hosting::Settle).await
    };
    if let Some(port) = port {
        return at(port).await;
    }
    match at(usual.port()).await {
        Err(ListenError::Bind { .. }) => at(0).await,
        bound => bound,
    }
}
