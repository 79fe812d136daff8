use super::super::{guard, operations};
use super::document;
use maestria_api::meta::Role;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fs, path::PathBuf};

/// The document as it is committed.
fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let written = document::write(&operations::all());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = serde_json::to_string_pretty(&written).unwrap() + "\n";
        fs::write(committed(), text).unwrap();
    }
    let kept: Value = serde_json::from_str(&fs::read_to_string(committed()).unwrap()).unwrap();
    let mut changed = Vec::new();
    differences(&kept, &written, "", &mut changed);
    assert!(
        changed.is_empty(),
        "the API is not what docs/openapi.json says at {changed:#?}; when that is meant, `cargo xtask openapi` renews it"
    );
}

/// Where two values differ, as JSON pointers.
fn differences(kept: &Value, written: &Value, place: &str, found: &mut Vec<String>) {
    if let (Value::Object(kept), Value::Object(written)) = (kept, written) {
        let names: BTreeSet<&String> = kept.keys().chain(written.keys()).collect();
        for name in names {
            let null = Value::Null;
            let of = |map: &Map<String, Value>| map.get(name).unwrap_or(&null).clone();
            differences(
                &of(kept),
                &of(written),
                &format!("{place}/{}", name.replace('/', "~1")),
                found,
            );
        }
    } else if kept != written {
        found.push(place.to_owned());
    }
}

#[test]
fn the_guard_takes_the_role_that_the_document_names() {
    for operation in operations::all() {
        let needed = guard::guarded(operation.path).map(|place| guard::needed(&operation.method, place));
        assert_eq!(needed, operation.role, "{} {}", operation.method, operation.path);
    }
}

#[test]
fn each_operation_has_a_name_of_its_own_and_an_answer() {
    let operations = operations::all();
    let mut ids: Vec<&str> = operations.iter().map(|operation| operation.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), operations.len());
    assert!(
        operations
            .iter()
            .all(|o| o.answer.contents.is_empty() == (o.answer.status == 101))
    );
    assert!(operations.iter().any(|operation| operation.role == Some(Role::Admin)));
}
