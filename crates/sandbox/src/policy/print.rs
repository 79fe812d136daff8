//! What a command prints, where its words say so: `echo` and `printf` with literal text, `which rm`.

use super::shell::{Argv, Scope, Simple, expansions};

/// What a script prints, if it is one command that says so.
pub(super) fn printed(script: &[Simple], scope: &Scope) -> Option<String> {
    let [simple] = script else {
        return None;
    };
    let ways = expansions(simple, scope).ok()?;
    let [argv] = ways.as_slice() else {
        return None;
    };
    of(argv)
}

/// What one command prints.
pub(super) fn of(argv: &Argv) -> Option<String> {
    let words: Option<Vec<&str>> = argv.words.iter().map(|word| word.text.as_deref()).collect();
    let words = words?;
    match words.as_slice() {
        ["echo", rest @ ..] => echo(rest),
        ["printf", "--", format, rest @ ..] | ["printf", format, rest @ ..] => printf(format, rest),
        ["which", program] | ["command", "-v", program] => Some((*program).to_owned()),
        _ => None,
    }
}

fn echo(words: &[&str]) -> Option<String> {
    let is_option =
        |word: &&&str| word.len() > 1 && word.starts_with('-') && word[1..].chars().all(|c| "neE".contains(c));
    let options = words.iter().take_while(is_option).count();
    let text = words[options..].join(" ");
    // With an escape in it, shells disagree on what it prints.
    (!text.contains('\\')).then_some(text)
}

/// Formats of `%s` and plain text.
fn printf(format: &str, values: &[&str]) -> Option<String> {
    if format.starts_with('-') {
        return None;
    }
    let mut text = String::new();
    let mut values = values.iter();
    loop {
        let mut took = false;
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => match chars.next()? {
                    's' => {
                        text.push_str(values.next().copied().unwrap_or_default());
                        took = true;
                    }
                    '%' => text.push('%'),
                    _ => return None,
                },
                '\\' => match chars.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    '\\' => text.push('\\'),
                    _ => return None,
                },
                _ => text.push(c),
            }
        }
        if values.len() == 0 || !took {
            return Some(text);
        }
    }
}
