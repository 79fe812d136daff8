//! The Unix socket: a conversation in lines of JSON, for programs of the same person. Its folder lets nobody else in, and
//! the system tells whose process is at the other end.

use super::{
    Shared,
    conversation::{self, LONGEST, Mouth, Speaker},
    server::ListenError,
};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
};

/// The socket, listening.
#[derive(Debug)]
pub(super) struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// Listens at a path; its folder is made when it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, ListenError> {
        let failed = |source: io::Error| ListenError::Socket {
            path: path.to_owned(),
            source,
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.ok_or_else(|| failed(io::Error::other("name it with its folder")))?;
        if !folder.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(failed)?;
        }
        check(folder).map_err(failed)?;
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(failed(io::Error::other("another server listens there")));
        }
        clear(path).map_err(failed)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Serves for ever.
    pub(super) async fn serve(self, shared: Arc<Shared>) {
        let mut lines = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if is_ours(&stream) => {
                        lines.spawn(hold(shared.clone(), stream));
                    }
                    Ok(_) => tracing::warn!(socket = %self.path.display(), "another user was turned away"),
                    Err(error) => {
                        // Out of file descriptors, most likely: that passes.
                        tracing::warn!(%error, "a line cannot be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = lines.join_next() => {}
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what a server that was killed has left behind, and nothing else that may stand there.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::other(
            "that is a file and no socket; name a path where nothing is",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A folder of ours that nobody else can enter.
fn check(folder: &Path) -> io::Result<()> {
    let found = fs::metadata(folder)?;
    let mode = found.mode() & 0o777;
    if found.uid() != rustix::process::geteuid().as_raw() || mode & 0o077 != 0 {
        let what = format!(
            "others may enter {} (mode {mode:o}); `chmod 700` it, or name a folder of your own",
            folder.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(())
}

/// Whether the process at the other end is of the same user, which the system says and nobody can make up.
fn is_ours(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == ours)
}

async fn hold(shared: Arc<Shared>, stream: UnixStream) {
    let Ok(room) = shared.lines.clone().try_acquire_owned() else {
        return;
    };
    let (reader, writer) = stream.into_split();
    let (sender, heard) = mpsc::channel(1);
    let ear = tokio::spawn(listen(reader, sender));
    // Whoever may read the token's file may use the token.
    let speaker = Speaker {
        credential: shared.access.token().to_owned(),
        line: "socket",
    };
    conversation::hold(shared, speaker, heard, Voice(writer), None).await;
    ear.abort();
    drop(room);
}

struct Voice(OwnedWriteHalf);

impl Mouth for Voice {
    async fn say(&mut self, mut text: String) -> io::Result<()> {
        text.push('\n');
        self.0.write_all(text.as_bytes()).await
    }
}

/// Passes lines on, one at a time. A line without end is the last one.
async fn listen(reader: OwnedReadHalf, sender: mpsc::Sender<String>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let longest = LONGEST as u64 + 1;
        match (&mut reader).take(longest).read_until(b'\n', &mut line).await {
            Ok(1..) if line.len() <= LONGEST => {}
            _ => return,
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if !text.is_empty() && sender.send(text).await.is_err() {
            return;
        }
    }
}
