//! Words and decisions of a run: pure, no clock, no disk, no network.
