//! What a person's leave is bound to.

use crate::stage::{Notebook, Stage};
use maestria_kernel::{decision::Choice, permission::Bound, port::TaskJob};
use serde_json::json;

/// What a worker's question is bound to, when it asks for leave to run a command.
async fn bound(stage: &Stage, job: &TaskJob, role: &str, command: &str, variable: &str) -> Bound {
    let plan = json!({"turns": [[{"shell": command}, {"say": "done"}]]});
    let agent = stage.fake(role, &plan, |config| {
        // The plan is told by a variable of its own, which would differ with the command anyway.
        config.env.insert("SOME_SETTING".to_owned(), variable.to_owned());
    });
    let notebook = Notebook::answering(Choice::Refuse);
    stage.perform(&agent, job.clone(), &notebook).await;
    let asked = notebook.asked();
    assert_eq!(asked.len(), 1, "{role}: {asked:?}");
    asked[0].bound.clone().expect("a question to a person is bound")
}

#[tokio::test]
async fn leave_is_bound_to_command_folder_and_environment() {
    for role in ["claude", "codex", "acp"] {
        let stage = Stage::new();
        let job = stage.job("do it");
        let first = bound(&stage, &job, role, "git push", "a").await;
        assert_eq!(first.cwd, stage.worktree.display().to_string(), "{role}");
        assert_eq!(
            bound(&stage, &job, role, "git push", "a").await,
            first,
            "{role}: the same again is the same"
        );
        let force = bound(&stage, &job, role, "git push --force", "a").await;
        let setting = bound(&stage, &job, role, "git push", "b").await;
        assert!(force.sha256 != first.sha256 && setting.sha256 != first.sha256, "{role}");
    }
}
