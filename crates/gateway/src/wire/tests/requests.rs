//! Requests.

use super::pairs;
use crate::wire::{
    Ask, Dialect,
    ask::{Choice, Effort, Format, Part, Thinking},
};
use maestria_kernel::model::Speaker;
use serde_json::{Value, json};

fn request(dialect: Dialect) -> Ask {
    let body: Value = serde_json::from_str(&pairs::read(&format!("request.{}.json", dialect.name()))).unwrap();
    dialect.read(&body, "asked-model", true).unwrap()
}

#[test]
fn every_pair_is_written_as_it_was() {
    for (client, provider) in pairs::all() {
        let (body, losses) = provider.write(&request(client));
        let names: Vec<&str> = losses.names().collect();
        let kept = json!({"losses": names, "body": body});
        let text = serde_json::to_string_pretty(&kept).unwrap() + "\n";
        pairs::compare(&format!("request.{}-to-{}.json", client.name(), provider.name()), &text);
    }
}

#[test]
fn the_same_request_is_read_from_every_dialect() {
    for dialect in Dialect::ALL {
        let ask = request(dialect);
        let name = dialect.name();
        assert_eq!(ask.system_text(), "You are terse.", "{name}");
        assert!(ask.stream, "{name}");
        let speakers: Vec<Speaker> = ask.turns.iter().map(|t| t.speaker).collect();
        assert_eq!(speakers, [Speaker::User, Speaker::Assistant, Speaker::User], "{name}");
        let [first, media] = ask.turns[0].parts.as_slice() else {
            panic!("{name}: {:?}", ask.turns[0])
        };
        assert_eq!(
            first.as_text(),
            Some("What is in the picture, and how is the weather?"),
            "{name}"
        );
        assert!(
            matches!(media, Part::Media { mime, .. } if mime == "image/png"),
            "{name}: {media:?}"
        );
        let calls: Vec<&str> = ask.turns[1]
            .parts
            .iter()
            .filter_map(|p| match p {
                Part::Call { name, arguments, .. } if arguments.is_object() => Some(name.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(calls, ["weather", "weather"], "{name}: parallel calls");
        let ids = |wanted: fn(&Part) -> Option<&String>| -> Vec<String> {
            ask.turns
                .iter()
                .flat_map(|t| &t.parts)
                .filter_map(wanted)
                .cloned()
                .collect()
        };
        let called = ids(|p| if let Part::Call { id, .. } = p { Some(id) } else { None });
        let answered = ids(|p| {
            if let Part::Result { id, .. } = p {
                Some(id)
            } else {
                None
            }
        });
        assert_eq!(called, answered, "{name}: every result has its call");
        assert_ne!(called[0], called[1], "{name}");
        let named = ids(|p| {
            if let Part::Result { name, .. } = p {
                Some(name)
            } else {
                None
            }
        });
        assert_eq!(named, ["weather", "weather"], "{name}");
        assert_eq!(ask.tools.len(), 1, "{name}");
        assert_eq!(
            ask.tools[0].parameters["properties"]["city"]["type"], "string",
            "{name}"
        );
        assert_eq!(ask.choice, Choice::Any, "{name}");
        assert_eq!(ask.max_tokens, Some(4000), "{name}");
        assert!(ask.temperature.is_some_and(|t| (t - 0.5).abs() < 1e-9), "{name}");
        assert!(
            matches!(&ask.format, Format::Schema { schema, .. } if schema["type"] == "object"),
            "{name}"
        );
        assert!(
            ask.thinking.is_some_and(|t| t.effort() == Some(Effort::Medium)),
            "{name}: {:?}",
            ask.thinking
        );
        assert!(ask.losses.is_empty(), "{name}: {}", ask.losses);
    }
}

#[test]
fn what_was_written_is_read_back() {
    for (client, provider) in pairs::all() {
        let ask = request(client);
        let (body, _) = provider.write(&ask);
        let back = provider.read(&body, &ask.model, ask.stream).unwrap();
        let pair = format!("{} to {}", client.name(), provider.name());
        assert_eq!(back.system_text(), ask.system_text(), "{pair}");
        assert_eq!(
            (back.turns.len(), &back.choice, back.max_tokens),
            (ask.turns.len(), &ask.choice, ask.max_tokens),
            "{pair}"
        );
        let shape = |ask: &Ask| -> Vec<String> {
            let parts = ask.turns.iter().flat_map(|t| &t.parts);
            parts
                .filter_map(|part| match part {
                    Part::Text { text, .. } => Some(format!("text {text}")),
                    Part::Media { mime, .. } => Some(format!("media {mime}")),
                    Part::Call { name, arguments, .. } => Some(format!("call {name} {arguments}")),
                    Part::Result { name, parts, .. } => Some(format!("result {name} {parts:?}")),
                    Part::Thought { .. } => None,
                })
                .collect()
        };
        assert_eq!(shape(&back), shape(&ask), "{pair}");
        assert_eq!(back.tools.len(), ask.tools.len(), "{pair}");
    }
}

#[test]
fn what_a_pair_cannot_carry_is_named() {
    let chat = json!({
        "model": "m", "messages": [{"role": "user", "content": "x"}], "seed": 7, "logit_bias": {"1": 2}, "n": 3,
        "tools": [{"type": "web_search"}], "presence_penalty": 0.5,
    });
    let ask = Dialect::OpenAi.read(&chat, "", false).unwrap();
    let (_, losses) = Dialect::Anthropic.write(&ask);
    let names: Vec<&str> = losses.names().collect();
    assert_eq!(
        names,
        ["logit_bias", "n", "presence_penalty", "seed", "tools.web_search"]
    );
    let (_, losses) = Dialect::Gemini.write(&ask);
    assert!(!losses.names().any(|n| n == "seed"), "Gemini has seeds: {losses}");
}

#[test]
fn what_would_change_its_meaning_is_refused() {
    let table = [
        (
            Dialect::Responses,
            json!({"model": "m", "input": "x", "previous_response_id": "r"}),
            "previous_response_id",
        ),
        (
            Dialect::Responses,
            json!({"model": "m", "input": "x", "background": true}),
            "background",
        ),
        (
            Dialect::Gemini,
            json!({"contents": [{"parts": [{"text": "x"}]}], "cachedContent": "c"}),
            "cachedContent",
        ),
        (Dialect::OpenAi, json!({"messages": []}), "model"),
        (
            Dialect::OpenAi,
            json!({"model": "m", "messages": [{"role": "robot", "content": "x"}]}),
            "robot",
        ),
        (Dialect::OpenAi, json!({"model": "m", "messages": "x"}), "messages"),
        (
            Dialect::Anthropic,
            json!({"model": "m", "messages": [{"role": "user", "content": 5}]}),
            "content",
        ),
        (Dialect::Anthropic, json!([1, 2]), "no JSON object"),
        (
            Dialect::Anthropic,
            json!({"model": 3, "messages": []}),
            "`model` is no text",
        ),
    ];
    for (dialect, body, what) in table {
        let error = dialect.read(&body, "m", false).unwrap_err().to_string();
        assert!(error.contains(what), "{body}: {error}");
    }
}

#[test]
fn seals_go_back_to_whoever_made_them_and_to_nobody_else() {
    let gemini = json!({"contents": [
        {"role": "user", "parts": [{"text": "x"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "SEAL"}]},
    ]});
    let ask = Dialect::Gemini.read(&gemini, "gemini-3-pro", false).unwrap();
    assert!(Dialect::Gemini.write(&ask).0.to_string().contains("SEAL"));
    for other in [Dialect::Anthropic, Dialect::Responses] {
        assert!(!other.write(&ask).0.to_string().contains("SEAL"), "{other:?}");
    }
    let marked = json!({"model": "m", "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "maestria.responses.ENC"}]},
        {"role": "user", "content": "y"},
    ]});
    let ask = Dialect::Anthropic.read(&marked, "", false).unwrap();
    assert!(
        Dialect::Responses
            .write(&ask)
            .0
            .to_string()
            .contains("\"encrypted_content\":\"ENC\"")
    );
    assert!(!Dialect::Anthropic.write(&ask).0.to_string().contains("ENC"));
}

#[test]
fn a_conversation_whose_calls_lack_their_thoughts_is_answered_without_thinking() {
    let mut ask = request(Dialect::OpenAi);
    ask.choice = Choice::Auto;
    ask.model = "claude-opus-4-8".to_owned();
    let (body, losses) = Dialect::Anthropic.write(&ask);
    assert!(
        body.get("thinking").is_none() && losses.names().any(|n| n == "thinking"),
        "{body}"
    );
    ask.turns.truncate(1);
    let (body, _) = Dialect::Anthropic.write(&ask);
    assert_eq!(body["thinking"]["type"], "adaptive");
    ask.model = "claude-sonnet-4-5".to_owned();
    let (body, _) = Dialect::Anthropic.write(&ask);
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 3999}));
    ask.thinking = Some(Thinking {
        effort: Some(Effort::None),
        budget: None,
        shown: false,
    });
    assert!(Dialect::Anthropic.write(&ask).0.get("thinking").is_none());
}

#[test]
fn cache_marks_reach_the_dialect_that_has_them() {
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}]});
    let ask = Dialect::OpenAi.read(&chat, "", false).unwrap();
    let (body, _) = Dialect::Anthropic.write(&ask);
    assert_eq!(body["messages"][0]["content"][0]["cache_control"]["type"], "ephemeral");
    let keyed = json!({"model": "m", "input": "x", "prompt_cache_key": "k"});
    let ask = Dialect::Responses.read(&keyed, "", false).unwrap();
    assert_eq!(Dialect::Anthropic.write(&ask).0["cache_control"]["type"], "ephemeral");
    assert_eq!(Dialect::OpenAi.write(&ask).0["prompt_cache_key"], "k");
}
