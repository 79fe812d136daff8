//! Whether the here-documents of a text end, before the grammar reads them: it looks for ever for an end that is empty, that is
//! no plain text, or that never comes, and gives up with a panic where brackets stay open around one.

use super::Unreadable;

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// `$(`, `(` and their kin.
    Commands,
    /// `((`, in which `<<` is a shift.
    Arithmetic,
    /// `${`
    Parameter,
    Backquote,
    DoubleQuote,
}

/// A here-document that begins on the next line.
struct Awaited {
    end: String,
    without_tabs: bool,
}

struct Walk<'t> {
    text: &'t [u8],
    at: usize,
    open: Vec<Open>,
    awaited: Vec<Awaited>,
}

/// Refuses text with a here-document that the grammar cannot be trusted with.
pub(super) fn check(text: &str) -> Result<(), Unreadable> {
    let mut walk = Walk {
        text: text.as_bytes(),
        at: 0,
        open: Vec::new(),
        awaited: Vec::new(),
    };
    while let Some(byte) = walk.peek(0) {
        walk.step(byte)?;
    }
    if !walk.awaited.is_empty() {
        return Err(Unreadable::new("a here-document never ends"));
    }
    if !walk.open.is_empty() {
        return Err(Unreadable::new("a bracket or a quote is never closed"));
    }
    Ok(())
}

impl Walk<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn begins(&self, what: &[u8]) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(what))
    }

    fn open(&mut self, what: Open, length: usize) {
        self.open.push(what);
        self.at += length;
    }

    fn step(&mut self, byte: u8) -> Result<(), Unreadable> {
        let top = self.open.last().copied();
        if byte == b'\\' {
            self.at += 2;
            return Ok(());
        }
        if self.begins(b"$((") {
            self.open(Open::Arithmetic, 3);
        } else if self.begins(b"$(") {
            self.open(Open::Commands, 2);
        } else if self.begins(b"${") {
            self.open(Open::Parameter, 2);
        } else if byte == b'`' {
            self.backquote();
        } else if byte == b'"' {
            if top == Some(Open::DoubleQuote) {
                self.open.pop();
            } else {
                self.open.push(Open::DoubleQuote);
            }
            self.at += 1;
        } else if top == Some(Open::DoubleQuote) {
            self.at += 1;
        } else {
            return self.code(byte, top);
        }
        Ok(())
    }

    /// Outside of double quotes.
    fn code(&mut self, byte: u8, top: Option<Open>) -> Result<(), Unreadable> {
        match byte {
            b'$' if self.peek(1) == Some(b'\'') => return self.single(2, true),
            // `"${x:-it's}"` has a plain apostrophe in it.
            b'\'' if !(top == Some(Open::Parameter) && self.open.contains(&Open::DoubleQuote)) => {
                return self.single(1, false);
            }
            b'(' if self.peek(1) == Some(b'(') => self.open(Open::Arithmetic, 2),
            b'(' => self.open(Open::Commands, 1),
            b')' => self.close(top),
            b'}' => {
                if top == Some(Open::Parameter) {
                    self.open.pop();
                }
                self.at += 1;
            }
            b'#' if top != Some(Open::Parameter) && self.begins_word() => self.comment(),
            b'<' if self.begins(b"<<<") => self.at += 3,
            b'<' if self.begins(b"<<") && !matches!(top, Some(Open::Arithmetic | Open::Parameter)) => {
                return self.awaits();
            }
            b'\n' => {
                self.at += 1;
                return self.documents();
            }
            _ => self.at += 1,
        }
        Ok(())
    }

    fn backquote(&mut self) {
        self.at += 1;
        match self.open.iter().rposition(|open| *open == Open::Backquote) {
            Some(place) => self.open.truncate(place),
            None => self.open.push(Open::Backquote),
        }
    }

    fn close(&mut self, top: Option<Open>) {
        match top {
            Some(Open::Arithmetic) if self.peek(1) == Some(b')') => {
                self.open.pop();
                self.at += 1;
            }
            // It was a subshell at the beginning of a substitution.
            Some(Open::Arithmetic) => {
                self.open.pop();
                self.open.push(Open::Commands);
            }
            Some(Open::Commands) => {
                self.open.pop();
            }
            // The end of a pattern of `case`.
            _ => {}
        }
        self.at += 1;
    }

    fn begins_word(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.text.get(at));
        before.is_none_or(|byte| byte.is_ascii_whitespace() || b";&|()`".contains(byte))
    }

    fn comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn single(&mut self, before: usize, escapes: bool) -> Result<(), Unreadable> {
        self.at += before;
        while let Some(byte) = self.peek(0) {
            self.at += if escapes && byte == b'\\' { 2 } else { 1 };
            if byte == b'\'' {
                return Ok(());
            }
        }
        Err(Unreadable::new("a quote is never closed"))
    }

    /// Reads which line ends a here-document.
    fn awaits(&mut self) -> Result<(), Unreadable> {
        self.at += 2;
        let without_tabs = self.peek(0) == Some(b'-');
        self.at += usize::from(without_tabs);
        while matches!(self.peek(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let (mut end, mut quote) = (Vec::new(), None);
        while let Some(byte) = self.peek(0) {
            match (byte, quote) {
                (b'\'' | b'"', None) => quote = Some(byte),
                (_, Some(open)) if byte == open => quote = None,
                (b'$' | b'`' | b'\\', _) => {
                    return Err(Unreadable::new("the end of a here-document is not plain text"));
                }
                (b'\n', Some(_)) => return Err(Unreadable::new("the end of a here-document is not one line")),
                (_, None) if byte.is_ascii_whitespace() || b";&|<>()".contains(&byte) => break,
                _ => end.push(byte),
            }
            self.at += 1;
        }
        if end.is_empty() || quote.is_some() {
            return Err(Unreadable::new("a here-document has no end"));
        }
        let end = String::from_utf8_lossy(&end).into_owned();
        self.awaited.push(Awaited { end, without_tabs });
        Ok(())
    }

    /// Passes over the here-documents that begin on this line.
    fn documents(&mut self) -> Result<(), Unreadable> {
        for Awaited { end, without_tabs } in std::mem::take(&mut self.awaited) {
            loop {
                let rest = self.text.get(self.at..).unwrap_or_default();
                if rest.is_empty() {
                    return Err(Unreadable::new("a here-document never ends"));
                }
                let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                let line = String::from_utf8_lossy(&rest[..length]);
                self.at += (length + 1).min(rest.len());
                let line = if without_tabs {
                    line.trim_start_matches('\t')
                } else {
                    &line
                };
                if line == end {
                    break;
                }
            }
        }
        Ok(())
    }
}
