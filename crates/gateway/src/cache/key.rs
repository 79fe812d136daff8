//! When two requests are the same: equal JSON, whatever the order of its keys and its white space, from the same tenant,
//! for an answer of the same shape.

use crate::question::{Question, Wanted};
use ring::digest::{Context, SHA256};
use serde_json::Value;

/// What a request is found by.
pub(crate) type Key = [u8; 32];

/// The key of a request; `None` when its answer is not to be kept.
pub(super) fn of(question: &Question, tenant: &str) -> Option<Key> {
    if question.wanted == Wanted::Count || question.fresh {
        return None;
    }
    Some(digest(question, tenant, canonical(question)?.as_bytes()))
}

/// The key of everything but what is asked at last, and that itself: what may be asked in other words.
pub(super) fn apart(question: &Question, tenant: &str) -> Option<(Key, String)> {
    let ask = question.ask().ok()?;
    let said = ask.asked_last()?.to_owned();
    let whole = canonical(question)?;
    let quoted = Value::from(said.as_str()).to_string();
    let place = whole.rfind(&quoted)?;
    let rest = [&whole[..place], &whole[place + quoted.len()..]].concat();
    Some((digest(question, tenant, rest.as_bytes()), said))
}

/// The body with its keys in order and without what only shapes the stream, which is part of the key elsewhere.
fn canonical(question: &Question) -> Option<String> {
    let mut body: Value = serde_json::from_slice(&question.body).ok()?;
    let fields = body.as_object_mut()?;
    for shape in ["stream", "stream_options"] {
        fields.remove(shape);
    }
    body.sort_all_objects();
    Some(body.to_string())
}

fn digest(question: &Question, tenant: &str, body: &[u8]) -> Key {
    let mut context = Context::new(&SHA256);
    let shape = format!(
        "{:?} {:?} {} {} {}",
        question.face,
        question.wanted,
        question.stream,
        question.array,
        question.hides_usage()
    );
    let mut add = |part: &[u8]| {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    };
    add(tenant.as_bytes());
    add(question.model.as_bytes());
    add(shape.as_bytes());
    add(question.query.as_bytes());
    for (name, value) in &question.headers {
        add(name.as_str().as_bytes());
        add(value.as_bytes());
    }
    add(body);
    let mut key = Key::default();
    key.copy_from_slice(context.finish().as_ref());
    key
}
