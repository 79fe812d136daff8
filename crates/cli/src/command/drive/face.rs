//! What a person, or a program, sees of a run while it goes on.

use super::super::{Context, Failure, now};
use crate::{
    args::Manner,
    live::Live,
    place::{Heard, Place},
    render,
};
use maestria_kernel::{
    Event, Run, Seq,
    decision::{About, Decision},
    port::Stored,
};
use std::{collections::VecDeque, io::Write as _};

/// Recent lines shown below the plan.
const LOG: usize = 6;

/// The number of a run's first event.
const FIRST: Seq = Seq(1);

/// Whether `--yes` speaks for a person here: of money it does not.
fn may_be_taken(decision: &Decision) -> bool {
    !matches!(decision.about, About::Budget)
}

/// What a person sees of a run while it is driven.
pub(super) struct Face<'a> {
    context: &'a Context,
    run: Run,
    live: Option<Live>,
    jsonl: bool,
    /// The end is for people.
    summarises: bool,
    yes: bool,
    recommended: VecDeque<Decision>,
    /// A recommended answer was given since the driver began.
    answered: bool,
    log: VecDeque<String>,
}

impl<'a> Face<'a> {
    pub(super) fn new(context: &'a Context, manner: &Manner, run: Run, interactive: bool) -> Self {
        let live = (interactive && !context.verbose).then(Live::new);
        let recommended = VecDeque::new();
        Self {
            context,
            run,
            live,
            jsonl: manner.jsonl,
            summarises: !manner.jsonl && !manner.json,
            yes: manner.yes,
            recommended,
            answered: false,
            log: VecDeque::new(),
        }
    }

    /// The run as it was told.
    pub(super) const fn run(&self) -> &Run {
        &self.run
    }

    pub(super) async fn begin(&mut self, place: &Place) -> Result<(), Failure> {
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
            for event in place.events(self.run.id, Seq(0), &[]).await?.iter().take(1) {
                println!("{}", render::json_line(self.run.id, &event.stored));
            }
        }
        self.catch_up(place).await?;
        let run = &self.run;
        let is_open = |decision: &Decision| run.decision(decision.id).is_some_and(Decision::is_open);
        self.recommended.retain(is_open);
        Ok(())
    }

    /// Somebody begins to drive.
    pub(super) fn begin_anew(&mut self) {
        self.answered = false;
    }

    pub(super) async fn hear(&mut self, place: &Place, heard: Heard) -> Result<(), Failure> {
        match heard {
            // What was entered into the log while nobody drove is not in the news.
            Heard::Event(stored) if stored.seq.0 > self.run.seq.0 + 1 => self.catch_up(place).await?,
            Heard::Event(stored) => self.tell(&stored),
            Heard::Missed => self.catch_up(place).await?,
            Heard::Note(text) => self.say(format!("note: {}", render::clean(&text))),
            Heard::Ended(_) => {}
        }
        Ok(())
    }

    /// Reads from the log what went by too fast.
    pub(super) async fn catch_up(&mut self, place: &Place) -> Result<(), Failure> {
        loop {
            let page = place.events(self.run.id, self.run.seq, &[]).await?;
            if page.is_empty() {
                return Ok(());
            }
            page.iter().for_each(|event| self.tell(&event.stored));
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
    pub(super) async fn answer_recommended(&mut self, place: &Place) -> bool {
        while let Some(decision) = self.recommended.pop_front() {
            self.answered = true;
            self.give(place, &decision, None).await;
        }
        self.answered
    }

    /// Gives an answer: an option, or the recommended one.
    async fn give(&self, place: &Place, decision: &Decision, option: Option<usize>) {
        let choice = option
            .and_then(|n| decision.options.get(n))
            .map_or(decision.recommended, |o| o.choice);
        let given = place.answer(self.run.id, decision.id, Some(choice), true, String::new());
        if let Err(failure) = given.await {
            eprintln!("{}", failure.what);
        }
    }

    pub(super) fn paint(&mut self) {
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

    pub(super) fn interrupted(&mut self, times: u8) {
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
    pub(super) async fn answer(&mut self, place: &Place, line: &str) {
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
            Some(option) => self.give(place, &decision, Some(option)).await,
            None => self.say(format!("type a (approve), d (deny) or 1 to {}", last + 1)),
        }
    }

    pub(super) fn end(&mut self, run: &Run) {
        self.run = run.clone();
        if let Some(live) = self.live.take() {
            live.finish(&self.frame());
        }
        if self.summarises {
            println!("{}", render::summary(run, self.context.paint));
        }
        // A closed pipe is the reader's choice.
        let _ = std::io::stdout().flush();
    }
}
