//! The command policy against what shells really do: generated scripts beside bash, and text that nobody would write.
//!
//! `cargo xtask policy` runs these with more scripts than the ordinary tests, and prints their figures.

mod dice;
mod differential;
mod grammar;
mod hostile;
mod oracle;
mod spelling;
mod times;
