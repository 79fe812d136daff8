//! The server under measurement, in a home of its own, with a store that has something in it.

use anyhow::{Context as _, ensure};
use maestria_benches::{Running, find, on_first_core, resident, told_port};
use maestria_kernel::{
    At, Event, RunId, Seq,
    port::{Batch, Store as _, Stored},
};
use maestria_store::SqliteStore;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

/// The task of the runs; the playbook knows it.
pub(crate) const TASK: &str =
    "Add a --json flag to greet.sh and a --shout flag to farewell.sh, then document and test both";

pub(crate) struct Scene {
    server: Running,
    pub(crate) port: u16,
    token: String,
    pub(crate) home: TempDir,
}

/// A program on the first core, in a home.
fn in_home(program: &Path, home: &Path) -> Command {
    let mut command = on_first_core(program);
    command
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

impl Scene {
    /// Starts a server over one real run of the playbook.
    pub(crate) fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let home = tempfile::tempdir_in(folder)?;
        repository(&home.path().join("app"))?;
        let words = ["run", TASK, "--target", "app", "--no-dashboard", "--yes"];
        let mut run = in_home(program, home.path());
        let ran = run
            .args(words)
            .args(["--agents", "playbook-author,playbook-reviewer"])
            .output()?;
        ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let told = in_home(program, home.path()).arg("token").output()?;
        let mut server = Running(
            in_home(program, home.path())
                .args(["serve", "--listen", "127.0.0.1:0"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?,
        );
        let port = told_port(&mut server.0)?;
        Ok(Self {
            server,
            port,
            token: String::from_utf8(told.stdout)?.trim().to_owned(),
            home,
        })
    }

    /// A request as it goes over the wire.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        self.request("GET", path, "")
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.port,
            self.token,
            body.len()
        )
        .into_bytes()
    }

    /// The body of an answer.
    pub(crate) fn ask(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
        let request = String::from_utf8(self.get(path))?.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        socket.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        ensure!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        let head = find(&answer, b"\r\n\r\n").context("a head")?;
        Ok(answer.split_off(head + 4))
    }

    /// The server's database.
    pub(crate) fn store(&self) -> PathBuf {
        self.home.path().join(".local/share/maestria/maestria.db")
    }

    /// Resident memory now, in kB.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        // `taskset` has become the server.
        resident(self.server.0.id())
    }
}

/// Somebody whose run says one thing after the other.
pub(crate) struct Author {
    store: Arc<SqliteStore>,
    run: RunId,
    newest: Seq,
}

impl Author {
    pub(crate) fn new(store: Arc<SqliteStore>) -> Self {
        Self {
            store,
            run: RunId::new(uuid::Uuid::now_v7()),
            newest: Seq(0),
        }
    }

    /// Says something; comes back when it is durable.
    pub(crate) async fn say(&mut self) -> anyhow::Result<()> {
        let seq = self.newest.next();
        let text = format!("{seq:0>10} of what a worker says while it works. ").repeat(4);
        let stored = Stored {
            seq,
            at: At(now()),
            event: Event::TaskSaid { task: None, text },
        };
        let batch = Batch {
            after: self.newest,
            events: vec![stored],
            ..Batch::default()
        };
        self.store.commit(self.run, batch).await?;
        self.newest = seq;
        Ok(())
    }
}

pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn repository(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir(folder)?;
    for entry in fs::read_dir("crates/cli/demo/sample")? {
        let path = entry?.path();
        fs::copy(&path, folder.join(path.file_name().unwrap_or_default()))?;
    }
    for words in [
        &["init", "-q", "-b", "main"][..],
        &["add", "-A"],
        &["commit", "-qm", "begin"],
    ] {
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
        let done = in_home(Path::new("/usr/bin/git"), folder)
            .args(identity)
            .args(words)
            .status()?;
        ensure!(done.success(), "git {} failed", words.join(" "));
    }
    Ok(())
}
