//! The `git` program, told to execute nothing that a repository brings along.
//!
//! A repository is input like any other: its hooks, filters, merge and diff drivers, pagers, editors, credential and
//! ssh helpers are all programs of somebody else's choosing. None of them runs here.

use super::failed;
use maestria_kernel::port::RepositoryError;
use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use tokio::process::Command;

/// Settings on the command line win over every file.
const SAFE: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.pager=cat",
    "core.editor=true",
    "core.sshCommand=false",
    "core.quotePath=false",
    "credential.helper=",
    "commit.gpgSign=false",
    "merge.verifySignatures=false",
    "merge.ff=true",
    "merge.renames=true",
    "diff.external=",
    "diff.mnemonicPrefix=false",
    "diff.noprefix=false",
    "protocol.allow=never",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "safe.directory=*",
    "init.defaultBranch=main",
    "core.autocrlf=false",
    "user.name=Maestria",
    "user.email=maestria@localhost",
];

/// Git in one folder.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    folder: PathBuf,
    safe: Vec<String>,
    env: Vec<(OsString, OsString)>,
}

impl Git {
    /// Git in a folder, with the drivers and filters that its configuration names made harmless.
    pub(crate) async fn at(folder: &Path) -> Self {
        let mut git = Self::bare(folder);
        let named = git
            .run(&[
                "config",
                "--name-only",
                "-z",
                "--get-regexp",
                r"^(filter|merge|diff)\..*\.",
            ])
            .await;
        let Ok(output) = named else { return git };
        for key in output
            .stdout
            .split(|b| *b == 0)
            .filter_map(|k| std::str::from_utf8(k).ok())
        {
            git.safe.extend(harmless(key));
        }
        git
    }

    /// Git where there is no repository yet.
    pub(crate) fn bare(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            safe: SAFE.iter().map(|s| (*s).to_owned()).collect(),
            env: Vec::new(),
        }
    }

    /// With one more environment variable.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Whether the repository's configuration names filters (they are not run; a person should know).
    pub(crate) fn has_filters(&self) -> bool {
        self.safe.iter().any(|s| s.starts_with("filter."))
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        for (name, value) in [
            ("LC_ALL", "C"),
            ("HOME", "/nonexistent"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_EDITOR", "true"),
            ("GIT_MERGE_AUTOEDIT", "no"),
            ("GIT_ATTR_NOSYSTEM", "1"),
        ] {
            command.env(name, value);
        }
        command.envs(self.env.iter().map(|(n, v)| (n, v)));
        command.arg("--no-pager").arg("-C").arg(&self.folder);
        for setting in &self.safe {
            command.arg("-c").arg(setting);
        }
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs git and hands its output over, whatever the exit code.
    ///
    /// # Errors
    /// Only when git cannot be started.
    pub(crate) async fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Output, RepositoryError> {
        self.command(args).output().await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if self.folder.is_dir() => {
                failed("git is not installed", "install git (Debian: apt install git)")
            }
            _ => failed(
                format!("git could not be started in {}: {error}", self.folder.display()),
                "",
            ),
        })
    }

    /// Runs git and returns what it printed, as bytes.
    ///
    /// # Errors
    /// When git says no, with its own words.
    pub(crate) async fn bytes<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Vec<u8>, RepositoryError> {
        let output = self.run(args).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(refused(args, &output))
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

    /// A path inside git's own folder.
    pub(crate) async fn internal(&self, name: &str) -> Option<PathBuf> {
        let text = self.text(&["rev-parse", "--git-path", name]).await.ok()?;
        Some(self.folder.join(text))
    }

    /// Removes a lock that a killed git of ours has left; call it only where nobody else works.
    pub(crate) async fn unlock(&self) {
        if let Some(lock) = self.internal("index.lock").await {
            // Absent in every run but the one after a crash.
            let _ = std::fs::remove_file(lock);
        }
    }
}

pub(crate) fn refused<S: AsRef<OsStr>>(args: &[S], output: &Output) -> RepositoryError {
    let verb = args
        .first()
        .map(|a| a.as_ref().to_string_lossy().into_owned())
        .unwrap_or_default();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let words = if stderr.trim().is_empty() {
        String::from_utf8_lossy(&output.stdout)
    } else {
        stderr
    };
    let words: String = words.trim().chars().take(2_000).collect();
    let hint = if words.contains("No space left") {
        "free some space; nothing was lost"
    } else if words.contains("Permission denied") || words.contains("Read-only file system") {
        "the target must be writable: maestria keeps its branches in its repository"
    } else {
        ""
    };
    failed(format!("git {verb}: {words}"), hint)
}

/// What to say against one configured driver or filter.
fn harmless(key: &str) -> Vec<String> {
    let Some((section, rest)) = key.split_once('.') else {
        return Vec::new();
    };
    let Some((name, _)) = rest.rsplit_once('.') else {
        return Vec::new();
    };
    let set = |variable: &str, value: &str| format!("{section}.{name}.{variable}={value}");
    match section {
        "filter" => vec![
            set("clean", ""),
            set("smudge", ""),
            set("process", ""),
            set("required", "false"),
        ],
        // What git itself does with text.
        "merge" => vec![set("driver", "git merge-file --marker-size=%L %A %O %B")],
        "diff" => vec![set("textconv", ""), set("command", "")],
        _ => Vec::new(),
    }
}
