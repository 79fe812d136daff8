//! The funnel: finds secrets in text and puts their names there instead.
//!
//! Programs escape, encode and wrap what they print, in any mixture. So a text is read in several views (as it is, unescaped,
//! without line breaks, percent-decoded), and each value is looked for in several spellings (as it is, base64, hex) in all of
//! them. What is found is cut out of the text itself, escapes and all.

mod shape;
mod spelling;
mod stream;
mod view;

pub use stream::Stream;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, packed};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{borrow::Cow, fmt, ops::Range};
use view::View;

/// A place that has to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Where it stands, in bytes.
    pub range: Range<usize>,
    /// What it is called.
    pub name: String,
}

/// Knows secrets by value and by shape. See the module.
#[derive(Default)]
pub struct Funnel {
    /// Whose spelling each pattern is.
    names: Vec<String>,
    /// All spellings in order, to tell the beginning of one at the end of a piece.
    sorted: Vec<Vec<u8>>,
    longest: usize,
    exact: Option<AhoCorasick>,
    /// Says several times as fast whether any is there at all; only for as many spellings as it can take.
    quick: Option<packed::Searcher>,
}

impl fmt::Debug for Funnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Funnel")
            .field("spellings", &self.names.len())
            .finish_non_exhaustive()
    }
}

/// What one look at a text has shown.
struct Look {
    /// Sorted, apart from each other.
    hits: Vec<Hit>,
    /// What lies from here on may be the beginning of something.
    open: usize,
}

impl Funnel {
    /// The shortest value that is looked for, in bytes.
    pub const SHORTEST: usize = 8;

    /// A funnel that knows these values, each with its name, besides the shapes.
    pub fn of<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut names, mut patterns) = (Vec::new(), Vec::new());
        for (name, value) in secrets {
            if value.len() >= Self::SHORTEST {
                let spellings = spelling::of(value);
                names.extend(spellings.iter().map(|_| name.to_owned()));
                patterns.extend(spellings);
            }
        }
        // Too many patterns for the automaton is the only error; each of ours has some kilobytes at the most.
        // One of nothing would walk through every text all the same.
        let exact = (!patterns.is_empty())
            .then(|| AhoCorasickBuilder::new().build(&patterns).ok())
            .flatten();
        let quick = packed::Config::new().builder().extend(&patterns).build();
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        patterns.sort_unstable();
        Self {
            names,
            sorted: patterns,
            longest,
            exact,
            quick,
        }
    }

    /// The text with names in the place of secrets.
    pub fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.clean_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The same for bytes, which need not be text.
    pub fn clean_bytes<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        cut(text, &self.find(text))
    }

    /// The same for known values alone: for text whose other secrets are not ours to judge.
    pub fn clean_known<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.exact.is_none() || !self.knows_of(&View::untraced(text)) {
            return Cow::Borrowed(text);
        }
        let mut hits = Vec::new();
        for view in View::all(text) {
            self.exact_in(&view, &mut hits);
        }
        cut(text, &apart(hits))
    }

    /// The same for the strings within a value of any type; `None` when the type cannot hold what is left, which is better lost
    /// than told.
    pub fn clean_value<T: Serialize + DeserializeOwned>(&self, value: T) -> Option<T> {
        let text = serde_json::to_vec(&value).ok()?;
        if self.find(&text).is_empty() {
            return Some(value);
        }
        let mut json = serde_json::from_slice(&text).ok()?;
        self.clean_json(&mut json);
        serde_json::from_value(json).ok()
    }

    /// The same for all strings within a JSON value, names of members as well.
    pub fn clean_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(cleaned) = self.clean(text) {
                    *text = cleaned;
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|item| self.clean_json(item)),
            Value::Object(members) => {
                members.values_mut().for_each(|member| self.clean_json(member));
                if members.keys().any(|name| matches!(self.clean(name), Cow::Owned(_))) {
                    let old = std::mem::take(members);
                    members.extend(
                        old.into_iter()
                            .map(|(name, member)| (self.clean(&name).into_owned(), member)),
                    );
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The name of a known value that stands in a text.
    pub fn known_in(&self, text: &[u8]) -> Option<String> {
        if !self.knows_of(&View::untraced(text)) {
            return None;
        }
        let mut hits = Vec::new();
        for view in View::all(text) {
            self.exact_in(&view, &mut hits);
        }
        hits.into_iter().next().map(|hit| hit.name)
    }

    /// Where secrets stand, in order and apart from each other.
    pub fn find(&self, text: &[u8]) -> Vec<Hit> {
        // Most texts hold nothing, and that is seen sooner than where it would stand.
        let views = View::untraced(text);
        if !self.knows_of(&views) && !has_shape(&views) {
            return Vec::new();
        }
        self.look(text, true).hits
    }

    /// Whether a known value stands in one of the readings.
    fn knows_of(&self, views: &[View<'_>]) -> bool {
        views.iter().any(|view| match (&self.quick, &self.exact) {
            (Some(quick), _) => quick.find(view.bytes()).is_some(),
            (None, Some(exact)) => exact.is_match(view.bytes()),
            (None, None) => false,
        })
    }

    /// `ended`: nothing comes after the text.
    fn look(&self, text: &[u8], ended: bool) -> Look {
        let mut hits = Vec::new();
        let mut open = text.len();
        for view in View::all(text) {
            self.exact_in(&view, &mut hits);
            let mut begun = view.bytes().len();
            if view.keeps_lines() {
                begun = shape::find(view.bytes(), ended, |range, name| {
                    hits.push(Hit {
                        range: view.origin(range),
                        name: name.to_owned(),
                    });
                });
            }
            if !ended {
                open = open.min(view.origin_of(begun.min(self.begun(view.bytes()))));
            }
        }
        Look {
            hits: apart(hits),
            open,
        }
    }

    fn exact_in(&self, view: &View<'_>, hits: &mut Vec<Hit>) {
        let Some(exact) = &self.exact else { return };
        hits.extend(exact.find_overlapping_iter(view.bytes()).map(|found| Hit {
            range: view.origin(found.range()),
            name: self.names[found.pattern().as_usize()].clone(),
        }));
    }

    /// Where the first spelling begins of which only the beginning is there yet.
    fn begun(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |at: &usize| {
            let tail = &bytes[*at..];
            let place = self.sorted.partition_point(|pattern| pattern.as_slice() < tail);
            self.sorted.get(place).is_some_and(|pattern| pattern.starts_with(tail))
        };
        (first..bytes.len()).find(begins).unwrap_or(bytes.len())
    }
}

fn has_shape(views: &[View<'_>]) -> bool {
    let mut any = false;
    for view in views.iter().filter(|view| view.keeps_lines()) {
        shape::find(view.bytes(), true, |_, _| any = true);
    }
    any
}

/// Sorts places and makes one of those that touch the same bytes.
fn apart(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by(|a, b| (a.range.start, b.range.end).cmp(&(b.range.start, a.range.end)));
    let mut apart: Vec<Hit> = Vec::with_capacity(hits.len());
    for hit in hits {
        match apart.last_mut() {
            Some(last) if hit.range.start < last.range.end => last.range.end = last.range.end.max(hit.range.end),
            _ => apart.push(hit),
        }
    }
    apart
}

fn cut<'t>(text: &'t [u8], hits: &[Hit]) -> Cow<'t, [u8]> {
    if hits.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut cleaned, mut from) = (Vec::with_capacity(text.len()), 0);
    for hit in hits {
        cleaned.extend_from_slice(&text[from..hit.range.start]);
        cleaned.extend_from_slice(marker(&hit.name).as_bytes());
        from = hit.range.end;
    }
    cleaned.extend_from_slice(&text[from..]);
    Cow::Owned(cleaned)
}

/// What stands in the place of a secret: nothing that JSON, a URL or a shell would have to quote, and no secret itself.
fn marker(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "_.-".contains(c) {
            c
        } else {
            '-'
        }
    };
    format!("[secret:{}]", name.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests;
