//! What models cost: `models.toml`, dated, per million tokens. A model that is not listed has the stated default price,
//! never none.

use crate::wire::Counts;
use maestria_kernel::{Cost, Tokens};
use serde::Deserialize;
use std::sync::OnceLock;

/// Prices of a model, per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// For tokens sent.
    pub input: Cost,
    /// For tokens sent that the provider had cached.
    pub cached: Cost,
    /// For tokens sent that the provider keeps in its cache from now on.
    pub written: Cost,
    /// For tokens received.
    pub output: Cost,
}

#[derive(Deserialize)]
struct Catalogue {
    model: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    prefix: String,
    input: f64,
    cached: f64,
    #[serde(default)]
    written: Option<f64>,
    output: f64,
}

fn catalogue() -> &'static [Listed] {
    static CATALOGUE: OnceLock<Vec<Listed>> = OnceLock::new();
    // The file is part of the program and read by a test; an empty list means default prices.
    CATALOGUE.get_or_init(|| {
        toml::from_str::<Catalogue>(include_str!("models.toml"))
            .map(|c| c.model)
            .unwrap_or_default()
    })
}

/// The stated default for models that nobody has listed.
const DEFAULT: Price = Price {
    input: Cost(10_000_000),
    cached: Cost(10_000_000),
    written: Cost(10_000_000),
    output: Cost(10_000_000),
};

impl Price {
    /// What costs nothing: local and scripted models.
    pub const FREE: Self = Self {
        input: Cost::ZERO,
        cached: Cost::ZERO,
        written: Cost::ZERO,
        output: Cost::ZERO,
    };

    /// The price of a model, by the longest listed prefix of its id.
    pub fn of(model: &str) -> Self {
        let listed = catalogue()
            .iter()
            .filter(|l| model.starts_with(&l.prefix))
            .max_by_key(|l| l.prefix.len());
        listed.map_or(DEFAULT, |l| Self {
            input: micro(l.input),
            cached: micro(l.cached),
            written: micro(l.written.unwrap_or(l.input)),
            output: micro(l.output),
        })
    }

    /// What a call cost.
    pub fn cost(&self, counts: &Counts) -> Cost {
        let fresh = counts.input.saturating_sub(counts.cached + counts.written);
        Cost::of(Tokens(fresh), self.input)
            .plus(Cost::of(Tokens(counts.cached), self.cached))
            .plus(Cost::of(Tokens(counts.written), self.written))
            .plus(Cost::of(Tokens(counts.output), self.output))
    }
}

/// Dollars as written in the file to micro-dollars.
#[expect(
    clippy::cast_possible_truncation,
    reason = "prices in the file are small and read by a test"
)]
fn micro(dollars: f64) -> Cost {
    Cost((dollars * 1e6).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT, Price, catalogue};
    use crate::wire::Counts;
    use maestria_kernel::Cost;

    #[test]
    fn the_catalogue_is_read() {
        assert!(catalogue().len() > 5);
        assert_eq!(Price::of("claude").input, Cost(15_000_000));
        assert_eq!(Price::of("never-heard-of-it"), DEFAULT);
        assert!(
            Price::of("gpt-4o-mini").input < Price::of("gpt-4o").input,
            "the longest prefix wins"
        );
    }

    #[test]
    fn cached_and_written_tokens_have_their_own_prices() {
        let price = Price {
            input: Cost(10_000_000),
            cached: Cost(1_000_000),
            written: Cost(12_000_000),
            output: Cost(20_000_000),
        };
        let counts = Counts {
            input: 1000,
            cached: 400,
            written: 100,
            output: 100,
            reasoning: 50,
        };
        assert_eq!(price.cost(&counts), Cost(5000 + 400 + 1200 + 2000));
    }
}
