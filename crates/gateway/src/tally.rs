//! The meter of one call: counts while the answer passes, and settles when it ends, however it ends.

use crate::{
    budget::{Budgets, Hold},
    catalogue::Price,
    key::Who,
    lane::UnderWay,
    pass::Pass,
    wire::{Counts, Fault, Piece, Stop},
};
use maestria_kernel::{Cost, Tokens, Usage, ledger::CallRow, model::CallNews};
use std::{sync::Arc, time::Instant};

/// What a call uses, as far as it is known.
#[derive(Debug)]
pub(crate) struct Tally {
    budgets: Arc<Budgets>,
    hold: Option<Hold>,
    price: Price,
    started: Instant,
    row: CallRow,
    counts: Option<Counts>,
    /// Bytes of content so far, for estimates.
    content: u64,
    sent: u64,
    begun: bool,
    ended: bool,
    scripted: bool,
    pass: Option<Arc<Pass>>,
    _under_way: Option<UnderWay>,
}

impl Tally {
    /// The meter of a call for which `hold` was taken and of which `row` says who calls and what for; `sent` bytes go
    /// out.
    pub(crate) fn new(budgets: Arc<Budgets>, hold: Hold, row: CallRow, sent: usize, who: &Who) -> Self {
        let row = CallRow {
            client: who.client.clone(),
            run: who.run.clone(),
            task: who.task.clone(),
            agent: who.agent.clone(),
            project: who.project.clone(),
            outcome: "cancelled".to_owned(),
            ..row
        };
        Self {
            budgets,
            hold: Some(hold),
            price: Price::FREE,
            started: Instant::now(),
            row,
            counts: None,
            content: 0,
            sent: sent as u64,
            begun: false,
            ended: false,
            scripted: false,
            pass: who.pass.clone(),
            _under_way: None,
        }
    }

    /// Counts from an earlier moment on.
    pub(crate) const fn since(mut self, started: Instant) -> Self {
        self.started = started;
        self
    }

    /// The pass the call came with.
    pub(crate) const fn pass(&self) -> Option<&Arc<Pass>> {
        self.pass.as_ref()
    }

    /// The answer comes from a script.
    pub(crate) const fn scripted(&mut self) {
        self.scripted = true;
    }

    /// Why it goes where it goes.
    pub(crate) fn because(&mut self, reason: &str) {
        reason.clone_into(&mut self.row.reason);
    }

    /// Who answers.
    pub(crate) fn answered_by(
        &mut self,
        provider: &str,
        model: &str,
        price: Price,
        retries: u32,
        under_way: Option<UnderWay>,
    ) {
        provider.clone_into(&mut self.row.provider);
        model.clone_into(&mut self.row.model);
        self.price = price;
        self.row.retries = retries;
        self.begun = true;
        self._under_way = under_way;
    }

    /// The answer of a model is given again: nothing was sent, and it is whole.
    pub(crate) fn given_again(mut self, model: &str) {
        let (provider, model) = model.split_once('/').unwrap_or(("", model));
        provider.clone_into(&mut self.row.provider);
        model.clone_into(&mut self.row.model);
        self.done();
    }

    /// It has ended well.
    pub(crate) fn is_ok(&self) -> bool {
        self.ended && self.row.outcome == "ok"
    }

    /// Nobody answered.
    pub(crate) fn gave_up(&mut self, provider: &str, retries: u32, fault: &Fault) {
        provider.clone_into(&mut self.row.provider);
        self.row.retries = retries;
        self.failed(fault);
    }

    /// What has come.
    pub(crate) fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Counts(counts) => self.counts(*counts),
                Piece::Text(text) | Piece::Thought(text) | Piece::Arguments(text) => self.content += text.len() as u64,
                Piece::Fault(fault) => self.failed(fault),
                Piece::Stop(stop) => self.stopped(*stop),
                Piece::Begin { .. } | Piece::Proof(_) | Piece::Call { .. } => {}
            }
            if self.row.first_millis == 0 && piece.is_content() {
                self.first();
            }
        }
    }

    /// Events that were passed on unread. About a sixth of their bytes is content.
    pub(crate) const fn unread(&mut self, bytes: u64) {
        self.content += bytes / 6;
    }

    /// The first content is there.
    pub(crate) fn first(&mut self) {
        self.row.first_millis = millis(self.started).max(1);
    }

    /// Why the model stopped.
    pub(crate) fn stopped(&mut self, stop: Stop) {
        stop.as_str().clone_into(&mut self.row.finish);
    }

    /// What the provider counted.
    pub(crate) fn counts(&mut self, counts: Counts) {
        self.counts.get_or_insert_default().merge(counts);
    }

    /// It failed.
    pub(crate) fn failed(&mut self, fault: &Fault) {
        self.ended = true;
        "failed".clone_into(&mut self.row.outcome);
        fault.kind.code().clone_into(&mut self.row.code);
    }

    /// It was not made.
    pub(crate) fn refused(mut self, fault: &Fault) {
        self.failed(fault);
        "refused".clone_into(&mut self.row.outcome);
        fault.message.clone_into(&mut self.row.reason);
    }

    /// It is whole.
    pub(crate) fn done(&mut self) {
        if !self.ended {
            self.ended = true;
            "ok".clone_into(&mut self.row.outcome);
        }
    }

    /// The provider that answers.
    pub(crate) fn provider(&self) -> &str {
        &self.row.provider
    }

    /// The call's id.
    pub(crate) fn request(&self) -> &str {
        &self.row.request
    }

    /// The name of the model that answers, for a header.
    pub(crate) fn model(&self) -> String {
        format!("{}/{}", self.row.provider, self.row.model)
    }

    /// The counts: as told, or about four bytes a token.
    fn counted(&mut self) -> Counts {
        let told = self.counts.unwrap_or_default();
        // A client that leaves in the middle keeps the provider from telling, but not from charging.
        let guessed = self.content.div_ceil(4);
        let whole = self.row.outcome == "ok" && told.output > 0;
        self.row.estimated = self.begun && (told.input == 0 || !whole && guessed > told.output);
        Counts {
            input: if told.input == 0 && self.begun {
                self.sent.div_ceil(4)
            } else {
                told.input
            },
            output: if whole { told.output } else { told.output.max(guessed) },
            ..told
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Tally {
    /// Settles: what the call used. Nothing counts any more afterwards.
    pub(crate) fn settle(&mut self) -> Usage {
        let counts = if self.begun { self.counted() } else { Counts::default() };
        let cost = if self.begun {
            self.price.cost(&counts)
        } else {
            Cost::ZERO
        };
        let usage = Usage {
            input: Tokens(counts.input),
            cached: Tokens(counts.cached),
            output: Tokens(counts.output),
            cost,
        };
        let Some(hold) = self.hold.take() else { return usage };
        let mut row = std::mem::take(&mut self.row);
        row.input = counts.input;
        row.cached = counts.cached;
        row.written = counts.written;
        row.output = counts.output;
        row.reasoning = counts.reasoning;
        row.cost = cost;
        row.millis = millis(self.started);
        if let Some(pass) = self.pass.as_ref().filter(|_| usage != Usage::default()) {
            pass.tell(CallNews::Called {
                model: format!("{}/{}", row.provider, row.model),
                usage,
                millis: row.millis,
                scripted: self.scripted,
                request: row.request.clone(),
            });
        }
        self.budgets.settle(hold, cost, Some(row));
        usage
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.settle();
    }
}
