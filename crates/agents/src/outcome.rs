//! How an attempt really ended: judged from the stream, stderr, the git tree and the exit code together.
//!
//! Exit code 0 is not success, and neither is an agent's word: an agent that was denied every write ends politely, says
//! it is done and exits with 0. A success needs the terminal event, no denial that was not got over, and a tree that
//! shows the change where one was asked for. Pure; [`tree`] is the part that runs git.

pub mod report;
pub mod seen;
pub mod tree;

#[cfg(test)]
mod tests;

use crate::{
    cli::{config::Kind, text::one_line},
    recovery::{self, Found, Place, Repair, Sign},
};
use maestria_kernel::{
    outcome::{Claim, Outcome, Verdict},
    time::At,
};
use seen::{By, Denial, End, Reset, Seen, Trouble};
use std::time::Duration;
use tree::TreeFacts;

/// What was asked of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// A change in the tree.
    Change,
    /// An answer, and an unchanged tree.
    Answer,
    /// Not known: a recorded stream.
    Unknown,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel ended something of it for want of memory.
    pub out_of_memory: bool,
}

impl Exit {
    /// Ended by itself with this code.
    pub const fn code(code: i32) -> Self {
        Self {
            code: Some(code),
            signal: None,
            out_of_memory: false,
        }
    }

    /// The kernel's form: negative for a signal.
    pub fn number(self) -> Option<i32> {
        self.code.or(self.signal.map(|signal| -signal))
    }

    /// Whether it looks like SIGINT or SIGTERM, directly or as a shell reports it.
    const fn is_signalled(self) -> bool {
        matches!(self.signal, Some(2 | 15)) || matches!(self.code, Some(130 | 143))
    }
}

/// Why a process is no longer there, as far as its supervisor knows.
#[derive(Debug, Clone)]
pub enum Ended {
    /// A recorded stream: nobody knows.
    Unknown,
    /// Nobody here ended it.
    ByItself,
    /// It was stopped here, on request.
    Stopped,
    /// It was stopped here because nothing was heard for this long.
    Idle(Duration),
    /// It was stopped here because its time was up.
    Overtime(Duration),
    /// It was stopped here because it had added so many bytes to the disk.
    Overfull {
        /// The most that it might.
        limit: u64,
        /// What it had added.
        added: u64,
    },
    /// It was stopped here because its stderr showed a problem it would not get over.
    OnSign(Box<Found>),
    /// It could not be started.
    NotStarted(String),
}

/// Everything there is to judge by.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The kind of agent.
    pub kind: Kind,
    /// What its stream has shown.
    pub seen: &'a Seen,
    /// The known problems on its stderr.
    pub stderr: &'a [Found],
    /// Its last words on stderr.
    pub last_words: &'a str,
    /// How its process ended; `None` when that is not known.
    pub exit: Option<Exit>,
    /// Why it ended.
    pub ended: &'a Ended,
    /// What git says; `None` when there is no tree to look at.
    pub tree: Option<&'a TreeFacts>,
    /// What was asked for.
    pub expect: Expect,
    /// The moment of the judgement.
    pub now: At,
}

/// A verdict with the problem behind it, if it is a known one.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The outcome.
    pub outcome: Outcome,
    /// The problem to repair.
    pub found: Option<Found>,
}

/// A verdict on its way: the reason, and the problem behind it.
type Ruling = (Verdict, String, Option<Found>);

/// Judges an attempt.
pub fn judge(evidence: &Evidence<'_>) -> Judgement {
    let (verdict, reason, found) = rule(evidence);
    let seen = evidence.seen;
    let outcome = Outcome {
        verdict,
        reason: one_line(&reason, 600),
        report: seen.report.clone(),
        claims: claims(evidence),
        commit: None,
        files: evidence.tree.map(|tree| tree.files.clone()).unwrap_or_default(),
        denials: seen.denials.iter().map(|denial| denial.what.clone()).collect(),
        exit_code: evidence.exit.and_then(Exit::number),
        session: seen.session.clone(),
        usage: seen.usage,
        retry_at: retry_at(evidence, verdict),
    };
    Judgement { outcome, found }
}

fn rule(evidence: &Evidence<'_>) -> Ruling {
    if let Ended::NotStarted(why) = evidence.ended {
        return (Verdict::NotStarted, why.clone(), None);
    }
    match evidence.seen.end {
        Some(End::Success) => finished(evidence),
        Some(End::Limit) => {
            let reason = "the agent's own limit of turns, tokens or money ended it".to_owned();
            (Verdict::LimitReached, reason, None)
        }
        Some(End::Interrupted) => interrupted(evidence),
        Some(End::Error) if matches!(evidence.ended, Ended::Stopped) || evidence.seen.interrupted => {
            interrupted(evidence)
        }
        Some(End::Error) => failed(evidence),
        None => vanished(evidence),
    }
}

/// The agent says that it has finished.
fn finished(evidence: &Evidence<'_>) -> Ruling {
    let seen = evidence.seen;
    let changed = evidence.tree.map(|tree| !tree.files.is_empty());
    let got_over = match evidence.expect {
        Expect::Change => changed == Some(true),
        Expect::Answer => has_answer(seen),
        Expect::Unknown => false,
    };
    if let Some(denial) = decisive(seen, got_over) {
        return denied(evidence, denial);
    }
    // Codex leaves out the item of a patch that is rejected early: only stderr tells.
    if seen.denials.is_empty()
        && !got_over
        && let Some(found) = evidence.stderr.iter().find(|found| is_denial(found.problem.verdict))
    {
        return by_problem(found.clone());
    }
    match (evidence.expect, changed) {
        (Expect::Change, Some(false)) => {
            let claim = match seen.edits.as_slice() {
                [] => "the agent says it is done".to_owned(),
                edits => format!("the agent says it changed {}", edits.join(", ")),
            };
            let reason = format!("{claim}, but git sees no change in its worktree");
            (Verdict::NoChange, reason, None)
        }
        (Expect::Answer, _) if !has_answer(seen) => {
            let reason = "the agent finished without an answer".to_owned();
            (Verdict::Failed, reason, None)
        }
        _ => (Verdict::Completed, completed(evidence), None),
    }
}

fn completed(evidence: &Evidence<'_>) -> String {
    let denials = evidence.seen.denials.len();
    let over = if denials == 0 {
        String::new()
    } else {
        format!("; {denials} requests were denied on the way and got over")
    };
    match evidence.tree {
        Some(tree) if !tree.files.is_empty() => format!("finished, and git sees {}{over}", tree.summary()),
        Some(_) => format!("finished with an answer{over}"),
        None => format!("finished; there was no tree to look at{over}"),
    }
}

fn has_answer(seen: &Seen) -> bool {
    seen.structured.is_some() || !seen.report.trim().is_empty()
}

/// The denial that decides the attempt, worst first. What the agent's own rules kept it from writing is not done; what
/// we denied, or a sandbox did, it may have got over.
fn decisive(seen: &Seen, got_over: bool) -> Option<&Denial> {
    let counts = |denial: &&Denial| denial.by == By::Agent || !got_over;
    let outside = seen.denials.iter().filter(counts).find(|denial| denial.outside);
    outside.or_else(|| seen.denials.iter().find(counts))
}

fn denied(evidence: &Evidence<'_>, denial: &Denial) -> Ruling {
    let outside = denial.outside;
    let found = problem_behind(evidence, denial).map(|found| Found {
        path: denial.path.clone().or(found.path.clone()),
        ..found
    });
    let by = match denial.by {
        By::Agent => "the agent's rules denied",
        By::Host => "it was denied",
        By::Sandbox => "a sandbox prevented",
    };
    if outside {
        let path = denial.path.as_deref().unwrap_or("a path");
        let reason = format!(
            "{path} lies outside the directories the agent may use; {by}: {}",
            denial.what
        );
        (Verdict::OutsideWorkspace, reason, found)
    } else {
        (Verdict::Denied, format!("{by}: {}", denial.what), found)
    }
}

/// The known problem that a denial shows: named when it was read, or in its words, or on stderr.
fn problem_behind(evidence: &Evidence<'_>, denial: &Denial) -> Option<Found> {
    let cli = evidence.kind.as_str();
    let named = denial.problem.and_then(|id| recovery::named(id, &denial.what));
    let worded = || {
        recovery::find(Sign {
            cli,
            place: Place::Tool,
            text: &denial.what,
            status: None,
            exit: None,
        })
    };
    let complained = || {
        evidence
            .stderr
            .iter()
            .find(|found| is_denial(found.problem.verdict))
            .cloned()
    };
    let known = named.or_else(worded).or_else(complained);
    let fitting = known.filter(|found| !denial.outside || found.problem.repair == Repair::AddDirectory);
    fitting.or_else(|| denial.outside.then(|| recovery::outside(cli, &denial.what)).flatten())
}

const fn is_denial(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Denied | Verdict::OutsideWorkspace)
}

fn by_problem(found: Found) -> Ruling {
    let hint = &found.problem.hint;
    let hint = if hint.is_empty() {
        String::new()
    } else {
        format!(" ({hint})")
    };
    (found.problem.verdict, format!("{}{hint}", found.text), Some(found))
}

fn interrupted(evidence: &Evidence<'_>) -> Ruling {
    match evidence.ended {
        Ended::Idle(span) => timed_out(*span),
        Ended::Overtime(span) => overtime(*span),
        Ended::Overfull { limit, added } => overfull(*limit, *added),
        Ended::OnSign(found) => by_problem((**found).clone()),
        Ended::Unknown | Ended::ByItself | Ended::Stopped | Ended::NotStarted(_) => {
            (Verdict::Interrupted, "the turn was interrupted".to_owned(), None)
        }
    }
}

fn overfull(limit: u64, added: u64) -> Ruling {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let reason = format!("it added {} MiB to the disk; it may add {} MiB", mib(added), mib(limit));
    (Verdict::LimitReached, reason, None)
}

fn timed_out(span: Duration) -> Ruling {
    let reason = format!("nothing was heard of the agent for {} s", span.as_secs());
    (Verdict::TimedOut, reason, None)
}

fn overtime(span: Duration) -> Ruling {
    let reason = format!("the attempt took longer than its limit of {} s", span.as_secs());
    (Verdict::TimedOut, reason, None)
}

/// The agent says that it has failed.
fn failed(evidence: &Evidence<'_>) -> Ruling {
    let unknown = Trouble {
        status: None,
        text: "the agent ended with an error it did not name".to_owned(),
    };
    let trouble = evidence.seen.trouble.as_ref().unwrap_or(&unknown);
    named(evidence, trouble)
        .or_else(|| on_stderr(evidence))
        .unwrap_or_else(|| (Verdict::Failed, trouble.text.clone(), None))
}

fn named(evidence: &Evidence<'_>, trouble: &Trouble) -> Option<Ruling> {
    let found = recovery::find(Sign {
        cli: evidence.kind.as_str(),
        place: Place::Error,
        text: &trouble.text,
        status: trouble.status,
        exit: None,
    })?;
    Some(by_problem(found))
}

fn on_stderr(evidence: &Evidence<'_>) -> Option<Ruling> {
    // The last sign is nearest to the end.
    evidence.stderr.last().cloned().map(by_problem)
}

/// The process is gone and its terminal event is missing.
fn vanished(evidence: &Evidence<'_>) -> Ruling {
    let seen = evidence.seen;
    let exit = evidence.exit.unwrap_or_default();
    if exit.out_of_memory {
        let reason = "the kernel ended it for using more memory than its limit".to_owned();
        return (Verdict::OutOfMemory, reason, None);
    }
    let behind = || {
        seen.retrying
            .as_ref()
            .and_then(|trouble| named(evidence, trouble))
            .or_else(|| on_stderr(evidence))
    };
    match evidence.ended {
        Ended::Stopped => return (Verdict::Interrupted, "it was stopped".to_owned(), None),
        Ended::OnSign(found) => return by_problem((**found).clone()),
        // An agent that is silent because it waits for its provider has a better name than "silent".
        Ended::Idle(span) => return behind().unwrap_or_else(|| timed_out(*span)),
        Ended::Overtime(span) => return behind().unwrap_or_else(|| overtime(*span)),
        Ended::Overfull { limit, added } => return overfull(*limit, *added),
        Ended::Unknown | Ended::ByItself | Ended::NotStarted(_) => {}
    }
    let interrupted = seen.interrupted || exit.is_signalled();
    let known = seen
        .trouble
        .as_ref()
        .and_then(|trouble| named(evidence, trouble))
        .or_else(|| on_stderr(evidence));
    if interrupted {
        return (Verdict::Interrupted, "it was ended by a signal".to_owned(), None);
    }
    if let Some(ruling) = known.or_else(|| by_exit(evidence)) {
        return ruling;
    }
    if seen.ended_on_denial
        && let Some(denial) = decisive(seen, false)
    {
        return denied(evidence, denial);
    }
    if let Some(trouble) = &seen.trouble {
        return (Verdict::Failed, trouble.text.clone(), None);
    }
    if looks_signalled(evidence) {
        let reason = "the stream stops in mid-turn without an error, as it does after a signal".to_owned();
        return (Verdict::Interrupted, reason, None);
    }
    if let Some(ruling) = behind() {
        return ruling;
    }
    (Verdict::Crashed, crashed(evidence), None)
}

fn by_exit(evidence: &Evidence<'_>) -> Option<Ruling> {
    let code = evidence.exit.and_then(|exit| exit.code);
    let found = recovery::find(Sign {
        cli: evidence.kind.as_str(),
        place: Place::Exit,
        text: evidence.last_words,
        status: None,
        exit: code,
    })?;
    let said = if found.text.is_empty() {
        format!("it ended with exit code {}", code.unwrap_or_default())
    } else {
        found.text.clone()
    };
    Some(by_problem(Found { text: said, ..found }))
}

/// A recorded stream whose turn stops between two lines, with the exit code each CLI is known to have after SIGINT. Of a
/// live process its supervisor knows better.
fn looks_signalled(evidence: &Evidence<'_>) -> bool {
    let seen = evidence.seen;
    let code = evidence.exit.and_then(|exit| exit.code);
    let usual = match evidence.kind {
        Kind::Codex => matches!(code, None | Some(1)),
        Kind::Claude | Kind::Gemini | Kind::Qwen | Kind::Opencode | Kind::Acp => matches!(code, None | Some(0)),
    };
    matches!(evidence.ended, Ended::Unknown) && seen.begun && !seen.cut && seen.retrying.is_none() && usual
}

fn crashed(evidence: &Evidence<'_>) -> String {
    let how = match evidence.exit {
        None => "the stream ends".to_owned(),
        Some(Exit {
            signal: Some(signal), ..
        }) => format!("the process was ended by signal {signal}"),
        Some(Exit { code: Some(code), .. }) => format!("the process ended with exit code {code}"),
        Some(Exit { code: None, .. }) => "the process ended".to_owned(),
    };
    let before = if evidence.seen.begun {
        "before its final event"
    } else {
        "before it began to work"
    };
    match evidence.last_words {
        "" => format!("{how} {before}"),
        words => format!("{how} {before}; stderr: {}", crate::cli::text::tail(words, 300)),
    }
}

fn retry_at(evidence: &Evidence<'_>, verdict: Verdict) -> Option<At> {
    match (verdict, evidence.seen.reset?) {
        (Verdict::RateLimited | Verdict::Unavailable, Reset::At(at)) => Some(at),
        (Verdict::RateLimited | Verdict::Unavailable, Reset::After(span)) => Some(evidence.now.after(span)),
        _ => None,
    }
}

/// Statements about the work: what git shows is proved, what the agent says is claimed.
fn claims(evidence: &Evidence<'_>) -> Vec<Claim> {
    let mut claims = Vec::new();
    if let Some(tree) = evidence.tree {
        claims.push(Claim::proved(tree.summary(), "git diff"));
        let absent = evidence.seen.edits.iter().filter(|edit| !tree.has(edit));
        claims.extend(absent.map(|edit| Claim::claimed(format!("changed {edit} (git sees no change there)"))));
    } else {
        let edits = evidence.seen.edits.iter();
        claims.extend(edits.map(|edit| Claim::claimed(format!("changed {edit}"))));
    }
    let report = one_line(&evidence.seen.report, 300);
    if !report.is_empty() {
        claims.push(Claim::claimed(report));
    }
    claims
}
