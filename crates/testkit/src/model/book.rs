//! Which script a request plays, at which step, and which fault strikes.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer::Answer;
use super::ask::Ask;
use super::call;
use super::script::{DIRECTIVE, FaultKind, Rule, Script, Times};

type Choose = dyn Fn(&Ask) -> Option<Script> + Send + Sync;

/// What the server does with one request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) fault: Option<FaultKind>,
}

/// The scripts of one server.
#[derive(Default)]
pub struct Book {
    choose: Option<Arc<Choose>>,
    rules: Vec<Rule>,
    counts: Mutex<Counts>,
}

/// Everything remembered between requests: only what "so many times" needs.
#[derive(Debug, Default)]
struct Counts {
    /// (script, place of the fault in it) → how often it struck.
    faults: HashMap<(u64, usize), u32>,
    /// Rule → how many conversations it served.
    served: HashMap<usize, u32>,
    /// Conversation → the rule that serves it.
    bound: HashMap<u64, usize>,
}

/// A script chosen for a request.
struct Play {
    script: Script,
    /// Tells one script's fault counters from another's.
    key: u64,
    /// Tool results since the script began.
    results: usize,
    /// The rule to give back if a fault keeps it from answering.
    claimed: Option<usize>,
}

impl fmt::Debug for Book {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Book")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl Book {
    pub(crate) fn rules(&mut self, rules: impl IntoIterator<Item = Rule>) {
        self.rules.extend(rules);
    }

    pub(crate) fn script(&mut self, choose: impl Fn(&Ask) -> Option<Script> + Send + Sync + 'static) {
        self.choose = Some(Arc::new(choose));
    }

    /// Decides the reply to `ask`.
    pub(crate) fn reply(&self, ask: &Ask) -> Reply {
        let play = match self.play(ask) {
            Ok(play) => play,
            Err(reason) => {
                return Reply {
                    answer: Answer::text(reason),
                    fault: None,
                };
            }
        };
        let Some(play) = play else {
            return Reply {
                answer: call::harmless(ask, "ok"),
                fault: None,
            };
        };
        if play.script.needs_tools() && ask.tools.is_empty() {
            self.release(&play);
            return Reply {
                answer: call::harmless(ask, "ok"),
                fault: None,
            };
        }
        let step = play.script.step_after(play.results);
        let fault = self.strike(&play, step.map_or(play.script.steps.len(), |(index, _)| index));
        if fault.is_some() {
            self.release(&play);
        }
        let answer = match step {
            Some((_, step)) => call::answer(step, ask),
            None => call::harmless(ask, "done"),
        };
        Reply {
            answer: spoilt(answer, fault.as_ref()),
            fault,
        }
    }

    fn play(&self, ask: &Ask) -> Result<Option<Play>, String> {
        let chosen = self.choose.as_ref().and_then(|choose| choose(ask));
        if let Some(script) = chosen {
            let key = hash(&format!("{script:?}"));
            return Ok(Some(Play {
                script,
                key,
                results: since_prompt(ask),
                claimed: None,
            }));
        }
        if let Some(play) = self.ruled(ask) {
            return Ok(Some(play));
        }
        directed(ask)
    }

    fn ruled(&self, ask: &Ask) -> Option<Play> {
        let fitting: Vec<usize> = (0..self.rules.len())
            .filter(|index| fits(&self.rules[*index], ask))
            .collect();
        let begin = |index: usize| since_match(&self.rules[index], ask);
        let mut counts = self.counts();
        let conversation = hash(ask.prompt());
        // A conversation goes on with the rule it began with, even if that one is used up by now.
        let bound = counts
            .bound
            .get(&conversation)
            .copied()
            .filter(|index| fitting.contains(index) && begin(*index) > 0);
        let index = bound.or_else(|| {
            fitting
                .iter()
                .copied()
                .find(|index| self.rules[*index].times.allows(*counts.served.get(index).unwrap_or(&0)))
        })?;
        let claimed = (bound.is_none()).then_some(index);
        if claimed.is_some() {
            *counts.served.entry(index).or_default() += 1;
            counts.bound.insert(conversation, index);
        }
        let rule = &self.rules[index];
        Some(Play {
            script: rule.script(),
            key: hash(&("rule", index)),
            results: begin(index),
            claimed,
        })
    }

    /// Counts a rule as not used: a side request, or a fault in place of the answer.
    fn release(&self, play: &Play) {
        let mut counts = self.counts();
        if let Some(used) = play.claimed.and_then(|index| counts.served.get_mut(&index)) {
            *used -= 1;
        }
    }

    fn strike(&self, play: &Play, step: usize) -> Option<FaultKind> {
        let mut counts = self.counts();
        let faults = play.script.faults.iter().enumerate();
        for (place, fault) in faults.filter(|(_, fault)| fault.at.is_none_or(|at| at == step)) {
            let used = counts.faults.entry((play.key, place)).or_default();
            if fault.times.allows(*used) {
                *used = used.saturating_add(u32::from(fault.times != Times::Forever));
                return Some(fault.kind.clone());
            }
        }
        None
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fits(rule: &Rule, ask: &Ask) -> bool {
    rule.contains.as_ref().is_none_or(|text| ask.says(text))
        && rule.schema.is_none_or(|wanted| wanted == ask.wants_json())
        && rule.model.as_ref().is_none_or(|name| ask.model.contains(name))
        && rule.dialect.is_none_or(|dialect| dialect == ask.dialect)
}

/// Tool results since the message that made the rule fit, or since the last prompt.
fn since_match(rule: &Rule, ask: &Ask) -> usize {
    let matched = rule
        .contains
        .as_ref()
        .and_then(|text| ask.last_user(|turn| turn.text.contains(text)));
    matched.map_or_else(|| since_prompt(ask), |anchor| ask.results_after(anchor))
}

fn since_prompt(ask: &Ask) -> usize {
    ask.last_user(|turn| turn.results == 0)
        .map_or(0, |anchor| ask.results_after(anchor))
}

fn directed(ask: &Ask) -> Result<Option<Play>, String> {
    let anchor = ask.last_user(|turn| Script::in_text(&turn.text).is_some());
    let Some((anchor, text)) = anchor.and_then(|anchor| Some((anchor, &ask.turns.get(anchor)?.text))) else {
        return Ok(None);
    };
    let directive = text.rsplit_once(DIRECTIVE).map_or("", |(_, after)| after);
    match Script::in_text(text) {
        Some(Ok(script)) => Ok(Some(Play {
            script,
            key: hash(directive),
            results: ask.results_after(anchor),
            claimed: None,
        })),
        Some(Err(error)) => Err(format!("scripted model: {error}")),
        None => Ok(None),
    }
}

fn spoilt(mut answer: Answer, fault: Option<&FaultKind>) -> Answer {
    answer.no_usage = matches!(fault, Some(FaultKind::NoUsage));
    answer.bad_tool_json = matches!(fault, Some(FaultKind::BadToolJson));
    answer
}

fn hash(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
