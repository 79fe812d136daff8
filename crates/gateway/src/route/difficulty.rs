//! How hard a request seems: a logistic function of a few signs of its prompt, with weights that can be trained.
//!
//! The built-in weights are set by hand, after what tends to send people back to a stronger model; they need no data.
//! Those that were trained (`training.rs`) lie in a file and take their place.

use super::words::{Group, Words, ends};
use serde::{Deserialize, Serialize};

/// How many signs there are.
pub(super) const SIGNS: usize = 7;

/// What each sign is at most, in the order of [`Signs`].
pub(super) const MOST: [f64; SIGNS] = [4.0, 3.0, 5.5, 6.0, 4.0, 10.0, 20.0];

/// What is seen of a prompt: hard words, easy words, `ln(1 + thousands of tokens)`, code fences, question marks,
/// results of tools, tools.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Signs(pub(super) [f64; SIGNS]);

impl Signs {
    /// The signs of a prompt with these words, of which so many tokens are sent with so many results of tools and tools.
    pub(super) fn of(prompt: &str, words: Words, input: u64, results: usize, tools: usize) -> Self {
        let all = |what: &str| ends(prompt).iter().map(|part| part.matches(what).count() as u64).sum();
        let seen = [
            f64::from(words.hits(Group::Hard)),
            f64::from(words.hits(Group::Easy)),
            (count(input) / 1_000.0).ln_1p(),
            count(all("```")),
            count(all("?")),
            count(results as u64),
            count(tools as u64),
        ];
        let mut signs = MOST;
        for (most, seen) in signs.iter_mut().zip(seen) {
            *most = most.min(seen);
        }
        Self(signs)
    }
}

fn count(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// What each sign weighs, in log-odds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// The level of a prompt without any sign.
    pub level: f64,
    /// Each hard word, up to 4.
    pub hard_words: f64,
    /// Each easy word, up to 3.
    pub easy_words: f64,
    /// `ln(1 + thousands of tokens)`.
    pub length: f64,
    /// Each code fence, up to 6.
    pub code: f64,
    /// Each question mark, up to 4.
    pub questions: f64,
    /// Each result of a tool, up to 10.
    pub results: f64,
    /// Each tool, up to 20.
    pub tools: f64,
}

impl Weights {
    /// Set by hand.
    pub const BUILT_IN: Self = Self {
        level: -1.4,
        hard_words: 0.80,
        easy_words: -0.90,
        length: 0.35,
        code: 0.15,
        questions: 0.10,
        results: 0.10,
        tools: 0.05,
    };

    /// The weights of the signs, in their order.
    pub(super) const fn of_signs(&self) -> [f64; SIGNS] {
        [
            self.hard_words,
            self.easy_words,
            self.length,
            self.code,
            self.questions,
            self.results,
            self.tools,
        ]
    }

    pub(super) const fn new(level: f64, of_signs: [f64; SIGNS]) -> Self {
        let [hard_words, easy_words, length, code, questions, results, tools] = of_signs;
        Self {
            level,
            hard_words,
            easy_words,
            length,
            code,
            questions,
            results,
            tools,
        }
    }

    /// The log-odds that the signs speak for.
    pub(super) fn log_odds(&self, signs: &Signs) -> f64 {
        let each = self.of_signs().into_iter().zip(signs.0);
        self.level + each.map(|(weight, sign)| weight * sign).sum::<f64>()
    }

    /// The difficulty, from 0 to 1.
    pub(super) fn difficulty(&self, signs: &Signs) -> f64 {
        logistic(self.log_odds(signs))
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self::BUILT_IN
    }
}

pub(super) fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// Weights as they lie in a file, with what they were trained from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difficulty {
    /// The day (UTC) they were trained.
    pub trained: String,
    /// From how many examples.
    pub examples: usize,
    /// Of which so many did not go well.
    pub failed: usize,
    /// How far they are off on examples they were not trained from: the mean cross-entropy, in nats.
    pub loss: f64,
    /// How far the built-in weights are off on the same.
    pub loss_built_in: f64,
    /// The weights.
    pub weights: Weights,
}

impl Difficulty {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        let weights = [read.weights.level].into_iter().chain(read.weights.of_signs());
        if weights.into_iter().all(|weight| (-100.0..=100.0).contains(&weight)) {
            Ok(read)
        } else {
            Err("a weight is a number from -100 to 100".to_owned())
        }
    }

    /// The text of the file.
    ///
    /// # Errors
    /// What cannot be written; a number that is none.
    pub fn write(&self) -> Result<String, String> {
        let text = toml::to_string_pretty(self).map_err(|e| e.to_string())?;
        Ok(format!(
            "# How hard a request seems: what each sign of a prompt weighs, in log-odds.\n# Written by `maestria models \
             train`; without this file the built-in weights are used.\n{text}"
        ))
    }
}
