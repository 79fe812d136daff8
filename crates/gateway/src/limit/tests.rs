use super::{Limits, Rate};
use crate::wire::Kind;
use std::time::{Duration, Instant};

fn rate(requests: u64, tokens: u64) -> Rate {
    Rate {
        requests,
        tokens,
        patience: Duration::ZERO,
        ..Rate::default()
    }
}

#[test]
fn a_bucket_holds_a_burst_and_fills_again() {
    let limits = Limits::new(rate(60, 0));
    let now = Instant::now();
    let admitted = (0..100).filter(|_| limits.take("a", 1, now).is_none()).count();
    assert_eq!(admitted, 60);
    assert_eq!(limits.take("b", 1, now), None, "each client has its own");
    let wait = limits.take("a", 1, now).unwrap();
    assert!(
        wait > Duration::from_millis(900) && wait <= Duration::from_secs(1),
        "{wait:?}"
    );
    assert_eq!(limits.take("a", 1, now + Duration::from_millis(1_001)), None);
}

#[test]
fn what_one_bucket_refuses_is_not_taken_from_the_other() {
    let limits = Limits::new(rate(10, 100));
    let now = Instant::now();
    assert_eq!(limits.take("a", 90, now), None);
    for _ in 0..20 {
        assert!(limits.take("a", 50, now).is_some());
    }
    assert_eq!(limits.take("a", 5, now), None, "requests are left");
}

#[test]
fn a_request_larger_than_its_bucket_waits_for_a_full_one() {
    let limits = Limits::new(rate(0, 60));
    let now = Instant::now();
    assert_eq!(limits.take("a", 1_000, now), None);
    let wait = limits.take("a", 1, now).unwrap();
    assert!(
        wait > Duration::from_secs(900),
        "what was taken too much is paid back: {wait:?}"
    );
}

#[tokio::test]
async fn who_cannot_wait_is_told_when_to_come_back() {
    let limits = Limits::new(rate(1, 0));
    limits.admit("a", 0).await.unwrap();
    let fault = limits.admit("a", 0).await.unwrap_err();
    assert_eq!(fault.kind, Kind::Limited);
    assert!(fault.retry_after.is_some_and(|s| (50..=61).contains(&s)), "{fault:?}");
}

#[tokio::test]
async fn who_can_wait_is_let_in_and_a_full_queue_is_not_joined() {
    let limits = Limits::new(Rate {
        requests: 1_200,
        burst_percent: 1,
        queue: 1,
        patience: Duration::from_secs(20),
        ..Rate::default()
    });
    for _ in 0..12 {
        limits.admit("a", 0).await.unwrap();
    }
    let (first, second) = tokio::join!(limits.admit("a", 0), limits.admit("a", 0));
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(second.unwrap_err().kind, Kind::Limited);
}
