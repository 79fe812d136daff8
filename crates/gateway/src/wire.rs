//! The dialects: pure translation between each vendor's JSON and one neutral form.
//!
//! Every dialect has two faces. A *client* speaks it to the gateway: its requests are read into an [`Ask`], and answers
//! are written for it. A *provider* speaks it to the gateway: an [`Ask`] is written for it, and its answers are read
//! into [`Piece`]s. Four readers and four writers a side make all sixteen pairs; what a pair cannot carry is named in
//! [`Losses`]. Nothing here knows a socket or a clock.

mod anthropic;
pub mod ask;
mod gemini;
pub(crate) mod media;
mod openai;
pub mod piece;
pub(crate) mod proof;
mod responses;
pub mod sse;
mod usage;

pub use ask::{Ask, Losses, Unreadable};
pub use piece::{Answer, Counts, Fault, Kind, Piece, Stop};
pub(crate) use usage::Usage;

use memchr::memmem::Finder;
use serde_json::Value;
use std::sync::LazyLock;

/// A vendor's way of speaking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions.
    OpenAi,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Anthropic,
    /// Gemini generateContent.
    Gemini,
}

/// What the answer to a client must look like, besides its content.
#[derive(Debug, Clone, Default)]
pub struct Manner {
    /// The gateway's id of the request.
    pub request: String,
    /// The prefix that ids have in the dialect.
    pub prefix: &'static str,
    /// The model, as the client is told.
    pub model: String,
    /// Seconds since the Unix epoch.
    pub now: i64,
    /// A chat stream ends with the usage.
    pub stream_usage: bool,
    /// A Gemini stream is one JSON list instead of events.
    pub array: bool,
    /// Tools that take plain text.
    pub free: Vec<String>,
}

impl Manner {
    /// The id of the answer.
    pub(crate) fn id(&self) -> String {
        format!("{}{}", self.prefix, self.request)
    }

    /// The id of an item of the answer.
    pub(crate) fn item(&self, index: usize) -> String {
        format!("item_{}_{index}", self.request)
    }

    /// Whether a tool takes plain text.
    pub(crate) fn is_free(&self, tool: &str) -> bool {
        self.free.iter().any(|name| name == tool)
    }
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Responses, Self::Anthropic, Self::Gemini];

    /// The dialect of a configured name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// Its configured name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// Where the vendor itself listens.
    pub const fn usual_url(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Responses => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
            Self::Gemini => "https://generativelanguage.googleapis.com",
        }
    }

    /// The path of a call, from the base URL.
    pub fn path(self, model: &str, stream: bool) -> String {
        match self {
            Self::OpenAi => "/chat/completions".to_owned(),
            Self::Responses => "/responses".to_owned(),
            Self::Anthropic => "/v1/messages".to_owned(),
            Self::Gemini if stream => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Self::Gemini => format!("/v1beta/models/{model}:generateContent"),
        }
    }

    /// The header that carries the key.
    pub fn key_header(self, key: &str) -> (&'static str, String) {
        match self {
            Self::OpenAi | Self::Responses => ("authorization", format!("Bearer {key}")),
            Self::Anthropic => ("x-api-key", key.to_owned()),
            Self::Gemini => ("x-goog-api-key", key.to_owned()),
        }
    }

    /// What ids of answers begin with.
    pub const fn id_prefix(self) -> &'static str {
        match self {
            Self::OpenAi => "chatcmpl-",
            Self::Responses => "resp_",
            Self::Anthropic => "msg_",
            Self::Gemini => "",
        }
    }

    /// Reads a client's request. A Gemini request names its model, and whether it streams, in the path.
    ///
    /// # Errors
    /// [`Unreadable`] for what makes no sense or cannot be carried without changing its meaning.
    pub fn read(self, body: &Value, path_model: &str, path_stream: bool) -> Result<Ask, Unreadable> {
        match self {
            Self::OpenAi => openai::read(body),
            Self::Responses => responses::read(body),
            Self::Anthropic => anthropic::read(body),
            Self::Gemini => gemini::read(body, path_model, path_stream),
        }
    }

    /// Writes a request for a provider, and what of it could not be carried.
    pub fn write(self, ask: &Ask) -> (Value, Losses) {
        let mut losses = ask.losses.clone();
        let body = match self {
            Self::OpenAi => openai::write(ask, &mut losses),
            Self::Responses => responses::write(ask, &mut losses),
            Self::Anthropic => anthropic::write(ask, &mut losses),
            Self::Gemini => gemini::write(ask, &mut losses),
        };
        (body, losses)
    }

    /// Whether an event of a provider's stream may hold more than a piece of the answer: counts, an end, an error.
    pub(crate) fn may_matter(self, data: &[u8]) -> bool {
        match self {
            // These say what they are; pieces of the answer are deltas.
            Self::Anthropic => opening(data, &TYPE, b"\"").is_none() || BLOCK_DELTA.find(data).is_none(),
            Self::Responses => DELTA.find(data).is_none(),
            Self::OpenAi | Self::Gemini => self.first_that_matters(data).is_some(),
        }
    }

    /// How much of the beginning of a stream's bytes is whole events that only hold pieces of the answer. They are
    /// looked through at once: that is cheaper than event by event by far.
    pub(crate) fn plain(self, bytes: &[u8]) -> usize {
        let end = match self {
            Self::Anthropic | Self::Responses => return 0,
            Self::OpenAi | Self::Gemini => self.first_that_matters(bytes).unwrap_or(bytes.len()),
        };
        memchr::memmem::rfind(&bytes[..end], b"\n\n").map_or(0, |at| at + 2)
    }

    /// Where the first field stands that is more than a piece of the answer, in dialects that have such fields.
    fn first_that_matters(self, data: &[u8]) -> Option<usize> {
        let places = match self {
            Self::OpenAi => [
                opening(data, &USAGE, b"{"),
                opening(data, &FINISH_REASON, b"\""),
                opening(data, &ERROR, b"{\""),
            ],
            Self::Gemini => [
                opening(data, &USAGE_METADATA, b"{"),
                opening(data, &FINISH_REASON_OF_GEMINI, b"\""),
                opening(data, &ERROR, b"{"),
            ],
            Self::Anthropic | Self::Responses => [None; 3],
        };
        places.into_iter().flatten().min()
    }

    /// Reads a provider's whole answer.
    pub fn read_document(self, body: &Value) -> Vec<Piece> {
        let mut out = Vec::new();
        match self {
            Self::OpenAi => openai::read_document(body, &mut out),
            Self::Responses => responses::read_document(body, &mut out),
            Self::Anthropic => anthropic::read_document(body, &mut out),
            Self::Gemini => gemini::read_document(body, &mut out),
        }
        out
    }

    /// What a provider has counted.
    pub(crate) fn used(self, usage: &Usage) -> Counts {
        match self {
            Self::OpenAi => openai::used(usage),
            Self::Responses => responses::used(usage),
            Self::Anthropic => anthropic::used(usage),
            Self::Gemini => gemini::used(usage),
        }
    }

    /// Writes a whole answer for a client.
    pub fn write_document(self, answer: &Answer, manner: &Manner) -> Value {
        match self {
            Self::OpenAi => openai::write_document(answer, manner),
            Self::Responses => responses::write_document(answer, manner),
            Self::Anthropic => anthropic::write_document(answer, manner),
            Self::Gemini => gemini::write_document(answer, manner),
        }
    }

    /// Ends a stream that went on in this dialect until the provider failed.
    pub fn break_off(self, fault: &Fault, request: &str, out: &mut Vec<u8>) {
        let error = self.error(fault, request);
        match self {
            Self::OpenAi | Self::Gemini => sse::data(&error, out),
            Self::Anthropic => sse::named("error", &error, out),
            Self::Responses => {
                let code = fault.kind.code();
                let event = serde_json::json!({"type": "error", "code": code, "message": fault.message, "param": null});
                sse::named("error", &event, out);
            }
        }
    }

    /// A failure as a client of this dialect expects it.
    pub fn error(self, fault: &Fault, request: &str) -> Value {
        match self {
            Self::OpenAi | Self::Responses => openai::error(fault, request),
            Self::Anthropic => anthropic::error(fault, request),
            Self::Gemini => gemini::error(fault, request),
        }
    }
}

/// Reads a provider's stream.
#[derive(Debug)]
pub struct Reader(Reading);

#[derive(Debug)]
enum Reading {
    OpenAi(openai::Reader),
    Responses(responses::Reader),
    Anthropic(anthropic::Reader),
    Gemini(gemini::Reader),
}

impl Reader {
    /// A reader of one stream.
    pub fn new(dialect: Dialect) -> Self {
        Self(match dialect {
            Dialect::OpenAi => Reading::OpenAi(openai::Reader::default()),
            Dialect::Responses => Reading::Responses(responses::Reader::default()),
            Dialect::Anthropic => Reading::Anthropic(anthropic::Reader::default()),
            Dialect::Gemini => Reading::Gemini(gemini::Reader::default()),
        })
    }

    /// Takes account of one event's data. What is no JSON is a failure of the provider.
    pub fn event(&mut self, data: &[u8], out: &mut Vec<Piece>) {
        if data.trim_ascii() == b"[DONE]" {
            return;
        }
        let event: Value = match serde_json::from_slice(data) {
            Ok(event) => event,
            Err(error) => {
                out.push(Piece::Fault(Fault::new(
                    Kind::Upstream,
                    format!("an event is no JSON: {error}"),
                )));
                return;
            }
        };
        match &mut self.0 {
            Reading::OpenAi(reader) => reader.event(&event, out),
            Reading::Responses(reader) => reader.event(&event, out),
            Reading::Anthropic(reader) => reader.event(&event, out),
            Reading::Gemini(reader) => reader.event(&event, out),
        }
    }
}

/// Writes a stream for a client.
#[derive(Debug)]
pub struct Writer(Writing);

#[derive(Debug)]
enum Writing {
    OpenAi(openai::Writer),
    Responses(responses::Writer),
    Anthropic(anthropic::Writer),
    Gemini(gemini::Writer),
}

impl Writer {
    /// A writer of one stream.
    pub fn new(dialect: Dialect, manner: Manner) -> Self {
        Self(match dialect {
            Dialect::OpenAi => Writing::OpenAi(openai::Writer::new(manner)),
            Dialect::Responses => Writing::Responses(responses::Writer::new(manner)),
            Dialect::Anthropic => Writing::Anthropic(anthropic::Writer::new(manner)),
            Dialect::Gemini => Writing::Gemini(gemini::Writer::new(manner)),
        })
    }

    /// Writes one piece.
    pub fn piece(&mut self, piece: &Piece, out: &mut Vec<u8>) {
        match &mut self.0 {
            Writing::OpenAi(writer) => writer.piece(piece, out),
            Writing::Responses(writer) => writer.piece(piece, out),
            Writing::Anthropic(writer) => writer.piece(piece, out),
            Writing::Gemini(writer) => writer.piece(piece, out),
        }
    }

    /// Writes what ends the stream; nothing after a failure that was told.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.0 {
            Writing::OpenAi(writer) => writer.finish(out),
            Writing::Responses(writer) => writer.finish(out),
            Writing::Anthropic(writer) => writer.finish(out),
            Writing::Gemini(writer) => writer.finish(out),
        }
    }
}

/// Searchers, made once: making one costs more than looking through an event.
macro_rules! searchers {
    ($($name:ident $needle:literal)*) => {
        $(static $name: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new($needle));)*
    };
}

searchers! {
    USAGE "\"usage\""
    USAGE_METADATA "\"usageMetadata\""
    FINISH_REASON "\"finish_reason\""
    FINISH_REASON_OF_GEMINI "\"finishReason\""
    ERROR "\"error\""
    TYPE "\"type\""
    BLOCK_DELTA "content_block_delta"
    DELTA ".delta\""
}

/// Where a field of this name stands whose value begins with one of these bytes. Inside of a text the quotes of a name
/// are escaped, so that it is not found there.
fn opening(data: &[u8], name: &Finder<'_>, with: &[u8]) -> Option<usize> {
    name.find_iter(data).find(|at| {
        let rest = data[at + name.needle().len()..].trim_ascii_start();
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.and_then(|v| v.first()).is_some_and(|byte| with.contains(byte))
    })
}

/// A text at a place in a JSON value.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    at(value, pointer).and_then(Value::as_str)
}

/// What stands at a place. Unlike [`Value::pointer`] it knows no escapes, and so copies nothing.
fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    let mut names = pointer.split('/').skip(1);
    names.try_fold(value, |value, name| match value {
        Value::Object(fields) => fields.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
