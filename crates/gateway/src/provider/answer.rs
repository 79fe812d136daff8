//! Answers as they come in. A stream is held back until it has content, so that a failure before that can be tried
//! again and no client hears of it.

mod skim;

use super::{Failure, Pieces, http::silent, line::Exchange};
use crate::wire::{Counts, Dialect, Fault, Kind, Piece, Reader, Stop, sse::Events};
use bytes::Bytes;
use hyper::Response;
use serde_json::Value;
use skim::skim;
use std::time::Duration;

/// The longest whole answer, in bytes.
const WHOLE: usize = 64 << 20;

/// The most of a refusal that is read.
const REFUSAL: usize = 64 << 10;

/// The most that is held back before content.
const HELD: usize = 1 << 20;

/// A call whose answer has begun.
#[derive(Debug)]
pub(crate) enum Opened {
    /// The whole answer as it came, what the provider counted, and why the model stopped.
    Whole(Bytes, Option<Counts>, Option<Stop>),
    /// A stream that has content.
    Stream(Box<Stream>),
    /// The whole answer, in no dialect.
    Pieces(Pieces),
}

/// Sees to it that the answer is one, and has begun.
pub(crate) async fn open(
    dialect: Dialect,
    response: Response<Exchange>,
    stream: bool,
    silence: Duration,
) -> Result<Opened, Failure> {
    let (head, body) = response.into_parts();
    if !head.status.is_success() {
        let words = collect(body, REFUSAL, silence)
            .await
            .unwrap_or_else(|(so_far, _)| so_far);
        return Err(Failure::refused(head.status, &head.headers, &words));
    }
    let kind = head
        .headers
        .get("content-type")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    if stream && !kind.starts_with("application/json") {
        return Stream::open(dialect, body, silence)
            .await
            .map(|s| Opened::Stream(Box::new(s)));
    }
    let whole = collect(body, WHOLE, silence).await.map_err(|(_, failure)| failure)?;
    let skimmed = skim(&whole).map_err(|what| Failure::provider(format!("its answer is no JSON: {what}")))?;
    if let Some(fault) = skimmed.fault() {
        return Err(Failure::of_fault(fault));
    }
    let stop = skimmed.stop(dialect);
    let counts = skimmed.counts(dialect);
    Ok(Opened::Whole(whole, counts, stop))
}

/// The whole body, or what of it had come when it failed.
async fn collect(mut body: Exchange, most: usize, silence: Duration) -> Result<Bytes, (Bytes, Failure)> {
    let mut whole = Vec::new();
    let mut first: Option<Bytes> = None;
    loop {
        match next(&mut body, silence).await {
            Ok(Some(chunk)) => {
                if first.is_none() && whole.is_empty() && body.is_end() {
                    // The usual case: all of it in one piece, which need not be copied.
                    return Ok(chunk);
                }
                whole.extend_from_slice(&chunk[..chunk.len().min(most.saturating_sub(whole.len()))]);
                first.get_or_insert(chunk);
                if whole.len() >= most {
                    return Err((
                        whole.into(),
                        Failure::provider(format!("its answer is longer than {most} bytes")),
                    ));
                }
            }
            Ok(None) => return Ok(whole.into()),
            Err(failure) => return Err((whole.into(), failure)),
        }
    }
}

async fn next(body: &mut Exchange, silence: Duration) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = match tokio::time::timeout(silence, body.frame()).await {
            Err(_) => return Err(silent(silence)),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(cut_off(&error)),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

/// The most that is taken at once of what has come already.
const AT_ONCE: usize = 64 << 10;

/// Bytes that are there already, or the failure that is. The end is met again by who waits for more.
fn at_hand(body: &mut Exchange) -> Option<Result<Bytes, Failure>> {
    match body.frame_at_hand() {
        Some(Some(Ok(frame))) => frame.into_data().ok().map(Ok),
        Some(Some(Err(error))) => Some(Err(cut_off(&error))),
        Some(None) | None => None,
    }
}

fn cut_off(error: &hyper::Error) -> Failure {
    Failure::provider(format!("the answer was cut off: {error}"))
}

/// Several pieces of bytes as one; a single one is not copied.
fn joined(pieces: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(pieces) {
        Ok([one]) => one,
        Err(several) => several.concat().into(),
    }
}

/// A stream that has content.
#[derive(Debug)]
pub(crate) struct Stream {
    dialect: Dialect,
    body: Exchange,
    silence: Duration,
    events: Events,
    reader: Reader,
    /// What came before the first content, and with it.
    held: Option<(Vec<Bytes>, Pieces)>,
    ended: bool,
    stopped: bool,
    /// Only what the meter needs is read.
    skims: bool,
    /// It broke after what was told last.
    broken: Option<Failure>,
}

/// A piece of a stream: the bytes as they came, and what they mean.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    pub(crate) pieces: Pieces,
    /// So many of the first bytes are whole events that hold only pieces of the answer.
    pub(crate) plain: usize,
    /// Bytes of events that were not read.
    pub(crate) unread: u64,
}

impl Stream {
    async fn open(dialect: Dialect, body: Exchange, silence: Duration) -> Result<Self, Failure> {
        let mut stream = Self {
            dialect,
            body,
            silence,
            events: Events::default(),
            reader: Reader::new(dialect),
            held: None,
            ended: false,
            stopped: false,
            skims: false,
            broken: None,
        };
        let mut held = Vec::new();
        let mut bytes = 0;
        let mut pieces = Pieces::new();
        loop {
            let chunk = next(&mut stream.body, silence).await?;
            let last = chunk.is_none();
            let seen = pieces.len();
            match chunk {
                Some(chunk) => {
                    stream.read(&chunk, &mut pieces)?;
                    bytes += chunk.len();
                    held.push(chunk);
                }
                None => stream.read_end(&mut pieces),
            }
            // A failure together with content counts as one after it.
            let content = pieces[seen..]
                .iter()
                .position(|p| p.is_content() || matches!(p, Piece::Stop(_)));
            let fault = pieces[seen..].iter().position(|p| matches!(p, Piece::Fault(_)));
            match (content, fault) {
                (content, Some(at)) if content.is_none_or(|c| at < c) => {
                    if let Piece::Fault(fault) = pieces.swap_remove(seen + at) {
                        return Err(Failure::of_fault(fault));
                    }
                }
                (Some(_), _) => break,
                (None, _) if last => {
                    return Err(stream.empty(&held));
                }
                (None, _) if bytes > HELD => {
                    return Err(Failure::provider("its stream does not come to the point"));
                }
                (None, _) => {}
            }
        }
        stream.note_stop(&pieces);
        stream.held = Some((held, pieces));
        Ok(stream)
    }

    /// Why a stream had nothing in it: perhaps it was a document.
    fn empty(&self, held: &[Bytes]) -> Failure {
        let whole = held.concat();
        match serde_json::from_slice::<Value>(&whole)
            .ok()
            .as_ref()
            .and_then(super::failure::message_of)
        {
            Some(message) => Failure::of_fault(Fault::new(Kind::Upstream, message)),
            None => Failure::provider("the stream ended before the answer did"),
        }
    }

    /// What has come since; `None` when the stream has ended as it should.
    pub(crate) async fn next(&mut self) -> Result<Option<Chunk>, Failure> {
        if let Some((bytes, pieces)) = self.held.take() {
            return Ok(Some(Chunk {
                bytes: joined(bytes),
                pieces,
                ..Chunk::default()
            }));
        }
        if let Some(failure) = self.broken.take() {
            return Err(failure);
        }
        if self.ended {
            return Ok(None);
        }
        let mut chunk = Chunk::default();
        match next(&mut self.body, self.silence).await? {
            Some(bytes) => {
                chunk.bytes = self.with_what_is_there(bytes);
                if self.skims {
                    self.skim(&mut chunk)?;
                } else {
                    self.read(&chunk.bytes, &mut chunk.pieces)?;
                }
                self.note_stop(&chunk.pieces);
                Ok(Some(chunk))
            }
            None => {
                self.read_end(&mut chunk.pieces);
                self.note_stop(&chunk.pieces);
                if !self.stopped {
                    return Err(Failure::provider("the stream ended before the answer did"));
                }
                Ok((!chunk.pieces.is_empty()).then_some(chunk))
            }
        }
    }

    /// What is there already goes on together: a write an event would cost more than the event.
    fn with_what_is_there(&mut self, first: Bytes) -> Bytes {
        let mut taken = first.len();
        let mut all = vec![first];
        while taken < AT_ONCE
            && let Some(more) = at_hand(&mut self.body)
        {
            match more {
                Ok(bytes) => {
                    taken += bytes.len();
                    all.push(bytes);
                }
                Err(failure) => {
                    self.broken = Some(failure);
                    break;
                }
            }
        }
        joined(all)
    }

    /// From now on only what the meter needs is read: the stream is passed on as it is.
    pub(crate) const fn skim_from_now(&mut self) {
        self.skims = true;
    }

    /// Reads only events that may hold counts, an end or an error, and counts the bytes of the others.
    fn skim(&mut self, chunk: &mut Chunk) -> Result<(), Failure> {
        if self.events.is_between() {
            chunk.plain = self.dialect.plain(&chunk.bytes);
            chunk.unread += chunk.plain as u64;
        }
        let (reader, dialect) = (&mut self.reader, self.dialect);
        let Chunk { pieces, unread, .. } = chunk;
        let fed = self.events.feed(&chunk.bytes[chunk.plain..], |data| {
            if dialect.may_matter(data) {
                reader.event(data, pieces);
            } else {
                *unread += data.len() as u64;
            }
        });
        fed.map_err(|e| Failure::provider(e.to_string()))
    }

    fn read(&mut self, chunk: &[u8], pieces: &mut Pieces) -> Result<(), Failure> {
        let reader = &mut self.reader;
        let fed = self.events.feed(chunk, |data| reader.event(data, pieces));
        fed.map_err(|e| Failure::provider(e.to_string()))
    }

    fn read_end(&mut self, pieces: &mut Pieces) {
        self.ended = true;
        let reader = &mut self.reader;
        self.events.end(|data| reader.event(data, pieces));
    }

    fn note_stop(&mut self, pieces: &[Piece]) {
        self.stopped |= pieces.iter().any(|p| matches!(p, Piece::Stop(_) | Piece::Fault(_)));
    }
}
