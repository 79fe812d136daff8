//! Agent Client Protocol v1: initialize, a session (new or loaded), one prompt, permission answers, cancel. The host
//! offers neither files nor terminals: agents work in their worktree themselves, under the policy.

use super::{Answer, Out, Talk, Turn, words_of};
use crate::cli::{asked::Asked, notes::Step};
use agent_client_protocol_schema::v1::PermissionOptionKind;
use maestria_kernel::permission::Ruling;
use serde_json::{Value, json};

const INITIALIZE: u64 = 1;
const SESSION: u64 = 2;
const PROMPT: u64 = 3;
const MODE: u64 = 4;
/// JSON-RPC's "method not found".
const UNKNOWN_METHOD: i64 = -32601;
/// Modes in which agents only read, best first.
const READING_MODES: [&str; 2] = ["plan", "read-only"];

#[derive(Debug)]
pub(super) struct Acp {
    turn: Turn,
    greeting_only: bool,
    /// The wanted session is being loaded.
    loading: bool,
    session: Option<String>,
}

impl Acp {
    pub(super) const fn new(turn: Turn) -> Self {
        Self {
            turn,
            greeting_only: false,
            loading: false,
            session: None,
        }
    }

    pub(super) fn greeting() -> Self {
        Self {
            greeting_only: true,
            ..Self::new(Turn::default())
        }
    }

    fn call(id: u64, method: &str, params: &Value) -> Out {
        Out::Send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    }

    fn open_session(&mut self, greeting: &Value) -> Vec<Out> {
        if self.greeting_only {
            return vec![Out::Over];
        }
        let mut params = json!({"cwd": self.turn.cwd, "mcpServers": []});
        let can_load = greeting["agentCapabilities"]["loadSession"] == true;
        match &self.turn.session {
            Some(session) if can_load => {
                self.loading = true;
                params["sessionId"] = json!(session.as_str());
                vec![Out::Mute(true), Self::call(SESSION, "session/load", &params)]
            }
            // An agent that cannot load gets the whole story again in a new session.
            Some(_) | None => vec![Self::call(SESSION, "session/new", &params)],
        }
    }

    fn prompt(&mut self, opened: &Value) -> Vec<Out> {
        let wanted = self
            .turn
            .session
            .as_ref()
            .filter(|_| self.loading)
            .map(|session| session.as_str().to_owned());
        let Some(session) = opened["sessionId"].as_str().map(str::to_owned).or(wanted) else {
            return vec![Out::Failed("the session has no id".to_owned())];
        };
        self.session = Some(session.clone());
        let text = if self.loading {
            &self.turn.follow_up
        } else {
            &self.turn.prompt
        };
        let prompt = json!([{"type": "text", "text": text}]);
        let mut out = vec![Out::Mute(false), Out::Session(session.clone())];
        if self.turn.read_only
            && let Some(mode) = reading_mode(opened)
        {
            out.push(Self::call(
                MODE,
                "session/set_mode",
                &json!({"sessionId": session, "modeId": mode}),
            ));
        }
        out.push(Self::call(
            PROMPT,
            "session/prompt",
            &json!({"sessionId": session, "prompt": prompt}),
        ));
        out
    }

    fn refused(&self, id: u64, error: &Value) -> Vec<Out> {
        let words = words_of(error);
        match id {
            SESSION if self.loading => vec![Out::Mute(false), Out::Failed(format!("session not found: {words}"))],
            INITIALIZE | SESSION | PROMPT => vec![Out::Failed(words)],
            _ => Vec::new(),
        }
    }
}

fn reading_mode(opened: &Value) -> Option<&'static str> {
    let modes: Vec<&str> = opened["modes"]["availableModes"]
        .as_array()?
        .iter()
        .filter_map(|mode| mode["id"].as_str())
        .collect();
    READING_MODES.into_iter().find(|mode| modes.contains(mode))
}

/// The option to choose: once if it can be, so that every later effect is asked about, too.
fn option(options: &Value, allowed: bool) -> Option<Value> {
    let wanted = if allowed {
        [PermissionOptionKind::AllowOnce, PermissionOptionKind::AllowAlways]
    } else {
        [PermissionOptionKind::RejectOnce, PermissionOptionKind::RejectAlways]
    };
    let options = options.as_array()?;
    wanted.iter().find_map(|kind| {
        let kind = serde_json::to_value(kind).ok()?;
        options
            .iter()
            .find(|option| option["kind"] == kind)
            .map(|option| option["optionId"].clone())
    })
}

impl Talk for Acp {
    fn open(&mut self) -> Vec<Out> {
        let abilities = json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false});
        let client = json!({"name": "maestria", "title": "Maestria", "version": env!("CARGO_PKG_VERSION")});
        let params = json!({"protocolVersion": 1, "clientCapabilities": abilities, "clientInfo": client});
        vec![Self::call(INITIALIZE, "initialize", &params)]
    }

    fn on(&mut self, step: &Step) -> Vec<Out> {
        match step {
            Step::Replied { id, result } => match (id.as_u64(), result) {
                (Some(INITIALIZE), Ok(greeting)) => self.open_session(greeting),
                (Some(SESSION), Ok(opened)) => self.prompt(opened),
                (Some(id), Err(error)) => self.refused(id, error),
                _ => Vec::new(),
            },
            Step::Ended => vec![Out::Over],
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, asked: &Asked, answer: Answer<'_>) -> Vec<Out> {
        let rewrite = matches!(answer.permission.ruling, Ruling::Rewrite { .. });
        let outcome = match option(&asked.detail, answer.allowed && !rewrite) {
            Some(id) => json!({"outcome": "selected", "optionId": id}),
            None => json!({"outcome": "cancelled"}),
        };
        vec![Out::Send(
            json!({"jsonrpc": "2.0", "id": asked.id, "result": {"outcome": outcome}}),
        )]
    }

    fn refuse(&mut self, id: &Value, method: &str) -> Vec<Out> {
        let error = json!({"code": UNKNOWN_METHOD, "message": format!("this host does not offer {method}")});
        vec![Out::Send(json!({"jsonrpc": "2.0", "id": id, "error": error}))]
    }

    fn interrupt(&mut self) -> Vec<Out> {
        let session = self.session.iter();
        session
            .map(|session| {
                Out::Send(json!({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": session}}))
            })
            .collect()
    }
}
