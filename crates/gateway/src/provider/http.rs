//! A provider over HTTP: one streamed call, its errors sorted by what to do about them.

use crate::wire::{Dialect, Draft, sse::Events};
use futures_util::StreamExt as _;
use maestria_kernel::model::{ModelError, ModelReply, ModelRequest};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use std::{fmt, sync::OnceLock, time::Duration};

/// The longest silence of a provider.
const SILENCE: Duration = Duration::from_secs(180);

/// Tries of one call, as long as nothing was received.
const TRIES: u32 = 3;

/// The part of an error's body that is shown.
const DETAIL: usize = 400;

/// A provider over HTTP.
pub struct Http {
    name: String,
    dialect: Dialect,
    base: String,
    key: Option<String>,
    local: bool,
    client: OnceLock<Result<Client, String>>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("name", &self.name)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// A provider at a base URL. Nothing is opened before the first call.
    pub fn new(name: String, dialect: Dialect, base: &str, key: Option<String>, local: bool) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self {
            name,
            dialect,
            base,
            key,
            local,
            client: OnceLock::new(),
        }
    }

    /// Whether its calls cost nothing.
    pub const fn is_local(&self) -> bool {
        self.local
    }

    fn client(&self) -> Result<&Client, ModelError> {
        let build = || {
            // Only once in a process; a second call finds the provider installed.
            let _ = rustls::crypto::ring::default_provider().install_default();
            Client::builder()
                .no_proxy()
                .connect_timeout(Duration::from_secs(15))
                .read_timeout(SILENCE)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .map_err(|e| e.to_string())
        };
        self.client
            .get_or_init(build)
            .as_ref()
            .map_err(|detail| self.unavailable(detail.clone()))
    }

    fn unavailable(&self, detail: String) -> ModelError {
        ModelError::Unavailable {
            provider: self.name.clone(),
            detail,
        }
    }

    /// Calls the model; tries again, with a growing wait, while nothing was received.
    ///
    /// # Errors
    /// [`ModelError`], sorted by what to do about it.
    pub async fn call(
        &self,
        request: &ModelRequest,
        on_text: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let (error, received) = match self.once(request, on_text).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let again = matches!(error, ModelError::Unavailable { .. }) && !received && tried < TRIES;
            if !again {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(250 << tried)).await;
        }
    }

    /// One try. The second part of a failure says whether content had been received.
    async fn once(
        &self,
        request: &ModelRequest,
        on_text: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<ModelReply, (ModelError, bool)> {
        let before = |error| (error, false);
        let url = format!("{}{}", self.base, self.dialect.path(&request.model.model));
        let mut call = self.client().map_err(before)?.post(url);
        if let Some(key) = &self.key {
            let (name, value) = self.dialect.key_header(key);
            call = call.header(name, value);
        }
        if self.dialect == Dialect::Anthropic {
            call = call.header("anthropic-version", "2023-06-01");
        }
        let body =
            serde_json::to_vec(&self.dialect.encode(request)).map_err(|e| before(self.invalid(e.to_string())))?;
        let sent = call.header("content-type", "application/json").body(body).send().await;
        let response = sent.map_err(|e| before(self.unavailable(reason(&e))))?;
        if !response.status().is_success() {
            return Err(before(self.refused(response).await));
        }
        self.read(response, on_text).await
    }

    async fn read(
        &self,
        response: Response,
        on_text: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<ModelReply, (ModelError, bool)> {
        let (mut events, mut draft) = (Events::default(), Draft::default());
        let mut stream = response.bytes_stream();
        let mut rest = Vec::new();
        while let Some(chunk) = stream.next().await {
            let received = !draft.text.is_empty() || !draft.calls.is_empty();
            let chunk = chunk.map_err(|e| {
                (
                    self.unavailable(format!("the stream was cut: {}", reason(&e))),
                    received,
                )
            })?;
            rest.extend_from_slice(&chunk[..chunk.len().min(DETAIL.saturating_sub(rest.len()))]);
            let whole = events
                .feed(&chunk)
                .map_err(|_| (self.invalid("an event does not end".to_owned()), received))?;
            self.take(&mut draft, &whole, on_text);
        }
        self.take(&mut draft, events.end().as_slice(), on_text);
        let received = !draft.text.is_empty() || !draft.calls.is_empty();
        if let Some(error) = draft.error.take() {
            return Err((self.by_words(&error), received));
        }
        if draft.stop.is_none() {
            let body = String::from_utf8_lossy(&rest).into_owned();
            let error = match serde_json::from_str::<Value>(&body).ok().and_then(|v| message_of(&v)) {
                Some(message) => self.by_words(&message),
                None => self.unavailable("the stream ended before the answer did".to_owned()),
            };
            return Err((error, received));
        }
        draft.finish().map_err(|detail| (self.invalid(detail), true))
    }

    fn take(&self, draft: &mut Draft, whole: &[String], on_text: &(dyn Fn(&str) + Send + Sync)) {
        for data in whole {
            let had = draft.text.len();
            match serde_json::from_str::<Value>(data) {
                Ok(value) => self.dialect.decode(draft, &value),
                Err(_) if data.trim() == "[DONE]" => {}
                Err(error) => draft.error = Some(format!("an event is no JSON: {error}")),
            }
            if let Some(new) = draft.text.get(had..).filter(|t| !t.is_empty()) {
                on_text(new);
            }
        }
    }

    async fn refused(&self, response: Response) -> ModelError {
        let status = response.status();
        let wait = response
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse().ok());
        let body = response.text().await.unwrap_or_default();
        let message = serde_json::from_str::<Value>(&body)
            .ok()
            .and_then(|v| message_of(&v))
            .unwrap_or(body);
        let detail = format!("HTTP {}: {}", status.as_u16(), self.redact(&message));
        let provider = self.name.clone();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ModelError::Unauthorised { provider, detail },
            StatusCode::TOO_MANY_REQUESTS => ModelError::RateLimited {
                provider,
                detail,
                retry_after_secs: wait,
            },
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => ModelError::Unavailable { provider, detail },
            status if status.is_server_error() => ModelError::Unavailable { provider, detail },
            StatusCode::PAYLOAD_TOO_LARGE => ModelError::TooLong { provider, detail },
            _ => self.by_words(&detail),
        }
    }

    /// Errors that only their words tell apart.
    fn by_words(&self, message: &str) -> ModelError {
        let lower = message.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|w| lower.contains(w));
        let (provider, detail) = (self.name.clone(), self.redact(message));
        if says(&[
            "context length",
            "context_length",
            "prompt is too long",
            "too many tokens",
            "maximum context",
            "input token count",
        ]) {
            ModelError::TooLong { provider, detail }
        } else if says(&["rate limit", "rate_limit", "quota", "resource_exhausted"]) {
            ModelError::RateLimited {
                provider,
                detail,
                retry_after_secs: None,
            }
        } else if says(&["api key", "api_key", "unauthorized", "authentication"]) {
            ModelError::Unauthorised { provider, detail }
        } else if says(&["overloaded", "unavailable", "timeout", "timed out", "internal"]) {
            ModelError::Unavailable { provider, detail }
        } else {
            ModelError::Invalid { provider, detail }
        }
    }

    fn invalid(&self, detail: String) -> ModelError {
        ModelError::Invalid {
            provider: self.name.clone(),
            detail,
        }
    }

    /// The words of an error without our key in them.
    fn redact(&self, text: &str) -> String {
        let text: String = text.chars().take(DETAIL).collect();
        match self.key.as_deref().filter(|k| !k.is_empty()) {
            Some(key) => text.replace(key, "…"),
            None => text,
        }
    }
}

fn message_of(value: &Value) -> Option<String> {
    let value = value.get(0).unwrap_or(value);
    let error = value.get("error")?;
    error
        .get("message")
        .and_then(Value::as_str)
        .or_else(|| error.as_str())
        .map(str::to_owned)
}

/// What went wrong, without the URL (it may carry secrets).
fn reason(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "it was silent for too long".to_owned()
    } else if error.is_connect() {
        "it cannot be reached".to_owned()
    } else {
        "the connection failed".to_owned()
    };
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
