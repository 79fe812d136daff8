//! One provider and what can go wrong with it.

use maestria_gateway::{Gateway, Patience, ProviderConfig, Setup};
use maestria_kernel::{
    Cost,
    model::{Caller, Message, ModelError, ModelRef, ModelReply, ModelRequest, Part, Stop, Tool},
    port::Models as _,
};
use maestria_testkit::model::{Dialect, Fault, FaultKind, ModelServer, Script, Step};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

const DIALECTS: [(&str, Dialect); 4] = [
    ("openai", Dialect::Chat),
    ("responses", Dialect::Responses),
    ("anthropic", Dialect::Anthropic),
    ("gemini", Dialect::Gemini),
];

fn config(name: &str, dialect: Dialect, server: &ModelServer) -> ProviderConfig {
    ProviderConfig {
        name: "p".to_owned(),
        dialect: name.to_owned(),
        base_url: Some(server.url_for(dialect)),
        keys: vec!["sk-secret".to_owned()],
        models: vec!["gpt-4o-mini".to_owned()],
        patience: Patience {
            backoff: Duration::from_millis(1),
            silence: Duration::from_millis(400),
            ..Patience::default()
        },
        ..ProviderConfig::default()
    }
}

fn setup(providers: Vec<ProviderConfig>) -> Setup {
    Setup {
        providers,
        ..Setup::default()
    }
}

fn request(prompt: String) -> ModelRequest {
    ModelRequest {
        caller: Caller::default(),
        model: ModelRef {
            provider: "p".to_owned(),
            model: "gpt-4o-mini".to_owned(),
        },
        system: "You help.".to_owned(),
        messages: vec![Message::user(prompt)],
        tools: vec![Tool {
            name: "Write".to_owned(),
            description: "Writes a file.".to_owned(),
            parameters: serde_json::json!({"type": "object", "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}}}),
        }],
        schema: None,
        max_tokens: 1000,
        temperature_percent: Some(20),
    }
}

async fn call(
    server: &ModelServer,
    name: &str,
    dialect: Dialect,
    script: &Script,
) -> (Result<ModelReply, ModelError>, String) {
    let gateway = Gateway::new(setup(vec![config(name, dialect, server)])).unwrap();
    let heard = Mutex::new(String::new());
    let on_text = |text: &str| heard.lock().unwrap().push_str(text);
    let reply = gateway.call(request(script.directive()), &on_text).await;
    (reply, heard.into_inner().unwrap())
}

fn say(text: &str) -> Script {
    Script::of([Step::Text(text.to_owned())])
}

#[tokio::test]
async fn every_dialect_answers_streamed_and_priced() {
    for (name, dialect) in DIALECTS {
        let server = ModelServer::start().await;
        let (reply, heard) = call(&server, name, dialect, &say("Grüße, dich!")).await;
        let reply = reply.unwrap();
        assert_eq!(
            (reply.text().as_str(), heard.as_str()),
            ("Grüße, dich!", "Grüße, dich!"),
            "{name}"
        );
        assert_eq!(reply.stop, Stop::End, "{name}");
        assert!(
            reply.usage.input.0 > 0 && reply.usage.output.0 > 0,
            "{name}: {:?}",
            reply.usage
        );
        let price = Cost::of(reply.usage.input, Cost(150_000)).plus(Cost::of(reply.usage.output, Cost(600_000)));
        assert_eq!(reply.usage.cost, price, "{name}");
        let write = Script::of([Step::Write {
            path: "a".to_owned(),
            content: "b".to_owned(),
        }]);
        let (reply, _) = call(&server, name, dialect, &write).await;
        let reply = reply.unwrap();
        assert_eq!(reply.stop, Stop::Tools, "{name}");
        let [
            Part::Call {
                name: tool, arguments, ..
            },
        ] = reply.parts.as_slice()
        else {
            panic!("{name}: {reply:?}")
        };
        assert_eq!(
            (tool.as_str(), arguments["content"].as_str()),
            ("Write", Some("b")),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_refused_key_is_not_tried_again_and_not_shown() {
    for (name, dialect) in DIALECTS {
        let server = ModelServer::start().await;
        let refuse = FaultKind::Status {
            status: 401,
            retry_after: None,
            message: Some("wrong key sk-secret".to_owned()),
        };
        let (reply, _) = call(&server, name, dialect, &say("x").fault(Fault::forever(refuse))).await;
        let error = reply.unwrap_err();
        assert!(matches!(error, ModelError::Unauthorised { .. }), "{name}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("sk-secret"), "{error}");
        assert_eq!(server.asked(), 1, "{name}");
    }
}

#[tokio::test]
async fn overload_is_tried_again_as_long_as_the_provider_asks() {
    for (name, dialect) in DIALECTS {
        for status in [429, 500, 503, 529] {
            let server = ModelServer::start().await;
            let fault = Fault::once(FaultKind::Status {
                status,
                retry_after: (status == 429).then_some(1),
                message: None,
            });
            let started = Instant::now();
            let (reply, heard) = call(&server, name, dialect, &say("hello").fault(fault)).await;
            assert_eq!(
                (reply.unwrap().text(), heard.as_str()),
                ("hello".to_owned(), "hello"),
                "{name} {status}"
            );
            assert_eq!(server.asked(), 2, "{name} {status}");
            let waited = started.elapsed() >= Duration::from_secs(1);
            assert!(waited || status != 429, "{name}: Retry-After was not heeded");
        }
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_reported_instead() {
    let server = ModelServer::start().await;
    let limit = FaultKind::Status {
        status: 429,
        retry_after: Some(3600),
        message: None,
    };
    let (reply, _) = call(&server, "openai", Dialect::Chat, &say("x").fault(Fault::forever(limit))).await;
    let Err(ModelError::RateLimited { retry_after_secs, .. }) = reply else {
        panic!("{reply:?}")
    };
    assert_eq!((retry_after_secs, server.asked()), (Some(3600), 1));
}

#[tokio::test]
async fn what_fails_for_ever_is_given_up() {
    let server = ModelServer::start().await;
    let fault = Fault::forever(FaultKind::Status {
        status: 529,
        retry_after: None,
        message: None,
    });
    let (reply, _) = call(&server, "anthropic", Dialect::Anthropic, &say("x").fault(fault)).await;
    assert!(matches!(reply, Err(ModelError::Unavailable { .. })), "{reply:?}");
    assert_eq!(server.asked(), 4, "once, and three retries");
}

#[tokio::test]
async fn a_stream_cut_before_content_is_tried_again_and_one_cut_later_is_not() {
    for (name, dialect) in DIALECTS {
        let server = ModelServer::start().await;
        // Chat and Gemini begin with content, the others with a head.
        let head = usize::from(matches!(name, "responses" | "anthropic"));
        let cut = Fault::once(FaultKind::Cut { after: head });
        let (reply, heard) = call(&server, name, dialect, &say("hello").fault(cut)).await;
        assert_eq!(
            (reply.unwrap().text(), heard.as_str()),
            ("hello".to_owned(), "hello"),
            "{name}"
        );
        assert_eq!(server.asked(), 2, "{name}");

        let server = ModelServer::start().await;
        let late = Fault::once(FaultKind::Cut { after: 100 });
        let (reply, heard) = call(&server, name, dialect, &say("hello, you there").fault(late)).await;
        assert!(
            matches!(reply, Err(ModelError::Unavailable { .. })),
            "{name}: {reply:?}"
        );
        assert!(!heard.is_empty(), "{name}");
        assert_eq!(server.asked(), 1, "{name}: nothing is tried again after content");
    }
}

#[tokio::test]
async fn an_error_after_a_200_is_one() {
    for (name, dialect) in DIALECTS {
        let server = ModelServer::start().await;
        let overloaded = || Some("overloaded, try later".to_owned());
        let before = Fault::once(FaultKind::ErrorEvent {
            after: 0,
            message: overloaded(),
        });
        let (reply, _) = call(&server, name, dialect, &say("hello").fault(before)).await;
        assert_eq!(reply.unwrap().text(), "hello", "{name}");
        let body = Fault::once(FaultKind::ErrorBody { message: overloaded() });
        let (reply, _) = call(&server, name, dialect, &say("hello 2").fault(body)).await;
        assert_eq!(reply.unwrap().text(), "hello 2", "{name}");
        let after = Fault::forever(FaultKind::ErrorEvent {
            after: 100,
            message: overloaded(),
        });
        let asked = server.asked();
        let (reply, _) = call(&server, name, dialect, &say("hello 3").fault(after)).await;
        assert!(
            matches!(reply, Err(ModelError::Unavailable { .. })),
            "{name}: {reply:?}"
        );
        assert_eq!(
            server.asked(),
            asked + 1,
            "{name}: nothing is tried again after content"
        );
    }
}

#[tokio::test]
async fn silence_is_not_waited_out() {
    for (name, dialect) in DIALECTS {
        let server = ModelServer::start().await;
        let silence = Fault::once(FaultKind::Silence { ms: None });
        let (reply, _) = call(&server, name, dialect, &say("hello").fault(silence)).await;
        assert_eq!(reply.unwrap().text(), "hello", "{name}: the second try was answered");
        assert_eq!(server.asked(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_slow_answer_is_not_a_silent_one() {
    let server = ModelServer::start().await;
    let drip = Fault::once(FaultKind::Drip { ms: 100 });
    let (reply, _) = call(
        &server,
        "anthropic",
        Dialect::Anthropic,
        &say("hello there").fault(drip),
    )
    .await;
    assert_eq!(reply.unwrap().text(), "hello there");
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn arguments_that_do_not_parse_are_an_invalid_answer() {
    for (name, dialect) in [DIALECTS[0], DIALECTS[1], DIALECTS[2]] {
        let server = ModelServer::start().await;
        let write = Script::of([Step::Write {
            path: "a".to_owned(),
            content: "b".to_owned(),
        }]);
        let (reply, _) = call(
            &server,
            name,
            dialect,
            &write.fault(Fault::forever(FaultKind::BadToolJson)),
        )
        .await;
        let error = reply.unwrap_err();
        assert!(matches!(error, ModelError::Invalid { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains("Write"), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_named() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let config = ProviderConfig {
        name: "p".to_owned(),
        dialect: "openai".to_owned(),
        base_url: Some(format!("http://127.0.0.1:{port}/v1")),
        patience: Patience {
            backoff: Duration::from_millis(1),
            ..Patience::default()
        },
        ..ProviderConfig::default()
    };
    let gateway = Gateway::new(setup(vec![config])).unwrap();
    let error = gateway.call(request("x".to_owned()), &|_| {}).await.unwrap_err();
    let ModelError::Unavailable { provider, detail } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(provider, "p");
    assert!(detail.contains("cannot be reached"), "{detail}");
    assert!(!detail.contains("/chat/completions"), "{detail}");
}

#[tokio::test]
async fn an_unknown_provider_is_named_beside_those_there_are() {
    let gateway = Gateway::new(Setup::default()).unwrap();
    let error = gateway.call(request("x".to_owned()), &|_| {}).await.unwrap_err();
    assert!(
        matches!(&error, ModelError::Unknown { detail } if detail.contains("`p`")),
        "{error:?}"
    );
}

#[test]
fn a_provider_that_cannot_be_is_refused_by_name() {
    let base = ProviderConfig {
        name: "p".to_owned(),
        dialect: "openai".to_owned(),
        ..ProviderConfig::default()
    };
    let table = [
        (
            ProviderConfig {
                dialect: "openia".to_owned(),
                ..base.clone()
            },
            "`openia` is no dialect",
        ),
        (
            ProviderConfig {
                base_url: Some("localhost".to_owned()),
                ..base.clone()
            },
            "no address",
        ),
        (
            ProviderConfig {
                keys: vec!["a\nb".to_owned()],
                ..base.clone()
            },
            "no header can carry",
        ),
        (
            ProviderConfig {
                dialect: "playbook".to_owned(),
                ..base
            },
            "`script` is missing",
        ),
    ];
    for (config, what) in table {
        let error = Gateway::new(setup(vec![config])).unwrap_err().to_string();
        assert!(error.contains("[providers.p]") && error.contains(what), "{error}");
    }
}
