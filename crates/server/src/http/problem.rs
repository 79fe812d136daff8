//! What is said when something cannot be done.

use super::repeats;
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maestria_api::problem::{Code, Problem};
use maestria_engine::EngineError;
use maestria_kernel::{Refused, decision::Answer, port::StoreError};

/// Why a request is not done. It becomes a [`Problem`] when the request's id is known.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) detail: String,
    pub(crate) hint: Option<String>,
    pub(crate) field: Option<String>,
    pub(crate) answer: Option<Box<Answer>>,
    /// Seconds after which to come again.
    pub(crate) after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            hint: None,
            field: None,
            answer: None,
            after: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub(crate) fn method() -> Self {
        Self::new(Code::MethodNotAllowed, "the path is there, but not for this method")
    }

    pub(crate) fn unauthorised() -> Self {
        Self::new(Code::Unauthorised, "send `authorization: Bearer TOKEN`")
            .hint("`maestria token show` prints the token of this server")
    }

    pub(crate) fn document(&self, request_id: &str) -> Problem {
        let code = serde_json::to_value(self.code).unwrap_or_default();
        Problem {
            kind: format!("urn:maestria:problem:{}", code.as_str().unwrap_or_default()),
            title: self.code.title().to_owned(),
            status: self.code.status(),
            code: self.code,
            detail: maestria_secrets::funnel().clean(&self.detail).into_owned(),
            hint: self.hint.clone(),
            request_id: request_id.to_owned(),
            field: self.field.clone(),
            answer: self.answer.as_deref().cloned(),
        }
    }

    /// The answer, under a request's id.
    pub(crate) fn respond(&self, request_id: &str) -> Response {
        let text = serde_json::to_string(&self.document(request_id)).unwrap_or_default();
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(after) = self.after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after));
        }
        if self.code == Code::Unauthorised {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The guard writes the document, because it knows the request's id.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Repeated(_)) {
            return repeats::reused();
        }
        tracing::error!(%error, "the store failed a request");
        Self {
            after: Some(5),
            ..Self::new(Code::StoreUnavailable, error.to_string())
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "a file of the store cannot be read");
        Self::new(Code::StoreUnavailable, error.to_string())
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let code = match &refused {
            Refused::Exists
            | Refused::State { .. }
            | Refused::Work(_)
            | Refused::NoReviewer
            | Refused::Deaf { .. }
            | Refused::Stale { .. } => Code::WrongState,
            Refused::Unknown => Code::UnknownRun,
            Refused::NoTask(_) => Code::UnknownTask,
            Refused::NoLeave(_) | Refused::NoReview(_) | Refused::NoDecision(_) => Code::UnknownDecision,
            Refused::Answered { .. } => Code::AlreadyDecided,
            Refused::NoChoice { .. } => Code::NoChoice,
            Refused::Plan(_) => Code::BadPlan,
            Refused::NotObservation(_) | Refused::Message(_) => Code::BadValue,
        };
        Self::new(code, refused.to_string())
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::Refused(refused) => refused.into(),
            EngineError::Task(bad) => Self::new(Code::BadTask, bad.to_string()).field("text"),
            // The process that drives the run says only the sentence.
            EngineError::RefusedElsewhere(why) if why.contains("was answered already") => {
                Self::new(Code::AlreadyDecided, why)
            }
            EngineError::RefusedElsewhere(why) => Self::new(Code::WrongState, why),
            error @ (EngineError::Lease(_) | EngineError::NoAnswer { .. }) => {
                Self::new(Code::WrongState, error.to_string()).hint("try again in a moment")
            }
            error @ EngineError::Bug { .. } => {
                tracing::error!(%error, "a request met a defect");
                Self::new(Code::Internal, error.to_string())
            }
        }
    }
}
