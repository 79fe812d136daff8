//! No conversation: the prompt is on the command line, and the stream is all there is.

use super::{Answer, Out, Talk};
use crate::cli::{asked::Asked, notes::Step};
use serde_json::Value;

#[derive(Debug)]
pub(super) struct OneShot;

impl Talk for OneShot {
    fn open(&mut self) -> Vec<Out> {
        Vec::new()
    }

    fn on(&mut self, step: &Step) -> Vec<Out> {
        match step {
            Step::Ended => vec![Out::Over],
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, _: &Asked, _: Answer<'_>) -> Vec<Out> {
        Vec::new()
    }

    fn refuse(&mut self, _: &Value, _: &str) -> Vec<Out> {
        Vec::new()
    }

    fn interrupt(&mut self) -> Vec<Out> {
        Vec::new()
    }

    fn speaks(&self) -> bool {
        false
    }
}
