//! Claude Code's control protocol: initialize, one user turn, permission answers with rewritten input, interrupt.

use super::{Answer, Out, Talk, Turn, words_of};
use crate::cli::{
    asked::{Asked, rewritten},
    notes::Step,
};
use maestria_kernel::permission::Ruling;
use serde_json::{Value, json};

const INITIALIZE: &str = "maestria_initialize";

#[derive(Debug)]
pub(super) struct Claude {
    turn: Turn,
    requests: u32,
}

impl Claude {
    pub(super) const fn new(turn: Turn) -> Self {
        Self { turn, requests: 0 }
    }

    fn user(&self) -> Value {
        let text = if self.turn.session.is_some() {
            &self.turn.follow_up
        } else {
            &self.turn.prompt
        };
        json!({
            "type": "user",
            "message": {"role": "user", "content": [{"type": "text", "text": text}]},
            "parent_tool_use_id": null,
            "session_id": "",
        })
    }
}

fn response(id: &Value, response: &Value) -> Out {
    let response = json!({"subtype": "success", "request_id": id, "response": response});
    Out::Send(json!({"type": "control_response", "response": response}))
}

impl Talk for Claude {
    fn open(&mut self) -> Vec<Out> {
        let request = json!({"subtype": "initialize", "hooks": null});
        vec![Out::Send(
            json!({"type": "control_request", "request_id": INITIALIZE, "request": request}),
        )]
    }

    fn on(&mut self, step: &Step) -> Vec<Out> {
        match step {
            Step::Replied { id, result: Ok(_) } if id == INITIALIZE => vec![Out::Send(self.user())],
            Step::Replied { id, result: Err(error) } if id == INITIALIZE => vec![Out::Failed(words_of(error))],
            Step::Ended => vec![Out::Over],
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, asked: &Asked, answer: Answer<'_>) -> Vec<Out> {
        let body = match (&answer.permission.ruling, answer.allowed) {
            (Ruling::Rewrite { action }, true) => {
                json!({"behavior": "allow", "updatedInput": rewritten(&asked.detail, &asked.question, action)})
            }
            (_, true) => json!({"behavior": "allow", "updatedInput": asked.detail}),
            (_, false) => json!({"behavior": "deny", "message": answer.words()}),
        };
        vec![response(&asked.id, &body)]
    }

    fn refuse(&mut self, id: &Value, method: &str) -> Vec<Out> {
        let error = format!("this host does not know {method}");
        let response = json!({"subtype": "error", "request_id": id, "error": error});
        vec![Out::Send(json!({"type": "control_response", "response": response}))]
    }

    fn interrupt(&mut self) -> Vec<Out> {
        self.requests += 1;
        let id = format!("maestria_interrupt_{}", self.requests);
        let request = json!({"subtype": "interrupt"});
        vec![Out::Send(
            json!({"type": "control_request", "request_id": id, "request": request}),
        )]
    }

    fn rewrites(&self) -> bool {
        true
    }
}
