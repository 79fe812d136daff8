//! What calls would have cost elsewhere, as people are told.

use crate::Cost;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One piece of advice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// Whose calls: the agent, or the client key.
    pub who: String,
    /// The model they went to, `provider/model`.
    pub from: String,
    /// The one they could have gone to.
    pub to: String,
    /// How many calls.
    pub calls: usize,
    /// What they have cost.
    pub cost: Cost,
    /// What they would have cost.
    pub instead: Cost,
    /// How many in a hundred ended well, here and there.
    pub well_percent: (usize, usize),
    /// Calls of the other model that this is known from.
    pub known_from: usize,
    /// The catalogue's grades for changes of code, here and there.
    pub grades: (f64, f64),
}

impl Advice {
    /// What would have been saved, in percent.
    pub const fn saved_percent(&self) -> i64 {
        if self.cost.0 == 0 {
            return 0;
        }
        (self.cost.0 - self.instead.0) * 100 / self.cost.0
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: these {} calls to {} ({}) would have cost {}, {} % less, on {}: there {} % of {} calls ended well, here \
             {} %. The catalogue grades them {:.2} and {:.2}",
            self.who,
            self.calls,
            self.from,
            self.cost,
            self.instead,
            self.saved_percent(),
            self.to,
            self.well_percent.1,
            self.known_from,
            self.well_percent.0,
            self.grades.1,
            self.grades.0,
        )
    }
}
