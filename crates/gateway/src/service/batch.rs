//! Embeddings that go together: what one key asks of a model within a moment becomes one call, and each request gets the
//! vectors of its own texts.
//!
//! Off unless a wait is configured: who asks alone would only wait. Requests of different keys, runs or tasks never go
//! together, so that what each is charged is what it used. A call that is refused is asked again one by one: nobody fails
//! for another's text.

use super::{Service, passed_on};
use crate::{
    attempt::{self, GaveUp, Target},
    core::Core,
    key::Who,
    provider::{Blame, Opened},
    question::{Door, Question, Wanted},
    wire::{Counts, Losses},
};
use bytes::Bytes;
use hyper::HeaderMap;
use maestria_kernel::At;
use serde_json::value::{RawValue, to_raw_value};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

/// The most texts of one call: some providers take no more.
const TEXTS: usize = 100;

/// The most bytes of texts of one call: safely below the 300,000 tokens that the largest provider takes.
const BYTES: usize = 256 << 10;

type Fields = BTreeMap<String, Box<RawValue>>;

/// What became of a request that was to go with others.
#[derive(Debug)]
pub(super) enum Told {
    /// It is to go alone.
    Alone,
    /// Its part of the answer.
    Part(Part),
    /// Nobody answered.
    Failed(GaveUp),
}

/// A request's part of an answer.
#[derive(Debug)]
pub(super) struct Part {
    /// A whole document of its own; `None` when the vectors of all cannot be told apart.
    pub(super) document: Option<Bytes>,
    /// Its share of what the provider counted.
    pub(super) counts: Option<Counts>,
    /// Which of the targets answered.
    pub(super) target: usize,
    pub(super) retries: u32,
    /// So many other requests went with it.
    pub(super) others: usize,
}

/// The calls that are being put together.
#[derive(Debug)]
pub(super) struct Batches {
    wait: Duration,
    open: Open,
}

type Open = Arc<Mutex<HashMap<String, Arc<Batch>>>>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that is being put together.
#[derive(Debug)]
struct Batch {
    members: Mutex<Vec<Member>>,
    full: Notify,
}

/// A request in it.
#[derive(Debug)]
struct Member {
    texts: Texts,
    told: oneshot::Sender<Told>,
}

/// What a request wants vectors of.
#[derive(Debug)]
struct Texts {
    list: Vec<Box<RawValue>>,
    bytes: usize,
}

impl Batch {
    /// Takes another request, if it fits.
    fn take(&self, member: Member) -> Result<(), Member> {
        let mut members = locked(&self.members);
        let texts: usize = members.iter().map(|m| m.texts.list.len()).sum();
        let bytes: usize = members.iter().map(|m| m.texts.bytes).sum();
        if texts + member.texts.list.len() > TEXTS || bytes + member.texts.bytes > BYTES {
            return Err(member);
        }
        members.push(member);
        Ok(())
    }
}

impl Batches {
    pub(super) fn new(wait: Duration) -> Option<Self> {
        (!wait.is_zero()).then(|| Self {
            wait,
            open: Open::default(),
        })
    }

    /// Puts a request to those that it may go with; the first of them begins an errand.
    fn join(&self, key: String, mut member: Member, errand: impl FnOnce() -> Errand) {
        let mut open = locked(&self.open);
        if let Some(batch) = open.get(&key) {
            match batch.take(member) {
                Ok(()) => return,
                Err(unfit) => member = unfit,
            }
            batch.full.notify_one();
        }
        let batch = Arc::new(Batch {
            members: Mutex::new(vec![member]),
            full: Notify::new(),
        });
        open.insert(key.clone(), batch.clone());
        // Not the work of any one client: the first may leave.
        tokio::spawn(go(self.open.clone(), self.wait, key, batch, errand()));
    }
}

async fn go(open: Open, wait: Duration, key: String, batch: Arc<Batch>, errand: Errand) {
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = batch.full.notified() => {}
    }
    {
        let mut open = locked(&open);
        if open.get(&key).is_some_and(|newest| Arc::ptr_eq(newest, &batch)) {
            open.remove(&key);
        }
    }
    // Nobody finds it any more.
    let mut members = std::mem::take(&mut *locked(&batch.members));
    members.retain(|member| !member.told.is_closed());
    errand.run(members).await;
}

/// A call for several requests.
struct Errand {
    core: Arc<Core>,
    targets: Vec<Target>,
    id: String,
    at: At,
    model: String,
    headers: HeaderMap,
    /// All that a request says but its model and its texts.
    rest: Fields,
}

impl Errand {
    async fn run(self, members: Vec<Member>) {
        let (told, parts): (Vec<_>, Vec<_>) = members.into_iter().map(|m| (m.told, m.texts)).unzip();
        let outcomes: Vec<Told> = match self.ask(&parts).await {
            Ok(Some(answers)) => answers.into_iter().map(Told::Part).collect(),
            Err(gave_up) if gave_up.failure.blame != Blame::Request => {
                told.iter().map(|_| Told::Failed(gave_up.clone())).collect()
            }
            Ok(None) | Err(_) => told.iter().map(|_| Told::Alone).collect(),
        };
        for (told, outcome) in told.into_iter().zip(outcomes) {
            // Who has left does not want to know.
            let _ = told.send(outcome);
        }
    }

    /// The answer to each; `None` where each is to be asked alone.
    async fn ask(&self, parts: &[Texts]) -> Result<Option<Vec<Part>>, GaveUp> {
        if parts.len() < 2 {
            return Ok(None);
        }
        let Some(question) = self.question(parts) else {
            return Ok(None);
        };
        let prepare = |target: &Target| {
            let outgoing = passed_on(&self.core, &question, target)?;
            Ok((outgoing, Losses::default(), None))
        };
        let tokens = question.body.len() as u64 / 4;
        let begun = attempt::open(&self.core, &self.targets, tokens, prepare).await?;
        let Opened::Whole(bytes, counts, _) = begun.opened else {
            return Ok(None);
        };
        let shares = shares(counts.map_or(0, |c| c.input), parts);
        let mut documents = apart(&bytes, parts, &shares).map(Vec::into_iter);
        let part = |share| Part {
            document: documents.as_mut().and_then(Iterator::next),
            counts: counts.map(|_| Counts {
                input: share,
                ..Counts::default()
            }),
            target: begun.target,
            retries: begun.retries,
            others: parts.len() - 1,
        };
        Ok(Some(shares.iter().copied().map(part).collect()))
    }

    fn question(&self, parts: &[Texts]) -> Option<Question> {
        let texts: Vec<&RawValue> = parts.iter().flat_map(|part| &part.list).map(AsRef::as_ref).collect();
        let mut fields = self.rest.clone();
        fields.insert("model".to_owned(), to_raw_value(&self.model).ok()?);
        fields.insert("input".to_owned(), to_raw_value(&texts).ok()?);
        let body = serde_json::to_vec(&fields).ok()?;
        let headers = self.headers.clone();
        Question::read(self.id.clone(), self.at, Door::EMBEDDINGS, headers, body.into()).ok()
    }
}

impl Service {
    /// Lets a request go with others, if it may.
    pub(super) async fn together(&self, question: &Question, who: &Who, targets: &[Target]) -> Told {
        let Some(batches) = &self.batches else {
            return Told::Alone;
        };
        let Some((texts, rest)) = taken_apart(question) else {
            return Told::Alone;
        };
        let key = key(question, who, targets, &rest);
        let (told, answer) = oneshot::channel();
        batches.join(key, Member { texts, told }, || Errand {
            core: self.core.clone(),
            targets: targets.to_vec(),
            id: question.id.clone(),
            at: question.at,
            model: question.model.clone(),
            headers: question.headers.clone(),
            rest,
        });
        answer.await.unwrap_or(Told::Alone)
    }
}

/// A request's texts, and all else it says; `None` where it is better off alone.
fn taken_apart(question: &Question) -> Option<(Texts, Fields)> {
    if question.wanted != Wanted::Embeddings {
        return None;
    }
    let mut fields: Fields = serde_json::from_slice(&question.body).ok()?;
    fields.remove("model");
    let input = fields.remove("input")?;
    let texts = Texts {
        list: texts(&input)?,
        bytes: input.get().len(),
    };
    let fits = !texts.list.is_empty() && texts.list.len() < TEXTS && texts.bytes < BYTES;
    fits.then_some((texts, fields))
}

/// The texts of an input: one, a list, one as tokens, or a list of such. What is none of these gets its refusal alone.
fn texts(input: &RawValue) -> Option<Vec<Box<RawValue>>> {
    if input.get().starts_with('"') || serde_json::from_str::<Vec<u64>>(input.get()).is_ok_and(|all| !all.is_empty()) {
        return Some(vec![input.to_owned()]);
    }
    let list: Vec<Box<RawValue>> = serde_json::from_str(input.get()).ok()?;
    let are_texts = list.iter().all(|text| text.get().starts_with(['"', '[']));
    are_texts.then_some(list)
}

/// What requests have in common that may go together: who asks, of whom, and how.
fn key(question: &Question, who: &Who, targets: &[Target], rest: &Fields) -> String {
    let rest: Vec<(&str, &str)> = rest.iter().map(|(name, value)| (name.as_str(), value.get())).collect();
    let headers: Vec<(&str, &[u8])> = question
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_bytes()))
        .collect();
    let payer = (&who.client, &who.run, &who.task, &who.agent, &who.project);
    format!("{payer:?} {targets:?} {rest:?} {headers:?}")
}

/// The documents of the parts, out of the document of all, each with its share of the tokens; `None` when it does not hold
/// exactly their vectors.
fn apart(whole: &[u8], parts: &[Texts], shares: &[u64]) -> Option<Vec<Bytes>> {
    let mut document: Fields = serde_json::from_slice(whole).ok()?;
    let data = document.remove("data")?;
    let has_usage = document.remove("usage").is_some();
    let mut vectors = in_order(serde_json::from_str(data.get()).ok()?)?;
    if vectors.len() != parts.iter().map(|part| part.list.len()).sum::<usize>() {
        return None;
    }
    let mut documents = Vec::with_capacity(parts.len());
    for (part, share) in parts.iter().zip(shares) {
        let rest = vectors.split_off(part.list.len());
        let mut own = std::mem::replace(&mut vectors, rest);
        for (index, vector) in own.iter_mut().enumerate() {
            vector.insert("index".to_owned(), to_raw_value(&index).ok()?);
        }
        let mut fields = document.clone();
        fields.insert("data".to_owned(), to_raw_value(&own).ok()?);
        if has_usage {
            let usage = serde_json::json!({"prompt_tokens": share, "total_tokens": share});
            fields.insert("usage".to_owned(), to_raw_value(&usage).ok()?);
        }
        documents.push(serde_json::to_vec(&fields).ok()?.into());
    }
    Some(documents)
}

/// Vectors in the order of their texts; `None` when one is missing or there twice.
fn in_order(vectors: Vec<Fields>) -> Option<Vec<Fields>> {
    let mut placed: BTreeMap<usize, Fields> = BTreeMap::new();
    let many = vectors.len();
    for vector in vectors {
        placed.insert(vector.get("index")?.get().parse().ok()?, vector);
    }
    let is_whole = placed.len() == many && placed.keys().copied().eq(0..many);
    is_whole.then(|| placed.into_values().collect())
}

/// Tokens as they fall to each by its bytes; their sum is the whole.
fn shares(tokens: u64, parts: &[Texts]) -> Vec<u64> {
    let all: u128 = parts.iter().map(|part| part.bytes as u128).sum();
    let mut bytes_so_far = 0_u128;
    let mut given = 0;
    let mut share = |bytes: usize| {
        bytes_so_far += bytes as u128;
        let until = u128::from(tokens) * bytes_so_far / all.max(1);
        let until = u64::try_from(until).unwrap_or(tokens);
        let share = until - given;
        given = until;
        share
    };
    parts.iter().map(|part| share(part.bytes)).collect()
}

#[cfg(test)]
mod tests;
