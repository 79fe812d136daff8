//! Gemini generateContent.

mod answer;
mod request;
mod speak;

pub(super) use answer::{Reader, document as read_document, used};
pub(super) use request::{read, write};
pub(super) use speak::{Writer, document as write_document, error};
