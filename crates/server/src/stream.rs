//! What happens, told to everybody who listens: one order of all events, and each run as its events add up.

mod log;
pub(crate) mod pages;
pub(crate) mod rows;
pub(crate) mod tail;
pub(crate) mod view;
