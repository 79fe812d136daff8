//! Durable state behind the kernel's [`Store`](maestria_kernel::port::Store) port: the append-only log of runs, the
//! effects they owe, and the inbox through which other processes leave commands.
//!
//! [`SqliteStore`] is what the product uses: one file, no service. [`MemoryStore`] keeps the same promises except
//! durability, for tests and dry runs; one suite proves both.
//!
//! What it must never do: acknowledge a write before it is on disk, change or remove an event, let a reader wait for
//! the writer or the writer for a reader, or decide anything about a run.
//!
//! Where to start reading: [`sqlite`], then `sqlite/writer.rs` for the group commit.

pub mod memory;
mod order;
pub mod sqlite;

pub use memory::MemoryStore;
pub use sqlite::{SqliteLedger, SqliteStore};
