//! What a request needs and how hard it seems: a few features of the prompt, no model call.

use super::difficulty::{Signs, Weights, hits};
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
impl Features {
    /// The features of a request of `bytes` bytes, whose tokens may have been counted.
    pub(crate) fn of(weights: &Weights, ask: &Ask, bytes: usize, counted: Option<Counted>, client: &str) -> Self {
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
        let results = parts().filter(|p| matches!(p, Part::Result { .. })).count();
        let signs = Signs::of(&said, input, results, ask.tools.len());
        let mut features = Self::bare(kind(&said, &lower(&system)), weights.difficulty(&signs), input);
        features.counted = counted;
        features.tools = !ask.tools.is_empty();
        features.vision = parts().any(|p| matches!(p, Part::Media { .. }));
        features.json = matches!(ask.format, Format::Schema { .. });
        features.max_output = ask.max_tokens;
        let mut hasher = DefaultHasher::new();
        let first = ask.turns.first().and_then(|t| t.parts.iter().find_map(Part::as_text));
        (client, &system, first).hash(&mut hasher);
        features.conversation = hasher.finish();
        features
    }

    /// The features of a bare prompt.
    pub(crate) fn of_text(weights: &Weights, prompt: &str, system: &str, input: u64) -> Self {
        let said = lower(prompt);
        let difficulty = weights.difficulty(&Signs::of(&said, input, 0, 0));
        Self::bare(kind(&said, &lower(system)), difficulty, input)
    }

    const fn bare(kind: Kind, difficulty: f64, input: u64) -> Self {
        Self {
            kind,
            difficulty,
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

/// The beginning and the end of a text, in small letters: what is wanted stands at one of them, and a long text takes no
/// longer than a short one.
pub(super) fn lower(text: &str) -> String {
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
