//! What is said when something cannot be done: RFC 9457, with codes that stay.

use maestria_kernel::decision::Answer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went wrong, for programs. Codes are never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The body is not JSON of the right shape.
    BadJson,
    /// A field or parameter that nobody knows.
    UnknownField,
    /// A field or parameter with a value that makes no sense.
    BadValue,
    /// A cursor of another query, or made up.
    BadCursor,
    /// An id of another kind, or none at all.
    BadId,
    /// No credential, or one that is not valid.
    Unauthorised,
    /// A sign-in code that is used, old or made up.
    BadCode,
    /// The role does not suffice.
    Forbidden,
    /// A page of somebody else's site asks.
    ForeignOrigin,
    /// The request is for another host.
    ForeignHost,
    /// No such path.
    UnknownPath,
    /// No such run.
    UnknownRun,
    /// No such task.
    UnknownTask,
    /// No such decision.
    UnknownDecision,
    /// No such agent.
    UnknownAgent,
    /// The path takes other methods.
    MethodNotAllowed,
    /// The run's state does not allow it.
    WrongState,
    /// Somebody has decided already.
    AlreadyDecided,
    /// The idempotency key came with another request before.
    KeyReused,
    /// The body is too long.
    TooLarge,
    /// The body is of another type.
    NotJson,
    /// No way to answer this decision.
    NoChoice,
    /// A task text that is not taken.
    BadTask,
    /// A target that is not taken.
    BadTarget,
    /// No model can answer.
    NoRoute,
    /// A plan that cannot be executed.
    BadPlan,
    /// No plan could be made, or none in time.
    NoPlan,
    /// Too many requests.
    RateLimited,
    /// A defect.
    Internal,
    /// The disk refuses.
    StoreUnavailable,
    /// The server is ending.
    Stopping,
}

impl Code {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadJson | Self::UnknownField | Self::BadValue | Self::BadCursor | Self::BadId => 400,
            Self::Unauthorised | Self::BadCode => 401,
            Self::Forbidden | Self::ForeignOrigin | Self::ForeignHost => 403,
            Self::UnknownPath | Self::UnknownRun | Self::UnknownTask | Self::UnknownDecision | Self::UnknownAgent => {
                404
            }
            Self::MethodNotAllowed => 405,
            Self::WrongState | Self::AlreadyDecided | Self::KeyReused => 409,
            Self::TooLarge => 413,
            Self::NotJson => 415,
            Self::NoChoice | Self::BadTask | Self::BadTarget | Self::NoRoute | Self::BadPlan | Self::NoPlan => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::StoreUnavailable | Self::Stopping => 503,
        }
    }

    /// The same sentence each time it happens.
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadJson => "The body cannot be read",
            Self::UnknownField => "A field is unknown",
            Self::BadValue => "A value makes no sense",
            Self::BadCursor => "The cursor is not of this list",
            Self::BadId => "The id is not of this kind",
            Self::Unauthorised => "A valid credential is missing",
            Self::BadCode => "The sign-in code is not valid",
            Self::Forbidden => "The role does not suffice",
            Self::ForeignOrigin => "The request comes from another site",
            Self::ForeignHost => "The request is for another host",
            Self::UnknownPath => "There is no such path",
            Self::UnknownRun => "There is no such run",
            Self::UnknownTask => "There is no such task",
            Self::UnknownDecision => "There is no such decision",
            Self::UnknownAgent => "There is no such agent",
            Self::MethodNotAllowed => "The path takes other methods",
            Self::WrongState => "The run is in the wrong state",
            Self::AlreadyDecided => "It is decided already",
            Self::KeyReused => "The idempotency key belongs to another request",
            Self::TooLarge => "The body is too long",
            Self::NotJson => "The body is not JSON",
            Self::NoChoice => "That is no answer to this decision",
            Self::BadTask => "The task text is not taken",
            Self::BadTarget => "The target is not taken",
            Self::NoRoute => "No model can answer",
            Self::BadPlan => "The plan cannot be executed",
            Self::NoPlan => "No plan could be made",
            Self::RateLimited => "Too many requests",
            Self::Internal => "This is a defect of maestria",
            Self::StoreUnavailable => "The store cannot be used",
            Self::Stopping => "The server is ending",
        }
    }
}

/// A problem document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:maestria:problem:CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// [`Code::title`].
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The code.
    pub code: Code,
    /// What happened here, with the value, for people.
    pub detail: String,
    /// What to do.
    pub hint: Option<String>,
    /// The request's id, which is in the log, too.
    pub request_id: String,
    /// The place of the mistake in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// With [`Code::AlreadyDecided`]: who decided what, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}
