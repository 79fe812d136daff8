//! One call, tried until it has content: other keys, other providers, other models, and again after a while.

use crate::{
    core::Core,
    lane::{Lane, UnderWay},
    provider::{Blame, Failure, Opened, Outgoing},
    wire::{Ask, Kind, Losses},
};
use std::{
    borrow::Cow,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) provider: usize,
    pub(crate) model: String,
}

/// A call that has content.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) opened: Opened,
    /// Which of the targets answered.
    pub(crate) target: usize,
    pub(crate) losses: Losses,
    /// Tries that failed before.
    pub(crate) retries: u32,
    /// Counts the call as under way for as long as it is kept.
    pub(crate) under_way: UnderWay,
}

/// A call that nobody answered.
#[derive(Debug, Clone)]
pub(crate) struct GaveUp {
    pub(crate) failure: Failure,
    pub(crate) retries: u32,
}

/// What is sent to a target.
pub(crate) type Prepared = (Outgoing, Losses, Option<Arc<Ask>>);

/// Tries the targets in their order (`tokens` are sent, about), each on all its lanes, then again after a pause, while nothing had content.
pub(crate) async fn open(
    core: &Core,
    targets: &[Target],
    tokens: u64,
    mut prepare: impl FnMut(&Target) -> Result<Prepared, Failure>,
) -> Result<Begun, GaveUp> {
    let mut retries = 0;
    let mut worst: Option<Failure> = None;
    let most = targets
        .iter()
        .map(|t| core.providers[t.provider].patience.retries)
        .max()
        .unwrap_or(0);
    for round in 0..=most {
        for (place, target) in targets.iter().enumerate() {
            let provider = &core.providers[target.provider];
            if is_used_up(core, target, tokens) {
                continue;
            }
            let mut untried: Vec<usize> = core.lanes_of(target.provider);
            while let Some(picked) = core
                .turns
                .pick(core.balance, &core.lanes, &untried, &target.model, Instant::now())
            {
                untried.retain(|lane| *lane != picked);
                let lane = &core.lanes[picked];
                let trial = Trial::on(lane, &target.model);
                let (outgoing, losses, ask) = match prepare(target) {
                    Ok(prepared) => prepared,
                    Err(failure) => return Err(GaveUp { failure, retries }),
                };
                let outgoing = without_secrets(outgoing);
                let started = Instant::now();
                match provider
                    .open(&core.client, lane.key.as_deref(), ask.as_deref(), &outgoing)
                    .await
                {
                    Ok(opened) => {
                        let under_way = trial.succeeded(started.elapsed());
                        return Ok(Begun {
                            opened,
                            target: place,
                            losses,
                            retries,
                            under_way,
                        });
                    }
                    Err(failure) => {
                        trial.failed(&failure);
                        tracing::info!(provider = provider.name, %failure.fault, "a call failed before content");
                        let elsewhere = matches!(failure.fault.kind, Kind::NotFound | Kind::TooLong);
                        let others = elsewhere && place + 1 < targets.len();
                        if !(failure.can_be_tried_again() || others) {
                            return Err(GaveUp { failure, retries });
                        }
                        retries += 1;
                        let go_on = failure.can_be_tried_again();
                        worst = Some(failure);
                        if !go_on {
                            break;
                        }
                    }
                }
            }
        }
        match pause(core, targets, round, worst.as_ref()) {
            Some(pause) if round < most => tokio::time::sleep(pause).await,
            _ => break,
        }
    }
    // The last failure was no retry.
    Err(GaveUp {
        failure: worst.unwrap_or_else(|| all_rest(core, targets)),
        retries: retries.saturating_sub(1),
    })
}

/// Whether a provider's own limit is used up; its lanes then rest for the model.
fn is_used_up(core: &Core, target: &Target, tokens: u64) -> bool {
    let limits = &core.providers[target.provider].limits;
    let now = Instant::now();
    let lanes = core.lanes_of(target.provider);
    // A call that no lane would take must not count.
    let resting = |lane: &usize| {
        let lane = &core.lanes[*lane];
        lane.rests_until(now).is_some() || lane.limited_until(&target.model, now).is_some()
    };
    if limits.is_free() || lanes.iter().all(resting) {
        return false;
    }
    let Some(wait) = limits.take("", tokens, now) else {
        return false;
    };
    for lane in lanes {
        core.lanes[lane].limit(&target.model, now + wait);
    }
    true
}

/// How long to wait before the next round; `None` when it is not worth it.
fn pause(core: &Core, targets: &[Target], round: u32, worst: Option<&Failure>) -> Option<Duration> {
    if worst.is_some_and(|w| w.blame == Blame::Key || !w.can_be_tried_again()) {
        return None;
    }
    let now = Instant::now();
    let patience = &core.providers[targets.first()?.provider].patience;
    let soonest = waits(core, targets, now).min()?;
    let backoff = jittered(patience.backoff.saturating_mul(1 << round.min(10)));
    let wait = soonest.max(backoff);
    (wait <= patience.longest_wait).then_some(wait)
}

/// Between three quarters and five quarters, so that many callers do not come back at once.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 512;
    wait.mul_f64(0.75 + f64::from(u32::try_from(random).unwrap_or(0)) / 1024.0)
}

/// How long each lane of the targets must still be waited for.
fn waits<'a>(core: &'a Core, targets: &'a [Target], now: Instant) -> impl Iterator<Item = Duration> + 'a {
    let of = move |target: &'a Target| {
        let lanes = core.lanes_of(target.provider).into_iter().map(|lane| &core.lanes[lane]);
        lanes.map(move |lane| {
            let until = lane.rests_until(now).max(lane.limited_until(&target.model, now));
            until.map_or(Duration::ZERO, |until| until - now)
        })
    };
    targets.iter().flat_map(of)
}

fn all_rest(core: &Core, targets: &[Target]) -> Failure {
    let now = Instant::now();
    let soonest = waits(core, targets, now).min();
    let names: Vec<String> = targets.iter().map(|t| core.name(t)).collect();
    let names = names.join(", ");
    let limited = targets.iter().all(|t| {
        let mut lanes = core.lanes_of(t.provider).into_iter();
        lanes.all(|lane| core.lanes[lane].limited_until(&t.model, now).is_some())
    });
    let mut failure = if limited {
        Failure::new(
            Kind::Limited,
            Blame::Rate,
            format!(
                "{names}: the rate is limited, by the provider or by `requests_per_minute` and `tokens_per_minute`"
            ),
        )
    } else {
        Failure::provider(format!("{names}: failed lately and is given a rest"))
    };
    failure.fault.retry_after = soonest.map(|wait| wait.as_secs() + 1);
    failure
}

/// A try on a lane: a client that leaves in the middle says nothing about the lane.
struct Trial {
    lane: Arc<Lane>,
    model: String,
    under_way: Option<UnderWay>,
}

impl Trial {
    fn on(lane: &Arc<Lane>, model: &str) -> Self {
        Self {
            under_way: Some(Lane::enter(lane)),
            lane: lane.clone(),
            model: model.to_owned(),
        }
    }

    fn succeeded(mut self, took: Duration) -> UnderWay {
        self.lane.succeeded(took);
        self.under_way.take().unwrap_or_else(|| Lane::enter(&self.lane))
    }

    fn failed(mut self, failure: &Failure) {
        self.lane
            .failed(&self.model, failure.blame, failure.fault.retry_after, Instant::now());
        self.under_way = None;
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.under_way.is_some() {
            self.lane.abandoned();
        }
    }
}

/// A call without the secrets that this process knows: no provider is told another one's key.
fn without_secrets(mut outgoing: Outgoing) -> Outgoing {
    if let Cow::Owned(cleaned) = maestria_secrets::funnel().clean_known(&outgoing.body) {
        outgoing.body = cleaned.into();
    }
    outgoing
}
