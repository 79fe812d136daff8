//! What models cost: `models.toml`, dated, per million tokens. A model that is not listed has the stated default price,
//! never none.

use maestria_kernel::{Cost, Usage};
use serde::Deserialize;
use std::sync::OnceLock;

/// Prices of a model, per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// For tokens sent.
    pub input: Cost,
    /// For tokens sent that the provider had cached.
    pub cached: Cost,
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
    output: Cost(10_000_000),
};

impl Price {
    /// What costs nothing: local and scripted models.
    pub const FREE: Self = Self {
        input: Cost::ZERO,
        cached: Cost::ZERO,
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
            output: micro(l.output),
        })
    }

    /// What a call cost.
    pub fn charge(&self, mut usage: Usage) -> Usage {
        let fresh = maestria_kernel::Tokens(usage.input.0.saturating_sub(usage.cached.0));
        usage.cost = Cost::of(fresh, self.input)
            .plus(Cost::of(usage.cached, self.cached))
            .plus(Cost::of(usage.output, self.output));
        usage
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
    use maestria_kernel::{Cost, Tokens, Usage};

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
    fn cached_tokens_have_their_own_price() {
        let price = Price {
            input: Cost(10_000_000),
            cached: Cost(1_000_000),
            output: Cost(20_000_000),
        };
        let usage = Usage {
            input: Tokens(1000),
            cached: Tokens(400),
            output: Tokens(100),
            cost: Cost::ZERO,
        };
        assert_eq!(price.charge(usage).cost, Cost(6000 + 400 + 2000));
    }
}
