//! A review by a coding CLI: read-only, its answer held to a schema where the CLI can, and void if it changed anything.

use super::{CliAgent, now};
use crate::{
    cli::{
        config::{Kind, Transport},
        drive::{Audience, Order, Ran, drive},
        home::Home,
        launch::Grants,
        talk::{self, Turn},
    },
    outcome::{Evidence, Expect, judge, tree},
    policy::{Place, Policy},
    review,
    trust::Sight,
};
use maestria_kernel::{
    TaskId,
    model::Caller,
    port::{Observer, ReviewJob},
    review::Opinion,
    trace,
};
use maestria_sandbox::Demand;

/// Has a change judged. Everything that goes wrong becomes an opinion without a verdict, with the reason.
pub(super) async fn review(agent: &CliAgent, job: ReviewJob, observer: &dyn Observer) -> Opinion {
    let schema = matches!(
        (agent.kind, agent.transport()),
        (Kind::Claude, _) | (Kind::Codex, Transport::TwoWay)
    );
    let prompt = review::prompt(&job, schema);
    if let Err(error) = review::keep_sent(&job.artefacts, &prompt, &job.diff) {
        return review::none(format!("the review's folder cannot be written: {error}"));
    }
    let before = tree::fingerprint(&job.checkout).await;
    let (answer, opinion) = match ask(agent, &job, prompt, schema, observer).await {
        Ok(ran) => judged(agent, &ran),
        Err(why) => (String::new(), review::none(why)),
    };
    let opinion = match (before, tree::fingerprint(&job.checkout).await) {
        (Ok(before), Ok(after)) if before == after => opinion,
        (Ok(_), Ok(_)) => review::none("the reviewer changed the checkout it was to read; its verdict is void"),
        (Err(error), _) | (_, Err(error)) => review::none(format!("the checkout cannot be looked at: {error}")),
    };
    if let Err(error) = review::keep_received(&job.artefacts, &answer, &opinion) {
        tracing::warn!(folder = %job.artefacts.display(), %error, "a review's answer could not be kept");
    }
    opinion
}

/// Sends the review and waits for the answer.
async fn ask(
    agent: &CliAgent,
    job: &ReviewJob,
    prompt: String,
    schema: bool,
    observer: &dyn Observer,
) -> Result<Ran, String> {
    let seat = agent.slots.open(job.task);
    let caller = Caller {
        run: Some(job.run),
        task: job.task,
        agent: Some(agent.name.clone()),
        project: job.project.clone(),
        budget: job.budget,
    };
    let access = agent.access(caller).await;
    let mut access = access.map_err(|why| format!("the gateway gives the reviewer no key: {why}"))?;
    let config = access.apply(agent.kind, &agent.config);
    let home = Home::prepare(&job.artefacts.join("home"), agent.kind, &config, &agent.around.env)
        .map_err(|error| format!("the reviewer's home cannot be prepared: {error}"))?;
    let policy = Policy::in_force(agent.around.policy.as_deref(), &job.checkout).map_err(|bad| bad.to_string())?;
    let turn = Turn {
        follow_up: prompt.clone(),
        prompt,
        session: None,
        cwd: job.checkout.clone(),
        model: config.model.clone(),
        read_only: true,
        walled: agent.config.sandbox != Demand::Off,
        schema: schema.then(review::schema),
    };
    let sight = Sight::of_nothing(&job.checkout).await?;
    if let (Demand::Off, Some(why)) = (agent.config.sandbox, sight.unwalled()) {
        return Err(why);
    }
    let grants = Grants {
        // The checkout is ours, and a reviewer cannot change it.
        vouched: true,
        ..Grants::default()
    };
    let (mut spec, stdin) = agent.spec(&config, &turn, &grants, &sight, home.path(), job.run.to_string());
    let traced = |percent| trace::Place::of_review(job.run, job.review, percent);
    spec.env.extend(agent.around.trace(traced));
    let audience = Audience {
        observer: Some(observer),
        agent: agent.name.clone(),
        task: job.task,
        review: true,
    };
    let work = drive(Order {
        kind: agent.kind,
        dialect: agent.dialect(),
        spec,
        stdin,
        talk: talk::with(agent.kind, agent.transport(), turn),
        task: job.task.unwrap_or_else(|| TaskId::new(uuid::Uuid::nil())),
        attempt: 1,
        audience: audience.clone(),
        policy: &policy,
        place: place(agent, job, &home),
        times: agent.times(),
        before: agent.counted(None),
        pricing: agent.around.pricing,
        metered: access.is_metered(),
        record: Some(&job.artefacts),
        environment: String::new(),
        disk: agent.config.disk_bytes,
        slot: &seat,
    });
    let ran = access.during(work, &audience).await;
    let (_, refused) = access.end(&audience).await;
    home.hand_back();
    refused.map_or(Ok(ran), Err)
}

fn place(agent: &CliAgent, job: &ReviewJob, home: &Home) -> Place {
    Place {
        worktree: job.checkout.clone(),
        target: job.checkout.clone(),
        home: home.path().to_owned(),
        person: agent.around.home(),
        allow_dirs: Vec::new(),
        read_only: true,
    }
}

/// The answer as it was given, and the opinion in it.
fn judged(agent: &CliAgent, ran: &Ran) -> (String, Opinion) {
    let outcome = judge(&Evidence {
        kind: agent.kind,
        seen: &ran.seen,
        stderr: &ran.stderr,
        last_words: &ran.last_words,
        exit: ran.exit,
        ended: &ran.ended,
        tree: None,
        expect: Expect::Answer,
        now: now(),
    })
    .outcome;
    let answer = match &ran.seen.structured {
        Some(structured) => structured.to_string(),
        None => ran.seen.report.clone(),
    };
    if !outcome.verdict.is_success() {
        let why = format!("the reviewer did not answer ({}): {}", outcome.verdict, outcome.reason);
        return (answer, review::none(why));
    }
    let opinion = review::parse(&ran.seen.report, ran.seen.structured.as_ref());
    (answer, opinion)
}
