//! A model server that costs next to nothing: it reads a request by its length and writes a prepared answer.

use maestria_benches::find;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Events of a streamed answer.
pub(crate) const EVENTS: usize = 100;

/// The prepared answers.
#[derive(Debug)]
struct Answers {
    whole: Vec<u8>,
    stream: Vec<u8>,
}

/// Serves for ever on a free port, which it returns.
pub(crate) async fn start() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let answers = Arc::new(Answers {
        whole: whole(),
        stream: stream(),
    });
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, answers.clone()));
        }
    });
    Ok(port)
}

/// One kilobyte of OpenAI chat completion.
fn whole() -> Vec<u8> {
    let text = "word ".repeat(120);
    let body = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":250,"completion_tokens":120,"total_tokens":370}}}}"#
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

fn stream() -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let mut chunk = |text: &str| out.extend_from_slice(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes());
    let head = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m""#;
    for _ in 0..EVENTS {
        chunk(&format!(
            "data: {head},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"word \"}},\"finish_reason\":null}}]}}\n\n"
        ));
    }
    chunk(&format!(
        "data: {head},\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"
    ));
    chunk(&format!(
        "data: {head},\"choices\":[],\"usage\":{{\"prompt_tokens\":250,\"completion_tokens\":100}}}}\n\n"
    ));
    chunk("data: [DONE]\n\n");
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

async fn serve(mut socket: TcpStream, answers: Arc<Answers>) {
    let _ = socket.set_nodelay(true);
    let mut buffer = Vec::with_capacity(1 << 16);
    loop {
        let Some(length) = head(&buffer) else {
            if !matches!(socket.read_buf(&mut buffer).await, Ok(n) if n > 0) {
                return;
            }
            continue;
        };
        while buffer.len() < length {
            if !matches!(socket.read_buf(&mut buffer).await, Ok(n) if n > 0) {
                return;
            }
        }
        let streams = [&b"\"stream\":true"[..], b"\"stream\": true"]
            .iter()
            .any(|wish| find(&buffer[..length.min(4_096)], wish).is_some());
        buffer.drain(..length);
        let answer = if streams { &answers.stream } else { &answers.whole };
        if socket.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// The length of the first message, head and body, once its head is there.
fn head(buffer: &[u8]) -> Option<usize> {
    let end = find(buffer, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..end]).ok()?.to_ascii_lowercase();
    // Some gateways look around with requests that have no body.
    let length = text
        .split("content-length: ")
        .nth(1)
        .unwrap_or("0")
        .split('\r')
        .next()?;
    Some(end + length.parse::<usize>().ok()?)
}
