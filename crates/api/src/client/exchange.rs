//! One request and its answer: within time limits, of a bounded length, and as the type that was asked for.

use super::{Client, ClientError, error::Document, query::Query};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long the server may think. Some questions start programs there.
const THINKING: Duration = Duration::from_secs(120);

/// How long an answer may stand still.
const SILENCE: Duration = Duration::from_secs(30);

/// How long a server that was there may be away while something is read from it, and the first pause before it is asked again.
const AWAY: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// The longest answer taken.
const LONGEST: usize = 256 << 20;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// How much of an answer that makes no sense is repeated.
const SHOWN: usize = 120;

impl Client {
    /// Reads a value.
    pub(super) async fn get<T: DeserializeOwned>(&self, query: &Query) -> Result<T, ClientError> {
        let bytes = self.read(query, JSON).await?;
        self.value(&bytes)
    }

    /// Reads a text of some type.
    pub(super) async fn text(&self, query: &Query, kind: &'static str) -> Result<String, ClientError> {
        let bytes = self.read(query, kind).await?;
        String::from_utf8(bytes.into()).map_err(|_| self.foreign("its text is no UTF-8".to_owned()))
    }

    /// Reads. A server that has answered before may be away for a moment.
    async fn read(&self, query: &Query, kind: &'static str) -> Result<Bytes, ClientError> {
        let (begun, headers) = (Instant::now(), [(ACCEPT, kind)]);
        let mut pause = PAUSE;
        loop {
            let read = async {
                let sent = self.send(Method::GET, query.text(), Bytes::new(), &headers);
                self.whole_of(sent.await?, kind).await
            };
            match read.await {
                Err(error) if self.may_pass(&error, begun) => {
                    tokio::time::sleep(error.pause().unwrap_or(pause)).await;
                    pause *= 2;
                }
                read => return read,
            }
        }
    }

    fn may_pass(&self, error: &ClientError, begun: Instant) -> bool {
        error.is_passing() && begun.elapsed() < AWAY && self.0.answered.load(Ordering::Relaxed)
    }

    /// Reads all pages of a list.
    pub(super) async fn pages<T: DeserializeOwned>(&self, query: &Query) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page: crate::Page<T> = self.get(&query.clone().and("cursor", next.as_ref())).await?;
            items.extend(page.items);
            match page.next {
                None => return Ok(items),
                Some(given) if next.as_ref() == Some(&given) => {
                    return Err(self.foreign("its pages lead to themselves".to_owned()));
                }
                given => next = given,
            }
        }
    }

    /// Does something, once: a lost answer is asked for again under the same key, which is stored with what was done.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.foreign(error.to_string()))?;
        let body = Bytes::from(body);
        let key = Uuid::now_v7().simple().to_string();
        let headers = [
            (ACCEPT, JSON),
            (CONTENT_TYPE, JSON),
            (HeaderName::from_static("idempotency-key"), key.as_str()),
        ];
        let begun = Instant::now();
        let mut was_lost = false;
        loop {
            let done = async {
                let sent = self.send(Method::POST, path, body.clone(), &headers);
                self.whole_of(sent.await?, JSON).await
            };
            match done.await {
                // As soon as the server is there again.
                Err(ClientError::Lost { .. }) if !was_lost && self.health().await.is_ok() => was_lost = true,
                Err(error) if error.is_too_early() && begun.elapsed() < AWAY => {
                    tokio::time::sleep(error.pause().unwrap_or(PAUSE)).await;
                }
                done => return self.value(&done?),
            }
        }
    }

    /// Sends a request; an answer that is no success is an error.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        headers: &[(HeaderName, &str)],
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.0.address.to(path)?;
        let head = request.headers_mut();
        head.insert(AUTHORIZATION, self.0.credential.clone());
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|error| self.foreign(error.to_string()))?;
            head.insert(name.clone(), value);
        }
        let answered = tokio::time::timeout(THINKING, self.0.http.request(request)).await;
        let response = answered
            .map_err(|_| self.silent(THINKING))?
            .map_err(|error| ClientError::of(self.server(), &error, !error.is_connect()))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.refused(response).await)
        }
    }

    fn value<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(bytes).map_err(|error| self.foreign(format!("its answer cannot be read: {error}")))
    }

    async fn whole_of(&self, response: Response<Incoming>, kind: &str) -> Result<Bytes, ClientError> {
        self.check_kind(&response, kind)?;
        let whole = self.whole(response).await?;
        self.0.answered.store(true, Ordering::Relaxed);
        Ok(whole)
    }

    async fn refused(&self, response: Response<Incoming>) -> ClientError {
        let status = response.status();
        let after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|after| after.to_str().ok()?.parse().ok());
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            return self.foreign(format!(
                "it sends on to `{}`, where the token is not taken",
                clean(to.unwrap_or_default())
            ));
        }
        let is_problem = content_type(response.headers()).starts_with(PROBLEM);
        let bytes = match self.whole(response).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        match serde_json::from_slice::<Document>(&bytes) {
            Ok(document) if is_problem => document.into_error(status.as_u16(), after),
            _ => self.foreign(strange(status, &bytes)),
        }
    }

    /// The whole body.
    async fn whole(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let mut pieces = self.pieces_of(response);
        let mut whole = Vec::new();
        while let Some(piece) = pieces.next().await? {
            whole.extend_from_slice(&piece);
            if whole.len() > LONGEST {
                return Err(self.foreign(format!("its answer is longer than {LONGEST} bytes")));
            }
        }
        Ok(Bytes::from(whole))
    }

    /// Begins to read a text of some type that may be longer than memory is large.
    pub(super) async fn pieces(&self, query: &Query, kind: &'static str) -> Result<Pieces, ClientError> {
        let response = self
            .send(Method::GET, query.text(), Bytes::new(), &[(ACCEPT, kind)])
            .await?;
        self.check_kind(&response, kind)?;
        Ok(self.pieces_of(response))
    }

    fn pieces_of(&self, response: Response<Incoming>) -> Pieces {
        Pieces {
            client: self.clone(),
            body: response.into_body(),
        }
    }

    fn check_kind(&self, response: &Response<Incoming>, kind: &str) -> Result<(), ClientError> {
        let found = content_type(response.headers());
        if found.starts_with(kind) {
            return Ok(());
        }
        Err(self.foreign(format!("it answers with `{found}` where {kind} belongs")))
    }

    pub(super) fn silent(&self, limit: Duration) -> ClientError {
        ClientError::Silent {
            server: self.server(),
            seconds: limit.as_secs(),
        }
    }

    pub(super) fn foreign(&self, why: String) -> ClientError {
        ClientError::Foreign {
            server: self.server(),
            why,
        }
    }
}

/// A body as it comes.
#[derive(Debug)]
pub struct Pieces {
    client: Client,
    body: Incoming,
}

impl Pieces {
    /// What comes next; none at the end.
    ///
    /// # Errors
    /// [`ClientError::Lost`] or [`ClientError::Silent`] when it breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let frame = tokio::time::timeout(SILENCE, self.body.frame()).await;
            match frame.map_err(|_| self.client.silent(SILENCE))? {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::of(self.client.server(), &error, true)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

pub(super) fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    clean(kind.unwrap_or_default())
}

fn strange(status: StatusCode, body: &[u8]) -> String {
    let text = clean(&String::from_utf8_lossy(&body[..body.len().min(SHOWN)]));
    format!("status {} and `{text}`", status.as_u16())
}

/// What somebody else wrote, bounded and without what could drive a terminal.
fn clean(text: &str) -> String {
    text.chars()
        .take(SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
