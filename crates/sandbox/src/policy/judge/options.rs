//! Options as programs read them: bundles, attached values, long names cut short.

use super::Word;

/// What a word is to a program with known options.
pub(super) enum Kind {
    /// An option whose value is the next word.
    TakesNext,
    /// An option with its value attached.
    Attached(String),
    /// An option without a value, or one that is not known.
    Plain,
    /// No option.
    Operand,
}

/// How `options` (those that take a value) see a word.
pub(super) fn kind<S: AsRef<str>>(word: &Word, options: &[S]) -> Kind {
    let Some(text) = word.text.as_deref() else {
        let attached = options
            .iter()
            .any(|option| word.head.starts_with(option.as_ref()) && word.head.len() > 2);
        return match (word.head.starts_with('-'), attached) {
            (true, true) => Kind::Attached(String::new()),
            (true, false) => Kind::Plain,
            (false, _) => Kind::Operand,
        };
    };
    if text.len() < 2 || !text.starts_with(['-', '+']) {
        return Kind::Operand;
    }
    if options.iter().any(|option| option.as_ref() == text) {
        return Kind::TakesNext;
    }
    if let Some(long) = text.strip_prefix("--") {
        return long_option(long, options);
    }
    // Options in the manner of find and tcpdump: one dash, a whole word.
    if let Some((name, value)) = text.split_once('=')
        && options.iter().any(|option| option.as_ref() == name)
    {
        return Kind::Attached(value.to_owned());
    }
    bundle(text, options)
}

fn long_option<S: AsRef<str>>(long: &str, options: &[S]) -> Kind {
    let (name, value) = long
        .split_once('=')
        .map_or((long, None), |(name, value)| (name, Some(value)));
    let known = options.iter().filter_map(|option| option.as_ref().strip_prefix("--"));
    let mut meant = known.filter(|option| option.starts_with(name) && name.len() >= 3);
    match (meant.next(), value) {
        (Some(_), Some(value)) => Kind::Attached(value.to_owned()),
        (Some(_), None) => Kind::TakesNext,
        (None, _) => Kind::Plain,
    }
}

/// `-xc VALUE`, `-xcVALUE`: a letter that takes a value ends the bundle.
fn bundle<S: AsRef<str>>(text: &str, options: &[S]) -> Kind {
    let letters = text.char_indices().skip(1);
    for (at, letter) in letters {
        let takes = options
            .iter()
            .map(AsRef::as_ref)
            .any(|option: &str| option.len() == 2 && option.starts_with('-') && option.ends_with(letter));
        if takes && text.starts_with('-') {
            let rest = &text[at + letter.len_utf8()..];
            return if rest.is_empty() {
                Kind::TakesNext
            } else {
                Kind::Attached(rest.to_owned())
            };
        }
        if !letter.is_ascii_alphanumeric() {
            break;
        }
    }
    Kind::Plain
}
