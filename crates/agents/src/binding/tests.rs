use super::{bound, of_environment};
use maestria_kernel::permission::{Action, Question};
use std::{ffi::OsString, path::Path};

fn sha(command: &str, cwd: &str, env: &[(&str, &str)]) -> String {
    let env: Vec<(OsString, OsString)> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let action = Action::Run {
        command: command.to_owned(),
    };
    let question = Question::new("Bash".to_owned(), action);
    bound(&question, Path::new(cwd), &of_environment(&env))
        .bound
        .unwrap()
        .sha256
}

#[test]
fn every_part_counts_and_no_two_parts_can_be_taken_for_others() {
    let all = [
        sha("git push", "/w", &[("A", "1"), ("B", "2")]),
        sha("git push -f", "/w", &[("A", "1"), ("B", "2")]),
        sha("git push", "/w/x", &[("A", "1"), ("B", "2")]),
        sha("git push", "/w", &[("A", "1"), ("B", "3")]),
        sha("git push", "/w", &[("A", "1\", \"B\": \"2")]),
        sha("git push", "/w", &[]),
    ];
    for (number, one) in all.iter().enumerate() {
        assert!(!all[..number].contains(one), "{number}");
    }
}

#[test]
fn the_order_of_an_environment_does_not_count_and_its_last_word_does() {
    let one = sha("x", "/", &[("A", "1"), ("B", "2")]);
    assert_eq!(sha("x", "/", &[("B", "2"), ("A", "1")]), one);
    assert_eq!(sha("x", "/", &[("A", "0"), ("B", "2"), ("A", "1")]), one);
}
