//! OpenAI chat completions, and everything that is compatible with it.

mod answer;
mod request;
mod speak;

pub(super) use answer::{Reader, document as read_document, used};
pub(super) use request::{effort, effort_word, read, write};
pub(super) use speak::{Writer, document as write_document, error};

use super::piece::Stop;

fn stop_word(stop: Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Word => "stop",
        Stop::Tools => "tool_calls",
        Stop::Length => "length",
        Stop::Refused => "content_filter",
    }
}
