//! A model that says what the test wrote down.

use maestria_kernel::{
    model::{ModelError, ModelReply, ModelRequest, Part, Stop},
    money::Usage,
    port::{Boxed, Models},
};
use serde_json::Value;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// What the model does when it is called.
pub(crate) enum Turn {
    Say(&'static str),
    Call(&'static str, Value),
    Cut(&'static str),
    Fail(ModelError),
    Silence,
}

/// Answers in order, the last one for ever, and keeps what it was asked.
pub(crate) struct Script {
    turns: Mutex<VecDeque<Turn>>,
    asked: Mutex<Vec<ModelRequest>>,
}

impl Script {
    pub(crate) fn new(turns: impl IntoIterator<Item = Turn>) -> Arc<Self> {
        Arc::new(Self {
            turns: Mutex::new(turns.into_iter().collect()),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn asked(&self) -> Vec<ModelRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// What the tools answered, in order.
    pub(crate) fn answers(&self) -> Vec<(String, bool)> {
        let last = self.asked().pop();
        let parts = last.into_iter().flat_map(|r| r.messages).flat_map(|m| m.parts);
        parts
            .filter_map(|part| match part {
                Part::Answer { text, failed, .. } => Some((text, failed)),
                Part::Text { .. } | Part::Call { .. } => None,
            })
            .collect()
    }
}

fn reply(part: Part, stop: Stop) -> ModelReply {
    ModelReply {
        parts: vec![part],
        stop,
        usage: Usage::default(),
        scripted: true,
        request: None,
    }
}

impl Models for Script {
    fn call<'a>(
        &'a self,
        request: ModelRequest,
        _: &'a (dyn Fn(&str) + Send + Sync),
    ) -> Boxed<'a, Result<ModelReply, ModelError>> {
        self.asked.lock().unwrap().push(request);
        let mut turns = self.turns.lock().unwrap();
        let text = |text: &str| Part::Text { text: text.to_owned() };
        let answer = match turns.front().unwrap() {
            Turn::Say(said) => Ok(reply(text(said), Stop::End)),
            Turn::Cut(said) => Ok(reply(text(said), Stop::Length)),
            Turn::Call(name, arguments) => {
                let call = Part::Call {
                    id: "1".to_owned(),
                    name: (*name).to_owned(),
                    arguments: arguments.clone(),
                };
                Ok(reply(call, Stop::Tools))
            }
            Turn::Fail(error) => Err(error.clone()),
            Turn::Silence => return Box::pin(std::future::pending()),
        };
        if turns.len() > 1 {
            turns.pop_front();
        }
        Box::pin(async move { answer })
    }
}
