//! Who does the work: coding CLIs, ACP agents and native agents, each in its own worktree.
