use super::{Door, Question, Wanted};
use crate::wire::{Dialect, Kind};
use hyper::HeaderMap;
use maestria_kernel::At;
use serde::de::IgnoredAny;

fn read(face: Dialect, body: impl AsRef<[u8]>) -> Result<Question, crate::wire::Fault> {
    let door = Door {
        face,
        wanted: Wanted::Answer,
        model: (face == Dialect::Gemini).then(|| "g".to_owned()),
        stream: (face == Dialect::Gemini).then_some(true),
        array: false,
        query: "",
    };
    let body = body.as_ref().to_vec().into();
    Question::read("r".to_owned(), At(0), door, HeaderMap::new(), body)
}

#[test]
fn a_body_is_changed_only_where_it_must_be() {
    let table = [
        // The model stays: not a byte changes.
        (
            r#"{ "model" : "m", "x": 1.50 }"#,
            "m",
            r#"{ "model" : "m", "x": 1.50 }"#,
        ),
        (
            r#"{"a":{"model":"no"},"model":"p/m","z":"ü"}"#,
            "m",
            r#"{"a":{"model":"no"},"model":"m","z":"ü"}"#,
        ),
        (
            r#"{"model":"p/m","stream":true}"#,
            "m",
            r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":false},"model":"p/m","stream":true}"#,
            "m",
            r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#,
            "m",
            r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#,
        ),
    ];
    for (body, model, expected) in table {
        let question = read(Dialect::OpenAi, body).unwrap();
        assert_eq!(std::str::from_utf8(&question.body_for(model)).unwrap(), expected);
    }
    let gemini = read(Dialect::Gemini, r#"{"model":"x","contents":[]}"#).unwrap();
    assert_eq!((gemini.model.as_str(), gemini.stream), ("g", true));
    assert_eq!(gemini.body_for("other").as_ref(), br#"{"model":"x","contents":[]}"#);
}

#[test]
fn the_limit_of_the_answer_is_found_in_every_dialect() {
    let table = [
        (
            Dialect::OpenAi,
            r#"{"model":"m","max_tokens":7,"max_completion_tokens":8}"#,
        ),
        (Dialect::OpenAi, r#"{"model":"m","max_tokens":8}"#),
        (Dialect::Responses, r#"{"model":"m","max_output_tokens":8}"#),
        (Dialect::Anthropic, r#"{"model":"m","max_tokens":8}"#),
        (Dialect::Gemini, r#"{"generationConfig":{"maxOutputTokens":8}}"#),
    ];
    for (face, body) in table {
        assert_eq!(read(face, body).unwrap().max_tokens, Some(8), "{body}");
    }
    assert_eq!(
        read(Dialect::OpenAi, r#"{"model":"m","max_tokens":null}"#)
            .unwrap()
            .max_tokens,
        None
    );
}

#[test]
fn what_makes_no_sense_is_named() {
    let table = [
        ("", "no JSON object"),
        ("{", "no JSON"),
        ("[\"m\"]", "no JSON object"),
        ("{}", "`model` is missing"),
        (r#"{"model":5}"#, "`model` is no text"),
        (r#"{"model":"m","stream":"yes"}"#, "`stream`"),
        (r#"{"model":"m","model":"n"}"#, "duplicate"),
        (r#"{"model":"m"} trailing"#, "trailing"),
    ];
    for (body, what) in table {
        let fault = read(Dialect::OpenAi, body).unwrap_err();
        assert_eq!(fault.kind, Kind::Invalid);
        assert!(fault.message.contains(what), "{body}: {}", fault.message);
    }
}

/// A reader that skips must not take bytes for text, wherever they stand.
#[test]
fn bytes_that_are_no_text_are_refused_wherever_they_stand() {
    let whole =
        br#"{"model":"m","stream":false,"messages":[{"role":"user","content":"hello"}],"tools":[],"max_tokens":5}"#;
    assert!(read(Dialect::OpenAi, whole).is_ok());
    for place in 1..whole.len() {
        let mut body = whole.to_vec();
        body[place] = 0xff;
        let fault = read(Dialect::OpenAi, &body).unwrap_err();
        assert_eq!(fault.kind, Kind::Invalid, "{place}");
    }
}

/// Bodies that are nearly JSON: pieces of it, put together anyhow.
fn nearly() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    const PIECES: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\"model\"",
        b"\"m\"",
        b"\"\\u00e9\\n\"",
        b"\"\\x\"",
        b"\"\\ud800\"",
        b"\"a\nb\"",
        b"\"\xff\"",
        b"\"",
        b"\\",
        b"1",
        b"-",
        b"01",
        b"1.",
        b"1.5e+3",
        b"1e",
        b".5",
        b"true",
        b"nul",
        b"null",
        b" ",
        b"\n",
        b"\t",
        b"\0",
        b"x",
        b"\xc3\xa9",
        b"\"\xc3\xa9\"",
        b"{\"model\":\"m\"",
        b",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..12).prop_map(|pieces| pieces.concat())
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4_096))]
    #[test]
    fn what_is_no_json_is_refused(rest in nearly(), opened in proptest::bool::ANY) {
        let mut body = if opened { b"{\"model\":\"m\",\"x\":".to_vec() } else { Vec::new() };
        body.extend_from_slice(&rest);
        if opened {
            body.push(b'}');
        }
        let sound = serde_json::from_slice::<IgnoredAny>(&body).is_ok();
        let read = read(Dialect::OpenAi, &body);
        proptest::prop_assert!(sound || read.is_err(), "{:?} was taken", String::from_utf8_lossy(&body));
    }
}
