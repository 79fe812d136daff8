//! Driving a run with a face on it: the live view on a terminal, plain lines elsewhere, JSON lines for programs.

use super::{Context, Done, by, now};
use crate::{args::Manner, exit::Exit, live::Live, render};
use maestria_kernel::{
    Command, Event, Run, RunId, Seq,
    decision::{About, Decision},
    port::Stored,
    state::RunState,
};
use maestria_server::{App, EngineError, Leave, Patience};
use std::{
    collections::VecDeque,
    io::{BufRead as _, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{broadcast, mpsc, watch};

/// Recent lines shown below the plan.
const LOG: usize = 6;

/// The number of a run's first event.
const FIRST: Seq = Seq(1);

/// Drives a run to its end, or until only a person can go on and none is here; then closes the product.
pub(crate) async fn drive(context: &Context, app: &App, id: RunId, manner: &Manner) -> Done {
    app.observe().await;
    let done = drive_all(context, app, id, manner).await;
    app.close().await;
    done
}

async fn drive_all(context: &Context, app: &App, id: RunId, manner: &Manner) -> Done {
    let interactive = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !manner.jsonl;
    let patience = if interactive { Patience::Wait } else { Patience::Leave };
    let mut face = Face::new(context, manner, app.engine.load(id).await?, interactive);
    face.begin(app).await?;
    let mut lines = interactive.then(read_lines);
    loop {
        let (run, leave) = drive_once(app, &mut face, &mut lines, patience).await?;
        // The driver leaves as soon as only a person can go on; here the recommendations are that person.
        if leave != Leave::No || !face.answer_recommended(app).await {
            face.end(&run);
            return Ok(exit_of(&run));
        }
    }
}

async fn drive_once(
    app: &App,
    face: &mut Face<'_>,
    lines: &mut Option<mpsc::Receiver<String>>,
    patience: Patience,
) -> Result<(Run, Leave), super::Failure> {
    let id = face.run.id;
    face.answered = false;
    let (leave, leaving) = watch::channel(Leave::No);
    let mut news = app.engine.watch(id).await;
    // On its own: while an answer is sent to the driver, the driver has to run.
    let engine = app.engine.clone();
    let mut driving = tokio::spawn(async move { engine.drive(id, patience, leaving).await });
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut interrupts = 0u8;
    let ended = loop {
        tokio::select! {
            ended = &mut driving => break ended,
            told = news.recv() => face.hear(app, told).await?,
            _ = tick.tick() => face.paint(),
            _ = tokio::signal::ctrl_c() => {
                interrupts = interrupts.saturating_add(1);
                face.interrupted(interrupts);
                // Only the driver listens; it may have ended this very moment.
                let _ = leave.send(if interrupts == 1 { Leave::Pause } else { Leave::Abort });
            }
            Some(line) = next_line(lines) => face.answer(app, &line).await,
        }
        face.answer_recommended(app).await;
    };
    let ended = ended.map_err(|defect| EngineError::Bug {
        what: format!("the driver ended early: {defect}"),
    })?;
    let caught_up = face.catch_up(app).await;
    let run = ended?;
    caught_up?;
    Ok((run, *leave.borrow()))
}

async fn next_line(lines: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

/// Lines from stdin, read by a thread of its own: a blocking read cannot be cancelled, and ends with the process.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn answer(app: &App, decision: &Decision, option: Option<usize>) {
    let choice = option
        .and_then(|n| decision.options.get(n))
        .map_or(decision.recommended, |o| o.choice);
    let command = Command::Answer {
        decision: decision.id,
        choice: Some(choice),
        approve: true,
        by: by(),
        because: String::new(),
    };
    if let Some(run) = app.run_of(decision.id).await
        && let Err(error) = app.engine.send(run, command).await
    {
        eprintln!("{error}");
    }
}

/// Whether `--yes` speaks for a person here: of money it does not.
fn may_be_taken(decision: &Decision) -> bool {
    !matches!(decision.about, About::Budget)
}

/// What a person sees of a run while it is driven.
struct Face<'a> {
    context: &'a Context,
    run: Run,
    live: Option<Live>,
    jsonl: bool,
    yes: bool,
    recommended: VecDeque<Decision>,
    /// A recommended answer was given since the driver began.
    answered: bool,
    log: VecDeque<String>,
}

impl<'a> Face<'a> {
    fn new(context: &'a Context, manner: &Manner, run: Run, interactive: bool) -> Self {
        let live = (interactive && !context.verbose).then(Live::new);
        let recommended = VecDeque::new();
        Self {
            context,
            run,
            live,
            jsonl: manner.jsonl,
            yes: manner.yes,
            recommended,
            answered: false,
            log: VecDeque::new(),
        }
    }

    async fn begin(&mut self, app: &App) -> Result<(), super::Failure> {
        let text = self
            .run
            .request
            .as_ref()
            .map(|r| r.text.lines().next().unwrap_or_default().to_owned());
        if !self.jsonl {
            eprintln!("{}  {}", self.run.id, render::clean(&text.unwrap_or_default()));
        }
        if self.yes {
            let open = self.run.open_decisions().filter(|d| may_be_taken(d));
            self.recommended.extend(open.cloned());
        }
        if self.jsonl && self.run.seq == FIRST {
            // A new run is told from its first event.
            for stored in app.engine.store().events(self.run.id, Seq(0), 1).await? {
                println!("{}", render::json_line(self.run.id, &stored));
            }
        }
        Ok(())
    }

    async fn hear(
        &mut self,
        app: &App,
        told: Result<Arc<Stored>, broadcast::error::RecvError>,
    ) -> Result<(), super::Failure> {
        match told {
            // What was entered into the log while nobody drove is not in the news.
            Ok(stored) if stored.seq.0 > self.run.seq.0 + 1 => self.catch_up(app).await?,
            Ok(stored) => self.tell(&stored),
            Err(broadcast::error::RecvError::Lagged(_)) => self.catch_up(app).await?,
            // The sender lives as long as the engine; with nothing to hear, the tick paints on.
            Err(broadcast::error::RecvError::Closed) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        Ok(())
    }

    /// Reads from the log what went by too fast.
    async fn catch_up(&mut self, app: &App) -> Result<(), super::Failure> {
        loop {
            let page = app.engine.store().events(self.run.id, self.run.seq, 4096).await?;
            if page.is_empty() {
                return Ok(());
            }
            page.iter().for_each(|stored| self.tell(stored));
        }
    }

    /// Takes account of an event, once.
    fn tell(&mut self, stored: &Stored) {
        if stored.seq <= self.run.seq {
            return;
        }
        self.run.apply(&stored.event, stored.at);
        if self.jsonl {
            println!("{}", render::json_line(self.run.id, stored));
        } else if let Some(line) = render::line(stored, &self.run, self.context.verbose, self.context.paint) {
            self.say(line);
        }
        if let (true, Event::DecisionRequested { decision }) = (self.yes, &stored.event)
            && may_be_taken(decision)
        {
            self.recommended.push_back((**decision).clone());
        }
    }

    fn say(&mut self, line: String) {
        if self.live.is_none() {
            eprintln!("{line}");
            return;
        }
        self.log.push_back(line);
        if self.log.len() > LOG {
            self.log.pop_front();
        }
    }

    /// With `--yes`: gives the recommended answers. Whether there was one to give since the last time a driver ended.
    async fn answer_recommended(&mut self, app: &App) -> bool {
        while let Some(decision) = self.recommended.pop_front() {
            self.answered = true;
            answer(app, &decision, None).await;
        }
        self.answered
    }

    fn paint(&mut self) {
        // Asking a terminal for its size is not free, and may start a program where there is none.
        if self.live.is_none() {
            return;
        }
        let frame = self.frame();
        if let Some(live) = &mut self.live {
            live.paint(&frame);
        }
    }

    fn frame(&self) -> Vec<String> {
        let (width, height) = Live::size();
        let log: Vec<String> = self.log.iter().cloned().collect();
        render::frame(&self.run, now(), width, height, &log, self.context.paint)
    }

    fn interrupted(&mut self, times: u8) {
        let id = self.run.id.short();
        let text = match times {
            1 => format!("pausing; `maestria resume {id}` goes on. Ctrl-C again aborts the run."),
            _ => "aborting".to_owned(),
        };
        if let Some(live) = &mut self.live {
            live.print_above(&text);
        } else {
            eprintln!("{text}");
        }
    }

    /// A typed line answers the oldest question: `a`, `d`, or the number of an option.
    async fn answer(&mut self, app: &App, line: &str) {
        let Some(decision) = self.run.open_decisions().next().cloned() else {
            return;
        };
        let last = decision.options.len().saturating_sub(1);
        let option = match line.trim() {
            "a" | "approve" | "y" | "yes" => Some(0),
            "d" | "deny" | "n" | "no" => Some(last),
            number => number
                .parse::<usize>()
                .ok()
                .and_then(|n| n.checked_sub(1))
                .filter(|n| *n <= last),
        };
        match option {
            Some(option) => answer(app, &decision, Some(option)).await,
            None => self.say(format!("type a (approve), d (deny) or 1 to {}", last + 1)),
        }
    }

    fn end(&mut self, run: &Run) {
        self.run = run.clone();
        if let Some(live) = self.live.take() {
            live.finish(&self.frame());
        }
        if !self.jsonl {
            println!("{}", render::summary(run, self.context.paint));
        }
        // A closed pipe is the reader's choice.
        let _ = std::io::stdout().flush();
    }
}

/// What a run's end means to the caller.
pub(crate) fn exit_of(run: &Run) -> Exit {
    let budget = run.open_decisions().any(|d| matches!(d.about, About::Budget));
    match run.state {
        RunState::Completed => Exit::Ok,
        RunState::Failed => Exit::RunFailed,
        RunState::Aborted | RunState::Aborting | RunState::Paused(_) => Exit::Paused,
        RunState::Escalated(_) if budget => Exit::Budget,
        RunState::Escalated(_) => Exit::Waiting,
        RunState::Active(_) => Exit::Paused,
    }
}
