//! The watchdogs over one process: silence, overtime, a deaf ear after an interrupt, a life after the final event.

use std::time::Duration;
use tokio::time::Instant;

/// Time limits; zero means none, except for the grace.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Silence after which it is given up.
    pub idle: Duration,
    /// Work after which it is given up.
    pub most: Duration,
    /// Life after the final event.
    pub linger: Duration,
    /// Each polite step of stopping.
    pub grace: Duration,
}

/// What a watchdog has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    Idle(Duration),
    Overtime(Duration),
    /// It was interrupted, and goes on.
    Deaf,
    Lingers(Duration),
}

/// See the module. Time in which it is frozen or a person is asked does not count.
#[derive(Debug)]
pub(super) struct Watch {
    times: Times,
    heard: Instant,
    looked: Instant,
    busy: Duration,
    over: Option<Instant>,
    stopping: Option<Instant>,
    measured: Instant,
    last: Option<(u64, u64, u32)>,
    rung: bool,
}

impl Watch {
    pub(super) fn new(times: Times) -> Self {
        let now = Instant::now();
        Self {
            times,
            heard: now,
            looked: now,
            busy: Duration::ZERO,
            over: None,
            stopping: None,
            measured: now,
            last: None,
            rung: false,
        }
    }

    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    pub(super) fn over(&mut self) {
        self.over.get_or_insert_with(Instant::now);
    }

    pub(super) fn stopping(&mut self) {
        self.stopping.get_or_insert_with(Instant::now);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.is_some()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Looks at the clocks; `still`: it is frozen, or waits for a person.
    pub(super) fn look(&mut self, still: bool) -> Option<Alarm> {
        let now = Instant::now();
        let passed = now - self.looked;
        self.looked = now;
        if still {
            // Its silence is not its own doing.
            self.heard += passed;
            self.over = self.over.map(|over| over + passed);
        } else {
            self.busy += passed;
        }
        let past = |since: Instant, span: Duration| now.saturating_duration_since(since) >= span;
        if let Some(over) = self.over {
            return self.once(past(over, self.times.linger).then_some(Alarm::Lingers(self.times.linger)));
        }
        if let Some(stopping) = self.stopping {
            return self.once(past(stopping, self.times.grace).then_some(Alarm::Deaf));
        }
        let Times { idle, most, .. } = self.times;
        if !idle.is_zero() && past(self.heard, idle) {
            return Some(Alarm::Idle(idle));
        }
        (!most.is_zero() && self.busy >= most).then_some(Alarm::Overtime(most))
    }

    fn once(&mut self, alarm: Option<Alarm>) -> Option<Alarm> {
        let first = !self.rung;
        self.rung |= alarm.is_some();
        alarm.filter(|_| first)
    }

    /// How long it has worked: neither frozen nor waiting for a person.
    pub(super) const fn busy(&self) -> Duration {
        self.busy
    }

    pub(super) fn is_quiet(&self, span: Duration) -> bool {
        self.heard.elapsed() >= span
    }

    pub(super) fn is_time_to_measure(&mut self, every: Duration) -> bool {
        let due = self.measured.elapsed() >= every;
        if due {
            self.measured = Instant::now();
        }
        due
    }

    pub(super) fn is_news(&mut self, cpu: u64, memory: u64, processes: u32) -> bool {
        let now = Some((cpu, memory, processes));
        let news = self.last != now;
        self.last = now;
        news
    }
}
