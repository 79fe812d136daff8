//! Anthropic messages.

mod answer;
mod request;
mod speak;

pub(super) use answer::{Reader, document as read_document, used};
pub(super) use request::{read, write};
pub(super) use speak::{Writer, document as write_document, error};

/// The tool that carries an answer of a schema, where the provider cannot be held to one.
const ANSWER: &str = "answer_with_json";
