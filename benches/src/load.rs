//! Clients that ask again as soon as they are answered.

use anyhow::{Context as _, ensure};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// How many answers.
    pub answers: u64,
    /// How long it all took.
    pub took: Duration,
    /// Times of single answers, in order.
    pub times: Vec<Duration>,
}

impl Seen {
    /// Answers a second.
    pub fn a_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let answers = self.answers as f64;
        answers / self.took.as_secs_f64()
    }

    /// The middle of the times, in microseconds.
    pub fn p50_micros(&self) -> f64 {
        self.micros(0.5)
    }

    /// What this share of the answers took at most, in microseconds.
    pub fn micros(&self, share: f64) -> f64 {
        let place = (self.times.len() as f64 * share) as usize;
        let place = place.min(self.times.len().saturating_sub(1));
        self.times.get(place).map_or(f64::NAN, |t| t.as_secs_f64() * 1e6)
    }
}

/// Where a part begins.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Asks on so many connections for so long.
///
/// # Errors
/// When an answer is none, or no success.
pub async fn run(port: u16, request: Vec<u8>, connections: usize, length: Duration) -> anyhow::Result<Seen> {
    let started = Instant::now();
    let request = std::sync::Arc::new(request);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..connections {
        clients.spawn(client(port, request.clone(), started + length));
    }
    let mut seen = Seen::default();
    while let Some(times) = clients.join_next().await {
        seen.times.extend(times??);
    }
    seen.took = started.elapsed();
    seen.answers = seen.times.len() as u64;
    seen.times.sort_unstable();
    Ok(seen)
}

async fn client(port: u16, request: std::sync::Arc<Vec<u8>>, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut buffer = Vec::with_capacity(1 << 16);
    while Instant::now() < until {
        let started = Instant::now();
        socket.write_all(&request).await?;
        answer(&mut socket, &mut buffer).await?;
        times.push(started.elapsed());
    }
    Ok(times)
}

async fn answer(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    buffer.clear();
    let mut end = None;
    loop {
        ensure!(socket.read_buf(buffer).await? > 0, "the connection was closed");
        if end.is_none() {
            end = find(buffer, b"\r\n\r\n");
        }
        let Some(head) = end else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        ensure!(
            text.starts_with("http/1.1 2"),
            "{text} {}",
            String::from_utf8_lossy(buffer)
        );
        if let Some(length) = text.split("content-length: ").nth(1) {
            let length: usize = length.split('\r').next().context("a length")?.parse()?;
            if buffer.len() >= head + 4 + length {
                return Ok(());
            }
        } else if buffer.ends_with(b"0\r\n\r\n") {
            return Ok(());
        }
    }
}
