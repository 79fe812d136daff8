//! What every benchmark needs: whole processes timed from outside, medians of interleaved repetitions, and a table that
//! puts each figure beside its goal.
//!
//! Machines are noisy, so a figure is a median, and wherever a peer exists it is a ratio between the two of one pair,
//! taken one right after the other. No benchmark reads the ambient environment for a key, a token or an address.

mod cores;
mod load;
pub mod nginx;
mod process;
mod table;

pub use cores::{leave_first_core, on_first_core};
pub use load::{Seen, find, run};
pub use process::{Finished, Program, Running, finish, free_port, resident, told_port};
pub use table::{Figure, Table, median};
