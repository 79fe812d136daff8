//! Holding a native worker: it is frozen and stopped between its steps, and the command it runs with it.

use maestria_kernel::port::Control;
use maestria_sandbox::{Grace, Supervised};
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Going,
    Frozen,
    Stopped,
}

pub(super) struct Leash {
    state: watch::Sender<State>,
    command: Mutex<Option<Arc<Supervised>>>,
}

impl Leash {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::new(State::Going),
            command: Mutex::new(None),
        }
    }

    pub(super) async fn control(&self, control: Control) {
        let command = self.command.lock().await.clone();
        let next = match control {
            Control::Freeze => State::Frozen,
            Control::Thaw => State::Going,
            Control::Stop => State::Stopped,
        };
        // Stopped is for ever.
        self.state.send_if_modified(|state| {
            let changes = *state != State::Stopped && *state != next;
            if changes {
                *state = next;
            }
            changes
        });
        let Some(command) = command else { return };
        match control {
            // A command that has just ended needs neither.
            Control::Freeze => drop(command.freeze().await),
            Control::Thaw => drop(command.thaw().await),
            Control::Stop => drop(command.stop(Grace::default()).await),
        }
    }

    /// Waits while frozen; `false` when stopped.
    pub(super) async fn may_go(&self) -> bool {
        let mut state = self.state.subscribe();
        // The sender lives as long as the leash.
        let state = state
            .wait_for(|s| *s != State::Frozen)
            .await
            .map_or(State::Stopped, |s| *s);
        state == State::Going
    }

    /// Ends when stopped.
    pub(super) async fn stopped(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|s| *s == State::Stopped).await;
    }

    pub(super) async fn hold(&self, command: &Arc<Supervised>) {
        *self.command.lock().await = Some(command.clone());
    }

    pub(super) async fn let_go(&self) {
        *self.command.lock().await = None;
    }
}
