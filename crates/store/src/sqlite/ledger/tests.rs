use super::SqliteLedger;
use maestria_kernel::{
    At, Cost,
    ledger::{Account, CallRow, ClientKey, Ledger, Settled, UsageBy, UsageOf, Want},
};
use std::sync::Arc;

fn day(scope: &str) -> Account {
    Account {
        scope: scope.to_owned(),
        day: 20_000,
    }
}

fn want(scope: &str, limit: i64, least: i64, most: i64) -> Want {
    Want {
        account: day(scope),
        limit: Cost(limit),
        least: Cost(least),
        most: Cost(most),
    }
}

fn settled(scope: &str, spent: i64, returned: i64, alert: i64) -> Settled {
    Settled {
        account: day(scope),
        spent: Cost(spent),
        returned: Cost(returned),
        alert_from: Some(Cost(alert)),
    }
}

fn open() -> (tempfile::TempDir, Arc<SqliteLedger>) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path().join("m.db")).unwrap();
    (folder, Arc::new(ledger))
}

#[tokio::test]
async fn under_any_concurrency_exactly_what_fits_is_leased() {
    let (folder, ledger) = open();
    // A second gateway on the same books.
    let other = Arc::new(SqliteLedger::open(folder.path().join("m.db")).unwrap());
    let tasks = (0..64).map(|n| {
        let ledger = if n % 2 == 0 { ledger.clone() } else { other.clone() };
        tokio::spawn(async move {
            ledger
                .lease(format!("owner{}", n % 2), vec![want("day", 1_000, 90, 90)])
                .await
                .unwrap()
        })
    });
    let mut admitted = 0;
    for task in tasks.collect::<Vec<_>>() {
        admitted += usize::from(task.await.unwrap().is_ok());
    }
    assert_eq!(admitted, 11);
}

#[tokio::test]
async fn a_lease_is_taken_from_all_accounts_or_from_none() {
    let (_folder, ledger) = open();
    let wants = vec![want("day", 1_000, 100, 300), want("client a", 50, 100, 100)];
    let short = ledger.lease("o".to_owned(), wants).await.unwrap().unwrap_err();
    assert_eq!((short.scope.as_str(), short.limit), ("client a", Cost(50)));
    assert_eq!(ledger.balances(20_000).await.unwrap(), []);
    let granted = ledger
        .lease("o".to_owned(), vec![want("day", 1_000, 100, 300)])
        .await
        .unwrap();
    assert_eq!(granted.unwrap(), [Cost(300)]);
    let rest = ledger
        .lease("o".to_owned(), vec![want("day", 1_000, 100, 5_000)])
        .await
        .unwrap();
    assert_eq!(rest.unwrap(), [Cost(700)], "as much as there is");
}

#[tokio::test]
async fn what_is_settled_is_spent_and_the_alert_goes_out_once() {
    let (_folder, ledger) = open();
    ledger
        .lease("o".to_owned(), vec![want("day", 1_000, 900, 900)])
        .await
        .unwrap()
        .unwrap();
    let alerts = ledger
        .settle("o".to_owned(), vec![settled("day", 790, 0, 800)], Vec::new())
        .await
        .unwrap();
    assert!(alerts.is_empty());
    let alerts = ledger
        .settle("o".to_owned(), vec![settled("day", 10, 0, 800)], Vec::new())
        .await
        .unwrap();
    assert_eq!(alerts, [day("day")]);
    let alerts = ledger
        .settle("o".to_owned(), vec![settled("day", 50, 50, 800)], Vec::new())
        .await
        .unwrap();
    assert!(alerts.is_empty(), "once");
    let balances = ledger.balances(20_000).await.unwrap();
    assert_eq!(
        (balances[0].spent, balances[0].held, balances[0].alerted),
        (Cost(850), Cost(0), true)
    );
    assert_eq!(ledger.owners().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_dead_owner_held_counts_as_spent() {
    let (folder, ledger) = open();
    ledger
        .lease("dead".to_owned(), vec![want("day", 1_000, 600, 600)])
        .await
        .unwrap()
        .unwrap();
    drop(ledger);
    let ledger = SqliteLedger::open(folder.path().join("m.db")).unwrap();
    assert_eq!(ledger.owners().await.unwrap(), ["dead"]);
    assert_eq!(
        ledger.absorb("dead".to_owned()).await.unwrap(),
        [(day("day"), Cost(600))]
    );
    assert_eq!(ledger.absorb("dead".to_owned()).await.unwrap(), []);
    let short = ledger
        .lease("o".to_owned(), vec![want("day", 1_000, 401, 401)])
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!((short.spent, short.held), (Cost(600), Cost(0)));
}

#[tokio::test]
async fn usage_adds_up_by_every_group() {
    let (_folder, ledger) = open();
    let call = |n: u64, model: &str, agent: Option<&str>| CallRow {
        at: At(1_700_000_000_000 + i64::try_from(n).unwrap()),
        client: "ci".to_owned(),
        agent: agent.map(str::to_owned),
        provider: "p".to_owned(),
        model: model.to_owned(),
        input: 100,
        cached: 10,
        output: 5,
        cost: Cost(7),
        millis: n,
        outcome: if n == 100 { "failed" } else { "ok" }.to_owned(),
        ..CallRow::default()
    };
    let mut calls: Vec<CallRow> = (1..=100).map(|n| call(n, "a", Some("t1"))).collect();
    calls.push(CallRow {
        run: Some("run_1".to_owned()),
        ..call(1, "b", None)
    });
    ledger.settle("o".to_owned(), Vec::new(), calls).await.unwrap();
    let lines = ledger.usage(UsageBy::Model, UsageOf::default()).await.unwrap();
    let first = &lines[0];
    assert_eq!(
        (first.group.as_str(), first.calls, first.failed, first.cost),
        ("p/a", 100, 1, Cost(700))
    );
    assert_eq!((first.input, first.cached, first.output), (10_000, 1_000, 500));
    assert_eq!((first.p50_millis, first.p95_millis, first.p99_millis), (50, 95, 99));
    let provider = &ledger.usage(UsageBy::Provider, UsageOf::default()).await.unwrap()[0];
    assert_eq!(
        (provider.group.as_str(), provider.calls, provider.p95_millis),
        ("p", 101, 95)
    );
    let agents = ledger.usage(UsageBy::Agent, UsageOf::default()).await.unwrap();
    assert_eq!(agents.iter().map(|l| l.group.as_str()).collect::<Vec<_>>(), ["t1", ""]);
    assert_eq!(
        ledger.usage(UsageBy::Day, UsageOf::default()).await.unwrap()[0].group,
        "2023-11-14"
    );
    let later = UsageOf {
        since: At(1_800_000_000_000),
        run: None,
    };
    assert_eq!(ledger.usage(UsageBy::Run, later).await.unwrap(), []);
    let of_run = |run: &str| UsageOf {
        since: At(0),
        run: Some(run.to_owned()),
    };
    let of_one = ledger.usage(UsageBy::Model, of_run("run_1")).await.unwrap();
    assert_eq!(
        of_one.iter().map(|l| (l.group.as_str(), l.calls)).collect::<Vec<_>>(),
        [("p/b", 1)]
    );
    assert_eq!(ledger.usage(UsageBy::Model, of_run("run_2")).await.unwrap(), []);
    let newest = ledger.calls(At(0), 1).await.unwrap();
    assert_eq!((newest[0].millis, newest[0].outcome.as_str()), (100, "failed"));
}

#[tokio::test]
async fn keys_are_found_by_hash_and_revoked_by_name() {
    let (_folder, ledger) = open();
    let key = ClientKey {
        name: "ci".to_owned(),
        prefix: "mk_abc".to_owned(),
        hash: "h1".to_owned(),
        budget: Some(Cost(5)),
        task: Some("task_1".to_owned()),
        ..ClientKey::default()
    };
    assert!(ledger.add_key(key.clone()).await.unwrap());
    let twin = ClientKey {
        hash: "h2".to_owned(),
        ..key.clone()
    };
    assert!(!ledger.add_key(twin.clone()).await.unwrap(), "the name is taken");
    assert_eq!(ledger.key("h1".to_owned()).await.unwrap(), Some(key));
    assert!(ledger.revoke_key("ci".to_owned(), At(9)).await.unwrap());
    assert!(!ledger.revoke_key("ci".to_owned(), At(9)).await.unwrap());
    assert_eq!(
        ledger.key("h1".to_owned()).await.unwrap().unwrap().revoked_at,
        Some(At(9))
    );
    assert!(ledger.add_key(twin).await.unwrap(), "the name of a revoked key is free");
    assert_eq!(ledger.keys().await.unwrap().len(), 1);
}
