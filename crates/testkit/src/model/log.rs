//! What was asked, for tests to look at: bounded, without keys.

use std::collections::VecDeque;

use hyper::HeaderMap;
use serde_json::Value;

use super::dialect::Dialect;

const SECRET: &[&str] = &[
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "cookie",
    "proxy-authorization",
];
const REDACTED: &str = "<redacted>";

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    /// GET, HEAD, POST.
    pub method: String,
    /// Path and query; the value of a `key` parameter is redacted.
    pub path: String,
    /// Header names in lower case; values of keys are redacted.
    pub headers: Vec<(String, String)>,
    /// The body, `Null` when there was none or it was not JSON.
    pub body: Value,
    /// The dialect of a model request.
    pub dialect: Option<Dialect>,
}

impl Asked {
    /// How many requests are kept; older ones are forgotten.
    pub const KEPT: usize = 256;

    pub(crate) fn new(method: &str, path: &str, headers: &HeaderMap, body: &Value, dialect: Option<Dialect>) -> Self {
        let shown = |name: &str, value: &str| {
            if SECRET.contains(&name) {
                REDACTED.to_owned()
            } else {
                value.to_owned()
            }
        };
        let headers = headers.iter().map(|(name, value)| {
            (
                name.to_string(),
                shown(name.as_str(), &String::from_utf8_lossy(value.as_bytes())),
            )
        });
        Self {
            method: method.to_owned(),
            path: without_key(path),
            headers: headers.collect(),
            body: body.clone(),
            dialect,
        }
    }

    /// The value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

fn without_key(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| {
            if pair.starts_with("key=") {
                format!("key={REDACTED}")
            } else {
                pair.to_owned()
            }
        })
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

/// The last requests.
#[derive(Debug, Default)]
pub(crate) struct Log {
    kept: VecDeque<Asked>,
    total: u64,
}

impl Log {
    pub(crate) fn push(&mut self, asked: Asked) {
        if self.kept.len() == Asked::KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(asked);
        self.total += 1;
    }

    pub(crate) fn all(&self) -> Vec<Asked> {
        self.kept.iter().cloned().collect()
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}
