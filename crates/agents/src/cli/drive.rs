//! Drives one process of an agent to its end: streams in, answers out, permissions before effects, watchdogs, and a stop
//! that is polite first. The only part of [`crate::cli`] that touches a running process.

mod audience;
mod disk;
mod pipes;
mod watch;

pub use audience::Audience;
pub use watch::Times;

use crate::{
    binding,
    chain::chain,
    cli::{
        CallPricing,
        asked::{Asked, summary},
        config::Kind,
        notes::Step,
        reader::{Dialect, Reader},
        slot::Slot,
        stderr::Stderr,
        talk::{Answer, Out, Talk},
    },
    outcome::{
        Ended, Exit,
        seen::{By, End, Seen},
    },
    policy::{Place, Policy},
    recovery::Found,
    violation,
};
use disk::Disk;
use futures_util::stream::{FuturesUnordered, StreamExt};
use maestria_kernel::{
    Event, TaskId,
    decision::Choice,
    money::Usage,
    outcome::Verdict,
    permission::{Action, Permission, Ruling},
    port::Boxed,
    violation::{Kind as Breach, Violation},
};
use maestria_sandbox::{Grace, Limits, Spec, Stdin, Supervised};
use pipes::{Input, Record};
use serde_json::Value;
use std::{path::Path, pin::pin, sync::Arc, time::Duration};
use tokio::time::Instant;
use watch::{Alarm, Watch};

/// How long the streams may stay open after the process has ended.
const DRAIN: Duration = Duration::from_secs(2);
/// How often the watchdogs look.
const TICK: Duration = Duration::from_millis(100);
/// The pause in a message after which its beginning is told.
const PAUSE: Duration = Duration::from_millis(300);
/// How often what a worker uses is measured.
const MEASURE: Duration = Duration::from_secs(5);

/// One process to drive.
pub struct Order<'a> {
    /// The kind of agent.
    pub kind: Kind,
    /// What it writes.
    pub dialect: Dialect,
    /// How it is started.
    pub spec: Spec,
    /// A prompt for its stdin.
    pub stdin: Option<String>,
    /// Our side of the conversation.
    pub talk: Box<dyn Talk>,
    /// The task its events belong to.
    pub task: TaskId,
    /// Which attempt at the task.
    pub attempt: u16,
    /// Who hears of it.
    pub audience: Audience<'a>,
    /// What it may do.
    pub policy: &'a Policy,
    /// Where it stands.
    pub place: Place,
    /// Its time limits.
    pub times: Times,
    /// What earlier processes of the same session used.
    pub before: Usage,
    /// What a call costs where the agent does not say.
    pub pricing: Option<CallPricing>,
    /// The gateway counts its calls.
    pub metered: bool,
    /// The folder for its raw streams.
    pub record: Option<&'a Path>,
    /// The fingerprint of the environment its commands get, without what leads it to its models.
    pub environment: String,
    /// The most it may add to the disk, bytes; 0: no limit.
    pub disk: u64,
    /// The handle by which it is controlled.
    pub slot: &'a Slot,
}

impl std::fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order")
            .field("spec", &self.spec)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// What its stream has shown.
    pub seen: Seen,
    /// The known problems on its stderr.
    pub stderr: Vec<Found>,
    /// Its last words on stderr.
    pub last_words: String,
    /// How its process ended; `None` when it never ran.
    pub exit: Option<Exit>,
    /// Why it ended.
    pub ended: Ended,
    /// Paths that a person allowed it to write.
    pub accepted: Vec<String>,
    /// What it told about itself in its greeting.
    pub greeting: Option<Value>,
}

impl Ran {
    /// No process came to be, for this reason.
    pub(super) fn not_started(why: String) -> Self {
        Self {
            seen: Seen::default(),
            stderr: Vec::new(),
            last_words: String::new(),
            exit: None,
            ended: Ended::NotStarted(why),
            accepted: Vec::new(),
            greeting: None,
        }
    }
}

/// Starts a process and drives it until nothing of it is left.
pub async fn drive(order: Order<'_>) -> Ran {
    let mut spec = order.spec.clone();
    spec.stdin = if order.talk.speaks() || order.stdin.is_some() {
        Stdin::Pipe
    } else {
        Stdin::Null
    };
    let process = match Supervised::spawn(spec) {
        Ok(process) => process,
        Err(error) => return Ran::not_started(chain(&error)),
    };
    Driver::new(order, process).run().await
}

/// A question that waits for a person.
type Waiting<'a> = Boxed<'a, (Asked, Choice)>;

struct Driver<'a> {
    process: Arc<Supervised>,
    talk: Box<dyn Talk>,
    reader: Reader,
    stderr: Stderr,
    input: Input,
    record: Record,
    audience: Audience<'a>,
    policy: &'a Policy,
    place: Place,
    slot: &'a Slot,
    task: TaskId,
    attempt: u16,
    watch: Watch,
    limits: Limits,
    environment: String,
    disk: Disk,
    /// Limits that were broken already.
    broken: Vec<Breach>,
    waiting: FuturesUnordered<Waiting<'a>>,
    withdrawn: Vec<Value>,
    ended: Ended,
    accepted: Vec<String>,
    greeting: Option<Value>,
    grace: Duration,
    ending: Option<Boxed<'static, ()>>,
}

impl<'a> Driver<'a> {
    fn new(order: Order<'a>, mut process: Supervised) -> Self {
        let mut input = Input::new(process.take_stdin());
        if let Some(text) = order.stdin {
            input.send(text.into_bytes());
            input.close();
        }
        let mut reader = Reader::new(order.kind, order.dialect, order.task, order.before);
        reader.notes().pricing = order.pricing;
        reader.notes().metered = order.metered;
        Self {
            input,
            talk: order.talk,
            reader,
            stderr: Stderr::new(order.kind),
            record: Record::open(order.record),
            audience: order.audience,
            policy: order.policy,
            slot: order.slot,
            task: order.task,
            attempt: order.attempt,
            disk: Disk::new(vec![order.place.worktree.clone(), order.place.home.clone()], order.disk),
            place: order.place,
            grace: order.times.grace,
            watch: Watch::new(order.times),
            limits: order.spec.limits,
            environment: order.environment,
            broken: Vec::new(),
            waiting: FuturesUnordered::new(),
            withdrawn: Vec::new(),
            ended: Ended::ByItself,
            accepted: Vec::new(),
            greeting: None,
            ending: None,
            process: Arc::new(process),
        }
    }

    async fn run(mut self) -> Ran {
        let (stdout, stderr) = self.streams();
        let (mut stdout, mut stderr) = (stdout, stderr);
        self.slot.enter(self.process.clone()).await;
        self.tell_start();
        let first = self.talk.open();
        self.perform(first);
        let waiter = self.process.clone();
        let mut wait = pin!(async move { waiter.wait().await });
        let mut exit = None;
        let mut wishes = self.slot.wishes();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut out, mut err) = (vec![0; 64 << 10], vec![0; 16 << 10]);
        let mut drained: Option<Instant> = None;
        let (mut out_open, mut err_open) = (stdout.is_some(), stderr.is_some());
        if wishes.borrow().stopped {
            self.give_up(Ended::Stopped);
        }
        while exit.is_none() || ((out_open || err_open) && drained.is_none_or(|since| since.elapsed() < DRAIN)) {
            tokio::select! {
                read = pipes::read(&mut stdout, &mut out), if out_open => match read {
                    0 => out_open = false,
                    count => self.heard(&out[..count]),
                },
                read = pipes::read(&mut stderr, &mut err), if err_open => match read {
                    0 => err_open = false,
                    count => self.complained(&err[..count]),
                },
                Some((asked, choice)) = self.waiting.next(), if !self.waiting.is_empty() => self.decided(&asked, choice),
                Ok(()) = wishes.changed() => {
                    if wishes.borrow_and_update().stopped {
                        self.give_up(Ended::Stopped);
                    }
                }
                ended = &mut wait, if exit.is_none() => {
                    drained = Some(Instant::now());
                    exit = Some(ended);
                }
                () = self.input.pump() => {}
                () = pipes::maybe(&mut self.ending) => {}
                _ = ticks.tick() => {
                    self.tick();
                    self.look_at_disk().await;
                }
            }
        }
        self.slot.leave();
        self.close(exit)
    }

    fn streams(&mut self) -> (Option<tokio::process::ChildStdout>, Option<tokio::process::ChildStderr>) {
        match Arc::get_mut(&mut self.process) {
            Some(process) => (process.take_stdout(), process.take_stderr()),
            None => (None, None),
        }
    }

    fn close(mut self, exit: Option<maestria_sandbox::Exit>) -> Ran {
        self.record.finish();
        let rest = self.reader.finish();
        self.steps(rest);
        self.stderr.finish();
        self.measure();
        let exit = exit.map(|exit| Exit {
            code: exit.code,
            signal: exit.signal,
            out_of_memory: exit.out_of_memory,
        });
        self.look_at_strangers();
        self.look_at_limits(exit.is_some_and(|exit| exit.out_of_memory));
        Ran {
            last_words: self.stderr.last_words(),
            stderr: self.stderr.found().to_vec(),
            seen: self.reader.into_seen(),
            exit,
            ended: self.ended,
            accepted: self.accepted,
            greeting: self.greeting,
        }
    }

    fn tell_start(&self) {
        let enforced = self.process.enforced();
        let limits = [
            ("memory", enforced.memory),
            ("processor", enforced.cpu),
            ("processes", enforced.processes),
            ("open files", enforced.open_files),
            ("file size", enforced.file_size),
        ];
        let limits = limits
            .into_iter()
            .filter_map(|(name, by)| by.map(|by| format!("{name} by {by}")));
        let contained = match (self.process.standing(), self.process.tier()) {
            (Some(standing), _) => format!("sandbox, {standing}"),
            (None, maestria_sandbox::Tier::Namespace) => "user and process namespace".to_owned(),
            (None, maestria_sandbox::Tier::Subreaper) => "subreaper".to_owned(),
        };
        self.audience.tell(Event::TaskStarted {
            task: self.task,
            attempt: self.attempt,
            agent: self.audience.agent.clone(),
            pid: u32::try_from(self.process.pid()).ok(),
            contained,
            limits: limits.collect(),
        });
    }

    fn heard(&mut self, bytes: &[u8]) {
        self.watch.heard();
        self.record.stdout(bytes);
        let steps = self.reader.push(bytes);
        self.steps(steps);
    }

    fn complained(&mut self, bytes: &[u8]) {
        self.watch.heard();
        self.record.stderr(bytes);
        let found = self.stderr.push(bytes);
        // A provider that refuses for the time being is not waited for behind the agent's back.
        let hopeless = found
            .into_iter()
            .find(|found| matches!(found.problem.verdict, Verdict::RateLimited | Verdict::Unavailable));
        if let Some(found) = hopeless {
            self.give_up(Ended::OnSign(Box::new(found)));
        }
    }

    fn steps(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Saw(event) => self.audience.tell(event),
                Step::Asked(asked) => self.asked(asked),
                Step::Strange { id, method } => {
                    let out = self.talk.refuse(&id, &method);
                    self.perform(out);
                }
                Step::Withdrawn(id) => self.withdrawn.push(id),
                Step::Replied { .. } | Step::Turn(_) | Step::Ended => {
                    if let Step::Replied { result: Ok(result), .. } = &step
                        && self.greeting.is_none()
                    {
                        self.greeting = Some(result.clone());
                    }
                    let out = self.talk.on(&step);
                    self.perform(out);
                }
            }
        }
    }

    fn perform(&mut self, outs: Vec<Out>) {
        for out in outs {
            match out {
                Out::Send(line) => self.input.send(format!("{line}\n").into_bytes()),
                Out::Mute(muted) => self.reader.notes().muted = muted,
                Out::Session(id) => {
                    self.reader.notes().session(&id);
                    let steps = self.reader.notes().take();
                    self.steps(steps);
                }
                Out::Over => {
                    self.input.close();
                    self.watch.over();
                    if self.watch.is_stopping() {
                        self.end_process();
                    }
                }
                Out::Failed(why) => {
                    self.reader.notes().trouble(None, &why);
                    self.reader.notes().end(End::Error);
                    self.reader.notes().take();
                    self.input.close();
                    self.watch.over();
                    self.end_process();
                }
            }
        }
    }

    fn asked(&mut self, asked: Asked) {
        let permission = self.policy.rule_now(&asked.question, &self.place);
        self.tell_ruling(&asked, &permission);
        match &permission.ruling {
            Ruling::Allow => self.answer(&asked, &permission, true),
            Ruling::Deny => {
                self.violated(violation::of_ruling(&asked.question, &permission));
                self.answer(&asked, &permission, false);
            }
            Ruling::Rewrite { .. } => {
                let rewrites = self.talk.rewrites();
                self.answer(&asked, &permission, rewrites);
            }
            Ruling::Ask => {
                // A protocol that names no folder means the one that the worker was started in.
                let named = asked.detail["cwd"].as_str().map(Path::new);
                let cwd = named.unwrap_or(&self.place.worktree);
                let question = binding::bound(&asked.question, cwd, &self.environment);
                let question = self.policy.offering(question, &permission);
                let Some(choice) = self.audience.ask(&question, &permission.because) else {
                    self.answer(&asked, &permission, false);
                    return;
                };
                self.waiting.push(Box::pin(async move { (asked, choice.await) }));
            }
        }
    }

    fn decided(&mut self, asked: &Asked, choice: Choice) {
        self.watch.heard();
        if self.withdrawn.contains(&asked.id) {
            return;
        }
        let allowed = choice == Choice::Accept;
        let (ruling, rule) = if allowed {
            (Ruling::Allow, "person.allowed")
        } else {
            (Ruling::Deny, "person.denied")
        };
        let permission = Permission {
            ruling,
            rule: rule.to_owned(),
            because: "a person decided".to_owned(),
        };
        if let (true, Action::Write { paths }) = (allowed, &asked.question.action) {
            self.accepted.extend(paths.iter().cloned());
        }
        self.tell_ruling(asked, &permission);
        self.answer(asked, &permission, allowed);
    }

    fn tell_ruling(&self, asked: &Asked, permission: &Permission) {
        self.audience.tell(Event::PermissionRuled {
            task: self.task,
            question: Box::new(asked.question.clone()),
            permission: Box::new(permission.clone()),
        });
    }

    fn answer(&mut self, asked: &Asked, permission: &Permission, allowed: bool) {
        if !allowed {
            let what = format!(
                "{} {} ({})",
                asked.question.tool,
                summary(&asked.question),
                permission.rule
            );
            let outside = permission.rule == "path.outside";
            let path = match &asked.question.action {
                Action::Write { paths } | Action::Read { paths } => paths.first().cloned(),
                Action::Run { .. } | Action::Fetch { .. } | Action::Other { .. } => None,
            };
            self.reader
                .notes()
                .deny(asked.call.as_deref(), &what, path, outside, By::Host);
        }
        let out = self.talk.answer(asked, Answer { allowed, permission });
        self.perform(out);
    }

    /// Ends the process for a reason: by the protocol first, then by signals.
    fn give_up(&mut self, why: Ended) {
        if self.watch.is_over() || self.watch.is_stopping() {
            // It has said its last word, or is on its way: only a stop can be more urgent than lingering.
            if matches!(why, Ended::Stopped) && self.ending.is_none() {
                self.end_process();
            }
            return;
        }
        self.ended = why;
        let interrupt = self.talk.interrupt();
        let polite = !interrupt.is_empty();
        self.perform(interrupt);
        self.watch.stopping();
        if !polite {
            self.end_process();
        }
    }

    fn end_process(&mut self) {
        if self.ending.is_some() {
            return;
        }
        let (process, grace) = (self.process.clone(), self.grace);
        let grace = Grace {
            interrupt: grace,
            terminate: grace,
        };
        self.ending = Some(Box::pin(async move {
            process.stop(grace).await;
        }));
    }

    fn tick(&mut self) {
        let still = self.process.is_frozen() || !self.waiting.is_empty();
        match self.watch.look(still) {
            None => {}
            Some(Alarm::Idle(span)) => self.give_up(Ended::Idle(span)),
            Some(Alarm::Overtime(span)) => {
                self.broke(violation::of_time(
                    "attempt",
                    span.as_secs(),
                    self.watch.busy().as_secs(),
                ));
                self.give_up(Ended::Overtime(span));
            }
            Some(Alarm::Deaf) => self.end_process(),
            Some(Alarm::Lingers(span)) => {
                let warning = format!("it lived on {} s after its final event and was ended", span.as_secs());
                self.audience.tell(Event::WorkerWarned {
                    task: self.task,
                    warning,
                });
                self.end_process();
            }
        }
        self.look_at_strangers();
        if self.watch.is_quiet(PAUSE) {
            self.reader.notes().tell_chunk();
            let steps = self.reader.notes().take();
            self.steps(steps);
        }
        if self.watch.is_time_to_measure(MEASURE) {
            self.measure();
            self.look_at_limits(false);
        }
    }

    async fn look_at_disk(&mut self) {
        if let Some(added) = self.disk.look().await {
            let limit = self.disk.limit();
            self.broke(violation::of_disk(&self.place.worktree, limit, added));
            self.give_up(Ended::Overfull { limit, added });
        }
    }

    fn look_at_strangers(&self) {
        self.violated(self.process.strangers().iter().map(violation::of_stranger));
    }

    fn look_at_limits(&mut self, out_of_memory: bool) {
        for found in violation::of_limits(&self.process, &self.limits, out_of_memory) {
            self.broke(found);
        }
    }

    /// A limit is broken once, however often it is looked at.
    fn broke(&mut self, found: Violation) {
        if !self.broken.contains(&found.kind) {
            self.broken.push(found.kind);
            self.violated([found]);
        }
    }

    fn violated(&self, found: impl IntoIterator<Item = Violation>) {
        for violation in found {
            self.audience.tell(violation.of(self.task));
        }
    }

    fn measure(&mut self) {
        let used = self.process.usage();
        let cpu_millis = u64::try_from(used.cpu.as_millis()).unwrap_or(u64::MAX);
        if self.watch.is_news(cpu_millis, used.memory, used.processes) {
            self.audience.tell(Event::WorkerMeasured {
                task: self.task,
                cpu_millis,
                memory_bytes: used.memory,
                processes: used.processes,
            });
        }
    }
}
