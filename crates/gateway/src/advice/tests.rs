use super::advise;
use crate::Catalogue;
use maestria_kernel::{Cost, ledger::CallRow};

/// So many calls of 10,000 tokens in and 1,000 out.
fn calls(agent: &str, model: &str, count: usize, failed: usize, millis: u64) -> Vec<CallRow> {
    let price = Catalogue::built_in().model(model).price;
    let cost = Cost(price.input.0 / 100 + price.output.0 / 1_000);
    let row = |n| CallRow {
        client: "worker".to_owned(),
        agent: Some(agent.to_owned()),
        provider: "p".to_owned(),
        model: model.to_owned(),
        input: 10_000,
        output: 1_000,
        cost,
        millis,
        outcome: if n < failed { "failed" } else { "ok" }.to_owned(),
        ..CallRow::default()
    };
    (0..count).map(row).collect()
}

#[test]
fn the_same_calls_are_priced_on_a_model_that_did_as_well() {
    let rows = [
        calls("claude", "claude-opus-4-1", 40, 0, 900),
        calls("claude", "claude-haiku-4-5", 25, 0, 300),
        // Cheaper still, but it fails too often, is too slow, is used too little, or by somebody else.
        calls("claude", "gpt-5-nano", 30, 9, 300),
        calls("claude", "gpt-4o-mini", 30, 0, 9_000),
        calls("claude", "gemini-2.5-flash", 5, 0, 300),
        calls("codex", "deepseek-chat", 50, 0, 300),
    ]
    .concat();
    let advice = advise(&rows, Catalogue::built_in());
    let first = &advice[0];
    assert_eq!(
        (first.from.as_str(), first.to.as_str()),
        ("p/claude-opus-4-1", "p/claude-haiku-4-5")
    );
    assert_eq!(
        (first.calls, first.known_from, first.well_percent),
        (40, 25, (100, 100))
    );
    let opus: Cost = rows[..40].iter().map(|row| row.cost).sum();
    assert_eq!(first.cost, opus);
    assert!(first.instead.0 > 0 && first.saved_percent() > 50, "{first}");
    let text = first.to_string();
    assert!(
        text.contains("these 40 calls to p/claude-opus-4-1") && text.contains("% less"),
        "{text}"
    );
    assert!(
        advice.iter().all(|a| a.who == "claude" && a.to != "p/gemini-2.5-flash"),
        "{advice:?}"
    );
}

#[test]
fn nothing_is_advised_without_evidence() {
    let alone = calls("claude", "claude-opus-4-1", 400, 0, 900);
    assert_eq!(advise(&alone, Catalogue::built_in()), []);
    let mut long = calls("claude", "claude-opus-4-1", 40, 0, 900);
    long[0].input = 150_000;
    long.extend(calls("claude", "gpt-4o-mini", 40, 0, 900));
    assert_eq!(
        advise(&long, Catalogue::built_in()),
        [],
        "one of them would not have fitted"
    );
    let mut warm = calls("claude", "claude-sonnet-4-5", 40, 0, 900);
    warm.iter_mut().for_each(|row| row.cost = Cost(1));
    warm.extend(calls("claude", "gpt-4o-mini", 40, 0, 900));
    assert_eq!(
        advise(&warm, Catalogue::built_in()),
        [],
        "a warm prompt cache was cheaper"
    );
}
