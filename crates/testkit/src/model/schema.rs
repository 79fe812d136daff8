//! The smallest value that fits a JSON schema (also Gemini's upper-case flavour of it).

use serde_json::{Map, Value, json};

/// Deeper schemas than this refer to themselves.
const DEEPEST: usize = 32;

/// A minimal value of `schema`.
pub(crate) fn minimal(schema: &Value) -> Value {
    value_of(schema, schema, 0)
}

fn value_of(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(target) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| root.pointer(path.trim_start_matches('#')))
    {
        return value_of(target, root, depth + 1);
    }
    for given in ["const", "default"] {
        if let Some(value) = schema.get(given) {
            return value.clone();
        }
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(first) = schema.get(choice).and_then(|branches| branches.get(0)) {
            return value_of(first, root, depth + 1);
        }
    }
    if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
        return merged(all, root, depth);
    }
    match kind(schema).as_str() {
        "object" => object(schema, root, depth),
        "array" => array(schema, root, depth),
        "string" => string(schema),
        "integer" | "number" => number(schema),
        "boolean" => json!(false),
        "null" => Value::Null,
        _ => json!({}),
    }
}

/// The type in lower case; of several the first that is not null.
fn kind(schema: &Value) -> String {
    let named = match schema.get("type") {
        Some(Value::String(one)) => Some(one.as_str()),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).find(|one| *one != "null"),
        _ => None,
    };
    match named {
        Some(name) => name.to_lowercase(),
        None if schema.get("properties").is_some() => "object".into(),
        None if schema.get("items").is_some() => "array".into(),
        None => String::new(),
    }
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let mut out = Map::new();
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    for name in required {
        let property = schema
            .get("properties")
            .and_then(|all| all.get(name))
            .unwrap_or(&Value::Null);
        out.insert(name.to_owned(), value_of(property, root, depth + 1));
    }
    Value::Object(out)
}

fn array(schema: &Value, root: &Value, depth: usize) -> Value {
    let count = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
    let item = schema.get("items").unwrap_or(&Value::Null);
    (0..count).map(|_| value_of(item, root, depth + 1)).collect()
}

fn string(schema: &Value) -> Value {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2000-01-01",
        Some("date-time") => "2000-01-01T00:00:00Z",
        Some("uri") => "http://127.0.0.1/",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ => "scripted",
    };
    let least = schema
        .get("minLength")
        .and_then(Value::as_u64)
        .and_then(|least| usize::try_from(least).ok())
        .unwrap_or(0);
    let most = schema
        .get("maxLength")
        .and_then(Value::as_u64)
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX);
    let padding = "x".repeat(least.saturating_sub(text.len()));
    json!(format!("{text}{padding}").chars().take(most).collect::<String>())
}

fn number(schema: &Value) -> Value {
    let least = schema.get("minimum").cloned();
    let above = schema
        .get("exclusiveMinimum")
        .and_then(Value::as_i64)
        .map(|bound| json!(bound + 1));
    least.or(above).unwrap_or_else(|| json!(0))
}

fn merged(all: &[Value], root: &Value, depth: usize) -> Value {
    let mut out = Map::new();
    for part in all {
        if let Value::Object(fields) = value_of(part, root, depth + 1) {
            out.extend(fields);
        }
    }
    Value::Object(out)
}
