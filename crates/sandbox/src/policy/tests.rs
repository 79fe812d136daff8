use super::{CommandPolicy, Level, judge::Judge};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    id: String,
    command: String,
    accept: Vec<Level>,
}

/// Each case of a corpus against the policy; what is not accepted is told, one a line.
fn wrong(corpus: &str) -> Vec<String> {
    let cases = corpus.lines().map(|line| serde_json::from_str::<Case>(line).unwrap());
    let told = cases.filter_map(|case| {
        let verdict = CommandPolicy::built_in().judge(&case.command);
        let accepted = case.accept.contains(&verdict.level);
        (!accepted).then(|| {
            format!(
                "{}: {:?} is {} by {} ({}), not {:?}",
                case.id,
                case.command,
                verdict.level.word(),
                verdict.rule,
                verdict.reason,
                case.accept
            )
        })
    });
    told.collect()
}

#[test]
fn every_sample_command_gets_a_verdict_that_is_accepted() {
    let corpus = include_str!("../../fixtures/commands-sample.jsonl");
    assert!(corpus.lines().count() >= 40);
    let wrong = wrong(corpus);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_of_the_corpus_gets_a_verdict_that_is_accepted() {
    let corpus = include_str!("../../fixtures/commands.jsonl");
    assert!(corpus.lines().count() >= 300);
    let wrong = wrong(corpus);
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_built_in_rules_do_what_their_examples_say() {
    let rules = CommandPolicy::built_in().rules();
    let mut wrong = Vec::new();
    for rule in rules.described() {
        let examples = rule
            .matches
            .iter()
            .map(|e| (e, true))
            .chain(rule.not_match.iter().map(|e| (e, false)));
        for (example, wanted) in examples {
            let judge = Judge::new(rules, false);
            let found = judge.whole(example);
            if judge.fired(&rule.id) != wanted {
                wrong.push(format!(
                    "{}: {example:?} should fit: {wanted}; it is {:?}",
                    rule.id, found.0
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Hostile text gets an answer, and never `allow`.
#[test]
fn what_nobody_would_write_is_never_allowed() {
    let hostile = [
        "{".repeat(64 * 1024),
        format!("echo {}a{}", "{a,".repeat(21_000), "}".repeat(100)),
        format!("echo {}", "{a,b}".repeat(40)),
        "echo {1..999999999}".to_owned(),
        format!("echo {}a{}", "$(".repeat(100_000), ")".repeat(100_000)),
        format!("echo {}a{}", "$(".repeat(60), ")".repeat(60)) + "; rm -rf x",
        "\"$(".repeat(16),
        "'".repeat(65_535),
        "`".repeat(6_001),
        "\\`".repeat(6_001) + "`",
        "${".repeat(30_000),
        "((".repeat(20_000),
        "if true; then ".repeat(4_000),
        "case x in x) ".repeat(4_000),
        "! ".repeat(30_000) + "rm -rf x",
        "a|".repeat(30_000) + "b",
        "echo a; ".repeat(3_000) + "rm -rf x",
        "f() { ".repeat(300),
        "<<A ".repeat(10_000),
        "echo \0; rm -rf x".to_owned(),
        "<<X$( && #done{\t".to_owned(),
        "eval  x<<X$(( \tcase x in ".to_owned(),
        "<<-\t'X'${ \n".to_owned(),
        "<< \"\"))#\t#${X&&${".to_owned(),
        "\n$(<<- )\"&&X\nX\n\n{$(".to_owned(),
        "{$(\\<<< )$(".to_owned(),
        "$(if << <<X\t$($({$((".to_owned(),
        "x".repeat(64 * 1024 + 1),
        "[[ ".repeat(20_000),
        "$X ".repeat(20_000),
        "sh -c ".repeat(5_000) + "ls",
        "sudo ".repeat(10_000) + "ls",
        "eval ".repeat(10_000) + "ls $X",
    ];
    for text in hostile {
        let verdict = CommandPolicy::built_in().judge(&text);
        let told: String = text.chars().take(40).collect();
        assert!(verdict.level > Level::Monitor, "{told:?} is {verdict:?}");
        assert!(!verdict.reason.contains("took too long"), "{told:?}");
    }
}

#[test]
fn a_wrapper_whose_option_and_program_are_printed_is_asked_about() {
    let verdict =
        CommandPolicy::built_in().judge("timeout \"$(printf '%.2s' -sZZ)\" KILL 5 \"$(printf '%.2s' rmZZ)\" -rf x");
    assert_eq!(verdict.level, Level::Confirm, "{verdict:?}");
    let plain = CommandPolicy::built_in().judge("timeout \"$T\" make \"$(date)\"");
    assert_eq!(plain.level, Level::Allow, "{plain:?}");
}

/// Here-documents as people write them, in all the places where they write them.
#[test]
fn here_documents_that_end_are_read() {
    for text in [
        "cat > a.txt <<'EOF'\nit's $(not) run\nEOF\n",
        "git commit -m \"$(cat <<'EOF'\nFix a \"thing\" (and more)\n\n- one <<x\nEOF\n)\"",
        "cat <<-\"END\" > x && echo done\n\tstd::cout << \"hi\";\n\tEND\necho after",
        "cat <<A; cat <<B\na '\nA\nb \"\nB\n",
        "cat << EOF | grep x\n$((1 << 2)) ${x:-it's}\nEOF",
        "echo $((1 << 3)) && ((x = 1 << 2)); cat <<< \"$y\"",
        "python3 script.py \"a << b\" 'c << d' # << e",
        "case $x in a) cat <<E\nb\nE\n;; esac",
        "echo \"${x:-\"<<\"}\"",
    ] {
        let verdict = CommandPolicy::built_in().judge(text);
        assert_ne!(verdict.rule, "command.unreadable", "{text:?}: {verdict:?}");
    }
}

#[test]
fn what_bash_reads_otherwise_is_asked_about() {
    let pipeline = "a=b | ".repeat(3_400) + "cat";
    for text in ["case $1 in a) echo a;; esac) echo b;; esac", &pipeline] {
        let verdict = CommandPolicy::built_in().judge(text);
        assert_eq!(verdict.rule, "command.unreadable", "{verdict:?}");
    }
}

#[test]
fn many_harmless_parts_are_harmless() {
    let verdict = CommandPolicy::built_in().judge(&"echo a; ".repeat(3_001));
    assert_eq!(verdict.level, Level::Allow, "{verdict:?}");
}

#[test]
fn a_person_is_shown_the_words_that_programs_get() {
    let verdict = CommandPolicy::built_in().judge("r''m $'-r\\x66' \"a\u{1b}[2Jb\" 'c d'");
    assert_eq!(verdict.level, Level::Block);
    assert_eq!(verdict.part, r"rm -rf a\u{1b}[2Jb 'c d'");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer_in_time(text in "[ -~\\n\\t\u{0}-\u{7f}é–]{0,200}") {
        let verdict = CommandPolicy::built_in().judge(&text);
        prop_assert!(!verdict.reason.contains("took too long"));
        prop_assert!(!verdict.part.chars().any(char::is_control));
        prop_assert_ne!(verdict.reason, "it could not be read", "the reader panicked");
    }

    #[test]
    fn pieces_of_shell_in_any_order_get_an_answer_in_time(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let verdict = CommandPolicy::built_in().judge(&pieces.concat());
        prop_assert!(!verdict.reason.contains("took too long"));
        prop_assert_ne!(verdict.reason, "it could not be read", "the reader panicked");
    }

    /// Whatever harmless surrounds it, a block stays one.
    #[test]
    fn a_block_cannot_be_hidden_among_harmless_parts(before in prop::collection::vec(prop::sample::select(HARMLESS), 0..6), after in prop::collection::vec(prop::sample::select(HARMLESS), 0..6)) {
        let text = before.into_iter().chain(["rm -rf x"]).chain(after).collect::<Vec<_>>().join("; ");
        prop_assert_eq!(CommandPolicy::built_in().judge(&text).level, Level::Block, "{}", text);
    }
}

const PIECES: &[&str] = &[
    "rm",
    " -rf",
    " x",
    " ",
    "\n",
    ";",
    "&",
    "&&",
    "||",
    "|",
    "(",
    ")",
    "{",
    "}",
    "{a,b}",
    "$(",
    "`",
    "\"",
    "'",
    "$'",
    "\\",
    "$",
    "${",
    "$((",
    "))",
    "<<X",
    "<<<",
    "<(",
    ">",
    "X=",
    "$X",
    "[[",
    "]]",
    "if ",
    "then ",
    "fi",
    "for x in ",
    "do ",
    "done",
    "case x in ",
    "esac",
    "f()",
    "eval ",
    "sh -c ",
    "xargs ",
    "find . -exec ",
    "sudo ",
    "env -S ",
    "git ",
    "-c ",
    "#",
    "!",
    "=",
    "*",
    "..",
    "é",
    "\t",
    "python3 -c ",
    "ssh h ",
    "docker run ",
    "awk ",
    "sed ",
];
const HARMLESS: &[&str] = &[
    "ls",
    "echo 'a; b'",
    "cd \"$HOME\"",
    "x=$(date)",
    "cat <<< y",
    "(true)",
    "{ :; }",
    "if true; then ls; fi",
    "for i in 1 2; do echo $i; done",
    "echo $((1 + 2))",
    "[[ a == b ]]",
    "f() { ls; }",
    "git status",
    "echo ${x:-y}",
    "ls | wc -l",
    "echo \\;",
];
