//! Bounded text: agents may send anything of any length; what is kept of it has a limit.

/// At most `most` bytes of `text`, cut between characters and marked with `…`.
pub fn clip(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// `text` on one line without control characters, at most `most` bytes of it.
pub fn one_line(text: &str, most: usize) -> String {
    let head = clip(text, most.saturating_mul(4));
    let words: Vec<&str> = head
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    clip(&words.join(" "), most)
}

/// The last `most` bytes of `text`, cut between characters.
pub fn tail(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
