use super::{Features, Policy, Route, Warm, Weights, decide, features::Kind};
use crate::{
    core::{Core, Setup},
    provider::ProviderConfig,
};
use std::time::Instant;

fn provider(name: &str, models: &[&str], local: bool) -> ProviderConfig {
    ProviderConfig {
        name: name.to_owned(),
        dialect: "openai".to_owned(),
        models: models.iter().map(|m| (*m).to_owned()).collect(),
        local,
        ..ProviderConfig::default()
    }
}

fn core(policy: &str) -> Core {
    let models = [
        "claude-opus-4-8",
        "claude-haiku-4-5",
        "gpt-5",
        "gpt-5-mini",
        "deepseek-chat",
        "gemini-2.5-flash",
    ];
    Core::new(Setup {
        providers: vec![provider("p", &models, false), provider("home", &["llama"], true)],
        routes: [("default".to_owned(), Route::Policy(Policy::named(policy).unwrap()))].into(),
        ..Setup::default()
    })
    .unwrap()
}

#[test]
fn kinds_and_difficulties_are_told_from_words() {
    let table = [
        ("Review this diff and give a verdict", Kind::Review),
        ("Break down the migration into a plan", Kind::Plan),
        ("Fix the bug in the parser", Kind::Edit),
        ("Good morning!", Kind::Chat),
    ];
    for (prompt, kind) in table {
        assert_eq!(
            Features::of_text(&Weights::BUILT_IN, prompt, "", 10).kind,
            kind,
            "{prompt}"
        );
    }
    let difficulty = |prompt: &str| Features::of_text(&Weights::BUILT_IN, prompt, "", 10).difficulty;
    let order = [
        "Thanks, fix the typo in the title",
        "Write a function that adds",
        "Prove that the algorithm has no race condition",
    ];
    assert!(difficulty(order[0]) < difficulty(order[1]) && difficulty(order[1]) < difficulty(order[2]));
    let long = Features::of_text(&Weights::BUILT_IN, "x", "", 200_000).difficulty;
    assert!(long > difficulty("x"));
}

#[test]
fn policies_differ_as_their_names_say() {
    let hard = || {
        Features::of_text(
            &Weights::BUILT_IN,
            "Prove the lemma; refactor the distributed algorithm for performance",
            "",
            2_000,
        )
    };
    let chosen = |policy: &str| decide(&core(policy), &Warm::default(), "auto", hard).unwrap().model;
    assert_eq!(chosen("best"), "p/claude-opus-4-8");
    assert_eq!(chosen("cheapest"), "p/deepseek-chat");
    let easy = || Features::of_text(&Weights::BUILT_IN, "Thanks! Translate this title", "", 50);
    let cheapest = decide(&core("cheapest"), &Warm::default(), "auto", easy).unwrap();
    assert_eq!(cheapest.model, "home/llama", "{}", cheapest.reason);
    let balanced = decide(&core("balanced"), &Warm::default(), "auto", easy).unwrap();
    assert_ne!(balanced.model, "p/claude-opus-4-8", "{}", balanced.reason);
    assert!((0.0..=1.0).contains(&balanced.confidence));
    assert_eq!(balanced.candidates.len(), 7);
}

#[test]
fn names_lead_where_they_say() {
    let core = core("balanced");
    let decision = |asked: &str| decide(&core, &Warm::default(), asked, || panic!("a name needs no features"));
    assert_eq!(decision("gpt-5").unwrap().model, "p/gpt-5");
    assert_eq!(decision("home/llama").unwrap().model, "home/llama");
    let lost = decision("gpt-6").unwrap_err().to_string();
    assert!(
        lost.contains("`gpt-6`") && lost.contains("p/gpt-5") && lost.contains("auto"),
        "{lost}"
    );
}

#[test]
fn a_route_to_nowhere_is_refused_at_the_start() {
    for models in [vec![], vec!["p/nothing".to_owned()]] {
        let setup = Setup {
            providers: vec![provider("p", &["m"], false)],
            routes: [("r".to_owned(), Route::Chain(models))].into(),
            ..Setup::default()
        };
        let error = Core::new(setup).unwrap_err().to_string();
        assert!(error.starts_with("[routes.r]"), "{error}");
    }
}

#[test]
fn a_decision_takes_no_time_to_speak_of() {
    let core = core("balanced");
    let prompt = "Refactor the database layer and explain the trade-offs. ".repeat(60);
    let warm = Warm::default();
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let started = Instant::now();
            decide(&core, &warm, "auto", || {
                Features::of_text(&Weights::BUILT_IN, &prompt, "You plan.", 1_000)
            })
            .unwrap();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    // A loose bound for a loaded machine: it only catches what has gone wrong by orders of magnitude.
    assert!(times[100].as_millis() < 50, "{:?}", times[100]);
}

#[test]
fn what_nobody_could_hold_goes_nowhere() {
    let core = core("balanced");
    for (input, output) in [(u64::MAX, u64::MAX), (u64::MAX - 127_999, 128_000), (10_000_000, 0)] {
        let mut features = Features::of_text(&Weights::BUILT_IN, "hello", "", input);
        features.max_output = Some(output);
        let lost = decide(&core, &Warm::default(), "auto", move || features).map(|decided| decided.reason);
        assert!(
            matches!(&lost, Err(crate::Lost::Needs(_))),
            "{input} and {output}: {lost:?}"
        );
    }
}

#[test]
fn a_persons_own_weights_count() {
    let own = |quality, cost| {
        let policy = Policy {
            name: "mine".into(),
            quality,
            cost,
            speed: 0.0,
        };
        let mut setup = Setup {
            providers: vec![provider("p", &["claude-opus-4-8", "gpt-5-mini"], false)],
            ..Setup::default()
        };
        setup.routes.insert("default".to_owned(), Route::Policy(policy));
        let core = Core::new(setup).unwrap();
        decide(&core, &Warm::default(), "auto", || {
            Features::of_text(&Weights::BUILT_IN, "hello", "", 500)
        })
        .unwrap()
    };
    assert_eq!(own(1.0, 0.0).model, "p/claude-opus-4-8");
    let cheap = own(0.0, 1.0);
    assert_eq!(cheap.model, "p/gpt-5-mini");
    assert!(cheap.reason.starts_with("mine for"), "{}", cheap.reason);
}

#[test]
fn who_is_mostly_quick_and_sometimes_hangs_is_not_taken_for_quick() {
    let mut setup = Setup {
        providers: vec![provider("steady", &["m"], false), provider("moody", &["m"], false)],
        ..Setup::default()
    };
    setup
        .routes
        .insert("default".to_owned(), Route::Policy(Policy::named("fastest").unwrap()));
    let core = Core::new(setup).unwrap();
    for n in 0..20 {
        core.lanes[0].succeeded(std::time::Duration::from_millis(300));
        core.lanes[1].succeeded(std::time::Duration::from_millis(if n % 10 == 0 { 9_000 } else { 200 }));
    }
    let decision = decide(&core, &Warm::default(), "auto", || {
        Features::of_text(&Weights::BUILT_IN, "hello", "", 500)
    })
    .unwrap();
    assert_eq!(decision.model, "steady/m", "{}", decision.reason);
    assert!(decision.reason.contains("p95 9000 ms"), "{}", decision.reason);
}
