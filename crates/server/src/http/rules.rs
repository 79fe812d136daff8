//! The policy: its rules, and what it makes of a command or a path.

use super::{
    State,
    ask::Body,
    problem::Refusal,
    reply::{self, Answer},
};
use crate::{
    path::{Op, PathPolicy},
    policy::{CommandPolicy, Level},
};
use axum::http::{HeaderMap, StatusCode};
use maestria_api::{Page, problem::Code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, path::PathBuf};

/// The rules in force: the program's own, and the person's.
fn in_force(shared: &State) -> Result<CommandPolicy, Refusal> {
    CommandPolicy::in_force(Some(&shared.app.config.policy), None)
        .map_err(|bad| Refusal::new(Code::WrongState, bad.to_string()).hint("`maestria policy check` names mistakes"))
}

/// `GET /policies`
pub(super) async fn list(shared: State, headers: HeaderMap) -> Answer {
    reply::json(&headers, &Page::whole(in_force(&shared)?.rules().described()))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    command: String,
}

/// `POST /policies/test`
pub(super) async fn test(shared: State, Body(asked): Body<Asked>) -> Answer {
    let policy = in_force(&shared)?;
    let judged = tokio::task::spawn_blocking(move || policy.judge(&asked.command)).await;
    let verdict = judged.map_err(|e| Refusal::new(Code::Internal, e.to_string()))?;
    reply::done(StatusCode::OK, &verdict)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedPath {
    #[schemars(extend("enum" = Op::ALL.map(|(name, _)| name)))]
    op: String,
    path: PathBuf,
    cwd: PathBuf,
    #[serde(default)]
    rw: Vec<PathBuf>,
    #[serde(default)]
    ro: Vec<PathBuf>,
}

/// What the rules make of a path.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PathVerdict {
    verdict: Level,
    rule: Cow<'static, str>,
    reason: String,
}

/// `POST /policies/path`
pub(super) async fn path(shared: State, Body(asked): Body<AskedPath>) -> Answer {
    let Some((_, op)) = Op::ALL.into_iter().find(|(name, _)| *name == asked.op) else {
        let names = Op::ALL.map(|(name, _)| name).join(", ");
        let what = format!("there is no operation `{}`", asked.op);
        return Err(Refusal::new(Code::BadValue, what)
            .field("op")
            .hint(format!("one of {names}")));
    };
    if !asked.cwd.is_absolute() {
        return Err(Refusal::new(Code::BadValue, "`cwd` is named absolutely").field("cwd"));
    }
    let policy = in_force(&shared)?;
    let roots = PathPolicy::new(&asked.rw, &asked.ro, &policy.rules().path.protected);
    let roots = roots.map_err(|e| Refusal::new(Code::BadValue, e.to_string()).field("rw"))?;
    let verdict = match roots.permit(op, &asked.cwd, &asked.path) {
        Ok(grant) => PathVerdict {
            verdict: Level::Allow,
            rule: "path.inside".into(),
            reason: format!("it is {}", crate::policy::shown(&grant.path().to_string_lossy())),
        },
        Err(refused) => PathVerdict {
            verdict: Level::Block,
            rule: refused.rule.into(),
            reason: refused.reason,
        },
    };
    reply::done(StatusCode::OK, &verdict)
}
