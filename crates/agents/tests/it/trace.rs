//! What a worker is told of the trace that it is in.

use crate::stage::{Notebook, Stage};
use maestria_agents::cli::Surroundings;
use maestria_kernel::{decision::Choice, trace::Place};
use serde_json::json;
use std::sync::Arc;

/// What the worker of an attempt found in its environment, and its place by the ids.
async fn found(role: &str, traced: Option<u8>) -> (Option<String>, Place) {
    let stage = Stage::new();
    let around = Surroundings {
        traced,
        ..(*stage.around()).clone()
    };
    let plan = json!({"turns": [[{"shell": "echo \"${TRACEPARENT:-none}\" > trace.txt"}, {"say": "done"}]]});
    let agent = stage.fake_among(Arc::new(around), role, &plan, |_| {});
    let job = stage.job("do it");
    let place = Place::of_attempt(job.run, job.task.id, job.attempt, traced.unwrap_or(0));
    let outcome = stage.perform(&agent, job, &Notebook::answering(Choice::Accept)).await;
    let found = stage.read("trace.txt").map(|text| text.trim().to_owned());
    assert!(found.is_some(), "{outcome:#?}");
    (found, place)
}

#[tokio::test]
async fn a_worker_is_told_where_in_which_trace_it_is() {
    for role in ["claude", "codex", "acp"] {
        let (told, place) = found(role, Some(100)).await;
        assert_eq!(told, Some(place.to_string()), "{role}");
        assert!(place.sampled);
    }
}

#[tokio::test]
async fn a_worker_of_a_run_that_is_not_kept_is_told_so() {
    let (told, place) = found("claude", Some(0)).await;
    assert_eq!(told, Some(place.to_string()));
    assert!(!place.sampled);
}

#[tokio::test]
async fn without_traces_a_worker_is_told_nothing() {
    assert_eq!(found("claude", None).await.0.as_deref(), Some("none"));
}
