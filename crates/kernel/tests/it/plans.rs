//! Plan graphs and workload shares.

use crate::scene::{agent, edits, task, three};
use maestria_kernel::{
    agent::{Tier, Vendor},
    plan::{
        PlannedTask, TaskKind,
        graph::{PlanError, check},
        shares::{assign, default_bands, reached},
    },
};

fn failure(tasks: &[PlannedTask]) -> String {
    check(tasks).expect_err("the plan is wrong").to_string()
}

#[test]
fn groups_follow_needs() {
    let graph = check(&edits(&[(1, &[]), (2, &["E1"]), (3, &["E1"]), (4, &["E2", "E3"])])).unwrap();
    assert_eq!(graph.groups, [vec![0], vec![1, 2], vec![3]]);
}

#[test]
fn a_reference_to_evidence_is_a_need() {
    let mut tasks = edits(&[(1, &[]), (2, &[])]);
    tasks[1].instructions = "Use #E1, and never mind issue #17 or #E99.".to_owned();
    assert_eq!(check(&tasks).unwrap().groups, [vec![0], vec![1]]);
}

#[test]
fn what_is_wrong_with_a_plan_is_named() {
    assert_eq!(failure(&[]), "the plan has no tasks");
    assert_eq!(
        failure(&edits(&[(1, &["E3"]), (2, &["E1"]), (3, &["E2"]), (4, &[])])),
        "the plan has a cycle: E1 → E3 → E2 → E1"
    );
    assert_eq!(failure(&edits(&[(1, &["E1"])])), "the plan has a cycle: E1 → E1");
    assert_eq!(
        failure(&edits(&[(1, &["E9"])])),
        "task E1 needs E9, which is not in the plan"
    );
    assert_eq!(failure(&edits(&[(1, &[]), (1, &[])])), "two tasks are called E1");
    let many: Vec<_> = (1..=65).map(|n| task(n, TaskKind::Edit, &[])).collect();
    assert_eq!(check(&many), Err(PlanError::TooMany(65)));
}

#[test]
fn with_three_clis_the_shares_lie_in_their_bands() {
    let agents = three();
    let mut tasks = vec![
        task(1, TaskKind::Investigate, &[]),
        task(2, TaskKind::Edit, &["E1"]),
        task(3, TaskKind::Edit, &["E1"]),
        task(4, TaskKind::Edit, &["E1"]),
        task(5, TaskKind::Edit, &["E2"]),
        task(6, TaskKind::Investigate, &[]),
    ];
    let bands = default_bands();
    assign(&mut tasks, &agents, &bands);
    for share in reached(&tasks, &agents, &bands) {
        let (least, most) = share.band.expect("all three are there");
        assert!((least..=most).contains(&share.percent), "{share:?}");
    }
}

#[test]
fn a_missing_cli_makes_bands_meaningless_but_all_tasks_have_an_agent() {
    let agents = vec![agent("claude", Vendor::Claude), agent("codex", Vendor::Codex)];
    let mut tasks = vec![task(1, TaskKind::Investigate, &[]), task(2, TaskKind::Edit, &[])];
    assign(&mut tasks, &agents, &default_bands());
    assert!(tasks.iter().all(|t| t.agent.is_some()));
    assert!(
        reached(&tasks, &agents, &default_bands())
            .iter()
            .all(|s| s.band.is_none())
    );
}

#[test]
fn tiers_are_named_by_who_is_there() {
    let native = || agent("native", Vendor::Native("mock".to_owned()));
    let mut down = agent("codex", Vendor::Codex);
    down.unusable = Some("not logged in".to_owned());
    let cases: [(Vec<maestria_kernel::agent::Agent>, Tier); 6] = [
        (three(), Tier::All),
        (
            vec![agent("c", Vendor::Claude), agent("g", Vendor::Gemini), down.clone()],
            Tier::GeminiClaude,
        ),
        (vec![agent("c", Vendor::Claude), native()], Tier::OneCli),
        (vec![agent("qwen", Vendor::Other("qwen".to_owned()))], Tier::OneCli),
        (vec![native(), down.clone()], Tier::NativeAlone),
        (vec![down], Tier::Nobody),
    ];
    for (agents, tier) in cases {
        assert_eq!(Tier::of(&agents), tier, "{}", Tier::because(&agents));
    }
}
