//! The words that tell what a request is and how hard: all of them looked for in one pass.

use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::OnceLock;

/// What words speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Plan,
    Edit,
    Review,
    Hard,
    Easy,
}

const GROUPS: [(Group, &[&str]); 5] = [
    (
        Group::Plan,
        &[
            "plan",
            "design",
            "architect",
            "decompose",
            "break down",
            "roadmap",
            "strategy",
        ],
    ),
    (
        Group::Edit,
        &[
            "implement",
            "refactor",
            "fix",
            "write",
            "edit",
            "rename",
            "add a",
            "add the",
            "function",
            "code",
            "bug",
            "migrate",
        ],
    ),
    (
        Group::Review,
        &[
            "review",
            "audit",
            "critique",
            "find problems",
            "vulnerab",
            "verdict",
            "assess",
        ],
    ),
    (
        Group::Hard,
        &[
            "prove",
            "lemma",
            "theorem",
            "concurren",
            "deadlock",
            "race condition",
            "distributed",
            "architect",
            "refactor",
            "optimi",
            "algorithm",
            "complexity",
            "security",
            "vulnerab",
            "migrat",
            "debug",
            "root cause",
            "why does",
            "trade-off",
            "consisten",
            "invariant",
            "transaction",
            "performance",
            "design",
        ],
    ),
    (
        Group::Easy,
        &[
            "hello",
            "thanks",
            "typo",
            "title",
            "summari",
            "translate",
            "rename",
            "format",
            "what is",
            "list the",
            "spell",
            "capital of",
            "yes or no",
        ],
    ),
];

/// The part of a text that is looked at.
const LOOKED_AT: usize = 4_096;

/// The words that occur in a text, a bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Words(u64);

impl Words {
    /// The words of a text, whatever their case.
    pub(super) fn of(text: &str) -> Self {
        let mut found = 0;
        for part in ends(text) {
            for word in searcher().into_iter().flat_map(|s| s.find_overlapping_iter(part)) {
                found |= 1 << word.pattern().as_u32();
            }
        }
        Self(found)
    }

    /// How many words of a group occur.
    pub(super) fn hits(self, group: Group) -> u32 {
        let mut first = 0;
        for (one, words) in GROUPS {
            if one == group {
                let mask = (1_u64 << words.len()) - 1;
                return (self.0 >> first & mask).count_ones();
            }
            first += words.len();
        }
        0
    }
}

/// The beginning and the end of a text: what is wanted stands at one of them, and a long text takes no longer than a short
/// one.
pub(super) fn ends(text: &str) -> [&str; 2] {
    if text.len() <= LOOKED_AT {
        return [text, ""];
    }
    let half = LOOKED_AT / 2;
    let end = text.floor_char_boundary(half);
    let start = text.ceil_char_boundary(text.len() - half);
    [&text[..end], &text[start..]]
}

/// Nothing if the words could not be searched for, which a test rules out.
fn searcher() -> Option<&'static AhoCorasick> {
    static SEARCHER: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let make = || {
        AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(GROUPS.iter().flat_map(|(_, words)| *words))
            .ok()
    };
    SEARCHER.get_or_init(make).as_ref()
}

#[cfg(test)]
mod tests {
    use super::{GROUPS, Group, Words};

    #[test]
    fn every_word_is_found_and_no_other() {
        let all: usize = GROUPS.iter().map(|(_, words)| words.len()).sum();
        assert!(all <= 64, "a bit each");
        for (group, words) in GROUPS {
            assert_eq!(
                Words::of(&words.join(" ").to_uppercase()).hits(group) as usize,
                words.len()
            );
        }
        assert_eq!(Words::of("good morning"), Words::default());
        let both = Words::of("Refactor");
        assert_eq!((both.hits(Group::Edit), both.hits(Group::Hard)), (1, 1));
        let long = format!("PROVE {} thanks", "ü".repeat(10_000));
        let ends = Words::of(&long);
        assert_eq!((ends.hits(Group::Hard), ends.hits(Group::Easy)), (1, 1));
    }
}
