//! The conversation with the model, turn by turn.

use super::{leash::Leash, tools::Bench};
use maestria_kernel::{
    Event,
    model::{Caller, Message, ModelError, ModelRef, ModelReply, ModelRequest, Part, Speaker, Stop, Tool},
    outcome::Verdict,
    port::Models,
};
use serde_json::Value;
use std::time::Instant;

/// Turns of one attempt at the most.
const TURNS: usize = 60;

/// The most tokens of one answer.
const MOST_TOKENS: u32 = 8_192;

/// The longest conversation that is sent, in bytes; older tool answers are left out beyond it.
const LONGEST: usize = 600 * 1024;

/// Why a conversation ended without an answer.
pub(super) struct Stopped {
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    pub(super) wait_secs: Option<u64>,
}

impl From<ModelError> for Stopped {
    fn from(error: ModelError) -> Self {
        let verdict = match &error {
            ModelError::Unauthorised { .. } => Verdict::NotLoggedIn,
            ModelError::RateLimited { .. } => Verdict::RateLimited,
            ModelError::Unavailable { .. } => Verdict::Unavailable,
            ModelError::TooLong { .. } => Verdict::ContextTooLong,
            ModelError::Invalid { .. } => Verdict::Failed,
            ModelError::Unpaid { .. } => Verdict::LimitReached,
            ModelError::Unknown { .. } => Verdict::NotStarted,
        };
        let wait_secs = match &error {
            ModelError::RateLimited { retry_after_secs, .. } => *retry_after_secs,
            _ => None,
        };
        Self {
            verdict,
            reason: error.to_string(),
            wait_secs,
        }
    }
}

/// Whom the conversation is with.
pub(super) struct Partner<'a> {
    pub(super) models: &'a dyn Models,
    pub(super) model: &'a ModelRef,
    pub(super) system: &'a str,
    /// What its calls count for.
    pub(super) caller: Caller,
}

impl Partner<'_> {
    /// Converses until the model answers without a tool call; returns that answer.
    pub(super) async fn converse(
        &self,
        bench: &mut Bench<'_>,
        tools: &[Tool],
        prompt: String,
    ) -> Result<String, Stopped> {
        let mut messages = vec![Message::user(prompt)];
        for _ in 0..TURNS {
            let reply = self.turn(bench, &mut messages, tools, None).await?;
            let said = reply.text();
            let calls: Vec<(String, String, Value)> = reply
                .parts
                .iter()
                .filter_map(|p| match p {
                    Part::Call { id, name, arguments } => Some((id.clone(), name.clone(), arguments.clone())),
                    Part::Text { .. } | Part::Answer { .. } => None,
                })
                .collect();
            if !said.trim().is_empty() {
                let text = said.chars().take(2_000).collect();
                bench.observer.observe(Event::TaskSaid {
                    task: Some(bench.task),
                    text,
                });
            }
            messages.push(Message {
                speaker: Speaker::Assistant,
                parts: reply.parts,
            });
            if calls.is_empty() {
                return whole(said, reply.stop);
            }
            let mut parts = Vec::new();
            for (id, name, arguments) in calls {
                if !bench.leash.may_go().await {
                    return Err(interrupted());
                }
                let answer = bench.execute(&name, &arguments).await;
                let failed = answer.is_err();
                parts.push(Part::Answer {
                    id,
                    name,
                    text: answer.unwrap_or_else(|e| e),
                    failed,
                });
            }
            messages.push(Message {
                speaker: Speaker::User,
                parts,
            });
        }
        Err(Stopped {
            verdict: Verdict::LimitReached,
            reason: format!("no end after {TURNS} turns"),
            wait_secs: None,
        })
    }

    /// Asks once for JSON of a schema.
    pub(super) async fn ask_json(&self, bench: &Bench<'_>, prompt: String, schema: Value) -> Result<String, Stopped> {
        let mut messages = vec![Message::user(prompt)];
        Ok(self.turn(bench, &mut messages, &[], Some(schema)).await?.text())
    }

    async fn turn(
        &self,
        bench: &Bench<'_>,
        messages: &mut [Message],
        tools: &[Tool],
        schema: Option<Value>,
    ) -> Result<ModelReply, Stopped> {
        if !bench.leash.may_go().await {
            return Err(interrupted());
        }
        shorten(messages);
        let request = ModelRequest {
            caller: self.caller.clone(),
            model: self.model.clone(),
            system: self.system.to_owned(),
            messages: messages.to_vec(),
            tools: tools.to_vec(),
            schema,
            max_tokens: MOST_TOKENS,
            temperature_percent: None,
        };
        let begun = Instant::now();
        let reply = tokio::select! {
            reply = self.models.call(request, &|_| {}) => reply.inspect_err(|error| tell_refusal(bench, error))?,
            () = stopped(bench.leash) => return Err(interrupted()),
        };
        bench.observer.observe(Event::ModelCalled {
            task: Some(bench.task),
            model: self.model.to_string(),
            usage: reply.usage,
            millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            scripted: reply.scripted,
            request: reply.request.clone(),
        });
        Ok(reply)
    }
}

/// An answer, unless it is the beginning of one.
fn whole(said: String, stop: Stop) -> Result<String, Stopped> {
    let (verdict, reason) = match stop {
        Stop::End | Stop::Tools => return Ok(said),
        Stop::Length => (
            Verdict::LimitReached,
            format!("its answer was cut off at {MOST_TOKENS} tokens"),
        ),
        Stop::Refused => (Verdict::Failed, "the provider refused to go on".to_owned()),
    };
    Err(Stopped {
        verdict,
        reason,
        wait_secs: None,
    })
}

fn tell_refusal(bench: &Bench<'_>, error: &ModelError) {
    if let ModelError::Unpaid { detail, of_run } = error {
        bench.observer.observe(Event::BudgetRefused {
            task: Some(bench.task),
            because: detail.clone(),
            of_run: *of_run,
        });
    }
}

async fn stopped(leash: &Leash) {
    leash.stopped().await;
}

fn interrupted() -> Stopped {
    Stopped {
        verdict: Verdict::Interrupted,
        reason: "stopped".to_owned(),
        wait_secs: None,
    }
}

/// Leaves out the oldest tool answers of a conversation that has grown too long.
fn shorten(messages: &mut [Message]) {
    let size = |m: &Message| m.parts.iter().map(part_size).sum::<usize>();
    let mut all: usize = messages.iter().map(size).sum();
    let recent = messages.len().saturating_sub(4);
    for part in messages[..recent].iter_mut().flat_map(|m| &mut m.parts) {
        if all <= LONGEST {
            return;
        }
        if let Part::Answer { text, .. } = part {
            all -= text.len();
            "[left out to save room; ask again if you need it]".clone_into(text);
        }
    }
}

fn part_size(part: &Part) -> usize {
    match part {
        Part::Text { text } | Part::Answer { text, .. } => text.len(),
        Part::Call { arguments, .. } => arguments.to_string().len(),
    }
}
