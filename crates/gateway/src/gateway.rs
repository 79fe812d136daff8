//! The gateway in process: the kernel's port on the same path that calls over HTTP take.

use crate::{
    attempt::{self, GaveUp, Target},
    core::{Core, Setup},
    provider::{ConfigError, Failure, Opened, Provider},
    route::{self, Decision, Lost, Warm, Wish},
    wire::{Answer, Ask, Piece},
};
use maestria_kernel::{
    Usage,
    model::{ModelError, ModelReply, ModelRequest},
    port::{Boxed, Models},
};
use std::{fmt, sync::Arc};

/// All providers behind the kernel's port.
#[derive(Clone)]
pub struct Gateway {
    core: Arc<Core>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.core.providers.iter().map(|p| &p.name))
            .finish()
    }
}

impl Gateway {
    /// A gateway to these providers. Nothing is called yet.
    ///
    /// # Errors
    /// [`ConfigError`] for the first provider that cannot be used as it is configured.
    pub fn new(setup: Setup) -> Result<Self, ConfigError> {
        Ok(Self {
            core: Arc::new(Core::new(setup)?),
        })
    }

    /// Decides about a bare prompt, without calling anybody.
    ///
    /// # Errors
    /// [`Lost`] when nobody can answer.
    pub fn explain(&self, wish: &Wish) -> Result<Decision, Lost> {
        route::explain(&self.core, &Warm::default(), wish)
    }

    async fn ask(
        &self,
        request: ModelRequest,
        on_text: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        let core = &self.core;
        let named = |p: &Provider| p.name == request.model.provider;
        let Some(provider) = core.providers.iter().position(named) else {
            let names: Vec<&str> = core.providers.iter().map(|p| p.name.as_str()).collect();
            let wanted = &request.model.provider;
            let detail = format!(
                "no provider `{wanted}` is configured; configured are: {}",
                names.join(", ")
            );
            return Err(ModelError::Unknown { detail });
        };
        let target = Target {
            provider,
            model: request.model.model.clone(),
        };
        let ask = Arc::new(Ask::from(&request));
        let prepare = |_: &Target| {
            let (outgoing, losses) = core.providers[provider].write(&ask);
            Ok((outgoing, losses, Some(ask.clone())))
        };
        let begun = attempt::open(core, std::slice::from_ref(&target), prepare).await;
        let begun = begun.map_err(|GaveUp { failure, .. }| ModelError::from(failure))?;
        let name = &core.providers[provider].name;
        let answer = hear(begun.opened, core.providers[provider].dialect(), on_text).await;
        let answer = answer.map_err(|failure| ModelError::from(failure.named(name, None)))?;
        let counts = answer.counts.unwrap_or_default();
        let invalid = |detail| ModelError::Invalid {
            provider: name.clone(),
            detail,
        };
        let mut reply = answer.into_reply().map_err(invalid)?;
        reply.usage = Usage {
            cost: core.price(&target).cost(&counts),
            ..reply.usage
        };
        reply.scripted = core.providers[provider].is_scripted();
        Ok(reply)
    }
}

/// Takes in a whole answer, telling its text as it comes.
async fn hear(
    opened: Opened,
    dialect: Option<crate::wire::Dialect>,
    on_text: &(dyn Fn(&str) + Send + Sync),
) -> Result<Answer, Failure> {
    let mut answer = Answer::default();
    let mut take = |pieces: Vec<Piece>| {
        for piece in pieces {
            if let Piece::Text(text) = &piece {
                on_text(text);
            }
            answer.add(piece);
        }
    };
    match opened {
        Opened::Pieces(pieces) => take(pieces),
        Opened::Whole(body, _) => {
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
    match answer.fault.take() {
        Some(fault) => Err(Failure::of_fault(fault)),
        None if answer.stop.is_none() => Err(Failure::provider("the answer ended before it was whole")),
        None => Ok(answer),
    }
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
