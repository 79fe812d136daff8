//! File tools, confined to the worktree by the path policy: no way out by `..`, absolute paths or links, no way into
//! `.git`, and no change to what other programs take their orders from.

use maestria_sandbox::{
    path::{Grant, Op, PathPolicy, Refused},
    policy::CommandPolicy,
};
use regex::RegexBuilder;
use std::{
    fmt::Write as _,
    io::Read as _,
    path::{Path, PathBuf},
};

/// The largest file read or written, in bytes.
const MOST: u64 = 1 << 20;

/// The most lines of an answer.
const LINES: usize = 400;

/// Why a tool did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The path policy forbids it.
    #[error("{}", .0.reason)]
    Refused(Refused),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<String> for Fault {
    fn from(told: String) -> Self {
        Self::Other(told)
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// What of a worktree the tools may touch.
fn policy(root: &Path) -> Result<PathPolicy, String> {
    let protected = &CommandPolicy::built_in().rules().path.protected;
    PathPolicy::new(&[root.to_owned()], &[], protected).map_err(|e| e.to_string())
}

/// The place of a path inside a root, as the path policy grants it.
///
/// # Errors
/// Why the path is not taken.
fn permit(policy: &PathPolicy, root: &Path, op: Op, given: &str) -> Result<Grant, Fault> {
    let root = root.canonicalize().map_err(|e| e.to_string())?;
    let grant = policy.permit(op, &root, Path::new(given))?;
    let inside = grant.path().strip_prefix(&root).unwrap_or(grant.path());
    if inside
        .components()
        .any(|part| part.as_os_str().eq_ignore_ascii_case(".git"))
    {
        return Err(Fault::Refused(Refused {
            rule: "path.git",
            reason: ".git is not to be touched".to_owned(),
        }));
    }
    Ok(grant)
}

/// Where a search or a list begins: a folder, or one file.
fn start(policy: &PathPolicy, root: &Path, given: &str) -> Result<PathBuf, Fault> {
    let folder = permit(policy, root, Op::List, given).or_else(|_| permit(policy, root, Op::Read, given));
    folder.map(|grant| grant.path().to_owned())
}

fn text_of(grant: &Grant, shown: &str) -> Result<String, String> {
    let told = |e: std::io::Error| format!("{shown}: {e}");
    let mut file = grant.open().map_err(told)?;
    let meta = file.metadata().map_err(told)?;
    if !meta.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    if meta.len() > MOST {
        return Err(format!("{shown} has {} bytes; at most {MOST} are read", meta.len()));
    }
    let mut bytes = Vec::new();
    file.by_ref().take(MOST).read_to_end(&mut bytes).map_err(told)?;
    String::from_utf8(bytes).map_err(|_| format!("{shown} is not text"))
}

/// The lines of a file, numbered.
pub(super) fn read(root: &Path, given: &str, from: usize, count: usize) -> Result<String, Fault> {
    let text = text_of(&permit(&policy(root)?, root, Op::Read, given)?, given)?;
    let from = from.max(1);
    let count = if count == 0 { LINES } else { count.min(LINES) };
    let mut out = String::new();
    for (number, line) in text.lines().enumerate().skip(from - 1).take(count) {
        let _ = writeln!(out, "{:>5}\t{line}", number + 1);
    }
    let all = text.lines().count();
    if all >= from + count {
        let _ = writeln!(out, "[{} more lines]", all + 1 - from - count);
    }
    Ok(out)
}

/// Writes a file as a whole.
pub(super) fn write(root: &Path, given: &str, content: &str) -> Result<String, Fault> {
    let grant = permit(&policy(root)?, root, Op::Write, given)?;
    if content.len() as u64 > MOST {
        return Err(Fault::Other(format!(
            "the content has {} bytes; at most {MOST} are written",
            content.len()
        )));
    }
    grant.replace(content.as_bytes()).map_err(|e| format!("{given}: {e}"))?;
    Ok(format!("{given}: {} lines written", content.lines().count()))
}

/// Replaces a piece of a file that occurs exactly once.
pub(super) fn patch(root: &Path, given: &str, search: &str, replace: &str) -> Result<String, Fault> {
    let text = text_of(&permit(&policy(root)?, root, Op::Read, given)?, given)?;
    match text.matches(search).count() {
        _ if search.is_empty() => Err(Fault::Other(
            "`search` is empty; use write_file for a new file".to_owned(),
        )),
        0 => Err(Fault::Other(format!(
            "`search` does not occur in {given}; read the file and copy the piece exactly"
        ))),
        1 => write(root, given, &text.replacen(search, replace, 1)),
        many => Err(Fault::Other(format!(
            "`search` occurs {many} times in {given}; take more lines around it"
        ))),
    }
}

fn walk(root: &Path) -> impl Iterator<Item = PathBuf> {
    let walk = ignore::WalkBuilder::new(root)
        .hidden(false)
        .filter_entry(|e| e.file_name() != ".git")
        .build();
    let root = root.to_owned();
    walk.filter_map(Result::ok)
        .filter(|e| e.file_type().is_some_and(|t| t.is_file()))
        .filter_map(move |e| e.path().strip_prefix(&root).map(Path::to_path_buf).ok())
}

/// The files of a folder, without those that git ignores.
pub(super) fn list(root: &Path, below: &str) -> Result<String, Fault> {
    let start = start(&policy(root)?, root, below)?;
    let mut names: Vec<String> = walk(&start).take(5 * LINES).map(|p| p.display().to_string()).collect();
    names.sort();
    let all = names.len();
    names.truncate(LINES);
    if all > LINES {
        names.push(format!("[{} more files; list a folder below]", all - LINES));
    }
    Ok(if names.is_empty() {
        "no files".to_owned()
    } else {
        names.join("\n")
    })
}

/// The lines that a pattern matches.
pub(super) fn search(root: &Path, pattern: &str, below: &str) -> Result<String, Fault> {
    let regex = RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|e| e.to_string())?;
    let policy = policy(root)?;
    let start = start(&policy, root, below)?;
    let mut found = Vec::new();
    for name in walk(&start) {
        let file = start.join(&name);
        let text = permit(&policy, root, Op::Read, &file.to_string_lossy()).and_then(|grant| Ok(text_of(&grant, "")?));
        let Ok(text) = text else {
            continue;
        };
        for (number, line) in text.lines().enumerate().filter(|(_, line)| regex.is_match(line)) {
            let line: String = line.chars().take(200).collect();
            found.push(format!("{}:{}: {line}", name.display(), number + 1));
            if found.len() == LINES {
                found.push("[more matches; narrow the pattern]".to_owned());
                return Ok(found.join("\n"));
            }
        }
    }
    Ok(if found.is_empty() {
        "no match".to_owned()
    } else {
        found.join("\n")
    })
}

#[cfg(test)]
mod tests {
    use super::{list, patch, read, search, write};

    #[test]
    fn there_is_no_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("w");
        std::fs::create_dir_all(root.join(".git")).unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(folder.path(), root.join("up")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("file")).unwrap();
        std::os::unix::fs::symlink(".git", root.join("g")).unwrap();
        for path in [
            "../secret",
            "/etc/passwd",
            "up/secret",
            "file",
            ".git/config",
            ".GIT/hooks/x",
            "g/config",
            "a/../../secret",
        ] {
            assert!(read(&root, path, 0, 0).is_err(), "{path}");
            assert!(write(&root, path, "x").is_err(), "{path}");
        }
        assert!(write(&root, ".vscode/tasks.json", "{}").is_err());
        assert!(write(&root, "new/deep/file.txt", "x").is_ok());
        assert_eq!(std::fs::read_to_string(folder.path().join("secret")).unwrap(), "s");
    }

    #[test]
    fn files_are_written_patched_read_and_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "src/a.txt", "one\ntwo\ntwo\n").unwrap();
        let told = |done: Result<String, super::Fault>| done.unwrap_err().to_string();
        assert!(told(patch(root, "src/a.txt", "two", "2")).contains("2 times"));
        assert!(told(patch(root, "src/a.txt", "three", "3")).contains("does not occur"));
        patch(root, "src/a.txt", "one", "1").unwrap();
        assert_eq!(read(root, "src/a.txt", 1, 1).unwrap(), "    1\t1\n[2 more lines]\n");
        assert_eq!(list(root, ".").unwrap(), "src/a.txt");
        assert_eq!(search(root, "^tw", ".").unwrap(), "src/a.txt:2: two\nsrc/a.txt:3: two");
        assert!(search(root, "(", ".").is_err());
    }
}
