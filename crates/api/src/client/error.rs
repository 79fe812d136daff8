//! Why a request came to nothing, and what to do about it.

use crate::problem::Code;
use maestria_kernel::decision::Answer;
use serde::Deserialize;
use std::{error::Error, fmt, io, path::PathBuf, time::Duration};

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// That is no address.
    #[error("`{given}` is no server's address: {why}")]
    Address {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another machine, and nothing to keep others from listening.
    #[error("{server} is another machine: over http, whoever is on the way can read the token and all that is said")]
    Plain {
        /// Which.
        server: String,
    },
    /// A token that cannot be sent.
    #[error("the token cannot be sent: {0}")]
    Token(String),
    /// Certificates that cannot be used.
    #[error("the certificates in {} cannot be used: {why}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system's own certificates cannot be used.
    #[error("the certificates that this system trusts cannot be used: {0}")]
    Authorities(String),
    /// Nobody is there.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// Which.
        server: String,
        /// What the system said.
        why: String,
    },
    /// Somebody is there, and cannot prove to be the server.
    #[error("{server} cannot prove who it is: {why}")]
    Untrusted {
        /// Which.
        server: String,
        /// What is wrong with its certificate.
        why: String,
    },
    /// No answer.
    #[error("{server} was silent for {seconds} s")]
    Silent {
        /// Which.
        server: String,
        /// How long.
        seconds: u64,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection to {server} was lost: {why}")]
    Lost {
        /// Which.
        server: String,
        /// How.
        why: String,
    },
    /// Whoever answers is no server of this API.
    #[error("{server} does not answer as a maestria server does: {why}")]
    Foreign {
        /// Which.
        server: String,
        /// What it says.
        why: String,
    },
    /// The server says no.
    #[error("{}", .0.detail)]
    Refused(Box<Refusal>),
}

/// A problem document, as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The code; `None` for one that this client does not know.
    pub code: Option<Code>,
    /// The code's word.
    pub word: String,
    /// The HTTP status.
    pub status: u16,
    /// The sentence of the code.
    pub title: String,
    /// What happened here.
    pub detail: String,
    /// What to do.
    pub hint: Option<String>,
    /// The place of the mistake in the request.
    pub field: Option<String>,
    /// The request's id, which is in the server's log, too.
    pub request_id: String,
    /// With [`Code::AlreadyDecided`]: who decided what.
    pub answer: Option<Answer>,
    /// Seconds after which to come again.
    pub after: Option<u64>,
}

/// A problem document of any version of the server.
#[derive(Deserialize)]
pub(super) struct Document {
    #[serde(default)]
    title: String,
    code: String,
    detail: String,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    answer: Option<Answer>,
}

impl Document {
    pub(super) fn into_error(self, status: u16, after: Option<u64>) -> ClientError {
        ClientError::Refused(Box::new(Refusal {
            code: serde_json::from_value(self.code.clone().into()).ok(),
            word: self.code,
            status,
            title: self.title,
            detail: self.detail,
            hint: self.hint,
            field: self.field,
            request_id: self.request_id,
            answer: self.answer,
            after,
        }))
    }
}

impl ClientError {
    /// What to do about it; may be empty.
    pub fn hint(&self) -> String {
        match self {
            Self::Address { .. } => "it is like http://127.0.0.1:8090 or https://build.example:8443".to_owned(),
            Self::Plain { .. } => {
                "name it with https://; `--allow-plain-http` says that the way there is safe, through a tunnel for instance"
                    .to_owned()
            }
            Self::Token(_) => "`maestria token show` on the server's machine prints it".to_owned(),
            Self::Authority { .. } => "it is PEM, as `--tls-cert` of `maestria serve` takes it".to_owned(),
            Self::Authorities(_) => "`--server-ca FILE` names the certificate of who signed the server's".to_owned(),
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Lost { .. } => {
                "`maestria serve` there starts it, and prints its address".to_owned()
            }
            Self::Untrusted { .. } => {
                "`--server-ca FILE` names the certificate of who signed the server's; the address must be a name that is in it"
                    .to_owned()
            }
            Self::Foreign { .. } => {
                "look at the address: http or https, the port; it may be a server of another version".to_owned()
            }
            Self::Refused(refusal) => refusal.hint.clone().unwrap_or_default(),
        }
    }

    /// The code of a refusal.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(refusal) => refusal.code,
            _ => None,
        }
    }

    /// Whether it may go well a little later: while a server is started again, for instance.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Lost { .. } => true,
            Self::Refused(refusal) => matches!(refusal.status, 429 | 503),
            _ => false,
        }
    }

    /// Whether it was not even looked at, because too much was asked.
    pub(super) fn is_too_early(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 429)
    }

    /// After which time the server wants to be asked again.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.after.map(|after| Duration::from_secs(after.min(10))),
            _ => None,
        }
    }

    /// What a failed exchange says.
    pub(super) fn of(server: String, error: &(dyn Error + 'static), is_connected: bool) -> Self {
        let why = reason(error);
        match tls(error) {
            Some(rustls::Error::InvalidCertificate(_)) => Self::Untrusted { server, why },
            Some(_) => Self::Foreign { server, why },
            None if !is_connected => Self::Unreachable { server, why },
            None if is_gibberish(error) => Self::Foreign { server, why },
            None => Self::Lost { server, why },
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// The last words of a chain of errors: the others only say that something failed.
fn reason(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// What TLS did not like.
fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error does not name the one within as its source.
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = within.and_then(|within| tls(within)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Whether what came is no HTTP.
fn is_gibberish(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref().is_some_and(hyper::Error::is_parse) {
            return true;
        }
        next = error.source();
    }
    false
}
