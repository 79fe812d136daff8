//! The way of a call past the cache: an answer that is there is given again, an equal call under way is waited for, and
//! only the first goes to a provider.

use super::{
    Service,
    answer::{Answered, Body},
};
use crate::{
    cache::{Again, Cache, Found, Kept, Key, Lead, alike::Alike},
    key::Who,
    question::{Door, Question, Wanted},
    tally::Tally,
    wire::{Fault, Kind, Losses},
};
use hyper::HeaderMap;
use maestria_kernel::{
    ledger::CallRow,
    model::ModelError,
    port::{Boxed, Embedder},
};
use serde::Deserialize;
use serde_json::json;
use std::{sync::Arc, time::Instant};

/// The client that the cache's own calls go by.
const CLIENT: &str = "cache";

impl Service {
    pub(super) async fn through(
        &self,
        cache: &Arc<Cache>,
        key: Key,
        question: &Question,
        who: &Who,
    ) -> Result<Answered, Fault> {
        let started = Instant::now();
        match cache.look(key).await {
            Found::Kept(kept, again) => self.again(cache, &kept, again, question, who, started).await,
            Found::TooSlow => self.call(question, who).await,
            Found::Nothing(lead) => match self.similar(cache, key, question, who).await {
                Some((kept, close)) => {
                    let again = Again::Similar(close);
                    self.again(cache, &kept, again, question, who, started).await
                }
                None => {
                    cache.count(None);
                    Ok(kept(self.call(question, who).await?, lead))
                }
            },
        }
    }

    /// An answer to a question that means the same; notes the question where there is none.
    async fn similar(&self, cache: &Cache, key: Key, question: &Question, who: &Who) -> Option<(Arc<Kept>, f32)> {
        let alike = cache.alike.as_ref().filter(|_| question.wanted == Wanted::Answer)?;
        let (frame, said) = Alike::apart(question, &cache.tenant(who))?;
        let vector = match self.embed(vec![said]).await {
            Ok(vectors) => vectors.into_iter().next()?,
            Err(error) => {
                tracing::warn!(%error, "the semantic cache cannot be asked");
                return None;
            }
        };
        let found = alike
            .closest(&frame, &vector)
            .and_then(|(other, close)| Some((cache.kept(&other)?, close)));
        if found.is_none() {
            alike.note(frame, vector, key);
        }
        found
    }

    /// Gives an answer again; it is in the books, and costs nothing.
    async fn again(
        &self,
        cache: &Cache,
        kept: &Kept,
        again: Again,
        question: &Question,
        who: &Who,
        started: Instant,
    ) -> Result<Answered, Fault> {
        cache.count(Some(again));
        let seconds = kept.at.elapsed().as_secs();
        let reason = match again {
            Again::Same => format!("from the cache: {} answered the same {seconds} s ago", kept.model),
            Again::Joined => format!("{} was just answering the same", kept.model),
            Again::Similar(close) => {
                format!(
                    "from the cache: {} answered what means the same ({close:.3}) {seconds} s ago",
                    kept.model
                )
            }
        };
        let row = CallRow {
            reason: reason.clone(),
            code: again.code().to_owned(),
            ..question.row()
        };
        let hold = self.budgets.nothing().await;
        let hold = hold.map_err(|error| Fault::new(Kind::Internal, error.to_string()))?;
        Tally::new(self.budgets.clone(), hold, row, 0, who)
            .since(started)
            .given_again(&kept.model);
        Ok(Answered {
            model: kept.model.clone(),
            reason,
            losses: Losses::default(),
            cache: Some(match again {
                Again::Same => "hit".to_owned(),
                Again::Joined => "joined".to_owned(),
                Again::Similar(close) => format!("similar {close:.3}"),
            }),
            body: if question.stream {
                Body::Told(kept.bytes.clone())
            } else {
                Body::Whole(kept.bytes.clone())
            },
        })
    }

    async fn vectors(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Fault> {
        let model = self
            .rules
            .cache
            .semantic
            .as_ref()
            .map(|semantic| semantic.model.clone());
        let model = model.ok_or_else(|| Fault::new(Kind::Internal, "no embedding model is configured"))?;
        let body = json!({"model": model, "input": texts}).to_string();
        let id = uuid::Uuid::now_v7().simple().to_string();
        let question = Question::read(id, self.now(), Door::EMBEDDINGS, HeaderMap::new(), body.into())?;
        let who = Who {
            client: CLIENT.to_owned(),
            ..Who::default()
        };
        let invalid = |what: String| Fault::new(Kind::Upstream, format!("{model}: {what}"));
        let Body::Whole(bytes) = self.call(&question, &who).await?.body else {
            return Err(invalid("its vectors come as a stream".to_owned()));
        };
        let list: List =
            serde_json::from_slice(&bytes).map_err(|e| invalid(format!("its answer is no vectors: {e}")))?;
        Ok(list.data.into_iter().map(|one| one.embedding).collect())
    }
}

#[derive(Deserialize)]
struct List {
    data: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    embedding: Vec<f32>,
}

impl Embedder for Service {
    fn embed(&self, texts: Vec<String>) -> Boxed<'_, Result<Vec<Vec<f32>>, ModelError>> {
        Box::pin(async move {
            self.vectors(texts).await.map_err(|fault| ModelError::Unavailable {
                provider: "embeddings".to_owned(),
                detail: fault.to_string(),
            })
        })
    }
}

/// Keeps an answer once it is whole.
fn kept(mut answered: Answered, lead: Lead) -> Answered {
    match &mut answered.body {
        Body::Whole(bytes) | Body::Told(bytes) => lead.keep(bytes.clone(), answered.model.clone()),
        Body::Coming(relay) => relay.keep(lead),
    }
    answered.cache = Some("miss".to_owned());
    answered
}
