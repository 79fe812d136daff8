//! The native agent on a model that says what the test wrote down.

use crate::{
    script::{Script, Turn},
    stage::{Notebook, PATIENCE, Stage, walls},
};
use maestria_agents::{native::NativeWorker, roster::Worker as _};
use maestria_kernel::{
    Event,
    agent::Role,
    decision::Choice,
    id::AgentName,
    model::{ModelError, ModelRef},
    outcome::{Outcome, Proof, Verdict},
    port::{Control, TaskJob},
    review::ReviewVerdict,
};
use serde_json::json;
use std::sync::Arc;

fn worker(script: &Arc<Script>) -> NativeWorker {
    let model = ModelRef {
        provider: "script".to_owned(),
        model: "m".to_owned(),
    };
    let roles = vec![Role::Editor, Role::Reviewer];
    NativeWorker::new(AgentName::new("native"), model, roles, true, script.clone()).sandboxed(walls())
}

async fn perform(worker: &NativeWorker, job: TaskJob, notebook: &Notebook) -> Outcome {
    tokio::time::timeout(PATIENCE, worker.perform(job, notebook))
        .await
        .expect("the attempt must end")
}

async fn outcome(stage: &Stage, script: &Arc<Script>) -> Outcome {
    perform(
        &worker(script),
        stage.job("do it"),
        &Notebook::answering(Choice::Refuse),
    )
    .await
}

fn write(path: &str) -> Turn {
    Turn::Call("write_file", json!({"path": path, "content": "made\n"}))
}

fn run(command: &str) -> Turn {
    Turn::Call("run_command", json!({"command": command}))
}

#[tokio::test]
async fn work_is_done_proved_and_committed() {
    let stage = Stage::new();
    let script = Script::new([write("made.txt"), run("cat made.txt"), Turn::Say("Made it.")]);
    let outcome = outcome(&stage, &script).await;
    assert_eq!(outcome.verdict, Verdict::Completed, "{outcome:#?}");
    assert_eq!(stage.read("made.txt").as_deref(), Some("made\n"));
    assert_eq!(outcome.files.len(), 1);
    let proved = |text: &str| {
        let claims = outcome.claims.iter();
        claims
            .filter(|c| c.text.contains(text))
            .any(|c| matches!(c.proof, Proof::Proved { .. }))
    };
    assert!(
        proved("made.txt") && proved("`cat made.txt` succeeds"),
        "{:#?}",
        outcome.claims
    );
    assert!(!proved("Made it."), "words prove nothing");
    let commit = outcome.commit.unwrap();
    assert_eq!(stage.git(&stage.worktree, &["rev-parse", "HEAD"]), commit.as_str());
    assert_eq!(stage.git(&stage.worktree, &["status", "--short"]), "");
}

#[tokio::test]
async fn words_alone_are_no_work() {
    let stage = Stage::new();
    let outcome = outcome(&stage, &Script::new([Turn::Say("All done, tests pass.")])).await;
    assert_eq!(outcome.verdict, Verdict::NoChange, "{outcome:#?}");
    assert_eq!(outcome.commit, None);
}

#[tokio::test]
async fn there_is_no_way_out_of_the_worktree() {
    let stage = Stage::new();
    let outside = stage.home.path().join("out.txt");
    let script = Script::new([
        write(outside.to_str().unwrap()),
        write("../out.txt"),
        Turn::Call("read_file", json!({"path": "/etc/hostname"})),
        Turn::Say("I could not."),
    ]);
    let outcome = outcome(&stage, &script).await;
    assert_eq!(outcome.verdict, Verdict::Denied, "{outcome:#?}");
    assert!(
        script.answers().iter().all(|(_, failed)| *failed),
        "{:?}",
        script.answers()
    );
    assert!(
        !outside.exists() && !stage.worktree.join("../out.txt").exists(),
        "nothing is outside"
    );
    assert!(!outcome.denials.is_empty());
}

#[tokio::test]
async fn mistakes_are_told_to_the_model_and_it_goes_on() {
    let stage = Stage::new();
    let script = Script::new([
        Turn::Call("fly", json!({})),
        Turn::Call("write_file", json!({"path": "a.txt"})),
        Turn::Call(
            "apply_patch",
            json!({"path": "none.txt", "search": "a", "replace": "b"}),
        ),
        run("false"),
        write("made.txt"),
        Turn::Say("done"),
    ]);
    let outcome = outcome(&stage, &script).await;
    assert_eq!(outcome.verdict, Verdict::Completed, "{outcome:#?}");
    let answers = script.answers();
    let failed: Vec<bool> = answers.iter().map(|(_, failed)| *failed).collect();
    assert_eq!(failed, [true, true, true, true, false], "{answers:?}");
    assert!(
        answers[0].0.contains("fly") && answers[1].0.contains("`content` is missing"),
        "{answers:?}"
    );
}

#[tokio::test]
async fn what_never_ends_and_what_is_cut_is_not_done() {
    let stage = Stage::new();
    let endless = outcome(&stage, &Script::new([Turn::Call("list_files", json!({}))])).await;
    assert_eq!(endless.verdict, Verdict::LimitReached, "{endless:#?}");
    let cut = outcome(&stage, &Script::new([write("made.txt"), Turn::Cut("I have ma")])).await;
    assert_eq!(cut.verdict, Verdict::LimitReached, "{cut:#?}");
    assert!(cut.commit.is_some(), "what was done so far is kept");
}

#[tokio::test]
async fn failures_of_the_provider_have_their_verdicts() {
    let (provider, detail) = ("p".to_owned(), "said so".to_owned());
    let limited = ModelError::RateLimited {
        provider: provider.clone(),
        detail: detail.clone(),
        retry_after_secs: Some(90),
    };
    for (error, verdict) in [
        (limited, Verdict::RateLimited),
        (
            ModelError::Unauthorised {
                provider: provider.clone(),
                detail: detail.clone(),
            },
            Verdict::NotLoggedIn,
        ),
        (ModelError::Unavailable { provider, detail }, Verdict::Unavailable),
    ] {
        let outcome = outcome(&Stage::new(), &Script::new([Turn::Fail(error)])).await;
        assert_eq!(outcome.verdict, verdict, "{outcome:#?}");
        assert_eq!(outcome.retry_at.is_some(), verdict == Verdict::RateLimited);
    }
}

#[tokio::test]
async fn it_is_stopped_while_the_model_thinks_and_while_a_command_runs() {
    for turn in [Turn::Silence, run("tail -f /dev/null")] {
        let stage = Stage::new();
        let script = Script::new([turn]);
        let (worker, notebook) = (worker(&script), Notebook::answering(Choice::Refuse));
        let job = stage.job("do it");
        let task = job.task.id;
        let stopping = async {
            notebook
                .until("the attempt", |event| {
                    matches!(event, Event::TaskStarted { .. } | Event::ToolStarted { .. })
                })
                .await;
            worker.control(task, Control::Stop).await;
        };
        let (outcome, ()) = futures_util::future::join(perform(&worker, job, &notebook), stopping).await;
        assert_eq!(outcome.verdict, Verdict::Interrupted, "{outcome:#?}");
    }
}

#[tokio::test]
async fn frozen_it_asks_nothing_until_it_is_thawed() {
    let stage = Stage::new();
    let script = Script::new([run("sleep 0.2"), write("made.txt"), Turn::Say("done")]);
    let (worker, notebook) = (worker(&script), Notebook::answering(Choice::Refuse));
    let job = stage.job("do it");
    let task = job.task.id;
    let freezing = async {
        let is_tool = |event: &Event| matches!(event, Event::ToolStarted { .. });
        notebook.until("the command", is_tool).await;
        worker.control(task, Control::Freeze).await;
        let before = script.asked().len();
        // Longer than the command would take: whatever is still going to happen happens now.
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        assert_eq!(script.asked().len(), before, "a frozen agent thinks nothing");
        worker.control(task, Control::Thaw).await;
    };
    let (outcome, ()) = futures_util::future::join(perform(&worker, job, &notebook), freezing).await;
    assert_eq!(outcome.verdict, Verdict::Completed, "{outcome:#?}");
}

#[tokio::test]
async fn a_finished_attempt_is_not_done_again_after_a_crash() {
    let stage = Stage::new();
    let script = Script::new([write("made.txt"), Turn::Say("done")]);
    let (worker, notebook) = (worker(&script), Notebook::answering(Choice::Refuse));
    let mut job = stage.job("do it");
    let first = perform(&worker, job.clone(), &notebook).await;
    let calls = script.asked().len();
    job.recovering = true;
    let again = perform(&worker, job, &notebook).await;
    assert_eq!(again, first);
    assert_eq!(script.asked().len(), calls, "no model was asked");
}

#[tokio::test]
async fn a_reviewer_reads_judges_and_changes_nothing() {
    let stage = Stage::new();
    let verdict = r#"I looked. {"verdict": "request_changes", "text": "mend it", "findings": [{"severity": "blocking", "file": "a", "line": 1, "message": "wrong"}]}"#;
    let script = Script::new([write("made.txt"), Turn::Say(verdict)]);
    let notebook = Notebook::answering(Choice::Accept);
    let opinion = worker(&script).review(stage.review("judge it"), &notebook).await;
    assert_eq!(opinion.verdict, Some(ReviewVerdict::RequestChanges), "{opinion:#?}");
    assert_eq!(opinion.findings.len(), 1);
    assert_eq!(stage.read("made.txt"), None);
    let offered: Vec<String> = script.asked()[0].tools.iter().map(|t| t.name.clone()).collect();
    assert_eq!(offered, ["list_files", "read_file", "search"]);
    let only_costs = notebook.events().iter().all(|e| matches!(e, Event::ModelCalled { .. }));
    assert!(only_costs, "its words are not the author's: {:#?}", notebook.events());
}

#[tokio::test]
async fn an_unreadable_verdict_has_a_second_chance_and_is_none_then() {
    let stage = Stage::new();
    let notebook = Notebook::answering(Choice::Accept);
    let mended = Script::new([
        Turn::Say("Looks fine."),
        Turn::Say(r#"{"verdict": "approve", "text": "fine"}"#),
    ]);
    let opinion = worker(&mended).review(stage.review("judge it"), &notebook).await;
    assert_eq!(opinion.verdict, Some(ReviewVerdict::Approve));
    assert!(
        mended.asked()[1].schema.is_some(),
        "the second time the form is asked for"
    );
    let stubborn = Script::new([Turn::Say("Looks fine.")]);
    let opinion = worker(&stubborn).review(stage.review("judge it"), &notebook).await;
    assert_eq!(opinion.verdict, None, "{opinion:#?}");
}

#[tokio::test]
async fn what_it_tries_and_may_not_is_told_as_violations() {
    let stage = Stage::new();
    let notebook = Notebook::answering(Choice::Refuse);
    let script = Script::new([
        Turn::Call("read_file", json!({"path": "../../etc/passwd"})),
        Turn::Call("read_file", json!({"path": "missing.txt"})),
        write(".vscode/tasks.json"),
        run("rm -rf /"),
        run("cp README.md .envrc"),
        Turn::Say("Done."),
    ]);
    perform(&worker(&script), stage.job("do it"), &notebook).await;
    let events = notebook.events().into_iter();
    let rules = events.filter_map(|event| match event {
        Event::ViolationRecorded { violation, .. } => Some(format!("{} {}", violation.kind, violation.rule)),
        _ => None,
    });
    assert_eq!(
        rules.collect::<Vec<_>>(),
        [
            "path path.outside",
            "path path.protected",
            "command delete.recursive_force",
            "path path.protected",
        ],
        "what is only missing is none, and what git shows changed is one"
    );
}
