//! The OpenAPI document (3.1) of a list of operations.

use super::{Operation, Shape};
use maestria_api::problem::{Code, Problem};
use schemars::{
    SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const ABOUT: &str =
    "Runs, their events and decisions, money, models, rules and the machine. docs/api.md describes it for people.";

/// The document as it is served.
pub(in crate::http) fn write(operations: &[Operation]) -> Value {
    let mut answers = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .for_serialize()
        .into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut refusals = BTreeMap::new();
    for operation in operations {
        let method = operation.method.as_str().to_lowercase();
        let mut written = describe(operation);
        written["responses"] = responses(operation, &mut answers, &mut refusals).into();
        paths.entry(operation.path).or_default().insert(method, written);
    }
    answers.subschema_for::<Problem>();
    let mut schemas = answers.take_definitions(true);
    schemas.values_mut().for_each(tighten);
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Maestria", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "headers": HEADERS.map(|name| (name, header_of(name))).into_iter().collect::<BTreeMap<_, _>>(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer",
                                           "description": "`maestria token show`, or a credential of `maestria token issue`"}},
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut value = json!({
        "operationId": operation.id,
        "summary": operation.about,
        "parameters": parameters(operation),
        "security": match operation.role {
            Some(_) => json!([{"bearer": []}]),
            None => json!([]),
        },
    });
    if let Some(role) = operation.role {
        value["description"] = format!("Takes the role `{}`.", role.as_str()).into();
    }
    if operation.is_flat {
        value["deprecated"] = true.into();
    }
    if let Some(body) = &operation.body {
        value["requestBody"] = json!({
            "required": body.is_needed,
            "content": {"application/json": {"schema": request(body.shape)}},
        });
    }
    value
}

/// A shape of a request, whole: a type that is also answered with may look different there.
fn request(shape: Shape) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = Contract::Deserialize;
    settings.inline_subschemas = true;
    let mut value = shape(&mut settings.into_generator()).to_value();
    tighten(&mut value);
    value
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        let (about, schema) = path_parameter(name);
        json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
    });
    let in_head = operation.headers.iter().map(|name| {
        let (about, schema) = header(name);
        json!({"name": name, "in": "header", "description": about, "schema": schema})
    });
    let query = operation.query.map(request).unwrap_or_default();
    let needed = |name: &str| {
        let needed = query["required"].as_array();
        needed.is_some_and(|needed| needed.iter().any(|n| n == name))
    };
    let in_query = query["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            without_null(&mut schema);
            json!({"name": name, "in": "query", "required": needed(name), "description": about, "schema": schema})
        });
    in_path.chain(in_query).chain(in_head).collect()
}

fn path_parameter(name: &str) -> (&'static str, Value) {
    match name {
        "decision" => ("Its id.", json!({"type": "string", "pattern": "^dec_[0-9a-f]{32}$"})),
        "verb" => (
            "What to do.",
            json!({"type": "string", "enum": ["pause", "resume", "stop", "review"]}),
        ),
        _ => (
            "Its id, the end of it, or `last`.",
            json!({"type": "string", "pattern": "^(last|(run_)?[0-9a-f]{4,32})$"}),
        ),
    }
}

fn header(name: &str) -> (&'static str, Value) {
    match name {
        "idempotency-key" => (
            "For 24 hours the same again is done once: a submission is the run that it became, whatever happens to the server; of \
             other actions the first answer is given again as long as it runs.",
            json!({"type": "string", "pattern": "^[!-~]{1,128}$"}),
        ),
        "last-event-id" => (
            "The number after which to go on.",
            json!({"type": "string", "pattern": "^[0-9]{0,18}$"}),
        ),
        "if-none-match" => ("Tags of what the client has.", json!({"type": "string"})),
        "etag" => (
            "A strong tag.",
            json!({"type": "string", "pattern": "^\"[0-9a-f]{32}\"$"}),
        ),
        "location" => ("Where it is.", json!({"type": "string"})),
        "www-authenticate" => ("How to come in.", json!({"type": "string", "const": "Bearer"})),
        "retry-after" => ("Seconds.", json!({"type": "integer", "minimum": 1})),
        _ => (
            "Also in the log.",
            json!({"type": "string", "minLength": 1, "maxLength": 64}),
        ),
    }
}

/// The headers of answers; those that every answer of a kind has are required where it is described.
const HEADERS: [&str; 5] = ["etag", "location", "www-authenticate", "retry-after", "x-request-id"];

fn header_of(name: &str) -> Value {
    let (about, schema) = header(name);
    json!({"description": about, "required": true, "schema": schema})
}

fn headers(names: &[&str]) -> Map<String, Value> {
    let names = names.iter().chain(&["x-request-id"]);
    names
        .map(|name| {
            (
                (*name).to_owned(),
                json!({"$ref": format!("#/components/headers/{name}")}),
            )
        })
        .collect()
}

fn responses(
    operation: &Operation,
    generator: &mut SchemaGenerator,
    refusals: &mut BTreeMap<String, Value>,
) -> Map<String, Value> {
    let answer = &operation.answer;
    let mut all = Map::new();
    let contents = answer.contents.iter().map(|(kind, shape)| {
        let schema = match (shape, *kind) {
            (Some(shape), _) => shape(generator).to_value(),
            (None, "text/event-stream") => message(),
            (None, _) => json!({"type": "string"}),
        };
        ((*kind).to_owned(), json!({"schema": schema}))
    });
    let contents: Map<String, Value> = contents.collect();
    // A text beside the value has no tag.
    let told = if contents.len() == 1 { &answer.headers[..] } else { &[] };
    let mut done = json!({"description": "Done.", "headers": headers(told)});
    if !contents.is_empty() {
        done["content"] = contents.into();
    }
    all.insert(answer.status.to_string(), done);
    if answer.headers.contains(&"etag") {
        let same = json!({"description": "What the client has is the newest.", "headers": headers(&["etag"])});
        all.insert("304".to_owned(), same);
    }
    for codes in operation.all_refusals().chunk_by(|a, b| a.status() == b.status()) {
        let Some(status) = codes.first().map(|code| code.status()) else {
            continue;
        };
        let name = refusal_name(status, codes);
        all.insert(
            status.to_string(),
            json!({"$ref": format!("#/components/responses/{name}")}),
        );
        refusals.entry(name).or_insert_with(|| refusal(status, codes));
    }
    all
}

/// A message of the stream. What its `data` holds is in `EventPage`.
fn message() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9]*$"},
            "event": {"enum": ["message", "ready", "mark"]},
            "data": {"type": "string"},
        },
        "required": ["data"],
    })
}

/// Such as `400.bad-json.unknown-field`.
fn refusal_name(status: u16, codes: &[Code]) -> String {
    let named = codes.iter().map(|code| serde_json::to_value(code).unwrap_or_default());
    let named: Vec<String> = named.filter_map(|code| code.as_str().map(str::to_owned)).collect();
    format!("{status}.{}", named.join("."))
}

fn refusal(status: u16, codes: &[Code]) -> Value {
    let titles: Vec<&str> = codes.iter().map(|code| code.title()).collect();
    let headers = match status {
        401 => headers(if codes.contains(&Code::BadCode) {
            &[]
        } else {
            &["www-authenticate"]
        }),
        429 | 503 => headers(&["retry-after"]),
        _ => headers(&[]),
    };
    json!({
        "description": titles.join("; ") + ".",
        "headers": headers,
        "content": {"application/problem+json": {"schema": {
            "allOf": [{"$ref": "#/components/schemas/Problem"}],
            "properties": {"status": {"const": status}, "code": {"enum": codes}},
        }}},
    })
}

/// What a query leaves out is not there; it is never `null`.
fn without_null(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    schema.remove("default");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = &types[..] {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
}

/// Says the bounds of whole numbers in words that every reader knows; `format` alone is a hint.
fn tighten(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let (least, most) = match fields.get("format").and_then(Value::as_str) {
                Some("int64") => (json!(i64::MIN), json!(i64::MAX)),
                Some("uint64" | "uint") => (json!(0), json!(u64::MAX)),
                Some("uint32") => (json!(0), json!(u32::MAX)),
                Some("uint16") => (json!(0), json!(u16::MAX)),
                Some("uint8") => (json!(0), json!(u8::MAX)),
                _ => (Value::Null, Value::Null),
            };
            if !least.is_null() {
                fields.entry("minimum").or_insert(least);
                fields.entry("maximum").or_insert(most);
            }
            fields.values_mut().for_each(tighten);
        }
        Value::Array(items) => items.iter_mut().for_each(tighten),
        _ => {}
    }
}
