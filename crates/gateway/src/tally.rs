//! The meter of one call: counts while the answer passes, and settles when it ends, however it ends.

use crate::{
    budget::{Budgets, Hold},
    catalogue::Price,
    key::Who,
    lane::UnderWay,
    question::Question,
    wire::{Counts, Fault, Piece},
};
use maestria_kernel::{Cost, ledger::CallRow};
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
    _under_way: Option<UnderWay>,
}

impl Tally {
    pub(crate) fn new(budgets: Arc<Budgets>, hold: Hold, question: &Question, who: &Who, started: Instant) -> Self {
        let row = CallRow {
            at: question.at,
            request: question.id.clone(),
            client: who.client.clone(),
            run: who.run.clone(),
            task: who.task.clone(),
            agent: who.agent.clone(),
            project: who.project.clone(),
            asked: question.model.clone(),
            outcome: "cancelled".to_owned(),
            ..CallRow::default()
        };
        Self {
            budgets,
            hold: Some(hold),
            price: Price::FREE,
            started,
            row,
            counts: None,
            content: 0,
            sent: question.body.len() as u64,
            begun: false,
            ended: false,
            _under_way: None,
        }
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
                Piece::Begin { .. } | Piece::Proof(_) | Piece::Call { .. } | Piece::Stop(_) => {}
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

impl Drop for Tally {
    fn drop(&mut self) {
        let counts = if self.begun { self.counted() } else { Counts::default() };
        let cost = if self.begun {
            self.price.cost(&counts)
        } else {
            Cost::ZERO
        };
        let mut row = std::mem::take(&mut self.row);
        row.input = counts.input;
        row.cached = counts.cached;
        row.written = counts.written;
        row.output = counts.output;
        row.reasoning = counts.reasoning;
        row.cost = cost;
        row.millis = millis(self.started);
        if let Some(hold) = self.hold.take() {
            self.budgets.settle(hold, cost, Some(row));
        }
    }
}
