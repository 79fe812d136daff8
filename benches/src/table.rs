//! Figures beside their goals.

use std::{borrow::Cow, fmt};

/// The middle of `values`; of an even number the upper one. Not a number when there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One measured figure.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it is.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: f64,
    /// The unit of value and goal: `ms`, `MB`, `×` for a ratio, or nothing for a count.
    pub unit: &'static str,
    /// The value must not be above it (or not below it, with `at_least`).
    pub goal: f64,
    /// The goal is a lower bound.
    pub at_least: bool,
    /// The yardstick and how it was taken.
    pub beside: String,
}

impl Figure {
    /// A value that should be at most `goal`.
    pub fn at_most(
        name: impl Into<Cow<'static, str>>,
        value: f64,
        unit: &'static str,
        goal: f64,
        beside: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            goal,
            at_least: false,
            beside: beside.into(),
        }
    }

    /// A value that should be at least `goal`.
    pub fn at_least(
        name: impl Into<Cow<'static, str>>,
        value: f64,
        unit: &'static str,
        goal: f64,
        beside: impl Into<String>,
    ) -> Self {
        Self {
            at_least: true,
            ..Self::at_most(name, value, unit, goal, beside)
        }
    }

    /// Whether the goal is reached.
    pub fn is_met(&self) -> bool {
        if self.at_least {
            self.value >= self.goal
        } else {
            self.value <= self.goal
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: f64| match self.unit {
            "" => format!("{value:.0}"),
            "×" => format!("{value:.2} ×"),
            unit if value < 10.0 => format!("{value:.1} {unit}"),
            unit => format!("{value:.0} {unit}"),
        };
        let bound = if self.at_least { "≥" } else { "≤" };
        let met = if self.is_met() { "met   " } else { "MISSED" };
        let goal = format!("{bound} {}", show(self.goal));
        write!(
            f,
            "{met} {:<44} {:>10}  {goal:<11} {}",
            self.name,
            show(self.value),
            self.beside
        )
    }
}

/// Figures, shown as they come.
#[derive(Debug, Default)]
pub struct Table {
    missed: usize,
    shown: usize,
}

impl Table {
    /// Shows a figure.
    pub fn show(&mut self, figure: &Figure) {
        self.shown += 1;
        self.missed += usize::from(!figure.is_met());
        println!("{figure}");
    }

    /// The last line.
    pub fn end(&self) {
        println!(
            "figures {} met {} missed {}",
            self.shown,
            self.shown - self.missed,
            self.missed
        );
    }
}
