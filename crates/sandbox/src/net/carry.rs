//! Carries bytes between a worker's own loopback and what its doors stand for.

use std::io;
use std::os::fd::OwnedFd;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Door, Doors, proxy, strangers::Strangers};

/// Connections of one worker at a time; further ones wait in the kernel's queue.
const MOST: usize = 256;

/// The tasks that carry for one worker; they end when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Carriers {
    _tasks: JoinSet<()>,
    strangers: Strangers,
}

impl Carriers {
    /// Starts to accept on the listening sockets, which are in the doors' order. Needs a tokio runtime.
    pub(crate) fn start(doors: Doors, listeners: Vec<OwnedFd>) -> io::Result<Self> {
        let mut tasks = JoinSet::new();
        let strangers = Strangers::default();
        for (door, listener) in doors.0.into_iter().zip(listeners) {
            let listener = std::net::TcpListener::from(listener);
            listener.set_nonblocking(true)?;
            tasks.spawn(serve(TcpListener::from_std(listener)?, door, strangers.clone()));
        }
        Ok(Self {
            _tasks: tasks,
            strangers,
        })
    }

    pub(crate) fn strangers(&self) -> &Strangers {
        &self.strangers
    }
}

async fn serve(listener: TcpListener, door: Door, strangers: Strangers) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next(), if !open.is_empty() => {}
            accepted = listener.accept(), if open.len() < MOST => match accepted {
                Ok((inside, _)) => {
                    let (door, strangers) = (door.clone(), strangers.clone());
                    open.spawn(async move {
                        // A connection that breaks is the worker's to notice, as on any network.
                        let _ = carry(inside, &door, &strangers).await;
                    });
                }
                // Out of descriptors or memory: the next connection may find some again.
                Err(error) => {
                    tracing::warn!(%error, "a connection of a worker was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
        }
    }
}

async fn carry(mut inside: TcpStream, door: &Door, strangers: &Strangers) -> io::Result<()> {
    let mut outside = match door {
        Door::Straight(address) => TcpStream::connect(address).await?,
        Door::Proxy(_, endpoints) => match proxy::open(&mut inside, endpoints, strangers).await? {
            Some(outside) => outside,
            None => return Ok(()),
        },
    };
    inside.set_nodelay(true)?;
    outside.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut inside, &mut outside).await?;
    Ok(())
}
