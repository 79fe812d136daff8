//! The append-only log of runs and the effects they owe, on SQLite or in memory.
