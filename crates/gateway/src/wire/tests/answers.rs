//! Answers: recorded streams, cut at every byte.

use super::pairs;
use crate::wire::{Answer, Counts, Dialect, Manner, Piece, Reader, Stop, Writer, ask::Part, sse::Events};
use serde_json::{Value, json};

fn manner(client: Dialect) -> Manner {
    Manner {
        request: "r1".to_owned(),
        prefix: client.id_prefix(),
        model: "asked-model".to_owned(),
        now: 1_700_000_000,
        stream_usage: true,
        array: false,
        free: Vec::new(),
    }
}

fn pieces(dialect: Dialect, chunks: &[&[u8]]) -> Vec<Piece> {
    let (mut events, mut reader, mut out) = (Events::default(), Reader::new(dialect), Vec::new());
    for chunk in chunks {
        events.feed(chunk, |data| reader.event(data, &mut out)).unwrap();
    }
    events.end(|data| reader.event(data, &mut out));
    out
}

fn whole(pieces: Vec<Piece>) -> Answer {
    let mut answer = Answer::default();
    pieces.into_iter().for_each(|piece| answer.add(piece));
    answer.close();
    answer
}

fn told(client: Dialect, pieces: &[Piece]) -> Vec<u8> {
    let mut writer = Writer::new(client, manner(client));
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| writer.piece(piece, &mut out));
    writer.finish(&mut out);
    out
}

fn stream(dialect: Dialect) -> String {
    pairs::read(&format!("stream.{}.sse", dialect.name()))
}

/// What an answer says, whatever the dialect: ids and seals differ.
fn sense(answer: &Answer) -> (Vec<String>, Option<Stop>, Option<Counts>) {
    let parts = answer.parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(format!("text {text}")),
        Part::Call { name, arguments, .. } => Some(format!("call {name} {arguments}")),
        Part::Thought { .. } | Part::Media { .. } | Part::Result { .. } => None,
    });
    let counts = answer.counts.map(|c| Counts {
        reasoning: 0,
        written: 0,
        ..c
    });
    (parts.collect(), answer.stop, counts)
}

#[test]
fn every_dialect_says_the_same_thing() {
    for dialect in Dialect::ALL {
        let answer = whole(pieces(dialect, &[stream(dialect).as_bytes()]));
        let name = dialect.name();
        let (parts, stop, counts) = sense(&answer);
        assert_eq!(
            parts,
            [
                "text Grüße aus Köln",
                r#"call weather {"city":"Köln"}"#,
                r#"call weather {"city":"Paris"}"#
            ],
            "{name}"
        );
        assert_eq!(stop, Some(Stop::Tools), "{name}");
        let counts = counts.unwrap();
        assert_eq!((counts.input, counts.cached, counts.output), (111, 30, 27), "{name}");
        let thought = answer
            .parts
            .iter()
            .any(|p| matches!(p, Part::Thought { text, .. } if text == "Two cities."));
        assert!(thought, "{name}: {answer:?}");
    }
}

#[test]
fn every_pair_is_streamed_as_it_was_and_says_the_same_again() {
    for (client, provider) in pairs::all() {
        let read = pieces(provider, &[stream(provider).as_bytes()]);
        let out = told(client, &read);
        pairs::compare(
            &format!("stream.{}-from-{}.sse", client.name(), provider.name()),
            std::str::from_utf8(&out).unwrap(),
        );
        let again = whole(pieces(client, &[&out]));
        assert_eq!(
            sense(&again),
            sense(&whole(read)),
            "{} from {}",
            client.name(),
            provider.name()
        );
    }
}

#[test]
fn a_stream_cut_at_every_byte_is_the_same_stream() {
    for provider in Dialect::ALL {
        let stream = stream(provider);
        let bytes = stream.as_bytes();
        let uncut = pieces(provider, &[bytes]);
        for cut in 0..=bytes.len() {
            assert_eq!(
                pieces(provider, &[&bytes[..cut], &bytes[cut..]]),
                uncut,
                "{} cut at {cut}",
                provider.name()
            );
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(pieces(provider, &single), uncut, "{} byte by byte", provider.name());
    }
}

#[test]
fn a_stream_that_ends_early_is_told_as_far_as_it_came_by_every_client() {
    for (client, provider) in pairs::all() {
        let stream = stream(provider);
        for end in 0..stream.len() {
            let mut answer = Answer::default();
            let read = pieces(provider, &[&stream.as_bytes()[..end]]);
            // The cut may fall into an event, which is then no JSON; nothing else may go wrong.
            let told = told(client, &read);
            read.into_iter().for_each(|piece| answer.add(piece));
            if answer.fault.is_none() && answer.stop.is_none() {
                let text = String::from_utf8(told).unwrap();
                assert!(
                    !text.contains('\u{fffd}'),
                    "{} from {} at {end}",
                    client.name(),
                    provider.name()
                );
            }
        }
    }
}

#[test]
fn every_pair_answers_whole_and_says_the_same_again() {
    for (client, provider) in pairs::all() {
        let body: Value = serde_json::from_str(&pairs::read(&format!("answer.{}.json", provider.name()))).unwrap();
        let answer = whole(provider.read_document(&body));
        let document = client.write_document(&answer, &manner(client));
        let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        let pair = format!("{}-from-{}", client.name(), provider.name());
        pairs::compare(&format!("answer.{pair}.json"), &text);
        let again = whole(client.read_document(&document));
        assert_eq!(sense(&again), sense(&answer), "{pair}");
        assert_eq!(sense(&answer).0.len(), 3, "{pair}: {answer:?}");
    }
}

#[test]
fn stop_reasons_survive_every_pair() {
    for (client, provider) in pairs::all() {
        for stop in [Stop::End, Stop::Length, Stop::Refused] {
            let said = [Piece::Text("x".to_owned()), Piece::Stop(stop)];
            let first = told(provider, &said);
            let second = told(client, &pieces(provider, &[&first]));
            let answer = whole(pieces(client, &[&second]));
            assert_eq!(answer.stop, Some(stop), "{} from {}", client.name(), provider.name());
        }
    }
}

#[test]
fn failures_in_a_stream_are_told_in_the_clients_words_and_end_it() {
    let failed = [
        (Dialect::OpenAi, r#"data: {"error":{"message":"overloaded"}}"#),
        (
            Dialect::Anthropic,
            r#"data: {"type":"error","error":{"type":"overloaded_error","message":"overloaded"}}"#,
        ),
        (
            Dialect::Gemini,
            r#"data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#,
        ),
        (
            Dialect::Responses,
            r#"data: {"type":"response.failed","response":{"error":{"code":"server_error","message":"overloaded"}}}"#,
        ),
    ];
    for (provider, stream) in failed {
        let read = pieces(provider, &[stream.as_bytes(), b"\n\n"]);
        for client in Dialect::ALL {
            let again = whole(pieces(client, &[&told(client, &read)]));
            let fault = again.fault.unwrap_or_else(|| panic!("{client:?} from {provider:?}"));
            assert_eq!(fault.message, "overloaded");
            assert_eq!(again.stop, None, "{client:?} from {provider:?}");
        }
    }
}

#[test]
fn calls_that_are_told_by_turns_are_put_in_order() {
    let chunk = |index: u8, id: &str, name: &str, arguments: &str| {
        let mut call = json!({"index": index, "function": {"arguments": arguments}});
        if !id.is_empty() {
            call["id"] = id.into();
            call["function"]["name"] = name.into();
        }
        format!("data: {}\n\n", json!({"choices": [{"delta": {"tool_calls": [call]}}]}))
    };
    let stream = [
        chunk(0, "a", "first", "{\"x\":"),
        chunk(1, "b", "second", "{\"y\":"),
        chunk(0, "", "", "1}"),
        chunk(1, "", "", "2}"),
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n".to_owned(),
    ]
    .concat();
    for client in Dialect::ALL {
        let read = pieces(Dialect::OpenAi, &[stream.as_bytes()]);
        let answer = whole(pieces(client, &[&told(client, &read)]));
        assert_eq!(
            sense(&answer).0,
            [r#"call first {"x":1}"#, r#"call second {"y":2}"#],
            "{client:?}"
        );
    }
}

#[test]
fn plain_text_tools_get_plain_text() {
    let mut own = manner(Dialect::Responses);
    own.free = vec!["apply_patch".to_owned()];
    let read = [
        Piece::Call {
            id: "c".to_owned(),
            name: "apply_patch".to_owned(),
            proof: None,
        },
        Piece::Arguments("{\"input\":\"*** Begin".to_owned()),
        Piece::Arguments(" Patch\\n\"}".to_owned()),
        Piece::Stop(Stop::Tools),
    ];
    let mut writer = Writer::new(Dialect::Responses, own);
    let mut out = Vec::new();
    read.iter().for_each(|piece| writer.piece(piece, &mut out));
    writer.finish(&mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains(r#""input":"*** Begin Patch\n""#) && text.contains("custom_tool_call"),
        "{text}"
    );
    assert!(!text.contains("function_call_arguments"), "{text}");
}

#[test]
fn a_list_instead_of_events_is_json() {
    let mut own = manner(Dialect::Gemini);
    own.array = true;
    for said in [vec![], vec![Piece::Text("a".to_owned()), Piece::Text("b".to_owned())]] {
        let mut writer = Writer::new(Dialect::Gemini, own.clone());
        let mut out = Vec::new();
        said.iter().for_each(|piece| writer.piece(piece, &mut out));
        writer.finish(&mut out);
        let list: Vec<Value> = serde_json::from_slice(&out).unwrap();
        assert_eq!(list.len(), said.len() + 1);
    }
}

#[test]
fn an_endless_event_is_refused_and_bad_utf8_is_the_providers_fault() {
    let mut events = Events::default();
    let chunk = vec![b'x'; 1 << 20];
    assert!((0..20).any(|_| events.feed(&chunk, |_| {}).is_err()));
    let bad = pieces(
        Dialect::OpenAi,
        &[b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n"],
    );
    assert!(matches!(bad.as_slice(), [Piece::Fault(_)]), "{bad:?}");
}

#[test]
fn what_the_meter_needs_is_found_without_reading_the_rest() {
    for dialect in Dialect::ALL {
        let stream = stream(dialect);
        let (mut events, mut reader, mut out, mut skipped) = (Events::default(), Reader::new(dialect), Vec::new(), 0);
        let take = |data: &[u8]| {
            if dialect.may_matter(data) {
                reader.event(data, &mut out);
            } else {
                skipped += 1;
            }
        };
        events.feed(stream.as_bytes(), take).unwrap();
        let (skimmed, read) = (whole(out), whole(pieces(dialect, &[stream.as_bytes()])));
        assert_eq!(
            // Which stop it is may hang on what was skipped; that it stopped does not.
            (skimmed.counts, skimmed.stop.is_some()),
            (read.counts, read.stop.is_some()),
            "{}",
            dialect.name()
        );
        assert!(skipped > 1, "{}", dialect.name());
    }
    let tricky: &[u8] =
        br#"{"choices":[{"delta":{"content":"say \"usage\": { and \"error\":{"},"finish_reason":null}],"usage":null}"#;
    assert!(!Dialect::OpenAi.may_matter(tricky));
    assert!(Dialect::OpenAi.may_matter(br#"{"choices":[],"usage" : {"prompt_tokens":1}}"#));
}

#[test]
fn what_only_holds_pieces_of_the_answer_is_told_from_the_rest() {
    let piece = "data: {\"choices\":[{\"delta\":{\"content\":\"say \\\"usage\\\": {1} \"},\"finish_reason\":null}],\"usage\":null}\n\n";
    let usage = "data: {\"choices\":[],\"usage\": {\"prompt_tokens\":1}}\n\n";
    let three = piece.repeat(3);
    for (bytes, plain) in [
        (three.clone(), three.len()),
        (format!("{three}{usage}{piece}"), three.len()),
        (format!("{three}{}", &piece[..20]), three.len()),
        (format!("{three}{}", &usage[..20]), three.len()),
        (usage.to_owned(), 0),
        (three.replace('\n', "\r\n"), 0),
        (String::new(), 0),
    ] {
        assert_eq!(Dialect::OpenAi.plain(bytes.as_bytes()), plain, "{bytes}");
    }
    let gemini = "data: {\"candidates\":[{\"finishReason\": \"STOP\"}]}\n\n";
    assert_eq!(Dialect::Gemini.plain(gemini.as_bytes()), 0);
    assert_eq!(
        Dialect::Anthropic.plain(three.as_bytes()),
        0,
        "its events say what they are one by one"
    );
}
