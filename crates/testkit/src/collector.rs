//! A collector of traces on loopback: takes what is sent to it over OTLP/HTTP, and answers as it is told.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a scene that cannot be set fails its test at once"
)]

pub use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, any_value::Value},
};
use prost::Message as _;
use std::{
    collections::VecDeque,
    io::{BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// A collector until it is dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Heard>,
    more: Condvar,
    over: AtomicBool,
}

/// What has come in.
#[derive(Debug, Default)]
struct Heard {
    requests: Vec<Posted>,
    answers: VecDeque<(u16, String, Vec<u8>)>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The request line and the headers.
    pub head: String,
    /// The body as it came.
    pub body: Vec<u8>,
    /// What it was answered with.
    pub status: u16,
}

impl Posted {
    /// The spans in it.
    pub fn spans(&self) -> Vec<Span> {
        let request = ExportTraceServiceRequest::decode(self.body.as_slice()).unwrap();
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

impl Collector {
    /// One that takes everything.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let served = shared.clone();
        let thread = std::thread::spawn(move || {
            for socket in listener.incoming() {
                if served.over.load(Ordering::SeqCst) {
                    return;
                }
                let served = served.clone();
                // A connection ends with its client, or with the process.
                std::thread::spawn(move || serve(&socket.unwrap(), &served));
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// What `otlp_endpoint` is to be.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the next request that has no answer yet like this; `headers` are whole lines.
    pub fn answer(&self, status: u16, headers: &str, body: Vec<u8>) {
        let mut heard = self.shared.heard.lock().unwrap();
        heard.answers.push_back((status, headers.to_owned(), body));
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Posted> {
        self.shared.heard.lock().unwrap().requests.clone()
    }

    /// All spans that were taken so far.
    pub fn spans(&self) -> Vec<Span> {
        taken(&self.shared.heard.lock().unwrap().requests)
    }

    /// Waits until the spans that were taken are as they should be.
    pub fn wait_for(&self, fits: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let since = Instant::now();
        let mut heard = self.shared.heard.lock().unwrap();
        loop {
            let spans = taken(&heard.requests);
            if fits(&spans) {
                return spans;
            }
            let left = PATIENCE.saturating_sub(since.elapsed());
            let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
            assert!(!left.is_zero(), "these spans came, and no others: {names:?}");
            (heard, _) = self.shared.more.wait_timeout(heard, left).unwrap();
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread; it may have ended.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn taken(requests: &[Posted]) -> Vec<Span> {
    let taken = requests.iter().filter(|posted| posted.status == 200);
    taken.flat_map(Posted::spans).collect()
}

fn serve(socket: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(socket);
    while let Some((head, body)) = read(&mut reader) {
        let (status, headers, answer) = {
            let mut heard = shared.heard.lock().unwrap();
            let answer = heard.answers.pop_front().unwrap_or((200, String::new(), Vec::new()));
            let status = answer.0;
            heard.requests.push(Posted { head, body, status });
            shared.more.notify_all();
            answer
        };
        let length = answer.len();
        let head = format!("HTTP/1.1 {status} as told\r\ncontent-length: {length}\r\n{headers}\r\n");
        let mut writer = socket;
        // The client may be gone, which is what some tests are about.
        if writer
            .write_all(head.as_bytes())
            .and_then(|()| writer.write_all(&answer))
            .is_err()
        {
            return;
        }
    }
}

fn read(reader: &mut impl std::io::BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// An attribute of a span, as text.
pub fn attribute(span: &Span, name: &str) -> Option<String> {
    let pair = span.attributes.iter().find(|pair| pair.key == name)?;
    shown(pair.value.as_ref()?)
}

fn shown(value: &AnyValue) -> Option<String> {
    Some(match value.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(count) => count.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::ArrayValue(list) => list.values.iter().filter_map(shown).collect::<Vec<_>>().join(","),
        _ => return None,
    })
}

/// Bytes of an id as hexadecimal digits.
pub fn digits(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
