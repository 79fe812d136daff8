use super::{BENCH, Balance, FAILURES, Lane, REST, Turns};
use crate::provider::Blame;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

fn lanes(weights: &[u32]) -> Vec<Arc<Lane>> {
    weights
        .iter()
        .map(|weight| Arc::new(Lane::new(0, None, *weight)))
        .collect()
}

fn picks(balance: Balance, all: &[Arc<Lane>], times: usize) -> Vec<usize> {
    let turns = Turns::default();
    let places: Vec<usize> = (0..all.len()).collect();
    (0..times)
        .filter_map(|_| turns.pick(balance, all, &places, "m", Instant::now()))
        .collect()
}

#[test]
fn the_breaker_opens_after_failures_in_a_row_and_lets_one_call_try() {
    let all = lanes(&[1]);
    let now = Instant::now();
    let pick = |now| Turns::default().pick(Balance::RoundRobin, &all, &[0], "m", now);
    for _ in 1..FAILURES {
        all[0].failed("m", Blame::Provider, None, now);
        assert_eq!(pick(now), Some(0));
    }
    all[0].failed("m", Blame::Provider, None, now);
    assert_eq!(pick(now), None);
    let later = now + REST + Duration::from_millis(1);
    assert_eq!(pick(later), Some(0));
    assert_eq!(pick(later), None, "one call tries, the others wait");
    all[0].failed("m", Blame::Provider, None, later);
    assert_eq!(pick(later), None, "still broken: open again");
    let last = later + REST + Duration::from_millis(1);
    assert_eq!(pick(last), Some(0));
    all[0].succeeded(Duration::from_millis(5));
    assert_eq!((pick(last), pick(last)), (Some(0), Some(0)));
}

#[test]
fn a_client_that_leaves_gives_the_trial_back() {
    let all = lanes(&[1]);
    let now = Instant::now();
    all[0].failed("m", Blame::Key, None, now);
    let later = now + BENCH + Duration::from_millis(1);
    let pick = || Turns::default().pick(Balance::RoundRobin, &all, &[0], "m", later);
    assert_eq!((pick(), pick()), (Some(0), None));
    all[0].abandoned();
    assert_eq!(pick(), Some(0));
}

#[test]
fn a_bad_key_benches_its_lane_only_and_a_bad_request_none() {
    let all = lanes(&[1, 1]);
    let now = Instant::now();
    all[0].failed("m", Blame::Key, None, now);
    assert!(all[0].rests_until(now).is_some());
    assert!(picks(Balance::RoundRobin, &all, 4).iter().all(|lane| *lane == 1));
    for _ in 0..2 * FAILURES {
        all[1].failed("m", Blame::Request, None, now);
    }
    assert!(all[1].rests_until(now).is_none());
}

#[test]
fn a_lane_rests_as_long_as_it_was_told() {
    let all = lanes(&[1]);
    let now = Instant::now();
    all[0].failed("m", Blame::Rate, Some(7), now);
    assert_eq!(all[0].limited_until("m", now), Some(now + Duration::from_secs(7)));
    let pick = |model| Turns::default().pick(Balance::RoundRobin, &all, &[0], model, now);
    assert_eq!((pick("m"), pick("other")), (None, Some(0)), "only this model");
    all[0].failed("m", Blame::Rate, Some(u64::MAX), now);
    let later = now + Duration::from_secs(8);
    assert_eq!(
        all[0].limited_until("m", later),
        None,
        "a wait beyond all time is no wait, and no overflow"
    );
}

#[test]
fn calls_are_spread_as_configured() {
    let all = lanes(&[1, 3]);
    assert_eq!(picks(Balance::RoundRobin, &all, 4), [0, 1, 0, 1]);
    let weighted = picks(Balance::Weighted, &all, 8);
    assert_eq!(weighted.iter().filter(|lane| **lane == 1).count(), 6, "{weighted:?}");
    let _busy = Lane::enter(&all[0]);
    assert_eq!(picks(Balance::LeastConnections, &all, 3), [1, 1, 1]);
    all[0].succeeded(Duration::from_millis(50));
    all[1].succeeded(Duration::from_millis(900));
    assert_eq!(picks(Balance::LowestLatency, &all, 2), [0, 0]);
}
