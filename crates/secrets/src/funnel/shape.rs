//! The shapes of keys whose value nobody has told us, as their issuers publish them. A table; the first that fits names the key.

use aho_corasick::AhoCorasick;
use std::{ops::Range, sync::LazyLock};

/// The longest that a shape may grow before it is cut off, in bytes.
const LONGEST: usize = 64 << 10;

/// One shape.
struct Shape {
    name: &'static str,
    /// It begins with this.
    begins: &'static str,
    body: Body,
}

/// What comes behind the beginning.
enum Body {
    /// At least so many of these bytes, and what fits into the test.
    Run(fn(u8) -> bool, usize, fn(&[u8]) -> bool),
    /// The same, but the beginning stays.
    After(fn(u8) -> bool, usize, fn(&[u8]) -> bool),
    /// Everything up to this.
    UpTo(&'static str),
    /// `user:password@`, of which the password goes.
    Login,
}

use Body::{After, Login, Run, UpTo};

const fn shape(name: &'static str, begins: &'static str, body: Body) -> Shape {
    Shape { name, begins, body }
}

const SHAPES: &[Shape] = &[
    shape("model-key", "sk-", Run(is_word_or_dash, 20, is_random)),
    shape("model-key", "gsk_", Run(is_alphanumeric, 40, is_random)),
    shape("model-key", "xai-", Run(is_alphanumeric, 40, is_random)),
    shape("google-key", "AIza", Run(is_word_or_dash, 35, is_random)),
    shape("hugging-face-token", "hf_", Run(is_alphanumeric, 30, is_random)),
    shape("github-token", "ghp_", Run(is_alphanumeric, 30, is_random)),
    shape("github-token", "gho_", Run(is_alphanumeric, 30, is_random)),
    shape("github-token", "ghu_", Run(is_alphanumeric, 30, is_random)),
    shape("github-token", "ghs_", Run(is_alphanumeric, 30, is_random)),
    shape("github-token", "ghr_", Run(is_alphanumeric, 30, is_random)),
    shape("github-token", "github_pat_", Run(is_word, 36, is_random)),
    shape("gitlab-token", "glpat-", Run(is_word_or_dash, 20, is_random)),
    shape("aws-key", "AKIA", Run(is_alphanumeric, 16, is_aws)),
    shape("aws-key", "ASIA", Run(is_alphanumeric, 16, is_aws)),
    shape("slack-token", "xoxa-", Run(is_word_or_dash, 16, has_digit)),
    shape("slack-token", "xoxb-", Run(is_word_or_dash, 16, has_digit)),
    shape("slack-token", "xoxp-", Run(is_word_or_dash, 16, has_digit)),
    shape("slack-token", "xoxr-", Run(is_word_or_dash, 16, has_digit)),
    shape("slack-token", "xoxs-", Run(is_word_or_dash, 16, has_digit)),
    shape("slack-token", "xapp-", Run(is_word_or_dash, 16, has_digit)),
    shape("npm-token", "npm_", Run(is_alphanumeric, 36, is_random)),
    shape("pypi-token", "pypi-", Run(is_word_or_dash, 50, is_random)),
    shape("stripe-key", "sk_live_", Run(is_alphanumeric, 20, is_random)),
    shape("stripe-key", "rk_live_", Run(is_alphanumeric, 20, is_random)),
    shape("maestria-key", "mk_", Run(is_alphanumeric, 48, is_random)),
    shape("json-web-token", "eyJ", Run(is_token, 40, is_json_web_token)),
    shape(
        "private-key",
        "-----BEGIN PRIVATE KEY-----",
        UpTo("-----END PRIVATE KEY-----"),
    ),
    shape(
        "private-key",
        "-----BEGIN RSA PRIVATE KEY-----",
        UpTo("-----END RSA PRIVATE KEY-----"),
    ),
    shape(
        "private-key",
        "-----BEGIN EC PRIVATE KEY-----",
        UpTo("-----END EC PRIVATE KEY-----"),
    ),
    shape(
        "private-key",
        "-----BEGIN DSA PRIVATE KEY-----",
        UpTo("-----END DSA PRIVATE KEY-----"),
    ),
    shape(
        "private-key",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        UpTo("-----END OPENSSH PRIVATE KEY-----"),
    ),
    shape(
        "private-key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        UpTo("-----END ENCRYPTED PRIVATE KEY-----"),
    ),
    shape(
        "private-key",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----",
        UpTo("-----END PGP PRIVATE KEY BLOCK-----"),
    ),
    shape("bearer-token", "Bearer ", After(is_token, 20, has_digit)),
    shape("bearer-token", "bearer ", After(is_token, 20, has_digit)),
    shape("password", "://", Login),
];

static BEGINNINGS: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::new(SHAPES.iter().map(|shape| shape.begins)).ok());

/// Tells where shapes stand. Returns where one begins that is not all there yet; the end of the text when `ended`.
pub(super) fn find(text: &[u8], ended: bool, mut tell: impl FnMut(Range<usize>, &'static str)) -> usize {
    let Some(beginnings) = &*BEGINNINGS else {
        return text.len();
    };
    let mut open = text.len();
    for found in beginnings.find_overlapping_iter(text) {
        let shape = &SHAPES[found.pattern().as_usize()];
        if !shape.may_begin(text, found.start()) {
            continue;
        }
        match shape.reach(text, found.range(), ended) {
            Reach::No => {}
            Reach::Range(range) => tell(range, shape.name),
            Reach::Open => open = open.min(found.start()),
        }
    }
    if ended { text.len() } else { open.min(begun(text)) }
}

/// Where the beginning of a beginning stands at the end of the text.
fn begun(text: &[u8]) -> usize {
    let longest = SHAPES.iter().map(|shape| shape.begins.len()).max().unwrap_or(0);
    let first = text.len().saturating_sub(longest.saturating_sub(1));
    let begins = |at: &usize| SHAPES.iter().any(|s| s.begins.as_bytes().starts_with(&text[*at..]));
    (first..text.len()).find(begins).unwrap_or(text.len())
}

enum Reach {
    No,
    Range(Range<usize>),
    Open,
}

impl Shape {
    /// Keys do not begin within words: base64 is full of beginnings.
    fn may_begin(&self, text: &[u8], at: usize) -> bool {
        let alone = matches!(self.body, Run(..));
        !alone || at == 0 || !is_word_or_dash(text[at - 1])
    }

    fn reach(&self, text: &[u8], begin: Range<usize>, ended: bool) -> Reach {
        let rest = &text[begin.end..];
        let undecided = |length: usize| !ended && length == rest.len() && length < LONGEST;
        match &self.body {
            Run(allowed, least, fits) | After(allowed, least, fits) => {
                let length = rest.iter().take_while(|byte| allowed(**byte)).count();
                if undecided(length) {
                    return Reach::Open;
                }
                // A sentence may end behind a token.
                let body = &rest[..length];
                let body = body.strip_suffix(b".").unwrap_or(body);
                if body.len() < *least || !fits(body) {
                    return Reach::No;
                }
                let from = if matches!(self.body, After(..)) {
                    begin.end
                } else {
                    begin.start
                };
                Reach::Range(from..begin.end + body.len())
            }
            UpTo(end) => match memchr::memmem::find(&rest[..rest.len().min(LONGEST)], end.as_bytes()) {
                Some(at) => Reach::Range(begin.start..begin.end + at + end.len()),
                None if undecided(rest.len()) => Reach::Open,
                // Torn off: what looks like the inside of a key goes.
                None => Reach::Range(begin.start..begin.end + rest.iter().take_while(|b| is_armour(**b)).count()),
            },
            Login => {
                let length = rest.iter().take_while(|byte| is_login(**byte)).count().min(MOST_LOGIN);
                match (rest.get(length), memchr::memchr(b':', &rest[..length])) {
                    (None, _) if undecided(length) && length < MOST_LOGIN => Reach::Open,
                    (Some(b'@'), Some(colon)) if colon + 1 < length => {
                        Reach::Range(begin.end + colon + 1..begin.end + length)
                    }
                    _ => Reach::No,
                }
            }
        }
    }
}

/// The longest name and password in an address, in bytes.
const MOST_LOGIN: usize = 512;

const fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn is_word_or_dash(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

const fn is_token(byte: u8) -> bool {
    is_word_or_dash(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

const fn is_login(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'/' | b'@' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'[' | b']'
        )
}

const fn is_armour(byte: u8) -> bool {
    is_token(byte) || byte.is_ascii_whitespace() || matches!(byte, b':' | b',')
}

fn has_digit(body: &[u8]) -> bool {
    body.iter().any(u8::is_ascii_digit)
}

/// Names made of words (`sk-fading-circle-of-dots`) have no long stretch with letters and digits.
fn is_random(body: &[u8]) -> bool {
    let stretch = |part: &[u8]| part.len() >= 12 && has_digit(part) && part.iter().any(u8::is_ascii_alphabetic);
    body.split(|byte| matches!(byte, b'-' | b'_')).any(stretch)
}

fn is_aws(body: &[u8]) -> bool {
    body.len() == 16 && body.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

fn is_json_web_token(body: &[u8]) -> bool {
    let mut parts = body.split(|byte| *byte == b'.');
    let long = |part: Option<&[u8]>| part.is_some_and(|part| part.len() >= 8);
    long(parts.next()) && parts.next().is_some_and(|part| part.starts_with(b"eyJ")) && long(parts.next())
}
