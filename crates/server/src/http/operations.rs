//! Every path there is, with what it takes and answers. `docs/api.md` says what each means.

use super::{
    audit,
    contract::{Operation, get, post},
    decisions, events, flat, keys, machine, metrics, money, plans, rules, runs, submissions, violations, websocket,
    workers,
};
use crate::gateway::LaneStatus;
use maestria_api::{
    Page,
    audit::{AuditLine, Checked},
    decision::{Decide, DecisionLine},
    meta::{
        ConfiguredAgent, DoctorLine, Health, KeyLine, MadeKey, Meta, NewKey, Revoke, Role, Settings, SignIn, SignedIn,
    },
    money::{AdviceTable, Budgets, Models, RouteWish, Routed, UsageTable},
    policy::{AskedCommand, AskedPath, PathVerdict, RuleLine, Verdict},
    problem::Code,
    run::{Because, EventPage, Nothing, Planned, Rerun, RunLine, RunView, Runs, Submission, Tell},
    violation::ViolationLine,
    worker::Worker,
};
use maestria_kernel::{agent::Agent, ledger::CallRow, workflow::Workflow};

/// What a path with a run's id may say of it.
const OF_RUN: &[Code] = &[Code::BadId, Code::UnknownRun];

/// All of them.
pub(super) fn all() -> Vec<Operation> {
    [
        server(),
        self::keys(),
        runs(),
        streams(),
        decisions(),
        money(),
        rules(),
        flat(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn server() -> Vec<Operation> {
    vec![
        get("/health", "health", "How the server is.", machine::health)
            .open()
            .shows::<Health>(),
        get("/api/v1/health", "apiHealth", "How the server is.", machine::health)
            .open()
            .shows::<Health>(),
        get("/api/v1/openapi.json", "openapi", "This document.", machine::openapi)
            .shows::<serde_json::Map<String, serde_json::Value>>(),
        get("/api/v1/meta", "meta", "The server, and who asks.", machine::meta).shows::<Meta>(),
        post(
            "/api/v1/sign-in",
            "signIn",
            "Takes the code of a link and gives a credential for it.",
            machine::sign_in,
        )
        .open()
        .body::<SignIn>()
        .answers::<SignedIn>(200)
        .refuses(&[Code::BadCode]),
        get(
            "/api/v1/agents",
            "listAgents",
            "The agents that are configured.",
            machine::agents,
        )
        .shows::<Page<ConfiguredAgent>>(),
        post(
            "/api/v1/agents/probe",
            "probeAgents",
            "Starts each agent and tells what it is.",
            machine::probe,
        )
        .body_if_any::<Nothing>()
        .answers::<Page<Agent>>(200),
        get(
            "/api/v1/workflows",
            "listWorkflows",
            "The workflows.",
            machine::workflows,
        )
        .shows::<Page<Workflow>>(),
        get("/api/v1/doctor", "doctor", "What this machine lacks.", machine::doctor).shows::<Page<DoctorLine>>(),
        get(
            "/api/v1/config",
            "config",
            "The configuration in force.",
            machine::config,
        )
        .role(Role::Admin)
        .shows::<Settings>(),
        get("/metrics", "metrics", "Figures for Prometheus.", metrics::show).text("text/plain"),
    ]
}

fn keys() -> Vec<Operation> {
    vec![
        get("/api/v1/keys", "listKeys", "The keys to this API.", keys::list)
            .role(Role::Admin)
            .shows::<Page<KeyLine>>(),
        post(
            "/api/v1/keys",
            "addKey",
            "Makes a key, which is shown this once.",
            keys::add,
        )
        .role(Role::Admin)
        .body::<NewKey>()
        .answers::<MadeKey>(201),
        post(
            "/api/v1/keys/revoke",
            "revokeKey",
            "Ends a key or a credential, at once.",
            keys::revoke,
        )
        .role(Role::Admin)
        .body::<Revoke>()
        .answers::<serde_json::Map<String, serde_json::Value>>(200),
    ]
}

fn runs() -> Vec<Operation> {
    let act = |operation: Operation| {
        operation
            .answers::<RunLine>(202)
            .refuses(OF_RUN)
            .refuses(&[Code::WrongState, Code::BadPlan])
    };
    vec![
        get("/api/v1/runs", "listRuns", "Runs, newest first.", runs::list)
            .query::<runs::Filter>()
            .shows::<Runs>()
            .refuses(&[Code::BadCursor]),
        post(
            "/api/v1/runs",
            "submitRun",
            "Stores a run and begins with it.",
            submissions::submit,
        )
        .body::<Submission>()
        .answers::<RunLine>(201)
        .tells("location")
        .refuses(&[Code::WrongState, Code::BadTask, Code::BadTarget]),
        post(
            "/api/v1/plans",
            "makePlan",
            "Makes the plan of a run; nothing is stored.",
            plans::make,
        )
        .body::<Submission>()
        .answers::<Planned>(200)
        .refuses(&[
            Code::WrongState,
            Code::BadTask,
            Code::BadTarget,
            Code::BadPlan,
            Code::NoPlan,
        ]),
        get("/api/v1/runs/{run}", "showRun", "A run, whole.", runs::show)
            .shows::<RunView>()
            .refuses(OF_RUN),
        get("/api/v1/runs/{run}/diff", "diffRun", "What it has changed.", runs::diff)
            .query::<runs::Part>()
            .text("text/x-diff")
            .refuses(OF_RUN)
            .refuses(&[Code::UnknownTask, Code::WrongState]),
        act(post("/api/v1/runs/{run}/pause", "pauseRun", "Holds it.", runs::pause).body_if_any::<Nothing>()),
        act(post(
            "/api/v1/runs/{run}/resume",
            "resumeRun",
            "Goes on with it.",
            runs::resume,
        )
        .body_if_any::<Nothing>()),
        act(post("/api/v1/runs/{run}/abort", "abortRun", "Ends it.", runs::abort).body_if_any::<Because>()),
        act(post(
            "/api/v1/runs/{run}/retry",
            "retryRun",
            "Starts what failed again.",
            runs::retry,
        )
        .body_if_any::<Nothing>()),
        act(post(
            "/api/v1/runs/{run}/rerun",
            "rerunRun",
            "Does a task and all that needs it again.",
            runs::rerun,
        )
        .body::<Rerun>()
        .refuses(&[Code::UnknownTask])),
        act(post(
            "/api/v1/runs/{run}/messages",
            "tellAgent",
            "Tells whoever works on a task something.",
            runs::tell,
        )
        .body::<Tell>()
        .refuses(&[Code::UnknownTask])),
        act(post(
            "/api/v1/runs/{run}/review",
            "reviewRun",
            "Has it reviewed.",
            runs::review,
        )
        .body_if_any::<Nothing>()),
        act(post(
            "/api/v1/runs/{run}/apply",
            "applyRun",
            "Brings its work onto the person's branch.",
            runs::apply,
        )
        .body_if_any::<Nothing>()),
        act(post(
            "/api/v1/runs/{run}/discard",
            "discardRun",
            "Throws its work away.",
            runs::discard,
        )
        .body_if_any::<Nothing>()),
    ]
}

fn streams() -> Vec<Operation> {
    vec![
        get(
            "/api/v1/runs/{run}/events",
            "listEvents",
            "A run's events, in pages.",
            events::page,
        )
        .query::<events::Place>()
        .shows::<EventPage>()
        .text("application/jsonl")
        .refuses(OF_RUN)
        .refuses(&[Code::UnknownTask]),
        get(
            "/api/v1/events",
            "streamEvents",
            "Events as they happen, without end.",
            events::stream,
        )
        .query::<events::Wish>()
        .header("last-event-id")
        .text("text/event-stream")
        .refuses(&[Code::BadId]),
        get(
            "/api/v1/ws",
            "converse",
            "Commands in, answers and events out, in one line.",
            websocket::open,
        )
        .opens()
        .refuses(&[Code::BadValue, Code::RateLimited]),
        get("/api/v1/workers", "listWorkers", "Who is at work now.", workers::list)
            .query::<workers::Of>()
            .shows::<Page<Worker>>()
            .refuses(OF_RUN)
            .refuses(&[Code::BadCursor]),
    ]
}

fn decisions() -> Vec<Operation> {
    vec![
        get(
            "/api/v1/decisions",
            "listDecisions",
            "Questions for people.",
            decisions::list,
        )
        .query::<decisions::Filter>()
        .shows::<Page<DecisionLine>>()
        .refuses(OF_RUN)
        .refuses(&[Code::BadCursor]),
        get(
            "/api/v1/decisions/{decision}",
            "showDecision",
            "A question.",
            decisions::show,
        )
        .shows::<DecisionLine>()
        .refuses(&[Code::BadId, Code::UnknownDecision]),
        post(
            "/api/v1/decisions/{decision}",
            "decide",
            "Answers a question.",
            decisions::decide,
        )
        .body::<Decide>()
        .answers::<DecisionLine>(200)
        .refuses(&[
            Code::BadId,
            Code::UnknownDecision,
            Code::AlreadyDecided,
            Code::WrongState,
            Code::NoChoice,
        ]),
    ]
}

fn money() -> Vec<Operation> {
    vec![
        get("/api/v1/usage", "usage", "What was used, by something.", money::usage)
            .query::<money::Query>()
            .shows::<UsageTable>()
            .text("text/csv")
            .refuses(OF_RUN),
        get(
            "/api/v1/usage/advice",
            "advice",
            "What calls would have cost on other models that did as well.",
            money::advice,
        )
        .query::<money::Since>()
        .shows::<AdviceTable>()
        .refuses(&[Code::WrongState]),
        get(
            "/api/v1/budgets",
            "budgets",
            "Limits in force and what is spent.",
            money::budgets,
        )
        .shows::<Budgets>(),
        get(
            "/api/v1/models",
            "listModels",
            "Models and their prices.",
            money::models,
        )
        .shows::<Models>()
        .refuses(&[Code::WrongState]),
        get(
            "/api/v1/gateway/lanes",
            "listLanes",
            "How the providers' keys fare.",
            money::lanes,
        )
        .shows::<Page<LaneStatus>>(),
        get(
            "/api/v1/gateway/calls",
            "listCalls",
            "Calls of models, newest first.",
            money::calls,
        )
        .query::<money::Most>()
        .shows::<Page<CallRow>>(),
        post(
            "/api/v1/gateway/route",
            "route",
            "Which model would answer; none is called.",
            money::route,
        )
        .role(Role::Viewer)
        .body::<RouteWish>()
        .answers::<Routed>(200)
        .refuses(&[Code::NoRoute, Code::WrongState]),
    ]
}

fn rules() -> Vec<Operation> {
    vec![
        get(
            "/api/v1/violations",
            "listViolations",
            "What a run's workers did or tried that they may not, newest first.",
            violations::list,
        )
        .query::<violations::Filter>()
        .shows::<Page<ViolationLine>>()
        .refuses(OF_RUN)
        .refuses(&[Code::BadCursor]),
        get("/api/v1/policies", "listPolicies", "The rules in force.", rules::list)
            .shows::<Page<RuleLine>>()
            .refuses(&[Code::WrongState]),
        post(
            "/api/v1/policies/test",
            "testCommand",
            "What the rules make of a command.",
            rules::test,
        )
        .role(Role::Viewer)
        .body::<AskedCommand>()
        .answers::<Verdict>(200)
        .refuses(&[Code::WrongState]),
        post(
            "/api/v1/policies/path",
            "testPath",
            "What the rules make of a path.",
            rules::path,
        )
        .role(Role::Viewer)
        .body::<AskedPath>()
        .answers::<PathVerdict>(200)
        .refuses(&[Code::WrongState]),
        get(
            "/api/v1/audit",
            "listAudit",
            "Who did what, on whose leave, newest first.",
            audit::list,
        )
        .role(Role::Admin)
        .query::<audit::Filter>()
        .shows::<Page<AuditLine>>()
        .text("application/jsonl")
        .refuses(OF_RUN)
        .refuses(&[Code::BadCursor]),
        get(
            "/api/v1/audit/verify",
            "verifyAudit",
            "Whether the trail is as it was written.",
            audit::verify,
        )
        .role(Role::Admin)
        .shows::<Checked>(),
    ]
}

/// The paths of earlier systems; their answers are objects that `docs/api.md` lists.
fn flat() -> Vec<Operation> {
    type Object = serde_json::Map<String, serde_json::Value>;
    let of_run = |operation: Operation| operation.query::<flat::Which>().shows::<Object>().refuses(OF_RUN);
    let submit = |operation: Operation| {
        operation
            .body::<flat::Wish>()
            .refuses(&[Code::WrongState, Code::BadTask, Code::BadTarget])
    };
    let operations = vec![
        of_run(get("/api/status", "flatStatus", "How far a run is.", flat::status)),
        of_run(get("/api/session", "flatSession", "A run's session.", flat::session)),
        get(
            "/api/requirements",
            "flatRequirements",
            "What was asked for.",
            flat::requirements,
        )
        .shows::<Object>(),
        submit(post(
            "/api/requirements",
            "flatRequire",
            "Stores a run and begins with it.",
            flat::require,
        ))
        .answers::<Object>(201),
        of_run(get("/api/tasks", "flatTasks", "A run's tasks.", flat::tasks)),
        of_run(get("/api/workers", "flatWorkers", "Who is at work.", flat::at_work)),
        of_run(get("/api/reviews", "flatReviews", "A run's reviews.", flat::reviews)),
        get("/api/decisions", "flatDecisions", "Questions that wait.", flat::waiting).shows::<Object>(),
        get("/escalations", "flatEscalations", "Questions that wait.", flat::waiting).shows::<Object>(),
        of_run(get(
            "/api/recovery",
            "flatRecovery",
            "What was repaired.",
            flat::recovery,
        )),
        of_run(get("/api/summary", "flatSummary", "What came of it.", flat::summary)),
        get("/api/metrics", "flatMetrics", "Figures.", flat::metrics).shows::<Object>(),
        get(
            "/api/events/stream",
            "flatStream",
            "Events as they happen, without end.",
            events::stream,
        )
        .query::<events::Wish>()
        .header("last-event-id")
        .text("text/event-stream")
        .refuses(&[Code::BadId]),
        get(
            "/ws",
            "flatConverse",
            "The same, with events from the start.",
            websocket::open_flat,
        )
        .query::<events::Wish>()
        .opens()
        .refuses(&[Code::BadId, Code::RateLimited]),
        post("/api/route-llm", "flatRoute", "Which model would answer.", money::route)
            .role(Role::Viewer)
            .body::<RouteWish>()
            .answers::<Routed>(200)
            .refuses(&[Code::NoRoute, Code::WrongState]),
        post("/api/control/{verb}", "flatControl", "Acts on a run.", flat::control)
            .query::<flat::Which>()
            .body_if_any::<Nothing>()
            .answers::<RunLine>(202)
            .refuses(OF_RUN)
            .refuses(&[Code::UnknownPath, Code::WrongState, Code::BadPlan]),
        get("/operations", "flatOperations", "Operations.", flat::operations).shows::<Object>(),
        submit(post(
            "/operations",
            "flatOperate",
            "Does it, and answers at its end.",
            flat::operate,
        ))
        .answers::<Object>(200),
        get("/operations/{run}", "flatOperation", "An operation.", flat::operation)
            .shows::<Object>()
            .refuses(OF_RUN),
    ];
    operations.into_iter().map(Operation::flat).collect()
}
