//! `[telemetry]`, and the variables of OpenTelemetry that mean the same.

use super::value::Reader;
use maestria_secrets::Secret;

/// Where traces go.
#[derive(Debug, Clone, Default)]
pub struct TelemetryTable {
    /// The collector's base address; none: no traces.
    pub endpoint: Option<String>,
    /// Headers that it wants, such as a key.
    pub headers: Vec<(String, Secret)>,
    /// So many of all traces are kept, in percent.
    pub sample_percent: u8,
    /// Spans hold what people and agents have said, too.
    pub contents: bool,
}

impl TelemetryTable {
    pub(super) fn resolve(get: &mut Reader<'_>) -> Self {
        let headers = get.layers.below("telemetry.headers");
        for (name, value) in &headers {
            let fits = hyper::header::HeaderName::try_from(name).is_ok()
                && hyper::header::HeaderValue::try_from(value).is_ok();
            if !fits {
                get.wrong
                    .push(format!("`telemetry.headers.{name}` cannot be sent as a header"));
            }
        }
        let secret = |(name, value): (String, String)| {
            let secret = Secret::known(&name, value);
            (name, secret)
        };
        Self {
            endpoint: get.url("telemetry.otlp_endpoint").filter(|url| !url.is_empty()),
            headers: headers.into_iter().map(secret).collect(),
            sample_percent: get.fraction("telemetry.sample"),
            contents: get.flag("telemetry.contents").unwrap_or(false),
        }
    }

    /// So many traces are kept, if any are told at all.
    pub(crate) fn traced(&self) -> Option<u8> {
        self.endpoint.as_ref().map(|_| self.sample_percent)
    }
}

/// The headers of `OTEL_EXPORTER_OTLP_HEADERS`: pairs with commas between them, their values percent-encoded.
pub(super) fn headers(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().to_lowercase(), decoded(value.trim())?))
        })
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let digits = part.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}
