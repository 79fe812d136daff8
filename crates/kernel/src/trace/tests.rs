use super::{Place, SpanId, TraceId};
use crate::id::{RunId, TaskId};
use std::collections::HashSet;
use uuid::Uuid;

const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_traceparent_comes_back_as_it_was() {
    let place = Place::parse(GIVEN).unwrap();
    assert!(place.sampled);
    assert_eq!(place.to_string(), GIVEN);
    let unsampled = Place::parse(&GIVEN.replace("-01", "-00")).unwrap();
    assert!(!unsampled.sampled);
    // Other flags of the same byte do not matter.
    assert!(Place::parse(&GIVEN.replace("-01", "-03")).unwrap().sampled);
}

#[test]
fn what_is_no_traceparent_is_none() {
    let zeros = "0".repeat(32);
    let bad = [
        String::new(),
        "00".to_owned(),
        GIVEN.replace("00-", "ff-"),
        GIVEN.replace("00-", "0x-"),
        GIVEN.to_uppercase(),
        format!("{GIVEN}-more"),
        format!("{GIVEN} "),
        GIVEN.replace("-01", "-1"),
        GIVEN.replace("0af7651916cd43dd8448eb211c80319c", &zeros),
        GIVEN.replace("b7ad6b7169203331", &zeros[..16]),
        GIVEN.replace("0af7", "0äf"),
        GIVEN.replace('-', "_"),
        "é".repeat(40),
    ];
    for text in bad {
        assert_eq!(Place::parse(&text), None, "{text}");
    }
    // A newer version may say more.
    assert!(Place::parse(&format!("{}-more", GIVEN.replacen("00", "cc", 1))).is_some());
    assert_eq!(Place::parse(&format!("{}more", GIVEN.replacen("00", "cc", 1))), None);
}

#[test]
fn ids_are_the_same_for_the_same_and_differ_otherwise() {
    let run = RunId::new(Uuid::from_u128(0x0190_1234));
    assert_eq!(TraceId::of(run).to_string(), run.to_string().replace("run_", ""));
    let task = |n: u128| TaskId::new(Uuid::from_u128(n));
    let all: HashSet<SpanId> = (1..200)
        .flat_map(|n| (1..20).map(move |attempt| SpanId::of_attempt(task(n), attempt)))
        .collect();
    assert_eq!(all.len(), 199 * 19);
    assert_eq!(SpanId::of_attempt(task(1), 1), SpanId::of_attempt(task(1), 1));
    assert_ne!(SpanId::of("task", task(1), 1), SpanId::of_attempt(task(1), 1));
}

#[test]
fn about_as_many_are_sampled_as_were_asked_for() {
    let trace = |n: u128| {
        TraceId::of(RunId::new(Uuid::from_u128(
            0x0190_0000_0000_7000_8000_0000_0000_0000 + n,
        )))
    };
    let kept = |percent| (0..10_000).filter(|n| trace(*n).is_sampled(percent)).count();
    assert_eq!((kept(0), kept(100)), (0, 10_000));
    assert!((800..1_200).contains(&kept(10)), "{}", kept(10));
    // Who keeps fewer keeps none that the others do not.
    assert!((0..1_000).all(|n| !trace(n).is_sampled(10) || trace(n).is_sampled(20)));
}
