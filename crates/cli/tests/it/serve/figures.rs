//! What dashboards, alerts and docs/observability.md say of metrics, beside what a server really shows. `cargo xtask dashboards`
//! has promtool parse every expression; here every name and label is looked up.

use super::{is_finished, scene::Scene};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../../../../../docs/observability.md");
const ALERTS: &str = include_str!("../../../../../deploy/prometheus/alerts.yml");
const BOARDS: [(&str, &str); 4] = [
    ("overview", include_str!("../../../../../deploy/grafana/overview.json")),
    ("gateway", include_str!("../../../../../deploy/grafana/gateway.json")),
    ("agents", include_str!("../../../../../deploy/grafana/agents.json")),
    (
        "internals",
        include_str!("../../../../../deploy/grafana/internals.json"),
    ),
];

/// A family: its kind and its labels.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// The families of the page's table.
fn documented() -> Families {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `maestria_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[3]
            .split(',')
            .map(|label| label.trim().trim_matches('`').to_owned());
        let name = cells[1].trim_matches('`').to_owned();
        (
            name,
            (cells[2].to_owned(), labels.filter(|label| !label.is_empty()).collect()),
        )
    })
    .collect()
}

/// The families of a server's text, with the labels of those that have series.
fn shown(text: &str) -> Families {
    let mut families = Families::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let (_, labels) = families.get_mut(family(name)).unwrap();
            let names = rest.split("=\"").filter_map(|part| part.rsplit(['{', ',', '"']).next());
            labels.extend(
                names
                    .take(rest.matches("=\"").count())
                    .map(str::to_owned)
                    .filter(|label| label != "le"),
            );
        }
    }
    families
}

/// The family of a series' name.
fn family(name: &str) -> &str {
    let of_histogram = ["_bucket", "_sum", "_count"]
        .into_iter()
        .find_map(|end| name.strip_suffix(end));
    of_histogram.unwrap_or(name)
}

#[test]
fn the_page_tells_of_every_family_and_of_no_other() {
    let scene = Scene::new("");
    scene.demo_run();
    scene.stream("after=0", None, is_finished);
    let bearer = scene.bearer();
    let headers = [("host", scene.address.as_str()), ("authorization", bearer.as_str())];
    let answer = scene.raw("GET", "/metrics", &headers, "");
    let (shown, told) = (shown(&answer.body), documented());
    assert_eq!(shown.keys().collect::<Vec<_>>(), told.keys().collect::<Vec<_>>());
    let mut with_labels = 0;
    for (name, (kind, labels)) in &shown {
        assert_eq!(kind, &told[name].0, "{name}");
        if !labels.is_empty() {
            assert_eq!(labels, &told[name].1, "{name}");
            with_labels += 1;
        }
    }
    assert!(with_labels >= 12, "{with_labels}");
}

/// The expressions of all panels and all alerts, each with where it stands.
fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (board, text) in BOARDS {
        let board_json: Value = serde_json::from_str(text).unwrap();
        assert_eq!(board_json["uid"], format!("maestria-{board}"));
        let mut ids = BTreeSet::new();
        for panel in board_json["panels"].as_array().unwrap() {
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{board}: two panels have one id"
            );
            let title = panel["title"].as_str().unwrap();
            let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
            assert!(
                panel["type"] == "row" || !targets.is_empty(),
                "{board}: {title} shows nothing"
            );
            let expr = |target: &Value| (format!("{board}: {title}"), target["expr"].as_str().unwrap().to_owned());
            all.extend(targets.iter().map(expr));
        }
    }
    let alerts = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    all.extend(alerts.map(|expr| ("alerts".to_owned(), expr.to_owned())));
    all
}

/// The words of an expression, outside of its strings.
fn words(expr: &str) -> Vec<&str> {
    let outside: Vec<&str> = expr.split('"').step_by(2).collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    outside
        .into_iter()
        .flat_map(|part| part.split(move |c| !is_word(c)))
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn dashboards_and_alerts_ask_only_for_what_there_is() {
    let families = documented();
    let mut asked = BTreeSet::new();
    assert!(expressions().len() > 60);
    for (place, expr) in expressions() {
        let words = words(&expr);
        let names: Vec<&str> = words
            .iter()
            .copied()
            .filter(|word| word.starts_with("maestria_"))
            .collect();
        assert!(!names.is_empty(), "{place}: {expr}");
        let mut labels: BTreeSet<&str> = BTreeSet::from(["instance", "job"]);
        for name in names {
            let (kind, of) = families
                .get(family(name))
                .unwrap_or_else(|| panic!("{place}: there is no {name}"));
            assert_eq!(kind == "histogram", family(name) != name, "{place}: {name} is a {kind}");
            labels.extend(of.iter().map(String::as_str));
            labels.extend((kind == "histogram").then_some("le"));
            asked.insert(family(name).to_owned());
        }
        for label in matched(&expr).into_iter().chain(grouped(&expr)) {
            assert!(labels.contains(label), "{place}: `{label}` is no label of it: {expr}");
        }
    }
    let unseen: Vec<&String> = families.keys().filter(|name| !asked.contains(*name)).collect();
    assert!(unseen.is_empty(), "no dashboard shows {unseen:?}");
}

/// The labels in selectors, `{label="…"}`.
fn matched(expr: &str) -> Vec<&str> {
    let selectors = expr.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let matchers = selectors.flat_map(|selector| selector.split(','));
    matchers
        .filter_map(|matcher| Some(matcher.split(['=', '!']).next()?.trim()))
        .collect()
}

/// The labels in `by (…)` and `on (…)`.
fn grouped(expr: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for word in ["by", "on", "group_left"] {
        for (place, _) in expr.match_indices(word) {
            let rest = expr[place + word.len()..].trim_start();
            let before = expr[..place].chars().next_back();
            if let Some(list) = rest
                .strip_prefix('(')
                .filter(|_| before.is_none_or(|c| !c.is_alphanumeric() && c != '_'))
            {
                let labels = list.split(')').next().unwrap_or_default().split(',');
                found.extend(labels.map(str::trim).filter(|label| !label.is_empty()));
            }
        }
    }
    found
}
