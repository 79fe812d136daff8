//! What was used and what it cost.

use maestria_kernel::{
    At, Cost,
    ledger::{Advice, Balance, UsageLine},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Usage by something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageTable {
    /// What it is grouped by.
    pub by: String,
    /// Since when.
    pub since: At,
    /// The groups.
    pub items: Vec<UsageLine>,
    /// Always `None`: it is one page.
    pub next: Option<String>,
    /// All groups together.
    pub total: UsageLine,
}

/// What calls would have cost on other models that did as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdviceTable {
    /// Since when.
    pub since: At,
    /// Calls that it is drawn from.
    pub calls: usize,
    /// The advice, what saves most first.
    pub items: Vec<Advice>,
    /// Always `None`: it is one page.
    pub next: Option<String>,
}

/// Limits in force, and what is spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Budgets {
    /// A day, everybody.
    pub day: Option<Cost>,
    /// Each run.
    pub run: Option<Cost>,
    /// Each task.
    pub task: Option<Cost>,
    /// Each client key, a day.
    pub client: Option<Cost>,
    /// Each project, a day.
    pub project: Option<Cost>,
    /// Each model, a day.
    pub model: Option<Cost>,
    /// From which share people are told.
    pub alert_percent: u8,
    /// `stop` or `downgrade`.
    pub on_exhausted: String,
    /// Spent today, all scopes of `day`.
    pub spent_today: Cost,
    /// Held for calls under way.
    pub held_today: Cost,
    /// The accounts.
    pub balances: Vec<Balance>,
}

/// The models there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Models {
    /// Each at its provider.
    pub items: Vec<ModelLine>,
    /// Always `None`: it is one page.
    pub next: Option<String>,
    /// The names of the routes.
    pub routes: Vec<String>,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelLine {
    /// `provider/model`.
    pub model: String,
    /// The provider.
    pub provider: String,
    /// What it takes.
    pub price: PriceLine,
    /// The longest request, in tokens.
    pub context: u64,
    /// The longest answer, in tokens.
    pub output: u64,
    /// It calls tools.
    pub tools: bool,
    /// It sees pictures.
    pub vision: bool,
    /// It keeps to a schema.
    pub json: bool,
    /// How good it is at each kind of request.
    pub quality: QualityLine,
    /// The catalogue has it; otherwise these are guesses.
    pub listed: bool,
    /// It runs on a machine of one's own.
    pub local: bool,
    /// A configured provider has it.
    pub configured: bool,
}

/// Micro-dollars per million tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceLine {
    /// Read anew.
    pub input: Cost,
    /// Read from the provider's cache.
    pub cached: Cost,
    /// Written to it.
    pub written: Cost,
    /// Written.
    pub output: Cost,
}

/// From 0 to 1, by kind of request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QualityLine {
    /// Plans.
    pub plan: f64,
    /// Changes of code.
    pub edit: f64,
    /// Reviews.
    pub review: f64,
    /// Everything else.
    pub chat: f64,
}

/// A request that is looking for a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteWish {
    /// What is asked.
    pub prompt: String,
    /// What the model is told beforehand.
    #[serde(default)]
    pub system: String,
    /// The route, policy or model that is asked for; `auto` if not given.
    #[serde(default)]
    pub route: Option<String>,
    /// It must call tools.
    #[serde(default)]
    pub tools: bool,
    /// It must see pictures.
    #[serde(default)]
    pub vision: bool,
    /// It must keep to a schema.
    #[serde(default)]
    pub json: bool,
    /// Tokens that are sent besides.
    #[serde(default)]
    pub context: u64,
    /// The longest answer, in tokens.
    #[serde(default)]
    pub max_tokens: Option<u64>,
}

/// Which model would answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Routed {
    /// What was decided.
    #[serde(flatten)]
    pub decision: RouteDecision,
    /// No provider is configured; the catalogue stood in.
    pub sampled: bool,
}

/// Why a model was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteDecision {
    /// The model, `provider/model`.
    pub model: String,
    /// Those that are tried after it, in order.
    pub fallbacks: Vec<String>,
    /// How sure the choice is, from 0 to 1.
    pub confidence: f64,
    /// Why, in a sentence with numbers.
    pub reason: String,
    /// The kind of request.
    pub kind: String,
    /// How hard it seems, from 0 to 1.
    pub difficulty: f64,
    /// What the call is expected to cost.
    pub expected_cost: Cost,
    /// All candidates, the best first.
    pub candidates: Vec<Candidate>,
}

/// A model that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// `provider/model`.
    pub model: String,
    /// Its score, from 0 to 1; nothing when it was left out.
    pub score: Option<f64>,
    /// How good it is at this kind of request.
    pub quality: f64,
    /// What the call is expected to cost.
    pub expected_cost: Cost,
    /// Median time to the first content, if it is known.
    pub latency_millis: Option<u64>,
    /// 95th percentile of it.
    pub p95_millis: Option<u64>,
    /// What a warm prompt cache saves, if there is one.
    pub warm_saves: Option<Cost>,
    /// Why it was left out.
    pub left_out: Option<String>,
}

/// Usage as comma-separated values, dollars with all six decimals; `by` names the first column.
pub fn csv(by: &str, lines: &[UsageLine]) -> String {
    let mut text = format!("{by},calls,failed,input,cached,output,dollars,p50_ms,p95_ms,p99_ms,hits\n");
    for line in lines {
        let group = if line.group.contains([',', '"', '\n']) {
            format!("\"{}\"", line.group.replace('"', "\"\""))
        } else {
            line.group.clone()
        };
        let dollars = format!("{}.{:06}", line.cost.0 / 1_000_000, line.cost.0 % 1_000_000);
        let _ = writeln!(
            text,
            "{group},{},{},{},{},{},{dollars},{},{},{},{}",
            line.calls,
            line.failed,
            line.input,
            line.cached,
            line.output,
            line.p50_millis,
            line.p95_millis,
            line.p99_millis,
            line.hits
        );
    }
    text
}
