use super::{Access, Act, Client, ClientError, EventStream, RunQuery, Tale, Wanted, address::Address};
use crate::problem::Code;
use maestria_kernel::RunId;
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const RUN: &str = "run_01a1fdf81018753197932db2b453e741";

/// A server that answers its connections one after the other, each with a text of its own, and keeps what it was asked.
struct Script {
    server: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn of(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = asked.clone();
        tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = request(&mut socket).await;
                kept.lock().unwrap().push(request);
                // The client may have heard enough.
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        Self { server, asked }
    }

    fn client(&self) -> Client {
        client(&self.server).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A request with its body.
async fn request(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = socket.read(&mut part).await.unwrap();
        text.extend_from_slice(&part[..count]);
        let told = String::from_utf8_lossy(&text).into_owned();
        let length = told.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        let ends = told
            .split_once("\r\n\r\n")
            .is_some_and(|(_, body)| body.len() >= length);
        if ends || count == 0 {
            return told;
        }
    }
}

fn client(server: &str) -> Result<Client, ClientError> {
    Client::new(&Access {
        server: server.to_owned(),
        token: "t0ken".to_owned(),
        ..Access::default()
    })
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn ok(body: &str) -> String {
    answer("200 OK", "application/json", body)
}

/// A stream that breaks off after these messages.
fn stream(messages: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{messages}")
}

fn events(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().fold(String::new(), |mut text, number| {
        let event =
            format!("{{\"number\":{number},\"run\":\"{RUN}\",\"seq\":{number},\"at\":1,\"kind\":\"run.discarded\"}}");
        let _ = write!(text, "id: {number}\ndata: {event}\n\n");
        text
    })
}

fn ready(number: u64) -> String {
    format!("event: ready\ndata: {{\"number\":{number}}}\n\n")
}

async fn told(stream: &mut EventStream, tales: usize) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..tales {
        told.push(match stream.next().await.unwrap() {
            Tale::Event(event) => event.number.to_string(),
            Tale::UpToDate => "up to date".to_owned(),
            Tale::Lost(_) => "lost".to_owned(),
        });
    }
    told
}

#[test]
fn addresses_are_read_and_others_refused() {
    for (given, shown, near) in [
        ("http://127.0.0.1:8090", "http://127.0.0.1:8090", true),
        ("http://localhost:8090/", "http://localhost:8090", true),
        ("http://[::1]:8090", "http://[::1]:8090", true),
        ("https://build.example", "https://build.example", false),
        (
            "https://build.example/behind/a/proxy/",
            "https://build.example/behind/a/proxy",
            false,
        ),
        ("http://127.0.0.1.example:1", "http://127.0.0.1.example:1", false),
    ] {
        let address = Address::parse(given).unwrap();
        assert_eq!((address.to_string().as_str(), address.is_near()), (shown, near));
    }
    for given in [
        "",
        "127.0.0.1:8090",
        "ftp://x",
        "http://",
        "http://u:hunter2@x",
        "http://x/?a=b",
        "http://a b",
    ] {
        let error = Address::parse(given).unwrap_err();
        assert!(
            !error.to_string().contains("hunter2") && !error.hint().is_empty(),
            "{given}: {error}"
        );
    }
}

#[test]
fn plain_http_leaves_the_machine_only_when_it_may() {
    let there = |server: &str, allow_plain| {
        Client::new(&Access {
            server: server.to_owned(),
            token: "t".to_owned(),
            allow_plain,
            ..Access::default()
        })
    };
    assert!(matches!(
        there("http://192.0.2.1:8090", false),
        Err(ClientError::Plain { .. })
    ));
    assert!(there("http://192.0.2.1:8090", true).is_ok() && there("http://127.0.0.1:8090", false).is_ok());
}

#[test]
fn certificates_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    for text in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n",
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Client::new(&Access {
            server: "https://build.example".to_owned(),
            authority: Some(path.clone()),
            ..Access::default()
        });
        assert!(error.unwrap_err().to_string().contains("ca.pem"), "{text}");
    }
}

#[tokio::test]
async fn the_token_is_shown_to_the_server_and_to_nobody_else() {
    let elsewhere = Script::of(vec![ok("{}")]).await;
    let moved = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n",
        elsewhere.server
    );
    let server = Script::of(vec![moved]).await;
    let client = server.client();
    let error = client.meta().await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Foreign { why, .. } if why.contains("sends on")),
        "{error}"
    );
    assert!(server.asked()[0].contains("authorization: Bearer t0ken"));
    assert_eq!(elsewhere.asked(), Vec::<String>::new());
    assert!(!format!("{client:?}").contains("t0ken"));
}

#[tokio::test]
async fn problems_are_told_with_their_codes() {
    let problem = |code: &str| {
        let body = format!(
            "{{\"code\":\"{code}\",\"title\":\"T\",\"detail\":\"D\",\"hint\":\"H\",\"request_id\":\"r1\",\"status\":409}}"
        );
        answer("409 Conflict", "application/problem+json", &body)
    };
    let server = Script::of(vec![problem("wrong-state"), problem("of-tomorrow")]).await;
    let client = server.client();
    let run: RunId = RUN.parse().unwrap();
    let error = client.act(run, &Act::Pause).await.unwrap_err();
    assert_eq!((error.code(), error.hint().as_str()), (Some(Code::WrongState), "H"));
    let ClientError::Refused(refusal) = client.act(run, &Act::Pause).await.unwrap_err() else {
        panic!("it is a refusal");
    };
    assert_eq!((refusal.code, refusal.word.as_str()), (None, "of-tomorrow"));
    assert_eq!((refusal.request_id.as_str(), refusal.status), ("r1", 409));
    let keys: Vec<String> = server.asked().iter().map(|asked| key(asked)).collect();
    assert_ne!(keys[0], keys[1], "each action has a key of its own");
}

fn key(asked: &str) -> String {
    let line = asked.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
    line.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn nonsense_is_called_by_its_name() {
    let torn = ok("{\"version\"").replace("content-length: 10", "content-length: 99");
    for (text, expected) in [
        (ok("[]"), "cannot be read"),
        (ok("{\"items\":1}"), "cannot be read"),
        (answer("200 OK", "text/html", "<html>"), "`text/html`"),
        (answer("502 Bad Gateway", "text/html", "<h1>\x1b[31mno"), "status 502"),
        (answer("404 Not Found", "application/problem+json", "{}"), "status 404"),
        ("SSH-2.0-OpenSSH_9.9\r\n".to_owned(), "does not answer as"),
        (torn, "was lost"),
        (String::new(), "was lost"),
    ] {
        let error = Script::of(vec![text.clone()]).await.client().meta().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert!(!error.to_string().contains('\x1b') && !error.hint().is_empty());
    }
}

#[tokio::test]
async fn pages_are_followed_to_the_last_and_not_in_circles() {
    let page = |next: &str| ok(&format!("{{\"items\":[],\"next\":{next},\"counts\":{{}}}}"));
    let server = Script::of(vec![page("\"a b\""), page("\"c\""), page("null")]).await;
    assert_eq!(server.client().runs(&RunQuery::default()).await.unwrap(), []);
    let asked = server.asked();
    assert!(
        asked[1].contains("cursor=a%20b ") && asked[2].contains("cursor=c "),
        "{asked:?}"
    );
    let circle = Script::of(vec![page("\"a\""), page("\"a\"")]).await;
    assert!(circle.client().runs(&RunQuery::default()).await.is_err());
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_once_under_the_same_key() {
    let health = || {
        ok(
            "{\"status\":\"ok\",\"version\":\"1\",\"store\":\"ok\",\"uptime_seconds\":0,\"runs\":{\"at_work\":0,\"queued\":0}}",
        )
    };
    let run: RunId = RUN.parse().unwrap();
    let refused = answer(
        "409 Conflict",
        "application/problem+json",
        "{\"code\":\"wrong-state\",\"detail\":\"D\"}",
    );
    let there_again = Script::of(vec![String::new(), health(), refused]).await;
    let error = there_again.client().act(run, &Act::Apply).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::WrongState));
    let asked = there_again.asked();
    assert_eq!((key(&asked[0]), asked.len()), (key(&asked[2]), 3));
    let lost_again = Script::of(vec![String::new(), health(), String::new()]).await;
    let error = lost_again.client().act(run, &Act::Apply).await.unwrap_err();
    assert!(matches!(error, ClientError::Lost { .. }), "{error}");
    assert_eq!(lost_again.asked().len(), 3);
}

#[tokio::test]
async fn a_long_text_comes_in_pieces_and_is_not_whole_when_it_breaks_off() {
    let text = "{}\n".repeat(100_000);
    let whole = answer("200 OK", "application/jsonl; charset=utf-8", &text);
    let torn = whole[..whole.len() - 1].to_owned();
    let server = Script::of(vec![whole, torn, ok("{}")]).await;
    let mut pieces = server.client().export_audit().await.unwrap();
    let (mut read, mut count) = (String::new(), 0);
    while let Some(piece) = pieces.next().await.unwrap() {
        read.push_str(std::str::from_utf8(&piece).unwrap());
        count += 1;
    }
    assert!(read == text && count > 1, "{count}");
    let mut pieces = server.client().export_audit().await.unwrap();
    let broken = loop {
        match pieces.next().await {
            Ok(piece) => assert!(piece.is_some(), "it is not whole"),
            Err(error) => break error,
        }
    };
    assert!(matches!(broken, ClientError::Lost { .. }), "{broken}");
    let other = server.client().export_audit().await.unwrap_err();
    assert!(matches!(other, ClientError::Foreign { .. }), "{other}");
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_cut_without_loss_or_repeat() {
    let server = Script::of(vec![
        stream(&(events([3, 5]) + &ready(6) + ": beat\n\n" + "id: 7\ndata: {\"numb")),
        stream(&(events([5, 7]) + &ready(7) + "event: of-tomorrow\ndata: 1\n\n" + "event: mark\nid: 9\ndata: {}\n\n")),
        stream(&(events([10]) + &ready(10))),
    ])
    .await;
    let mut stream = server.client().follow(Wanted {
        after: 2,
        run: Some(RUN.parse().unwrap()),
        kinds: vec!["run.*".to_owned()],
    });
    let all = told(&mut stream, 8).await;
    assert_eq!(all, ["3", "5", "up to date", "lost", "7", "up to date", "lost", "10"]);
    let last: Vec<String> = server
        .asked()
        .iter()
        .map(|asked| {
            asked
                .lines()
                .find_map(|l| l.strip_prefix("last-event-id: "))
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(last, ["2", "6", "9"]);
    assert!(
        server.asked()[0].contains(&format!("run={RUN}&kinds=run.%2A ")),
        "{}",
        server.asked()[0]
    );
}

#[tokio::test]
async fn a_stream_that_cannot_begin_says_why() {
    let wanted = Wanted::default;
    let nobody = client("http://127.0.0.1:1").unwrap().follow(wanted()).next().await;
    assert!(matches!(nobody, Err(ClientError::Unreachable { .. })), "{nobody:?}");
    let page = Script::of(vec![answer("200 OK", "text/html", "<html>")]).await;
    assert!(matches!(
        page.client().follow(wanted()).next().await,
        Err(ClientError::Foreign { .. })
    ));
    let strange = Script::of(vec![stream("data: {\"kind\":\"no\"}\n\n")]).await;
    assert!(matches!(
        strange.client().follow(wanted()).next().await,
        Err(ClientError::Foreign { .. })
    ));
    let body = "{\"code\":\"unauthorised\",\"detail\":\"D\"}";
    let closed = Script::of(vec![
        stream(&ready(0)),
        answer("401 Unauthorized", "application/problem+json", body),
    ])
    .await;
    let mut stream = closed.client().follow(wanted());
    assert_eq!(told(&mut stream, 2).await, ["up to date", "lost"]);
    assert_eq!(stream.next().await.unwrap_err().code(), Some(Code::Unauthorised));
}
