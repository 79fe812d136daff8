//! `{a,b}` and `{1..3}`: one word that becomes several.

use super::{Unreadable, lex::Atom};

/// More words than an honest brace makes.
const MOST: usize = 256;

/// The words that a word becomes; `None` where there is no brace to expand.
pub(super) fn expanded(word: &[Atom]) -> Result<Option<Vec<Vec<Atom>>>, Unreadable> {
    let braces = word.iter().filter(|atom| matches!(atom, Atom::Bare('{'))).count();
    match braces {
        0 => Ok(None),
        1..=32 => alternatives(word).map(Some),
        _ => Err(Unreadable::new("it has too many braces")),
    }
}

fn alternatives(word: &[Atom]) -> Result<Vec<Vec<Atom>>, Unreadable> {
    let opening = (0..word.len()).filter(|at| matches!(word[*at], Atom::Bare('{')));
    for open in opening {
        let Some(close) = closing(word, open) else {
            continue;
        };
        let inner = &word[open + 1..close];
        let members = match members(inner) {
            members if members.len() > 1 => members
                .into_iter()
                .map(alternatives)
                .collect::<Result<Vec<_>, _>>()?
                .concat(),
            _ => match sequence(inner)? {
                Some(sequence) => sequence,
                None => continue,
            },
        };
        let after = alternatives(&word[close + 1..])?;
        if members.len() * after.len() > MOST {
            return Err(Unreadable::new("its braces make too many words"));
        }
        let join = |member: &Vec<Atom>, rest: &Vec<Atom>| [&word[..open], member, rest].concat();
        return Ok(members
            .iter()
            .flat_map(|member| after.iter().map(|rest| join(member, rest)).collect::<Vec<_>>())
            .collect());
    }
    Ok(vec![word.to_vec()])
}

fn closing(word: &[Atom], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, atom) in word.iter().enumerate().skip(open) {
        match atom {
            Atom::Bare('{') => depth += 1,
            Atom::Bare('}') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Splits at the commas of this level.
fn members(inner: &[Atom]) -> Vec<&[Atom]> {
    let (mut depth, mut from, mut members) = (0_usize, 0, Vec::new());
    for (at, atom) in inner.iter().enumerate() {
        match atom {
            Atom::Bare('{') => depth += 1,
            Atom::Bare('}') => depth = depth.saturating_sub(1),
            Atom::Bare(',') if depth == 0 => {
                members.push(&inner[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    members.push(&inner[from..]);
    members
}

/// `1..9`, `a..e`, with a step or without.
fn sequence(inner: &[Atom]) -> Result<Option<Vec<Vec<Atom>>>, Unreadable> {
    let text: Option<String> = inner
        .iter()
        .map(|atom| if let Atom::Bare(c) = atom { Some(*c) } else { None })
        .collect();
    let Some(text) = text else {
        return Ok(None);
    };
    let parts: Vec<&str> = text.split("..").collect();
    let (from, to) = match parts.as_slice() {
        [from, to] | [from, to, _] => (*from, *to),
        _ => return Ok(None),
    };
    let step = parts
        .get(2)
        .map_or(Some(1), |step| step.parse::<i64>().ok())
        .map(|step| step.unsigned_abs().max(1));
    let letter = |text: &str| {
        text.chars()
            .next()
            .filter(|c| c.is_ascii_alphabetic() && text.len() == 1)
    };
    let number = |text: &str| text.parse::<i64>().ok();
    let (Some(step), Some((from, to, letters))) = (
        step,
        match (letter(from), letter(to)) {
            (Some(from), Some(to)) => Some((from as i64, to as i64, true)),
            _ => number(from).zip(number(to)).map(|(from, to)| (from, to, false)),
        },
    ) else {
        return Ok(None);
    };
    let count = from.abs_diff(to) / step + 1;
    if count > MOST as u64 {
        return Err(Unreadable::new("its braces make too many words"));
    }
    let value = |nth: u64| {
        let distance = i64::try_from(nth * step).unwrap_or_default();
        if from <= to { from + distance } else { from - distance }
    };
    let spelled = |value: i64| match u32::try_from(value).ok().and_then(char::from_u32) {
        Some(c) if letters => c.to_string(),
        _ => value.to_string(),
    };
    Ok(Some(
        (0..count).map(|nth| vec![Atom::Quoted(spelled(value(nth)))]).collect(),
    ))
}
