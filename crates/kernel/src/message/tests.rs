use super::{BadMessage, LONGEST_MESSAGE, Message};

fn said(text: &str, file: Option<&str>, line: Option<u32>) -> Message {
    Message {
        by: "ada".to_owned(),
        text: text.to_owned(),
        file: file.map(str::to_owned),
        line,
    }
}

#[test]
fn a_message_says_who_and_where() {
    let told = |file, line| said("use a map", file, line).to_string();
    assert_eq!(told(None, None), "A person (ada) says: use a map");
    assert_eq!(
        told(Some("src/a.rs"), None),
        "A person (ada) says of src/a.rs: use a map"
    );
    assert_eq!(
        told(Some("src/a.rs"), Some(7)),
        "A person (ada) says of src/a.rs, line 7: use a map"
    );
}

#[test]
fn what_is_no_message_is_refused() {
    let refused = |text: &str, file, line| said(text, file, line).check().unwrap_err();
    assert_eq!(refused(" \n", None, None), BadMessage::Empty);
    assert_eq!(refused("a\0b", None, None), BadMessage::Nul);
    let long = "x".repeat(LONGEST_MESSAGE + 1);
    assert_eq!(refused(&long, None, None), BadMessage::TooLong(long.len()));
    for file in ["", "/etc/passwd", "../x", "a/../b", "a\nb"] {
        assert_eq!(refused("x", Some(file), None), BadMessage::File(file.to_owned()));
    }
    assert_eq!(refused("x", None, Some(3)), BadMessage::Line(3));
    assert_eq!(refused("x", Some("a"), Some(0)), BadMessage::Line(0));
    assert_eq!(
        said(&"x".repeat(LONGEST_MESSAGE), Some("a b/…c"), Some(1)).check(),
        Ok(())
    );
}
