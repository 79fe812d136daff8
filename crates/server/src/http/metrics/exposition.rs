//! The text that Prometheus reads, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use crate::histogram::Histogram;
use std::fmt::Write as _;

/// A family of series: what is counted, and by which labels.
pub(super) struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    text: String,
}

impl Family {
    fn new(kind: &'static str, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self {
            name,
            kind,
            help,
            labels,
            text: String::new(),
        }
    }

    /// What only grows; its name ends with `_total`.
    pub(super) fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self::new("counter", name, help, labels)
    }

    /// What goes up and down.
    pub(super) fn gauge(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self::new("gauge", name, help, labels)
    }

    /// Times in steps; its name ends with `_seconds`.
    pub(super) fn histogram(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self::new("histogram", name, help, labels)
    }

    /// With one more series: the values of the labels, in their order.
    #[must_use]
    pub(super) fn with(mut self, values: &[&str], value: f64) -> Self {
        self.sample("", values, None, value);
        self
    }

    /// With one more histogram.
    #[must_use]
    pub(super) fn with_times(mut self, values: &[&str], times: &Histogram) -> Self {
        for (step, count) in times.cumulative() {
            let step = step.map_or_else(|| "+Inf".to_owned(), |step| step.to_string());
            self.sample("_bucket", values, Some(&step), count as f64);
        }
        self.sample("_sum", values, None, times.sum());
        self.sample("_count", values, None, times.count() as f64);
        self
    }

    fn sample(&mut self, suffix: &str, values: &[&str], step: Option<&str>, value: f64) {
        let own = self.labels.iter().copied().zip(values.iter().copied());
        let labels: Vec<String> = own.chain(step.map(|step| ("le", step))).map(label).collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            some => format!("{{{}}}", some.join(",")),
        };
        let _ = writeln!(self.text, "maestria_{}{suffix}{labels} {value}", self.name);
    }

    pub(super) fn write(&self, text: &mut String) {
        let (name, kind, help) = (self.name, self.kind, self.help);
        let _ = writeln!(text, "# HELP maestria_{name} {help}\n# TYPE maestria_{name} {kind}");
        text.push_str(&self.text);
    }
}

fn label((name, value): (&str, &str)) -> String {
    let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    format!("{name}=\"{value}\"")
}
