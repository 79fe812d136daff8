//! A client's request: the little that is read of it when it is passed on as it is, and all of it when it is not.

use crate::{
    tokens::{self, Counted},
    wire::{Ask, Dialect, Fault, Kind, Losses, Manner, Unreadable},
};
use bytes::Bytes;
use hyper::HeaderMap;
use maestria_kernel::{At, ledger::CallRow, trace::Place};
use serde::Deserialize;
use serde_json::Value;
use sonic_rs::LazyValue;
use std::{
    ops::Range,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An answer.
    Answer,
    /// Vectors.
    Embeddings,
    /// How many tokens it is.
    Count,
}

impl Wanted {
    /// The word of the books.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "chat",
            Self::Embeddings => "embeddings",
            Self::Count => "count_tokens",
        }
    }
}

/// A request, read as far as its handling needs it.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) at: At,
    pub(crate) face: Dialect,
    pub(crate) wanted: Wanted,
    pub(crate) model: String,
    pub(crate) stream: bool,
    /// A Gemini stream is to come as one JSON list.
    pub(crate) array: bool,
    pub(crate) body: Bytes,
    /// Headers that belong to the dialect.
    pub(crate) headers: HeaderMap,
    /// The query's part that belongs to the dialect.
    pub(crate) query: &'static str,
    /// The most tokens to answer with.
    pub(crate) max_tokens: Option<u64>,
    /// No answer that was given before will do.
    pub(crate) fresh: bool,
    /// The path it came in by, without the model's name; empty for the gateway's own.
    pub(crate) door: &'static str,
    /// The trace it came with.
    pub(crate) trace: Option<Place>,
    /// How long it has waited for its client's rate.
    waited: OnceLock<Duration>,
    model_at: Option<Range<usize>>,
    usage: UsageWish,
    ask: OnceLock<Result<Arc<Ask>, Unreadable>>,
    counted: OnceLock<Option<Counted>>,
}

/// Whether a chat stream is to end with its usage.
#[derive(Debug, Clone, PartialEq, Eq)]
enum UsageWish {
    Wanted,
    /// Not asked for: the gateway needs it and hides it from the client.
    Absent,
    /// Options without it, at this place.
    Declined(Range<usize>),
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow, default)]
    model: Option<LazyValue<'a>>,
    #[serde(borrow, default)]
    stream: Option<LazyValue<'a>>,
    #[serde(borrow, default)]
    stream_options: Option<LazyValue<'a>>,
    #[serde(borrow, default)]
    max_tokens: Option<LazyValue<'a>>,
    #[serde(borrow, default)]
    max_completion_tokens: Option<LazyValue<'a>>,
    #[serde(borrow, default)]
    max_output_tokens: Option<LazyValue<'a>>,
    #[serde(borrow, default, rename = "generationConfig")]
    generation: Option<LazyValue<'a>>,
}

/// Where a request came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) face: Dialect,
    pub(crate) wanted: Wanted,
    /// The model, where the path names it.
    pub(crate) model: Option<String>,
    /// Whether it streams, where the path says so.
    pub(crate) stream: Option<bool>,
    pub(crate) array: bool,
    pub(crate) query: &'static str,
}

impl Door {
    /// Where vectors are asked for.
    pub(crate) const EMBEDDINGS: Self = Self {
        face: Dialect::OpenAi,
        wanted: Wanted::Embeddings,
        model: None,
        stream: None,
        array: false,
        query: "",
    };

    /// The path, without the model's name.
    pub(crate) const fn path(&self) -> &'static str {
        match (self.face, self.wanted) {
            (Dialect::OpenAi, Wanted::Embeddings) => "/v1/embeddings",
            (Dialect::OpenAi, _) => "/v1/chat/completions",
            (Dialect::Responses, _) => "/v1/responses",
            (Dialect::Anthropic, Wanted::Count) => "/v1/messages/count_tokens",
            (Dialect::Anthropic, _) => "/v1/messages",
            (Dialect::Gemini, Wanted::Count) => "/v1beta/models/{model}:countTokens",
            (Dialect::Gemini, _) if matches!(self.stream, Some(true)) => "/v1beta/models/{model}:streamGenerateContent",
            (Dialect::Gemini, _) => "/v1beta/models/{model}:generateContent",
        }
    }
}

impl Question {
    /// Reads what is needed of a request's body.
    pub(crate) fn read(id: String, at: At, door: Door, headers: HeaderMap, body: Bytes) -> Result<Self, Fault> {
        let invalid = |what: String| Fault::new(Kind::Invalid, what);
        // A list would be taken for the fields in their order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(invalid("the body is no JSON object".to_owned()));
        }
        // The reader takes bytes for text before it has looked at all of them.
        let text = std::str::from_utf8(&body).map_err(|e| invalid(format!("the body is no JSON: {e}")))?;
        let peek: Peek<'_> = sonic_rs::from_str(text).map_err(|e| invalid(format!("the body is no JSON: {e}")))?;
        let place = |raw: &LazyValue<'_>| {
            let raw = raw.as_raw_str();
            let start = raw.as_ptr() as usize - body.as_ptr() as usize;
            start..start + raw.len()
        };
        let model = match (door.model, &peek.model) {
            (Some(model), _) => model,
            (None, Some(raw)) => {
                serde_json::from_str(raw.as_raw_str()).map_err(|_| invalid("`model` is no text".to_owned()))?
            }
            (None, None) => return Err(invalid("`model` is missing".to_owned())),
        };
        let stream = match (door.stream, &peek.stream) {
            (Some(stream), _) => stream,
            (None, None) => false,
            (None, Some(raw)) => serde_json::from_str::<Option<bool>>(raw.as_raw_str())
                .map_err(|_| invalid("`stream` is neither true nor false".to_owned()))?
                .unwrap_or(false),
        };
        let count = |raw: &Option<LazyValue<'_>>| serde_json::from_str::<u64>(raw.as_ref()?.as_raw_str()).ok();
        let generation = || {
            let config: Value = serde_json::from_str(peek.generation.as_ref()?.as_raw_str()).ok()?;
            config["maxOutputTokens"].as_u64()
        };
        let usage = match &peek.stream_options {
            None => UsageWish::Absent,
            Some(raw) => match serde_json::from_str::<Value>(raw.as_raw_str()) {
                Ok(options) if options["include_usage"] == true => UsageWish::Wanted,
                _ => UsageWish::Declined(place(raw)),
            },
        };
        Ok(Self {
            id,
            at,
            face: door.face,
            wanted: door.wanted,
            model,
            stream,
            array: door.array,
            query: door.query,
            fresh: false,
            door: "",
            trace: None,
            waited: OnceLock::new(),
            max_tokens: count(&peek.max_completion_tokens)
                .or_else(|| count(&peek.max_tokens))
                .or_else(|| count(&peek.max_output_tokens))
                .or_else(generation),
            model_at: peek.model.as_ref().map(place).filter(|_| door.face != Dialect::Gemini),
            usage,
            body,
            headers,
            ask: OnceLock::new(),
            counted: OnceLock::new(),
        })
    }

    /// Notes how long it has waited for its client's rate.
    pub(crate) fn note_wait(&self, waited: Duration) {
        // It waits once.
        let _ = self.waited.set(waited);
    }

    /// What the books say of it before it is answered.
    pub(crate) fn row(&self) -> CallRow {
        let waited = self.waited.get().copied().unwrap_or_default();
        CallRow {
            at: self.at,
            request: self.id.clone(),
            asked: self.model.clone(),
            door: self.door.to_owned(),
            operation: self.wanted.as_str().to_owned(),
            waited_millis: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            trace: self.trace.map(|place| place.to_string()),
            ..CallRow::default()
        }
    }

    /// All of the request.
    pub(crate) fn ask(&self) -> Result<Arc<Ask>, Unreadable> {
        let read = || {
            let body: Value = serde_json::from_slice(&self.body).map_err(|e| Unreadable::new("body", e.to_string()))?;
            self.face.read(&body, &self.model, self.stream).map(Arc::new)
        };
        self.ask.get_or_init(read).clone()
    }

    /// Counts its tokens, away from where others wait; `None` when it cannot be read.
    pub(crate) async fn count(&self) -> Option<Counted> {
        if self.counted.get().is_none() {
            let counted = match self.ask() {
                Ok(ask) => tokio::task::spawn_blocking(move || tokens::of_ask(&ask)).await.ok(),
                Err(_) => None,
            };
            return *self.counted.get_or_init(|| counted);
        }
        self.counted()
    }

    /// Its tokens, if they were counted.
    pub(crate) fn counted(&self) -> Option<Counted> {
        self.counted.get().copied().flatten()
    }

    /// Whether the usage at the end of the stream is the gateway's own wish.
    pub(crate) fn hides_usage(&self) -> bool {
        self.face == Dialect::OpenAi && self.stream && self.usage != UsageWish::Wanted
    }

    /// The body for a provider of the same dialect: as it came, but for the model's name and the wish for usage.
    pub(crate) fn body_for(&self, model: &str) -> Bytes {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        if let Some(place) = self.model_at.clone().filter(|_| model != self.model) {
            edits.push((place, Value::from(model).to_string()));
        }
        if self.hides_usage() && self.wanted == Wanted::Answer {
            match &self.usage {
                UsageWish::Declined(place) => edits.push((place.clone(), "{\"include_usage\":true}".to_owned())),
                UsageWish::Absent | UsageWish::Wanted => {
                    if let Some(start) = memchr::memchr(b'{', &self.body) {
                        let option = "\"stream_options\":{\"include_usage\":true},".to_owned();
                        edits.push((start + 1..start + 1, option));
                    }
                }
            }
        }
        if edits.is_empty() {
            return self.body.clone();
        }
        edits.sort_by_key(|(place, _)| place.start);
        let mut out = Vec::with_capacity(self.body.len() + 64);
        let mut from = 0;
        for (place, text) in edits {
            out.extend_from_slice(&self.body[from..place.start]);
            out.extend_from_slice(text.as_bytes());
            from = place.end;
        }
        out.extend_from_slice(&self.body[from..]);
        out.into()
    }

    /// The path at a provider of the same dialect.
    pub(crate) fn path_for(&self, model: &str) -> String {
        let path = match (self.wanted, self.face) {
            (Wanted::Embeddings, _) => "/embeddings".to_owned(),
            (Wanted::Count, Dialect::Gemini) => format!("/v1beta/models/{model}:countTokens"),
            (Wanted::Count, _) => "/v1/messages/count_tokens".to_owned(),
            (Wanted::Answer, face) => face.path(model, self.stream),
        };
        path + self.query
    }

    /// What the answer must look like.
    pub(crate) fn manner(&self) -> Manner {
        let read = self.ask.get().and_then(|read| read.as_ref().ok());
        let free = read
            .into_iter()
            .flat_map(|a| &a.tools)
            .filter(|t| t.free)
            .map(|t| t.name.clone());
        Manner {
            request: self.id.clone(),
            prefix: self.face.id_prefix(),
            model: self.model.clone(),
            now: self.at.0.div_euclid(1000),
            stream_usage: self.usage == UsageWish::Wanted,
            array: self.array,
            free: free.collect(),
        }
    }

    /// A bound on the tokens that are sent: no token is shorter than a byte.
    pub(crate) fn most_input(&self) -> u64 {
        // A picture that is only pointed to is in no body; some thousand tokens cover it.
        self.body.len() as u64 + 4_096
    }
}

/// The losses as a header can carry them.
pub(crate) fn in_header(losses: &Losses) -> String {
    losses
        .to_string()
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(1_000)
        .collect()
}

#[cfg(test)]
mod tests;
