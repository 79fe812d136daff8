//! Spans as OTLP has them (<https://opentelemetry.io/docs/specs/otlp/>, protobuf over HTTP). Every text passes the funnel here:
//! no secret leaves in a span.

use super::{
    convention::{SCHEMA, SERVICE_NAME, SERVICE_VERSION},
    span::{Kind, Span, Value},
};
use maestria_kernel::At;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span as Written, Status, span::SpanKind, status::StatusCode},
};
use prost::Message as _;

/// The longest text of an attribute, in characters.
const LONGEST: usize = 4096;

/// Spans in a body for `POST /v1/traces`.
pub(super) fn encode(spans: &[Span]) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            pair(SERVICE_NAME, &Value::from("maestria")),
            pair(SERVICE_VERSION, &Value::from(env!("CARGO_PKG_VERSION"))),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "maestria".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: spans.iter().map(written).collect(),
                schema_url: SCHEMA.to_owned(),
            }],
            schema_url: SCHEMA.to_owned(),
        }],
    };
    request.encode_to_vec()
}

/// How many spans a collector that took the body has thrown away, and why.
pub(super) fn rejected(body: &[u8]) -> Option<(usize, String)> {
    let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success?;
    let count = usize::try_from(partial.rejected_spans)
        .ok()
        .filter(|count| *count > 0)?;
    Some((count, partial.error_message))
}

fn written(span: &Span) -> Written {
    let status = span.failed.then(|| Status {
        code: StatusCode::Error.into(),
        ..Status::default()
    });
    Written {
        trace_id: span.trace.0.to_vec(),
        span_id: span.id.0.to_vec(),
        parent_span_id: span.parent.map(|id| id.0.to_vec()).unwrap_or_default(),
        name: clean(&span.name),
        kind: match span.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
        }
        .into(),
        start_time_unix_nano: nanos(span.begun),
        end_time_unix_nano: nanos(span.ended),
        attributes: span.attributes.iter().map(|(name, value)| pair(name, value)).collect(),
        status,
        ..Written::default()
    }
}

fn nanos(at: At) -> u64 {
    u64::try_from(at.0).unwrap_or(0).saturating_mul(1_000_000)
}

fn clean(text: &str) -> String {
    let clean = maestria_secrets::funnel().clean(text);
    match clean.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean.into_owned(),
    }
}

fn pair(name: &str, value: &Value) -> KeyValue {
    use any_value::Value as V;
    let text = |text: &String| V::StringValue(clean(text));
    let value = match value {
        Value::Text(one) => text(one),
        Value::Texts(all) => V::ArrayValue(ArrayValue {
            values: all.iter().map(|one| AnyValue { value: Some(text(one)) }).collect(),
        }),
        Value::Count(count) => V::IntValue(*count),
        Value::Real(number) => V::DoubleValue(*number),
        Value::Flag(flag) => V::BoolValue(*flag),
    };
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
