//! Codex: the two-way `app-server` and the one-shot `exec --json`. Both leave out the item of a patch that was rejected
//! early; only stderr tells then.

pub mod app_server;
pub mod exec;

use maestria_kernel::money::{Cost, Tokens, Usage};
use serde_json::Value;

/// Reads token counts, whichever case the keys have.
fn usage(counts: &Value) -> Usage {
    let count = |snake: &str, camel: &str| {
        let value = counts.get(snake).or_else(|| counts.get(camel));
        Tokens(value.and_then(Value::as_u64).unwrap_or(0))
    };
    Usage {
        input: count("input_tokens", "inputTokens"),
        cached: count("cached_input_tokens", "cachedInputTokens"),
        output: count("output_tokens", "outputTokens"),
        cost: Cost::ZERO,
    }
}

/// What was used since `before`; all of `now` when the counter has begun again.
fn since(before: Usage, now: Usage) -> Usage {
    if now.input < before.input || now.output < before.output {
        return now;
    }
    Usage {
        input: Tokens(now.input.0 - before.input.0),
        cached: Tokens(now.cached.0.saturating_sub(before.cached.0)),
        output: Tokens(now.output.0 - before.output.0),
        cost: Cost::ZERO,
    }
}

/// The command as the agent meant it, without the shell that Codex wraps around it.
fn unwrapped(command: &str) -> String {
    match shell_words::split(command).as_deref() {
        Ok([shell, flag, script]) if flag == "-lc" && ["bash", "sh", "zsh"].iter().any(|s| shell.ends_with(s)) => {
            script.clone()
        }
        _ => command.to_owned(),
    }
}
