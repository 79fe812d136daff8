//! What models cost and can do: `models.toml`, dated, by prefix of the model's id. A person's own file is laid over it.
//! A model that is not listed has the stated default price, never none.

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

/// How good a model is at each kind of request, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// At plans.
    pub plan: f64,
    /// At changes of code.
    pub edit: f64,
    /// At reviews.
    pub review: f64,
    /// At everything else.
    pub chat: f64,
}

/// A model as the catalogue knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Model {
    /// What it costs.
    pub price: Price,
    /// The most tokens in and out together.
    pub context: u64,
    /// The most tokens out.
    pub output: u64,
    /// It calls tools.
    pub tools: bool,
    /// It sees pictures.
    pub vision: bool,
    /// It can be held to a JSON schema.
    pub json: bool,
    /// How good it is.
    pub quality: Quality,
    /// It stands in the catalogue; otherwise these are the defaults.
    pub listed: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    model: Vec<Listed>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    prefix: String,
    input: f64,
    cached: f64,
    #[serde(default)]
    written: Option<f64>,
    output: f64,
    #[serde(default = "usual_context")]
    context: u64,
    #[serde(default = "usual_output", rename = "max_output")]
    max_output: u64,
    #[serde(default = "yes")]
    tools: bool,
    #[serde(default)]
    vision: bool,
    #[serde(default = "yes")]
    json: bool,
    #[serde(default = "usual_quality")]
    quality: Quality,
}

const fn usual_context() -> u64 {
    128_000
}

const fn usual_output() -> u64 {
    16_384
}

const fn yes() -> bool {
    true
}

const fn usual_quality() -> Quality {
    Quality {
        plan: 0.5,
        edit: 0.5,
        review: 0.5,
        chat: 0.5,
    }
}

/// The stated default for models that nobody has listed.
const DEFAULT: Model = Model {
    price: Price {
        input: Cost(10_000_000),
        cached: Cost(10_000_000),
        written: Cost(10_000_000),
        output: Cost(10_000_000),
    },
    context: usual_context(),
    output: usual_output(),
    tools: true,
    vision: false,
    json: true,
    quality: usual_quality(),
    listed: false,
};

/// All listed models.
#[derive(Debug, Clone)]
pub struct Catalogue(Vec<(String, Model)>);

impl Catalogue {
    /// The catalogue that is part of the program.
    pub fn built_in() -> &'static Self {
        static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
        // The file is read by a test; an empty list means default prices.
        CATALOGUE.get_or_init(|| Self::read(include_str!("models.toml")).unwrap_or(Self(Vec::new())))
    }

    /// Reads a catalogue.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        let sums = |l: &Listed| {
            [l.input, l.cached, l.written.unwrap_or(0.0), l.output]
                .into_iter()
                .all(|p| (0.0..=1e6).contains(&p))
        };
        if let Some(bad) = file.model.iter().find(|l| !sums(l)) {
            return Err(format!(
                "`{}`: a price is dollars per million tokens, from 0 to 1000000",
                bad.prefix
            ));
        }
        Ok(Self(
            file.model.into_iter().map(|l| (l.prefix.clone(), l.into())).collect(),
        ))
    }

    /// This catalogue with another laid over it: of equal prefixes, the other's counts.
    #[must_use]
    pub fn under(&self, over: Self) -> Self {
        let mut all = over.0;
        let kept: Vec<_> = self
            .0
            .iter()
            .filter(|(prefix, _)| !all.iter().any(|(p, _)| p == prefix))
            .cloned()
            .collect();
        all.extend(kept);
        Self(all)
    }

    /// A model, by the longest listed prefix of its id; a maker's name before it (`openai/gpt-4o`) is not part of it.
    pub fn model(&self, id: &str) -> Model {
        let bare = id.rsplit('/').next().unwrap_or(id);
        let listed = self
            .0
            .iter()
            .filter(|(prefix, _)| id.starts_with(prefix.as_str()) || bare.starts_with(prefix.as_str()));
        listed
            .max_by_key(|(prefix, _)| prefix.len())
            .map_or(DEFAULT, |(_, model)| *model)
    }

    /// All listed prefixes with their models.
    pub fn all(&self) -> &[(String, Model)] {
        &self.0
    }
}

impl From<Listed> for Model {
    fn from(l: Listed) -> Self {
        Self {
            price: Price {
                input: micro(l.input),
                cached: micro(l.cached),
                written: micro(l.written.unwrap_or(l.input)),
                output: micro(l.output),
            },
            context: l.context,
            output: l.max_output,
            tools: l.tools,
            vision: l.vision,
            json: l.json,
            quality: l.quality,
            listed: true,
        }
    }
}

impl Price {
    /// What costs nothing: local and scripted models.
    pub const FREE: Self = Self {
        input: Cost::ZERO,
        cached: Cost::ZERO,
        written: Cost::ZERO,
        output: Cost::ZERO,
    };

    /// The built-in price of a model.
    pub fn of(model: &str) -> Self {
        Catalogue::built_in().model(model).price
    }

    /// What a call cost.
    pub fn cost(&self, counts: &Counts) -> Cost {
        let fresh = counts
            .input
            .saturating_sub(counts.cached.saturating_add(counts.written));
        Cost::of(Tokens(fresh), self.input)
            .plus(Cost::of(Tokens(counts.cached), self.cached))
            .plus(Cost::of(Tokens(counts.written), self.written))
            .plus(Cost::of(Tokens(counts.output), self.output))
    }

    /// The most that a call of so many tokens can cost.
    pub fn worst(&self, input: u64, output: u64) -> Cost {
        let dearest = self.input.max(self.cached).max(self.written);
        Cost::of(Tokens(input), dearest).plus(Cost::of(Tokens(output), self.output))
    }
}

/// Dollars as written in the file to micro-dollars.
#[expect(
    clippy::cast_possible_truncation,
    reason = "prices are checked to be small when they are read"
)]
fn micro(dollars: f64) -> Cost {
    Cost((dollars * 1e6).round() as i64)
}

#[cfg(test)]
mod tests;
