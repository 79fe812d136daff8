//! Plans: from one model call, mended once, by rules when no model helps.

use crate::{
    script::{Script, Turn},
    stage::{Notebook, Stage},
};
use maestria_agents::planner::Planning;
use maestria_kernel::{
    Cost, RunId,
    agent::{Agent, Role, Vendor},
    decision::Choice,
    id::{AgentName, CommitId},
    model::{ModelError, ModelRef},
    plan::{Plan, PlanSource},
    port::{PlanJob, Planner as _},
    request::Ground,
};
use std::sync::Arc;

const GOOD: &str = r#"Here it is: {"summary": "two steps", "steps": [
    {"key": "E1", "title": "Look", "instructions": "look", "kind": "investigate", "needs": []},
    {"key": "E2", "title": "Do", "instructions": "do #E1", "kind": "edit", "needs": ["E1"], "files": ["a"], "tokens": 8000}]}"#;

const CYCLE: &str = r#"{"summary": "round and round", "steps": [
    {"key": "E1", "title": "a", "instructions": "a", "kind": "edit", "needs": ["E2"]},
    {"key": "E2", "title": "b", "instructions": "b", "kind": "edit", "needs": ["E1"]}]}"#;

async fn plan(script: &Arc<Script>) -> Plan {
    let stage = Stage::new();
    let model = ModelRef {
        provider: "script".to_owned(),
        model: "m".to_owned(),
    };
    let name = AgentName::new("native");
    let planner = Planning::new(script.clone(), vec![(name.clone(), model)], |_, tokens| {
        Cost(tokens.0.cast_signed())
    });
    let request = stage.job("").request;
    let job = PlanJob {
        run: RunId::new(uuid::Uuid::now_v7()),
        request,
        ground: Arc::new(Ground {
            repository: stage.target.display().to_string(),
            base: CommitId::new("HEAD"),
            branch: None,
            integration: "maestria/run".to_owned(),
            notes: Vec::new(),
        }),
        agents: vec![Agent {
            name,
            vendor: Vendor::Native("script".to_owned()),
            roles: vec![Role::Planner, Role::Editor, Role::Analyst],
            transport: String::new(),
            version: None,
            unusable: None,
            scripted: true,
        }],
    };
    planner.plan(job, &Notebook::answering(Choice::Refuse)).await.unwrap()
}

#[tokio::test]
async fn one_call_makes_the_whole_plan() {
    let script = Script::new([Turn::Say(GOOD)]);
    let plan = plan(&script).await;
    assert!(
        matches!(plan.source, PlanSource::Model { scripted: true, .. }),
        "{:?}",
        plan.source
    );
    assert_eq!(plan.tasks.len(), 2);
    assert_eq!(plan.tasks[1].needs.len(), 1);
    assert_eq!(plan.tasks[1].estimate.tokens.0, 8000);
    let asked = script.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].schema.is_some(), "the form is asked for");
}

#[tokio::test]
async fn a_mistake_is_named_and_mended_once() {
    let script = Script::new([Turn::Say(CYCLE), Turn::Say(GOOD)]);
    assert_eq!(plan(&script).await.tasks.len(), 2);
    let second = format!("{:?}", script.asked()[1].messages);
    assert!(
        second.contains("E1") && second.contains("cycle"),
        "the cycle is named: {second}"
    );
}

#[tokio::test]
async fn without_a_usable_plan_rules_make_one_and_say_why() {
    let unavailable = ModelError::Unavailable {
        provider: "p".to_owned(),
        detail: "nobody there".to_owned(),
    };
    for (turn, why) in [
        (Turn::Fail(unavailable), "nobody there"),
        (Turn::Say("I would rather not."), "no JSON"),
        (Turn::Say(CYCLE), "cycle"),
    ] {
        let plan = plan(&Script::new([turn])).await;
        let PlanSource::Rules { because } = &plan.source else {
            unreachable!("{:?}", plan.source)
        };
        assert!(because.contains(why), "{because}");
        assert!(!plan.tasks.is_empty());
    }
}
