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
