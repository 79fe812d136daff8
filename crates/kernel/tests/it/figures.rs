//! Money, tokens, confidence, ids, limits.

use maestria_kernel::{
    Cost, RunId, Tokens,
    confidence::{Reviewed, score},
    request::{BadTask, LONGEST_TASK, check_task},
    workflow::Limits,
};
use std::time::Duration;

#[test]
fn money_reads_and_shows() {
    for (text, micro) in [
        ("2.50", 2_500_000),
        ("$3", 3_000_000),
        (".000001", 1),
        ("0", 0),
        ("100", 100_000_000),
    ] {
        assert_eq!(text.parse::<Cost>().unwrap(), Cost(micro), "{text}");
    }
    for text in [
        "",
        "-1",
        "1.2.3",
        "1,5",
        "0.0000001",
        "abc",
        "1e3",
        "9223372036854775807",
        ".",
    ] {
        assert!(text.parse::<Cost>().is_err(), "{text}");
    }
    for (micro, text) in [
        (0, "$0.00"),
        (1, "$0.0001"),
        (12_345, "$0.0124"),
        (999_999, "$0.9999"),
        (2_500_000, "$2.50"),
    ] {
        assert_eq!(Cost(micro).to_string(), text);
    }
    assert_eq!(Cost::of(Tokens(1), Cost(15_000_000)), Cost(15));
    assert_eq!(
        Cost::of(Tokens(1), Cost(1)),
        Cost(1),
        "a part of a micro-dollar is not free"
    );
    assert_eq!(Cost(i64::MAX).plus(Cost(1)), Cost(i64::MAX));
}

#[test]
fn tokens_show_short() {
    for (n, text) in [(950, "950"), (12_345, "12.3k"), (4_560_000, "4.5M")] {
        assert_eq!(Tokens(n).to_string(), text);
    }
}

#[test]
fn confidence_is_its_formula() {
    let full = score(Some(true), &[Reviewed::Independent], (2, 2));
    assert_eq!(
        full.explain(),
        "1.00 = 0.50 × checks 1.00 + 0.35 × reviews 1.00 + 0.15 × self-report 1.00"
    );
    assert_eq!(
        score(None, &[], (0, 0)).score.0,
        585,
        "nothing known is not enough to go without a person"
    );
    assert!(
        score(Some(false), &[Reviewed::Independent], (9, 9)).score.0 < 700,
        "failed checks always ask"
    );
    assert!(
        score(Some(true), &[Reviewed::Rejected], (9, 9)).score.0 < 700,
        "a rejection always asks"
    );
    assert!(score(None, &[Reviewed::Independent], (1, 1)).score.0 >= 700);
}

#[test]
fn ids_say_what_they_name() {
    let id: RunId = "run_0190f3b2a1c87d2e8f00112233445566".parse().unwrap();
    assert_eq!(id.to_string(), "run_0190f3b2a1c87d2e8f00112233445566");
    assert_eq!(id.short(), "run_445566");
    for wrong in [
        "0190f3b2a1c87d2e8f00112233445566",
        "task_0190f3b2a1c87d2e8f00112233445566",
        "run_",
        "run_xyz",
    ] {
        let error = wrong.parse::<RunId>().unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains("run_"), "{error}");
    }
}

#[test]
fn task_texts_are_bounded() {
    assert_eq!(check_task(" \n\t"), Err(BadTask::Empty));
    assert_eq!(check_task("a\0b"), Err(BadTask::Nul));
    assert_eq!(check_task(&"x".repeat(1 << 20)), Err(BadTask::TooLong(1 << 20)));
    assert_eq!(check_task(&"x".repeat(LONGEST_TASK)), Ok(()));
}

#[test]
fn back_off_doubles_and_ends() {
    let limits = Limits::default();
    let seconds = |attempt| limits.backoff(attempt).as_secs();
    assert_eq!([seconds(2), seconds(3), seconds(4)], [2, 4, 8]);
    assert_eq!(limits.backoff(u16::MAX), Duration::from_secs(300));
}
