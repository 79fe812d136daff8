//! One connection to a provider, driven by whoever uses it: no task of its own, so that a request and its answer cost
//! no hand-over between tasks, and what has come can be taken without waiting.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, Uri,
    body::{Body, Frame, Incoming},
    client::conn::http1::{self, Connection, SendRequest},
    rt::{Read, Write},
};
use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// How long a connection is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(60);

/// Connections kept of one host.
const MOST: usize = 256;

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// An open connection.
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    closed: bool,
    host: Host,
}

/// Scheme and authority: whom a connection leads to.
type Host = (bool, String);

fn host(uri: &Uri) -> Host {
    let authority = uri.authority().map(ToString::to_string);
    (uri.scheme_str() == Some("https"), authority.unwrap_or_default())
}

impl Line {
    pub(super) async fn open<S>(stream: S, uri: &Uri) -> hyper::Result<Self>
    where
        S: Read + Write + Unpin + Send + 'static,
    {
        let (sender, driver): (_, Connection<S, Full<Bytes>>) = http1::handshake(stream).await?;
        Ok(Self {
            sender,
            driver: Box::pin(driver),
            closed: false,
            host: host(uri),
        })
    }

    /// Lets the connection do what it can; it is closed when it says that it is done.
    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.closed && self.driver.as_mut().poll(context).is_ready() {
            self.closed = true;
        }
    }

    fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.closed && self.sender.is_ready()
    }

    /// Sends a request; returns with the head of the answer.
    pub(super) async fn send(
        mut self,
        request: Request<Full<Bytes>>,
        idle: &Arc<Idle>,
    ) -> hyper::Result<Response<Exchange>> {
        let mut answer = std::pin::pin!(self.sender.send_request(request));
        let (driver, closed) = (&mut self.driver, &mut self.closed);
        let response = poll_fn(|context| {
            if let Poll::Ready(done) = answer.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            if !*closed && driver.as_mut().poll(context).is_ready() {
                *closed = true;
            }
            answer.as_mut().poll(context)
        })
        .await?;
        let idle = Arc::clone(idle);
        Ok(response.map(|body| Exchange {
            line: Some(self),
            body,
            idle,
        }))
    }
}

/// Connections that nobody uses.
#[derive(Default)]
pub(super) struct Idle(Mutex<HashMap<Host, Vec<(Instant, Line)>>>);

impl Idle {
    /// A connection that is still open, the one used last first.
    pub(super) fn take(&self, uri: &Uri) -> Option<Line> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = idle.get_mut(&host(uri))?;
        while let Some((since, mut line)) = lines.pop() {
            if since.elapsed() < KEPT && line.is_usable() {
                return Some(line);
            }
        }
        None
    }

    fn keep(&self, mut line: Line) {
        if !line.is_usable() {
            return;
        }
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = idle.entry(line.host.clone()).or_default();
        if lines.len() >= MOST {
            // The first is the one that was not used for longest.
            lines.remove(0);
        }
        lines.push((Instant::now(), line));
    }
}

/// An answer that comes in. Dropped before its end, it closes the connection, and so ends the provider's work.
pub(crate) struct Exchange {
    line: Option<Line>,
    body: Incoming,
    idle: Arc<Idle>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

/// A frame of an answer, or its end.
type Framed = Option<hyper::Result<Frame<Bytes>>>;

impl Exchange {
    /// The next frame; nothing at the end, from when on the connection is kept for others.
    pub(super) async fn frame(&mut self) -> Framed {
        poll_fn(|context| self.poll_frame(context)).await
    }

    /// The next frame, if it is there already.
    pub(super) fn frame_at_hand(&mut self) -> Option<Framed> {
        match self.poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => Some(frame),
            Poll::Pending => None,
        }
    }

    /// Whether nothing comes any more.
    pub(super) fn is_end(&self) -> bool {
        self.body.is_end_stream()
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Framed> {
        // First the connection: it holds one frame ready at most, so that a look before would mostly be in vain.
        if let Some(line) = &mut self.line {
            line.drive(context);
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None))
            && let Some(line) = self.line.take()
        {
            self.idle.keep(line);
        }
        polled
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // A whole answer of one frame is often not asked for its end.
        if self.body.is_end_stream()
            && let Some(line) = self.line.take()
        {
            self.idle.keep(line);
        }
    }
}
