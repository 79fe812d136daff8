//! Requests that mean the same: equal but for the words that are asked at last, whose vectors lie close.

use super::{Key, SemanticConfig, key};
use crate::question::Question;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// Questions that are remembered; the oldest goes first.
const REMEMBERED: usize = 4_096;

/// The questions of late.
#[derive(Debug)]
pub(crate) struct Alike {
    pub(crate) config: SemanticConfig,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// By what stands around the question: its vector, and the key of its answer.
    by_frame: HashMap<Key, Vec<(Vec<f32>, Key)>>,
    order: VecDeque<Key>,
}

impl Alike {
    pub(super) fn new(config: SemanticConfig) -> Self {
        Self {
            config,
            asked: Mutex::default(),
        }
    }

    /// What stands around a question, and the question; `None` where that cannot be told apart.
    pub(crate) fn apart(question: &Question, tenant: &str) -> Option<(Key, String)> {
        key::apart(question, tenant)
    }

    /// The key of the answer to the question that lies closest, and how close.
    pub(crate) fn closest(&self, frame: &Key, vector: &[f32]) -> Option<(Key, f32)> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let near = asked
            .by_frame
            .get(frame)?
            .iter()
            .map(|(other, key)| (*key, cosine(vector, other)));
        near.max_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|(_, close)| *close >= self.config.threshold)
    }

    pub(crate) fn note(&self, frame: Key, vector: Vec<f32>, key: Key) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let Asked { by_frame, order } = &mut *asked;
        by_frame.entry(frame).or_default().push((vector, key));
        order.push_back(frame);
        if order.len() > REMEMBERED
            && let Some(oldest) = order.pop_front()
            && let Some(questions) = by_frame.get_mut(&oldest)
        {
            questions.remove(0);
            if questions.is_empty() {
                by_frame.remove(&oldest);
            }
        }
    }
}

/// The cosine of the angle between two vectors; 0 where there is none.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if a.len() != b.len() || lengths == 0.0 {
        return 0.0;
    }
    dot(a, b) / lengths
}
