use super::{Budgets, Charge, Refusal};
use maestria_kernel::{
    At, Cost,
    ledger::{CallRow, Ledger, Scope},
};
use maestria_store::SqliteLedger;
use std::sync::Arc;

const NOW: At = At(1_767_268_800_000);

fn open() -> (tempfile::TempDir, Arc<SqliteLedger>, Arc<Budgets>) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(SqliteLedger::open(folder.path().join("m.db")).unwrap());
    let budgets = Budgets::new(ledger.clone(), "o".to_owned(), 80, Arc::new(|_| {}));
    (folder, ledger, Arc::new(budgets))
}

fn day(limit: i64) -> Charge {
    Charge::new(&Scope::Day, Cost(limit), NOW)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_rounds_of_sixty_four_against_room_for_k_admit_k() {
    let (_folder, _ledger, budgets) = open();
    for round in 0..1_000_i64 {
        // From exact leases to shares of one lease, and limits that do not divide.
        let (amount, k) = (1 + round % 97, 1 + round % 40);
        let charge = Charge::new(&Scope::Run(round.to_string()), Cost(amount * k + round % amount), NOW);
        let takes = (0..64).map(|_| {
            let (budgets, charge) = (budgets.clone(), charge.clone());
            tokio::spawn(async move { budgets.take(vec![charge], Cost(amount)).await })
        });
        let mut holds = Vec::new();
        for take in takes.collect::<Vec<_>>() {
            holds.extend(take.await.unwrap().ok());
        }
        assert_eq!(holds.len() as i64, k, "round {round}");
        for hold in holds {
            budgets.settle(hold, Cost(amount), None);
        }
    }
}

#[tokio::test]
async fn small_calls_share_a_lease_and_the_last_micro_dollar_is_found() {
    let (_folder, ledger, budgets) = open();
    let mut admitted = 0;
    while let Ok(hold) = budgets.take(vec![day(10_000)], Cost(7)).await {
        budgets.settle(hold, Cost(7), None);
        admitted += 1;
    }
    assert_eq!(admitted, 10_000 / 7);
    budgets.flush().await;
    let balance = &ledger.balances(NOW.0 / 86_400_000).await.unwrap()[0];
    assert_eq!(
        (balance.spent.0, balance.spent.0 + balance.held.0 <= 10_000),
        (9_996, true)
    );
}

#[tokio::test]
async fn a_call_counts_for_all_of_its_accounts_or_for_none() {
    let (_folder, ledger, budgets) = open();
    let client = Charge::new(&Scope::Client("ci".to_owned()), Cost(50), NOW);
    let refused = budgets
        .take(vec![day(1_000), client.clone()], Cost(60))
        .await
        .unwrap_err();
    let Refusal::Short { short, needed } = &refused else {
        panic!("{refused}")
    };
    assert_eq!((short.scope.as_str(), *needed), ("client ci", Cost(60)));
    let hold = budgets.take(vec![day(1_000), client], Cost(50)).await.unwrap();
    budgets.settle(hold, Cost(20), None);
    assert!(
        budgets.take(vec![day(1_000)], Cost(980)).await.is_ok(),
        "30 were given back"
    );
    budgets.flush().await;
    let spent: Vec<(String, i64)> = ledger
        .balances(NOW.0 / 86_400_000)
        .await
        .unwrap()
        .into_iter()
        .map(|b| (b.scope, b.spent.0))
        .collect();
    assert_eq!(spent, [("client ci".to_owned(), 20), ("day".to_owned(), 20)]);
}

#[tokio::test]
async fn only_the_model_that_answered_is_charged() {
    let (_folder, ledger, budgets) = open();
    let model = |name: &str| Charge::new(&Scope::Model(name.to_owned()), Cost(1_000), NOW);
    let hold = budgets.take(vec![model("a"), model("b")], Cost(500)).await.unwrap();
    let call = CallRow {
        model: "b".to_owned(),
        ..CallRow::default()
    };
    budgets.settle(hold, Cost(300), Some(call));
    budgets.close().await;
    let balances = ledger.balances(NOW.0 / 86_400_000).await.unwrap();
    let spent: Vec<(&str, i64, i64)> = balances
        .iter()
        .map(|b| (b.scope.as_str(), b.spent.0, b.held.0))
        .collect();
    assert_eq!(spent, [("model a", 0, 0), ("model b", 300, 0)]);
}

#[tokio::test]
async fn a_cost_above_the_worst_case_is_booked_all_the_same() {
    let (_folder, ledger, budgets) = open();
    let hold = budgets.take(vec![day(1_000)], Cost(100)).await.unwrap();
    budgets.settle(hold, Cost(1_500), None);
    assert!(
        budgets.take(vec![day(1_000)], Cost(1)).await.is_err(),
        "nothing is left"
    );
    budgets.flush().await;
    assert_eq!(ledger.balances(NOW.0 / 86_400_000).await.unwrap()[0].spent, Cost(1_500));
}
