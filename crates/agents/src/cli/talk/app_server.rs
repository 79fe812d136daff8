//! Codex' app-server: initialize, a thread, one turn, approvals, interrupt. Its answers cannot rewrite; instead the turn
//! is steered with a word on what to do.

use super::{Answer, Out, Talk, Turn, words_of};
use crate::cli::{asked::Asked, notes::Step};
use maestria_kernel::permission::Ruling;
use serde_json::{Value, json};

const INITIALIZE: u64 = 1;
const THREAD: u64 = 2;
const TURN: u64 = 3;
/// JSON-RPC's "method not found".
const UNKNOWN_METHOD: i64 = -32601;

#[derive(Debug)]
pub(super) struct AppServer {
    turn: Turn,
    thread: Option<String>,
    /// The running turn's id.
    running: Option<String>,
    requests: u64,
}

impl AppServer {
    pub(super) const fn new(turn: Turn) -> Self {
        Self {
            turn,
            thread: None,
            running: None,
            requests: TURN,
        }
    }

    fn call(id: u64, method: &str, params: &Value) -> Out {
        Out::Send(json!({"id": id, "method": method, "params": params}))
    }

    fn next(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    fn start_thread(&self) -> Vec<Out> {
        let sandbox = match (self.turn.walled, self.turn.read_only) {
            (true, _) => "danger-full-access",
            (false, true) => "read-only",
            (false, false) => "workspace-write",
        };
        // `untrusted` asks for every edit and command: the policy answers at once.
        let mut params = json!({"cwd": self.turn.cwd, "approvalPolicy": "untrusted", "sandbox": sandbox});
        if let Some(model) = &self.turn.model {
            params["model"] = json!(model);
        }
        let method = match &self.turn.session {
            Some(session) => {
                params["threadId"] = json!(session.as_str());
                "thread/resume"
            }
            None => "thread/start",
        };
        vec![
            Out::Send(json!({"method": "initialized"})),
            Self::call(THREAD, method, &params),
        ]
    }

    fn start_turn(&mut self, thread: &Value) -> Vec<Out> {
        let Some(id) = thread["thread"]["id"].as_str() else {
            return vec![Out::Failed("the thread has no id".to_owned())];
        };
        self.thread = Some(id.to_owned());
        let text = if self.turn.session.is_some() {
            &self.turn.follow_up
        } else {
            &self.turn.prompt
        };
        let mut params = json!({"threadId": id, "input": [{"type": "text", "text": text}]});
        if let Some(schema) = &self.turn.schema {
            params["outputSchema"] = schema.clone();
        }
        vec![Self::call(TURN, "turn/start", &params)]
    }

    fn steer(&mut self, words: &str) -> Option<Out> {
        let (thread, running) = (self.thread.clone()?, self.running.clone()?);
        let id = self.next();
        let input = json!([{"type": "text", "text": words}]);
        let params = json!({"threadId": thread, "expectedTurnId": running, "input": input});
        Some(Self::call(id, "turn/steer", &params))
    }
}

impl Talk for AppServer {
    fn open(&mut self) -> Vec<Out> {
        let client = json!({"name": "maestria", "title": "Maestria", "version": env!("CARGO_PKG_VERSION")});
        vec![Self::call(INITIALIZE, "initialize", &json!({"clientInfo": client}))]
    }

    fn on(&mut self, step: &Step) -> Vec<Out> {
        match step {
            Step::Replied { id, result } => match (id.as_u64(), result) {
                (Some(INITIALIZE), Ok(_)) => self.start_thread(),
                (Some(THREAD), Ok(thread)) => self.start_turn(thread),
                (Some(TURN), Ok(turn)) => {
                    self.running = turn["turn"]["id"].as_str().map(str::to_owned);
                    Vec::new()
                }
                (Some(INITIALIZE | THREAD | TURN), Err(error)) => vec![Out::Failed(words_of(error))],
                _ => Vec::new(),
            },
            Step::Turn(id) => {
                self.running = Some(id.clone());
                Vec::new()
            }
            Step::Ended => vec![Out::Over],
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, asked: &Asked, answer: Answer<'_>) -> Vec<Out> {
        let rewrite = matches!(answer.permission.ruling, Ruling::Rewrite { .. });
        let accept = answer.allowed && !rewrite;
        let decision = if accept { "accept" } else { "decline" };
        let mut out = vec![Out::Send(json!({"id": asked.id, "result": {"decision": decision}}))];
        if !accept {
            // A refusal carries no words; without any, the agent tries the same again.
            out.extend(self.steer(&answer.words()));
        }
        out
    }

    fn refuse(&mut self, id: &Value, method: &str) -> Vec<Out> {
        let message = format!("this host does not know {method}");
        vec![Out::Send(
            json!({"id": id, "error": {"code": UNKNOWN_METHOD, "message": message}}),
        )]
    }

    fn interrupt(&mut self) -> Vec<Out> {
        let (Some(thread), Some(running)) = (self.thread.clone(), self.running.clone()) else {
            return Vec::new();
        };
        let id = self.next();
        vec![Self::call(
            id,
            "turn/interrupt",
            &json!({"threadId": thread, "turnId": running}),
        )]
    }
}
