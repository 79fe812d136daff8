//! One call, tried until it has content: other keys, other providers, other models, and again after a while.

use crate::{
    core::Core,
    lane::{Lane, UnderWay},
    provider::{Blame, Failure, Opened, Outgoing},
    wire::{Ask, Kind, Losses},
};
use std::{
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
#[derive(Debug)]
pub(crate) struct GaveUp {
    pub(crate) failure: Failure,
    pub(crate) retries: u32,
}

/// What is sent to a target.
pub(crate) type Prepared = (Outgoing, Losses, Option<Arc<Ask>>);

/// Tries the targets in their order, each on all its lanes, then again after a pause, while nothing had content.
pub(crate) async fn open(
    core: &Core,
    targets: &[Target],
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
            let mut untried: Vec<usize> = core.lanes_of(target.provider);
            while let Some(picked) = core.turns.pick(core.balance, &core.lanes, &untried, Instant::now()) {
                untried.retain(|lane| *lane != picked);
                let lane = &core.lanes[picked];
                let trial = Trial::on(lane);
                let (outgoing, losses, ask) = match prepare(target) {
                    Ok(prepared) => prepared,
                    Err(failure) => return Err(GaveUp { failure, retries }),
                };
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

/// How long to wait before the next round; `None` when it is not worth it.
fn pause(core: &Core, targets: &[Target], round: u32, worst: Option<&Failure>) -> Option<Duration> {
    if worst.is_some_and(|w| w.blame == Blame::Key || !w.can_be_tried_again()) {
        return None;
    }
    let now = Instant::now();
    let patience = &core.providers[targets.first()?.provider].patience;
    let lanes = targets.iter().flat_map(|t| core.lanes_of(t.provider));
    let soonest = lanes
        .map(|l| {
            core.lanes[l]
                .rests_until(now)
                .map_or(Duration::ZERO, |until| until - now)
        })
        .min()?;
    let backoff = jittered(patience.backoff.saturating_mul(1 << round.min(10)));
    let wait = soonest.max(backoff);
    (wait <= patience.longest_wait).then_some(wait)
}

/// Between three quarters and five quarters, so that many callers do not come back at once.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 512;
    wait.mul_f64(0.75 + f64::from(u32::try_from(random).unwrap_or(0)) / 1024.0)
}

fn all_rest(core: &Core, targets: &[Target]) -> Failure {
    let now = Instant::now();
    let lanes = targets.iter().flat_map(|t| core.lanes_of(t.provider));
    let soonest = lanes.filter_map(|l| core.lanes[l].rests_until(now)).min();
    let names: Vec<&str> = targets
        .iter()
        .map(|t| core.providers[t.provider].name.as_str())
        .collect();
    let message = format!("{} failed lately and is given a rest", names.join(", "));
    let mut failure = Failure::provider(message);
    failure.fault.retry_after = soonest.map(|until| (until - now).as_secs() + 1);
    failure
}

/// A try on a lane: a client that leaves in the middle says nothing about the lane.
struct Trial {
    lane: Arc<Lane>,
    under_way: Option<UnderWay>,
}

impl Trial {
    fn on(lane: &Arc<Lane>) -> Self {
        Self {
            under_way: Some(Lane::enter(lane)),
            lane: lane.clone(),
        }
    }

    fn succeeded(mut self, took: Duration) -> UnderWay {
        self.lane.succeeded(took);
        self.under_way.take().unwrap_or_else(|| Lane::enter(&self.lane))
    }

    fn failed(mut self, failure: &Failure) {
        self.lane
            .failed(failure.blame, failure.fault.retry_after, Instant::now());
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
