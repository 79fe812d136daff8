//! What is said against everything in a repository's configuration that could start a program.

use super::{path_of, search_path};
use std::{ffi::OsString, os::unix::ffi::OsStringExt as _, path::PathBuf, process::Stdio};
use tokio::{process::Command, sync::OnceCell};

/// Settings that outrank the repository's own.
pub(super) const SAFE: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.alternateRefsCommand", ""),
    ("core.pager", "cat"),
    ("core.editor", "true"),
    ("core.askPass", ""),
    ("core.sshCommand", "false"),
    ("core.gitProxy", ""),
    ("core.quotePath", "false"),
    ("core.safecrlf", "false"),
    ("credential.helper", ""),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("gpg.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.x509.program", "false"),
    ("log.showSignature", "false"),
    ("merge.verifySignatures", "false"),
    ("merge.conflictStyle", "merge"),
    ("merge.renames", "true"),
    ("color.ui", "false"),
    ("diff.ignoreSubmodules", "all"),
    ("diff.mnemonicPrefix", "false"),
    ("diff.noprefix", "false"),
    ("diff.orderFile", "/dev/null"),
    ("submodule.recurse", "false"),
    ("rerere.enabled", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
    ("safe.directory", "*"),
    ("init.defaultBranch", "main"),
    ("i18n.commitEncoding", "utf-8"),
];

pub(super) const ENVIRONMENT: &[(&str, &str)] = &[
    ("LC_ALL", "C"),
    ("HOME", "/nonexistent"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    // A partial clone would fetch what it lacks, through programs that its configuration names.
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_EDITOR", "true"),
    ("GIT_MERGE_AUTOEDIT", "no"),
    ("GIT_AUTHOR_NAME", "Maestria"),
    ("GIT_AUTHOR_EMAIL", "maestria@localhost"),
    ("GIT_COMMITTER_NAME", "Maestria"),
    ("GIT_COMMITTER_EMAIL", "maestria@localhost"),
];

/// What git itself does with text when no driver is configured. Two binary files are a conflict, not an error.
const PLAIN_MERGE: &str = "git merge-file -q --marker-size=%L %A %O %B || exit 1";

/// What to say against one configured driver or filter.
pub(super) fn harmless(key: &[u8]) -> Vec<(OsString, OsString)> {
    let Some(dot) = key.iter().rposition(|b| *b == b'.') else {
        return Vec::new();
    };
    let (section, variable) = key.split_at(dot);
    let set = |variable: &str, value: &str| {
        let name = [section, b".", variable.as_bytes()].concat();
        (OsString::from_vec(name), OsString::from(value))
    };
    if section.starts_with(b"filter.") {
        let all = [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")];
        all.map(|(variable, value)| set(variable, value)).to_vec()
    } else if section.starts_with(b"merge.") && variable == b".driver" {
        vec![set("driver", PLAIN_MERGE)]
    } else {
        // Drivers of `diff` are kept out by `--no-ext-diff --no-textconv`: an empty command is no "none" to them.
        Vec::new()
    }
}

/// The person's own list of files to ignore. Without it, files that they never meant to commit would be taken for work.
pub(super) async fn ignores_of_the_person() -> Option<PathBuf> {
    static FOUND: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    FOUND
        .get_or_init(|| async {
            let home = PathBuf::from(std::env::var_os("HOME")?);
            let said = Command::new("git")
                .args(["config", "--global", "--type=path", "--get", "core.excludesFile"])
                .current_dir("/")
                .env_clear()
                .env("PATH", search_path())
                .env("HOME", &home)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .output()
                .await
                .ok()?;
            let configured = said
                .status
                .success()
                .then(|| path_of(said.stdout.trim_ascii_end()).to_owned());
            let standard = || {
                std::env::var_os("XDG_CONFIG_HOME")
                    .map_or_else(|| home.join(".config"), PathBuf::from)
                    .join("git/ignore")
            };
            Some(configured.unwrap_or_else(standard)).filter(|file| file.is_file())
        })
        .await
        .clone()
}
