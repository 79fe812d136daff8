use super::Histogram;
use std::time::Duration;

#[test]
fn a_time_counts_for_its_step_and_all_above() {
    let mut histogram = Histogram::new(&[0.1, 1.0]);
    for millis in [50, 100, 101, 1000, 5000] {
        histogram.add(Duration::from_millis(millis));
    }
    let steps: Vec<_> = histogram.cumulative().collect();
    assert_eq!(steps, [(Some(0.1), 2), (Some(1.0), 4), (None, 5)]);
    assert_eq!(histogram.count(), 5);
    assert!((histogram.sum() - 6.251).abs() < 1e-9);
}
