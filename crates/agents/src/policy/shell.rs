//! Reads a command line the way a shell would, far enough to know its words: quotes, escapes, operators, pipes,
//! substitutions, here-documents, functions. What it cannot read is an error, which the policy asks about.

use std::collections::VecDeque;

/// A command line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// A word with what is known of its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Its value; `None` when it depends on a variable or on what a command prints.
    pub(super) text: Option<String>,
    /// As it was written.
    pub(super) raw: String,
    /// Nothing of it is quoted, so it may be a keyword or a pattern.
    pub(super) bare: bool,
    /// Scripts inside it whose output it takes.
    pub(super) scripts: Vec<String>,
    /// The word is a file that a script inside it fills: `<(…)`.
    pub(super) is_stream: bool,
}

/// What a command reads on its stdin or writes elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    To(Word),
    From(Word),
    /// A here-document or here-string; `None` when its text depends on an expansion.
    Text(Option<String>),
}

/// One simple command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) assigned: Vec<Word>,
    pub(super) words: Vec<Word>,
    pub(super) redirects: Vec<Redirect>,
    /// Scripts in here-documents.
    pub(super) scripts: Vec<String>,
    /// The commands (by number) whose output it reads.
    pub(super) fed_by: Vec<usize>,
    /// The function whose body it stands in.
    pub(super) within: Option<String>,
    /// It runs beside what follows, or is piped: more than one of it can live.
    pub(super) multiplies: bool,
}

/// All commands of a script, in order.
pub(super) fn parse(text: &str) -> Result<Vec<Simple>, Unreadable> {
    let mut parser = Parser {
        chars: text.chars().collect(),
        at: 0,
        commands: Vec::new(),
        pending: VecDeque::new(),
        within: Vec::new(),
        depth: 0,
    };
    parser.list(None, &[])?;
    Ok(parser.commands)
}

/// A here-document whose body comes after the line.
struct Pending {
    command: usize,
    end: String,
    strip: bool,
    literal: bool,
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    commands: Vec<Simple>,
    pending: VecDeque<Pending>,
    within: Vec<String>,
    depth: usize,
}

/// Words that begin or join compound commands and are no programs themselves.
const KEYWORDS: [&str; 14] = [
    "if", "then", "elif", "else", "fi", "while", "until", "do", "done", "!", "time", "{", "}", "esac",
];
/// Deeper nesting than any honest command has.
const DEEPEST: usize = 50;

impl Parser {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn starts(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.starts(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// Commands up to a closing bracket, or to the end. `fed` are the commands that feed them.
    fn list(&mut self, close: Option<char>, fed: &[usize]) -> Result<(), Unreadable> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Unreadable("it is nested too deeply"));
        }
        loop {
            self.blanks(true)?;
            match self.peek(0) {
                None if close.is_none() => break,
                None => return Err(Unreadable("a bracket is never closed")),
                Some(c) if Some(c) == close => {
                    self.at += 1;
                    break;
                }
                // `;;` and `pattern)` of a case: separators like any other.
                Some(';' | '&' | ')') => self.at += 1,
                Some(_) => self.pipeline(fed)?,
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn pipeline(&mut self, fed: &[usize]) -> Result<(), Unreadable> {
        let mut feeds = fed.to_vec();
        let begin = self.commands.len();
        let mut piped = false;
        loop {
            let first = self.commands.len();
            self.element(&feeds)?;
            self.blanks(false)?;
            if self.starts("||") || self.starts("&&") {
                self.at += 2;
                break;
            }
            if !(self.take("|&") || self.take("|")) {
                break;
            }
            piped = true;
            feeds = (first..self.commands.len()).collect();
            self.blanks(true)?;
        }
        let background = self.peek(0) == Some('&') && self.peek(1) != Some('&');
        if piped || background {
            self.commands[begin..]
                .iter_mut()
                .for_each(|command| command.multiplies = true);
        }
        Ok(())
    }

    fn element(&mut self, fed: &[usize]) -> Result<(), Unreadable> {
        self.blanks(false)?;
        if self.take("((") {
            return self.arithmetic();
        }
        if self.take("(") {
            self.list(Some(')'), fed)?;
            return self.trailing_redirects(fed);
        }
        self.simple(fed)
    }

    fn arithmetic(&mut self) -> Result<(), Unreadable> {
        while self.at < self.chars.len() {
            if self.take("))") {
                return Ok(());
            }
            self.at += 1;
        }
        Err(Unreadable("an arithmetic expression is never closed"))
    }

    /// Redirections after a group belong to a command without words.
    fn trailing_redirects(&mut self, fed: &[usize]) -> Result<(), Unreadable> {
        self.blanks(false)?;
        if matches!(self.peek(0), Some('<' | '>')) {
            self.simple(fed)?;
        }
        Ok(())
    }

    fn simple(&mut self, fed: &[usize]) -> Result<(), Unreadable> {
        let number = self.commands.len();
        self.commands.push(Simple {
            fed_by: fed.to_vec(),
            within: self.within.last().cloned(),
            ..Simple::default()
        });
        let mut skipping_list = false;
        loop {
            self.blanks(false)?;
            match self.peek(0) {
                None | Some('\n' | ';' | '&' | '|' | ')') if !self.starts("&>") => return Ok(()),
                Some('(') => return self.function(number),
                _ if self.redirect(number)? => {}
                _ => {
                    let word = self.word()?;
                    if word.raw.is_empty() {
                        return Err(Unreadable("a character was not expected"));
                    }
                    if word.bare && self.commands[number].words.is_empty() && !skipping_list {
                        match word.raw.as_str() {
                            "{" => {
                                self.list_in_braces(number, fed)?;
                                return self.trailing_redirects(fed);
                            }
                            "}" => return Err(Unreadable("a brace is closed that was never opened")),
                            "for" | "select" | "case" => skipping_list = true,
                            "function" => return self.named_function(number),
                            keyword if KEYWORDS.contains(&keyword) => continue,
                            _ => {}
                        }
                    }
                    self.add(number, word, skipping_list);
                }
            }
        }
    }

    /// The words of `for x in a b` and `case x in` are data, but scripts inside them run.
    fn add(&mut self, number: usize, word: Word, data: bool) {
        let command = &mut self.commands[number];
        if data || (command.words.is_empty() && is_assignment(&word.raw)) {
            command.assigned.push(word);
        } else {
            command.words.push(word);
        }
    }

    fn list_in_braces(&mut self, number: usize, fed: &[usize]) -> Result<(), Unreadable> {
        let fed = if fed.is_empty() {
            self.commands[number].fed_by.clone()
        } else {
            fed.to_vec()
        };
        self.list(Some('}'), &fed)
    }

    /// `name ( ) body`.
    fn function(&mut self, number: usize) -> Result<(), Unreadable> {
        let name = match self.commands[number].words.as_slice() {
            [name] => name.raw.clone(),
            _ => return Err(Unreadable("a bracket was not expected")),
        };
        self.at += 1;
        self.blanks(false)?;
        if !self.take(")") {
            return Err(Unreadable("a bracket was not expected"));
        }
        self.commands[number].words.clear();
        self.body(name)
    }

    /// `function name [()] body`.
    fn named_function(&mut self, number: usize) -> Result<(), Unreadable> {
        self.blanks(false)?;
        let name = self.word()?.raw;
        self.blanks(false)?;
        if self.take("(") {
            self.blanks(false)?;
            self.take(")");
        }
        self.commands[number].words.clear();
        self.body(name)
    }

    fn body(&mut self, name: String) -> Result<(), Unreadable> {
        self.within.push(name);
        self.blanks(true)?;
        self.element(&[])?;
        self.within.pop();
        Ok(())
    }

    fn redirect(&mut self, number: usize) -> Result<bool, Unreadable> {
        let begin = self.at;
        while self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        if self.starts("<(") || self.starts(">(") || !(matches!(self.peek(0), Some('<' | '>')) || self.starts("&>")) {
            self.at = begin;
            return Ok(false);
        }
        if self.take("<<<") {
            self.blanks(false)?;
            let word = self.word()?;
            let redirect = Redirect::Text(word.text.clone());
            self.commands[number].scripts.extend(word.scripts);
            self.commands[number].redirects.push(redirect);
        } else if self.starts("<<") {
            self.here_document(number)?;
        } else {
            self.file_redirect(number)?;
        }
        Ok(true)
    }

    fn here_document(&mut self, number: usize) -> Result<(), Unreadable> {
        self.at += 2;
        let strip = self.take("-");
        self.blanks(false)?;
        let word = self.word()?;
        let end = word
            .text
            .clone()
            .ok_or(Unreadable("a here-document ends at a word that is not known"))?;
        self.pending.push_back(Pending {
            command: number,
            end,
            strip,
            literal: !word.bare,
        });
        Ok(())
    }

    fn file_redirect(&mut self, number: usize) -> Result<(), Unreadable> {
        let inward = self.peek(0) == Some('<');
        while matches!(self.peek(0), Some('<' | '>' | '&' | '|')) {
            self.at += 1;
        }
        self.blanks(false)?;
        let word = self.word()?;
        // `2>&1` names a descriptor, not a file.
        if word.raw == "-" || word.raw.chars().all(|c| c.is_ascii_digit()) {
            return Ok(());
        }
        let redirect = if inward {
            Redirect::From(word)
        } else {
            Redirect::To(word)
        };
        self.commands[number].redirects.push(redirect);
        Ok(())
    }

    /// Skips blanks, comments and joined lines; with `lines`, line ends too.
    fn blanks(&mut self, lines: bool) -> Result<(), Unreadable> {
        loop {
            match self.peek(0) {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.peek(1) == Some('\n') => self.at += 2,
                Some('#')
                    if self.at == 0
                        || self.chars[self.at - 1].is_whitespace()
                        || ";&|(".contains(self.chars[self.at - 1]) =>
                {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                Some('\n') if lines => {
                    self.at += 1;
                    self.bodies()?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Reads the here-documents that the line before has announced.
    fn bodies(&mut self) -> Result<(), Unreadable> {
        while let Some(pending) = self.pending.pop_front() {
            let mut body = String::new();
            loop {
                if self.at >= self.chars.len() {
                    break;
                }
                let end = self.chars[self.at..]
                    .iter()
                    .position(|c| *c == '\n')
                    .map_or(self.chars.len(), |n| self.at + n);
                let line: String = self.chars[self.at..end].iter().collect();
                self.at = (end + 1).min(self.chars.len());
                let line = if pending.strip {
                    line.trim_start_matches('\t').to_owned()
                } else {
                    line
                };
                if line == pending.end {
                    break;
                }
                body.push_str(&line);
                body.push('\n');
            }
            let scripts = if pending.literal {
                Vec::new()
            } else {
                scripts_in(&body)?
            };
            let known = pending.literal || !body.contains(['$', '`']);
            let command = &mut self.commands[pending.command];
            command.scripts.extend(scripts);
            command.redirects.push(Redirect::Text(known.then_some(body)));
        }
        Ok(())
    }

    fn word(&mut self) -> Result<Word, Unreadable> {
        let begin = self.at;
        let mut word = Lexed::default();
        while let Some(c) = self.peek(0) {
            match c {
                '<' | '>' if self.peek(1) == Some('(') => {
                    self.at += 2;
                    word.scripts.push(self.bracketed()?);
                    word.is_stream = true;
                    word.unknown = true;
                }
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                _ => self.piece(c, &mut word)?,
            }
        }
        Ok(Word {
            raw: self.chars[begin..self.at].iter().collect(),
            text: (!word.unknown).then_some(word.text),
            bare: !word.quoted,
            scripts: word.scripts,
            is_stream: word.is_stream,
        })
    }

    fn piece(&mut self, c: char, word: &mut Lexed) -> Result<(), Unreadable> {
        self.at += 1;
        match c {
            '\'' => {
                word.quoted = true;
                self.single(word)
            }
            '"' => {
                word.quoted = true;
                self.double(word)
            }
            '\\' => {
                word.quoted = true;
                match self.peek(0) {
                    Some('\n') => self.at += 1,
                    Some(next) => {
                        word.text.push(next);
                        self.at += 1;
                    }
                    None => {}
                }
                Ok(())
            }
            '$' | '`' => self.expansion(c, word),
            '{' if self.brace_list() => {
                word.text.push(c);
                word.unknown = true;
                Ok(())
            }
            _ => {
                word.text.push(c);
                Ok(())
            }
        }
    }

    /// Whether `{a,b}` follows: it becomes several words.
    fn brace_list(&self) -> bool {
        let rest = self.chars[self.at..].iter().take_while(|c| !c.is_whitespace());
        let rest: String = rest.collect();
        rest.split_once('}')
            .is_some_and(|(inner, _)| inner.contains(',') || inner.contains(".."))
    }

    fn single(&mut self, word: &mut Lexed) -> Result<(), Unreadable> {
        while let Some(c) = self.peek(0) {
            self.at += 1;
            if c == '\'' {
                return Ok(());
            }
            word.text.push(c);
        }
        Err(Unreadable("a quote is never closed"))
    }

    fn double(&mut self, word: &mut Lexed) -> Result<(), Unreadable> {
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '"' => return Ok(()),
                '\\' => match self.peek(0) {
                    Some(next @ ('"' | '\\' | '$' | '`')) => {
                        word.text.push(next);
                        self.at += 1;
                    }
                    Some('\n') => self.at += 1,
                    _ => word.text.push('\\'),
                },
                '$' | '`' => self.expansion(c, word)?,
                _ => word.text.push(c),
            }
        }
        Err(Unreadable("a quote is never closed"))
    }

    fn expansion(&mut self, c: char, word: &mut Lexed) -> Result<(), Unreadable> {
        if c == '`' {
            word.unknown = true;
            word.scripts.push(self.backquoted()?);
            return Ok(());
        }
        match self.peek(0) {
            Some('(') if self.peek(1) == Some('(') => {
                word.unknown = true;
                self.at += 2;
                let inner = self.bracketed()?;
                word.scripts.extend(scripts_in(&inner)?);
                self.take(")");
            }
            Some('(') => {
                word.unknown = true;
                self.at += 1;
                word.scripts.push(self.bracketed()?);
            }
            Some('{') => {
                word.unknown = true;
                let begin = self.at;
                while self.peek(0).is_some_and(|c| c != '}') {
                    self.at += 1;
                }
                let inner: String = self.chars[begin..self.at].iter().collect();
                self.at += 1;
                word.scripts.extend(scripts_in(&inner)?);
            }
            // `$'…'` spells characters by number: not worth reading, worth asking about.
            Some('\'' | '"') => word.unknown = true,
            Some(next) if next.is_alphanumeric() || "_@*#?$!-".contains(next) => word.unknown = true,
            _ => word.text.push('$'),
        }
        Ok(())
    }

    /// The script up to the bracket that closes it.
    fn bracketed(&mut self) -> Result<String, Unreadable> {
        let begin = self.at;
        let mut open = 1;
        let mut quote: Option<char> = None;
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match (quote, c) {
                (_, '\\') if quote != Some('\'') => self.at += 1,
                (None, '\'' | '"') => quote = Some(c),
                (Some(q), c) if q == c => quote = None,
                (None | Some('"'), '(') => open += 1,
                (None | Some('"'), ')') => {
                    open -= 1;
                    if open == 0 {
                        return Ok(self.chars[begin..self.at - 1].iter().collect());
                    }
                }
                _ => {}
            }
        }
        Err(Unreadable("a bracket is never closed"))
    }

    fn backquoted(&mut self) -> Result<String, Unreadable> {
        let mut script = String::new();
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '`' => return Ok(script),
                '\\' => {
                    script.extend(self.peek(0));
                    self.at += 1;
                }
                _ => script.push(c),
            }
        }
        Err(Unreadable("a quote is never closed"))
    }
}

#[derive(Default)]
struct Lexed {
    text: String,
    unknown: bool,
    quoted: bool,
    is_stream: bool,
    scripts: Vec<String>,
}

/// The scripts in text that a shell expands but does not split: here-documents, arithmetic, parameters.
fn scripts_in(text: &str) -> Result<Vec<String>, Unreadable> {
    let quoted = format!("\"{}\"", text.replace('"', "\\\""));
    let mut parser = Parser {
        chars: quoted.chars().collect(),
        at: 0,
        commands: Vec::new(),
        pending: VecDeque::new(),
        within: Vec::new(),
        depth: 0,
    };
    Ok(parser.word()?.scripts)
}

fn is_assignment(raw: &str) -> bool {
    raw.split_once('=').is_some_and(|(name, _)| {
        let name = name.trim_end_matches('+');
        !name.is_empty()
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    })
}
