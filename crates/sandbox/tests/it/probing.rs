use maestria_sandbox::{Limits, Spec, Supervised, Tier, probe};

/// What the probe promises must be what workers get.
#[tokio::test]
async fn the_probe_and_the_workers_agree() {
    let abilities = probe();
    assert_eq!(abilities.isolation.works, abilities.tier == Tier::Namespace);
    let mut spec = Spec::new("/bin/true", "/");
    spec.limits = Limits::default();
    let worker = Supervised::spawn(spec).unwrap();
    assert_eq!(worker.tier(), abilities.tier);
    let enforced = worker.enforced();
    worker.wait().await;
    for (ability, by) in [
        (&abilities.memory, enforced.memory),
        (&abilities.cpu, enforced.cpu),
        (&abilities.processes, enforced.processes),
    ] {
        assert_eq!(ability.works, by.is_some(), "{ability:?}");
        if let Some(backend) = by {
            assert!(
                ability.finding.contains(&backend.to_string()) || ability.fix.is_some(),
                "{ability:?}"
            );
        }
    }
    for (name, ability) in abilities.each() {
        println!("{name}: {ability:?}");
        assert!(ability.works || ability.fix.is_some(), "{name} fails without a remedy");
    }
}
