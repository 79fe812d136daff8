use super::*;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use std::sync::Arc;

/// A value with everything that encoders change.
const AWKWARD: &str = "p4$s \"w\\ord\"/née+~\n%41\ttail";

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}

fn json(text: &str) -> String {
    Value::from(text).to_string().trim_matches('"').to_owned()
}

fn ascii_json(text: &str) -> String {
    let escape = |c: char| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        units.map(|unit| format!("\\u{unit:04x}")).collect::<String>()
    };
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_string()
            } else {
                escape(c)
            }
        })
        .collect()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn wrapped(text: &str, width: usize) -> String {
    let lines = text
        .as_bytes()
        .chunks(width)
        .map(|line| String::from_utf8_lossy(line).into_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// All ways in which a value may stand in a text.
fn spellings(value: &str) -> Vec<String> {
    let base64 = |before: &str| STANDARD.encode(format!("{before}{value} and more"));
    vec![
        value.to_owned(),
        json(value),
        json(&json(value)),
        ascii_json(value),
        percent(value),
        percent(value)
            .replace("%22", "\"")
            .replace("%2B", "%2b")
            .replace("%2F", "%2f"),
        hex(value),
        hex(value).to_uppercase(),
        base64(""),
        base64("x"),
        base64("xy"),
        wrapped(&base64("one line"), 11),
        json(&wrapped(&base64("one line"), 11)),
        percent(&base64("url")),
        base64("x").replace('+', "-").replace('/', "_"),
    ]
}

/// Whether a text still tells a value, read by an eye of its own.
fn tells(text: &str, value: &str) -> bool {
    let joined = text.replace("\\n", "").replace('\n', "");
    let core = |before: usize| {
        let encoded = STANDARD.encode([vec![b'x'; before], value.as_bytes().to_vec()].concat());
        let end = (before + value.len()) * 8 / 6;
        encoded[(before * 8).div_ceil(6)..end].to_owned()
    };
    let bare = spellings(value)[..8]
        .iter()
        .any(|spelling| text.contains(spelling.as_str()));
    bare || (0..3).any(|before| {
        let core = core(before);
        joined.contains(&core) || joined.contains(&core.replace('+', "-").replace('/', "_"))
    })
}

fn streamed(funnel: &Arc<Funnel>, text: &str, pieces: &[usize]) -> String {
    let mut stream = Stream::new(funnel.clone());
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    for piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*piece).clamp(1, rest.len()));
        out.extend(stream.push(now));
        rest = later;
    }
    out.extend(stream.finish());
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn no_spelling_of_a_value_gets_through() {
    for value in [
        "a-plain-provider-key-1234567",
        AWKWARD,
        "12345678",
        "back\\slash\\n-and-end\\",
    ] {
        let funnel = Funnel::of([("mine", value)]);
        for spelling in spellings(value) {
            let text = format!("before={spelling} after");
            let cleaned = funnel.clean(&text);
            assert!(cleaned.contains("[secret:mine]"), "{text:?} became {cleaned:?}");
            assert!(!tells(&cleaned, value), "{text:?} became {cleaned:?}");
            assert!(cleaned.starts_with("before="), "{cleaned:?}");
            assert!(cleaned.ends_with(" after"), "{cleaned:?}");
        }
    }
}

#[test]
fn what_is_cleaned_stays_as_it_is() {
    let funnel = Funnel::of([("mine", "a-plain-provider-key-1234567")]);
    let text = "a-plain-provider-key-1234567 Bearer abcdef0123456789abcdef https://u:secretpassword1@host/";
    let once = funnel.clean(text).into_owned();
    assert_eq!(funnel.clean(&once), once);
    assert_eq!(
        once,
        "[secret:mine] Bearer [secret:bearer-token] https://u:[secret:password]@host/"
    );
}

#[test]
fn json_stays_json() {
    let funnel = Funnel::of([("mine", AWKWARD)]);
    let value = serde_json::json!({"a": [format!("x{AWKWARD}y")], AWKWARD: 1, "b": json(AWKWARD)});
    let line = value.to_string();
    let cleaned: Value = serde_json::from_str(&funnel.clean(&line)).expect("still JSON");
    let wanted = serde_json::json!({"a": ["x[secret:mine]y"], "[secret:mine]": 1, "b": "[secret:mine]"});
    assert_eq!(cleaned, wanted);
    assert_eq!(funnel.clean_value(value), Some(wanted));
}

#[test]
fn values_within_values_go_as_well() {
    let funnel = Funnel::of([
        ("short", "abcdefgh-1"),
        ("long", "abcdefgh-1-and-more"),
        ("tail", "more-of-it"),
    ]);
    assert_eq!(funnel.clean("x abcdefgh-1-and-more-of-it y"), "x [secret:long] y");
}

#[test]
fn shapes_are_found_alone_and_not_within_words() {
    let funnel = Funnel::default();
    let random = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3hJ6lM9oR2tU5xA8";
    let keys = [
        format!("sk-{}", &random[..32]),
        format!("sk-ant-api03-{random}"),
        format!("ghp_{}", &random[..36]),
        format!("AIza{}", &random[..35]),
        format!("xoxb-1234567890-{}", &random[..20]),
        "AKIAABCDEFGHIJKLMNO2".to_owned(),
        format!("mk_{}", hex(&random[..24])),
        format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{}", &random[..32]),
        format!("-----BEGIN RSA PRIVATE KEY-----\n{random}\n{random}==\n-----END RSA PRIVATE KEY-----"),
    ];
    for key in &keys {
        for text in [
            format!("k={key}."),
            json(&format!("\n{key}\"")),
            format!("?k%3D{key}&x"),
            format!("C:\\{key} "),
        ] {
            let cleaned = funnel.clean(&text);
            assert!(!cleaned.contains(&key[8..key.len() - 4]), "{text} became {cleaned}");
            assert!(cleaned.contains("[secret:"), "{text} became {cleaned}");
        }
    }
    for harmless in [
        "sk-fading-circle-of-twelve-little-dots",
        "task-aB3dE6gH9jK2mN5pQ8sT1vW4",
        "disk-0123456789abcdef0123456789abcdef",
        "019ab3f2-77aa-7c31-8f3e-001122334455",
        "AKIA is what they begin with, xoxb- as well",
        "http://127.0.0.1:8090/api?x=1@2",
        "eyJ is how base64 of JSON begins",
        "commit 2f1c9e0d5b7a4c6e8f0a1b2c3d4e5f6071829304",
        "the bearer of this letter",
    ] {
        assert_eq!(funnel.clean(harmless), harmless);
    }
}

#[test]
fn a_torn_private_key_goes_too() {
    let text = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC";
    assert_eq!(Funnel::default().clean(text), "[secret:private-key]");
}

#[test]
fn what_cannot_be_a_secret_any_more_goes_on_at_once() {
    let mut stream = Stream::new(Arc::new(Funnel::of([("mine", "value-of-mine-12345")])));
    assert_eq!(stream.push(b"{\"type\":\"text\"}\n"), b"{\"type\":\"text\"}\n");
    assert_eq!(stream.push(b"this is value-of-"), b"this is ");
    assert_eq!(stream.push(b"nobody, "), b"value-of-nobody, ");
    assert_eq!(stream.push(b"value-of-mine-12345"), b"");
    assert_eq!(stream.push(b" "), b"[secret:mine] ");
    assert_eq!(stream.finish(), b"");
}

#[test]
fn a_stream_that_never_decides_is_let_go_in_time() {
    let mut stream = Stream::new(Arc::new(Funnel::default()));
    let mut out = stream.push(b"-----BEGIN PRIVATE KEY-----\n");
    for _ in 0..40 {
        out.extend(stream.push(&[b'A'; 8 << 10]));
    }
    assert!(!out.is_empty(), "all 320 KiB wait");
    out.extend(stream.finish());
    assert!(out.starts_with(b"[secret:private-key]"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Wherever a text is cut into pieces, the pieces are as clean as the whole.
    #[test]
    fn pieces_are_as_clean_as_the_whole(
        value in "[ -~]{8,40}",
        which in 0..15_usize,
        before in "[a-z\\\\\"% \n]{0,12}",
        pieces in prop::collection::vec(1..24_usize, 1..8),
    ) {
        prop_assume!(value.trim() == value && !"secret:mine]".contains(value.as_str()));
        let funnel = Arc::new(Funnel::of([("mine", value.as_str())]));
        let spelling = spellings(&value).swap_remove(which);
        let text = format!("{before} {spelling} after\n{before}{spelling}");
        let whole = funnel.clean(&text).into_owned();
        let out = streamed(&funnel, &text, &pieces);
        prop_assert_eq!(&out, &whole, "text {:?}", text);
    }

    /// Any bytes are taken, and cleaning twice is cleaning once.
    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let funnel = Funnel::of([("mine", "value-of-mine-12345")]);
        let once = funnel.clean_bytes(&bytes).into_owned();
        prop_assert_eq!(funnel.clean_bytes(&once).into_owned(), once);
    }
}
