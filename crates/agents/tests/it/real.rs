//! The real CLIs on a loopback model server, through the same adapters as in a run.

use crate::stage::{Notebook, PATIENCE, Stage};
use maestria_agents::{
    cli::{AgentConfig, CliAgent, Kind, Transport},
    roster::Worker,
};
use maestria_kernel::{Event, decision::Choice, outcome::Verdict, port::Control, review::ReviewVerdict};
use maestria_testkit::{
    ModelServer, RealCli,
    model::{Fault, FaultKind, Script, Step},
};

pub(crate) struct Show {
    pub(crate) stage: Stage,
    _server: ModelServer,
    agent: CliAgent,
}

impl Show {
    /// `None` when the CLI is not there and that is all right.
    pub(crate) async fn open(
        cli: RealCli,
        transport: Transport,
        change: impl FnOnce(&mut AgentConfig),
    ) -> Option<Self> {
        cli.find_or_skip()?;
        let stage = Stage::new();
        let server = ModelServer::start().await;
        let launch = cli.launch(&server.base_url(), &stage.home.path())?;
        launch.prepare().unwrap();
        let ours = ["HOME", "PATH"];
        let env = launch
            .env
            .iter()
            .filter(|(name, _)| !ours.contains(&name.as_str()))
            .cloned();
        let kind = match cli {
            RealCli::Claude => Kind::Claude,
            RealCli::Codex => Kind::Codex,
            RealCli::Gemini => Kind::Gemini,
            RealCli::Opencode => Kind::Opencode,
            RealCli::ClaudeAcp => Kind::Acp,
        };
        let mut config = AgentConfig {
            kind: Some(kind),
            command: Some(launch.program.display().to_string()),
            args: launch.args.clone(),
            env: env.collect(),
            model: Some(launch.model.to_owned()).filter(|_| kind != Kind::Opencode),
            transport: Some(transport),
            ..AgentConfig::default()
        };
        change(&mut config);
        let agent = CliAgent::new(cli.name(), config, stage.around());
        Some(Self {
            stage,
            _server: server,
            agent,
        })
    }

    pub(crate) async fn perform(&self, script: Script) -> (maestria_kernel::outcome::Outcome, Notebook) {
        let notebook = Notebook::answering(Choice::Refuse);
        let job = self.stage.job(&format!("please do it {}", script.directive()));
        let outcome = tokio::time::timeout(2 * PATIENCE, self.agent.perform(job, &notebook))
            .await
            .unwrap();
        (outcome, notebook)
    }
}

pub(crate) fn write_and_say(path: &str) -> Script {
    Script::of([
        Step::Write {
            path: path.to_owned(),
            content: "made by the script\n".to_owned(),
        },
        Step::Text("wrote it".to_owned()),
    ])
}

async fn works(cli: RealCli, transport: Transport) {
    let Some(show) = Show::open(cli, transport, |_| {}).await else {
        return;
    };
    let (outcome, notebook) = show.perform(write_and_say("made.txt")).await;
    assert_eq!(
        outcome.verdict,
        Verdict::Completed,
        "{outcome:#?}\n{:#?}",
        notebook.events()
    );
    assert_eq!(show.stage.read("made.txt").as_deref(), Some("made by the script\n"));
    assert!(outcome.commit.is_some() && outcome.session.is_some());
    assert!(outcome.report.contains("wrote it"), "{}", outcome.report);
    if transport == Transport::TwoWay {
        assert!(
            !notebook.rulings().is_empty(),
            "the policy was not asked: {:#?}",
            notebook.events()
        );
    }
}

#[tokio::test]
async fn claude_works_over_its_control_protocol() {
    works(RealCli::Claude, Transport::TwoWay).await;
}

#[tokio::test]
async fn claude_works_in_one_shot() {
    works(RealCli::Claude, Transport::OneShot).await;
}

#[tokio::test]
async fn codex_works_over_its_app_server() {
    works(RealCli::Codex, Transport::TwoWay).await;
}

#[tokio::test]
async fn codex_works_in_one_shot() {
    works(RealCli::Codex, Transport::OneShot).await;
}

#[tokio::test]
async fn gemini_works_over_acp() {
    works(RealCli::Gemini, Transport::TwoWay).await;
}

#[tokio::test]
async fn gemini_works_in_one_shot() {
    works(RealCli::Gemini, Transport::OneShot).await;
}

#[tokio::test]
async fn opencode_works_over_acp() {
    works(RealCli::Opencode, Transport::TwoWay).await;
}

#[tokio::test]
async fn claude_agent_acp_works() {
    works(RealCli::ClaudeAcp, Transport::TwoWay).await;
}

#[tokio::test]
async fn every_real_cli_passes_its_probe() {
    for cli in RealCli::ALL {
        let Some(show) = Show::open(cli, Transport::TwoWay, |config| config.transport = None).await else {
            continue;
        };
        let agent = show.agent.probe().await;
        assert_eq!(agent.unusable, None, "{}", cli.name());
        assert!(agent.version.is_some(), "{}", cli.name());
        assert_ne!(agent.transport, "one-shot JSONL", "{}", cli.name());
    }
}

#[tokio::test]
async fn the_real_claude_writes_where_the_policy_leads_it() {
    let Some(show) = Show::open(RealCli::Claude, Transport::TwoWay, |_| {}).await else {
        return;
    };
    let path = show.stage.target.join("made.txt");
    let (outcome, notebook) = show.perform(write_and_say(&path.display().to_string())).await;
    assert_eq!(
        outcome.verdict,
        Verdict::Completed,
        "{outcome:#?}\n{:#?}",
        notebook.rulings()
    );
    assert!(!path.exists() && show.stage.read("made.txt").is_some());
}

#[tokio::test]
async fn the_real_clis_are_stopped_in_mid_turn() {
    for cli in [RealCli::Claude, RealCli::Codex, RealCli::Gemini] {
        let Some(show) = Show::open(cli, Transport::TwoWay, |_| {}).await else {
            continue;
        };
        let script = Script::of([
            Step::Shell("tail -f /dev/null".to_owned()),
            Step::Text("slept".to_owned()),
        ]);
        let notebook = Notebook::answering(Choice::Refuse);
        let job = show.stage.job(&format!("please do it {}", script.directive()));
        let task = job.task.id;
        let stopping = async {
            notebook
                .until("the command", |event| matches!(event, Event::PermissionRuled { .. }))
                .await;
            show.agent.control(task, Control::Stop).await;
        };
        let (outcome, ()) = futures_util::future::join(show.agent.perform(job, &notebook), stopping).await;
        assert_eq!(outcome.verdict, Verdict::Interrupted, "{}: {outcome:#?}", cli.name());
    }
}

#[tokio::test]
async fn claude_and_codex_go_on_with_their_sessions() {
    go_on(RealCli::Claude).await;
    go_on(RealCli::Codex).await;
}

/// It takes up to a minute: a session of Gemini's cannot be loaded in the minute it began in.
#[tokio::test]
async fn gemini_goes_on_with_its_session() {
    go_on(RealCli::Gemini).await;
}

async fn go_on(cli: RealCli) {
    let Some(show) = Show::open(cli, Transport::TwoWay, |_| {}).await else {
        return;
    };
    let notebook = Notebook::answering(Choice::Refuse);
    let mut job = show
        .stage
        .job(&format!("please do it {}", write_and_say("one.txt").directive()));
    let first = show.agent.perform(job.clone(), &notebook).await;
    assert_eq!(first.verdict, Verdict::Completed, "{}: {first:#?}", cli.name());
    job.attempt = 2;
    job.session.clone_from(&first.session);
    job.guidance = vec![format!("now the other one {}", write_and_say("two.txt").directive())];
    let mut task = (*job.task).clone();
    task.instructions = "as before".to_owned();
    job.task = task.into();
    let second = show.agent.perform(job, &notebook).await;
    assert_eq!(second.verdict, Verdict::Completed, "{}: {second:#?}", cli.name());
    assert_eq!(
        second.session,
        first.session,
        "{}: {:#?}",
        cli.name(),
        notebook.events()
    );
    assert!(show.stage.read("two.txt").is_some(), "{}", cli.name());
}

#[tokio::test]
async fn the_real_clis_report_a_lost_session_and_begin_a_new_one() {
    for cli in [RealCli::Claude, RealCli::Codex] {
        let Some(show) = Show::open(cli, Transport::TwoWay, |_| {}).await else {
            continue;
        };
        let notebook = Notebook::answering(Choice::Refuse);
        let mut job = show
            .stage
            .job(&format!("please do it {}", write_and_say("made.txt").directive()));
        job.session = Some("01a1fb4c-daa6-7112-a113-b0fb220636de".into());
        let outcome = show.agent.perform(job, &notebook).await;
        assert_eq!(
            outcome.verdict,
            Verdict::Completed,
            "{}: {outcome:#?}\n{:#?}",
            cli.name(),
            notebook.events()
        );
        let recovered =
            |event: &Event| matches!(event, Event::TaskRecovered { problem, .. } if problem == "session.lost");
        assert!(
            notebook.events().iter().any(recovered),
            "{}: {:#?}",
            cli.name(),
            notebook.events()
        );
    }
}

#[tokio::test]
async fn the_real_clis_review_in_the_shape_that_was_asked_for() {
    for cli in [RealCli::Claude, RealCli::Codex, RealCli::Gemini] {
        let Some(show) = Show::open(cli, Transport::TwoWay, |_| {}).await else {
            continue;
        };
        let answer = r#"{"verdict":"approve","summary":"it does what it should","findings":[]}"#;
        let script = Script::of([Step::Text(answer.to_owned())]);
        let notebook = Notebook::answering(Choice::Refuse);
        let opinion = show
            .agent
            .review(
                show.stage.review(&format!("judge it {}", script.directive())),
                &notebook,
            )
            .await;
        assert_eq!(
            opinion.verdict,
            Some(ReviewVerdict::Approve),
            "{}: {opinion:#?}",
            cli.name()
        );
    }
}

/// What a provider does to a CLI, for ever, and what the attempt must be judged then.
fn faults() -> Vec<(FaultKind, Verdict)> {
    let status = |status| FaultKind::Status {
        status,
        retry_after: None,
        message: None,
    };
    vec![
        (status(401), Verdict::NotLoggedIn),
        (status(429), Verdict::RateLimited),
        (status(529), Verdict::Unavailable),
        (FaultKind::Cut { after: 1 }, Verdict::Unavailable),
        (FaultKind::Silence { ms: None }, Verdict::TimedOut),
    ]
}

async fn fails_truly(cli: RealCli) {
    for (fault, expected) in faults() {
        // A CLI is silent while it tries again, too; only real silence may end by the watchdog.
        let idle = if expected == Verdict::TimedOut { 8 } else { 60 };
        let Some(show) = Show::open(cli, Transport::TwoWay, |config| config.idle_seconds = idle).await else {
            return;
        };
        let script = write_and_say("made.txt").fault(Fault::forever(fault.clone()));
        let (outcome, notebook) = show.perform(script).await;
        let story = notebook.events();
        assert_eq!(
            outcome.verdict,
            expected,
            "{} {fault:?}: {outcome:#?}\n{story:#?}",
            cli.name()
        );
        assert!(
            outcome.commit.is_none() && show.stage.read("made.txt").is_none(),
            "{} {fault:?}",
            cli.name()
        );
    }
}

#[tokio::test]
async fn a_broken_tool_call_is_never_taken_for_work() {
    for cli in [RealCli::Claude, RealCli::Codex, RealCli::Gemini] {
        let Some(show) = Show::open(cli, Transport::TwoWay, |_| {}).await else {
            continue;
        };
        let script = write_and_say("made.txt").fault(Fault::once(FaultKind::BadToolJson));
        let (outcome, _) = show.perform(script).await;
        // Whether the CLI tries again is its own affair; what counts is what lies in the tree.
        let made = show.stage.read("made.txt").is_some();
        let completed = outcome.verdict == Verdict::Completed;
        assert_eq!(completed, made, "{}: {outcome:#?}", cli.name());
        assert_eq!(outcome.commit.is_some(), made, "{}: {outcome:#?}", cli.name());
    }
}

#[tokio::test]
async fn claude_fails_truly() {
    fails_truly(RealCli::Claude).await;
}

#[tokio::test]
async fn codex_fails_truly() {
    fails_truly(RealCli::Codex).await;
}

#[tokio::test]
async fn gemini_fails_truly() {
    fails_truly(RealCli::Gemini).await;
}
