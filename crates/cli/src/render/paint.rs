//! Colour, width, and text from strangers.

use std::io::IsTerminal as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Colours on a terminal, unless the person said no.
    pub(crate) fn detect(no_color: bool) -> Self {
        let said_no = no_color || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self(!said_no && std::io::stderr().is_terminal())
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn info(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

/// Text from strangers without what a terminal would obey: escape sequences and control characters.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' | '\u{9b}' => skip_sequence(c, &mut chars),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            // Marks that turn the reading direction can make a line lie.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => out.push(c),
        }
    }
    out
}

fn skip_sequence(first: char, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let kind = if first == '\u{9b}' { Some('[') } else { chars.next() };
    match kind {
        // CSI: ends with a letter or `~`.
        Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
        // OSC, DCS, APC, PM: end with BEL or ST.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
}

/// One line of at most `width` columns, cut with `…`.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or_default().replace('\t', " ");
    if line.width() <= width {
        return line;
    }
    let mut out = String::new();
    let mut used = 0;
    for c in line.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        out.push(c);
        used += wide;
    }
    out.push('…');
    out
}

/// One line of our own, colours and all, of at most `width` columns, cut with `…`.
pub(crate) fn cut(line: &str, width: usize) -> String {
    let line = line.lines().next().unwrap_or_default();
    if columns(line).map(|(_, wide)| wide).sum::<usize>() <= width {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len());
    let mut used = 0;
    for (c, wide) in columns(line) {
        used += wide;
        if used + 1 > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    if line.contains('\x1b') {
        out.push_str("\x1b[0m");
    }
    out
}

/// The characters with their widths. Of escape sequences there is only what [`Paint`] writes: `ESC [ … m`.
fn columns(line: &str) -> impl Iterator<Item = (char, usize)> {
    line.chars().scan(false, |colour, c| {
        let code = *colour || c == '\x1b';
        *colour = code && c != 'm';
        Some((c, if code { 0 } else { c.width().unwrap_or(0) }))
    })
}

/// Broken at spaces, or within a word that is too long, into at most `most` lines of `width` columns; the last ends with
/// `…` when something is left.
pub(crate) fn wrap(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.width());
        if line > 0 && line + 1 + word.width() > width {
            lines.push(String::new());
        } else if line > 0 {
            push(&mut lines, ' ', width);
        }
        word.chars().for_each(|c| push(&mut lines, c, width));
    }
    lines.retain(|line| !line.is_empty());
    if lines.len() > most && most > 0 {
        let rest = lines.split_off(most - 1).join(" ");
        lines.push(fit(&format!("{rest} …"), width));
    }
    lines
}

fn push(lines: &mut Vec<String>, c: char, width: usize) {
    match lines.last_mut() {
        Some(line) if line.width() + c.width().unwrap_or(0) <= width => line.push(c),
        _ => lines.push(c.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{clean, cut, fit, wrap};

    #[test]
    fn coloured_lines_are_cut_by_what_is_seen() {
        let line = "\x1b[32mgreen\x1b[0m and plain";
        assert_eq!(cut(line, 15), line);
        assert_eq!(cut(line, 8), "\x1b[32mgreen\x1b[0m a…\x1b[0m");
        assert_eq!(cut("plain text", 6), "plain…");
        assert_eq!(cut("日本語", 5), "日本…");
    }

    #[test]
    fn texts_wrap_and_say_when_they_are_cut() {
        assert_eq!(wrap("one two three", 7, 3), ["one two", "three"]);
        assert_eq!(wrap("one two three four", 7, 2), ["one two", "three …"]);
        assert_eq!(wrap("abcdefghij k", 4, 5), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("", 10, 3), [] as [&str; 0]);
        for width in 2..30 {
            for most in 1..5 {
                let lines = wrap(
                    "May the worker of E1 run `rm -rf /home/somebody/everything/there/is`?",
                    width,
                    most,
                );
                assert!(lines.len() <= most, "{lines:?}");
                assert!(
                    lines.iter().all(|line| line.chars().count() <= width),
                    "{width} {lines:?}"
                );
                let cut = lines.last().unwrap().ends_with('…');
                let whole = lines.concat().ends_with("is`?");
                assert!(cut != whole, "{width} {most} {lines:?}");
            }
        }
    }

    #[test]
    fn strangers_cannot_drive_the_terminal() {
        for (raw, shown) in [
            ("\x1b[2J\x1b[31mred\x1b[0m", "red"),
            ("a\x1b]0;title\x07b", "ab"),
            ("a\x1b]52;c;AAAA\x1b\\b", "ab"),
            ("bell\x07 back\x08 cr\r", "bell back cr"),
            ("\u{9b}31mx", "x"),
            ("\x1bPdcs\x1b\\y\x1b", "y"),
            ("safe\u{202e}txt", "safetxt"),
        ] {
            assert_eq!(clean(raw), shown, "{raw:?}");
        }
    }

    #[test]
    fn lines_fit() {
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("ab\ncd", 10), "ab");
    }
}
