use super::Record;

/// Known to the whole process, so of no other test.
const KEY: &str = "record-key-5f2c\"9a\\17+é";

/// However the pipe cuts what a worker writes, the copy on the disk is without the key, and otherwise whole.
#[test]
fn a_copy_is_without_secrets_wherever_the_pipe_cuts() {
    assert!(maestria_secrets::know("record", KEY));
    let once = serde_json::Value::from(KEY).to_string();
    let twice = serde_json::Value::from(once.as_str()).to_string();
    let text = format!("[{once},{twice}]\nplain {KEY}, ghp_0123456789abcdefghij0123456789abcdef\nlast");
    let wanted =
        "[\"[secret:record]\",\"\\\"[secret:record]\\\"\"]\nplain [secret:record], [secret:github-token]\nlast";
    let folder = tempfile::tempdir().unwrap();
    for size in (1..text.len()).chain([text.len()]) {
        let place = folder.path().join(size.to_string());
        let mut record = Record::open(Some(&place));
        for piece in text.as_bytes().chunks(size) {
            record.stdout(piece);
            record.stderr(piece);
        }
        record.finish();
        for name in ["stream.jsonl", "stderr.txt"] {
            let kept = std::fs::read_to_string(place.join(name)).unwrap();
            assert_eq!(kept, wanted, "in pieces of {size}");
        }
    }
}
