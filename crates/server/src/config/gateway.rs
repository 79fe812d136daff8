//! `[gateway]`, `[routes.NAME]` and the budgets that the gateway keeps.

use super::value::Reader;
use maestria_gateway::{
    Auth, Balance, Bounds, BudgetConfig, CacheConfig, Exhausted, OnLoss, Policy, Rate, Route, SemanticConfig,
};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// Whether workers get their models through the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Workers {
    /// Where a provider serves their models, and they have neither login, key nor address of their own.
    #[default]
    Auto,
    /// All of them.
    Always,
    /// None.
    Never,
}

/// How the gateway serves others.
#[derive(Debug, Clone)]
pub struct GatewayTable {
    /// Where it listens.
    pub listen: SocketAddr,
    /// `keys`, `token` or `none`.
    pub auth: String,
    /// How calls are spread over lanes that could all take them.
    pub balance: Balance,
    /// What happens to fields that cannot be carried.
    pub on_loss: OnLoss,
    /// What clients may do to the server.
    pub bounds: Bounds,
    /// How much a client may ask.
    pub rate: Rate,
    /// What may be spent.
    pub budget: BudgetConfig,
    /// Where names lead that are no models.
    pub routes: BTreeMap<String, Route>,
    /// Which answers are given again.
    pub cache: CacheConfig,
    /// How long embeddings wait for others to go with.
    pub batch_wait: Duration,
    /// Whether workers get their models through it.
    pub workers: Workers,
    /// A catalogue that is laid over the built-in one.
    pub models_file: Option<PathBuf>,
}

impl GatewayTable {
    pub(super) fn resolve(get: &mut Reader<'_>) -> Self {
        let balance = get.one_of("gateway.balance", Balance::NAMES);
        let names = get.layers.names("routes");
        let own = get.layers.names("policies");
        let mut policies: Vec<Policy> = own.into_iter().map(|name| policy(get, name)).collect();
        policies.extend(Policy::ALL);
        Self {
            listen: get.address("gateway.listen"),
            auth: get.one_of("gateway.auth", &["keys", "token", "none"]),
            balance: Balance::named(&balance).unwrap_or_default(),
            on_loss: match get.one_of("gateway.on_loss", &["drop", "refuse"]).as_str() {
                "refuse" => OnLoss::Refuse,
                _ => OnLoss::Drop,
            },
            bounds: Bounds {
                body: usize::try_from(get.bytes("gateway.body_limit")).unwrap_or(usize::MAX),
                connections: usize::from(get.number::<u16>("gateway.connections").max(1)),
                patience: get.duration("gateway.patience"),
                ..Bounds::default()
            },
            rate: Rate {
                requests: get.number("gateway.requests_per_minute"),
                tokens: get.number("gateway.tokens_per_minute"),
                queue: get.number("gateway.queue"),
                patience: get.duration("gateway.queue_patience"),
                ..Rate::default()
            },
            budget: BudgetConfig {
                day: get.money("budget.day"),
                run: get.money("budget.run"),
                task: get.money("budget.task.default"),
                client: get.money("budget.client.default"),
                project: get.money("budget.project.default"),
                model: get.money("budget.model.default"),
                alert_percent: get.fraction("budget.alert"),
                exhausted: match get.one_of("budget.on_exhausted", &["stop", "downgrade"]).as_str() {
                    "downgrade" => Exhausted::Downgrade,
                    _ => Exhausted::Stop,
                },
            },
            routes: names
                .into_iter()
                .filter_map(|name| route(get, name, &policies))
                .collect(),
            cache: CacheConfig {
                ttl: get.duration("cache.ttl"),
                size: usize::try_from(get.bytes("cache.size")).unwrap_or(usize::MAX),
                shared: get.flag("cache.shared").unwrap_or(false),
                semantic: get.text("cache.semantic.model").map(|model| SemanticConfig {
                    model,
                    threshold: f32::from(get.fraction("cache.semantic.threshold")) / 100.0,
                }),
            },
            batch_wait: get.duration("gateway.batch_wait"),
            workers: match get.one_of("gateway.workers", &["auto", "always", "never"]).as_str() {
                "always" => Workers::Always,
                "never" => Workers::Never,
                _ => Workers::Auto,
            },
            models_file: get.path("gateway.models_file"),
        }
    }

    /// Who may ask; `token` makes or reads the token when it is needed.
    ///
    /// # Errors
    /// What `token` says.
    pub fn auth<E>(&self, token: impl FnOnce() -> Result<String, E>) -> Result<Auth, E> {
        Ok(match self.auth.as_str() {
            "token" => Auth::Token(token()?),
            "none" => Auth::None,
            _ => Auth::Keys,
        })
    }
}

/// A person's own weights; of a built-in name they count instead of the built-in ones.
fn policy(get: &mut Reader<'_>, name: String) -> Policy {
    let mut weight = |k: &str| {
        let key = format!("policies.{name}.{k}");
        let given = get.layers.get(&key).is_some();
        if given {
            f64::from(get.fraction(&key)) / 100.0
        } else {
            0.0
        }
    };
    let (quality, cost, speed) = (weight("quality"), weight("cost"), weight("speed"));
    if quality + cost + speed <= 0.0 {
        get.wrong.push(format!(
            "[policies.{name}] weighs nothing; give `quality`, `cost` or `speed` a part of one such as 0.5"
        ));
    }
    Policy {
        name: name.into(),
        quality,
        cost,
        speed,
    }
}

fn route(get: &mut Reader<'_>, name: String, policies: &[Policy]) -> Option<(String, Route)> {
    let key = |k: &str| format!("routes.{name}.{k}");
    let models = get.words(&key("models"));
    if !models.is_empty() {
        return Some((name, Route::Chain(models)));
    }
    let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_ref()).collect();
    let chosen = get.one_of(&key("policy"), &names);
    let policy = policies.iter().find(|policy| policy.name == chosen)?;
    Some((name, Route::Policy(policy.clone())))
}
