//! Reads text with the grammar, kept from what it would take exponential time for: it tries some things twice, and within each
//! of them again.

use super::{Fuel, Unreadable};
use brush_parser::{ParserOptions, Token, ast};

/// More tokens than are read, each counted again for every branch of a `case` that it stands in: where something in it is wrong,
/// the grammar reads the branch twice.
const MOST: usize = 80_000;
/// More brackets than a `for ((…))` may have around a `;`.
const MOST_IN_HEADER: usize = 2;

/// The tree of a text.
pub(super) fn program(text: &str, fuel: &Fuel) -> Result<ast::Program, Unreadable> {
    fuel.burn(text.len())?;
    let options = ParserOptions::default();
    let tokens = brush_parser::uncached_tokenize_str(text, &options.tokenizer_options())
        .map_err(|error| Unreadable::new(crate::policy::shown(&error.to_string())))?;
    let tokens = disentangled(tokens)?;
    brush_parser::parse_tokens(&tokens, &options)
        .map_err(|error| Unreadable::new(crate::policy::shown(&error.to_string())))
}

/// The same tokens, so that the grammar need not try in vain.
fn disentangled(tokens: Vec<Token>) -> Result<Vec<Token>, Unreadable> {
    let brackets = Brackets::of(&tokens)?;
    let has_cases = weigh(&tokens)?;
    if !brackets.any && !has_cases {
        return Ok(tokens);
    }
    let mut told = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        if is_operator(token, "(") && brackets.only_look_like_arithmetic(&tokens, at)? {
            told.push(token.clone());
            told.push(Token::Operator("\n".to_owned(), token.location().clone()));
            continue;
        }
        if has_cases && is_word(token, "esac") && ends_open_branch(&tokens[..at]) {
            told.push(Token::Operator(";;".to_owned(), token.location().clone()));
        }
        told.push(token.clone());
    }
    Ok(told)
}

/// Which bracket closes which, and where a `;` stands.
struct Brackets {
    /// By the place of the opening one.
    closed_at: Vec<usize>,
    /// How many `;` stand before a token.
    stops: Vec<usize>,
    any: bool,
}

impl Brackets {
    fn of(tokens: &[Token]) -> Result<Self, Unreadable> {
        let mut brackets = Self {
            closed_at: vec![0; tokens.len()],
            stops: Vec::with_capacity(tokens.len()),
            any: false,
        };
        let (mut open, mut stops) = (Vec::new(), 0);
        for (at, token) in tokens.iter().enumerate() {
            brackets.stops.push(stops);
            match token {
                Token::Operator(operator, _) if operator == "(" => open.push(at),
                // One that closes nothing ends a pattern of `case`.
                Token::Operator(operator, _) if operator == ")" => {
                    if let Some(opened) = open.pop() {
                        brackets.closed_at[opened] = at;
                        brackets.any = true;
                    }
                }
                Token::Operator(operator, _) if operator == ";" => stops += 1,
                _ => {}
            }
        }
        if !open.is_empty() {
            return Err(Unreadable::new("a bracket is never closed"));
        }
        Ok(brackets)
    }

    fn hold_a_stop(&self, opened: usize) -> bool {
        self.stops[self.closed_at[opened]] > self.stops[opened]
    }

    /// Whether two brackets stand there that are no arithmetic, as a `;` is in them. The grammar would look for arithmetic all
    /// the same, in every bracket twice. After a line's end it knows better, and a shell reads the same.
    fn only_look_like_arithmetic(&self, tokens: &[Token], at: usize) -> Result<bool, Unreadable> {
        let two = tokens.get(at + 1).is_some_and(|next| is_operator(next, "("));
        if !two || !self.hold_a_stop(at + 1) {
            return Ok(false);
        }
        let is_header = at.checked_sub(1).is_some_and(|before| is_word(&tokens[before], "for"));
        if !is_header {
            return Ok(true);
        }
        let inner = (at + 2..self.closed_at[at]).filter(|at| is_operator(&tokens[*at], "("));
        if inner.filter(|at| self.hold_a_stop(*at)).count() > MOST_IN_HEADER {
            return Err(Unreadable::new("the head of a loop is too involved to be read"));
        }
        Ok(false)
    }
}

/// Refuses text that the grammar may have to read too often, and tells whether a `case` is in it.
fn weigh(tokens: &[Token]) -> Result<bool, Unreadable> {
    let (mut depth, mut weight, mut has_cases) = (0_u32, 0_usize, false);
    for (at, token) in tokens.iter().enumerate() {
        weight = weight.saturating_add(1_usize.checked_shl(depth).unwrap_or(usize::MAX));
        if is_word(token, "case") && begins_case(&tokens[at..]) {
            depth += 1;
            has_cases = true;
        } else if is_word(token, "esac") && ends_case(tokens, at) {
            depth = depth.saturating_sub(1);
        }
        if weight > MOST {
            return Err(Unreadable::new(
                "it has too many parts, or too many branches in branches",
            ));
        }
    }
    Ok(has_cases)
}

/// `case WORD in`
fn begins_case(tokens: &[Token]) -> bool {
    let mut after = tokens.iter().skip(2).skip_while(|token| is_operator(token, "\n"));
    after.next().is_some_and(|token| is_word(token, "in"))
}

/// Whether an `esac` stands where a command would, and is no pattern of the next branch.
fn ends_case(tokens: &[Token], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| &tokens[before]);
    let pattern = tokens
        .get(at + 1)
        .is_some_and(|next| is_operator(next, "|") || is_operator(next, ")"));
    !pattern && matches!(before, Some(Token::Operator(operator, _)) if operator != "(")
}

/// Whether the branch before an `esac` lacks the `;;` at its end. The grammar would read it twice to find out.
fn ends_open_branch(before: &[Token]) -> bool {
    let separated = before.last().is_some_and(|last| match last {
        Token::Operator(operator, _) => matches!(operator.as_str(), ";" | "\n" | "&" | ")"),
        Token::Word(word, _) => matches!(word.as_str(), "esac" | "fi" | "done" | "}" | "]]"),
    });
    let last = before.iter().rev().find(|token| !is_operator(token, "\n"));
    let ended = last.is_none_or(|last| match last {
        Token::Operator(operator, _) => matches!(operator.as_str(), ";;" | ";&" | ";;&"),
        Token::Word(word, _) => word == "in",
    });
    separated && !ended
}

fn is_operator(token: &Token, operator: &str) -> bool {
    matches!(token, Token::Operator(text, _) if text == operator)
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(text, _) if text == word)
}

#[cfg(test)]
mod tests;
