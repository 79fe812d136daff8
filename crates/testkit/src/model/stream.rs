//! Response bodies that arrive piece by piece, late, or not to the end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As it should.
    Whole,
    /// The connection breaks.
    Cut,
}

/// A body fed by a task.
#[derive(Debug)]
pub(crate) struct Pieces(mpsc::Receiver<Result<Bytes, io::Error>>);

impl Pieces {
    /// Sends `pieces`, each after `pause`, then ends as told.
    pub(crate) fn send(pieces: Vec<Bytes>, pause: Duration, end: End) -> Self {
        let (to, from) = mpsc::channel(1);
        // Ends with its connection: a send to a dropped body fails.
        tokio::spawn(async move {
            for piece in pieces {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                if to.send(Ok(piece)).await.is_err() {
                    return;
                }
            }
            if end == End::Cut {
                let _ = to.send(Err(io::Error::other("scripted cut"))).await;
            }
        });
        Self(from)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|bytes| bytes.map(Frame::data)))
    }
}
