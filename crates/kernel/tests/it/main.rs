//! The kernel from outside: its tables, its rules, and whole runs decided step by step.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "a scene fails its test at once, and reads best with plain values"
)]

mod approvals;
mod events;
mod figures;
mod messages;
mod plans;
mod random;
mod reviews;
mod scene;
mod stories;
mod tables;
mod violations;
