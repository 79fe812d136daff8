//! What every store promises, as tests that run on any of them: [`store_suite!`](crate::store_suite) makes one test a
//! promise.
//!
//! A promise gets an empty store and fails by panicking. Durability is not among them: it needs a disk to be taken away.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a broken promise fails its test at once"
)]

mod asked;
mod crowd;
mod inbox;
mod log;
mod once;
mod owed;

pub use asked::*;
pub use crowd::*;
pub use inbox::*;
pub use log::*;
pub use once::*;
pub use owed::*;

use maestria_kernel::{
    At, Cost, Event, RunId, Seq, Tokens, Usage,
    port::{Batch, RunRow, Store, Stored},
};
use uuid::Uuid;

/// Makes a module of tests, one for each promise, each on a store that `$make` makes. `$make` yields the store and
/// whatever has to outlive it.
#[macro_export]
macro_rules! store_suite {
    ($name:ident, $make:expr) => {
        $crate::store_suite!(@promises $name, $make,
            a_new_run_is_empty,
            events_come_back_as_they_were,
            reading_goes_on_from_any_event,
            a_batch_on_another_event_is_refused_whole,
            a_batch_with_a_gap_is_refused_whole,
            a_batch_that_comes_again_is_stored_once,
            large_events_come_back_whole,
            runs_do_not_touch_each_other,
            decisions_are_kept_with_their_answers,
            runs_are_listed_newest_first,
            runs_are_listed_in_pages,
            runs_that_changed_are_told,
            what_is_owed_comes_with_its_events,
            what_is_settled_goes_with_its_events,
            settling_twice_does_no_harm,
            what_is_owed_is_in_order,
            commands_wait_in_order,
            the_first_answer_stands,
            an_answer_to_nothing_does_no_harm,
            a_command_waits_with_its_key,
            a_command_is_answered_with_its_events,
            writers_of_one_run_exclude_each_other,
            writers_of_many_runs_lose_nothing,
            readers_see_whole_batches,
            the_feed_has_every_event_once_in_the_order_of_commits,
            the_feed_can_be_asked_for_some_kinds,
            all_that_is_owed_is_counted,
            commands_from_many_get_their_own_numbers,
            decisions_are_found_in_the_order_people_look_at_them,
            a_key_stands_for_one_submission_until_it_ends,
            a_key_goes_with_its_batch,
            a_key_makes_an_action_on_a_run_happen_once,
            of_submissions_at_once_under_one_key_one_is_stored,
        );
    };
    (@promises $name:ident, $make:expr, $($promise:ident),+ $(,)?) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $promise() {
                    let (store, _ground) = $make;
                    $crate::store::$promise(::std::sync::Arc::new(store)).await;
                }
            )+
        }
    };
}

/// A run's id; numbers sort as the ids do.
pub fn run(number: u32) -> RunId {
    RunId::new(Uuid::from_u128(
        0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number),
    ))
}

/// An observation with a text.
pub fn said(text: impl Into<String>) -> Event {
    Event::TaskSaid {
        task: None,
        text: text.into(),
    }
}

/// A batch of events after event number `after`.
pub fn batch(after: u64, events: impl IntoIterator<Item = Event>) -> Batch {
    let numbered = events.into_iter().zip(after + 1..).map(|(event, seq)| Stored {
        seq: Seq(seq),
        at: At(1_700_000_000_000 + (seq % 1_000) as i64),
        event,
    });
    Batch {
        after: Seq(after),
        events: numbered.collect(),
        ..Batch::default()
    }
}

/// A row for the list; `created_at` in milliseconds.
pub fn row(id: RunId, created_at: i64) -> RunRow {
    RunRow {
        id,
        state: "executing".to_owned(),
        text: "add a --json flag — “so”\n".to_owned(),
        target: "/target".to_owned(),
        workspace: "/session".to_owned(),
        workflow: "develop".to_owned(),
        percent: 40,
        usage: Usage {
            input: Tokens(1 << 40),
            cached: Tokens(2),
            output: Tokens(3),
            cost: Cost(-4),
        },
        decisions: 1,
        work: "pending".to_owned(),
        scripted: true,
        created_at: At(created_at),
        updated_at: At(created_at + 1),
    }
}

/// The whole log of a run.
pub async fn log_of(store: &dyn Store, id: RunId) -> Vec<Stored> {
    store.events(id, Seq(0), u32::MAX).await.unwrap()
}
