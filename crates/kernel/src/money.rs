//! Money and tokens: integers in newtypes, never floats.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, iter::Sum, ops::AddAssign, str::FromStr};

/// Money in micro-dollars (1 USD = 1,000,000).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Cost(pub i64);

/// An amount of money that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount of dollars; write it like 2.50 (at most six decimals, not negative)")]
pub struct BadAmount(String);

impl Cost {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The cost of `tokens` at a price in micro-dollars per million tokens, rounded up.
    pub fn of(tokens: Tokens, per_million: Cost) -> Self {
        let exact = i128::from(tokens.0) * i128::from(per_million.0);
        let rounded = exact.div_euclid(1_000_000) + i128::from(exact.rem_euclid(1_000_000) != 0);
        Self(i64::try_from(rounded).unwrap_or(i64::MAX))
    }

    /// The sum, held at the largest amount instead of wrapping.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = self.plus(other);
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::ZERO, Self::plus)
    }
}

impl fmt::Display for Cost {
    /// `$0.0123` below a dollar, `$12.34` from a dollar on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micro = self.0.unsigned_abs();
        let text = if micro == 0 {
            "$0.00".to_owned()
        } else if micro < 1_000_000 {
            format!("{sign}$0.{:04}", micro.div_ceil(100).min(9_999))
        } else {
            format!("{sign}${}.{:02}", micro / 1_000_000, micro % 1_000_000 / 10_000)
        };
        f.pad(&text)
    }
}

impl FromStr for Cost {
    type Err = BadAmount;

    fn from_str(given: &str) -> Result<Self, BadAmount> {
        let bad = || BadAmount(given.to_owned());
        let text = given.trim().trim_start_matches('$');
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 6 || (whole.is_empty() && part.is_empty()) {
            return Err(bad());
        }
        let whole: i64 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| bad())?
        };
        let micro: i64 = format!("{part:0<6}").parse().map_err(|_| bad())?;
        whole
            .checked_mul(1_000_000)
            .and_then(|w| w.checked_add(micro))
            .map(Self)
            .ok_or_else(bad)
    }
}

/// A count of model tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Tokens(pub u64);

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

impl fmt::Display for Tokens {
    /// `950`, `12.3k`, `4.5M`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            n if n < 1_000 => n.to_string(),
            n if n < 1_000_000 => format!("{}.{}k", n / 1_000, n % 1_000 / 100),
            n => format!("{}.{}M", n / 1_000_000, n % 1_000_000 / 100_000),
        };
        f.pad(&text)
    }
}

/// What model calls used. `input` includes `cached`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens sent, cached ones included.
    pub input: Tokens,
    /// The part of `input` that the provider read from its prompt cache.
    #[serde(default)]
    pub cached: Tokens,
    /// Tokens received, reasoning included.
    pub output: Tokens,
    /// What it cost.
    pub cost: Cost,
}

impl Usage {
    /// Tokens in and out together.
    pub fn tokens(&self) -> Tokens {
        Tokens(self.input.0.saturating_add(self.output.0))
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cached += other.cached;
        self.output += other.output;
        self.cost += other.cost;
    }
}
