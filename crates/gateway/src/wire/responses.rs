//! OpenAI responses.

mod answer;
mod request;
mod speak;
mod stream;

pub(super) use answer::{Reader, document as read_document, used};
pub(super) use request::{read, write};
pub(super) use speak::document as write_document;
pub(super) use stream::Writer;
