use super::{LONGEST, Message, Messages, TooLong};

fn read(text: &[u8], piece: usize) -> Vec<Message> {
    let (mut messages, mut read) = (Messages::default(), Vec::new());
    for piece in text.chunks(piece) {
        messages.feed(piece, |message| read.push(message)).unwrap();
    }
    read
}

#[test]
fn messages_are_the_same_wherever_they_are_cut() {
    let text = ": beat\n\nid: 7\ndata: {\"a\":\r\ndata:\"ä\"}\r\n\r\nevent: ready\ndata\n\nretry: 3\n\nid: x\ndata: y\n\ndata: open";
    let whole = read(text.as_bytes(), usize::MAX);
    let told: Vec<(&str, Option<u64>, &str)> = whole.iter().map(|m| (m.kind.as_str(), m.id, m.data.as_str())).collect();
    assert_eq!(
        told,
        [("", Some(7), "{\"a\":\n\"ä\"}"), ("ready", None, ""), ("", None, "y")]
    );
    for piece in 1..text.len() {
        assert_eq!(read(text.as_bytes(), piece), whole, "{piece}");
    }
}

#[test]
fn one_that_does_not_end_is_not_taken() {
    let mut messages = Messages::default();
    let long = vec![b'x'; LONGEST + 1];
    assert_eq!(messages.feed(&long, |_| {}), Err(TooLong));
}
