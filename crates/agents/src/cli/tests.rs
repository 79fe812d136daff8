use super::{
    config::{AgentConfig, Kind, Transport},
    home::{Home, environment},
    launch::{Grants, launch},
    lines::{Line, Lines},
    notes::Notes,
    prompt::fill,
    talk::Turn,
    text::{clip, one_line, tail},
};
use maestria_kernel::{Cost, TaskId, Tokens, Usage};
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

#[test]
fn lines_come_out_whole_however_they_came_in_and_long_ones_are_skipped() {
    let text = b"one\n\ntwo two two two\nthree\nrest";
    for size in 1..text.len() {
        let mut lines = Lines::bounded(10);
        let mut out: Vec<Line> = text.chunks(size).flat_map(|piece| lines.push(piece)).collect();
        out.extend(lines.finish());
        let whole = |line: &str| Line::Whole(line.as_bytes().to_vec());
        let wanted = [
            whole("one"),
            whole(""),
            Line::Skipped { bytes: 15 },
            whole("three"),
            Line::Cut(b"rest".to_vec()),
        ];
        assert_eq!(out, wanted, "in pieces of {size}");
    }
}

#[test]
fn text_is_cut_between_characters() {
    assert_eq!(clip("äöü", 3), "ä…");
    assert_eq!(tail("äöü", 3), "ü");
    assert_eq!(one_line("a\n\tb\u{7} c", 100), "a b c");
}

#[test]
fn a_template_is_filled_once() {
    assert_eq!(
        fill("{{a}} {{ b }} {{c}} {{", &[("a", "{{b}}"), ("b", "2")]),
        "{{b}} 2 {{c}} {{"
    );
}

fn every_launch() -> Vec<(Kind, Transport, Vec<String>)> {
    let config = AgentConfig::default();
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for transport in [Transport::TwoWay, Transport::OneShot] {
            for read_only in [true, false] {
                let turn = Turn {
                    prompt: "PROMPT".to_owned(),
                    follow_up: "FOLLOW".to_owned(),
                    model: Some("m".to_owned()),
                    session: read_only.then(|| "s".into()),
                    read_only,
                    ..Turn::default()
                };
                let grants = Grants {
                    dirs: vec!["/d".into()],
                    vouched: true,
                    trusted: false,
                    edits: true,
                };
                let args = launch(kind, transport, &config, &turn, &grants).args;
                all.push((
                    kind,
                    transport,
                    args.into_iter().map(|arg| arg.into_string().unwrap()).collect(),
                ));
            }
        }
    }
    all
}

#[test]
fn no_launch_ever_switches_an_agents_checks_off() {
    for (kind, transport, args) in every_launch() {
        for word in [
            "bypass",
            "yolo",
            "danger",
            "skip-permissions",
            "full-auto",
            "full-access",
            "--auto",
        ] {
            assert!(
                args.iter().all(|arg| !arg.contains(word)),
                "{kind:?} {transport:?}: {args:?}"
            );
        }
    }
}

#[test]
fn a_prompt_never_follows_a_flag_that_takes_several_values() {
    let several = [
        "--add-dir",
        "--allowedTools",
        "--tools",
        "--mcp-config",
        "--include-directories",
    ];
    for (kind, transport, args) in every_launch() {
        for pair in args.windows(3).filter(|words| several.contains(&words[0].as_str())) {
            let next = &pair[2];
            assert!(
                !["PROMPT", "FOLLOW"].contains(&next.as_str()),
                "{kind:?} {transport:?}: {args:?}"
            );
        }
        let prompts = args
            .iter()
            .filter(|arg| ["PROMPT", "FOLLOW"].contains(&arg.as_str()))
            .count();
        let wanted = usize::from(transport == Transport::OneShot && kind != Kind::Acp);
        assert_eq!(prompts, wanted, "{kind:?} {transport:?}: {args:?}");
    }
}

#[test]
fn a_prompt_too_long_for_the_command_line_goes_to_stdin() {
    let turn = Turn {
        prompt: "x".repeat(200 << 10),
        ..Turn::default()
    };
    for kind in Kind::ALL {
        let launched = launch(
            kind,
            Transport::OneShot,
            &AgentConfig::default(),
            &turn,
            &Grants::default(),
        );
        assert_eq!(launched.stdin.map(|text| text.len()), Some(200 << 10), "{kind:?}");
        assert!(launched.args.iter().all(|arg| arg.len() < 1000), "{kind:?}");
    }
}

fn caller(home: &Path) -> BTreeMap<String, String> {
    let pairs = [
        ("HOME", home.to_str().unwrap()),
        ("PATH", "/bin"),
        ("ANTHROPIC_API_KEY", "secret"),
        ("CLAUDECODE", "1"),
    ];
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect()
}

fn put(home: &Path, file: &str, text: &str) {
    let place = home.join(file);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}

#[test]
fn a_login_is_copied_alone_and_a_refreshed_one_is_handed_back() {
    let root = tempfile::tempdir().unwrap();
    let (person, private) = (root.path().join("person"), root.path().join("private"));
    put(&person, ".claude/.credentials.json", "old");
    put(&person, ".claude/history.jsonl", "years of it");
    put(
        &person,
        ".claude.json",
        r#"{"oauthAccount": {"a": 1}, "projects": {"secret": 1}}"#,
    );
    put(&person, ".ssh/id", "key");
    let config = AgentConfig::default();
    let home = Home::prepare(&private, Kind::Claude, &config, &caller(&person)).unwrap();
    let copy = private.join(".claude/.credentials.json");
    assert_eq!(fs::read_to_string(&copy).unwrap(), "old");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::read_to_string(private.join(".claude.json")).unwrap(),
        r#"{"oauthAccount":{"a":1}}"#
    );
    assert!(!private.join(".ssh").exists() && !private.join(".claude/history.jsonl").exists());
    fs::write(&copy, "refreshed").unwrap();
    home.hand_back();
    assert_eq!(
        fs::read_to_string(person.join(".claude/.credentials.json")).unwrap(),
        "refreshed"
    );
    put(&person, ".claude/.credentials.json", "the person logged in anew");
    home.hand_back();
    assert_eq!(
        fs::read_to_string(person.join(".claude/.credentials.json")).unwrap(),
        "the person logged in anew"
    );
}

#[test]
fn with_a_key_or_isolated_no_login_is_copied() {
    let root = tempfile::tempdir().unwrap();
    let person = root.path().join("person");
    put(&person, ".codex/auth.json", "login");
    let keyed = AgentConfig {
        env: [("OPENAI_API_KEY".to_owned(), "k".to_owned())].into_iter().collect(),
        ..AgentConfig::default()
    };
    let isolated = AgentConfig {
        isolate_login: true,
        ..AgentConfig::default()
    };
    for (name, config) in [("keyed", keyed), ("isolated", isolated)] {
        let home = Home::prepare(&root.path().join(name), Kind::Codex, &config, &caller(&person)).unwrap();
        assert!(!home.path().join(".codex/auth.json").exists(), "{name}");
    }
}

#[test]
fn the_environment_is_an_allow_list_under_the_configuration() {
    let config = AgentConfig {
        env: [
            ("EXTRA".to_owned(), "1".to_owned()),
            ("TERM".to_owned(), "xterm".to_owned()),
        ]
        .into_iter()
        .collect(),
        pass_env: vec!["CLAUDECODE".to_owned()],
        ..AgentConfig::default()
    };
    let home = Path::new("/private");
    let env = environment(
        Kind::Gemini,
        Transport::TwoWay,
        false,
        &config,
        home,
        &caller(Path::new("/person")),
    );
    let env: BTreeMap<String, String> = env
        .into_iter()
        .map(|(n, v)| (n.into_string().unwrap(), v.into_string().unwrap()))
        .collect();
    assert_eq!(env["HOME"], "/private");
    assert_eq!(
        (env["EXTRA"].as_str(), env["TERM"].as_str(), env["CLAUDECODE"].as_str()),
        ("1", "xterm", "1")
    );
    assert!(
        !env.contains_key("ANTHROPIC_API_KEY"),
        "keys are handed on by name only"
    );
    assert!(
        !env.contains_key("GEMINI_CLI_TRUST_WORKSPACE"),
        "the repository is not trusted by itself"
    );
}

#[test]
fn the_configuration_refuses_keys_it_does_not_know() {
    let wrong = toml::from_str::<AgentConfig>("comand = \"x\"").unwrap_err().to_string();
    assert!(wrong.contains("comand") && wrong.contains("command"), "{wrong}");
    let right: AgentConfig =
        toml::from_str("command = \"claude\"\nenv = { A = \"1\" }\ntransport = \"one-shot\"").unwrap();
    assert_eq!(
        (right.kind("mine"), right.transport),
        (Kind::Claude, Some(Transport::OneShot))
    );
}

#[test]
fn calls_without_a_cost_are_priced_and_those_with_one_are_believed() {
    let used = |cost| Usage {
        input: Tokens(1000),
        cost: Cost(cost),
        ..Usage::default()
    };
    let told = |kind, cost| {
        let mut notes = Notes::new(kind, TaskId::new(uuid::Uuid::nil()));
        notes.pricing = Some(|model, usage| Cost(usage.input.0.cast_signed() + model.len() as i64));
        notes.called(used(cost), 1);
        notes.seen.usage.cost
    };
    assert_eq!(
        told(Kind::Codex, 0),
        Cost(1005),
        "by the name of the agent when no model is known"
    );
    assert_eq!(told(Kind::Claude, 70), Cost(70));
    assert_eq!(told(Kind::Opencode, 0), Cost::ZERO, "a free model");
}
