//! A span, before it is written down for a collector.

use maestria_kernel::{
    At,
    trace::{SpanId, TraceId},
};

/// Something that took its time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) begun: At,
    pub(super) ended: At,
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// It failed; of what kind the failure is says `error.type`.
    pub(super) failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Within Maestria.
    Internal,
    /// A client's request.
    Server,
    /// A request to somebody else.
    Client,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Count(i64),
    Real(f64),
    Flag(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<u16> for Value {
    fn from(count: u16) -> Self {
        Self::Count(count.into())
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl Span {
    pub(super) fn new(trace: TraceId, id: SpanId, name: impl Into<String>, (begun, ended): (At, At)) -> Self {
        Self {
            trace,
            id,
            parent: None,
            name: name.into(),
            kind: Kind::Internal,
            begun,
            // Clocks are set; nothing ends before it has begun.
            ended: ended.max(begun),
            attributes: Vec::new(),
            failed: false,
        }
    }

    #[must_use]
    pub(super) fn under(mut self, parent: impl Into<Option<SpanId>>) -> Self {
        self.parent = parent.into();
        self
    }

    #[must_use]
    pub(super) const fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// With an attribute that is left out where there is nothing to say.
    #[must_use]
    pub(super) fn maybe(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// As failed, with the kind of failure, unless that is `None`.
    #[must_use]
    pub(super) fn failing(mut self, kind: Option<impl Into<Value>>) -> Self {
        self.failed = kind.is_some();
        self.maybe(super::convention::ERROR_TYPE, kind)
    }
}
