//! Streams on their way to a client: the provider's bytes as they are, or its pieces in the client's dialect. Nothing
//! is read ahead of the client, and a client that leaves ends the provider's stream.

use crate::{
    cache::Lead,
    clean::clean,
    provider::{Chunk, Failure, Stream},
    tally::Tally,
    wire::{Dialect, Piece, Writer, sse},
};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How the provider's stream becomes the client's.
#[derive(Debug)]
enum Manner {
    /// As it is.
    Same,
    /// As it is, without the usage that only the gateway had asked for.
    Sifted(sse::Events),
    /// In another dialect.
    Translated(Box<Writer>),
}

/// A stream on its way to a client.
#[derive(Debug)]
pub(crate) struct Relay {
    stream: Stream,
    manner: Manner,
    face: Dialect,
    request: String,
    tally: Tally,
    ended: bool,
    /// The beginning of a line that is not whole yet.
    rest: BytesMut,
    /// What has passed, to be kept.
    record: Option<(Lead, BytesMut)>,
}

/// The longest line that is waited for: of a longer one secrets may be missed where it is cut.
const LINE: usize = 1 << 20;

impl Relay {
    /// Keeps the answer once it is whole.
    pub(crate) fn keep(&mut self, lead: Lead) {
        self.record = Some((lead, BytesMut::new()));
    }

    /// Writes down what passes; not beyond what will be kept.
    fn record(&mut self, bytes: &[u8]) {
        let Some((lead, record)) = &mut self.record else { return };
        if record.len() + bytes.len() > lead.longest() {
            self.record = None;
        } else {
            record.extend_from_slice(bytes);
        }
        if self.ended
            && let Some((lead, record)) = self.record.take()
            && self.tally.is_ok()
        {
            lead.keep(record.freeze(), self.tally.model());
        }
    }

    pub(crate) fn same(mut stream: Stream, face: Dialect, request: String, hides_usage: bool, tally: Tally) -> Self {
        stream.skim_from_now();
        let manner = if hides_usage {
            Manner::Sifted(sse::Events::default())
        } else {
            Manner::Same
        };
        Self {
            stream,
            manner,
            face,
            request,
            tally,
            ended: false,
            rest: BytesMut::new(),
            record: None,
        }
    }

    pub(crate) fn translated(stream: Stream, face: Dialect, request: String, writer: Writer, tally: Tally) -> Self {
        Self {
            stream,
            manner: Manner::Translated(Box::new(writer)),
            face,
            request,
            tally,
            ended: false,
            rest: BytesMut::new(),
            record: None,
        }
    }

    /// The next bytes for the client; `None` when there are no more.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            let next = match self.tally.pass() {
                None => self.stream.next().await,
                Some(pass) => {
                    let pass = pass.clone();
                    tokio::select! {
                        next = self.stream.next() => next,
                        () = pass.over() => Err(Failure::withdrawn()),
                    }
                }
            };
            let bytes = match next {
                Ok(Some(chunk)) => self.pass(chunk),
                Ok(None) => self.finish(),
                Err(failure) => self.break_off(&failure),
            };
            let bytes = clean(self.whole_lines(bytes));
            self.record(&bytes);
            if !bytes.is_empty() {
                return Some(bytes);
            }
        }
        None
    }

    /// Keeps back the beginning of a line until its end is there. A client can do nothing with half an event, and half a
    /// secret would not be known for one.
    fn whole_lines(&mut self, mut bytes: Bytes) -> Bytes {
        if matches!(self.manner, Manner::Translated(_)) {
            return bytes; // written whole
        }
        let end = if self.ended || self.rest.len() + bytes.len() > LINE {
            bytes.len()
        } else {
            memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1)
        };
        let begun = bytes.split_off(end);
        if !self.rest.is_empty() && (self.ended || !bytes.is_empty()) {
            self.rest.extend_from_slice(&bytes);
            bytes = self.rest.split().freeze();
        }
        self.rest.extend_from_slice(&begun);
        bytes
    }

    fn pass(&mut self, chunk: Chunk) -> Bytes {
        self.tally.pieces(&chunk.pieces);
        self.tally.unread(chunk.unread);
        match &mut self.manner {
            Manner::Same => chunk.bytes,
            Manner::Sifted(_) if chunk.plain == chunk.bytes.len() => chunk.bytes,
            Manner::Sifted(events) => {
                let (plain, rest) = chunk.bytes.split_at(chunk.plain);
                let mut out = plain.to_vec();
                // The stream has bounded its events already.
                let _ = events.feed(rest, |data| sift(data, &mut out));
                out.into()
            }
            Manner::Translated(writer) => {
                let mut out = Vec::new();
                chunk.pieces.iter().for_each(|piece| writer.piece(piece, &mut out));
                out.into()
            }
        }
    }

    fn finish(&mut self) -> Bytes {
        self.ended = true;
        self.tally.done();
        let mut out = Vec::new();
        match &mut self.manner {
            Manner::Same => {}
            Manner::Sifted(events) => events.end(|data| sift(data, &mut out)),
            Manner::Translated(writer) => writer.finish(&mut out),
        }
        out.into()
    }

    /// The client hears of a failure in its own words instead of a stream that just stops.
    fn break_off(&mut self, failure: &Failure) -> Bytes {
        self.ended = true;
        let fault = failure.clone().named(self.tally.provider(), None).told();
        self.tally.failed(&fault);
        let mut out = Vec::new();
        match &mut self.manner {
            Manner::Translated(writer) => {
                writer.piece(&Piece::Fault(fault), &mut out);
                writer.finish(&mut out);
            }
            Manner::Same | Manner::Sifted(_) => {
                // What was cut off in the middle of an event must not swallow the error.
                out.extend_from_slice(b"\n\n");
                self.face.break_off(&fault, &self.request, &mut out);
            }
        }
        out.into()
    }
}

/// What tells an event that holds the usage from others.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    usage: &'a RawValue,
    #[serde(borrow)]
    choices: &'a RawValue,
}

impl Parts<'_> {
    fn is_usage_only(&self) -> bool {
        let is_empty = |list: &str| list.strip_prefix('[').is_some_and(|rest| rest.trim_start() == "]");
        self.usage.get().starts_with('{') && is_empty(self.choices.get())
    }
}

/// Passes an event on, unless it is the one that holds nothing but the usage.
fn sift(data: &[u8], out: &mut Vec<u8>) {
    if Dialect::OpenAi.may_matter(data) && serde_json::from_slice::<Parts<'_>>(data).is_ok_and(|p| p.is_usage_only()) {
        return;
    }
    for line in data.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}
