use super::{Dialect, Draft, sse::Events};
use maestria_kernel::model::{Part, Stop};
use serde_json::Value;

const STREAMS: [(Dialect, &str); 4] = [
    (
        Dialect::OpenAi,
        "data: {\"choices\":[{\"delta\":{\"content\":\"Grüße \"}}]}\n\n: ping\n\n\
         data: {\"choices\":[{\"delta\":{\"content\":\"dich\",\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"read_file\",\"arguments\":\"{\\\"path\\\":\"}}]}}]}\n\n\
         data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"a\\\"}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n\
         data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\ndata: [DONE]\n\n",
    ),
    (
        Dialect::Anthropic,
        "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":8,\"cache_read_input_tokens\":3}}}\r\n\r\n\
         data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Grüße dich\"}}\n\n\
         data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"read_file\"}}\n\n\
         data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"path\\\":\\\"a\\\"}\"}}\n\n\
         data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":7}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    (
        Dialect::Gemini,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Grüße \"}]}}]}\n\n\
         data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"dich\"},{\"functionCall\":{\"name\":\"read_file\",\"args\":{\"path\":\"a\"}}}]},\"finishReason\":\"STOP\"}],\
         \"usageMetadata\":{\"promptTokenCount\":11,\"cachedContentTokenCount\":3,\"candidatesTokenCount\":5,\"thoughtsTokenCount\":2}}\n\n",
    ),
    (
        Dialect::Responses,
        "event: x\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Grüße dich\"}\n\n\
         data: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"read_file\",\"arguments\":\"{\\\"path\\\":\\\"a\\\"}\"}}\n\n\
         data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":11,\"output_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":3}}}}\n\n",
    ),
];

fn read(dialect: Dialect, chunks: &[&[u8]]) -> Draft {
    let (mut events, mut draft) = (Events::default(), Draft::default());
    let mut all = Vec::new();
    for chunk in chunks {
        all.extend(events.feed(chunk).unwrap());
    }
    all.extend(events.end());
    for data in all {
        if let Ok(value) = serde_json::from_str::<Value>(&data) {
            dialect.decode(&mut draft, &value);
        }
    }
    draft
}

#[test]
fn every_dialect_says_the_same_thing_cut_at_every_byte() {
    for (dialect, stream) in STREAMS {
        let bytes = stream.as_bytes();
        for cut in 0..=bytes.len() {
            let draft = read(dialect, &[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(
                (draft.usage.input.0, draft.usage.cached.0, draft.usage.output.0),
                (11, 3, 7),
                "{dialect:?} {cut}"
            );
            let reply = draft.finish().unwrap();
            assert_eq!(reply.text(), "Grüße dich", "{dialect:?} {cut}");
            assert_eq!(reply.stop, Stop::Tools);
            let Some(Part::Call { name, arguments, .. }) = reply.parts.last() else {
                panic!("{dialect:?}: no call")
            };
            assert_eq!((name.as_str(), arguments["path"].as_str()), ("read_file", Some("a")));
        }
    }
}

#[test]
fn a_stream_that_ends_early_has_no_stop() {
    for (dialect, stream) in STREAMS {
        for cut in 0..stream.len() / 2 {
            let draft = read(dialect, &[&stream.as_bytes()[..cut]]);
            assert_eq!(draft.stop, None, "{dialect:?} cut at {cut}");
        }
    }
}

#[test]
fn errors_in_a_stream_are_kept() {
    let cases = [
        (Dialect::OpenAi, r#"data: {"error":{"message":"overloaded"}}"#),
        (
            Dialect::Anthropic,
            r#"data: {"type":"error","error":{"message":"overloaded"}}"#,
        ),
        (Dialect::Gemini, r#"data: {"error":{"message":"overloaded"}}"#),
        (
            Dialect::Responses,
            r#"data: {"type":"response.failed","response":{"error":{"message":"overloaded"}}}"#,
        ),
    ];
    for (dialect, stream) in cases {
        assert_eq!(
            read(dialect, &[stream.as_bytes()]).error.as_deref(),
            Some("overloaded"),
            "{dialect:?}"
        );
    }
}

#[test]
fn an_endless_event_is_refused() {
    let mut events = Events::default();
    let chunk = vec![b'x'; 1 << 20];
    assert!((0..20).any(|_| events.feed(&chunk).is_err()));
}
