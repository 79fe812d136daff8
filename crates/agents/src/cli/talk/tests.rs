//! Our side of each protocol against what the real agents answered: recorded streams in, the recorded host's lines out.

use super::{Answer, Out, Talk, Turn, with};
use crate::cli::{
    config::{Kind, Transport},
    notes::Step,
    reader::{Dialect, Reader},
};
use maestria_kernel::{
    TaskId,
    money::Usage,
    permission::{Action, Permission, Ruling},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn turn() -> Turn {
    Turn {
        prompt: "the prompt".to_owned(),
        follow_up: "go on".to_owned(),
        cwd: "/tmp/repo".into(),
        ..Turn::default()
    }
}

fn permission(ruling: Ruling) -> Permission {
    Permission {
        ruling,
        rule: "test.rule".to_owned(),
        because: "of the test".to_owned(),
    }
}

fn recorded(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sent(outs: Vec<Out>) -> Vec<Value> {
    let lines = outs.into_iter().filter_map(|out| match out {
        Out::Send(line) => Some(line),
        _ => None,
    });
    lines.collect()
}

/// Plays a recorded agent to a talk that allows everything (or nothing); returns the lines sent, and whether the turn was over.
fn play(talk: &mut dyn Talk, kind: Kind, dialect: Dialect, stream: &[Value], allowed: bool) -> (Vec<Value>, bool) {
    let mut reader = Reader::new(kind, dialect, TaskId::new(uuid::Uuid::nil()), Usage::default());
    let mut outs = talk.open();
    for line in stream {
        for step in reader.push(format!("{line}\n").as_bytes()) {
            outs.extend(match &step {
                Step::Asked(asked) => {
                    let permission = permission(if allowed { Ruling::Allow } else { Ruling::Deny });
                    let permission = &permission;
                    talk.answer(asked, Answer { allowed, permission })
                }
                step => talk.on(step),
            });
        }
    }
    let over = outs.contains(&Out::Over);
    (sent(outs), over)
}

/// Recorded answers carry the recorded host's ids: give them ours.
fn shifted(mut stream: Vec<Value>, from: i64) -> Vec<Value> {
    for line in stream.iter_mut().filter(|line| line.get("method").is_none()) {
        line["id"] = json!(line["id"].as_i64().unwrap() + from);
    }
    stream
}

fn methods(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["method"].as_str().unwrap_or("answer"))
        .collect()
}

#[test]
fn acp_opens_a_session_prompts_and_allows_once() {
    let streams = [
        ("gemini-0.61.0-acp-write.jsonl", "proceed_once"),
        ("claude-agent-acp-0.49.0-acp-write.jsonl", "allow"),
        ("zed-codex-acp-0.16.0-acp-write.jsonl", "approved"),
    ];
    for (name, option) in streams {
        let mut talk = with(Kind::Acp, Transport::TwoWay, turn());
        let (lines, over) = play(&mut *talk, Kind::Acp, Dialect::Acp, &shifted(recorded(name), 1), true);
        assert_eq!(
            methods(&lines),
            ["initialize", "session/new", "session/prompt", "answer"],
            "{name}"
        );
        assert_eq!(lines[1]["params"], json!({"cwd": "/tmp/repo", "mcpServers": []}));
        assert_eq!(
            lines[2]["params"]["prompt"],
            json!([{"type": "text", "text": "the prompt"}])
        );
        assert_eq!(
            lines[3]["result"],
            json!({"outcome": {"outcome": "selected", "optionId": option}}),
            "{name}"
        );
        assert!(over, "{name}");
    }
}

#[test]
fn acp_loads_a_session_only_where_the_agent_can() {
    let can = json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}});
    let cannot = json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {}}});
    for (greeting, method) in [(can, "session/load"), (cannot, "session/new")] {
        let turn = Turn {
            session: Some("s1".into()),
            ..turn()
        };
        let mut talk = with(Kind::Acp, Transport::TwoWay, turn);
        let opened = json!({"jsonrpc": "2.0", "id": 2, "result": {"sessionId": "s1"}});
        let (lines, _) = play(&mut *talk, Kind::Acp, Dialect::Acp, &[greeting, opened], true);
        assert_eq!(methods(&lines), ["initialize", method, "session/prompt"]);
        let text = if method == "session/load" {
            "go on"
        } else {
            "the prompt"
        };
        assert_eq!(lines[2]["params"]["prompt"][0]["text"], text);
    }
}

#[test]
fn the_app_server_gets_the_lines_that_its_recorded_host_sent() {
    for (name, decision, answers) in [("allow", "accept", 3), ("deny", "decline", 1)] {
        let mut talk = with(Kind::Codex, Transport::TwoWay, turn());
        let stream = recorded(&format!("codex-0.169.0-app-{name}.jsonl"));
        let (lines, over) = play(
            &mut *talk,
            Kind::Codex,
            Dialect::CodexAppServer,
            &stream,
            decision == "accept",
        );
        let theirs = recorded(&format!("codex-0.169.0-app-{name}.in.jsonl"));
        assert_eq!(methods(&lines)[..4], methods(&theirs)[..4], "{name}");
        assert_eq!(lines[2]["params"]["cwd"], theirs[2]["params"]["cwd"]);
        assert_eq!(lines[3]["params"]["threadId"], theirs[3]["params"]["threadId"]);
        let decisions: Vec<_> = lines.iter().filter(|line| line.get("result").is_some()).collect();
        let recorded: Vec<_> = theirs.iter().filter(|line| line.get("result").is_some()).collect();
        assert_eq!((&decisions, decisions.len()), (&recorded, answers), "{name}");
        let steered = lines.iter().filter(|line| line["method"] == "turn/steer").count();
        assert_eq!(steered, usize::from(decision == "decline"), "a refusal is explained");
        assert!(over, "{name}");
    }
}

#[test]
fn the_app_server_is_interrupted_by_thread_and_turn() {
    let mut talk = with(Kind::Codex, Transport::TwoWay, turn());
    assert_eq!(
        talk.interrupt(),
        [],
        "before there is a turn there is nothing to interrupt"
    );
    let stream = recorded("codex-0.169.0-app-allow.jsonl");
    let (lines, _) = play(&mut *talk, Kind::Codex, Dialect::CodexAppServer, &stream[..10], true);
    let thread = &lines[3]["params"]["threadId"];
    let interrupt = sent(talk.interrupt());
    assert_eq!(interrupt[0]["method"], "turn/interrupt");
    assert_eq!(
        interrupt[0]["params"],
        json!({"threadId": thread, "turnId": "01a1fb4c-db3d-7670-893f-7315e5c463d1"})
    );
}

#[test]
fn claude_gets_the_lines_that_its_recorded_host_sent() {
    for (name, allowed) in [("allow", true), ("deny", false)] {
        let mut talk = with(Kind::Claude, Transport::TwoWay, turn());
        let mut stream = recorded(&format!("claude-2.1.329-ctl-{name}.jsonl"));
        stream[0]["response"]["request_id"] = json!("maestria_initialize");
        let (lines, over) = play(&mut *talk, Kind::Claude, Dialect::Claude, &stream, allowed);
        let theirs = recorded(&format!("claude-2.1.329-ctl-{name}.in.jsonl"));
        assert_eq!(lines.len(), theirs.len());
        assert_eq!(lines[0]["request"], theirs[0]["request"]);
        assert_eq!(lines[1]["type"], "user");
        let (ours, recorded) = (&lines[2]["response"], &theirs[2]["response"]);
        assert_eq!(ours["request_id"], recorded["request_id"]);
        assert_eq!(ours["response"]["behavior"], recorded["response"]["behavior"], "{name}");
        assert_eq!(
            ours["response"]["updatedInput"], recorded["response"]["updatedInput"],
            "{name}"
        );
        assert!(over);
    }
}

#[test]
fn claude_gets_rewritten_paths_and_nothing_else_rewritten() {
    let input = json!({"file_path": "/repo/a", "content": "about /repo/a"});
    let question = crate::cli::asked::of_tool("Write", &input);
    let asked = crate::cli::asked::Asked {
        id: json!("r1"),
        call: None,
        question,
        detail: input,
    };
    let paths = vec!["/worktree/a".to_owned()];
    let rewrite = permission(Ruling::Rewrite {
        action: Action::Write { paths },
    });
    let mut talk = with(Kind::Claude, Transport::TwoWay, turn());
    let answer = Answer {
        allowed: true,
        permission: &rewrite,
    };
    let line = &sent(talk.answer(&asked, answer))[0];
    let updated = &line["response"]["response"]["updatedInput"];
    assert_eq!(
        updated,
        &json!({"file_path": "/worktree/a", "content": "about /repo/a"})
    );
}

#[test]
fn a_refused_request_ends_the_talk_with_its_reason() {
    let error = json!({"id": 2, "error": {"code": -32600, "message": "no rollout found for thread id x"}});
    let turn = Turn {
        session: Some("x".into()),
        ..turn()
    };
    let mut talk = with(Kind::Codex, Transport::TwoWay, turn);
    let mut reader = Reader::new(
        Kind::Codex,
        Dialect::CodexAppServer,
        TaskId::new(uuid::Uuid::nil()),
        Usage::default(),
    );
    let steps = reader.push(format!("{}\n{error}\n", json!({"id": 1, "result": {}})).as_bytes());
    let outs: Vec<Out> = steps.iter().flat_map(|step| talk.on(step)).collect();
    assert!(
        outs.contains(&Out::Failed("no rollout found for thread id x".to_owned())),
        "{outs:?}"
    );
}
