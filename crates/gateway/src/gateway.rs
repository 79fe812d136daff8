//! The gateway in process: the kernel's port on the same path that calls over HTTP take.

use crate::{
    attempt::{self, Begun, GaveUp, Target},
    core::{Core, Setup},
    key::Who,
    provider::{ConfigError, Failure, Opened, Provider},
    question::Wanted,
    route::{self, Decision, Lost, Warm, Wish},
    service::Service,
    tally::Tally,
    wire::{Answer, Ask, Fault, Kind, Piece},
};
use maestria_kernel::{
    ledger::CallRow,
    model::{ModelError, ModelReply, ModelRequest},
    port::{Boxed, Models},
};
use std::{fmt, sync::Arc};

/// The client that calls in process go by.
const CLIENT: &str = "native";

/// All providers behind the kernel's port.
#[derive(Clone)]
pub struct Gateway {
    core: Arc<Core>,
    /// Keeps budgets and books; without it nothing is counted.
    service: Option<Arc<Service>>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.core.providers.iter().map(|p| &p.name))
            .finish()
    }
}

impl Gateway {
    /// A gateway to these providers, without books. Nothing is called yet.
    ///
    /// # Errors
    /// [`ConfigError`] for the first provider that cannot be used as it is configured.
    pub fn new(setup: Setup) -> Result<Self, ConfigError> {
        Ok(Self {
            core: Arc::new(Core::new(setup)?),
            service: None,
        })
    }

    /// The same lanes, budgets and books that a service has.
    pub fn of(service: Arc<Service>) -> Self {
        Self {
            core: service.core.clone(),
            service: Some(service),
        }
    }

    /// Decides about a bare prompt, without calling anybody.
    ///
    /// # Errors
    /// [`Lost`] when nobody can answer.
    pub fn explain(&self, wish: &Wish) -> Result<Decision, Lost> {
        route::explain(&self.core, &Warm::default(), wish)
    }

    /// The first model that is configured by name and fits, as `provider/model`.
    pub fn find(&self, fits: impl Fn(&str) -> bool) -> Option<String> {
        let all = self.core.all_targets();
        let found = all
            .iter()
            .find(|t| fits(t.model.rsplit('/').next().unwrap_or(&t.model)))?;
        Some(self.core.name(found))
    }

    /// Whether some provider of these dialects takes any model.
    pub fn takes_any(&self, dialects: &[&str]) -> bool {
        let fits = |p: &Provider| p.dialect().is_some_and(|d| dialects.contains(&d.name()));
        self.core
            .providers
            .iter()
            .any(|p| fits(p) && !p.is_scripted() && p.takes_any())
    }

    /// Whether a name leads to a model.
    pub fn knows(&self, name: &str) -> bool {
        self.core.route_named(name).is_some() || !self.core.targets_named(name).is_empty()
    }

    async fn ask(
        &self,
        request: ModelRequest,
        on_text: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        let core = &self.core;
        let target = self.target(&request)?;
        let provider = &core.providers[target.provider];
        let ask = Arc::new(Ask::from(&request));
        let (outgoing, losses) = provider.write(&ask);
        let sent = outgoing.body.len();
        let mut tally = self.tally(&request, &target, sent).await?;
        let prepare = |_: &Target| Ok((outgoing.clone(), losses.clone(), Some(ask.clone())));
        let begun = attempt::open(core, std::slice::from_ref(&target), sent as u64 / 4, prepare).await;
        let Begun {
            opened,
            retries,
            under_way,
            ..
        } = begun.map_err(|GaveUp { failure, retries }| {
            if let Some(tally) = &mut tally {
                tally.gave_up(&failure.provider, retries, &failure.told());
            }
            ModelError::from(failure)
        })?;
        if let Some(tally) = &mut tally {
            tally.answered_by(
                &provider.name,
                &target.model,
                core.price(&target),
                retries,
                Some(under_way),
            );
        }
        let answer = hear(opened, provider.dialect(), on_text, tally.as_mut()).await;
        let answer = answer.map_err(|failure| ModelError::from(failure.named(&provider.name, None)))?;
        let counts = answer.counts.unwrap_or_default();
        let invalid = |detail| ModelError::Invalid {
            provider: provider.name.clone(),
            detail,
        };
        let mut reply = answer.into_reply().map_err(invalid)?;
        match tally {
            // What the run is told is what the books say.
            Some(mut tally) => {
                reply.request = Some(tally.request().to_owned());
                reply.usage = tally.settle();
            }
            None => reply.usage.cost = core.price(&target).cost(&counts),
        }
        reply.scripted = provider.is_scripted();
        Ok(reply)
    }

    fn target(&self, request: &ModelRequest) -> Result<Target, ModelError> {
        let providers = &self.core.providers;
        let Some(provider) = providers.iter().position(|p| p.name == request.model.provider) else {
            let names: Vec<&str> = providers.iter().map(|p| p.name.as_str()).collect();
            let wanted = &request.model.provider;
            let detail = format!(
                "no provider `{wanted}` is configured; configured are: {}",
                names.join(", ")
            );
            return Err(ModelError::Unknown { detail });
        };
        Ok(Target {
            provider,
            model: request.model.model.clone(),
        })
    }

    /// The meter of a call, with its worst case taken from the budgets.
    async fn tally(&self, request: &ModelRequest, target: &Target, sent: usize) -> Result<Option<Tally>, ModelError> {
        let Some(service) = &self.service else { return Ok(None) };
        let who = Who::of(CLIENT.to_owned(), &request.caller);
        let row = CallRow {
            at: service.now(),
            request: uuid::Uuid::now_v7().simple().to_string(),
            asked: request.model.to_string(),
            reason: "asked for by a native agent".to_owned(),
            operation: Wanted::Answer.as_str().to_owned(),
            ..CallRow::default()
        };
        match service.take_one(&who, target, sent, request.max_tokens.into()).await {
            Ok(hold) => Ok(Some(Tally::new(service.budgets.clone(), hold, row, sent, &who))),
            Err(refused) => {
                let fault = Fault::new(Kind::Unpaid, refused.to_string());
                service.note_refused(row, &who, &fault).await;
                Err(refused)
            }
        }
    }
}

/// Takes in a whole answer, telling its text as it comes.
async fn hear(
    opened: Opened,
    dialect: Option<crate::wire::Dialect>,
    on_text: &(dyn Fn(&str) + Send + Sync),
    mut tally: Option<&mut Tally>,
) -> Result<Answer, Failure> {
    let mut answer = Answer::default();
    let mut take = |pieces: Vec<Piece>| {
        if let Some(tally) = &mut tally {
            tally.pieces(&pieces);
        }
        for piece in pieces {
            if let Piece::Text(text) = &piece {
                on_text(text);
            }
            answer.add(piece);
        }
    };
    match opened {
        Opened::Pieces(pieces) => take(pieces),
        Opened::Whole(body, ..) => {
            let body =
                serde_json::from_slice(&body).map_err(|e| Failure::provider(format!("its answer is no JSON: {e}")))?;
            take(dialect.map(|d| d.read_document(&body)).unwrap_or_default());
        }
        Opened::Stream(mut stream) => {
            while let Some(chunk) = stream.next().await? {
                take(chunk.pieces);
            }
        }
    }
    let failure = match answer.fault.take() {
        Some(fault) => Failure::of_fault(fault),
        None if answer.stop.is_none() => Failure::provider("the answer ended before it was whole"),
        None => {
            if let Some(tally) = tally {
                tally.done();
            }
            return Ok(answer);
        }
    };
    if let Some(tally) = tally {
        tally.failed(&failure.told());
    }
    Err(failure)
}

impl Models for Gateway {
    fn call<'a>(
        &'a self,
        request: ModelRequest,
        on_text: &'a (dyn Fn(&str) + Send + Sync),
    ) -> Boxed<'a, Result<ModelReply, ModelError>> {
        Box::pin(self.ask(request, on_text))
    }
}
