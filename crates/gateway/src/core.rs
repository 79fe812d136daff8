//! What every way into the gateway shares: providers, their lanes, the catalogue and the routes.

use crate::{
    attempt::Target,
    catalogue::{Catalogue, Price},
    lane::{Balance, Lane, LaneStatus, Turns},
    provider::{ConfigError, Provider, ProviderConfig, http::Client},
    route::{Route, Weights},
};
use maestria_kernel::At;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// The route of requests for `auto`.
pub(crate) const DEFAULT_ROUTE: &str = "default";

/// How a gateway is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The providers.
    pub providers: Vec<ProviderConfig>,
    /// How calls are spread over lanes that could all take them.
    pub balance: Balance,
    /// What models cost and can do.
    pub catalogue: Catalogue,
    /// Where names lead that are no models; `default` is where `auto` leads.
    pub routes: BTreeMap<String, Route>,
    /// What makes a request seem hard.
    pub weights: Weights,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            balance: Balance::default(),
            catalogue: Catalogue::built_in().clone(),
            routes: BTreeMap::new(),
            weights: Weights::BUILT_IN,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) providers: Vec<Provider>,
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) turns: Turns,
    pub(crate) balance: Balance,
    pub(crate) client: Client,
    pub(crate) catalogue: Catalogue,
    pub(crate) weights: Weights,
    /// The context of the model that holds least.
    pub(crate) least_context: u64,
    routes: BTreeMap<String, Route>,
}

impl Core {
    pub(crate) fn new(setup: Setup) -> Result<Self, ConfigError> {
        let providers = setup
            .providers
            .into_iter()
            .map(Provider::new)
            .collect::<Result<Vec<_>, _>>()?;
        let lane = |(place, provider): (usize, &Provider)| {
            let weight = provider.weight;
            let keys = provider.keys.iter();
            keys.map(|key| Arc::new(Lane::new(place, key.clone(), weight)))
                .collect::<Vec<_>>()
        };
        let mut core = Self {
            lanes: providers.iter().enumerate().flat_map(lane).collect(),
            providers,
            turns: Turns::default(),
            balance: setup.balance,
            client: Client::default(),
            catalogue: setup.catalogue,
            weights: setup.weights,
            least_context: u64::MAX,
            routes: setup.routes,
        };
        let contexts = core
            .all_targets()
            .into_iter()
            .map(|t| core.catalogue.model(&t.model).context);
        core.least_context = contexts.min().unwrap_or(u64::MAX);
        core.check_routes()?;
        Ok(core)
    }

    fn check_routes(&self) -> Result<(), ConfigError> {
        for (name, route) in &self.routes {
            let Route::Chain(models) = route else { continue };
            let wrong = match models.iter().find(|m| self.targets_named(m).is_empty()) {
                Some(unknown) => format!("no provider serves `{unknown}`; there are: {}", self.known().join(", ")),
                None if models.is_empty() => "`models` is empty".to_owned(),
                None => continue,
            };
            return Err(ConfigError::Route {
                route: name.clone(),
                what: wrong,
            });
        }
        Ok(())
    }

    /// The places of a provider's lanes.
    pub(crate) fn lanes_of(&self, provider: usize) -> Vec<usize> {
        (0..self.lanes.len())
            .filter(|lane| self.lanes[*lane].provider == provider)
            .collect()
    }

    /// `provider/model`.
    pub(crate) fn name(&self, target: &Target) -> String {
        format!("{}/{}", self.providers[target.provider].name, target.model)
    }

    /// What a target costs.
    pub(crate) fn price(&self, target: &Target) -> Price {
        if self.providers[target.provider].local {
            Price::FREE
        } else {
            self.catalogue.model(&target.model).price
        }
    }

    /// The targets that a name means: `provider/model`, or a model that one or more providers serve.
    pub(crate) fn targets_named(&self, asked: &str) -> Vec<Target> {
        let target = |provider, model: &str| Target {
            provider,
            model: model.to_owned(),
        };
        if let Some((provider, model)) = asked.split_once('/')
            && let Some(place) = self
                .providers
                .iter()
                .position(|p| p.name == provider && p.serves(model))
        {
            return vec![target(place, model)];
        }
        if asked == "auto" || self.routes.contains_key(asked) {
            return Vec::new();
        }
        let serving = self.providers.iter().enumerate().filter(|(_, p)| p.serves(asked));
        let mut targets: Vec<Target> = serving.map(|(place, _)| target(place, asked)).collect();
        // Who lists the model comes before who takes any; of equals, turns are taken.
        let turn = self.turns.next();
        let listed = |t: &Target| self.providers[t.provider].models.iter().any(|m| m == asked);
        let (mut first, then): (Vec<Target>, Vec<Target>) = targets.drain(..).partition(listed);
        self.spread(&mut first, turn);
        first.extend(then);
        first
    }

    /// Puts the providers of one model into the order in which they are tried.
    fn spread(&self, targets: &mut [Target], turn: usize) {
        if targets.len() < 2 {
            return;
        }
        let place = |t: &Target| t.provider;
        match self.balance {
            Balance::RoundRobin => targets.rotate_left(turn % targets.len()),
            Balance::Weighted => {
                let weight = |t: &Target| usize::try_from(self.providers[t.provider].weight).unwrap_or(1);
                let total: usize = targets.iter().map(weight).sum();
                let mut left = turn % total.max(1);
                let first = targets.iter().position(|t| {
                    let mine = left < weight(t);
                    left = left.saturating_sub(weight(t));
                    mine
                });
                targets.rotate_left(first.unwrap_or(0));
            }
            Balance::LeastConnections => {
                let busy = |p: usize| {
                    self.lanes_of(p)
                        .iter()
                        .map(|l| self.lanes[*l].under_way())
                        .sum::<usize>()
                };
                targets.rotate_left(turn % targets.len());
                targets.sort_by_key(|t| busy(place(t)));
            }
            Balance::LowestLatency => targets.sort_by_key(|t| self.latency(place(t)).map(|(median, _)| median)),
        }
    }

    /// The route that a name means.
    pub(crate) fn route_named(&self, asked: &str) -> Option<(&str, &Route)> {
        let name = if asked == "auto" { DEFAULT_ROUTE } else { asked };
        self.routes
            .get_key_value(name)
            .map(|(name, route)| (name.as_str(), route))
    }

    /// All models that are configured by name.
    pub(crate) fn all_targets(&self) -> Vec<Target> {
        let of = |(provider, p): (usize, &Provider)| {
            let models = p.models.iter().filter(|m| *m != "*" && !p.is_scripted()).cloned();
            models.map(move |model| Target { provider, model }).collect::<Vec<_>>()
        };
        self.providers.iter().enumerate().flat_map(of).collect()
    }

    /// All names that can be asked for.
    pub(crate) fn known(&self) -> Vec<String> {
        let of = |p: &Provider| p.models.iter().map(|m| format!("{}/{m}", p.name)).collect::<Vec<_>>();
        let routes = self.routes.keys().map(|name| {
            if name == DEFAULT_ROUTE {
                "auto".to_owned()
            } else {
                name.clone()
            }
        });
        self.providers.iter().flat_map(of).chain(routes).collect()
    }

    /// Median and 95th percentile of a provider's time to the first content: of its fastest lane.
    pub(crate) fn latency(&self, provider: usize) -> Option<(u64, u64)> {
        let lanes = self.lanes.iter().filter(|l| l.provider == provider);
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        lanes
            .filter_map(|l| l.latency())
            .map(|(p50, p95)| (millis(p50), millis(p95)))
            .min()
    }

    /// Whether some lane of a provider may be used now.
    pub(crate) fn is_well(&self, provider: usize, now: Instant) -> bool {
        self.lanes
            .iter()
            .any(|l| l.provider == provider && l.rests_until(now).is_none())
    }

    /// All lanes, for people.
    /// The lanes as they are at the moment `at`.
    pub(crate) fn status(&self, at: At) -> Vec<LaneStatus> {
        let now = Instant::now();
        let moment = |until: Instant| At(at.0 + i64::try_from((until - now).as_millis()).unwrap_or(i64::MAX - at.0));
        let mut numbers = vec![0; self.providers.len()];
        let status = |lane: &Arc<Lane>| {
            numbers[lane.provider] += 1;
            let rests = lane.rests_until(now);
            LaneStatus {
                provider: self.providers[lane.provider].name.clone(),
                key: numbers[lane.provider],
                usable: rests.is_none(),
                under_way: lane.under_way(),
                median_millis: self.latency(lane.provider).map(|(median, _)| median),
                rests_until: rests.map(moment),
            }
        };
        self.lanes.iter().map(status).collect()
    }
}
