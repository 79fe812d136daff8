use super::{Lull, PACE, QUIET};
use std::time::{Duration, Instant};

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn one_submission_begins_after_a_moment_and_all_others_with_it() {
    let (mut lull, now) = (Lull::default(), Instant::now());
    assert_eq!(lull.rest(now), None, "nobody has submitted anything");
    lull.note(now);
    assert_eq!(lull.rest(now + MILLI), Some(QUIET - MILLI));
    for _ in 0..3 {
        assert_eq!(lull.rest(now + QUIET), None);
    }
}

#[test]
fn whoever_never_stops_submitting_sees_runs_begin_all_the_same() {
    let (mut lull, begun) = (Lull::default(), Instant::now());
    let mut moves = 0;
    for milli in 0..1000 {
        let now = begun + milli * MILLI;
        lull.note(now);
        moves += u32::from(lull.rest(now).is_none());
    }
    assert_eq!(
        u128::from(moves),
        1000 / PACE.as_millis() - 1,
        "the first after one pace"
    );
    let after = begun + 999 * MILLI + QUIET;
    assert_eq!(
        (lull.rest(after), lull.rest(after)),
        (None, None),
        "then as fast as they can"
    );
}
