//! Weights of the difficulty, trained from what became of a person's own work.
//!
//! An example is a prompt, how good the model was that had it, and whether that went well. What is fitted is
//!
//! ```text
//! P(did not go well) = logistic(level + Σ weight·sign + 4·(1/2 − quality))
//! ```
//!
//! by Newton's method, with a normal prior around the built-in weights that lets a sign's whole range move the odds by a
//! factor of e or so (ridge regression; Hoerl and Kennard 1970). The last term keeps apart how hard the work was and how
//! good the model: what a strong model did well may be hard all the same. It is left out when a request is judged, so the
//! difficulty is the chance that a middling model (quality 1/2) does not do well.
//!
//! Trained weights are only better if they are better on what they have not seen: five parts of the examples are each
//! judged by what was trained on the other four, and so are the built-in weights, as they are and with only their level
//! moved. The least cross-entropy wins.

use super::{
    difficulty::{Difficulty, MOST, SIGNS, Signs, Weights, logistic},
    words::Words,
};

/// Examples from which something can be learned, in all and of either kind.
const ENOUGH: (usize, usize) = (40, 8);
/// How much a model's quality moves the log-odds.
const STRENGTH: f64 = 4.0;
/// How sure the built-in level is: it may be far off for a person's work.
const LEVEL_PRIOR: f64 = 0.05;
const PARTS: usize = 5;
const STEPS: usize = 50;
/// Numbers that are fitted: the level and the signs.
const SIZE: usize = SIGNS + 1;

/// A piece of work and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// What was asked.
    pub prompt: String,
    /// The grade of the model that had it, from 0 to 1.
    pub quality: f64,
    /// Whether it went well at the first try.
    pub well: bool,
}

/// What training came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Trained {
    /// These weights are better on what they were not trained from.
    Better(Weights, Losses),
    /// The built-in weights are as good.
    NoBetter(Losses),
}

/// How far weights are off on examples they were not trained from: mean cross-entropy, in nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Losses {
    /// The built-in weights.
    pub built_in: f64,
    /// The better of: the built-in weights at a level of one's own, weights all of one's own.
    pub own: f64,
}

/// There are too few examples.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there are {all} examples, of which {failed} did not go well; it takes {} with at least {} of either kind",
    ENOUGH.0,
    ENOUGH.1
)]
pub struct TooFew {
    /// How many.
    pub all: usize,
    /// Of which did not go well.
    pub failed: usize,
}

impl Trained {
    /// What is to be kept; `None` when the built-in weights are as good.
    pub fn keep(&self, examples: &[Example], day: String) -> Option<Difficulty> {
        let Self::Better(weights, losses) = self else {
            return None;
        };
        let rounded = |number: f64| (number * 1e4).round() / 1e4;
        Some(Difficulty {
            trained: day,
            examples: examples.len(),
            failed: failed(examples),
            loss: rounded(losses.own),
            loss_built_in: rounded(losses.built_in),
            weights: Weights::new(rounded(weights.level), weights.of_signs().map(rounded)),
        })
    }
}

fn failed(examples: &[Example]) -> usize {
    examples.iter().filter(|example| !example.well).count()
}

/// Trains from examples.
///
/// # Errors
/// [`TooFew`].
pub fn train(examples: &[Example]) -> Result<Trained, TooFew> {
    let failed = failed(examples);
    if examples.len() < ENOUGH.0 || failed.min(examples.len() - failed) < ENOUGH.1 {
        return Err(TooFew {
            all: examples.len(),
            failed,
        });
    }
    let cases: Vec<Case> = examples.iter().map(Case::of).collect();
    let built_in = judged(&cases, |_| Weights::BUILT_IN);
    let leveled = judged(&cases, |known| fit(known, Free::Level));
    let all = judged(&cases, |known| fit(known, Free::All));
    let (own, free) = if all < leveled {
        (all, Free::All)
    } else {
        (leveled, Free::Level)
    };
    let losses = Losses { built_in, own };
    Ok(if own < built_in {
        Trained::Better(fit(&cases.iter().collect::<Vec<_>>(), free), losses)
    } else {
        Trained::NoBetter(losses)
    })
}

struct Case {
    signs: Signs,
    /// What the model's quality speaks for, in log-odds.
    offset: f64,
    /// 1 when it did not go well.
    outcome: f64,
}

impl Case {
    fn of(example: &Example) -> Self {
        let tokens = example.prompt.len() as u64 / 4;
        Self {
            signs: Signs::of(&example.prompt, Words::of(&example.prompt), tokens, 0, 0),
            offset: STRENGTH * (0.5 - example.quality),
            outcome: f64::from(u8::from(!example.well)),
        }
    }

    /// The level's place first, then the signs.
    fn row(&self) -> [f64; SIZE] {
        let mut row = [1.0; SIZE];
        row[1..].copy_from_slice(&self.signs.0);
        row
    }

    fn chance(&self, weights: &Weights) -> f64 {
        logistic(weights.log_odds(&self.signs) + self.offset)
    }
}

/// How far weights are off that are made from four parts and judged on the fifth, each in turn.
fn judged(cases: &[Case], make: impl Fn(&[&Case]) -> Weights) -> f64 {
    let part = |place: usize| cases.iter().skip(place).step_by(PARTS);
    let sum: f64 = (0..PARTS)
        .map(|held_out| {
            let others = cases.iter().enumerate().filter(|(at, _)| at % PARTS != held_out);
            let known: Vec<&Case> = others.map(|(_, case)| case).collect();
            let weights = make(&known);
            part(held_out).map(|case| entropy(case, &weights)).sum::<f64>()
        })
        .sum();
    sum / of_len(cases.len())
}

fn entropy(case: &Case, weights: &Weights) -> f64 {
    let chance = case.chance(weights).clamp(1e-9, 1.0 - 1e-9);
    -(case.outcome * chance.ln() + (1.0 - case.outcome) * (1.0 - chance).ln())
}

fn of_len(len: usize) -> f64 {
    f64::from(u32::try_from(len.max(1)).unwrap_or(u32::MAX))
}

/// What may move.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Free {
    Level,
    All,
}

/// The most likely weights, given the prior.
fn fit(cases: &[&Case], free: Free) -> Weights {
    let size = if free == Free::Level { 1 } else { SIZE };
    let prior = numbers(&Weights::BUILT_IN);
    let mut found = prior;
    for _ in 0..STEPS {
        let (gradient, curvature) = slopes(cases, &found, &prior);
        let step = solve(curvature, gradient, size);
        // Far from the optimum a whole step may lead away from it.
        let longest = step.iter().fold(0.0_f64, |most, part| most.max(part.abs()));
        let scale = if longest > 2.0 { 2.0 / longest } else { 1.0 };
        for (number, part) in found.iter_mut().zip(step) {
            *number -= scale * part;
        }
        if longest < 1e-9 {
            break;
        }
    }
    weights(&found)
}

fn numbers(weights: &Weights) -> [f64; SIZE] {
    let mut numbers = [weights.level; SIZE];
    numbers[1..].copy_from_slice(&weights.of_signs());
    numbers
}

fn weights(numbers: &[f64; SIZE]) -> Weights {
    let mut of_signs = [0.0; SIGNS];
    of_signs.copy_from_slice(&numbers[1..]);
    Weights::new(numbers[0], of_signs)
}

/// The first and second derivatives of what is off, the prior included.
fn slopes(cases: &[&Case], at: &[f64; SIZE], prior: &[f64; SIZE]) -> ([f64; SIZE], [[f64; SIZE]; SIZE]) {
    let mut gradient = [0.0; SIZE];
    let mut curvature = [[0.0; SIZE]; SIZE];
    for place in 0..SIZE {
        let sure = if place == 0 {
            LEVEL_PRIOR
        } else {
            MOST[place - 1].powi(2)
        };
        gradient[place] = sure * (at[place] - prior[place]);
        curvature[place][place] = sure;
    }
    let weights = weights(at);
    for case in cases {
        let chance = case.chance(&weights);
        let row = case.row();
        for (i, left) in row.iter().enumerate() {
            gradient[i] += (chance - case.outcome) * left;
            for (j, right) in row.iter().enumerate() {
                curvature[i][j] += chance * (1.0 - chance) * left * right;
            }
        }
    }
    (gradient, curvature)
}

/// Solves the first `size` equations by elimination. The matrix is positive definite because of the prior, so no pivot
/// has to be sought.
fn solve(mut matrix: [[f64; SIZE]; SIZE], mut right: [f64; SIZE], size: usize) -> [f64; SIZE] {
    for pivot in 0..size {
        for below in pivot + 1..size {
            let factor = matrix[below][pivot] / matrix[pivot][pivot];
            let above = matrix[pivot];
            for (number, above) in matrix[below].iter_mut().zip(above) {
                *number -= factor * above;
            }
            right[below] -= factor * right[pivot];
        }
    }
    let mut solution = [0.0; SIZE];
    for place in (0..size).rev() {
        let known: f64 = (place + 1..size).map(|c| matrix[place][c] * solution[c]).sum();
        solution[place] = (right[place] - known) / matrix[place][place];
    }
    solution
}

#[cfg(test)]
mod tests;
