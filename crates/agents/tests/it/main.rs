//! Integration tests of the agents crate, one binary: worktrees, agents as whole programs (scripted ones that misbehave on
//! demand), and the real CLIs on a loopback model server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod approvals;
mod fake;
mod native;
mod planner;
mod probe;
mod real;
mod script;
mod stage;
mod trace;
mod trust;
mod violations;
mod worktree;
