//! What a request needs and how hard it seems: a few features of the prompt, no model call.
//!
//! The difficulty is a logistic function of the features below. Its weights are set by hand, after what tends to send
//! people back to a stronger model; they need no training and no data.

use crate::{
    tokens::Counted,
    wire::{
        Ask,
        ask::{Format, Part},
    },
};
use maestria_kernel::model::Speaker;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The part of a text that is looked at for words.
const LOOKED_AT: usize = 4_096;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plan,
    Edit,
    Review,
    Chat,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Edit => "edit",
            Self::Review => "review",
            Self::Chat => "chat",
        }
    }

    /// Tokens that such a request is usually answered with.
    pub(crate) const fn usual_output(self) -> u64 {
        match self {
            Self::Plan => 1_500,
            Self::Edit => 2_000,
            Self::Review => 800,
            Self::Chat => 500,
        }
    }
}

/// What a request needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Features {
    pub(crate) kind: Kind,
    pub(crate) difficulty: f64,
    pub(crate) tools: bool,
    pub(crate) vision: bool,
    pub(crate) json: bool,
    /// Tokens that are sent, about.
    pub(crate) input: u64,
    /// Tokens that are sent, where that mattered.
    pub(crate) counted: Option<Counted>,
    /// Tokens to answer with: the client's limit.
    pub(crate) max_output: Option<u64>,
    /// The same for all requests of one conversation.
    pub(crate) conversation: u64,
}

const PLAN: &[&str] = &[
    "plan",
    "design",
    "architect",
    "decompose",
    "break down",
    "roadmap",
    "strategy",
];
const EDIT: &[&str] = &[
    "implement",
    "refactor",
    "fix",
    "write",
    "edit",
    "rename",
    "add a",
    "add the",
    "function",
    "code",
    "bug",
    "migrate",
];
const REVIEW: &[&str] = &[
    "review",
    "audit",
    "critique",
    "find problems",
    "vulnerab",
    "verdict",
    "assess",
];
const HARD: &[&str] = &[
    "prove",
    "lemma",
    "theorem",
    "concurren",
    "deadlock",
    "race condition",
    "distributed",
    "architect",
    "refactor",
    "optimi",
    "algorithm",
    "complexity",
    "security",
    "vulnerab",
    "migrat",
    "debug",
    "root cause",
    "why does",
    "trade-off",
    "consisten",
    "invariant",
    "transaction",
    "performance",
    "design",
];
const EASY: &[&str] = &[
    "hello",
    "thanks",
    "typo",
    "title",
    "summari",
    "translate",
    "rename",
    "format",
    "what is",
    "list the",
    "spell",
    "capital of",
    "yes or no",
];

impl Features {
    /// The features of a request of `bytes` bytes, whose tokens may have been counted.
    pub(crate) fn of(ask: &Ask, bytes: usize, counted: Option<Counted>, client: &str) -> Self {
        let said = ask
            .turns
            .iter()
            .rev()
            .filter(|t| t.speaker == Speaker::User)
            .flat_map(|t| &t.parts);
        let last = said.into_iter().find_map(Part::as_text).unwrap_or_default();
        let system = ask.system_text();
        let parts = || ask.turns.iter().flat_map(|t| &t.parts);
        let input = counted.map_or((bytes as u64).div_ceil(4), |counted| counted.tokens);
        let said = lower(last);
        let mut features = Self::of_lower(&said, &system, input);
        features.counted = counted;
        features.tools = !ask.tools.is_empty();
        features.vision = parts().any(|p| matches!(p, Part::Media { .. }));
        features.json = matches!(ask.format, Format::Schema { .. });
        features.max_output = ask.max_tokens;
        let results = parts().filter(|p| matches!(p, Part::Result { .. })).count();
        features.difficulty = difficulty(&said, features.input, results, ask.tools.len());
        let mut hasher = DefaultHasher::new();
        let first = ask.turns.first().and_then(|t| t.parts.iter().find_map(Part::as_text));
        (client, &system, first).hash(&mut hasher);
        features.conversation = hasher.finish();
        features
    }

    /// The features of a bare prompt.
    pub(crate) fn of_text(prompt: &str, system: &str, input: u64) -> Self {
        Self::of_lower(&lower(prompt), system, input)
    }

    /// The features of a prompt of which [`lower`] was taken.
    fn of_lower(prompt: &str, system: &str, input: u64) -> Self {
        Self {
            kind: kind(prompt, &lower(system)),
            difficulty: difficulty(prompt, input, 0, 0),
            tools: false,
            vision: false,
            json: false,
            input,
            counted: None,
            max_output: None,
            conversation: 0,
        }
    }

    /// Tokens that are expected to be answered with.
    pub(crate) fn output(&self) -> u64 {
        self.max_output
            .map_or(self.kind.usual_output(), |most| most.min(self.kind.usual_output()))
    }
}

/// The beginning and the end of a text, in small letters: what is wanted stands at one of them.
fn lower(text: &str) -> String {
    if text.len() <= LOOKED_AT {
        return text.to_lowercase();
    }
    let half = LOOKED_AT / 2;
    let (mut end, mut start) = (half, text.len() - half);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    while !text.is_char_boundary(start) {
        start += 1;
    }
    format!("{} {}", &text[..end], &text[start..]).to_lowercase()
}

fn hits(text: &str, words: &[&str]) -> u32 {
    words.iter().map(|word| u32::from(text.contains(word))).sum()
}

/// The kind whose words occur most; the prompt counts for more than the system prompt.
fn kind(prompt: &str, system: &str) -> Kind {
    let score = |words: &[&str]| 2 * hits(prompt, words) + hits(system, words);
    let scores = [
        (score(REVIEW), Kind::Review),
        (score(PLAN), Kind::Plan),
        (score(EDIT), Kind::Edit),
    ];
    // Of equal scores the first counts.
    let best = scores.into_iter().rev().max_by_key(|(score, _)| *score);
    best.filter(|(score, _)| *score > 0)
        .map_or(Kind::Chat, |(_, kind)| kind)
}

/// Of a prompt of which [`lower`] was taken, so that a long one takes no longer than a short one.
fn difficulty(text: &str, input: u64, results: usize, tools: usize) -> f64 {
    let count = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let long = (count(input) / 1_000.0).ln_1p();
    let code = f64::from(u32::try_from(text.matches("```").count()).unwrap_or(0).min(6));
    let questions = f64::from(u32::try_from(text.matches('?').count()).unwrap_or(0).min(4));
    let z = -1.4 + 0.80 * f64::from(hits(text, HARD).min(4)) - 0.90 * f64::from(hits(text, EASY).min(3))
        + 0.35 * long
        + 0.15 * code
        + 0.10 * questions
        + 0.10 * count(results as u64).min(10.0)
        + 0.05 * count(tools as u64).min(20.0);
    1.0 / (1.0 + (-z).exp())
}
