use super::spans;
use crate::telemetry::{otlp, span::Kind};
use maestria_kernel::{
    At, Cost,
    ledger::CallRow,
    trace::{SpanId, TraceId},
};

const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn row() -> CallRow {
    CallRow {
        at: At(1_000),
        request: "0190000000007000800000000000abcd".to_owned(),
        client: "ci".to_owned(),
        asked: "auto".to_owned(),
        provider: "p".to_owned(),
        model: "m".to_owned(),
        reason: "cheapest".to_owned(),
        outcome: "ok".to_owned(),
        operation: "chat".to_owned(),
        door: "/v1/messages".to_owned(),
        finish: "stop".to_owned(),
        millis: 500,
        first_millis: 100,
        waited_millis: 50,
        cost: Cost(1_500_000),
        ..CallRow::default()
    }
}

#[test]
fn a_call_of_nobodys_run_is_a_trace_of_its_own() {
    let [request, call] = &spans(&row(), None, 100)[..] else {
        panic!()
    };
    assert_eq!(request.trace, TraceId::parse(&row().request).unwrap());
    assert_eq!((request.parent, request.kind), (None, Kind::Server));
    assert_eq!((request.begun, request.ended), (At(1_000), At(1_550)));
    assert_eq!((call.parent, call.kind), (Some(request.id), Kind::Client));
    assert_eq!(
        (call.begun, call.ended),
        (At(1_050), At(1_550)),
        "without what it waited for its rate"
    );
    assert_eq!(spans(&row(), None, 0), []);
}

#[test]
fn what_the_client_says_of_its_trace_counts() {
    let traced = CallRow {
        trace: Some(GIVEN.to_owned()),
        ..row()
    };
    // Whether it is sampled is the client's word, too.
    let woven = spans(&traced, None, 0);
    assert_eq!(woven[0].trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(woven[0].parent, SpanId::parse("b7ad6b7169203331"));
    let quiet = CallRow {
        trace: Some(GIVEN.replace("-01", "-00")),
        ..row()
    };
    assert_eq!(spans(&quiet, None, 100), []);
}

#[test]
fn no_provider_is_told_of_that_was_not_asked() {
    let cached = CallRow {
        code: "cache_same".to_owned(),
        ..row()
    };
    let refused = CallRow {
        outcome: "refused".to_owned(),
        code: "budget_exhausted".to_owned(),
        ..row()
    };
    assert_eq!(spans(&cached, None, 100).len(), 1);
    let refused = spans(&refused, None, 100);
    assert_eq!((refused.len(), refused[0].failed), (1, true));
    assert!(format!("{:?}", refused[0].attributes).contains("Count(402)"));
    let own = CallRow {
        door: String::new(),
        ..row()
    };
    let own = spans(&own, None, 100);
    assert_eq!((own.len(), own[0].kind), (1, Kind::Client));
}

#[test]
fn no_secret_leaves_in_a_span() {
    let token = "ghp_0123456789abcdefABCDEF0123456789abcd";
    let leaky = CallRow {
        reason: format!("asked for with {token}"),
        model: token.to_owned(),
        ..row()
    };
    let body = otlp::encode(&spans(&leaky, None, 100));
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("asked for with") && !text.contains(token), "{text}");
}
