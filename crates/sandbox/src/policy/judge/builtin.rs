//! The shell's own ways to run text, to define programs, and to write variables.

use super::{Call, Finding, Judge, Level, Word};

impl Judge<'_> {
    pub(super) fn builtin(&self, name: &str, call: &Call<'_>) -> Finding {
        let words = &call.words[1..];
        match name {
            "eval" => self.eval(words, call),
            "source" | "." => match words.first() {
                Some(word)
                    if matches!(
                        word.text.as_deref(),
                        Some("/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0")
                    ) =>
                {
                    self.fed(call)
                }
                Some(word) => self.script_file(word),
                None => Finding::allow(),
            },
            "alias" => words
                .iter()
                .map(|word| self.alias(word, call))
                .fold(Finding::allow(), Finding::or),
            "trap" => self.trap(words, call),
            "export" | "declare" | "typeset" | "local" | "readonly" => self.declared(words),
            "read" | "unset" | "let" | "test" | "[" | "mapfile" | "readarray" => self.named_variables(name, words),
            "printf" => match words {
                [option, variable, ..] if option.head.starts_with("-v") => {
                    self.named_variables(name, &[option.clone(), variable.clone()])
                }
                _ => Finding::allow(),
            },
            "hash" | "enable" | "bind" | "complete" | "compgen" | "fc"
                if words.iter().any(|word| {
                    word.head.starts_with('-') && word.head.contains(['p', 'f', 'x', 'C', 'F', 's', 'e'])
                }) =>
            {
                self.undecided(format!("{name} changes what other words mean, or runs text"))
            }
            "complete" | "compgen" => self.completed(words),
            _ => Finding::allow(),
        }
    }

    /// `-W TEXT`: the list of completions is expanded before it is split.
    fn completed(&self, words: &[Word]) -> Finding {
        let lists = words
            .iter()
            .map(|word| self.expanded(word.text.as_deref().unwrap_or(&word.head)));
        let unknown = words.iter().any(|word| word.text.is_none());
        let found = lists.fold(Finding::allow(), Finding::or);
        if unknown {
            return found.or(self.undecided("it expands text that is not known"));
        }
        found
    }

    fn eval(&self, words: &[Word], call: &Call<'_>) -> Finding {
        let words = match words.first().and_then(|word| word.text.as_deref()) {
            Some("--") => &words[1..],
            _ => words,
        };
        let texts: Option<Vec<&str>> = words.iter().map(|word| word.text.as_deref()).collect();
        match (texts, words) {
            (Some(texts), _) => self.text(&texts.join(" "), call.scope, call.depth + 1),
            (None, [word]) => self.printed_by(word),
            (None, _) => self.undecided("eval runs text that is not known"),
        }
    }

    fn alias(&self, word: &Word, call: &Call<'_>) -> Finding {
        match word.text.as_deref() {
            // Where such a document ends, and what runs after it, shells see otherwise in an alias than in a script.
            Some(text) if text.contains("<<") => self.undecided("an alias holds a here-document"),
            Some(text) => self.text(
                text.split_once('=').map_or("", |(_, body)| body),
                call.scope,
                call.depth + 1,
            ),
            None => self.undecided("an alias is made of text that is not known"),
        }
    }

    fn trap(&self, words: &[Word], call: &Call<'_>) -> Finding {
        let mut words = words
            .iter()
            .skip_while(|word| matches!(word.text.as_deref(), Some("--" | "-p" | "-l")));
        match words.next() {
            None => Finding::allow(),
            Some(word) => match word.text.as_deref() {
                Some(text) => self.text(text, call.scope, call.depth + 1),
                None => self.printed_by(word),
            },
        }
    }

    fn declared(&self, words: &[Word]) -> Finding {
        let mut found = Finding::allow();
        for word in words {
            let known = word.text.as_deref();
            if word.head.starts_with('-') && word.head.contains('n') && !word.head.starts_with("--") {
                found = found.or(self.undecided("a variable becomes another name for one that is not known"));
            }
            found = found.or(self.subscript(known.unwrap_or(&word.head)));
            found = found.or(match word.head.split_once('=') {
                Some((name, _)) => self.variable(
                    name.trim_end_matches('+'),
                    known.and_then(|text| Some(text.split_once('=')?.1)),
                ),
                None if known.is_some() => Finding::allow(),
                None => self.undecided("it cannot be told which variable is written"),
            });
        }
        found
    }

    /// Words that name variables: poisoned ones, and subscripts, which are evaluated.
    fn named_variables(&self, builtin: &str, words: &[Word]) -> Finding {
        let mut found = Finding::allow();
        for word in words {
            let text = word.text.as_deref().unwrap_or(&word.head);
            let tests = matches!(builtin, "test" | "[");
            if matches!(builtin, "mapfile" | "readarray") && word.head.starts_with("-C") {
                found = found.or(self.undecided(format!("{builtin} runs text for what it reads")));
            }
            found = found.or(self.subscript(text));
            if !tests && builtin != "unset" {
                let name = text.split(['=', '[']).next().unwrap_or_default();
                found = found.or(self.variable(name, None));
            }
        }
        if found.0.level > Level::Monitor {
            found
        } else {
            Finding::allow()
        }
    }
}
