//! A gateway on loopback, its books in a folder, its providers on model servers; and a client that speaks plain HTTP.

use maestria_gateway::{
    Alert, Auth, Bounds, BudgetConfig, CacheConfig, OnLoss, Outside, Patience, ProviderConfig, Rate, Rules, Server,
    Service, Setup, key,
};
use maestria_kernel::{
    At,
    ledger::{CallRow, ClientKey, Ledger},
};
use maestria_store::SqliteLedger;
use maestria_testkit::model::{Dialect, ModelServer};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

/// 2026-01-01, noon.
pub(crate) const NOON: At = At(1_767_268_800_000);

pub(crate) const DIALECTS: [(&str, Dialect); 4] = [
    ("openai", Dialect::Chat),
    ("responses", Dialect::Responses),
    ("anthropic", Dialect::Anthropic),
    ("gemini", Dialect::Gemini),
];

pub(crate) fn quick() -> Patience {
    Patience {
        backoff: Duration::from_millis(1),
        silence: Duration::from_secs(5),
        ..Patience::default()
    }
}

/// A provider on a model server, under a name.
pub(crate) fn provider(name: &str, dialect: &str, server: &ModelServer, models: &[&str]) -> ProviderConfig {
    let of = DIALECTS.iter().find(|(d, _)| *d == dialect).unwrap().1;
    ProviderConfig {
        name: name.to_owned(),
        dialect: dialect.to_owned(),
        base_url: Some(server.url_for(of)),
        keys: vec![format!("sk-{name}")],
        models: models.iter().map(|m| (*m).to_owned()).collect(),
        patience: quick(),
        ..ProviderConfig::default()
    }
}

/// A provider of the OpenAI dialect at a port.
pub(crate) fn at(port: u16, model: &str) -> ProviderConfig {
    ProviderConfig {
        name: "p".to_owned(),
        dialect: "openai".to_owned(),
        base_url: Some(format!("http://127.0.0.1:{port}/v1")),
        models: vec![model.to_owned()],
        patience: quick(),
        ..ProviderConfig::default()
    }
}

pub(crate) fn rules() -> Rules {
    Rules {
        auth: Auth::None,
        budget: BudgetConfig::default(),
        rate: Rate::default(),
        on_loss: OnLoss::Drop,
        cache: CacheConfig::default(),
        batch_wait: Duration::ZERO,
    }
}

/// A gateway that runs.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) service: Arc<Service>,
    pub(crate) alerts: Arc<Mutex<Vec<Alert>>>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
    _folder: Option<tempfile::TempDir>,
}

impl Stage {
    pub(crate) async fn open(providers: Vec<ProviderConfig>, rules: Rules) -> Self {
        let setup = Setup {
            providers,
            ..Setup::default()
        };
        Self::with(setup, rules, Bounds::default()).await
    }

    pub(crate) async fn with(setup: Setup, rules: Rules, bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let mut stage = Self::on(path, "one", setup, rules, bounds).await;
        stage._folder = Some(folder);
        stage
    }

    /// On books that are there already.
    pub(crate) async fn on(books: PathBuf, owner: &str, setup: Setup, rules: Rules, bounds: Bounds) -> Self {
        let ledger = Arc::new(SqliteLedger::open(books).unwrap());
        let alerts = Arc::new(Mutex::new(Vec::new()));
        let told = alerts.clone();
        let outside = Outside {
            ledger: ledger.clone(),
            owner: owner.to_owned(),
            on_alert: Arc::new(move |alert| told.lock().unwrap().push(alert.clone())),
            now: Arc::new(|| NOON),
        };
        let service = Arc::new(Service::new(setup, rules, outside).unwrap());
        let given = service.clone();
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), service, bounds)
            .await
            .unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async move { drop(stopped.await) }));
        Self {
            address,
            ledger,
            service: given,
            alerts,
            stop: Some(stop),
            running: Some(running),
            _folder: None,
        }
    }

    /// Stops as it should: all is booked afterwards.
    pub(crate) async fn close(&mut self) {
        drop(self.stop.take());
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
    }

    /// Waits until so many calls are booked, and returns them, the newest first.
    pub(crate) async fn calls(&self, count: usize) -> Vec<CallRow> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let calls = self.ledger.calls(At(0), 10_000).await.unwrap();
            if calls.len() >= count {
                return calls;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {count} calls were booked",
                calls.len()
            );
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn key(&self, like: ClientKey) -> String {
        key::create(&*self.ledger, like, NOON).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(
            "POST",
            path,
            &[("content-type", "application/json")],
            body.to_string().as_bytes(),
        )
        .await
    }

    pub(crate) async fn post_as(&self, key: &str, path: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {key}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        self.send("POST", path, &headers, body.to_string().as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers, b"").await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut socket = self.begin(method, path, headers, body.len()).await;
        // A server that refuses early may close before it has read all.
        let _ = socket.write_all(body).await;
        let mut bytes = Vec::new();
        let _ = socket.read_to_end(&mut bytes).await;
        Reply::parse(&bytes)
    }

    /// A connection on which the head of a request has been sent.
    pub(crate) async fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n");
        headers
            .iter()
            .for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str("\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) text: String,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no head in {bytes:?}"));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let mut rest = &bytes[end + 4..];
        let mut body = Vec::new();
        if head.contains("transfer-encoding: chunked") {
            while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
                let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
                let start = line + 2;
                body.extend_from_slice(&rest[start..start + size]);
                rest = &rest[start + size + 2..];
                if size == 0 {
                    break;
                }
            }
        } else {
            body.extend_from_slice(rest);
        }
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            text: String::from_utf8(body).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A request of a dialect, with its path.
pub(crate) fn ask(dialect: Dialect, model: &str, prompt: &str, stream: bool) -> (String, Value) {
    match dialect {
        Dialect::Chat => (
            "/v1/chat/completions".to_owned(),
            json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}]}),
        ),
        Dialect::Responses => (
            "/v1/responses".to_owned(),
            json!({"model": model, "stream": stream, "input": prompt}),
        ),
        Dialect::Anthropic => (
            "/v1/messages".to_owned(),
            json!({"model": model, "stream": stream, "max_tokens": 500, "messages": [{"role": "user", "content": prompt}]}),
        ),
        Dialect::Gemini => {
            let verb = if stream {
                "streamGenerateContent?alt=sse"
            } else {
                "generateContent"
            };
            (
                format!("/v1beta/models/{model}:{verb}"),
                json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}]}),
            )
        }
    }
}

/// The text of an answer, whole or streamed.
pub(crate) fn text_of(dialect: Dialect, reply: &Reply, stream: bool) -> String {
    let places = match (dialect, stream) {
        (Dialect::Chat, false) => "/choices/0/message/content",
        (Dialect::Chat, true) => "/choices/0/delta/content",
        (Dialect::Responses, false) => "/output/0/content/0/text",
        (Dialect::Responses, true) => "/delta",
        (Dialect::Anthropic, false) => "/content/0/text",
        (Dialect::Anthropic, true) => "/delta/text",
        (Dialect::Gemini, _) => "/candidates/0/content/parts/0/text",
    };
    let told = |value: &Value| {
        value
            .pointer(places)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if stream {
        events(reply).iter().map(told).collect()
    } else {
        told(&reply.json())
    }
}

/// The events of a stream.
pub(crate) fn events(reply: &Reply) -> Vec<Value> {
    let data = reply.text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|d| *d != "[DONE]")
        .map(|d| serde_json::from_str(d).unwrap())
        .collect()
}
