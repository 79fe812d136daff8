//! Whether budgets hold: 64 parallel calls against room for k admit exactly k, on every endpoint, whole and streamed; and
//! when the gateway is killed with all k under way, all of it counts as spent.

use crate::peer::Peer;
use anyhow::{Context as _, ensure};
use maestria_benches::{Figure, Table, find};
use maestria_gateway::key;
use maestria_kernel::{
    At, Cost,
    ledger::{ClientKey, Ledger},
};
use maestria_store::SqliteLedger;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

const CALLS: usize = 64;

/// Every so many rounds the gateway is killed.
const KILL: u64 = 10;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bound on the tokens of a prompt that is added to its bytes.
const MARGIN: i64 = 4_096;

/// Micro-dollars a token of a model that is not listed.
const PRICE: i64 = 10;

const OUTPUT: i64 = 50;

/// What went wrong.
#[derive(Default)]
struct Wrong {
    admitted: u64,
    unpaid: u64,
}

pub(crate) async fn rounds(program: &Path, rounds: u64, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let holding = Holding::start().await?;
    let mut gateway = Peer::gateway(program, folder.path(), holding.port)?;
    let books = SqliteLedger::open(folder.path().join("m.db"))?;
    let (mut wrong, mut kills) = (Wrong::default(), 0);
    for round in 0..rounds {
        let room = usize::try_from(round % 63)? + 1;
        let kills_now = round % KILL == KILL - 1;
        let (path, body) = asked(round);
        let worst = (i64::try_from(body.len())? + MARGIN + OUTPUT) * PRICE;
        let name = format!("round-{round}");
        let budget = Cost(worst * i64::try_from(room)? + 5);
        let like = ClientKey {
            name: name.clone(),
            budget: Some(budget),
            ..ClientKey::default()
        };
        let key = key::create(&books, like, now()?).await?;
        holding.hold();
        let mut calls = JoinSet::new();
        for _ in 0..CALLS {
            calls.spawn(call(gateway.port, request(path, &key, &body)));
        }
        let mut refused = 0;
        // All that are refused are refused while the others are under way.
        while refused < CALLS - room {
            let done = tokio::time::timeout(PATIENCE, calls.join_next()).await;
            let status = done
                .context("the calls take too long")?
                .context("no call is left")???;
            refused += usize::from(status == Some(402));
            wrong.admitted += u64::from(status != Some(402));
        }
        holding.wait_for(room).await?;
        wrong.admitted += u64::from(holding.held() != room);
        if kills_now {
            kills += 1;
            gateway.restart()?;
            let day = now()?.0.div_euclid(86_400_000);
            let balances = books.balances(day).await?;
            let spent = balances.iter().find(|b| b.scope == format!("client {name}"));
            let expected = Cost(worst * i64::try_from(room)?);
            wrong.unpaid += u64::from(spent.is_none_or(|b| b.spent != expected || b.held != Cost::ZERO));
            let more = call(gateway.port, request(path, &key, &body)).await?;
            wrong.admitted += u64::from(more != Some(402));
        }
        holding.release();
        while let Some(status) = calls.join_next().await {
            wrong.admitted += u64::from(!kills_now && status??.is_none_or(|status| status != 200));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    let (admitted, unpaid) = (wrong.admitted as f64, wrong.unpaid as f64);
    let what = format!("{rounds} rounds of {CALLS} parallel calls against room for 1 to 63");
    table.show(&Figure::at_most("admitted wrongly", admitted, "calls", 0.0, what));
    let what = format!("{kills} times killed with all that fits under way");
    table.show(&Figure::at_most("lost by a kill", unpaid, "times", 0.0, what));
    Ok(())
}

fn now() -> anyhow::Result<At> {
    Ok(At(i64::try_from(
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis(),
    )?))
}

/// Each endpoint in turn, whole and streamed.
fn asked(round: u64) -> (&'static str, String) {
    let stream = round % 2 == 1;
    let text = "hello";
    match round / 2 % 4 {
        0 => (
            "/v1/chat/completions",
            format!(
                r#"{{"model":"m","stream":{stream},"max_tokens":{OUTPUT},"messages":[{{"role":"user","content":"{text}"}}]}}"#
            ),
        ),
        1 => (
            "/v1/responses",
            format!(r#"{{"model":"m","stream":{stream},"max_output_tokens":{OUTPUT},"input":"{text}"}}"#),
        ),
        2 => (
            "/v1/messages",
            format!(
                r#"{{"model":"m","stream":{stream},"max_tokens":{OUTPUT},"messages":[{{"role":"user","content":"{text}"}}]}}"#
            ),
        ),
        _ => (
            if stream {
                "/v1beta/models/m:streamGenerateContent?alt=sse"
            } else {
                "/v1beta/models/m:generateContent"
            },
            format!(
                r#"{{"generationConfig":{{"maxOutputTokens":{OUTPUT}}},"contents":[{{"role":"user","parts":[{{"text":"{text}"}}]}}]}}"#
            ),
        ),
    }
}

fn request(path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\nauthorization: Bearer \
         {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The status of the answer; none when the connection broke.
async fn call(port: u16, request: Vec<u8>) -> anyhow::Result<Option<u16>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.write_all(&request).await?;
    let mut answer = Vec::new();
    // A gateway that is killed breaks the connection.
    let _ = socket.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.split(' ').nth(1).and_then(|status| status.parse().ok()))
}

/// An upstream that answers nobody until it is told to.
struct Holding {
    port: u16,
    held: Arc<AtomicUsize>,
    go: watch::Sender<bool>,
}

impl Holding {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (go, going) = watch::channel(true);
        let held = Arc::new(AtomicUsize::new(0));
        let counter = held.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(hold(socket, going.clone(), counter.clone()));
            }
        });
        Ok(Self { port, held, go })
    }

    fn hold(&self) {
        self.go.send_replace(false);
        self.held.store(0, Ordering::SeqCst);
    }

    fn release(&self) {
        self.go.send_replace(true);
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    async fn wait_for(&self, count: usize) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.held() < count {
            ensure!(
                tokio::time::Instant::now() < deadline,
                "{} of {count} calls came",
                self.held()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

async fn hold(mut socket: TcpStream, mut going: watch::Receiver<bool>, held: Arc<AtomicUsize>) {
    let mut buffer = Vec::new();
    loop {
        while find(&buffer, b"\"hello\"").is_none() || !buffer.ends_with(b"}") {
            if !matches!(socket.read_buf(&mut buffer).await, Ok(n) if n > 0) {
                return;
            }
        }
        let streams = find(&buffer, b"\"stream\":true").is_some();
        buffer.clear();
        held.fetch_add(1, Ordering::SeqCst);
        // The sender lives as long as the bench.
        let _ = going.wait_for(|go| *go).await;
        if socket.write_all(answer(streams).as_bytes()).await.is_err() {
            return;
        }
    }
}

fn answer(streams: bool) -> String {
    let usage = r#""usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}"#;
    let (kind, body) = if streams {
        let piece = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}"#;
        let last =
            format!(r#"{{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],{usage}}}"#);
        (
            "text/event-stream",
            format!("data: {piece}\n\ndata: {last}\n\ndata: [DONE]\n\n"),
        )
    } else {
        let message = r#"{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}"#;
        let head = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":["#;
        ("application/json", format!("{head}{message}],{usage}}}"))
    };
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
