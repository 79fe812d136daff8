use super::skim;
use crate::wire::{Dialect, Stop};

fn stop(dialect: Dialect, body: &str) -> Option<Stop> {
    skim(body.as_bytes()).unwrap().stop(dialect)
}

#[test]
fn the_end_of_an_answer_is_read_in_every_dialect() {
    let cases = [
        (
            Dialect::OpenAi,
            r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#,
            Some(Stop::End),
        ),
        (
            Dialect::OpenAi,
            r#"{"choices":[{"finish_reason":"tool_calls"}]}"#,
            Some(Stop::Tools),
        ),
        (
            Dialect::OpenAi,
            r#"{"choices":[{"finish_reason":"content_filter"}]}"#,
            Some(Stop::Refused),
        ),
        (
            Dialect::Anthropic,
            r#"{"content":[],"stop_reason":"max_tokens"}"#,
            Some(Stop::Length),
        ),
        (
            Dialect::Gemini,
            r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}"#,
            Some(Stop::End),
        ),
        (
            Dialect::Gemini,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}"#,
            Some(Stop::Tools),
        ),
        (
            Dialect::Responses,
            r#"{"output":[{"type":"message"}],"incomplete_details":null}"#,
            Some(Stop::End),
        ),
        (
            Dialect::Responses,
            r#"{"output":[{"type":"reasoning"},{"type":"function_call"}]}"#,
            Some(Stop::Tools),
        ),
        (
            Dialect::Responses,
            r#"{"output":[],"incomplete_details":{"reason":"max_output_tokens"}}"#,
            Some(Stop::Length),
        ),
    ];
    for (dialect, body, expected) in cases {
        assert_eq!(stop(dialect, body), expected, "{body}");
    }
}

#[test]
fn an_odd_answer_is_passed_on_all_the_same() {
    let odd = [
        "{}",
        r#"{"choices":null,"candidates":7,"output":"x","stop_reason":[]}"#,
        r#"{"choices":[{"finish_reason":null}],"candidates":[{}],"output":[{"type":1}]}"#,
    ];
    for body in odd {
        for dialect in Dialect::ALL {
            assert_eq!(stop(dialect, body), None, "{body}");
        }
    }
}

#[test]
fn what_was_counted_is_read_in_every_dialect() {
    let cases = [
        (
            Dialect::OpenAi,
            r#"{"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":3},
                "completion_tokens_details":{"reasoning_tokens":2}}}"#,
            [7, 3, 0, 5, 2],
        ),
        (
            Dialect::OpenAi,
            r#"{"usage":{"prompt_tokens":7,"completion_tokens":5,"prompt_tokens_details":null,"prompt_cache_hit_tokens":4}}"#,
            [7, 4, 0, 5, 0],
        ),
        (
            Dialect::Anthropic,
            r#"{"usage":{"input_tokens":1,"cache_read_input_tokens":2,"cache_creation_input_tokens":4,"output_tokens":8}}"#,
            [7, 2, 4, 8, 0],
        ),
        (
            Dialect::Responses,
            r#"{"usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":3},"output_tokens":"many"}}"#,
            [7, 3, 0, 0, 0],
        ),
        (
            Dialect::Gemini,
            r#"{"usage":{},"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":5,"thoughtsTokenCount":2}}"#,
            [7, 0, 0, 7, 2],
        ),
    ];
    for (dialect, body, expected) in cases {
        let counts = skim(body.as_bytes()).unwrap().counts(dialect).unwrap();
        let read = [
            counts.input,
            counts.cached,
            counts.written,
            counts.output,
            counts.reasoning,
        ];
        assert_eq!(read, expected, "{body}");
    }
    for none in ["{}", r#"{"usage":null}"#, r#"{"usage":[1]}"#, r#"{"usage":7}"#] {
        assert_eq!(skim(none.as_bytes()).unwrap().counts(Dialect::OpenAi), None, "{none}");
    }
}

#[test]
fn an_error_in_an_answer_is_one() {
    let told = |body: &str| skim(body.as_bytes()).unwrap().fault().map(|fault| fault.message);
    assert_eq!(told(r#"{"error":null}"#), None);
    assert_eq!(told(r#"{"error":"no \"luck\""}"#).as_deref(), Some("no \"luck\""));
    assert_eq!(told(r#"{"error":{"message":"over"}}"#).as_deref(), Some("over"));
    assert_eq!(told(r#"{"error":{}}"#).as_deref(), Some("the provider failed"));
}

#[test]
fn what_is_no_object_is_no_answer() {
    for body in [
        &b"[]"[..],
        b"",
        b"{",
        b"{\"a\":}",
        b"{\"a\":\"\xff\"}",
        b"{} {}",
        b"<html>",
        b"null",
    ] {
        assert!(skim(body).is_err(), "{}", String::from_utf8_lossy(body));
    }
}
