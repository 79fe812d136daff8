//! Vectors of texts: counts of their words, so that texts with the same words lie close, whatever the order.

use serde_json::{Value, json};

const DIMENSIONS: usize = 64;

/// The answer to a request for embeddings; none when a text is empty, as OpenAI has it.
pub(crate) fn vectors(body: &Value) -> Option<Value> {
    let texts: Vec<&str> = match &body["input"] {
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        text => text.as_str().into_iter().collect(),
    };
    if texts.is_empty() || texts.iter().any(|text| text.is_empty()) {
        return None;
    }
    let tokens: usize = texts.iter().map(|text| text.len() / 4).sum();
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}))
        .collect();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Some(json!({"object": "list", "data": data, "model": body["model"], "usage": usage}))
}

fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    for word in text
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
    {
        let place = word
            .bytes()
            .fold(7_usize, |sum, byte| (sum * 31 + usize::from(byte)) % 9_973);
        vector[place % DIMENSIONS] += 1.0;
    }
    vector
}
