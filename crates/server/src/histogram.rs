//! How often something took how long, in steps, as Prometheus counts it.

use std::time::Duration;

/// Counts of times up to each of its steps.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    /// Seconds, growing.
    steps: &'static [f64],
    /// So many fell between a step and the one before; the last is beyond all steps.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// Steps for what models take, in seconds.
    pub(crate) const CALL: &'static [f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0];
    /// Steps for what a disk takes.
    pub(crate) const DISK: &'static [f64] = &[
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    ];
    /// Steps for what work takes.
    pub(crate) const WORK: &'static [f64] = &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];

    pub(crate) fn new(steps: &'static [f64]) -> Self {
        Self {
            steps,
            counts: vec![0; steps.len() + 1],
            sum: 0.0,
        }
    }

    pub(crate) fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let place = self.steps.partition_point(|step| *step < seconds);
        self.counts[place] += 1;
        self.sum += seconds;
    }

    /// Each step with how many took no longer; the last has no end.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let steps = self.steps.iter().copied().map(Some).chain([None]);
        steps.zip(self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All times together, in seconds.
    pub(crate) const fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests;
