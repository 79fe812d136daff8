//! The policy: its rules, and what it makes of a command or a path.

use super::{
    State,
    ask::Body,
    problem::Refusal,
    reply::{self, Answer},
};
use crate::{
    policy::CommandPolicy,
    rules::{self, BadQuestion},
};
use axum::http::{HeaderMap, StatusCode};
use maestria_api::{
    Page,
    policy::{AskedCommand, AskedPath},
    problem::Code,
};

/// The rules in force: the program's own, and the person's.
fn in_force(shared: &State) -> Result<CommandPolicy, Refusal> {
    CommandPolicy::in_force(Some(&shared.app.config.policy), None)
        .map_err(|bad| Refusal::new(Code::WrongState, bad.to_string()).hint("`maestria policy check` names mistakes"))
}

/// `GET /policies`
pub(super) async fn list(shared: State, headers: HeaderMap) -> Answer {
    reply::json(&headers, &Page::whole(rules::lines(&in_force(&shared)?)))
}

/// `POST /policies/test`
pub(super) async fn test(shared: State, Body(asked): Body<AskedCommand>) -> Answer {
    let policy = in_force(&shared)?;
    let judged = tokio::task::spawn_blocking(move || rules::judge(&policy, &asked.command)).await;
    let verdict = judged.map_err(|e| Refusal::new(Code::Internal, e.to_string()))?;
    reply::done(StatusCode::OK, &verdict)
}

/// `POST /policies/path`
pub(super) async fn path(shared: State, Body(asked): Body<AskedPath>) -> Answer {
    let verdict = rules::judge_path(&in_force(&shared)?, &asked).map_err(|bad| {
        let refusal = Refusal::new(Code::BadValue, bad.to_string());
        match bad {
            BadQuestion::Op(_) => refusal.field("op").hint(format!("one of {}", rules::operations())),
            BadQuestion::Relative => refusal.field("cwd"),
            BadQuestion::Root(_) => refusal.field("rw"),
        }
    });
    reply::done(StatusCode::OK, &verdict?)
}
