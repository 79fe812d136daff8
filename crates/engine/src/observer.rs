//! What workers report through: a bounded channel into the driver, so that a chatty worker waits instead of filling
//! the memory.

use crate::driver::{Asking, Message};
use maestria_kernel::{
    Event, TaskId,
    decision::Choice,
    permission::Question,
    port::{Boxed, Observer},
};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Sends what is seen to the driver.
pub(crate) struct Reporter {
    messages: mpsc::Sender<Message>,
    /// Observations dropped because the driver could not keep up; told once it can.
    dropped: AtomicU64,
}

impl Reporter {
    pub(crate) fn new(messages: mpsc::Sender<Message>) -> Self {
        Self {
            messages,
            dropped: AtomicU64::new(0),
        }
    }

    /// Sends without blocking an async thread: on a full channel the calling thread waits where it may.
    fn send(&self, message: Message) {
        let Err(mpsc::error::TrySendError::Full(message)) = self.messages.try_send(message) else {
            return;
        };
        let sender = self.messages.clone();
        let waited = tokio::runtime::Handle::try_current()
            .ok()
            .filter(|h| h.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread)
            .map(|handle| tokio::task::block_in_place(|| handle.block_on(sender.send(message))).is_ok());
        if waited.is_none() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Observer for Reporter {
    fn observe(&self, event: Event) {
        self.send(Message::Observed(Box::new(event)));
    }

    fn ask(&self, task: TaskId, question: Question, because: String) -> Boxed<'_, Choice> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let asked = Message::Asked(Box::new(Asking {
                task,
                question,
                because,
                reply,
            }));
            if self.messages.send(asked).await.is_err() {
                return Choice::Refuse;
            }
            // The driver is gone: nobody can give leave any more.
            answer.await.unwrap_or(Choice::Refuse)
        })
    }
}
