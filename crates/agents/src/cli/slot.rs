//! Who runs now: the handles by which a task's workers are frozen, thawed and stopped, also while they are between two
//! processes.

use maestria_kernel::{TaskId, port::Control};
use maestria_sandbox::Supervised;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// The running workers of one agent.
#[derive(Debug, Default)]
pub struct Slots {
    running: Mutex<HashMap<TaskId, Vec<Arc<Slot>>>>,
}

/// One worker's handle.
#[derive(Debug)]
pub struct Slot {
    wish: watch::Sender<Wish>,
    process: Mutex<Option<Arc<Supervised>>>,
    gone: watch::Sender<bool>,
}

/// What is wanted of a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// It is to stand still.
    pub frozen: bool,
    /// It is to end.
    pub stopped: bool,
}

/// Keeps a slot in the list for as long as its worker runs.
#[derive(Debug)]
pub struct Seat<'a> {
    slots: &'a Slots,
    task: Option<TaskId>,
    slot: Arc<Slot>,
}

impl std::ops::Deref for Seat<'_> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut running = self.slots.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = self.task
            && let Some(slots) = running.get_mut(&task)
        {
            slots.retain(|slot| !Arc::ptr_eq(slot, &self.slot));
            if slots.is_empty() {
                running.remove(&task);
            }
        }
        self.slot.gone.send_replace(true);
    }
}

impl Slots {
    /// Opens a slot; without a task nobody can find it.
    pub fn open(&self, task: Option<TaskId>) -> Seat<'_> {
        let slot = Arc::new(Slot {
            wish: watch::Sender::default(),
            process: Mutex::new(None),
            gone: watch::Sender::default(),
        });
        if let Some(task) = task {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.entry(task).or_default().push(slot.clone());
        }
        Seat {
            slots: self,
            task,
            slot,
        }
    }

    /// Freezes, thaws or stops a task's workers; returns when it is so.
    pub async fn control(&self, task: TaskId, control: Control) {
        let slots = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.get(&task).cloned().unwrap_or_default()
        };
        for slot in slots {
            slot.control(control).await;
        }
    }
}

impl Slot {
    async fn control(&self, control: Control) {
        self.wish.send_modify(|wish| match control {
            Control::Freeze => wish.frozen = true,
            Control::Thaw => wish.frozen = false,
            Control::Stop => wish.stopped = true,
        });
        match control {
            Control::Freeze | Control::Thaw => self.settle().await,
            Control::Stop => {
                // Only fails when the slot is dropped, and then the worker is gone, too.
                let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
            }
        }
    }

    /// Brings the process into the state that is wanted of it.
    async fn settle(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(process) = process else { return };
        let wish = *self.wish.borrow();
        // An error means that it has ended, which whoever drives it finds out.
        let _ = if wish.frozen && !wish.stopped {
            process.freeze().await
        } else {
            process.thaw().await
        };
    }

    /// The worker has a new process.
    pub async fn enter(&self, process: Arc<Supervised>) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        if self.wish.borrow().frozen {
            self.settle().await;
        }
    }

    /// The worker's process is gone.
    pub fn leave(&self) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Follows what is wanted.
    pub fn wishes(&self) -> watch::Receiver<Wish> {
        self.wish.subscribe()
    }

    /// Whether the worker is to end.
    pub fn is_stopped(&self) -> bool {
        self.wish.borrow().stopped
    }
}
