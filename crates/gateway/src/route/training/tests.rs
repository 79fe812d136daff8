use super::{Example, Trained, fit, train};
use crate::route::difficulty::{Difficulty, Weights};

/// Numbers from 0 to 1 that look random and are always the same.
fn chances() -> impl Iterator<Item = f64> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    std::iter::from_fn(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some(f64::from(u32::try_from(state >> 40).unwrap()) / f64::from(1_u32 << 24))
    })
}

/// Examples in which each question mark makes it far harder and no other sign counts.
fn questions_are_hard(count: usize) -> Vec<Example> {
    let mut chances = chances();
    let mut chance = || chances.next().unwrap();
    (0..count)
        .map(|_| {
            let marks = if chance() < 0.5 { "" } else { "???" };
            let word = if chance() < 0.5 { "prove it" } else { "do it" };
            let quality = if chance() < 0.5 { 0.3 } else { 0.7 };
            let odds: f64 = if marks.is_empty() { -2.0 } else { 1.0 } + 4.0 * (0.5 - quality);
            Example {
                prompt: format!("{word}{marks}"),
                quality,
                well: chance() > 1.0 / (1.0 + (-odds).exp()),
            }
        })
        .collect()
}

#[test]
fn what_makes_work_fail_is_learned() {
    let examples = questions_are_hard(1_000);
    let trained = train(&examples).unwrap();
    let Trained::Better(weights, losses) = &trained else {
        panic!("{trained:?}");
    };
    assert!(losses.own + 0.05 < losses.built_in, "{losses:?}");
    assert!((0.7..1.3).contains(&weights.questions), "{weights:?}");
    assert!(weights.hard_words.abs() < 0.3, "{weights:?}");
    assert!((-2.5..-1.5).contains(&weights.level), "{weights:?}");
    let kept = trained.keep(&examples, "2026-01-01".to_owned()).unwrap();
    assert_eq!(Difficulty::read(&kept.write().unwrap()), Ok(kept));
}

#[test]
fn a_model_that_is_good_does_not_make_the_work_easy() {
    let work = |quality: f64, failed: usize| {
        (0..200).map(move |n| Example {
            prompt: "do it".to_owned(),
            quality,
            well: n % 20 >= failed,
        })
    };
    // The same work: 3 in 20 fail with a strong model, 17 in 20 with a weak one.
    let mixed: Vec<Example> = work(0.9, 3).chain(work(0.1, 17)).collect();
    let strong_only: Vec<Example> = work(0.9, 3).collect();
    for examples in [mixed, strong_only] {
        let Ok(Trained::Better(weights, _)) = train(&examples) else {
            panic!("nothing was learned");
        };
        // Half fail with a middling model, whichever model the examples are of.
        assert!(weights.level.abs() < 0.3, "{weights:?}");
    }
}

#[test]
fn few_or_equal_outcomes_teach_nothing() {
    let few = questions_are_hard(39);
    assert_eq!(train(&few).unwrap_err().all, 39);
    let mut fine = questions_are_hard(500);
    fine.iter_mut().for_each(|example| example.well = true);
    let error = train(&fine).unwrap_err().to_string();
    assert!(
        error.contains("500 examples, of which 0") && error.contains("8 of either kind"),
        "{error}"
    );
}

#[test]
fn without_data_the_prior_stands() {
    assert_eq!(fit(&[], super::Free::All), Weights::BUILT_IN);
}

#[test]
fn files_with_odd_numbers_are_refused() {
    let text = questions_are_hard(1_000);
    let good = train(&text).unwrap().keep(&text, "2026-01-01".to_owned()).unwrap();
    let written = good.write().unwrap();
    let far = written.replace(&format!("level = {:?}", good.weights.level), "level = 1e9");
    assert!(Difficulty::read(&far).unwrap_err().contains("-100 to 100"));
    let unknown = written.replace("level =", "levle =");
    assert!(Difficulty::read(&unknown).unwrap_err().contains("levle"));
}
