//! Sockets and connections.

use super::{
    Access, Shared,
    near::{note, noted},
    routes,
    site::Site,
    socket::Door,
    tls::{Terms, TlsError},
};
use crate::{
    App, AppError,
    config::Sources,
    host::{Host, Hosting},
    stream::{rows::Rows, tail::Tail, view::Views},
};
use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// Connections at once; more wait in the system's queue.
const MOST_CONNECTIONS: usize = 4096;

/// Conversations at once, over WebSockets and the Unix socket.
const MOST_LINES: usize = 1024;

/// How long a client may take to send its head.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long requests under way may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(3);

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken or not allowed.
    #[error("cannot listen on {address}: {source}; `--listen` takes another address, port 0 a free one")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Other machines could come in, and nobody has said that they may, or how they are kept from listening.
    #[error(
        "{0} can be reached from other machines; that takes TLS and your word: `--allow-remote --tls-cert FILE --tls-key FILE`; or listen on 127.0.0.1 and use a tunnel"
    )]
    Open(SocketAddr),
    /// There is no name under which other machines could ask for it.
    #[error("{0} has no name that other machines could ask for; give it one: `--host NAME`, or `hosts` of [server]")]
    Nameless(SocketAddr),
    /// One half of a pair.
    #[error("a certificate takes its key, and a key its certificate: `--tls-cert FILE --tls-key FILE`")]
    Half,
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The socket cannot be had.
    #[error("cannot listen on the socket {}: {source}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The product cannot be opened.
    #[error(transparent)]
    App(#[from] AppError),
}

/// Where to listen, and who may come.
#[derive(Debug, Clone)]
pub struct Place {
    /// The address.
    pub address: SocketAddr,
    /// Other machines may come, if they speak TLS.
    pub allow_remote: bool,
    /// The certificate's file.
    pub certificate: Option<PathBuf>,
    /// Its key's file.
    pub key: Option<PathBuf>,
    /// Names that the server goes by, without port.
    pub hosts: Vec<String>,
}

impl Place {
    /// On this machine alone, without TLS.
    pub fn near(address: SocketAddr) -> Self {
        Self {
            address,
            allow_remote: false,
            certificate: None,
            key: None,
            hosts: Vec::new(),
        }
    }

    /// What is spoken there; nothing but plain text among processes of this machine.
    fn terms(&self) -> Result<Option<Terms>, ListenError> {
        let terms = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some(Terms::read(certificate, key)?),
            (None, None) => None,
            _ => return Err(ListenError::Half),
        };
        if !self.address.ip().is_loopback() {
            if terms.is_none() || !self.allow_remote {
                return Err(ListenError::Open(self.address));
            }
            if self.address.ip().is_unspecified() && self.hosts.is_empty() {
                return Err(ListenError::Nameless(self.address));
            }
        }
        Ok(terms)
    }
}

/// The server, listening.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    terms: Option<Terms>,
    pub(super) shared: Arc<Shared>,
    stopping: watch::Sender<bool>,
    door: Option<Door>,
    /// Says where the server of this store is.
    note: PathBuf,
}

/// How long an address is waited for that is taken.
const TAKEN: Duration = Duration::from_secs(2);

/// Listens at an address, if need be once who had it is gone: a server that was killed may have left a child in the middle of
/// its beginning, which has the socket until the kernel has ended it, too.
async fn listen_soon(address: SocketAddr) -> std::io::Result<TcpListener> {
    let begun = Instant::now();
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && begun.elapsed() < TAKEN => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            bound => return bound,
        }
    }
}

impl Server {
    /// Listens; nothing is answered before [`Server::run`].
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(app: Arc<App>, sources: Sources, place: &Place, hosting: Hosting) -> Result<Self, ListenError> {
        let terms = place.terms()?;
        let address = place.address;
        let bound = match hosting {
            Hosting::All => listen_soon(address).await,
            // Beside a run another address is as good.
            Hosting::Settle => TcpListener::bind(address).await,
        };
        let listener = bound.map_err(|source| ListenError::Bind { address, source })?;
        let listen = listener
            .local_addr()
            .map_err(|source| ListenError::Bind { address, source })?;
        let note = note(&app.config);
        let store = app.engine.store();
        let (stopping, stopped) = watch::channel(false);
        let rows = Arc::new(Rows::new(store.clone()));
        let site = Site::new(listen, terms.is_some(), &place.hosts).welcoming(app.config.cors.clone());
        let shared = Shared {
            books: crate::gateway::books(&app.config).await?,
            tail: Tail::open(store.clone(), hosting == Hosting::All)
                .await
                .map_err(AppError::from)?,
            views: Views::new(store, rows.clone()),
            meter: super::metrics::Meter::default(),
            gallery: super::shown::Gallery::default(),
            host: Arc::new(Host::new(app.clone(), rows.clone(), hosting)),
            rows,
            access: Access::open(&app.config)?,
            pace: super::access::pace::Pace::new(app.config.requests_per_second),
            lines: Arc::new(Semaphore::new(MOST_LINES)),
            plans: Semaphore::new(app.config.runs_at_once.max(1)),
            repeats: super::repeats::Repeats::default(),
            app,
            sources,
            site,
            started: Instant::now(),
            started_at: crate::now(),
            stopping: stopped,
        };
        // From now on who connects is heard, if a little later.
        if let Err(error) = std::fs::write(&note, noted(&shared.site)) {
            tracing::warn!(%error, file = %note.display(), "`maestria open` will not find this server");
        }
        Ok(Self {
            listener,
            terms,
            shared: Arc::new(shared),
            stopping,
            door: None,
            note,
        })
    }

    /// Listens on a Unix socket, too.
    ///
    /// # Errors
    /// [`ListenError::Socket`].
    pub fn with_socket(mut self, path: &Path) -> Result<Self, ListenError> {
        self.door = Some(Door::open(path)?);
        Ok(self)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.site.listen()
    }

    /// What its addresses begin with, for people.
    pub fn base(&self) -> String {
        self.shared.site.base()
    }

    /// A link that signs a browser in, once, within ten minutes.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn link(&self) -> Result<String, AppError> {
        self.shared.access.link(&self.base())
    }

    /// Serves until `stop` is done.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let router = routes(self.shared.clone());
        self.shared.app.observe().await;
        let mut work = JoinSet::new();
        work.spawn(self.shared.tail.clone().run());
        if let Some(door) = self.door {
            work.spawn(door.serve(self.shared.clone()));
        }
        work.spawn(self.shared.host.clone().serve());
        let shared = self.shared.clone();
        work.spawn(async move { shared.access.look_after().await });
        let app = self.shared.app.clone();
        if self.shared.host.takes_runs() {
            work.spawn(async move { app.audited.follow_beside().await });
        }
        let shared = self.shared.clone();
        work.spawn(async move {
            // What fails here is tried again by who asks for the figures.
            let _ = shared.meter.catch_up(&*shared.app.engine.store(), &*shared.books).await;
        });
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let accepting = async {
                let room = room.clone().acquire_owned().await.ok();
                (self.listener.accept().await, room)
            };
            tokio::select! {
                () = &mut stop => break,
                (accepted, room) = accepting => match accepted {
                    Ok((socket, _)) => {
                        let (router, stopped) = (router.clone(), self.stopping.subscribe());
                        let terms = self.terms.clone();
                        connections.spawn(async move {
                            welcome(socket, terms, router, stopped).await;
                            drop(room);
                        });
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: that passes.
                        tracing::warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(self.listener);
        self.stopping.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("requests under way are broken off");
        }
        connections.shutdown().await;
        work.shutdown().await;
        self.shared.app.audited.follow().await;
        if let Err(error) = self.shared.access.write_uses() {
            tracing::warn!(%error, "the use of keys could not be written down");
        }
        // Another server may have taken the place meanwhile; its note stays.
        if std::fs::read_to_string(&self.note).is_ok_and(|found| found == noted(&self.shared.site)) {
            let _ = std::fs::remove_file(&self.note);
        }
    }
}

async fn welcome(socket: TcpStream, terms: Option<Terms>, router: Router, stopped: watch::Receiver<bool>) {
    // Otherwise an event waits for the acknowledgement of the one before.
    let _ = socket.set_nodelay(true);
    match terms {
        None => serve(socket, router, stopped).await,
        // In a place of its own: otherwise connections without it would take as much memory.
        Some(terms) => {
            let secured = async move {
                if let Some(stream) = terms.agree(socket).await {
                    serve(stream, router, stopped).await;
                }
            };
            Box::pin(secured).await;
        }
    }
}

async fn serve<S>(stream: S, router: Router, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = std::pin::pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(64 << 10)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
            .with_upgrades()
    );
    let stopping = async {
        // An error means that the server is gone, which is as good.
        drop(stopped.wait_for(|stopped| *stopped).await);
    };
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
