//! Requests taken apart, and answers.

use super::{Texts, apart, shares, texts};
use serde_json::{Value, json, value::to_raw_value};

fn parts(sizes: &[(usize, usize)]) -> Vec<Texts> {
    let part = |(texts, bytes): &(usize, usize)| Texts {
        list: vec![to_raw_value("").unwrap(); *texts],
        bytes: *bytes,
    };
    sizes.iter().map(part).collect()
}

fn listed(input: &Value) -> Option<Vec<String>> {
    let texts = texts(&to_raw_value(input).unwrap())?;
    Some(texts.iter().map(|text| text.get().to_owned()).collect())
}

#[test]
fn an_input_is_one_text_or_a_list_as_words_or_as_tokens() {
    assert_eq!(listed(&json!("a [b]")).unwrap(), ["\"a [b]\""]);
    assert_eq!(listed(&json!(["a", "b"])).unwrap(), ["\"a\"", "\"b\""]);
    assert_eq!(listed(&json!([1, 2])).unwrap(), ["[1,2]"]);
    assert_eq!(listed(&json!([[1, 2], [3]])).unwrap(), ["[1,2]", "[3]"]);
    assert_eq!(listed(&json!([])).unwrap(), Vec::<String>::new());
    for bad in [
        json!(7),
        json!(null),
        json!({}),
        json!([null]),
        json!(["a", 7]),
        json!([1, "a"]),
    ] {
        assert_eq!(listed(&bad), None, "{bad}");
    }
}

#[test]
fn each_gets_its_own_vectors_as_they_were_written() {
    let whole = br#"{"object":"list","x":1.50,"model":"m","data":[
        {"index":2,"object":"embedding","embedding":"QUJD"},
        {"index":0,"object":"embedding","embedding":[0.10,-0]},
        {"index":1,"object":"embedding","embedding":[1e-9]}],"usage":{"prompt_tokens":10,"total_tokens":10}}"#;
    let parts = parts(&[(1, 30), (2, 60)]);
    let documents = apart(whole, &parts, &shares(10, &parts)).unwrap();
    let told: Vec<String> = documents
        .iter()
        .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
        .collect();
    assert_eq!(
        told,
        [
            r#"{"data":[{"embedding":[0.10,-0],"index":0,"object":"embedding"}],"model":"m","object":"list","usage":{"prompt_tokens":3,"total_tokens":3},"x":1.50}"#,
            r#"{"data":[{"embedding":[1e-9],"index":0,"object":"embedding"},{"embedding":"QUJD","index":1,"object":"embedding"}],"model":"m","object":"list","usage":{"prompt_tokens":7,"total_tokens":7},"x":1.50}"#,
        ]
    );
}

#[test]
fn an_answer_that_leaves_something_out_is_none() {
    for data in [
        json!([]),
        json!([{"index": 0}]),
        json!([{"index": 0}, {"index": 0}]),
        json!([{"index": 0}, {"index": 2}]),
        json!([{"index": 0}, {"index": 1}, {"index": 2}]),
        json!([{"index": -1}, {"index": 0}]),
        json!([{"index": 0}, {}]),
        json!({}),
    ] {
        let whole = json!({"data": data}).to_string();
        assert!(
            apart(whole.as_bytes(), &parts(&[(1, 1), (1, 1)]), &[0, 0]).is_none(),
            "{whole}"
        );
    }
    assert!(apart(b"{}", &parts(&[(1, 1)]), &[0]).is_none());
    assert!(apart(b"[", &parts(&[(1, 1)]), &[0]).is_none());
}

#[test]
fn shares_add_up_to_the_whole() {
    assert_eq!(shares(10, &parts(&[(1, 1), (1, 1), (1, 1)])), [3, 3, 4]);
    assert_eq!(shares(0, &parts(&[(1, 5), (1, 1)])), [0, 0]);
    assert_eq!(
        shares(u64::MAX, &parts(&[(1, 1), (1, 3)])).iter().sum::<u64>(),
        u64::MAX
    );
}
