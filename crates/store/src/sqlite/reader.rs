//! The threads that read. In WAL mode they see the newest commit and never wait for the writer.

use super::{location::Location, view::View};
use maestria_kernel::port::StoreError;
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};
use tokio::sync::{Semaphore, oneshot};

/// Threads, each with a connection of its own: one long answer does not hold up a short one.
const THREADS: usize = 2;

/// Reads under way at once; more callers wait their turn.
const ROOM: usize = 64;

type Job = Box<dyn FnOnce(&View) + Send>;

enum Message {
    Read(Job),
    Close(oneshot::Sender<()>),
}

/// The callers' side of the threads.
pub(super) struct Readers {
    messages: Sender<Message>,
    room: Semaphore,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

impl Readers {
    pub(super) fn start(location: &Arc<Location>) -> Result<Self, StoreError> {
        let (messages, inbound) = mpsc::channel();
        let inbound = Arc::new(Mutex::new(inbound));
        for _ in 0..THREADS {
            let view = View::new(location.reading()?, Arc::clone(location));
            let inbound = Arc::clone(&inbound);
            thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || serve(view, &inbound))
                .map_err(|e| location.unwritable(format!("no thread for reading: {e}")))?;
        }
        Ok(Self {
            messages,
            room: Semaphore::new(ROOM),
        })
    }

    /// Runs `read` on one of the threads.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _room = self.room.acquire().await.map_err(|_| StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |view| {
            // A caller that has gone away does not want to know.
            let _ = answer.send(read(view));
        });
        self.messages.send(Message::Read(job)).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn close(&self) {
        self.room.close();
        for _ in 0..THREADS {
            let (done, ended) = oneshot::channel();
            if self.messages.send(Message::Close(done)).is_ok() {
                // An error means that the thread had ended before, which is as good.
                let _ = ended.await;
            }
        }
    }
}

fn serve(view: View, inbound: &Mutex<Receiver<Message>>) {
    loop {
        let message = inbound.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match message {
            Ok(Message::Read(job)) => job(&view),
            Ok(Message::Close(done)) => {
                drop(view);
                let _ = done.send(());
                return;
            }
            Err(_) => return,
        }
    }
}
