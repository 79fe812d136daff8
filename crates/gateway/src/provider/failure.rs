//! What went wrong with a provider, sorted by what to do about it and by who is to blame.

use crate::wire::{Fault, Kind, text};
use hyper::{HeaderMap, StatusCode};
use maestria_kernel::model::ModelError;
use serde_json::Value;

/// The part of a provider's words that is shown.
const DETAIL: usize = 400;

/// Who is to blame, so that nobody else is benched for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The request; any provider would refuse it.
    Request,
    /// The key: missing, wrong, or out of credit.
    Key,
    /// The key has been used too often.
    Rate,
    /// The provider.
    Provider,
}

/// A call that failed before any content.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    pub(crate) blame: Blame,
    pub(crate) provider: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, blame: Blame, message: impl Into<String>) -> Self {
        Self {
            fault: Fault::new(kind, message),
            blame,
            provider: String::new(),
        }
    }

    pub(crate) fn provider(message: impl Into<String>) -> Self {
        Self::new(Kind::Overloaded, Blame::Provider, message)
    }

    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, Blame::Request, message)
    }

    /// The caller's pass was withdrawn: nobody waits for the answer any more.
    pub(crate) fn withdrawn() -> Self {
        let what = "the work that this key was for has ended";
        Self::new(Kind::Forbidden, Blame::Request, what)
    }

    /// Whether another try, or another provider, may do better.
    pub(crate) fn can_be_tried_again(&self) -> bool {
        self.blame != Blame::Request
    }

    /// With the provider's name before it and without keys in it; its own not even when it is too short for the funnel.
    pub(crate) fn named(mut self, provider: &str, key: Option<&str>) -> Self {
        let mut cleaned = maestria_secrets::funnel().clean(&self.fault.message).into_owned();
        if let Some(key) = key.filter(|k| !k.is_empty()) {
            cleaned = cleaned.replace(key, "…");
        }
        // Only then cut off: half a key is found by nobody.
        self.fault.message = cleaned.chars().take(DETAIL).collect();
        provider.clone_into(&mut self.provider);
        self
    }

    /// What a client is told.
    pub(crate) fn told(&self) -> Fault {
        let mut fault = self.fault.clone();
        if !self.provider.is_empty() {
            fault.message = format!("{}: {}", self.provider, fault.message);
        }
        // A client's key is fine; it is the gateway's key that the provider refused.
        if self.blame == Blame::Key {
            fault.kind = Kind::Upstream;
        }
        fault
    }

    /// A refusal by its status, headers and body.
    pub(crate) fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let wait = headers
            .get("retry-after")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.trim().parse::<f64>().ok());
        let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let words = message_of(&value).unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
        let message = format!("HTTP {}: {words}", status.as_u16());
        let by_status = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED => {
                Some((Kind::Unauthorised, Blame::Key))
            }
            StatusCode::TOO_MANY_REQUESTS if says(&words, &["insufficient_quota", "exceeded your current quota"]) => {
                Some((Kind::Limited, Blame::Key))
            }
            StatusCode::TOO_MANY_REQUESTS => Some((Kind::Limited, Blame::Rate)),
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => Some((Kind::Overloaded, Blame::Provider)),
            StatusCode::PAYLOAD_TOO_LARGE => Some((Kind::TooLarge, Blame::Request)),
            StatusCode::NOT_FOUND => Some((Kind::NotFound, Blame::Request)),
            status if status.is_server_error() => Some((Kind::Overloaded, Blame::Provider)),
            status if status.is_redirection() => Some((Kind::Upstream, Blame::Provider)),
            _ => None,
        };
        let mut failure = match by_status {
            Some((kind, blame)) => Self::new(kind, blame, message),
            None => Self::by_words(message),
        };
        failure.fault.retry_after = wait.filter(|w| w.is_finite() && *w >= 0.0).map(whole_seconds);
        failure
    }

    /// A failure told inside a stream or document that began well.
    pub(crate) fn of_fault(fault: Fault) -> Self {
        match fault.kind {
            Kind::Limited => Self {
                fault,
                blame: Blame::Rate,
                provider: String::new(),
            },
            Kind::Overloaded | Kind::TimedOut => Self {
                fault,
                blame: Blame::Provider,
                provider: String::new(),
            },
            _ => Self::by_words(fault.message),
        }
    }

    /// Failures that only their words tell apart.
    fn by_words(message: String) -> Self {
        let (kind, blame) = if says(
            &message,
            &[
                "context length",
                "context_length",
                "prompt is too long",
                "too many tokens",
                "maximum context",
                "input token count",
            ],
        ) {
            (Kind::TooLong, Blame::Request)
        } else if says(&message, &["rate limit", "rate_limit", "quota", "resource_exhausted"]) {
            (Kind::Limited, Blame::Rate)
        } else if says(&message, &["api key", "api_key", "unauthorized", "authentication"]) {
            (Kind::Unauthorised, Blame::Key)
        } else if says(
            &message,
            &[
                "overloaded",
                "unavailable",
                "timeout",
                "timed out",
                "internal",
                "no json",
            ],
        ) {
            (Kind::Overloaded, Blame::Provider)
        } else {
            (Kind::Invalid, Blame::Request)
        };
        Self::new(kind, blame, message)
    }
}

/// Rounded up, so that nobody comes too early.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; the cast saturates"
)]
fn whole_seconds(seconds: f64) -> u64 {
    seconds.ceil() as u64
}

fn says(message: &str, words: &[&str]) -> bool {
    let lower = message.to_lowercase();
    words.iter().any(|w| lower.contains(w))
}

/// The words of an error document.
pub(crate) fn message_of(value: &Value) -> Option<String> {
    let value = value.get(0).unwrap_or(value);
    let error = value.get("error")?;
    text(error, "/message").or_else(|| error.as_str()).map(str::to_owned)
}

impl From<Failure> for ModelError {
    fn from(failure: Failure) -> Self {
        let Failure { fault, blame, provider } = failure;
        let detail = fault.message;
        match (fault.kind, blame) {
            (Kind::TooLong | Kind::TooLarge, _) => Self::TooLong { provider, detail },
            (_, Blame::Key) => Self::Unauthorised { provider, detail },
            (_, Blame::Rate) => Self::RateLimited {
                provider,
                detail,
                retry_after_secs: fault.retry_after,
            },
            (_, Blame::Provider) => Self::Unavailable { provider, detail },
            (_, Blame::Request) => Self::Invalid { provider, detail },
        }
    }
}
