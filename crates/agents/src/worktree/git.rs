//! The `git` program, told to execute nothing that a repository brings along.
//!
//! A repository is input like any other: its hooks, filters, merge and diff drivers, pagers, editors, credential, ssh
//! and signing helpers are all programs of somebody else's choosing. None of them runs here. Its own `.git/config` cannot
//! be left out of a call, but the call's environment outranks it, whatever bytes the names in it have.

mod safety;

use self::safety::{ENVIRONMENT, SAFE, harmless, ignores_of_the_person};
use super::failed;
use maestria_kernel::port::RepositoryError;
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

/// No call takes this long on a disk that works.
const PATIENCE: Duration = Duration::from_secs(600);

/// The longest that a lock is left alone.
pub(super) const LOCK_LIFE: Duration = Duration::from_secs(2);

/// More stale locks than this are not left by one crash.
const MOST_LOCKS: u32 = 3;

/// What a reference that is to be made must have held before.
pub(crate) const NOTHING: &str = "";

/// Git in one folder.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    folder: PathBuf,
    safe: Vec<(OsString, OsString)>,
    env: Vec<(OsString, OsString)>,
}

impl Git {
    /// Git in the top folder of a work tree, with the drivers and filters that its configuration names made harmless.
    ///
    /// When the folder's own `.git` is gone or broken, every call fails: git would else search the parents, and what
    /// was meant for a task's worktree would happen to a repository of the person's around it.
    pub(crate) async fn at(folder: &Path) -> Self {
        Self::bare(folder).disarmed().await
    }

    /// Git in any folder of a work tree.
    pub(crate) async fn find(folder: &Path) -> Self {
        let mut git = Self::bare(folder);
        git.env.clear();
        git.disarmed().await
    }

    /// Git where there is no repository yet.
    pub(crate) fn bare(folder: &Path) -> Self {
        let mut git = Self {
            folder: folder.to_owned(),
            safe: SAFE.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            env: Vec::new(),
        };
        if let Some(parent) = folder.parent() {
            git.env.push(("GIT_CEILING_DIRECTORIES".into(), parent.into()));
        }
        git
    }

    /// Reading a configuration starts nothing; what it names is then overruled.
    async fn disarmed(mut self) -> Self {
        if let Some(ignores) = ignores_of_the_person().await {
            self.safe.push(("core.excludesFile".into(), ignores.into()));
        }
        let listed = self.run(&["config", "--list", "--includes", "--name-only", "-z"]).await;
        let mut overruled: Vec<(OsString, OsString)> = Vec::new();
        for name in listed.iter().flat_map(|o| fields(&o.stdout)) {
            overruled.extend(harmless(name));
        }
        overruled.sort();
        overruled.dedup();
        self.safe.extend(overruled);
        self
    }

    /// With one more environment variable.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the repository's configuration names filters (they are not run; a person should know).
    pub(crate) fn has_filters(&self) -> bool {
        self.safe
            .iter()
            .any(|(name, _)| name.as_bytes().starts_with(b"filter."))
    }

    fn start<S: AsRef<OsStr>>(&self, args: &[S], stdin: Stdio) -> Result<Child, RepositoryError> {
        let mut command = Command::new("git");
        command.env_clear().env("PATH", search_path());
        command.envs(ENVIRONMENT.iter().copied());
        command.env("GIT_CONFIG_COUNT", self.safe.len().to_string());
        for (number, (name, value)) in self.safe.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), name);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        command.envs(self.env.iter().map(|(n, v)| (n, v)));
        command.arg("--no-pager").args(args).current_dir(&self.folder);
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if self.folder.is_dir() => {
                failed("git is not installed", "install git (Debian: apt install git)")
            }
            _ => failed(
                format!("git could not be started in {}: {error}", self.folder.display()),
                "",
            ),
        })
    }

    /// Runs git and hands its output over, whatever the exit code.
    ///
    /// # Errors
    /// Only when git cannot be started, or never ends.
    pub(crate) async fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Output, RepositoryError> {
        ended(args, self.start(args, Stdio::null())?.wait_with_output()).await
    }

    /// Runs git with something on its stdin; what it prints, as bytes.
    ///
    /// # Errors
    /// When git says no, with its own words.
    pub(crate) async fn fed<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Result<Vec<u8>, RepositoryError> {
        let mut child = self.start(args, Stdio::piped())?;
        let stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // Git may end before it has read everything; its exit code tells.
                let _ = stdin.write_all(input).await;
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        answered(args, ended(args, both).await?)
    }

    /// Runs git and keeps at most `most` bytes of what it prints; the flag says that there was more.
    ///
    /// # Errors
    /// When git says no, with its own words.
    pub(crate) async fn capped<S: AsRef<OsStr>>(
        &self,
        args: &[S],
        most: usize,
    ) -> Result<(Vec<u8>, bool), RepositoryError> {
        let mut child = self.start(args, Stdio::null())?;
        let mut kept = Vec::new();
        if let Some(out) = child.stdout.take() {
            let room = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
            let broken = |e: std::io::Error| failed(format!("the output of git broke off: {e}"), "");
            out.take(room).read_to_end(&mut kept).await.map_err(broken)?;
        }
        if kept.len() > most {
            kept.truncate(most);
            // Nobody wants the rest; dropping the child ends it.
            return Ok((kept, true));
        }
        answered(args, ended(args, child.wait_with_output()).await?)?;
        Ok((kept, false))
    }

    /// Runs git and returns what it printed, as bytes.
    ///
    /// # Errors
    /// When git says no, with its own words.
    pub(crate) async fn bytes<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Vec<u8>, RepositoryError> {
        answered(args, self.run(args).await?)
    }

    /// Runs git and returns what it printed, without the last line feed.
    ///
    /// # Errors
    /// When git says no, with its own words.
    pub(crate) async fn text<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String, RepositoryError> {
        let bytes = self.bytes(args).await?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// Moves a reference of ours. A lock on it that does not go away by itself was left by a git that was killed: nobody
    /// else moves what is under `maestria`.
    ///
    /// # Errors
    /// When git says no, with its own words.
    pub(crate) async fn point<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<(), RepositoryError> {
        for _ in 0..MOST_LOCKS {
            let output = self.run(args).await?;
            let Some(lock) = stale_lock(&output) else {
                return answered(args, output).map(|_| ());
            };
            expire(&lock).await;
        }
        answered(args, self.run(args).await?).map(|_| ())
    }

    /// Runs git as a question: yes or no.
    pub(crate) async fn asks<S: AsRef<OsStr>>(&self, args: &[S]) -> bool {
        self.run(args).await.is_ok_and(|o| o.status.success())
    }

    /// The commit that a name stands for, if it stands for one.
    pub(crate) async fn resolve(&self, name: &str) -> Option<String> {
        let spec = format!("{name}^{{commit}}");
        self.text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &spec])
            .await
            .ok()
    }

    /// The ids that names stand for, if all of them stand for something; the names are never a person's or a model's.
    ///
    /// # Errors
    /// Only when git cannot be started, or never ends.
    pub(crate) async fn ids(&self, names: &[String]) -> Result<Option<Vec<String>>, RepositoryError> {
        let mut args = vec!["rev-parse", "--quiet"];
        args.extend(names.iter().map(String::as_str));
        let output = self.run(&args).await?;
        let ids = || {
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .map(str::to_owned)
                .collect()
        };
        Ok(output.status.success().then(ids))
    }

    /// The tree of a commit.
    ///
    /// # Errors
    /// When there is no such commit.
    pub(crate) async fn tree_of(&self, commit: &str) -> Result<String, RepositoryError> {
        let spec = format!("{commit}^{{tree}}");
        self.text(&["rev-parse", "--verify", "--end-of-options", &spec]).await
    }

    /// Whether everything in `older` is in `newer`, too.
    pub(crate) async fn contains(&self, newer: &str, older: &str) -> bool {
        self.asks(&["merge-base", "--is-ancestor", older, newer]).await
    }

    /// Makes a commit of a tree; no branch moves and no hook runs.
    ///
    /// # Errors
    /// When git says no, with its own words.
    pub(crate) async fn commit(&self, tree: &str, parents: &[&str], message: &str) -> Result<String, RepositoryError> {
        let mut args = vec!["commit-tree", tree, "-F", "-"];
        for parent in parents {
            args.extend(["-p", parent]);
        }
        let made = self.fed(&args, message.replace('\0', " ").as_bytes()).await?;
        Ok(String::from_utf8_lossy(&made).trim().to_owned())
    }

    /// A path inside git's own folder.
    pub(crate) async fn internal(&self, name: &str) -> Option<PathBuf> {
        // What each worktree has for itself lies beside its HEAD; asking git takes a process each time.
        if let Some(own) = own_folder(&self.folder).filter(|_| !name.contains('/')) {
            return Some(own.join(name));
        }
        let mut path = self.bytes(&["rev-parse", "--git-path", name]).await.ok()?;
        path.pop_if(|last| *last == b'\n');
        Some(self.folder.join(OsString::from_vec(path)))
    }

    /// Git's folder that all worktrees of the repository share: its own one, or what `commondir` in there names.
    pub(crate) fn common(&self) -> Option<PathBuf> {
        let own = own_folder(&self.folder)?;
        match std::fs::read(own.join("commondir")) {
            Ok(named) => Some(own.join(path_of(named.trim_ascii_end()))),
            Err(_) => Some(own),
        }
    }

    /// Removes locks that a killed git has left in a worktree of ours; call it only when its worker has ended. The
    /// person's own work tree is never treated so.
    pub(crate) async fn unlock(&self) {
        let Some(lock) = self.internal("index.lock").await else {
            return;
        };
        let linked = lock
            .ancestors()
            .nth(2)
            .is_some_and(|p| p.file_name() == Some("worktrees".as_ref()));
        if linked {
            for lock in [lock.with_file_name("HEAD.lock"), lock] {
                // Absent in every run but the one after a crash.
                let _ = std::fs::remove_file(lock);
            }
        }
    }
}

/// Git's own folder of a work tree, by its `.git`.
fn own_folder(top: &Path) -> Option<PathBuf> {
    let dot = top.join(".git");
    let own = if dot.is_dir() {
        dot
    } else {
        let text = std::fs::read(&dot).ok()?;
        top.join(path_of(text.strip_prefix(b"gitdir: ")?.trim_ascii_end()))
    };
    own.join("HEAD").is_file().then_some(own)
}

/// The lock that a call stumbled on, if it is on something of ours.
fn stale_lock(output: &Output) -> Option<PathBuf> {
    let words = String::from_utf8_lossy(&output.stderr);
    let (path, _) = words.split_once("Unable to create '")?.1.split_once("': File exists")?;
    let ours = ["/refs/maestria/", "/refs/heads/maestria", "/worktrees/"];
    (!output.status.success() && ours.iter().any(|part| path.contains(part))).then(|| PathBuf::from(path))
}

/// Removes a lock, after the time that a git which is still at work would need.
pub(crate) async fn expire(lock: &Path) {
    let deadline = std::time::Instant::now() + LOCK_LIFE;
    while lock.exists() && std::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Gone by itself in every case but a crash.
    let _ = std::fs::remove_file(lock);
}

async fn ended<S: AsRef<OsStr>>(
    args: &[S],
    output: impl Future<Output = std::io::Result<Output>>,
) -> Result<Output, RepositoryError> {
    match tokio::time::timeout(PATIENCE, output).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(failed(
            format!("git {} could not be waited for: {error}", verb(args)),
            "",
        )),
        Err(_) => Err(failed(
            format!("git {} did not end within {} s", verb(args), PATIENCE.as_secs()),
            "is the disk or a network share stuck?",
        )),
    }
}

fn answered<S: AsRef<OsStr>>(args: &[S], output: Output) -> Result<Vec<u8>, RepositoryError> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(refused(args, &output))
}

/// What git says, and what a person can do about it.
const KNOWN: &[(&str, &str)] = &[
    ("No space left", "free some space; nothing was lost"),
    ("quota exceeded", "free some space; nothing was lost"),
    (
        "Permission denied",
        "the target must be writable: maestria keeps its branches in its repository",
    ),
    (
        "Read-only file system",
        "the target must be writable: maestria keeps its branches in its repository",
    ),
    (
        ".lock': File exists",
        "another git is at work there, or one was killed: when none runs, remove that lock file",
    ),
    (
        "lazy fetching disabled",
        "a partial clone lacks it and nothing is fetched by itself: `git fetch --refetch` first",
    ),
    ("bad object", "the repository is damaged: `git fsck` tells how"),
];

pub(crate) fn refused<S: AsRef<OsStr>>(args: &[S], output: &Output) -> RepositoryError {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let words = if stderr.trim().is_empty() {
        String::from_utf8_lossy(&output.stdout)
    } else {
        stderr
    };
    let words: String = words.trim().chars().take(2_000).collect();
    let hint = KNOWN
        .iter()
        .find(|(sign, _)| words.contains(sign))
        .map_or("", |(_, hint)| hint);
    failed(format!("git {}: {words}", verb(args)), hint)
}

fn verb<S: AsRef<OsStr>>(args: &[S]) -> String {
    args.first()
        .map(|a| a.as_ref().to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The parts of an output that was asked for with `-z`.
pub(crate) fn fields(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|b| *b == 0).filter(|part| !part.is_empty())
}

/// A path as git wrote it, whatever bytes it has.
pub(crate) fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Where programs are found.
pub(crate) fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}
