//! The layers of configuration, laid over each other key by key.

use super::{
    ConfigError, Sources,
    schema::{FIXED, USUAL, find},
};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// Every set key with its value and where it comes from.
#[derive(Clone, Default)]
pub(super) struct Layers {
    values: BTreeMap<String, (Value, String)>,
}

impl std::fmt::Debug for Layers {
    /// Without the values: some are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Layers {
    pub(super) fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        let mut wrong = Vec::new();
        layers.defaults();
        layers.file(sources, &mut wrong);
        layers.open_telemetry(sources, &mut wrong);
        layers.environment(sources, &mut wrong);
        if wrong.is_empty() {
            Ok(layers)
        } else {
            Err(ConfigError(wrong))
        }
    }

    fn defaults(&mut self) {
        for (key, _, default) in FIXED {
            if let Ok(table) = format!("v = {default}").parse::<Table>()
                && let Some(value) = table.get("v")
            {
                self.set(key, value.clone(), "default");
            }
        }
        for name in USUAL {
            self.set(&format!("agents.{name}.kind"), Value::from(*name), "default");
            self.set(&format!("agents.{name}.command"), Value::from(*name), "default");
        }
    }

    fn file(&mut self, sources: &Sources, wrong: &mut Vec<String>) {
        let path = sources.path();
        let shown = path.display().to_string();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !sources.is_named() => return,
            Err(error) => return wrong.push(format!("{shown}: {error}")),
        };
        match text.parse::<Table>() {
            Ok(table) => self.lay("", table, &shown, &text, wrong),
            Err(error) => wrong.push(format!("{shown}: {}", error.to_string().trim_end())),
        }
    }

    fn lay(&mut self, prefix: &str, table: Table, file: &str, text: &str, wrong: &mut Vec<String>) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                Value::Table(inner) => self.lay(&key, inner, file, text, wrong),
                value => {
                    let place = format!("{file}:{}", line_of(text, prefix, &name));
                    match find(&key) {
                        Ok(_) => self.set(&key, value, &place),
                        Err(nearest) => wrong.push(format!("{place}: unknown key `{key}`; did you mean `{nearest}`?")),
                    }
                }
            }
        }
    }

    /// The variables that every program of OpenTelemetry reads; ours of the same meaning go over them.
    fn open_telemetry(&mut self, sources: &Sources, wrong: &mut Vec<String>) {
        if let Some(endpoint) = sources.var("OTEL_EXPORTER_OTLP_ENDPOINT") {
            let origin = "environment OTEL_EXPORTER_OTLP_ENDPOINT";
            self.set("telemetry.otlp_endpoint", Value::from(endpoint), origin);
        }
        let Some(text) = sources.var("OTEL_EXPORTER_OTLP_HEADERS") else {
            return;
        };
        let origin = "environment OTEL_EXPORTER_OTLP_HEADERS";
        match super::telemetry::headers(text) {
            Some(headers) => headers
                .into_iter()
                .for_each(|(name, value)| self.set(&format!("telemetry.headers.{name}"), Value::from(value), origin)),
            // The text itself is not shown: keys are in it.
            None => wrong.push(format!("{origin}: expected pairs such as \"authorization=Bearer%20…\"")),
        }
    }

    /// `MAESTRIA_LIMITS__PARALLEL=2` is `limits.parallel`.
    fn environment(&mut self, sources: &Sources, wrong: &mut Vec<String>) {
        for (name, text) in &sources.env {
            let Some(path) = name.strip_prefix("MAESTRIA_").filter(|p| p.contains("__")) else {
                continue;
            };
            let key = path.to_lowercase().replace("__", ".");
            match find(&key) {
                Ok(_) => {
                    let parsed = format!("v = {text}")
                        .parse::<Table>()
                        .ok()
                        .and_then(|t| t.get("v").cloned());
                    let value = parsed.unwrap_or_else(|| Value::from(text.as_str()));
                    self.set(&key, value, &format!("environment {name}"));
                }
                Err(nearest) => wrong.push(format!(
                    "environment {name}: unknown key `{key}`; did you mean `{nearest}`?"
                )),
            }
        }
    }

    fn set(&mut self, key: &str, value: Value, origin: &str) {
        self.values.insert(key.to_owned(), (value, origin.to_owned()));
    }

    pub(super) fn get(&self, key: &str) -> Option<(&Value, &str)> {
        self.values.get(key).map(|(value, origin)| (value, origin.as_str()))
    }

    /// The names of the tables in a section.
    pub(super) fn names(&self, section: &str) -> Vec<String> {
        let prefix = format!("{section}.");
        let name = |key: &String| {
            key.strip_prefix(&prefix)
                .and_then(|rest| rest.split('.').next())
                .map(str::to_owned)
        };
        self.values
            .keys()
            .filter_map(name)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// The keys below a key.
    pub(super) fn below(&self, key: &str) -> Vec<(String, String)> {
        let prefix = format!("{key}.");
        let entry = |(k, (v, _)): (&String, &(Value, String))| {
            Some((
                k.strip_prefix(&prefix)?.to_owned(),
                v.as_str().map_or_else(|| v.to_string(), str::to_owned),
            ))
        };
        self.values.iter().filter_map(entry).collect()
    }

    pub(super) fn effective(&self) -> Vec<(String, Value, String)> {
        self.values
            .iter()
            .map(|(k, (v, o))| (k.clone(), v.clone(), o.clone()))
            .collect()
    }
}

/// The line of a key in a file, from 1; found by looking, because the parsed table has forgotten it.
fn line_of(text: &str, section: &str, name: &str) -> usize {
    let mut here = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
            header.trim().clone_into(&mut here);
        }
        let key = line.split('=').next().map(|k| k.trim().trim_matches('"'));
        if key == Some(name) && (here == section || section.starts_with(&here)) {
            return number + 1;
        }
    }
    1
}
