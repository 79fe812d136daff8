use super::{Counted, PIECE, of_ask, of_text};
use crate::wire::Dialect;
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn texts_have_the_tokens_that_openai_counts() {
    // By the vendor's own `tiktoken` for o200k_base.
    let table = [
        ("", 0),
        ("hello world", 2),
        ("tiktoken is great!", 6),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 8),
    ];
    for (text, tokens) in table {
        assert_eq!(of_text(text), tokens, "{text}");
    }
}

#[test]
fn long_texts_are_counted_in_pieces_without_losing_any() {
    let words = "Refactor the database layer. ".repeat(PIECE / 8);
    let one = of_text("Refactor the database layer. Refactor") - of_text("Refactor");
    let all = of_text(&words);
    let expected = one * (PIECE as u64 / 8);
    assert!(all.abs_diff(expected) <= expected / 500 + 2, "{all} and {expected}");
    let signs = "漢字".repeat(PIECE);
    assert!(of_text(&signs) > PIECE as u64 / 2);
    let started = Instant::now();
    of_text(&" ".repeat(1 << 20));
    // By far above what it takes; a count that grows with the square takes minutes.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn a_request_is_its_texts_its_tools_and_its_pictures() {
    let ask = |body: serde_json::Value| of_ask(&Dialect::Anthropic.read(&body, "m", false).unwrap());
    let plain = ask(json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hello world"}]}));
    assert_eq!(
        plain,
        Counted {
            tokens: 2 + 8,
            media: false
        }
    );
    let tools = ask(
        json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hello world"}],
        "tools": [{"name": "look", "description": "Looks around.", "input_schema": {"type": "object"}}]}),
    );
    assert!(tools.tokens > plain.tokens + 8, "{tools:?}");
    let data = "A".repeat(100_000);
    let picture = ask(
        json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}]}]}),
    );
    assert!(
        picture.media && picture.tokens < 2_000,
        "a picture is not its letters: {picture:?}"
    );
    assert_eq!(plain.at_most("gpt-5-mini"), 10);
    assert_eq!(plain.at_most("openai/gpt-4o"), 10);
    assert_eq!(plain.at_most("claude-sonnet-4-5"), 12);
}
