//! The WebSocket: a conversation for pages and programs. Who may open it is settled by the guard, as for every request.

use super::{
    Shared, State,
    ask::Args,
    conversation::{self, LONGEST, Mouth, Speaker},
    events::Wish,
    guard,
    problem::Refusal,
};
use axum::{
    extract::ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    http::HeaderMap,
    response::Response,
};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use maestria_api::problem::Code;
use std::{io, sync::Arc};
use tokio::sync::mpsc;

/// The protocol's name, for browsers, which must be told one when they name any.
pub(super) const PROTOCOL: &str = "maestria.v1";

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// `GET /api/v1/ws`
pub(super) async fn open(shared: State, headers: HeaderMap, upgrade: Upgrade) -> Result<Response, Refusal> {
    begin(&shared, &headers, upgrade, None)
}

/// `GET /ws`: events from the start, as clients of earlier systems expect them.
pub(super) async fn open_flat(
    shared: State,
    headers: HeaderMap,
    Args(wish): Args<Wish>,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    begin(&shared, &headers, upgrade, Some(wish))
}

fn begin(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    upgrade: Upgrade,
    follow: Option<Wish>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|error| {
        Refusal::new(Code::BadValue, error.to_string())
            .field("upgrade")
            .hint("open this path as a WebSocket, version 13")
    })?;
    let room = shared.lines.clone().try_acquire_owned().map_err(|_| {
        let what = "too many lines are open";
        Refusal {
            after: Some(5),
            ..Refusal::new(Code::RateLimited, what)
        }
    })?;
    let speaker = Speaker {
        credential: guard::credential(headers).unwrap_or_default().to_owned(),
        line: "websocket",
    };
    let shared = shared.clone();
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_message_size(LONGEST)
        .max_frame_size(LONGEST);
    Ok(upgrade.on_upgrade(async move |socket: WebSocket| {
        let (sink, stream) = socket.split();
        let (sender, heard) = mpsc::channel(1);
        let ear = tokio::spawn(listen(stream, sender));
        conversation::hold(shared, speaker, heard, Voice(sink), follow).await;
        // The line may be held open by the other side for ever.
        ear.abort();
        drop(room);
    }))
}

struct Voice(SplitSink<WebSocket, Message>);

impl Mouth for Voice {
    async fn say(&mut self, text: String) -> io::Result<()> {
        self.0.send(Message::Text(text.into())).await.map_err(io::Error::other)
    }
}

/// Passes messages on, one at a time: what is not taken yet stays in the line.
async fn listen(mut stream: SplitStream<WebSocket>, sender: mpsc::Sender<String>) {
    while let Some(Ok(message)) = stream.next().await {
        let text = match message {
            Message::Text(text) => text.to_string(),
            // Bytes are a message all the same; mostly one that nobody understands.
            Message::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        if sender.send(text).await.is_err() {
            return;
        }
    }
}
