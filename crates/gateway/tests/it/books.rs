//! Books that cannot be written any more: nothing further is spent.

use crate::stage::{NOON, ask, provider, rules};
use maestria_gateway::{Bounds, Outside, Server, Service, Setup};
use maestria_kernel::{
    At, Cost,
    ledger::{Account, Balance, CallRow, ClientKey, Ledger, Settled, Short, UsageBy, UsageLine, UsageOf, Want},
    port::{Boxed, StoreError},
};
use maestria_store::SqliteLedger;
use maestria_testkit::model::{Dialect, ModelServer};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};

/// Books on a disk that fails when it is told to.
struct OnBadDisk {
    books: SqliteLedger,
    failing: AtomicBool,
    /// Writes that were tried after the first that failed.
    after: AtomicU64,
}

impl OnBadDisk {
    fn fails(&self) -> Result<(), StoreError> {
        if self.failing.load(Ordering::SeqCst) {
            self.after.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::Unwritable {
                path: "m.db".to_owned(),
                detail: "disk I/O error".to_owned(),
            });
        }
        Ok(())
    }
}

impl Ledger for OnBadDisk {
    fn lease(&self, owner: String, wants: Vec<Want>) -> Boxed<'_, Result<Result<Vec<Cost>, Short>, StoreError>> {
        Box::pin(async move {
            self.fails()?;
            self.books.lease(owner, wants).await
        })
    }

    fn settle(
        &self,
        owner: String,
        settled: Vec<Settled>,
        calls: Vec<CallRow>,
    ) -> Boxed<'_, Result<Vec<Account>, StoreError>> {
        Box::pin(async move {
            self.fails()?;
            self.books.settle(owner, settled, calls).await
        })
    }

    fn owners(&self) -> Boxed<'_, Result<Vec<String>, StoreError>> {
        self.books.owners()
    }

    fn absorb(&self, owner: String) -> Boxed<'_, Result<Vec<(Account, Cost)>, StoreError>> {
        self.books.absorb(owner)
    }

    fn balances(&self, day: i64) -> Boxed<'_, Result<Vec<Balance>, StoreError>> {
        self.books.balances(day)
    }

    fn usage(&self, by: UsageBy, of: UsageOf) -> Boxed<'_, Result<Vec<UsageLine>, StoreError>> {
        self.books.usage(by, of)
    }

    fn calls(&self, since: At, limit: u32) -> Boxed<'_, Result<Vec<CallRow>, StoreError>> {
        self.books.calls(since, limit)
    }

    fn calls_after(&self, number: u64, limit: u32) -> Boxed<'_, Result<Vec<(u64, CallRow)>, StoreError>> {
        self.books.calls_after(number, limit)
    }

    fn newest_call(&self) -> Boxed<'_, Result<u64, StoreError>> {
        self.books.newest_call()
    }

    fn add_key(&self, key: ClientKey) -> Boxed<'_, Result<bool, StoreError>> {
        self.books.add_key(key)
    }

    fn revoke_key(&self, name: String, now: At) -> Boxed<'_, Result<bool, StoreError>> {
        self.books.revoke_key(name, now)
    }

    fn keys(&self) -> Boxed<'_, Result<Vec<ClientKey>, StoreError>> {
        self.books.keys()
    }

    fn key(&self, hash: String) -> Boxed<'_, Result<Option<ClientKey>, StoreError>> {
        self.books.key(hash)
    }
}

#[tokio::test]
async fn after_a_failed_write_no_call_goes_out_although_there_is_leased_money() {
    let server = ModelServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let disk = Arc::new(OnBadDisk {
        books: SqliteLedger::open(path.clone()).unwrap(),
        failing: AtomicBool::new(false),
        after: AtomicU64::new(0),
    });
    let setup = Setup {
        providers: vec![provider("p", "openai", &server, &["gpt-4o-mini"])],
        ..Setup::default()
    };
    let outside = Outside {
        ledger: disk.clone(),
        owner: "one".to_owned(),
        on_alert: Arc::new(|_| {}),
        now: Arc::new(|| NOON),
    };
    let service = Arc::new(Service::new(setup, rules(), outside).unwrap());
    let server_of = Server::bind("127.0.0.1:0".parse().unwrap(), service, Bounds::default());
    let gateway = server_of.await.unwrap();
    let address = gateway.address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(gateway.run(async move { drop(stopped.await) }));
    let post = async || {
        let (path, body) = ask(Dialect::Chat, "gpt-4o-mini", "hello", false);
        let (mut socket, body) = (TcpStream::connect(address).await.unwrap(), body.to_string());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(post().await.starts_with("HTTP/1.1 200"));
    disk.failing.store(true, Ordering::SeqCst);
    // Leased money is there, so calls still go out until the first of them cannot be booked.
    let deadline = Instant::now() + Duration::from_secs(20);
    let refused = loop {
        let answer = post().await;
        if !answer.starts_with("HTTP/1.1 200") {
            break answer;
        }
        assert!(Instant::now() < deadline, "calls go on without books");
    };
    assert!(
        refused.starts_with("HTTP/1.1 500") && refused.contains("the books cannot be written"),
        "{refused}"
    );
    let (asked, tried) = (server.asked(), disk.after.load(Ordering::SeqCst));
    disk.failing.store(false, Ordering::SeqCst);
    for _ in 0..5 {
        assert!(
            post().await.starts_with("HTTP/1.1 500"),
            "a disk that was in doubt is not trusted again"
        );
    }
    assert_eq!(
        (server.asked(), disk.after.load(Ordering::SeqCst)),
        (asked, tried),
        "nothing is spent any more"
    );
    drop(stop);
    running.await.unwrap();
    let rows = SqliteLedger::open(path).unwrap().calls(At(0), 100).await.unwrap();
    assert!(
        !rows.is_empty() && rows.iter().all(|row| row.outcome == "ok"),
        "what was booked is whole: {rows:?}"
    );
}
