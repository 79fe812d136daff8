//! Every recorded stream of a real CLI, whole, cut anywhere, and with rubbish in between.

use super::{Recording, Replayed, replay};
use crate::cli::config::Kind;
use maestria_kernel::{Event, outcome::Verdict, time::At};
use std::{collections::BTreeMap, fs, path::PathBuf};

/// The verdict on every recording: file, kind, verdict with the recorded exit code, verdict without it.
const VERDICTS: &[(&str, Kind, &str)] = &[
    ("claude-agent-acp-0.49.0-acp-cancel", Kind::Acp, "interrupted"),
    ("claude-agent-acp-0.49.0-acp-write", Kind::Acp, "completed"),
    ("claude-2.1.329-auth", Kind::Claude, "not_logged_in"),
    ("claude-2.1.329-ctl-allow", Kind::Claude, "completed"),
    ("claude-2.1.329-ctl-deny", Kind::Claude, "denied"),
    ("claude-2.1.329-cut", Kind::Claude, "completed"),
    ("claude-2.1.329-nologin", Kind::Claude, "not_logged_in"),
    ("claude-2.1.329-outside", Kind::Claude, "outside_workspace"),
    ("claude-2.1.329-overloaded", Kind::Claude, "unavailable"),
    ("claude-2.1.329-partial", Kind::Claude, "completed"),
    ("claude-2.1.329-ratelimit", Kind::Claude, "rate_limited"),
    ("claude-2.1.329-resume", Kind::Claude, "completed"),
    ("claude-2.1.329-sigint", Kind::Claude, "interrupted"),
    ("claude-2.1.329-text", Kind::Claude, "completed"),
    ("claude-2.1.329-write-denied", Kind::Claude, "denied"),
    ("claude-2.1.329-write", Kind::Claude, "completed"),
    ("zed-codex-acp-0.16.0-acp-write", Kind::Acp, "completed"),
    ("codex-acp-2.6.0-acp-write", Kind::Acp, "completed"),
    ("codex-0.169.0-app-allow", Kind::Codex, "completed"),
    ("codex-0.169.0-app-auth", Kind::Codex, "not_logged_in"),
    ("codex-0.169.0-app-deny", Kind::Codex, "denied"),
    ("codex-0.169.0-app-outside", Kind::Codex, "outside_workspace"),
    ("codex-0.169.0-auth", Kind::Codex, "not_logged_in"),
    ("codex-0.169.0-cut", Kind::Codex, "unavailable"),
    ("codex-0.169.0-nogit", Kind::Codex, "untrusted"),
    ("codex-0.169.0-nologin", Kind::Codex, "not_logged_in"),
    ("codex-0.169.0-outside", Kind::Codex, "outside_workspace"),
    ("codex-0.169.0-overloaded", Kind::Codex, "unavailable"),
    ("codex-0.169.0-ratelimit", Kind::Codex, "rate_limited"),
    ("codex-0.169.0-resume", Kind::Codex, "completed"),
    ("codex-0.169.0-shell", Kind::Codex, "completed"),
    ("codex-0.169.0-sigint", Kind::Codex, "interrupted"),
    ("codex-0.169.0-text", Kind::Codex, "completed"),
    ("codex-0.169.0-write", Kind::Codex, "completed"),
    ("gemini-0.61.0-acp-auth", Kind::Gemini, "not_logged_in"),
    ("gemini-0.61.0-acp-cancel", Kind::Gemini, "interrupted"),
    ("gemini-0.61.0-acp-notrust", Kind::Gemini, "completed"),
    ("gemini-0.61.0-acp-outside", Kind::Gemini, "outside_workspace"),
    ("gemini-0.61.0-acp-write", Kind::Gemini, "completed"),
    ("gemini-0.61.0-auth", Kind::Gemini, "not_logged_in"),
    ("gemini-0.61.0-cut", Kind::Gemini, "unavailable"),
    ("gemini-0.61.0-nologin", Kind::Gemini, "not_logged_in"),
    ("gemini-0.61.0-notrust", Kind::Gemini, "untrusted"),
    ("gemini-0.61.0-outside", Kind::Gemini, "outside_workspace"),
    ("gemini-0.61.0-ratelimit", Kind::Gemini, "rate_limited"),
    ("gemini-0.61.0-resume", Kind::Gemini, "completed"),
    ("gemini-0.61.0-sigint", Kind::Gemini, "interrupted"),
    ("gemini-0.61.0-text", Kind::Gemini, "completed"),
    ("gemini-0.61.0-write", Kind::Gemini, "completed"),
    ("opencode-1.18.33-acp-write", Kind::Opencode, "completed"),
    ("opencode-1.18.33-auth", Kind::Opencode, "not_logged_in"),
    ("opencode-1.18.33-outside", Kind::Opencode, "outside_workspace"),
    ("opencode-1.18.33-ratelimit", Kind::Opencode, "rate_limited"),
    ("opencode-1.18.33-text", Kind::Opencode, "completed"),
    ("opencode-1.18.33-write", Kind::Opencode, "completed"),
    ("qwen-0.15.10-write", Kind::Qwen, "completed"),
];

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

struct Recorded {
    name: &'static str,
    kind: Kind,
    verdict: &'static str,
    stream: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<i32>,
}

impl Recorded {
    fn replay(&self, stream: &[u8], stderr: &[u8], exit: Option<i32>) -> Replayed {
        replay(&Recording {
            kind: self.kind,
            stream,
            stderr,
            exit,
            now: At(1_795_217_480_000),
        })
    }

    fn whole(&self) -> Replayed {
        self.replay(&self.stream, &self.stderr, self.exit)
    }
}

fn exits() -> BTreeMap<String, Option<i32>> {
    let index = fs::read_to_string(fixtures().join("INDEX.tsv")).unwrap();
    let rows = index.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.map(|row| (row[0].trim_end_matches(".jsonl").to_owned(), row[1].parse().ok()))
        .collect()
}

fn recorded() -> Vec<Recorded> {
    let exits = exits();
    let load = |(name, kind, verdict): &(&'static str, Kind, &'static str)| Recorded {
        name,
        kind: *kind,
        verdict,
        stream: fs::read(fixtures().join(format!("{name}.jsonl"))).unwrap(),
        stderr: fs::read(fixtures().join(format!("{name}.stderr"))).unwrap_or_default(),
        exit: exits[*name],
    };
    VERDICTS.iter().map(load).collect()
}

#[test]
fn the_table_names_every_recording_there_is() {
    let named: Vec<String> = VERDICTS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let there: Vec<String> = exits().into_keys().collect();
    assert_eq!(there.len(), named.len());
    for name in there {
        assert!(named.contains(&name), "{name} has no verdict in the table");
    }
}

#[test]
fn every_recording_gets_its_verdict() {
    let wrong: Vec<String> = recorded()
        .iter()
        .filter_map(|recorded| {
            let outcome = recorded.whole().outcome;
            let got = outcome.verdict.as_str();
            (got != recorded.verdict).then(|| {
                format!(
                    "{}: {got}, not {} ({})",
                    recorded.name, recorded.verdict, outcome.reason
                )
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_recording_gets_its_verdict_without_its_exit_code() {
    for recorded in recorded() {
        let outcome = recorded.replay(&recorded.stream, &recorded.stderr, None).outcome;
        assert_eq!(
            outcome.verdict.as_str(),
            recorded.verdict,
            "{}: {}",
            recorded.name,
            outcome.reason
        );
    }
}

#[test]
fn the_last_line_carries_the_outcome_and_the_reason() {
    for recorded in recorded() {
        let lines: Vec<_> = recorded.whole().lines().collect();
        let last = lines.last().unwrap();
        assert_eq!(last["outcome"], recorded.verdict, "{}", recorded.name);
        assert!(!last["reason"].as_str().unwrap().is_empty(), "{}", recorded.name);
        assert!(
            lines[..lines.len() - 1]
                .iter()
                .all(|line| line.get("outcome").is_none())
        );
    }
}

/// Where the terminal event of a stream begins, in lines.
fn terminal_line(recorded: &Recorded) -> usize {
    let lines: Vec<&[u8]> = recorded.stream.split_inclusive(|b| *b == b'\n').collect();
    let ends = |count: usize| {
        let stream = lines[..count].concat();
        recorded.replay(&stream, &[], Some(0)).outcome.verdict == Verdict::Completed
    };
    (1..=lines.len()).find(|count| ends(*count)).unwrap_or(usize::MAX)
}

#[test]
fn a_stream_cut_between_two_lines_is_never_a_success() {
    for recorded in recorded().iter().filter(|recorded| recorded.verdict == "completed") {
        let lines: Vec<&[u8]> = recorded.stream.split_inclusive(|b| *b == b'\n').collect();
        let terminal = terminal_line(recorded);
        // Recordings end with their terminal event, or with a few notifications after it.
        assert!(
            terminal + 3 >= lines.len(),
            "{}: a success after line {terminal}",
            recorded.name
        );
        for count in 0..terminal.min(lines.len()) {
            for exit in [None, Some(0)] {
                let outcome = recorded
                    .replay(&lines[..count].concat(), &recorded.stderr, exit)
                    .outcome;
                assert_ne!(
                    outcome.verdict,
                    Verdict::Completed,
                    "{} cut after line {count}",
                    recorded.name
                );
            }
        }
    }
}

#[test]
fn a_stream_cut_at_any_byte_is_survived_and_never_a_success() {
    for recorded in recorded() {
        let lines: Vec<&[u8]> = recorded.stream.split_inclusive(|b| *b == b'\n').collect();
        let whole = terminal_line(&recorded).min(lines.len());
        let until: usize = lines[..whole].iter().map(|line| line.len()).sum();
        // The last byte is the line end: without it the terminal event is still whole.
        let last = until.saturating_sub(2);
        let step = (last / 400).max(1);
        for cut in (0..last).step_by(step).chain(last.saturating_sub(200)..last) {
            let outcome = recorded.replay(&recorded.stream[..cut], &[], Some(0)).outcome;
            assert_ne!(
                outcome.verdict,
                Verdict::Completed,
                "{} cut after byte {cut} of {until}",
                recorded.name
            );
        }
    }
}

#[test]
fn rubbish_between_the_lines_is_reported_and_changes_nothing() {
    let rubbish: &[&[u8]] = &[
        b"not json at all\n",
        b"{\"type\":\n",
        b"\xff\xfe{}\n",
        b"[1,2]\n",
        b"\"text\"\n",
        b"\n",
        b"{}\n",
    ];
    for recorded in recorded() {
        let mut stream = Vec::new();
        for (number, line) in recorded.stream.split_inclusive(|b| *b == b'\n').enumerate() {
            stream.extend_from_slice(rubbish[number % rubbish.len()]);
            stream.extend_from_slice(line);
        }
        let replayed = recorded.replay(&stream, &recorded.stderr, recorded.exit);
        assert_eq!(replayed.outcome.verdict.as_str(), recorded.verdict, "{}", recorded.name);
        if !recorded.stream.is_empty() {
            let warned = replayed
                .events
                .iter()
                .any(|event| matches!(event, Event::WorkerWarned { .. }));
            assert!(warned, "{}", recorded.name);
        }
    }
}

#[test]
fn bytes_may_come_in_any_pieces() {
    for recorded in recorded() {
        let whole = recorded.whole();
        let dialect =
            crate::cli::Dialect::detect(&recorded.stream).unwrap_or(crate::cli::Dialect::usual(recorded.kind));
        for size in [1, 7, 1000] {
            let task = maestria_kernel::TaskId::new(uuid::Uuid::nil());
            let mut reader = crate::cli::Reader::new(recorded.kind, dialect, task, Default::default());
            let mut steps: Vec<_> = recorded
                .stream
                .chunks(size)
                .flat_map(|piece| reader.push(piece))
                .collect();
            steps.extend(reader.finish());
            let events: Vec<_> = steps.into_iter().filter_map(super::event).collect();
            assert_eq!(events, whole.events, "{} in pieces of {size}", recorded.name);
        }
    }
}

#[test]
fn a_line_of_fifty_mebibytes_is_survived_and_reported() {
    let recorded = recorded()
        .into_iter()
        .find(|recorded| recorded.name == "claude-2.1.329-write")
        .unwrap();
    let mut stream = br#"{"type":"assistant","message":{"content":[{"type":"text","text":""#.to_vec();
    stream.resize(50 << 20, b'x');
    stream.extend_from_slice(b"\"}]}}\n");
    stream.extend_from_slice(&recorded.stream);
    let replayed = recorded.replay(&stream, &[], Some(0));
    assert_eq!(replayed.outcome.verdict, Verdict::Completed);
    let warned =
        |event: &Event| matches!(event, Event::WorkerWarned { warning, .. } if warning.contains("was skipped"));
    assert!(replayed.events.iter().any(warned));
}

#[test]
fn a_recording_says_what_was_done() {
    let recorded = recorded();
    let of = |name: &str| recorded.iter().find(|recorded| recorded.name == name).unwrap().whole();
    let claude = of("claude-2.1.329-write");
    let kinds: Vec<&str> = claude.events.iter().map(Event::kind).collect();
    assert_eq!(
        kinds,
        [
            "session.opened",
            "tool.started",
            "tool.finished",
            "task.said",
            "model.called"
        ]
    );
    assert_eq!(claude.outcome.usage.input.0, 25271);
    assert_eq!(claude.outcome.usage.cost.0, 102_164);
    let codex = of("codex-0.169.0-app-allow");
    let last = codex.outcome.usage;
    assert!(last.input.0 > 29_794, "usage is summed over the calls: {last:?}");
    assert_eq!(
        codex.outcome.session.unwrap().as_str(),
        "01a1fb4c-daa6-7112-a113-b0fb220636de"
    );
    let acp = of("claude-agent-acp-0.49.0-acp-write");
    assert_eq!(acp.outcome.usage.cost.0, 206_055);
    let opencode = of("opencode-1.18.33-ratelimit");
    assert_eq!(opencode.outcome.retry_at, Some(At(1_795_217_481_000)));
    let outside = of("gemini-0.61.0-outside");
    assert!(
        outside.outcome.reason.contains("/opt/mock-outside/o.txt"),
        "{}",
        outside.outcome.reason
    );
}
