//! The tables that docs/tables.md promises: every example is tried on the store of a real run.

use crate::process::run;
use rusqlite::{Connection, OpenFlags, types::Value as Cell};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path};

const PAGE: &str = include_str!("../../../../docs/tables.md");

fn open(home: &Path) -> Connection {
    let path = home.join(".local/share/maestria/maestria.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn rows(connection: &Connection, sql: &str) -> Vec<Vec<Cell>> {
    let mut select = connection.prepare(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let width = select.column_count();
    let rows = select.query_map([], |row| (0..width).map(|place| row.get(place)).collect());
    rows.unwrap()
        .map(|row| row.unwrap_or_else(|error| panic!("{error}\n{sql}")))
        .collect()
}

/// The examples of the page: what stands in blocks of SQL.
fn examples() -> Vec<&'static str> {
    let blocks = PAGE.split("```sql\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_documented_query_answers_with_what_the_run_did() {
    let home = tempfile::tempdir().unwrap();
    let demo = run(home.path(), &["demo", "--no-dashboard"]);
    assert_eq!(demo.code, 0, "{}", demo.err);
    let connection = open(home.path());
    assert!(examples().len() >= 8);
    for sql in examples() {
        let empty = sql.contains("-- none in the demo");
        assert_eq!(rows(&connection, sql).is_empty(), empty, "{sql}");
    }
    let shown: Value = serde_json::from_str(&run(home.path(), &["show", "last", "--json"]).out).unwrap();
    let tasks = rows(&connection, "SELECT key, state, attempts, reworks, agent FROM tasks");
    assert!(!tasks.is_empty());
    for task in &tasks {
        let [
            Cell::Text(key),
            Cell::Text(state),
            Cell::Integer(attempts),
            Cell::Integer(rework),
            Cell::Text(agent),
        ] = &task[..]
        else {
            panic!("{task:?}")
        };
        let of_run = find(&shown, key).unwrap_or_else(|| panic!("{key} is not in {shown}"));
        assert_eq!(of_run["state"], state.as_str(), "{key}");
        assert_eq!(of_run["attempt"], *attempts, "{key}");
        assert_eq!(of_run["rework"], *rework, "{key}");
        assert_eq!(of_run["agent"], agent.as_str(), "{key}");
    }
    let count = |sql: &str| rows(&connection, sql)[0][0].clone();
    assert_eq!(
        count("SELECT count(*) FROM model_usage"),
        count("SELECT count(*) FROM events WHERE kind = 'model.called'"),
        "each call once, whether the books or the log have it"
    );
    assert_eq!(
        count("SELECT sum(calls) FROM model_metrics"),
        count("SELECT count(*) FROM model_usage")
    );
    assert_eq!(
        count("SELECT count(*) FROM reviews WHERE verdict IS NOT NULL"),
        count("SELECT count(*) FROM events WHERE kind = 'review.received'")
    );
    assert_eq!(
        count("SELECT sum(attempts) FROM agents"),
        count("SELECT count(*) FROM events WHERE kind = 'task.dispatched'")
    );
}

/// The task of a key, wherever the document has its tasks.
fn find<'a>(shown: &'a Value, key: &str) -> Option<&'a Value> {
    match shown {
        Value::Object(fields) if fields.get("plan").is_some_and(|plan| plan["key"] == key) => Some(shown),
        Value::Object(fields) => fields.values().find_map(|value| find(value, key)),
        Value::Array(list) => list.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}

#[test]
fn the_page_tells_every_column_there_is() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &["runs"]).code, 0);
    let connection = open(home.path());
    let views = rows(
        &connection,
        "SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name",
    );
    assert!(views.len() >= 8);
    for view in views {
        let [Cell::Text(name)] = &view[..] else {
            panic!("{view:?}")
        };
        let section = PAGE.split(&format!("\n### `{name}`")).nth(1);
        let section = section
            .unwrap_or_else(|| panic!("{name} has no section"))
            .split("\n#")
            .next()
            .unwrap();
        let told: BTreeSet<&str> = section.split('`').skip(1).step_by(2).collect();
        for column in rows(&connection, &format!("SELECT name FROM pragma_table_info('{name}')")) {
            let [Cell::Text(column)] = &column[..] else {
                panic!("{column:?}")
            };
            assert!(told.contains(column.as_str()), "`{column}` of `{name}` is not told");
        }
    }
}
