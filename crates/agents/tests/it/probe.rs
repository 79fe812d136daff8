//! What a probe finds out: program, version, flags, login.

use crate::stage::Stage;
use maestria_agents::{
    cli::{AgentConfig, CliAgent},
    roster::Worker,
};
use serde_json::json;

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
