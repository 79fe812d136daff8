//! Where a path leads: every link of the part that exists is followed, `.` and `..` are gone.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

/// More links than any honest path has; what goes on is a loop.
const MOST_LINKS: usize = 40;

/// Resolves `path` from `base`, component by component. Parts that do not exist are taken as they are, and so is what
/// follows too many links: a name that nothing real has.
pub fn resolve(base: &Path, path: &Path) -> PathBuf {
    walk(base, path, true).0
}

/// The same for a decision: `None` when links lead in circles. `follow`: a link at the very end is followed, too.
pub(super) fn place(base: &Path, path: &Path, follow: bool) -> Option<PathBuf> {
    let (place, looped) = walk(base, path, follow);
    (!looped).then_some(place)
}

fn walk(base: &Path, path: &Path, follow: bool) -> (PathBuf, bool) {
    let mut ahead: VecDeque<OsString> = parts(&base.join(path)).collect();
    let mut done = PathBuf::from("/");
    let (mut links, mut looped) = (0, false);
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            done.pop();
            continue;
        }
        let next = done.join(&part);
        if ahead.is_empty() && !follow {
            return (next, looped);
        }
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
            Ok(_) => {
                looped = true;
                done = next;
            }
            Err(_) => done = next,
        }
    }
    (done, looped)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
