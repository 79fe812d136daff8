//! A fake agent's own call of a model, as the real ones make theirs.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

/// The model that is asked for.
const MODEL: &str = "claude-sonnet-4-5";

/// Asks, and returns the status and the body.
pub(crate) fn call(prompt: &str) -> io::Result<String> {
    let missing = |name: &str| io::Error::other(format!("{name} is not set"));
    let base = std::env::var("ANTHROPIC_BASE_URL").map_err(|_| missing("ANTHROPIC_BASE_URL"))?;
    let key = std::env::var("ANTHROPIC_API_KEY").map_err(|_| missing("ANTHROPIC_API_KEY"))?;
    let address = base.trim_start_matches("http://").trim_end_matches('/');
    let messages = json!([{"role": "user", "content": prompt}]);
    let body = json!({"model": MODEL, "max_tokens": 200, "messages": messages}).to_string();
    let mut socket = TcpStream::connect(address)?;
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nx-api-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(format!("{status} {body}"))
}
