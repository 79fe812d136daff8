use super::Places;
use maestria_kernel::RunId;
use uuid::Uuid;

fn run(number: u128) -> RunId {
    RunId::new(Uuid::from_u128(number))
}

#[test]
fn runs_begin_in_the_order_of_submission_as_there_is_room() {
    let mut places = Places::new(2);
    for number in [3, 1, 4, 2] {
        places.wait(run(number));
    }
    let mut begun = Vec::new();
    while let Some(next) = places.next() {
        assert!(places.begin(next, true));
        begun.push(next);
    }
    assert_eq!((begun, places.lengths()), (vec![run(1), run(2)], (2, 2)));
    places.wait(run(1));
    assert_eq!(places.lengths(), (2, 2), "what is driven does not wait");
    places.end(run(2));
    assert_eq!(places.next(), Some(run(3)));
}

#[test]
fn a_run_that_waits_for_a_person_holds_no_place_and_goes_on_at_once() {
    let mut places = Places::new(1);
    places.wait(run(1));
    places.wait(run(2));
    assert!(places.begin(run(1), true));
    assert_eq!(places.next(), None);
    assert!(places.hold(run(1), false), "it asks");
    assert!(!places.hold(run(1), false));
    assert_eq!(places.next(), Some(run(2)));
    assert!(places.begin(run(2), true));
    assert!(places.hold(run(1), true), "it is answered, and the queue waits");
    places.wait(run(3));
    assert_eq!((places.next(), places.lengths()), (None, (2, 1)));
    places.end(run(2));
    assert_eq!(places.next(), None, "still one over");
    places.end(run(1));
    assert_eq!(places.next(), Some(run(3)));
}

#[test]
fn each_change_is_another_version() {
    let mut places = Places::new(1);
    let mut seen = std::collections::BTreeSet::from([places.version()]);
    places.wait(run(1));
    assert!(seen.insert(places.version()));
    places.wait(run(1));
    assert!(!seen.insert(places.version()), "nothing has changed");
    places.begin(run(1), true);
    assert!(seen.insert(places.version()));
    assert!(!places.begin(run(1), true), "it is driven once");
    places.hold(run(1), false);
    assert!(seen.insert(places.version()));
    places.end(run(1));
    assert!(seen.insert(places.version()));
    places.leave(run(9));
    assert!(!seen.insert(places.version()));
}
