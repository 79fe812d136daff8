//! Every dialect in, every provider out, over HTTP.

use crate::stage::{DIALECTS, NOON, Stage, ask, events, provider, rules, text_of};
use maestria_gateway::{OnLoss, Rules};
use maestria_kernel::Cost;
use maestria_testkit::model::{Dialect, ModelServer, Script, Step};
use serde_json::json;

fn prompt(step: Step) -> String {
    Script::of([step]).directive()
}

#[tokio::test]
async fn all_sixteen_pairs_answer_whole_and_streamed() {
    let server = ModelServer::start().await;
    let providers = DIALECTS.map(|(name, _)| provider(&format!("p-{name}"), name, &server, &["gpt-4o-mini"]));
    let stage = Stage::open(providers.to_vec(), rules()).await;
    let prompt = prompt(Step::Text("Grüße, dich!".to_owned()));
    for (client, face) in DIALECTS {
        for (name, _) in DIALECTS {
            for stream in [false, true] {
                let pair = format!("{client} to {name}, streamed: {stream}");
                let model = format!("p-{name}/gpt-4o-mini");
                let (path, body) = ask(face, &model, &prompt, stream);
                let reply = stage.post(&path, &body).await;
                assert_eq!(reply.status, 200, "{pair}: {}", reply.text);
                assert_eq!(text_of(face, &reply, stream), "Grüße, dich!", "{pair}: {}", reply.text);
                assert_eq!(reply.header("x-maestria-model"), Some(model.as_str()), "{pair}");
            }
        }
    }
    let calls = stage.calls(32).await;
    assert_eq!(calls.len(), 32);
    for call in calls {
        let pair = format!("{call:?}");
        assert_eq!(
            (call.outcome.as_str(), call.at, call.estimated),
            ("ok", NOON, false),
            "{pair}"
        );
        assert!(call.input > 0 && call.output > 0 && call.first_millis > 0, "{pair}");
        let price = |tokens: u64, micro: i64| Cost::of(maestria_kernel::Tokens(tokens), Cost(micro));
        assert_eq!(
            call.cost,
            price(call.input, 150_000).plus(price(call.output, 600_000)),
            "{pair}"
        );
    }
}

#[tokio::test]
async fn tools_called_in_parallel_reach_every_client() {
    let server = ModelServer::start().await;
    let providers = DIALECTS.map(|(name, _)| provider(&format!("p-{name}"), name, &server, &["m"]));
    let stage = Stage::open(providers.to_vec(), rules()).await;
    let call = |city: &str| Step::Call {
        name: "weather".to_owned(),
        input: json!({"city": city}),
    };
    let prompt = prompt(Step::All(vec![call("Köln"), call("Paris")]));
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    for (client, face) in DIALECTS {
        for (name, _) in DIALECTS {
            for stream in [false, true] {
                let (path, mut body) = ask(face, &format!("p-{name}/m"), &prompt, stream);
                body["tools"] = match face {
                    Dialect::Chat => {
                        json!([{"type": "function", "function": {"name": "weather", "parameters": schema}}])
                    }
                    Dialect::Responses => json!([{"type": "function", "name": "weather", "parameters": schema}]),
                    Dialect::Anthropic => json!([{"name": "weather", "input_schema": schema}]),
                    Dialect::Gemini => json!([{"functionDeclarations": [{"name": "weather", "parameters": schema}]}]),
                };
                let reply = stage.post(&path, &body).await;
                let pair = format!("{client} to {name}, streamed: {stream}: {}", reply.text);
                assert_eq!(reply.status, 200, "{pair}");
                let plain = reply.text.replace('\\', "");
                assert!(plain.matches("weather").count() >= 2, "{pair}");
                for city in ["Köln", "Paris"] {
                    assert!(plain.contains(city) || stream, "{pair}");
                }
                let word = match face {
                    Dialect::Chat => "\"finish_reason\":\"tool_calls\"",
                    Dialect::Responses => "\"type\":\"function_call\"",
                    Dialect::Anthropic => "\"stop_reason\":\"tool_use\"",
                    Dialect::Gemini => "\"functionCall\"",
                };
                assert!(reply.text.contains(word), "{pair}");
            }
        }
    }
}

#[tokio::test]
async fn the_same_dialect_is_passed_on_byte_for_byte() {
    let server = ModelServer::start().await;
    let providers = DIALECTS.map(|(name, _)| provider(&format!("p-{name}"), name, &server, &["m"]));
    let stage = Stage::open(providers.to_vec(), rules()).await;
    for (name, face) in DIALECTS {
        let (path, mut body) = ask(face, &format!("p-{name}/m"), "hello", false);
        body["a_field_of_tomorrow"] = json!({"nested": [1, 2.50, "ü"]});
        let reply = stage.post(&path, &body).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text);
        let asked = server.requests().pop().unwrap();
        body["model"] = "m".into();
        if face == Dialect::Gemini {
            body.as_object_mut().unwrap().remove("model");
        }
        assert_eq!(asked.body, body, "{name}");
        assert_eq!(reply.header("x-maestria-dropped"), None, "{name}");
    }
}

#[tokio::test]
async fn a_chat_stream_has_usage_when_it_was_asked_for_and_is_metered_when_it_was_not() {
    let server = ModelServer::start().await;
    let stage = Stage::open(vec![provider("p", "openai", &server, &["m"])], rules()).await;
    let usages = |reply: &crate::stage::Reply| events(reply).iter().filter(|e| e["usage"].is_object()).count();
    let (path, mut body) = ask(Dialect::Chat, "m", "hello", true);
    let reply = stage.post(&path, &body).await;
    assert_eq!(usages(&reply), 0, "{}", reply.text);
    assert!(reply.text.ends_with("data: [DONE]\n\n"), "{}", reply.text);
    body["stream_options"] = json!({"include_usage": false});
    assert_eq!(usages(&stage.post(&path, &body).await), 0);
    body["stream_options"] = json!({"include_usage": true});
    assert_eq!(usages(&stage.post(&path, &body).await), 1);
    assert!(
        stage
            .calls(3)
            .await
            .iter()
            .all(|call| call.output > 0 && !call.estimated)
    );
}

#[tokio::test]
async fn what_a_pair_cannot_carry_is_named_or_refused() {
    let server = ModelServer::start().await;
    let providers = || vec![provider("p", "anthropic", &server, &["m"])];
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "seed": 7, "logit_bias": {"1": 2}});
    let stage = Stage::open(providers(), rules()).await;
    let reply = stage.post("/v1/chat/completions", &body).await;
    assert_eq!(
        (reply.status, reply.header("x-maestria-dropped")),
        (200, Some("logit_bias, seed"))
    );
    let strict = Rules {
        on_loss: OnLoss::Refuse,
        ..rules()
    };
    let stage = Stage::open(providers(), strict).await;
    let reply = stage.post("/v1/chat/completions", &body).await;
    assert_eq!(reply.status, 400);
    assert!(
        reply.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("logit_bias, seed"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn a_gemini_stream_without_events_is_one_list() {
    let server = ModelServer::start().await;
    let stage = Stage::open(vec![provider("p", "gemini", &server, &["m"])], rules()).await;
    let (_, body) = ask(Dialect::Gemini, "m", &prompt(Step::Text("Grüße".to_owned())), true);
    let reply = stage.post("/v1beta/models/m:streamGenerateContent", &body).await;
    let list = reply.json();
    let text: String = list
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| c["candidates"][0]["content"]["parts"][0]["text"].as_str())
        .collect();
    assert_eq!(text, "Grüße");
}

#[tokio::test]
async fn tokens_are_counted_and_models_listed_in_the_clients_dialect() {
    let server = ModelServer::start().await;
    let providers = vec![
        provider("a", "anthropic", &server, &["m"]),
        provider("o", "openai", &server, &["n", "*"]),
    ];
    let stage = Stage::open(providers, rules()).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    let counted = stage.post("/v1/messages/count_tokens?beta=true", &body).await;
    assert!(counted.json()["input_tokens"].as_u64().unwrap() > 0, "{}", counted.text);
    assert!(
        server
            .requests()
            .iter()
            .any(|r| r.path.contains("count_tokens?beta=true"))
    );
    // What a provider of another dialect cannot count is counted here, with what a message takes besides its text.
    let other = json!({"contents": [{"parts": [{"text": "hello world"}]}]});
    let own = stage.post("/v1beta/models/n:countTokens", &other).await;
    assert_eq!(own.json()["totalTokens"], 12, "{}", own.text);
    let ids = |reply: crate::stage::Reply, list: &str, id: &str| -> Vec<String> {
        reply.json()[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m[id].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(stage.get("/v1/models", &[]).await, "data", "id"), ["a/m", "o/n"]);
    let anthropic = [("anthropic-version", "2023-06-01")];
    let list = stage.get("/v1/models", &anthropic).await;
    assert_eq!(list.json()["has_more"], false);
    assert_eq!(
        ids(stage.get("/v1beta/models", &[]).await, "models", "name"),
        ["models/a/m", "models/o/n"]
    );
    assert_eq!(stage.get("/v1/models/a/m", &[]).await.json()["id"], "a/m");
    assert_eq!(stage.get("/", &[]).await.status, 200);
}

#[tokio::test]
async fn a_scripted_provider_answers_every_client() {
    let script = "[[rule]]\nwhen = [\"hello\"]\nsteps = [{ text = \"scripted\" }]\n";
    let playbook = maestria_gateway::ProviderConfig {
        name: "play".to_owned(),
        dialect: "playbook".to_owned(),
        script_text: Some(script.to_owned()),
        ..maestria_gateway::ProviderConfig::default()
    };
    let stage = Stage::open(vec![playbook], rules()).await;
    for (name, face) in DIALECTS {
        for stream in [false, true] {
            let (path, body) = ask(face, "play/script", "hello", stream);
            let reply = stage.post(&path, &body).await;
            assert_eq!(
                text_of(face, &reply, stream),
                "scripted",
                "{name} {stream}: {}",
                reply.text
            );
        }
    }
    assert!(stage.calls(8).await.iter().all(|call| call.cost == Cost::ZERO));
}
