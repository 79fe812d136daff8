//! Sockets and connections.

use super::{Access, Shared, routes, socket::Door};
use crate::{
    App, AppError,
    config::{Config, Sources},
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
    /// Other machines could come in, in plain text.
    #[error(
        "{0} can be reached from other machines, and this version speaks no TLS; listen on 127.0.0.1 and use a tunnel"
    )]
    Open(SocketAddr),
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

/// The server, listening.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
    stopping: watch::Sender<bool>,
    door: Option<Door>,
    /// Says where the server of this store is.
    note: PathBuf,
}

impl Server {
    /// Listens; nothing is answered before [`Server::run`].
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(
        app: Arc<App>,
        sources: Sources,
        address: SocketAddr,
        hosting: Hosting,
    ) -> Result<Self, ListenError> {
        if !address.ip().is_loopback() {
            return Err(ListenError::Open(address));
        }
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(|source| ListenError::Bind { address, source })?;
        let listen = listener
            .local_addr()
            .map_err(|source| ListenError::Bind { address, source })?;
        let note = note(&app.config);
        let store = app.engine.store();
        let (stopping, stopped) = watch::channel(false);
        let rows = Arc::new(Rows::new(store.clone()));
        let shared = Shared {
            books: crate::gateway::books(&app.config).await?,
            tail: Tail::open(store.clone()).await.map_err(AppError::from)?,
            views: Views::new(store, rows.clone()),
            gallery: super::shown::Gallery::default(),
            host: Arc::new(Host::new(app.clone(), rows.clone(), hosting)),
            rows,
            access: Access::open(&app.config)?,
            lines: Arc::new(Semaphore::new(MOST_LINES)),
            repeats: super::guard::Repeats::default(),
            app,
            sources,
            listen,
            started: Instant::now(),
            started_at: crate::now(),
            stopping: stopped,
        };
        Ok(Self {
            listener,
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
        self.shared.listen
    }

    /// A link that signs a browser in, once, within ten minutes.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn link(&self) -> Result<String, AppError> {
        self.shared.access.link(self.address())
    }

    /// Serves until `stop` is done.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let address = self.address().to_string();
        if let Err(error) = std::fs::write(&self.note, &address) {
            tracing::warn!(%error, file = %self.note.display(), "`maestria open` will not find this server");
        }
        let router = routes(self.shared.clone());
        let mut work = JoinSet::new();
        work.spawn(self.shared.tail.clone().run());
        if let Some(door) = self.door {
            work.spawn(door.serve(self.shared.clone()));
        }
        work.spawn(self.shared.host.clone().serve());
        let app = self.shared.app.clone();
        if self.shared.host.takes_runs() {
            work.spawn(async move { app.audited.follow_beside().await });
        }
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
                        let connection = serve(socket, router.clone(), self.stopping.subscribe());
                        connections.spawn(async move {
                            connection.await;
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
        // Another server may have taken the place meanwhile; its note stays.
        if std::fs::read_to_string(&self.note).is_ok_and(|noted| noted == address) {
            let _ = std::fs::remove_file(&self.note);
        }
    }
}

/// The file that says where the server of this store is.
fn note(config: &Config) -> PathBuf {
    config.store.with_file_name("server.address")
}

/// Where a server of this store runs, if one does.
pub async fn running(config: &Config) -> Option<SocketAddr> {
    let address: SocketAddr = std::fs::read_to_string(note(config)).ok()?.trim().parse().ok()?;
    // A note may outlive its server.
    TcpStream::connect(address).await.ok().map(|_| address)
}

async fn serve(socket: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
    // Otherwise an event waits for the acknowledgement of the one before.
    let _ = socket.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
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
