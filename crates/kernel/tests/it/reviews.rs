//! The four rules, and who may judge whom.

use crate::scene::{agent, three};
use maestria_kernel::{
    agent::Vendor,
    finding::{Finding, Severity},
    id::AgentName,
    review::{Opinion, ReviewVerdict, Ruling, pick, rule},
};

fn opinion(verdict: Option<ReviewVerdict>, blocking: bool) -> Opinion {
    let finding = Finding {
        severity: Severity::Blocking,
        file: None,
        line: None,
        message: "no".to_owned(),
    };
    Opinion {
        verdict,
        text: "text".to_owned(),
        findings: if blocking { vec![finding] } else { Vec::new() },
    }
}

/// Every multiset of up to two opinions, against the rules as the capability states them.
#[test]
fn the_rules_are_exhaustive_and_in_order() {
    use ReviewVerdict::{Approve, Reject, RequestChanges, Unsure};
    let kinds = [Some(Approve), Some(RequestChanges), Some(Reject), Some(Unsure), None];
    let mut single: Vec<Vec<Opinion>> = vec![Vec::new()];
    let all: Vec<Opinion> = kinds
        .iter()
        .flat_map(|k| [opinion(*k, false), opinion(*k, true)])
        .collect();
    single.extend(all.iter().map(|o| vec![o.clone()]));
    single.extend(
        all.iter()
            .flat_map(|a| all.iter().map(move |b| vec![a.clone(), b.clone()])),
    );
    for opinions in single {
        let refs: Vec<&Opinion> = opinions.iter().collect();
        for round in 0..=3 {
            for further in [true, false] {
                let ruled = rule(&refs, round, 2, further);
                let rejects = opinions
                    .iter()
                    .any(|o| o.verdict == Some(Reject) && !o.findings.is_empty());
                let changes = opinions.iter().any(|o| o.verdict == Some(RequestChanges));
                let approves = !opinions.is_empty() && opinions.iter().all(|o| o.verdict == Some(Approve));
                let expected = if rejects {
                    (1, Ruling::Escalate)
                } else if changes {
                    (2, if round < 2 { Ruling::Rework } else { Ruling::Escalate })
                } else if approves {
                    (3, Ruling::Continue)
                } else {
                    (
                        4,
                        if further {
                            Ruling::FurtherReviewer
                        } else {
                            Ruling::Escalate
                        },
                    )
                };
                assert_eq!(
                    (ruled.rule, ruled.ruling),
                    expected,
                    "{opinions:?} round {round} further {further}"
                );
            }
        }
    }
}

#[test]
fn a_reviewer_is_of_another_vendor_if_there_is_one() {
    let agents = three();
    let name = |n: &str| AgentName::from(n);
    assert_eq!(pick(&agents, &name("claude"), &[]).unwrap().name, name("codex"));
    assert_eq!(pick(&agents, &name("codex"), &[]).unwrap().name, name("gemini"));
    assert_eq!(
        pick(&agents, &name("claude"), &[name("codex")]).unwrap().name,
        name("gemini")
    );
    let alone = [agent("claude", Vendor::Claude)];
    assert_eq!(pick(&alone, &name("claude"), &[]).unwrap().name, name("claude"));
    assert!(pick(&alone, &name("claude"), &[name("claude")]).is_none());
}
