//! Real processes in both tiers: every promise of the crate, tried on the kernel at hand.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's shared steps fail the test"
)]

mod crash;
mod ending;
mod hiding;
mod limits;
mod pausing;
mod policy;
mod probing;
mod rounds;
mod scene;
mod starting;
mod walls;

/// The program's own: the times of decisions are to be those that people see.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
