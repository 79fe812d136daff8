use super::Access;
use crate::cli::{
    config::{AgentConfig, Kind},
    drive::Audience,
};
use maestria_kernel::model::CallNews;
use maestria_kernel::{
    Cost, Event, TaskId, Tokens,
    decision::Choice,
    id::AgentName,
    money::Usage,
    permission::Question,
    port::{Boxed, Observer},
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::mpsc;

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Observer for Heard {
    fn observe(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    fn ask(&self, _: TaskId, _: Question, _: String) -> Boxed<'_, Choice> {
        Box::pin(async { Choice::Refuse })
    }
}

fn open() -> (mpsc::UnboundedSender<CallNews>, Access) {
    let (sender, news) = mpsc::unbounded_channel();
    (
        sender,
        Access::gateway("http://127.0.0.1:9".to_owned(), "mk_1".to_owned(), news, || {}),
    )
}

fn called(cost: i64) -> CallNews {
    CallNews::Called {
        model: "p/m".to_owned(),
        usage: Usage {
            input: Tokens(10),
            output: Tokens(2),
            cost: Cost(cost),
            ..Usage::default()
        },
        millis: 5,
        scripted: false,
        request: "r1".to_owned(),
    }
}

#[test]
fn each_agent_finds_the_gateway_and_keeps_no_other_key() {
    let (_sender, access) = open();
    let own = |kind| AgentConfig {
        kind: Some(kind),
        env: [
            "ANTHROPIC_AUTH_TOKEN",
            "CODEX_API_KEY",
            "GOOGLE_API_KEY",
            "OPENAI_API_KEY",
        ]
        .map(|name| (name.to_owned(), "sk-real".to_owned()))
        .into(),
        pass_env: vec!["ANTHROPIC_API_KEY".to_owned(), "CARGO_HOME".to_owned()],
        ..AgentConfig::default()
    };
    let claude = access.apply(Kind::Claude, &own(Kind::Claude));
    assert_eq!(claude.env["ANTHROPIC_BASE_URL"], "http://127.0.0.1:9");
    assert_eq!(claude.env["ANTHROPIC_API_KEY"], "mk_1");
    assert!(!claude.env.contains_key("ANTHROPIC_AUTH_TOKEN"));
    assert_eq!(claude.pass_env, ["CARGO_HOME"]);
    let codex = access.apply(Kind::Codex, &own(Kind::Codex));
    let settings = codex.args.join(" ");
    assert!(settings.contains("model_provider=\"maestria\""), "{settings}");
    assert!(settings.contains("base_url=\"http://127.0.0.1:9/v1\"") && settings.contains("wire_api=\"responses\""));
    assert!(!settings.contains("mk_1"), "a command line can be read by others");
    assert_eq!(codex.env["MAESTRIA_GATEWAY_KEY"], "mk_1");
    assert!(!codex.env.contains_key("OPENAI_API_KEY"));
    let gemini = access.apply(Kind::Gemini, &own(Kind::Gemini));
    assert_eq!(gemini.env["GOOGLE_GEMINI_BASE_URL"], "http://127.0.0.1:9");
    assert!(gemini.env["GEMINI_API_KEY"] == "mk_1" && !gemini.env.contains_key("GOOGLE_API_KEY"));
    let opencode = access.apply(Kind::Opencode, &own(Kind::Opencode));
    let content: serde_json::Value = serde_json::from_str(&opencode.env["OPENCODE_CONFIG_CONTENT"]).unwrap();
    assert_eq!(content["provider"]["maestria"]["options"]["apiKey"], "mk_1");
    assert_eq!(opencode.model.as_deref(), Some("maestria/auto"));
    assert_eq!(Access::own().apply(Kind::Claude, &own(Kind::Claude)), own(Kind::Claude));
}

#[tokio::test]
async fn all_calls_are_told_and_counted_to_the_last() {
    let heard = Heard::default();
    let audience = Audience {
        observer: Some(&heard),
        agent: AgentName::new("claude"),
        task: Some(TaskId::new(uuid::Uuid::nil())),
        review: false,
    };
    let (sender, news) = mpsc::unbounded_channel();
    let closed = Arc::new(AtomicBool::new(false));
    let seen = closed.clone();
    let mut access = Access::gateway(String::new(), String::new(), news, move || {
        seen.store(true, Ordering::SeqCst)
    });
    sender.send(called(3)).unwrap();
    let done = access
        .during(
            async {
                while heard.0.lock().unwrap().is_empty() {
                    tokio::task::yield_now().await;
                }
                7
            },
            &audience,
        )
        .await;
    assert_eq!(done, 7);
    // What ends after the work, while the key is being made void, counts as well.
    sender.send(called(4)).unwrap();
    let refused = CallNews::Refused {
        because: "the budget is exhausted".to_owned(),
        of_run: true,
    };
    sender.send(refused).unwrap();
    drop(sender);
    let (used, refused) = access.end(&audience).await;
    assert!(closed.load(Ordering::SeqCst));
    assert_eq!((used.cost, used.input), (Cost(7), Tokens(20)));
    assert_eq!(refused.as_deref(), Some("the budget is exhausted"));
    let told = heard.0.lock().unwrap();
    assert_eq!(
        told.iter().filter(|e| matches!(e, Event::ModelCalled { .. })).count(),
        2
    );
    assert!(matches!(told[2], Event::BudgetRefused { of_run: true, .. }));
}
