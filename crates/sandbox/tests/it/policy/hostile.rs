//! Text that nobody would write: an answer in bounded time, and never leave to run what bash itself cannot read.

use super::{dice, dice::Dice, times::Times};
use maestria_sandbox::policy::{CommandPolicy, Level, Verdict};
use proptest::prelude::*;
use serde::Deserialize;
use std::{
    cell::RefCell,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const LONGEST: usize = 64 * 1024;
/// A decision that is worth a second look.
const SLOW: Duration = Duration::from_millis(20);

#[derive(Deserialize)]
struct Case {
    command: String,
}

fn corpus() -> Vec<String> {
    let lines = include_str!("../../../fixtures/commands.jsonl").lines();
    lines
        .map(|line| serde_json::from_str::<Case>(line).unwrap().command)
        .collect()
}

/// Pieces that parsers trip over.
const PIECES: &[&str] = &[
    "\"",
    "'",
    "`",
    "\\",
    "$(",
    ")",
    "${",
    "}",
    "{",
    "$((",
    "))",
    "((",
    "[[",
    "]]",
    "<<X",
    "\nX\n",
    "<(",
    ">",
    "|",
    "&",
    ";",
    ";;",
    "\n",
    "#",
    "!",
    "=",
    "\t",
    "$'",
    "case x in ",
    " esac",
    "if ",
    " then ",
    " fi",
    "for i in ",
    " do ",
    " done",
    "f() ",
    "é",
    "\u{0}",
    "\u{202e}",
    "x[",
    "]=",
    "2>&1 ",
    "<<<",
];

/// A command of the corpus after a few accidents, sometimes many times over.
fn mutated(corpus: &[String], seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let mut chars: Vec<char> = dice.pick(corpus).chars().collect();
    for _ in 0..=dice.below(4) {
        accident(&mut chars, corpus, &mut dice);
    }
    let text: String = chars.into_iter().collect();
    let text = match dice.below(12) {
        0 => text.repeat(1 + dice.below(LONGEST / text.len().max(1))),
        1 => format!("{text}\n").repeat(1 + dice.below(40)),
        _ => text,
    };
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}

fn accident(chars: &mut Vec<char>, corpus: &[String], dice: &mut Dice) {
    let at = dice.below(chars.len() + 1);
    match dice.below(6) {
        0 => chars.truncate(at),
        1 => drop(chars.drain(..at)),
        2 if at < chars.len() => drop(chars.remove(at)),
        3 if at < chars.len() => chars.insert(at, chars[at]),
        4 => {
            let other: Vec<char> = dice.pick(corpus).chars().collect();
            let from = dice.below(other.len() + 1);
            drop(chars.splice(at..at, other[from..].iter().copied()));
        }
        _ => {
            let piece = *dice.pick(PIECES);
            let many = if dice.once_in(20) { dice.below(3_000) } else { 1 };
            drop(chars.splice(at..at, piece.repeat(many).chars()));
        }
    }
}

fn judged(text: &str, times: &mut Times) -> Verdict {
    let timed = || {
        let begun = Instant::now();
        (CommandPolicy::built_in().judge(text), begun.elapsed())
    };
    let (verdict, mut took) = timed();
    // What seems slow is timed again: a thread that had to wait for a core says nothing of the policy.
    for _ in 0..2 {
        if took > SLOW {
            took = took.min(timed().1);
        }
    }
    times.add(took);
    verdict
}

/// What is wrong with a verdict, whatever the text is. A reader that is given up on a busy machine asks, which is right.
fn wrong(verdict: &Verdict) -> Option<&'static str> {
    match verdict.reason.as_str() {
        "it could not be read" => Some("the reader panicked"),
        _ if verdict.part.chars().any(char::is_control) => Some("control characters are shown to a person"),
        _ => None,
    }
}

/// Whether bash would read it; `None` where no bash is.
fn bash_reads(text: &str) -> Option<bool> {
    let status = Command::new("/bin/bash")
        .env_clear()
        .args(["--noprofile", "--norc", "-n", "-c", "--", text])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.ok().map(|status| status.success())
}

#[test]
fn what_bash_cannot_read_is_never_let_through() {
    let texts: u64 = dice::from_environment("MAESTRIA_POLICY_TEXTS").unwrap_or(1_000);
    let seed: u64 = dice::from_environment("MAESTRIA_POLICY_SEED").unwrap_or(1);
    let (corpus, mut times) = (corpus(), Times::default());
    let (mut let_through, mut longest, mut bad) = (0, 0, Vec::new());
    for number in 0..texts {
        let text = mutated(&corpus, (seed << 32) + number);
        longest = longest.max(text.len());
        let verdict = judged(&text, &mut times);
        let told = || text.chars().take(300).collect::<String>();
        if let Some(wrong) = wrong(&verdict) {
            bad.push(format!("{wrong}: {:?}", told()));
        }
        if verdict.level <= Level::Monitor {
            let_through += 1;
            if bash_reads(&text) == Some(false) {
                bad.push(format!("bash cannot read it, and it is let through: {:?}", told()));
            }
        }
    }
    println!(
        "{texts} mutated commands of up to {longest} bytes: {let_through} let through, {} wrong",
        bad.len()
    );
    println!("decisions: {}", times.told());
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn any_bytes_get_an_answer_in_time() {
    let cases = dice::from_environment("MAESTRIA_POLICY_TEXTS").map_or(100, |texts: u32| texts / 4);
    let times = RefCell::new(Times::default());
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..LONGEST).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        // Without a NUL, and of the few characters that mean something, it gets further.
        prop::collection::vec(
            prop::sample::select(b" \n\t\"'`\\$(){}[]<>|&;#!=*?~ax0-".as_slice()),
            0..LONGEST
        )
        .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        (prop::sample::select(PIECES), 1..LONGEST).prop_map(|(piece, size)| piece.repeat(size / piece.len().max(1))),
        prop::collection::vec(prop::sample::select(PIECES), 0..200).prop_map(|pieces| pieces.concat()),
    ];
    let ran = proptest::test_runner::TestRunner::new(config).run(&text, |text| {
        let verdict = judged(&text, &mut times.borrow_mut());
        prop_assert_eq!(wrong(&verdict), None);
        if verdict.level <= Level::Monitor {
            prop_assert_ne!(
                bash_reads(&text),
                Some(false),
                "bash cannot read it, and it is let through"
            );
        }
        Ok(())
    });
    println!("{cases} texts of any bytes\ndecisions: {}", times.into_inner().told());
    if let Err(error) = ran {
        panic!("{}", error.to_string().chars().take(2_000).collect::<String>());
    }
}

/// Nothing that a command holds once may cost more than its share when it is there a thousand times.
#[test]
fn the_longest_texts_get_an_answer_in_time() {
    let every = dice::from_environment::<u32>("MAESTRIA_POLICY_TEXTS").map_or(40, |_| 1);
    let mut times = Times::default();
    for command in corpus().iter().step_by(every) {
        for between in ["\n", "; ", " ", ""] {
            let once = format!("{command}{between}");
            let text = once.repeat(LONGEST / once.len());
            let verdict = judged(&text, &mut times);
            assert_eq!(wrong(&verdict), None, "{command}");
            assert_ne!(verdict.reason, "it took too long to read", "{command}");
        }
    }
    println!("commands repeated to {LONGEST} bytes\ndecisions: {}", times.told());
}
