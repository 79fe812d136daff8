//! The gateway over HTTP: sockets, connections and their limits. What is asked and answered on them is in `handle`.

mod door;
mod handle;
mod id;
mod slow;
mod write;

use crate::service::{Auth, Service};
use handle::Handler;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use slow::Slow;
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

/// What clients may do to the server.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The longest body.
    pub body: usize,
    /// Connections at once.
    pub connections: usize,
    /// The longest pause of a client while it sends or takes.
    pub patience: Duration,
    /// How long calls under way may take to end when the server stops.
    pub grace: Duration,
    /// How often every lane is looked at.
    pub probe_every: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            body: 32 << 20,
            connections: 1_024,
            patience: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            probe_every: Duration::from_secs(300),
        }
    }
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken or not allowed.
    #[error("cannot listen on {address}: {source}; is another gateway running? `--listen` takes another address")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Everybody on the network would be let in.
    #[error("{0} can be reached from other machines, and `auth` of [gateway] is \"none\"; use \"keys\" or \"token\"")]
    Open(SocketAddr),
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    service: Arc<Service>,
    bounds: Bounds,
}

impl Server {
    /// Listens; nothing is answered before [`Server::run`].
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(address: SocketAddr, service: Arc<Service>, bounds: Bounds) -> Result<Self, ListenError> {
        if service.rules.auth == Auth::None && !address.ip().is_loopback() {
            return Err(ListenError::Open(address));
        }
        let bound = TcpListener::bind(address).await;
        Ok(Self {
            listener: bound.map_err(|source| ListenError::Bind { address, source })?,
            service,
            bounds,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done; then lets calls under way end, and closes the books.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self {
            listener,
            service,
            bounds,
        } = self;
        let room = Arc::new(Semaphore::new(bounds.connections));
        let (stopping, stopped) = watch::channel(false);
        let handler = Handler::new(service.clone(), bounds);
        let mut connections = JoinSet::new();
        let mut probes = interval_at(Instant::now() + bounds.probe_every, bounds.probe_every);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            let accepting = async {
                // Whoever comes too many waits in the system's own queue.
                let room = room.clone().acquire_owned().await.ok();
                (listener.accept().await, room)
            };
            tokio::select! {
                () = &mut stop => break,
                (accepted, room) = accepting => match accepted {
                    Ok((socket, _)) => {
                        let connection = serve(socket, handler.clone(), stopped.clone());
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
                _ = probes.tick() => drop(connections.spawn(service.clone().probe())),
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        // Nobody listens any more when no connection is open.
        let _ = stopping.send(true);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(bounds.grace, all).await.is_err() {
            tracing::warn!("calls under way are broken off");
        }
        connections.shutdown().await;
        service.close().await;
    }
}

async fn serve(socket: TcpStream, handler: Handler, mut stopped: watch::Receiver<bool>) {
    // Otherwise the last bytes of a stream wait for the client's acknowledgement.
    let _ = socket.set_nodelay(true);
    let patience = handler.bounds().patience;
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.handle(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(Slow::new(socket, patience)), service);
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
