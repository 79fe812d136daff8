use super::{FRESH, Seen, TRUST};
use crate::key;
use maestria_kernel::{
    At,
    ledger::{ClientKey, Ledger},
};
use maestria_store::SqliteLedger;
use std::{sync::Arc, time::Instant};

async fn ledger(folder: &std::path::Path) -> Arc<SqliteLedger> {
    Arc::new(SqliteLedger::open(folder.join("m.db")).unwrap())
}

async fn made(ledger: &SqliteLedger, name: &str) -> String {
    let like = ClientKey {
        name: name.to_owned(),
        ..ClientKey::default()
    };
    key::create(ledger, like, At(1)).await.unwrap()
}

#[tokio::test]
async fn a_key_is_known_until_it_is_revoked_and_a_little_longer() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let key = made(&ledger, "ci").await;
    let seen = Seen::new(ledger.clone());
    assert_eq!(seen.whose(&key).await.unwrap().unwrap().client, "ci");
    assert!(seen.whose("mk_none").await.unwrap().is_none());
    assert!(seen.whose("sk-other").await.unwrap().is_none());
    assert!(ledger.revoke_key("ci".to_owned(), At(2)).await.unwrap());
    let revoked = Instant::now();
    // In steady use, so that it is asked about beside the calls.
    while seen.whose(&key).await.unwrap().is_some() {
        assert!(revoked.elapsed() < TRUST * 20, "it is trusted for ever");
        tokio::time::sleep(FRESH / 20).await;
    }
}

#[tokio::test]
async fn who_asks_together_is_told_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let key = made(&ledger, "ci").await;
    let seen = Seen::new(ledger);
    let all = (0..100).map(|_| {
        let (seen, key) = (seen.clone(), key.clone());
        tokio::spawn(async move { seen.whose(&key).await.unwrap().map(|who| who.client.clone()) })
    });
    for one in all.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap().as_deref(), Some("ci"));
    }
}
