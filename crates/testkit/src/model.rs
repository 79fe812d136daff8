//! A loopback model server: Anthropic Messages, OpenAI Responses and Chat, Gemini.
//!
//! # Scripting by the prompt
//!
//! A user message may hold a *directive*: the word `@script`, white space, one JSON object.
//!
//! ```text
//! Please do this. @script {"steps":[{"write":{"path":"src/a.txt","content":"hi\n"}},{"shell":"ls"},{"text":"done"}]}
//! ```
//!
//! The last directive in the conversation counts. The server keeps no conversation: the step played is
//! the number of tool results after that directive, so retry, resume and fork behave by themselves.
//! When the steps are used up, a closing text (or JSON) step is repeated, else the answer is `done`.
//!
//! | step | meaning |
//! | --- | --- |
//! | `{"write":{"path":P,"content":C}}` | write a whole file |
//! | `{"edit":{"path":P,"old":O,"new":N}}` | replace a piece of a file (`O` and `N` are whole lines where only patches are offered) |
//! | `{"read":{"path":P}}` | read a file |
//! | `{"shell":"CMD"}` | run a command |
//! | `{"call":{"name":T,"input":{…}}}` | call the tool `T` with exactly this input |
//! | `{"all":[step, …]}` | several calls in one answer (each gets its own result) |
//! | `{"text":"…"}` | say something and end the turn |
//! | `{"json":…}` | end the turn with this structured output |
//!
//! A step becomes a call of whatever fitting tool the request *declares* ([`call`]): claude's `Write`,
//! codex's `apply_patch` or `exec_command`, gemini's `write_file`, opencode's `write`, …; arguments are
//! named by the declared schema. A request that declares no tools at all although the next step needs
//! one is a *side request* (title, summary, quota probe): it gets a short harmless text, or the minimal
//! value of the JSON schema it asks for, and consumes no fault.
//!
//! # Faults
//!
//! `"faults":[{"kind":"status","status":429,"retry_after":1,"times":2}, …]` beside `steps`. Each has
//! `times` (a number, default 1, or `"forever"`) and `at` (only on that step; default any). They are
//! counted per server by the directive's text (or by the rule), so any word more after the directive
//! starts the count anew.
//!
//! | kind | effect |
//! | --- | --- |
//! | `status` (`status`, `retry_after` seconds, `message`) | that HTTP status, the vendor's error body |
//! | `cut` (`after` events) | the connection breaks in mid-stream |
//! | `bad_tool_json` | tool arguments that do not parse |
//! | `silence` (`ms`, absent = for ever) | no answer at all for that long, then the normal one |
//! | `drip` (`ms`) | that pause before every event |
//! | `error_event` (`after` events, `message`) | 200, then the vendor's error event |
//! | `no_usage` | usage left out |
//! | `error_body` (`message`) | 200 with an error document as its body |
//!
//! # Scripting by rules
//!
//! A [`Rule`] is a script plus conditions on the request: `match` (a piece of the system prompt or of a
//! user message), `schema` (true: only requests that want JSON; false: only others), `model`, `dialect`,
//! and `times` (how many conversations it serves before the next rule takes over). Rules come first, in
//! order; then the prompt's directive. `ModelServer::script` takes a closure, which comes before both.
//! Rule files (for the `model-server` binary) are a JSON list of rules:
//!
//! ```text
//! [{"match":"You plan","schema":true,"steps":[{"json":{"tasks":[]}}]},
//!  {"match":"You review","times":1,"steps":[{"json":{"verdict":"rework"}}]}]
//! ```

mod answer;
mod anthropic;
mod ask;
mod book;
mod call;
mod chat;
mod dialect;
mod embed;
mod gemini;
mod log;
mod responses;
mod schema;
mod script;
mod serve;
mod stream;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use ask::{Ask, Tool, Turn};
pub use book::Book;
pub use dialect::Dialect;
pub use log::Asked;
pub use script::{Fault, FaultKind, Rule, Script, ScriptError, Step, Times};

/// A model server on `127.0.0.1`, stopped when dropped.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<serve::Shared>,
    task: JoinHandle<()>,
}

impl ModelServer {
    /// Starts on a free port.
    ///
    /// # Panics
    /// When loopback cannot be bound: no test can go on then.
    pub async fn start() -> Self {
        #[expect(clippy::expect_used, reason = "test support: nothing works without loopback")]
        Self::bind(0).await.expect("bind a loopback port")
    }

    /// Starts on `port` (0 = any free one).
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(serve::Shared::default());
        let task = tokio::spawn(serve::accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// `http://127.0.0.1:PORT`, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL as clients of this dialect expect it (`…/v1` for both OpenAI ones, bare for the others).
    #[must_use]
    pub fn url_for(&self, dialect: Dialect) -> String {
        dialect.base_url(&self.base_url())
    }

    /// Adds rules after those already there.
    pub fn rules(&self, rules: impl IntoIterator<Item = Rule>) {
        self.shared.book().rules(rules);
    }

    /// Asks `choose` before any rule; `None` passes on to rules and directives.
    pub fn script(&self, choose: impl Fn(&Ask) -> Option<Script> + Send + Sync + 'static) {
        self.shared.book().script(choose);
    }

    /// The last requests (at most [`Asked::KEPT`]), oldest first, keys redacted.
    #[must_use]
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.log().all()
    }

    /// How many requests came in since the start.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.shared.log().total()
    }

    /// Stops at once; open streams break.
    pub async fn shutdown(mut self) {
        self.task.abort();
        // The only possible error is the cancellation just asked for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
