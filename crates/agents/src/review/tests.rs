use super::{keep_received, parse, prompt, schema};
use maestria_kernel::{
    ReviewId,
    finding::Severity,
    id::AgentName,
    port::ReviewJob,
    review::{MOST_WORDS, ReviewVerdict},
};
use serde_json::json;
use uuid::Uuid;

#[test]
fn a_structured_answer_is_read() {
    let answer = json!({"verdict": "reject", "summary": "it loses data", "findings": [
        {"severity": "blocking", "file": "a.rs", "line": 3, "message": "drops the buffer"},
        {"severity": "info", "file": null, "line": null, "message": "nice"},
    ]});
    let opinion = parse("ignored", Some(&answer));
    assert_eq!(opinion.verdict, Some(ReviewVerdict::Reject));
    assert_eq!(opinion.findings.len(), 2);
    assert_eq!(opinion.findings[0].severity, Severity::Blocking);
    assert_eq!(
        (opinion.findings[0].line, opinion.findings[1].file.as_deref()),
        (Some(3), None)
    );
}

#[test]
fn an_answer_in_prose_is_read_leniently() {
    let cases = [
        (
            "Looks fine.\n```json\n{\"verdict\": \"approve\", \"summary\": \"ok\", \"findings\": []}\n```\n",
            Some(ReviewVerdict::Approve),
        ),
        (
            "{\"verdict\":\"Request Changes\",\"summary\":\"x\"} trailing words",
            Some(ReviewVerdict::RequestChanges),
        ),
        (
            "first {\"verdict\":\"approve\"} then, thinking again, {\"verdict\":\"reject\"}",
            Some(ReviewVerdict::Reject),
        ),
        ("{\"verdict\": \"maybe\", \"summary\": \"x\"}", None),
        ("I approve of this change.", None),
        ("{\"verdict\": ", None),
        ("", None),
    ];
    for (text, verdict) in cases {
        let opinion = parse(text, None);
        assert_eq!(opinion.verdict, verdict, "{text}");
        assert!(!opinion.text.is_empty());
    }
}

#[test]
fn a_review_has_at_most_two_hundred_words() {
    let long = "word ".repeat(1000);
    let opinion = parse("", Some(&json!({"verdict": "approve", "summary": long})));
    assert_eq!(opinion.text.split_whitespace().count(), MOST_WORDS);
}

#[test]
fn the_prompt_holds_the_change_as_data_and_no_open_places() {
    let job = ReviewJob {
        run: maestria_kernel::RunId::new(Uuid::nil()),
        review: ReviewId::new(Uuid::nil()),
        task: None,
        reviewer: AgentName::new("codex"),
        purpose: "add {{diff}} support".to_owned(),
        report: "done".to_owned(),
        checkout: "/tmp/checkout".into(),
        diff: "+let x = \"{{purpose}}\";".to_owned(),
        artefacts: "/tmp/artefacts".into(),
        project: None,
        budget: None,
    };
    let text = prompt(&job, false);
    assert!(
        text.contains("+let x = \"{{purpose}}\";"),
        "what is filled in is not filled again"
    );
    assert!(text.contains("add {{diff}} support") && text.contains("/tmp/checkout") && text.contains("fenced"));
    assert!(!prompt(&job, true).contains("fenced"));
    assert_eq!(schema()["additionalProperties"], false);
}

#[test]
fn what_came_back_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let opinion = parse("{\"verdict\":\"approve\",\"summary\":\"ok\"}", None);
    keep_received(root.path(), "raw", &opinion).unwrap();
    let kept: maestria_kernel::review::Opinion =
        serde_json::from_str(&std::fs::read_to_string(root.path().join("verdict.json")).unwrap()).unwrap();
    assert_eq!(kept, opinion);
    assert_eq!(std::fs::read_to_string(root.path().join("answer.txt")).unwrap(), "raw");
}
