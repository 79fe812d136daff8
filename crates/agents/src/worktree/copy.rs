//! A target without git: worked on in a copy, brought back file by file.

use super::{
    evidence::add_all,
    failed,
    git::{Git, fields, path_of},
    show,
};
use maestria_kernel::port::RepositoryError;
use std::{
    io,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, fs::symlink},
    path::{Path, PathBuf},
};

/// The largest folder that is copied, in bytes.
const MOST: u64 = 2 << 30;

/// Copies a folder into the workspace and puts the copy under git. An earlier copy is kept.
///
/// The copy gets its name last: what has it is complete.
pub(super) async fn into(target: &Path, workspace: &Path) -> Result<PathBuf, RepositoryError> {
    let copied = workspace.join("target");
    if copied.is_dir() {
        return Ok(copied);
    }
    let making = workspace.join("target.making");
    let cannot = |e: io::Error| {
        failed(
            format!("{} cannot be copied: {e}", show(target)),
            "run `git init` there instead",
        )
    };
    if making.exists() {
        std::fs::remove_dir_all(&making).map_err(cannot)?;
    }
    let (from, to, without) = (target.to_owned(), making.clone(), workspace.to_owned());
    let copying = tokio::task::spawn_blocking(move || {
        let mut room = MOST;
        copy(&from, &to, &without, &mut room)
    });
    copying.await.map_err(|e| failed(e.to_string(), ""))?.map_err(cannot)?;
    Git::bare(&making).text(&["init", "--quiet", "--template="]).await?;
    let git = Git::at(&making).await;
    git.bytes(&add_all(&git).await?).await?;
    let tree = git.text(&["write-tree"]).await?;
    let commit = git.commit(&tree, &[], "The target as it was\n").await?;
    git.text(&["update-ref", "HEAD", &commit]).await?;
    std::fs::rename(&making, &copied).map_err(cannot)?;
    Ok(copied)
}

fn copy(from: &Path, to: &Path, without: &Path, room: &mut u64) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, destination) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(std::fs::read_link(&source)?, &destination)?;
        } else if kind.is_dir() && source != without {
            copy(&source, &destination, without, room)?;
        } else if kind.is_file() {
            let size = entry.metadata()?.len();
            *room = room
                .checked_sub(size)
                .ok_or_else(|| io::Error::other("it is larger than 2 GiB"))?;
            std::fs::copy(&source, &destination)?;
        }
    }
    Ok(())
}

/// What lies at a path: a file's bytes and whether it can be executed, or where a link points.
#[derive(Debug, PartialEq, Eq)]
enum Lies {
    File { bytes: Vec<u8>, executable: bool },
    Link(PathBuf),
}

/// Writes what the run changed back to the original folder: all of it, or nothing when the original has changed
/// meanwhile in a file that the run changed too.
pub(super) async fn bring_back(
    copied: &Path,
    original: &Path,
    base: &str,
    head: &str,
) -> Result<usize, RepositoryError> {
    let git = Git::at(copied).await;
    let args = [
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        base,
        head,
    ];
    let raw = git.bytes(&args).await?;
    let mut parts = fields(&raw);
    let mut plan = Vec::new();
    while let (Some(entry), Some(name)) = (parts.next(), parts.next()) {
        let entry = String::from_utf8_lossy(entry).into_owned();
        let mut words = entry.trim_start_matches(':').split(' ');
        let (Some(old), Some(new), Some(before), Some(after)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let path = original.join(path_of(name));
        let (before, after) = (kept(&git, old, before).await?, kept(&git, new, after).await?);
        let now = lies(original, &path).map_err(|e| failed(format!("{}: {e}", show(&path)), "put it right by hand"))?;
        if now != before && now != after {
            let hint = "nothing was changed; bring it to its former state, or take what you want from the copy by hand";
            return Err(failed(format!("{} has changed since the run began", show(&path)), hint));
        }
        plan.push((path, after));
    }
    // Removals first: a folder may take the place of a file, or a file that of a folder.
    let (gone, written): (Vec<_>, Vec<_>) = plan.iter().partition(|(_, after)| after.is_none());
    for (path, after) in gone.into_iter().chain(written) {
        put(original, path, after.as_ref()).map_err(|e| {
            failed(
                format!("{}: {e}", show(path)),
                "mend it and apply again; what is written stays",
            )
        })?;
    }
    Ok(plan.len())
}

/// What a commit has at a path.
async fn kept(git: &Git, mode: &str, blob: &str) -> Result<Option<Lies>, RepositoryError> {
    if !matches!(mode, "100644" | "100755" | "120000") {
        return Ok(None);
    }
    let bytes = git.bytes(&["cat-file", "blob", blob]).await?;
    Ok(Some(if mode == "120000" {
        Lies::Link(path_of(&bytes).to_owned())
    } else {
        Lies::File {
            bytes,
            executable: mode == "100755",
        }
    }))
}

/// What the original has at a path. A link among the folders above leads out of it, and is refused.
fn lies(original: &Path, path: &Path) -> io::Result<Option<Lies>> {
    let above = path.ancestors().skip(1).take_while(|p| *p != original);
    for folder in above {
        match folder.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => return Err(io::Error::other("a folder above it is a link")),
            Ok(meta) if !meta.is_dir() => return Ok(None),
            _ => {}
        }
    }
    let Ok(meta) = path.symlink_metadata() else {
        return Ok(None);
    };
    if meta.is_symlink() {
        return std::fs::read_link(path).map(|to| Some(Lies::Link(to)));
    }
    if meta.is_dir() {
        return Ok(None);
    }
    Ok(Some(Lies::File {
        bytes: std::fs::read(path)?,
        executable: meta.permissions().mode() & 0o100 != 0,
    }))
}

fn put(original: &Path, path: &Path, what: Option<&Lies>) -> io::Result<()> {
    if lies(original, path)?.as_ref() == what {
        return Ok(());
    }
    let Some(what) = what else {
        std::fs::remove_file(path)?;
        // Git knows no empty folders; those with something left in them stay by themselves.
        for folder in path.ancestors().skip(1).take_while(|p| *p != original) {
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
        return Ok(());
    };
    let folder = path.parent().unwrap_or(original);
    std::fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().as_bytes().to_vec();
    name.extend_from_slice(b".maestria-new");
    let fresh = folder.join(path_of(&name));
    let _ = std::fs::remove_file(&fresh);
    match what {
        Lies::Link(to) => symlink(to, &fresh)?,
        Lies::File { bytes, executable } => {
            std::fs::write(&fresh, bytes)?;
            let mode = path.metadata().map_or(0o644, |m| m.permissions().mode() & 0o777);
            let mode = if *executable { mode | 0o111 } else { mode & !0o111 };
            std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(mode))?;
        }
    }
    std::fs::rename(&fresh, path)
}
