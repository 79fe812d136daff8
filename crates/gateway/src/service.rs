//! One call from its question to its answer: who may ask, where it goes, what it may cost, who answers, what it did
//! cost.

mod answer;
mod batch;
mod cached;

pub(crate) use answer::{Answered, Body};

use crate::{
    attempt::{self, GaveUp, Prepared, Target},
    budget::{BudgetConfig, Budgets, Charge, Exhausted, Hold, OnAlert, Refusal},
    cache::{Cache, CacheConfig, CacheStatus},
    clean::clean,
    core::{Core, Setup},
    key::{KeyError, Seen, Who},
    lane::{LaneStatus, UnderWay},
    limit::{Limits, Rate},
    pass::{Issued, PassFor, Passes},
    provider::{ConfigError, Failure, Outgoing},
    question::{Question, Wanted},
    route::{self, Decision, Features, Lost, Warm, Wish},
    tally::Tally,
    tokens::Counted,
    wire::{Ask, Fault, Kind, Losses, Unreadable},
};
use batch::{Batches, Part, Told};
use maestria_kernel::{
    At, Cost,
    ledger::{CallRow, Ledger, Scope},
    model::{CallNews, ModelError},
    port::StoreError,
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Who may ask.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// Who has a client key.
    Keys,
    /// Who has this token.
    Token(String),
    /// Everybody who reaches the socket.
    None,
    /// Who was issued a pass by this process.
    Passes,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys => "Keys",
            Self::Token(_) => "Token(…)",
            Self::None => "None",
            Self::Passes => "Passes",
        })
    }
}

/// What happens to fields that the provider's dialect cannot carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// They are left out, and a header names them.
    #[default]
    Drop,
    /// The request is refused.
    Refuse,
}

/// How the gateway serves others.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Who may ask.
    pub auth: Auth,
    /// What may be spent.
    pub budget: BudgetConfig,
    /// How much a client may ask.
    pub rate: Rate,
    /// What happens to fields that cannot be carried.
    pub on_loss: OnLoss,
    /// Which answers are given again.
    pub cache: CacheConfig,
    /// How long a request for embeddings waits for others of its key to go with, as one call; zero: not at all.
    pub batch_wait: Duration,
}

/// The gateway as it serves others.
pub struct Service {
    pub(crate) core: Arc<Core>,
    pub(crate) rules: Rules,
    pub(crate) budgets: Arc<Budgets>,
    limits: Limits,
    seen: Seen,
    cache: Option<Arc<Cache>>,
    batches: Option<Batches>,
    passes: Arc<Passes>,
    warm: Warm,
    now: Arc<dyn Fn() -> At + Send + Sync>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("core", &self.core)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// What a service needs of the outside.
#[derive(Clone)]
pub struct Outside {
    /// The books.
    pub ledger: Arc<dyn Ledger>,
    /// The name under which this gateway holds leases; nobody else's.
    pub owner: String,
    /// Told when an account passes its alert.
    pub on_alert: OnAlert,
    /// The clock.
    pub now: Arc<dyn Fn() -> At + Send + Sync>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// A gateway that serves others. Must be made inside a runtime.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that cannot be used as it is configured.
    pub fn new(setup: Setup, rules: Rules, outside: Outside) -> Result<Self, ConfigError> {
        let core = Arc::new(Core::new(setup)?);
        let alert = rules.budget.alert_percent;
        let budgets = Budgets::new(outside.ledger.clone(), outside.owner, alert, outside.on_alert);
        Ok(Self {
            core,
            seen: Seen::new(outside.ledger),
            budgets: Arc::new(budgets),
            limits: Limits::new(rules.rate),
            passes: Arc::default(),
            cache: Cache::new(rules.cache.clone()),
            batches: Batches::new(rules.batch_wait),
            warm: Warm::default(),
            now: outside.now,
            rules,
        })
    }

    pub(crate) fn now(&self) -> At {
        (self.now)()
    }

    /// Gives back what is leased, and waits until all is on disk.
    pub async fn close(&self) {
        self.budgets.close().await;
    }

    /// Issues a pass, and what will be told of its calls.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn issue(&self, what: PassFor) -> Result<(Issued, mpsc::UnboundedReceiver<CallNews>), KeyError> {
        self.passes.issue(what)
    }

    /// How the cache was used; `None` where there is none.
    pub fn cache_status(&self) -> Option<CacheStatus> {
        self.cache.as_ref().map(|cache| cache.status())
    }

    /// The state of every lane.
    pub fn lanes(&self) -> Vec<LaneStatus> {
        self.core.status(self.now())
    }

    /// Looks at every lane, so that who fails is out of use, and who is well again in use, before a client finds out.
    pub(crate) async fn probe(self: Arc<Self>) {
        for lane in &self.core.lanes {
            let provider = &self.core.providers[lane.provider];
            match provider.probe(&self.core.client, lane.key.as_deref()).await {
                Ok(()) => lane.found_well(),
                Err(failure) => {
                    let failure = failure.named(&provider.name, lane.key.as_deref());
                    tracing::warn!(provider = provider.name, fault = %failure.fault, "a probe failed");
                    lane.failed("", failure.blame, failure.fault.retry_after, Instant::now());
                }
            }
        }
    }

    /// Who has a key, if anybody.
    pub(crate) async fn whose(&self, given: Option<&str>) -> Result<Option<Arc<Who>>, StoreError> {
        let local = |name: &str| {
            Arc::new(Who {
                client: name.to_owned(),
                ..Who::default()
            })
        };
        if let Some(who) = given.and_then(|given| self.passes.whose(given)) {
            return Ok(Some(Arc::new(who)));
        }
        match (&self.rules.auth, given) {
            (Auth::None, _) => Ok(Some(local("local"))),
            (Auth::Token(token), Some(given)) if is_same(token, given) => Ok(Some(local("token"))),
            (Auth::Keys, Some(given)) => self.seen.whose(given).await,
            (Auth::Token(_) | Auth::Keys | Auth::Passes, _) => Ok(None),
        }
    }

    /// Answers a question; not beyond the end of the pass that it came with.
    pub(crate) async fn answer(&self, question: &Question, who: &Who) -> Result<Answered, Fault> {
        let Some(pass) = &who.pass else {
            return self.attend(question, who).await;
        };
        tokio::select! {
            answered = self.attend(question, who) => answered,
            () = pass.over() => Err(Failure::withdrawn().told()),
        }
    }

    async fn attend(&self, question: &Question, who: &Who) -> Result<Answered, Fault> {
        let asked = Instant::now();
        self.limits.admit(&who.client, question.body.len() as u64 / 4).await?;
        if !self.limits.is_free() {
            question.note_wait(asked.elapsed());
        }
        let keyed = self.cache.as_ref().and_then(|c| Some((c, c.key(question, who)?)));
        match keyed {
            Some((cache, key)) => self.through(cache, key, question, who).await,
            None => self.call(question, who).await,
        }
    }

    /// Sends a question to a provider.
    async fn call(&self, question: &Question, who: &Who) -> Result<Answered, Fault> {
        let started = Instant::now();
        if self.may_not_fit(question) {
            question.count().await;
        }
        let row = question.row();
        let taken = match self.decide(question, who) {
            Ok(decision) => self.take(question, who, decision).await,
            Err(fault) => Err(fault),
        };
        let (decision, hold) = match taken {
            Ok(taken) => taken,
            Err(fault) => {
                self.note_refused(row, who, &fault).await;
                return Err(fault);
            }
        };
        let mut tally = Tally::new(self.budgets.clone(), hold, row, question.body.len(), who).since(started);
        tally.because(&decision.reason);
        let gave_up = |mut tally: Tally, GaveUp { failure, retries }: GaveUp| {
            let fault = failure.told();
            tally.gave_up(&failure.provider, retries, &fault);
            fault
        };
        match self.together(question, who, &decision.targets).await {
            Told::Alone => {}
            Told::Part(part) => return self.part(part, tally, &decision),
            Told::Failed(why) => return Err(gave_up(tally, why)),
        }
        let prepare = |target: &Target| self.prepare(question, target);
        let sent = question.body.len() as u64 / 4;
        let begun = match attempt::open(&self.core, &decision.targets, sent, prepare).await {
            Ok(begun) => begun,
            Err(why) => return Err(gave_up(tally, why)),
        };
        let target = &decision.targets[begun.target];
        let provider = &self.core.providers[target.provider];
        self.answered_by(&mut tally, target, begun.retries, Some(begun.under_way));
        self.note_warm(question, who, target);
        answer::build(
            question,
            provider.dialect(),
            begun.opened,
            begun.losses,
            tally,
            &decision.reason,
        )
        .await
    }

    /// What a request gets that went with others.
    fn part(&self, part: Part, mut tally: Tally, decision: &Decision) -> Result<Answered, Fault> {
        self.answered_by(&mut tally, &decision.targets[part.target], part.retries, None);
        let reason = format!("{}; asked together with {} more", decision.reason, part.others);
        tally.because(&reason);
        tally.first();
        if let Some(counts) = part.counts {
            tally.counts(counts);
        }
        let Some(document) = part.document else {
            // It is paid for, so that it is not asked anew.
            let what = "the vectors of requests that went together cannot be told apart (`batch_wait` of [gateway])";
            let fault = Fault::new(Kind::Upstream, format!("{}: {what}", tally.model()));
            tally.failed(&fault);
            return Err(fault);
        };
        tally.done();
        Ok(Answered {
            model: tally.model(),
            reason,
            losses: Losses::default(),
            cache: None,
            body: Body::Whole(clean(document)),
        })
    }

    /// Notes who answers, and at which price.
    fn answered_by(&self, tally: &mut Tally, target: &Target, retries: u32, under_way: Option<UnderWay>) {
        let provider = &self.core.providers[target.provider];
        tally.answered_by(
            &provider.name,
            &target.model,
            self.core.price(target),
            retries,
            under_way,
        );
        if provider.is_scripted() {
            tally.scripted();
        }
    }

    /// Books a call that was not made, so that the books say of every call what became of it. What `limits` sends away
    /// is not booked: a client that does not wait would fill the disk.
    pub(crate) async fn note_refused(&self, row: CallRow, who: &Who, fault: &Fault) {
        if let Ok(hold) = self.budgets.nothing().await {
            Tally::new(self.budgets.clone(), hold, row, 0, who).refused(fault);
        }
    }

    /// Whether a route would choose between models that the question may be too long for.
    fn may_not_fit(&self, question: &Question) -> bool {
        let longest = (question.body.len() as u64).saturating_add(question.max_tokens.unwrap_or(0));
        question.wanted == Wanted::Answer
            && longest > self.core.least_context
            && self.core.route_named(&question.model).is_some()
    }

    /// Where a question goes.
    fn decide(&self, question: &Question, who: &Who) -> Result<Decision, Fault> {
        let mut unreadable = None;
        let features = || {
            self.features(question, who).unwrap_or_else(|error| {
                unreadable = Some(error);
                self.features_unread(question)
            })
        };
        let mut decided = route::decide(&self.core, &self.warm, &question.model, features);
        let stand_in = who.pass.as_ref().and_then(|pass| pass.stand_in.as_deref());
        if let (Err(Lost::Unknown { .. }), Some(stand_in)) = (&decided, stand_in) {
            decided = self.decide_for(stand_in, question, who);
        }
        if let Some(error) = unreadable {
            return Err(Fault::new(Kind::Invalid, error.to_string()));
        }
        decided.map_err(|lost| match lost {
            Lost::Unknown { .. } | Lost::Nobody => Fault::new(Kind::NotFound, lost.to_string()),
            Lost::Needs(_) => Fault::new(Kind::Invalid, lost.to_string()),
        })
    }

    /// Where a question goes that asks for a model which nobody serves, when another may stand in for it.
    fn decide_for(&self, stand_in: &str, question: &Question, who: &Who) -> Result<Decision, Lost> {
        let features = || {
            self.features(question, who)
                .unwrap_or_else(|_| self.features_unread(question))
        };
        let decision = route::decide(&self.core, &self.warm, stand_in, features)?;
        let asked = &question.model;
        let reason = format!(
            "nobody serves `{asked}`, so {stand_in} stands in for it: {}",
            decision.reason
        );
        Ok(Decision { reason, ..decision })
    }

    /// Decides about a bare prompt, without calling anybody.
    ///
    /// # Errors
    /// [`Lost`] when nobody can answer.
    pub fn explain(&self, wish: &Wish) -> Result<Decision, Lost> {
        route::explain(&self.core, &self.warm, wish)
    }

    /// What a question needs.
    fn features(&self, question: &Question, who: &Who) -> Result<Features, Unreadable> {
        let (bytes, counted) = (question.body.len(), question.counted());
        let ask = question.ask()?;
        Ok(Features::of(&self.core.weights, &ask, bytes, counted, &who.client))
    }

    /// What a question needs that cannot be read, by its length alone.
    fn features_unread(&self, question: &Question) -> Features {
        Features::of_text(&self.core.weights, "", "", question.body.len() as u64 / 4)
    }

    fn note_warm(&self, question: &Question, who: &Who, target: &Target) {
        if question.wanted == Wanted::Answer
            && self.core.route_named(&question.model).is_some()
            && let Ok(features) = self.features(question, who)
        {
            self.warm.note(features.conversation, target.clone(), features.input);
        }
    }

    /// Takes the worst case from all accounts; at the end of a budget, perhaps for a cheaper model.
    async fn take(&self, question: &Question, who: &Who, decision: Decision) -> Result<(Decision, Hold), Fault> {
        let books = |error| Fault::new(Kind::Internal, format!("the books cannot be written: {error}"));
        let bound = self.worst_of(question, &decision.targets, None);
        match self.take_for(who, &decision.targets, bound).await {
            Ok(hold) => return Ok((decision, hold)),
            Err(Refusal::Books(error)) => return Err(books(error)),
            Err(Refusal::Short { .. }) => {}
        }
        // The bound is far above what a prompt has in tokens; before a call is refused they are counted.
        let counted = question.count().await.filter(|counted| !counted.media);
        let worst = |targets: &[Target]| self.worst_of(question, targets, counted);
        let refusal = match self.take_for(who, &decision.targets, worst(&decision.targets)).await {
            Ok(hold) => return Ok((decision, hold)),
            Err(Refusal::Books(error)) => return Err(books(error)),
            Err(refusal) => refusal,
        };
        let mut cheaper: Vec<Target> = Vec::new();
        if self.rules.budget.exhausted == Exhausted::Downgrade && question.wanted == Wanted::Answer {
            let above = worst(&decision.targets);
            cheaper = self.core.all_targets();
            cheaper.retain(|t| self.worst(question, t, counted) < above);
            cheaper.sort_by_key(|t| std::cmp::Reverse(self.worst(question, t, counted)));
        }
        for target in cheaper {
            let targets = vec![target];
            if let Ok(hold) = self.take_for(who, &targets, worst(&targets)).await {
                let model = self.core.name(&targets[0]);
                let reason = format!(
                    "{refusal}; so it goes to the cheaper {model} instead of {}",
                    decision.model
                );
                return Ok((
                    Decision {
                        model,
                        reason,
                        targets,
                        fallbacks: Vec::new(),
                        ..decision
                    },
                    hold,
                ));
            }
        }
        if let Some(pass) = &who.pass {
            let (because, of_run) = (refusal.to_string(), refusal.is_of_run());
            pass.tell(CallNews::Refused { because, of_run });
        }
        Err(Fault::new(Kind::Unpaid, refusal.to_string()))
    }

    /// Takes the worst case of a call to one model, made in process.
    pub(crate) async fn take_one(
        &self,
        who: &Who,
        target: &Target,
        sent: usize,
        most_output: u64,
    ) -> Result<Hold, ModelError> {
        let amount = self.core.price(target).worst(sent as u64, most_output);
        let taken = self.take_for(who, std::slice::from_ref(target), amount).await;
        taken.map_err(|refusal| ModelError::Unpaid {
            of_run: refusal.is_of_run(),
            detail: refusal.to_string(),
        })
    }

    async fn take_for(&self, who: &Who, targets: &[Target], amount: Cost) -> Result<Hold, Refusal> {
        self.budgets.take(self.charges(who, targets), amount).await
    }

    /// The accounts that a call counts against.
    fn charges(&self, who: &Who, targets: &[Target]) -> Vec<Charge> {
        let now = self.now();
        let budget = &self.rules.budget;
        let mut charges = Vec::with_capacity(4);
        let mut add = |scope: Option<Scope>, limit: Option<Cost>| {
            if let (Some(scope), Some(limit)) = (scope, limit) {
                charges.push(Charge::new(&scope, limit, now));
            }
        };
        add(Some(Scope::Day), budget.day);
        add(Some(Scope::Client(who.client.clone())), who.budget.or(budget.client));
        add(who.run.clone().map(Scope::Run), who.run_budget.or(budget.run));
        add(who.task.clone().map(Scope::Task), budget.task);
        add(who.project.clone().map(Scope::Project), budget.project);
        let mut models: Vec<&str> = targets.iter().map(|t| t.model.as_str()).collect();
        models.sort_unstable();
        models.dedup();
        for model in models {
            add(Some(Scope::Model(model.to_owned())), budget.model);
        }
        charges
    }

    /// The most that a question can cost on any of the targets.
    fn worst_of(&self, question: &Question, targets: &[Target], counted: Option<Counted>) -> Cost {
        let each = targets.iter().map(|t| self.worst(question, t, counted));
        each.max().unwrap_or_default()
    }

    /// The most that a question can cost on a target: by a safe bound, or by its tokens.
    fn worst(&self, question: &Question, target: &Target, counted: Option<Counted>) -> Cost {
        let bound = question.most_input();
        let input = counted.map_or(bound, |counted| counted.at_most(&target.model).min(bound));
        let model = self.core.catalogue.model(&target.model);
        let output = match question.wanted {
            Wanted::Answer => question.max_tokens.unwrap_or(model.output),
            Wanted::Embeddings | Wanted::Count => 0,
        };
        match question.wanted {
            Wanted::Count => Cost::ZERO,
            _ => self.core.price(target).worst(input, output),
        }
    }

    /// What is sent to a target.
    fn prepare(&self, question: &Question, target: &Target) -> Result<Prepared, Failure> {
        let provider = &self.core.providers[target.provider];
        if question.wanted != Wanted::Answer || (provider.dialect() == Some(question.face) && !question.array) {
            return passed_on(&self.core, question, target).map(|outgoing| (outgoing, Losses::default(), None));
        }
        let read = question.ask().map_err(|e| Failure::request(e.to_string()))?;
        let ask = Arc::new(Ask {
            model: target.model.clone(),
            ..(*read).clone()
        });
        let (outgoing, losses) = provider.write(&ask);
        if self.rules.on_loss == OnLoss::Refuse && !losses.is_empty() {
            let what = format!(
                "{} cannot carry: {losses} (`on_loss` of [gateway] is \"refuse\")",
                provider.name
            );
            return Err(Failure::request(what));
        }
        Ok((outgoing, losses, Some(ask)))
    }
}

/// What is sent to a target that speaks the dialect of the question.
fn passed_on(core: &Core, question: &Question, target: &Target) -> Result<Outgoing, Failure> {
    let provider = &core.providers[target.provider];
    let same = match question.wanted {
        Wanted::Embeddings => provider
            .dialect()
            .is_some_and(|d| d.path("", false).starts_with("/chat") || d == question.face),
        Wanted::Answer | Wanted::Count => provider.dialect() == Some(question.face),
    };
    if !same {
        let what = format!("{} does not speak the dialect of this endpoint", provider.name);
        return Err(Failure::request(what));
    }
    Ok(Outgoing {
        path: question.path_for(&target.model),
        body: question.body_for(&target.model),
        headers: question.headers.clone(),
        stream: question.stream,
    })
}

/// Compares without telling by its time how much was right.
fn is_same(secret: &str, given: &str) -> bool {
    secret.len() == given.len() && secret.bytes().zip(given.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
