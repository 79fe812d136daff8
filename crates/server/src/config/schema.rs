//! The keys there are, with their defaults.

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Bool,
    /// Text, or a list of texts.
    Words,
    Duration,
    Bytes,
    Money,
    /// A part of one, such as 0.8.
    Fraction,
    Band,
    /// A table of texts.
    Texts,
}

/// Keys outside of tables with names of the person's choosing: key, kind, default (TOML; empty: none).
pub(super) const FIXED: &[(&str, Kind, &str)] = &[
    ("budget.alert", Kind::Fraction, "0.8"),
    ("budget.client.default", Kind::Money, ""),
    ("budget.day", Kind::Money, "100.0"),
    ("budget.model.default", Kind::Money, ""),
    ("budget.on_exhausted", Kind::Text, "\"stop\""),
    ("budget.project.default", Kind::Money, ""),
    ("budget.run", Kind::Money, ""),
    ("budget.task.default", Kind::Money, ""),
    ("cache.semantic.model", Kind::Text, ""),
    ("cache.semantic.threshold", Kind::Fraction, "0.95"),
    ("cache.shared", Kind::Bool, "false"),
    ("cache.size", Kind::Bytes, "\"64MiB\""),
    ("cache.ttl", Kind::Duration, "\"0s\""),
    ("checks.command", Kind::Words, "[]"),
    ("checks.timeout", Kind::Duration, "\"15m\""),
    ("gateway.auth", Kind::Text, "\"keys\""),
    ("gateway.balance", Kind::Text, "\"round-robin\""),
    ("gateway.batch_wait", Kind::Duration, "\"0s\""),
    ("gateway.body_limit", Kind::Bytes, "\"32MiB\""),
    ("gateway.connections", Kind::Number, "1024"),
    ("gateway.listen", Kind::Text, "\"127.0.0.1:8090\""),
    ("gateway.models_file", Kind::Text, ""),
    ("gateway.on_loss", Kind::Text, "\"drop\""),
    ("gateway.patience", Kind::Duration, "\"30s\""),
    ("gateway.queue", Kind::Number, "256"),
    ("gateway.queue_patience", Kind::Duration, "\"10s\""),
    ("gateway.requests_per_minute", Kind::Number, "0"),
    ("gateway.tokens_per_minute", Kind::Number, "0"),
    ("gateway.workers", Kind::Text, "\"auto\""),
    ("limits.approval_expires", Kind::Duration, "\"1h\""),
    ("limits.backoff", Kind::Duration, "\"2s\""),
    ("limits.confidence_percent", Kind::Number, "70"),
    ("limits.decision_expires", Kind::Duration, "\"7d\""),
    ("limits.parallel", Kind::Number, "4"),
    ("limits.retries", Kind::Number, "3"),
    ("limits.review_after", Kind::Duration, "\"15m\""),
    ("limits.rework_rounds", Kind::Number, "2"),
    ("limits.violations", Kind::Number, "5"),
    ("limits.violations_of.command", Kind::Number, ""),
    ("limits.violations_of.disk", Kind::Number, ""),
    ("limits.violations_of.memory", Kind::Number, ""),
    ("limits.violations_of.network", Kind::Number, ""),
    ("limits.violations_of.path", Kind::Number, ""),
    ("limits.violations_of.processes", Kind::Number, ""),
    ("limits.violations_of.time", Kind::Number, ""),
    ("sandbox.mode", Kind::Text, "\"required\""),
    ("shares.claude", Kind::Band, "[40, 50]"),
    ("shares.codex", Kind::Band, "[10, 20]"),
    ("shares.gemini", Kind::Band, "[40, 50]"),
    ("server.cors", Kind::Words, "[]"),
    ("server.hosts", Kind::Words, "[]"),
    ("server.jwt_audience", Kind::Text, "\"maestria\""),
    ("server.jwt_issuer", Kind::Text, ""),
    ("server.jwt_key", Kind::Text, ""),
    ("server.listen", Kind::Text, "\"127.0.0.1:8090\""),
    ("server.requests_per_second", Kind::Number, "200"),
    ("server.runs_at_once", Kind::Number, "4"),
    ("server.tls_cert", Kind::Text, ""),
    ("server.tls_key", Kind::Text, ""),
    ("store.path", Kind::Text, ""),
    (
        "target.env_files",
        Kind::Words,
        "[\".env\", \".env.local\", \".envrc\"]",
    ),
    ("telemetry.contents", Kind::Bool, "false"),
    ("telemetry.otlp_endpoint", Kind::Text, ""),
    ("telemetry.sample", Kind::Fraction, "1.0"),
    ("workers.cpu_percent", Kind::Number, "50"),
    ("workers.disk", Kind::Bytes, "\"10GiB\""),
    ("workers.files", Kind::Number, "4096"),
    ("workers.idle_timeout", Kind::Duration, "\"10m\""),
    ("workers.memory", Kind::Bytes, "\"2GiB\""),
    ("workers.processes", Kind::Number, "512"),
    ("workers.timeout", Kind::Duration, "\"1h\""),
    ("workspace.root", Kind::Text, ""),
];

/// Keys of `[agents.NAME]`.
pub(super) const AGENT: &[(&str, Kind)] = &[
    ("allow_dirs", Kind::Words),
    ("args", Kind::Words),
    ("command", Kind::Words),
    ("enabled", Kind::Bool),
    ("env", Kind::Texts),
    ("idle_timeout", Kind::Duration),
    ("isolate_login", Kind::Bool),
    ("kind", Kind::Text),
    ("model", Kind::Text),
    ("network", Kind::Words),
    ("roles", Kind::Words),
];

/// Keys of `[providers.NAME]`.
pub(super) const PROVIDER: &[(&str, Kind)] = &[
    ("base_url", Kind::Text),
    ("dialect", Kind::Text),
    ("key", Kind::Text),
    ("key_env", Kind::Words),
    ("key_secret", Kind::Words),
    ("local", Kind::Bool),
    ("models", Kind::Words),
    ("requests_per_minute", Kind::Number),
    ("roles", Kind::Words),
    ("script", Kind::Text),
    ("tokens_per_minute", Kind::Number),
    ("weight", Kind::Number),
];

/// Keys of `[policies.NAME]`.
pub(super) const POLICY: &[(&str, Kind)] = &[
    ("cost", Kind::Fraction),
    ("quality", Kind::Fraction),
    ("speed", Kind::Fraction),
];

/// Keys of `[routes.NAME]`.
pub(super) const ROUTE: &[(&str, Kind)] = &[("models", Kind::Words), ("policy", Kind::Text)];

/// Agents that are configured without being written down.
pub(super) const USUAL: &[&str] = &["claude", "codex", "gemini"];

/// The kind of a key, or the nearest key there is.
pub(super) fn find(key: &str) -> Result<Kind, String> {
    let (named, known): (Option<&str>, &[(&str, Kind)]) = match key.split('.').next() {
        Some("agents") => (key.splitn(3, '.').nth(2), AGENT),
        Some("providers") => (key.splitn(3, '.').nth(2), PROVIDER),
        Some("policies") => (key.splitn(3, '.').nth(2), POLICY),
        Some("routes") => (key.splitn(3, '.').nth(2), ROUTE),
        Some("telemetry") if key.starts_with(HEADERS) => return Ok(Kind::Text),
        _ => {
            let fixed = FIXED.iter().find(|(name, ..)| *name == key);
            return fixed
                .map(|(_, kind, _)| *kind)
                .ok_or_else(|| nearest(key, FIXED.iter().map(|(name, ..)| *name)));
        }
    };
    let Some(name) = named else {
        return Err("a table with a name, such as [agents.claude]".to_owned());
    };
    if let Some(("env", _)) = name.split_once('.') {
        return Ok(Kind::Text);
    }
    known
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, kind)| *kind)
        .ok_or_else(|| nearest(name, known.iter().map(|(name, _)| *name)))
}

pub(super) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
    let best = known.map(|name| (strsim::damerau_levenshtein(given, name), name)).min();
    best.map(|(_, name)| name.to_owned()).unwrap_or_default()
}

/// What the names of headers for the collector stand below.
const HEADERS: &str = "telemetry.headers.";

/// Whether a value must not be shown: keys, headers, and all environment of agents.
pub(super) fn is_secret(key: &str) -> bool {
    key.ends_with(".key") || key.starts_with(HEADERS) || (key.starts_with("agents.") && key.contains(".env."))
}
