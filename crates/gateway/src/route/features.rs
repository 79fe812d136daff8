//! What a request needs and how hard it seems: a few features of the prompt, no model call.

use super::{
    difficulty::{Signs, Weights},
    words::{Group, Words},
};
use crate::{
    tokens::Counted,
    wire::{
        Ask,
        ask::{Format, Part},
    },
};
use maestria_kernel::model::Speaker;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

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
        let results = parts().filter(|p| matches!(p, Part::Result { .. })).count();
        let words = Words::of(last);
        let signs = Signs::of(last, words, input, results, ask.tools.len());
        let mut features = Self::bare(kind(words, Words::of(&system)), weights.difficulty(&signs), input);
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
        let words = Words::of(prompt);
        let difficulty = weights.difficulty(&Signs::of(prompt, words, input, 0, 0));
        Self::bare(kind(words, Words::of(system)), difficulty, input)
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

/// The kind whose words occur most; the prompt counts for more than the system prompt.
fn kind(prompt: Words, system: Words) -> Kind {
    let score = |group: Group| 2 * prompt.hits(group) + system.hits(group);
    let scores = [
        (score(Group::Review), Kind::Review),
        (score(Group::Plan), Kind::Plan),
        (score(Group::Edit), Kind::Edit),
    ];
    // Of equal scores the first counts.
    let best = scores.into_iter().rev().max_by_key(|(score, _)| *score);
    best.filter(|(score, _)| *score > 0)
        .map_or(Kind::Chat, |(_, kind)| kind)
}
