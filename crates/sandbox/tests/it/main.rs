//! Real processes in both tiers: every promise of the crate, tried on the kernel at hand.

mod crash;
mod ending;
mod limits;
mod pausing;
mod rounds;
mod scene;
mod starting;
