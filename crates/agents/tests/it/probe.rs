//! What a probe finds out: program, version, flags, login.

use crate::stage::Stage;
use maestria_agents::{
    cli::{AgentConfig, CliAgent},
    roster::Worker,
};
use maestria_sandbox::Demand;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

#[tokio::test]
async fn a_healthy_agent_tells_its_version_and_transport() {
    let stage = Stage::new();
    let cases = [
        ("claude", "2.1.329", "stream-json control"),
        ("codex", "0.169.0", "app-server"),
        ("acp", "0.61.0", "ACP"),
    ];
    for (role, version, transport) in cases {
        let agent = stage.fake(role, &json!({}), |_| {}).probe().await;
        assert_eq!(agent.unusable, None, "{role}");
        assert_eq!(agent.version.as_deref(), Some(version), "{role}");
        assert_eq!(agent.transport, transport, "{role}");
    }
}

#[tokio::test]
async fn a_missing_program_is_named_with_a_way_to_get_it() {
    let stage = Stage::new();
    let config = AgentConfig {
        command: Some("no-such-claude".to_owned()),
        ..AgentConfig::default()
    };
    let agent = CliAgent::new("claude", config, stage.around()).probe().await;
    let why = agent.unusable.unwrap();
    assert!(why.contains("no-such-claude") && why.contains("npm install"), "{why}");
}

#[tokio::test]
async fn a_broken_flag_is_named() {
    let stage = Stage::new();
    let plan = json!({"missing_flags": ["--permission-mode"], "version": "9.9.9"});
    let agent = stage.fake("claude", &plan, |_| {}).probe().await;
    let why = agent.unusable.unwrap();
    assert!(why.contains("--permission-mode") && why.contains("9.9.9"), "{why}");
}

#[tokio::test]
async fn a_broken_two_way_protocol_leaves_the_one_shot_form() {
    let stage = Stage::new();
    let agent = stage
        .fake("claude", &json!({"missing_flags": ["--input-format"]}), |_| {})
        .probe()
        .await;
    assert_eq!((agent.unusable, agent.transport.as_str()), (None, "one-shot JSONL"));
}

#[tokio::test]
async fn a_logged_out_agent_says_how_to_log_in() {
    let stage = Stage::new();
    for role in ["claude", "codex"] {
        let agent = stage.fake(role, &json!({"logged_out": true}), |config| {
            config.env.remove("TEST_API_KEY");
        });
        let why = agent.probe().await.unusable.unwrap();
        assert!(why.contains("not logged in"), "{role}: {why}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_speak_acp_is_found_out() {
    let stage = Stage::new();
    let config = AgentConfig {
        command: Some("/bin/cat".to_owned()),
        ..AgentConfig::default()
    };
    let agent = CliAgent::new("mine", config, stage.around()).probe().await;
    assert!(agent.unusable.unwrap().contains("does not speak"), "cat only echoes");
}

/// A program that does what it should not when it is only asked who it is.
#[tokio::test]
async fn a_program_is_asked_behind_the_walls_that_it_works_behind() {
    let stage = Stage::new();
    let (program, mark) = (stage.target.join("claude"), stage.target.join("mark"));
    let script = format!(
        "#!/bin/sh\ntouch '{}'\ntest -e '{}' && echo 6.6.6\necho 2.1.329\n",
        mark.display(),
        stage.target.join("private").display()
    );
    std::fs::write(stage.target.join("private"), "the person's own").unwrap();
    let bin = stage.target.join("bin");
    std::fs::create_dir(&bin).unwrap();
    let program = bin.join(program.file_name().unwrap());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut walled = false;
    let agent = stage.fake("claude", &json!({}), |config| {
        walled = config.sandbox == Demand::Required;
        config.command = Some(program.display().to_string());
    });
    let found = agent.probe().await;
    if walled {
        assert_eq!(
            found.version.as_deref(),
            Some("2.1.329"),
            "it ran, and saw nothing: {found:?}"
        );
        assert!(!mark.exists(), "it has left a mark outside");
    }
}
