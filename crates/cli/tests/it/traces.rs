//! Traces as a collector gets them: of a whole run, over a kill, past a collector that is away, and of the gateway's clients.

use crate::process::{Left, left, program, run};
use maestria_testkit::{
    Collector, ModelServer,
    collector::{Span, attribute, digits},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Stdio,
};

fn traced(home: &Path, endpoint: &str, more: &str) {
    let folder = home.join(".config/maestria");
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\n{more}");
    std::fs::write(folder.join("config.toml"), text).unwrap();
}

fn demo(home: &Path) -> Left {
    let done = run(home, &["demo", "--no-dashboard"]);
    assert_eq!(done.code, 0, "{}{}", done.err, done.out);
    done
}

fn root(span: &Span) -> bool {
    span.name.starts_with("invoke_workflow")
}

fn events(home: &Path) -> Vec<Value> {
    let log = run(home, &["events"]).out;
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One tree: one root, every parent there, children within the time of the root.
fn is_one_tree(spans: &[Span]) {
    let ids: BTreeSet<&[u8]> = spans.iter().map(|span| span.span_id.as_slice()).collect();
    assert_eq!(ids.len(), spans.len(), "no span comes twice");
    let traces: BTreeSet<&[u8]> = spans.iter().map(|span| span.trace_id.as_slice()).collect();
    assert_eq!(traces.len(), 1);
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert!(roots.len() == 1 && root(roots[0]), "{roots:?}");
    for span in spans {
        let parent = span.parent_span_id.as_slice();
        assert!(
            parent.is_empty() || ids.contains(parent),
            "nobody knows the parent of {}",
            span.name
        );
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{}", span.name);
        assert!(
            roots[0].start_time_unix_nano <= span.start_time_unix_nano
                && span.end_time_unix_nano <= roots[0].end_time_unix_nano,
            "{} lies within its run",
            span.name
        );
    }
}

fn below<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    spans
        .iter()
        .filter(|span| span.parent_span_id == parent.span_id)
        .collect()
}

#[test]
fn a_run_is_one_trace_with_everything_in_its_place() {
    let collector = Collector::start();
    let home = tempfile::tempdir().unwrap();
    traced(
        home.path(),
        &collector.url(),
        "headers = { x-key = \"canary-of-the-collector\" }\n",
    );
    demo(home.path());
    let spans = collector.spans();
    is_one_tree(&spans);
    let log = events(home.path());
    let id = log[0]["run"].as_str().unwrap();
    assert_eq!(
        digits(&spans[0].trace_id),
        id.trim_start_matches("run_"),
        "the trace is named after the run"
    );

    let of = |kind: &str| log.iter().filter(|event| event["kind"] == kind).count();
    let named = |start: &str| {
        spans
            .iter()
            .filter(|span| span.name.starts_with(start))
            .collect::<Vec<_>>()
    };
    assert_eq!(named("invoke_agent").len(), of("task.finished"));
    assert_eq!(named("review ").len(), of("review.received"));
    assert_eq!(
        named("chat ").len(),
        of("model.called"),
        "every call once, from the books or from the log"
    );
    assert_eq!(named("execute_tool").len(), of("tool.finished"));
    assert_eq!(named("validate").len(), of("validation.finished"));
    for stage in ["planning", "executing", "validating", "prepare", "merge E2", "task E1"] {
        assert_eq!(named(stage).len(), 1, "{stage}");
    }
    let whole = named("invoke_workflow")[0];
    assert_eq!(attribute(whole, "gen_ai.workflow.name").unwrap(), "develop");
    assert_eq!(attribute(whole, "maestria.run.state").unwrap(), "completed");
    assert!(whole.status.is_none());

    // A call lies in the attempt that made it, the attempt in its task; the planner's call in the planning.
    let task = named("task E1")[0];
    let attempt = below(&spans, task)
        .into_iter()
        .find(|span| span.name.starts_with("invoke_agent"))
        .unwrap();
    let call = below(&spans, attempt)
        .into_iter()
        .find(|span| span.name.starts_with("chat "))
        .unwrap();
    assert_eq!(attribute(call, "gen_ai.provider.name").unwrap(), "playbook-author");
    assert_eq!(attribute(call, "gen_ai.response.model").unwrap(), "script");
    assert!(
        attribute(call, "gen_ai.usage.input_tokens")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    assert!(attribute(call, "gen_ai.response.finish_reasons").is_some());
    assert!(
        attribute(call, "maestria.route.reason")
            .unwrap()
            .contains("native agent")
    );
    assert!(attribute(call, "maestria.cost").is_some());
    assert_eq!(call.kind, 3, "a client's");
    let planning = named("planning")[0];
    assert!(
        below(&spans, planning)
            .iter()
            .any(|span| span.name.starts_with("chat "))
    );
    let reviews = named("review ");
    assert!(
        reviews
            .iter()
            .all(|review| below(&spans, review).iter().any(|span| span.name.starts_with("chat "))),
        "each reviewer has called"
    );

    let requests = collector.requests();
    assert!(
        requests
            .iter()
            .all(|posted| posted.head.contains("x-key: canary-of-the-collector"))
    );
    assert!(requests[0].head.starts_with("POST /v1/traces HTTP/1.1"));
    let all: Vec<u8> = requests.iter().flat_map(|posted| posted.body.clone()).collect();
    let all = String::from_utf8_lossy(&all);
    for said in ["--json flag", "farewell", "canary-of-the-collector"] {
        assert!(!all.contains(said), "spans hold no `{said}`");
    }
    let shown = run(home.path(), &["config", "show"]).out;
    assert!(shown.contains("x-key") && !shown.contains("canary"), "{shown}");
}

#[test]
fn contents_are_told_where_they_are_asked_for() {
    let collector = Collector::start();
    let home = tempfile::tempdir().unwrap();
    traced(home.path(), &collector.url(), "contents = true\n");
    demo(home.path());
    let spans = collector.spans();
    let whole = spans.iter().find(|span| root(span)).unwrap();
    assert!(
        attribute(whole, "maestria.text")
            .unwrap()
            .contains("document and test both")
    );
    assert!(
        spans
            .iter()
            .any(|span| attribute(span, "gen_ai.tool.call.arguments").is_some())
    );
}

#[test]
fn a_collector_that_is_away_holds_nobody_up_and_misses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let address = Collector::start().url();
    traced(home.path(), &address, "");
    demo(home.path());
    // The next process of the store, with a collector that is there, tells what this one could not.
    let collector = Collector::start();
    traced(home.path(), &collector.url(), "");
    let mut server = program(home.path(), &["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let spans = collector.wait_for(|spans| spans.iter().any(root));
    server.kill().unwrap();
    server.wait().unwrap();
    is_one_tree(&spans);
}

#[test]
fn a_run_that_was_killed_goes_on_in_its_trace() {
    let collector = Collector::start();
    let home = tempfile::tempdir().unwrap();
    traced(home.path(), &collector.url(), "");
    let mut demo = program(home.path(), &["demo", "--no-dashboard", "--jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut finished = lines
        .map_while(Result::ok)
        .filter(|line| line.contains("\"kind\":\"task.finished\""));
    assert!(finished.next().is_some());
    demo.kill().unwrap();
    demo.wait().unwrap();
    let resumed = run(home.path(), &["resume", "last"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    // What was on its way when the process died may come again, as it was.
    let mut once: BTreeMap<Vec<u8>, Span> = BTreeMap::new();
    for span in collector.spans() {
        if let Some(before) = once.insert(span.span_id.clone(), span.clone()) {
            assert_eq!(before, span);
        }
    }
    let spans: Vec<Span> = once.into_values().collect();
    is_one_tree(&spans);
    let attempts = spans
        .iter()
        .filter(|span| span.name.starts_with("invoke_agent"))
        .count();
    let told = events(home.path())
        .iter()
        .filter(|event| event["kind"] == "task.finished")
        .count();
    assert_eq!(attempts, told);
}

#[test]
fn a_run_that_is_not_sampled_is_not_told() {
    let collector = Collector::start();
    let home = tempfile::tempdir().unwrap();
    traced(home.path(), &collector.url(), "sample = 0.0\n");
    demo(home.path());
    assert_eq!(collector.requests().len(), 0);
}

#[test]
fn the_variables_of_open_telemetry_are_heeded() {
    let collector = Collector::start();
    let home = tempfile::tempdir().unwrap();
    let done = program(home.path(), &["demo", "--no-dashboard"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc, x-tenant=one")
        .output()
        .unwrap();
    assert_eq!(left(&done).code, 0, "{}", left(&done).err);
    assert!(collector.spans().iter().any(root));
    let head = &collector.requests()[0].head;
    assert!(
        head.contains("authorization: Bearer abc") && head.contains("x-tenant: one"),
        "{head}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_call_goes_on_in_the_clients_trace() {
    let models = ModelServer::start().await;
    let collector = Collector::start();
    let home = tempfile::tempdir().unwrap();
    let provider = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nauth = \"none\"\n[providers.p]\ndialect = \"openai\"\n\
         base_url = \"{}/v1\"\nkey = \"sk-1\"\nmodels = [\"gpt-4o-mini\"]\n",
        models.base_url()
    );
    traced(home.path(), &collector.url(), &provider);
    let mut gateway = program(home.path(), &["gateway"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(gateway.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().trim_start_matches("http://").to_owned();
    let ask = |traceparent: &str, model: &str| {
        let body =
            serde_json::json!({"model": model, "messages": [{"role": "user", "content": "hello there"}]}).to_string();
        let mut socket = TcpStream::connect(&address).unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{traceparent}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    };
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert!(ask(&format!("traceparent: {given}\r\n"), "gpt-4o-mini").starts_with("HTTP/1.1 200"));
    let unsampled = given.replace("0af7", "0bf7").replace("-01", "-00");
    assert!(ask(&format!("traceparent: {unsampled}\r\n"), "gpt-4o-mini").starts_with("HTTP/1.1 200"));
    assert!(ask("traceparent: nonsense\r\n", "no-such-model").starts_with("HTTP/1.1 404"));
    let spans = collector.wait_for(|spans| spans.len() >= 3);
    let told = std::process::Command::new("kill")
        .arg(gateway.id().to_string())
        .status()
        .unwrap();
    assert!(told.success());
    gateway.wait().unwrap();
    assert_eq!(collector.spans().len(), 3, "who does not want to be traced is not");

    let server = spans
        .iter()
        .find(|span| digits(&span.parent_span_id) == "b7ad6b7169203331")
        .unwrap();
    assert_eq!(digits(&server.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((server.name.as_str(), server.kind), ("POST /v1/chat/completions", 2));
    assert_eq!(attribute(server, "http.response.status_code").unwrap(), "200");
    let client = spans.iter().find(|span| span.parent_span_id == server.span_id).unwrap();
    assert_eq!(client.name, "chat gpt-4o-mini");
    assert_eq!(attribute(client, "gen_ai.response.finish_reasons").unwrap(), "stop");
    let refused = spans.iter().find(|span| span.trace_id != server.trace_id).unwrap();
    assert_eq!(attribute(refused, "http.response.status_code").unwrap(), "404");
    assert_eq!(attribute(refused, "error.type").unwrap(), "not_found");
    assert!(refused.status.is_some() && refused.parent_span_id.is_empty());
}
