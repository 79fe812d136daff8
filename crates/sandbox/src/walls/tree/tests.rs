use super::{Access, BadGrant, Step, Tree};
use crate::profile::Profile;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn scene() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for name in ["work/.git/hooks", "work/src", "home", "lib"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    (folder, root)
}

fn access(tree: &Tree, path: &Path) -> Option<Access> {
    tree.places().find(|place| place.path == path).map(|place| place.access)
}

#[test]
fn what_is_granted_is_bound_and_git_is_kept() {
    let (_folder, root) = scene();
    let tree = Tree::of(&Profile::worker([root.join("work")])).unwrap();
    assert_eq!(access(&tree, &root.join("work")), Some(Access::Write));
    assert_eq!(access(&tree, &root.join("work/.git")), Some(Access::Read));
    assert_eq!(access(&tree, &root.join("home")), None);
    let at = |path: &Path| {
        tree.steps
            .iter()
            .position(|step| matches!(step, Step::Bind(place) if place.path == path))
    };
    assert!(
        at(&root.join("work")) < at(&root.join("work/.git")),
        "the outer place comes first"
    );
}

#[test]
fn links_on_the_way_are_made_again() {
    let (_folder, root) = scene();
    symlink("work", root.join("link")).unwrap();
    let tree = Tree::of(&Profile::worker([root.join("link/src")])).unwrap();
    assert_eq!(access(&tree, &root.join("work/src")), Some(Access::Write));
    let made = |step: &Step| matches!(step, Step::Link(at, to) if *at == root.join("link") && to == Path::new("work"));
    assert!(tree.steps.iter().any(made), "{:?}", tree.steps);
}

#[test]
fn a_place_within_another_is_bound_once() {
    let (_folder, root) = scene();
    let tree = Tree::of(&Profile::worker([root.join("work"), root.join("work/src")])).unwrap();
    assert_eq!(access(&tree, &root.join("work/src")), None);
}

#[test]
fn too_much_is_not_granted() {
    for path in [
        "/",
        "/tmp",
        "/dev",
        "/dev/shm",
        "/proc/self",
        "/sys/kernel",
        "/var",
        "/run",
    ] {
        let refused = Tree::of(&Profile::worker([PathBuf::from(path)]));
        assert!(
            matches!(refused, Err(BadGrant::TooMuch(_) | BadGrant::Missing(..))),
            "{path}"
        );
    }
    assert!(matches!(
        Tree::of(&Profile::worker(["relative".into()])),
        Err(BadGrant::Relative(_))
    ));
    assert!(matches!(
        Tree::of(&Profile::worker(["/nowhere/at/all".into()])),
        Err(BadGrant::Missing(..))
    ));
}

#[test]
fn links_that_go_in_circles_end() {
    let (_folder, root) = scene();
    symlink("b", root.join("a")).unwrap();
    symlink("a", root.join("b")).unwrap();
    assert!(matches!(
        Tree::of(&Profile::worker([root.join("a/x")])),
        Err(BadGrant::Missing(..))
    ));
}
