//! Tokens, counted by OpenAI's newest vocabulary (`o200k`). That is exact for OpenAI's own models; the other makers keep
//! theirs to themselves, so their models get a margin. The vocabulary takes 45 MB once it is used, and counting takes a
//! while, so it is done only where a cheap bound (no token is shorter than a byte) does not settle the matter.

use crate::wire::{
    Ask,
    ask::{Part, Tool},
};
use tiktoken_rs::o200k_base_singleton;

/// Text is counted in pieces of so many bytes at most: the time for one grows faster than its length.
const PIECE: usize = 16 << 10;

/// What a message takes besides its text.
const MESSAGE: u64 = 4;

/// What a picture takes, about.
const PICTURE: u64 = 1_500;

/// Models that were made with the vocabulary.
const OWN: &[&str] = &["gpt-4o", "gpt-4.1", "gpt-5", "chatgpt", "o1", "o3", "o4", "codex"];

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) tokens: u64,
    /// There are pictures or documents, whose tokens nobody can count here.
    pub(crate) media: bool,
}

impl Counted {
    /// The most that it can be for a model: a fifth more in a vocabulary that is not known, by experience with the
    /// vocabularies that are.
    pub(crate) fn at_most(self, model: &str) -> u64 {
        let bare = model.rsplit('/').next().unwrap_or(model);
        if OWN.iter().any(|own| bare.starts_with(own)) {
            self.tokens
        } else {
            self.tokens.saturating_add(self.tokens.div_ceil(5))
        }
    }
}

/// The tokens of a text.
pub(crate) fn of_text(text: &str) -> u64 {
    let mut rest = text;
    let mut tokens = 0;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(end_of_piece(rest));
        tokens += o200k_base_singleton().count_ordinary(piece) as u64;
        rest = after;
    }
    tokens
}

/// Where the first piece of a text ends: before a space where there is one, as words begin with theirs.
fn end_of_piece(text: &str) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let end = text.floor_char_boundary(PIECE);
    text[..end].rfind(' ').filter(|space| *space > PIECE / 2).unwrap_or(end)
}

/// The tokens of a request.
pub(crate) fn of_ask(ask: &Ask) -> Counted {
    let turns = ask
        .turns
        .iter()
        .map(|turn| MESSAGE + turn.parts.iter().map(of_part).sum::<u64>());
    let system = ask.system.iter().map(|part| MESSAGE + of_part(part));
    let tools = ask.tools.iter().map(of_tool);
    Counted {
        tokens: system.chain(turns).chain(tools).sum::<u64>() + MESSAGE,
        media: ask.turns.iter().flat_map(|turn| &turn.parts).any(is_media),
    }
}

fn is_media(part: &Part) -> bool {
    match part {
        Part::Media { .. } => true,
        Part::Result { parts, .. } => parts.iter().any(is_media),
        Part::Text { .. } | Part::Thought { .. } | Part::Call { .. } => false,
    }
}

fn of_part(part: &Part) -> u64 {
    match part {
        Part::Text { text, .. } => of_text(text),
        Part::Media { .. } => PICTURE,
        Part::Thought { text, proof } => of_text(text) + proof.as_ref().map_or(0, |proof| of_text(&proof.text)),
        Part::Call { name, arguments, .. } => MESSAGE + of_text(name) + of_text(&arguments.to_string()),
        Part::Result { name, parts, .. } => MESSAGE + of_text(name) + parts.iter().map(of_part).sum::<u64>(),
    }
}

fn of_tool(tool: &Tool) -> u64 {
    MESSAGE + of_text(&tool.name) + of_text(&tool.description) + of_text(&tool.parameters.to_string())
}

#[cfg(test)]
mod tests;
