//! Integration tests of the agents crate, one binary.

mod worktree;
