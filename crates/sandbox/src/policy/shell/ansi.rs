//! `$'…'`: characters spelled by number.

/// What the text between the quotes means; `None` when it spells something that is no text.
pub(super) fn quoted(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(&mut bytes, c);
            continue;
        }
        match chars.next()? {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'e' | 'E' => bytes.push(27),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            'x' if chars.next_if_eq(&'{').is_some() => {
                let code = number(&mut chars, 16, usize::MAX)?;
                bytes.push(u8::try_from(code & 0xff).ok()?);
                chars.next_if_eq(&'}');
            }
            'x' => bytes.push(u8::try_from(number(&mut chars, 16, 2)?).ok()?),
            'u' => push(&mut bytes, char::from_u32(number(&mut chars, 16, 4)?)?),
            'U' => push(&mut bytes, char::from_u32(number(&mut chars, 16, 8)?)?),
            'c' => bytes.push(u8::try_from(chars.next()?).ok()? & 0x1f),
            digit @ '0'..='7' => {
                let first = digit.to_digit(8)?;
                let rest: Vec<u32> = std::iter::from_fn(|| chars.next_if(|c| c.is_digit(8))?.to_digit(8))
                    .take(2)
                    .collect();
                bytes.push(u8::try_from(rest.iter().fold(first, |sum, digit| sum * 8 + digit) & 0xff).ok()?);
            }
            same @ ('\\' | '\'' | '"' | '?') => push(&mut bytes, same),
            other => {
                bytes.push(b'\\');
                push(&mut bytes, other);
            }
        }
    }
    // A NUL ends the text, as it does in bash.
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    String::from_utf8(bytes).ok()
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, radix: u32, most: usize) -> Option<u32> {
    let digits: Vec<u32> = std::iter::from_fn(|| chars.next_if(|c| c.is_digit(radix))?.to_digit(radix))
        .take(most)
        .collect();
    (!digits.is_empty()).then(|| {
        digits
            .iter()
            .fold(0_u32, |sum, digit| sum.wrapping_mul(radix).wrapping_add(*digit))
    })
}
