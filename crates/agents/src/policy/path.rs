//! Paths as the kernel will see them: every symlink of the part that exists is followed, `.` and `..` are gone.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

/// More links than any honest path has; what goes on is a loop.
const MOST_LINKS: usize = 40;

/// Resolves `path` from `base`, component by component. Parts that do not exist are taken as they are.
pub fn resolve(base: &Path, path: &Path) -> PathBuf {
    let mut ahead: VecDeque<OsString> = parts(&base.join(path)).collect();
    let mut done = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            done.pop();
            continue;
        }
        let next = done.join(&part);
        match fs::read_link(&next) {
            Ok(to) if links < MOST_LINKS => {
                links += 1;
                if to.is_absolute() {
                    done = PathBuf::from("/");
                }
                for part in parts(&to).collect::<Vec<_>>().into_iter().rev() {
                    ahead.push_front(part);
                }
            }
            Ok(_) | Err(_) => done = next,
        }
    }
    done
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// `~` as the worker's shell will expand it.
pub(super) fn expanded(given: &str, home: &Path) -> PathBuf {
    match given.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if given == "~" => home.to_owned(),
        None => PathBuf::from(given.strip_prefix("file://").unwrap_or(given)),
    }
}
