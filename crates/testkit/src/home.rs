//! A HOME of its own and an environment without anything of the caller's.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A temporary HOME with a working directory inside, both removed when dropped.
#[derive(Debug)]
pub struct TestHome {
    root: TempDir,
}

impl TestHome {
    /// Makes an empty home, a temporary folder, and an empty working directory.
    ///
    /// # Errors
    /// When the temporary folder cannot be written.
    pub fn new() -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("testkit-").tempdir()?;
        for folder in ["home", "tmp", "work"] {
            std::fs::create_dir(root.path().join(folder))?;
        }
        Ok(Self { root })
    }

    /// The HOME.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// A directory to work in, outside the HOME.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Makes the working directory a git repository with one commit.
    ///
    /// # Errors
    /// When git is missing or refuses; the message holds what it said.
    pub fn git_init(&self) -> io::Result<()> {
        std::fs::write(self.work().join("README.md"), "sample\n")?;
        for words in [
            &["init", "-q", "-b", "main"][..],
            &["add", "."],
            &["commit", "-q", "-m", "start"],
        ] {
            let said = std::process::Command::new("git")
                .args(words)
                .current_dir(self.work())
                .env_clear()
                .envs(self.env())
                .output()?;
            if !said.status.success() {
                return Err(io::Error::other(format!(
                    "git {}: {}",
                    words.join(" "),
                    String::from_utf8_lossy(&said.stderr)
                )));
            }
        }
        Ok(())
    }

    /// The whole environment for a child: only PATH is the caller's.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let mut env = clean_env(&self.path());
        env.push(("TMPDIR".into(), self.root.path().join("tmp").display().to_string()));
        env
    }
}

/// An environment with `home` as HOME and nothing of the caller's but PATH, where git and node live.
#[must_use]
pub fn clean_env(home: &Path) -> Vec<(String, String)> {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let fixed = [
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
        ("NO_COLOR", "1"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "Test"),
        ("GIT_AUTHOR_EMAIL", "test@localhost"),
        ("GIT_COMMITTER_NAME", "Test"),
        ("GIT_COMMITTER_EMAIL", "test@localhost"),
    ];
    let fixed = fixed
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    [
        ("PATH".to_owned(), path),
        ("HOME".to_owned(), home.display().to_string()),
    ]
    .into_iter()
    .chain(fixed)
    .collect()
}
