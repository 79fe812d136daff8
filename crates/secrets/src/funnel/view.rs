//! The ways a text is read before secrets are looked for in it. Every byte of a view knows where it comes from.

use std::{borrow::Cow, ops::Range};

/// One reading of a text.
pub(super) struct View<'t> {
    bytes: Cow<'t, [u8]>,
    /// Where each byte comes from; empty: from its own place.
    places: Vec<(u32, u32)>,
    /// What lies behind this place of the text is an escape that is not whole yet.
    whole: usize,
    keeps_lines: bool,
}

impl<'t> View<'t> {
    /// The readings of a text that differ: as it is, without escapes, without escapes and line breaks, percent-decoded.
    pub(super) fn all(text: &'t [u8]) -> Vec<Self> {
        Self::each(text, true)
    }

    /// The same, to be looked through alone: where their bytes come from is not kept, which takes most of the time.
    pub(super) fn untraced(text: &'t [u8]) -> Vec<Self> {
        Self::each(text, false)
    }

    fn each(text: &'t [u8], traced: bool) -> Vec<Self> {
        let mut all = vec![Self {
            bytes: Cow::Borrowed(text),
            places: Vec::new(),
            whole: text.len(),
            keeps_lines: true,
        }];
        let writer = |keeps_lines| Writer::new(text, keeps_lines, traced);
        let escaped = memchr::memchr(b'\\', text).is_some();
        if escaped {
            all.push(writer(true).unescape());
        }
        if escaped || memchr::memchr2(b'\n', b'\r', text).is_some() {
            all.push(writer(false).unescape());
        }
        if memchr::memchr(b'%', text).is_some() {
            all.push(writer(true).decode_percent());
        }
        all
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Tokens end at the end of a line here.
    pub(super) const fn keeps_lines(&self) -> bool {
        self.keeps_lines
    }

    /// Where bytes of the view stand in the text.
    pub(super) fn origin(&self, range: Range<usize>) -> Range<usize> {
        if self.places.is_empty() || range.is_empty() {
            return range;
        }
        self.places[range.start].0 as usize..self.places[range.end - 1].1 as usize
    }

    /// Where the byte at this place comes from; behind the last one: the end of what could be read.
    pub(super) fn origin_of(&self, at: usize) -> usize {
        if at >= self.bytes.len() {
            return self.whole;
        }
        self.places.get(at).map_or(at, |place| place.0 as usize)
    }
}

struct Writer<'t> {
    text: &'t [u8],
    bytes: Vec<u8>,
    places: Option<Vec<(u32, u32)>>,
    keeps_lines: bool,
}

impl<'t> Writer<'t> {
    fn new(text: &'t [u8], keeps_lines: bool, traced: bool) -> Self {
        Self {
            text,
            bytes: Vec::with_capacity(text.len()),
            places: traced.then(|| Vec::with_capacity(text.len())),
            keeps_lines,
        }
    }

    const fn is_dropped(&self, byte: u8) -> bool {
        !self.keeps_lines && matches!(byte, b'\n' | b'\r')
    }

    /// Bytes that an escape stands for.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no text of four gigabytes is looked at in one piece"
    )]
    fn put(&mut self, bytes: &[u8], from: Range<usize>) {
        for byte in bytes {
            if !self.is_dropped(*byte) {
                self.bytes.push(*byte);
                if let Some(places) = &mut self.places {
                    places.push((from.start as u32, from.end as u32));
                }
            }
        }
    }

    /// Bytes that stand for themselves.
    fn copy(&mut self, from: Range<usize>) {
        if self.places.is_some() {
            for at in from {
                self.put(&self.text[at..=at], at..at + 1);
            }
        } else if self.keeps_lines {
            self.bytes.extend_from_slice(&self.text[from]);
        } else {
            let lines = self.text[from].split(|byte| matches!(byte, b'\n' | b'\r'));
            lines.for_each(|line| self.bytes.extend_from_slice(line));
        }
    }

    fn view(self, whole: usize) -> View<'t> {
        View {
            bytes: Cow::Owned(self.bytes),
            places: self.places.unwrap_or_default(),
            whole,
            keeps_lines: self.keeps_lines,
        }
    }

    /// Undoes JSON's escapes, however often they were escaped themselves: any number of backslashes before a letter counts
    /// as one, and one that escapes nothing counts as none. That is done to a value and to a text alike, so they still fit.
    fn unescape(mut self) -> View<'t> {
        let mut at = 0;
        while at < self.text.len() {
            let run = memchr::memchr(b'\\', &self.text[at..]).unwrap_or(self.text.len() - at);
            if run > 0 {
                self.copy(at..at + run);
                at += run;
                continue;
            }
            let letter = at + self.text[at..].iter().take_while(|byte| **byte == b'\\').count();
            let Some((bytes, length, end)) = escaped(self.text, letter) else {
                return self.view(at);
            };
            self.put(&bytes[..length], at..end);
            at = end;
        }
        let whole = self.text.len();
        self.view(whole)
    }

    fn decode_percent(mut self) -> View<'t> {
        let mut at = 0;
        while at < self.text.len() {
            let rest = &self.text[at..];
            let digits = rest
                .iter()
                .skip(1)
                .take(2)
                .take_while(|b| b.is_ascii_hexdigit())
                .count();
            match rest[0] {
                b'%' if digits == 2 => {
                    self.put(&[(value(rest[1]) << 4) | value(rest[2])], at..at + 3);
                    at += 3;
                }
                b'%' if digits + 1 == rest.len() => return self.view(at),
                _ => {
                    let run = memchr::memchr(b'%', &rest[1..]).map_or(rest.len(), |run| run + 1);
                    self.copy(at..at + run);
                    at += run;
                }
            }
        }
        let whole = self.text.len();
        self.view(whole)
    }
}

/// What a letter behind backslashes means, in so many bytes, and where it ends; `None` when that is not all there yet.
fn escaped(text: &[u8], letter: usize) -> Option<([u8; 4], usize, usize)> {
    let one = |byte: u8| Some(([byte, 0, 0, 0], 1, letter + 1));
    match *text.get(letter)? {
        b'n' => one(b'\n'),
        b'r' => one(b'\r'),
        b't' => one(b'\t'),
        b'b' => one(8),
        b'f' => one(12),
        b'u' => unicode(text, letter),
        byte => one(byte),
    }
}

fn unicode(text: &[u8], letter: usize) -> Option<([u8; 4], usize, usize)> {
    let Some(first) = four_digits(text, letter + 1)? else {
        return Some(([b'u', 0, 0, 0], 1, letter + 1));
    };
    let mut end = letter + 5;
    let mut code = first;
    if (0xd800..0xdc00).contains(&first) {
        let slashes = text[end..].iter().take_while(|byte| **byte == b'\\').count();
        let next = text.get(end + slashes);
        if slashes > 0 && next.is_none_or(|byte| *byte == b'u') {
            next?;
            if let Some(second) = four_digits(text, end + slashes + 1)?.filter(|code| (0xdc00..0xe000).contains(code)) {
                code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                end += slashes + 5;
            }
        } else if end == text.len() {
            return None;
        }
    }
    let mut bytes = [0; 4];
    let length = char::from_u32(code)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
        .encode_utf8(&mut bytes)
        .len();
    Some((bytes, length, end))
}

/// Four hexadecimal digits; `None` when they are not all there yet, `Some(None)` when they are none.
fn four_digits(text: &[u8], from: usize) -> Option<Option<u32>> {
    let there = text.get(from..).unwrap_or_default();
    let digits = there.iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits < 4 {
        return if digits == there.len() { None } else { Some(None) };
    }
    Some(Some(
        there[..4]
            .iter()
            .fold(0, |code, byte| (code << 4) | u32::from(value(*byte))),
    ))
}

/// A hexadecimal digit's value.
const fn value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A') + 10,
    }
}
