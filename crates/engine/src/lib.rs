//! Drives runs: performs owed effects, schedules tasks, turns results into commands.
