use super::{Op, PathPolicy};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

struct Ground {
    _folder: tempfile::TempDir,
    base: PathBuf,
    policy: PathPolicy,
}

/// `ws` may be written, `ws/vendor` and `ro` only read, everything else lies outside.
fn ground() -> Ground {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    for name in ["ws/src", "ws/vendor", "ro", "outside"] {
        fs::create_dir_all(base.join(name)).unwrap();
    }
    for name in ["ws/src/a.rs", "ws/vendor/v.rs", "ro/r.txt", "outside/secret"] {
        fs::write(base.join(name), "text").unwrap();
    }
    let protected = [".git", ".bashrc"].map(str::to_owned);
    let policy = PathPolicy::new(
        &[base.join("ws")],
        &[base.join("ro"), base.join("ws/vendor")],
        &protected,
    )
    .unwrap();
    Ground {
        _folder: folder,
        base,
        policy,
    }
}

impl Ground {
    fn ws(&self) -> PathBuf {
        self.base.join("ws")
    }

    fn rule(&self, op: Op, path: impl AsRef<Path>) -> &'static str {
        match self.policy.permit(op, &self.ws(), path.as_ref()) {
            Ok(_) => "allow",
            Err(refused) => refused.rule,
        }
    }
}

#[test]
fn a_path_counts_by_where_it_leads() {
    let ground = ground();
    let ws = ground.ws();
    symlink(ground.base.join("outside"), ws.join("out")).unwrap();
    symlink(ws.join("src"), ws.join("absolute")).unwrap();
    symlink("loop", ws.join("loop")).unwrap();
    symlink(ground.base.join("outside/new"), ws.join("dangling")).unwrap();
    let cases: Vec<(Op, PathBuf, &str)> = vec![
        (Op::Write, "src/a.rs".into(), "allow"),
        (Op::Write, ws.join("src/../src/a.rs"), "allow"),
        (Op::Write, "../ws/src/a.rs".into(), "allow"),
        (Op::Create, "new/deep/file".into(), "allow"),
        (Op::Write, "../../etc/passwd".into(), "path.outside"),
        (Op::Read, "/etc/passwd".into(), "path.outside"),
        (Op::Read, "out/secret".into(), "path.outside"),
        (Op::Write, "absolute/a.rs".into(), "allow"),
        (Op::Read, "loop".into(), "path.loop"),
        (Op::Create, "dangling".into(), "path.outside"),
        (Op::Delete, "dangling".into(), "allow"),
        (Op::Delete, "out".into(), "allow"),
        (Op::Read, ground.base.join("ro/r.txt"), "allow"),
        (Op::Write, ground.base.join("ro/r.txt"), "path.read_only"),
        (Op::Write, "vendor/v.rs".into(), "path.read_only"),
        (Op::Read, ground.base.join("ws-other"), "path.outside"),
        (Op::Read, "missing".into(), "path.missing"),
        (Op::Create, "src/a.rs/below".into(), "path.missing"),
        (Op::List, "src".into(), "allow"),
        (Op::List, "src/a.rs".into(), "path.no_folder"),
        (Op::Write, "src".into(), "path.folder"),
        (Op::Read, "/proc/self/root/etc/passwd".into(), "path.outside"),
        (Op::Write, PathBuf::new(), "path.invalid"),
        (Op::Write, "a\0b".into(), "path.invalid"),
        (Op::Write, "~/x".into(), "allow"),
        (Op::Write, "%2e%2e/x".into(), "allow"),
    ];
    for (op, path, wanted) in cases {
        assert_eq!(ground.rule(op, &path), wanted, "{op:?} {path:?}");
    }
}

#[test]
fn protected_names_are_so_at_any_depth_in_any_case_and_before_they_exist() {
    let ground = ground();
    for path in [
        ".git/hooks/pre-commit",
        ".GIT/config",
        "a/b/c/d/.git/config",
        "src/.bashrc",
        ".g\u{200c}it/config",
        "x/../.git",
    ] {
        assert_eq!(ground.rule(Op::Create, path), "path.protected", "{path}");
    }
    assert_eq!(ground.rule(Op::Create, ".gitignore"), "allow");
    symlink(".git", ground.ws().join("innocent")).unwrap();
    assert_eq!(ground.rule(Op::Write, "innocent/config"), "path.protected");
}

#[test]
fn roots_hard_links_and_special_files_are_not_written() {
    let ground = ground();
    let ws = ground.ws();
    fs::hard_link(ground.base.join("outside/secret"), ws.join("hard")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, ws.join("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(ws.join("socket")).unwrap();
    assert_eq!(ground.rule(Op::Write, "hard"), "path.hard_link");
    assert_eq!(ground.rule(Op::Write, "pipe"), "path.special");
    assert_eq!(ground.rule(Op::Write, "socket"), "path.special");
    assert_eq!(ground.rule(Op::Delete, "."), "path.root");
    assert_eq!(ground.rule(Op::Rename, &ws), "path.root");
    assert_eq!(ground.rule(Op::Delete, "vendor"), "path.read_only");
    assert_eq!(ground.rule(Op::Exec, "src/a.rs"), "path.no_program");
    fs::set_permissions(ws.join("src/a.rs"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(ground.rule(Op::Exec, "src/a.rs"), "allow");
}

#[test]
fn roots_must_be_folders_and_not_everything() {
    for root in ["", "/", "/missing-folder-of-no-one", "/etc/passwd"] {
        assert!(PathPolicy::new(&[root.into()], &[], &[]).is_err(), "{root}");
    }
}

#[test]
fn a_link_that_appears_after_the_check_is_not_followed() {
    let ground = ground();
    let ws = ground.ws();
    let grant = ground.policy.permit(Op::Write, &ws, Path::new("src/new.rs")).unwrap();
    fs::rename(ws.join("src"), ws.join("gone")).unwrap();
    symlink(ground.base.join("outside"), ws.join("src")).unwrap();
    assert!(grant.replace(b"x").is_err());
    assert!(grant.open().is_err());
    assert!(!ground.base.join("outside/new.rs").exists());
}

#[test]
fn a_grant_writes_whole_files_and_keeps_their_mode() {
    let ground = ground();
    let ws = ground.ws();
    fs::set_permissions(ws.join("src/a.rs"), fs::Permissions::from_mode(0o750)).unwrap();
    let grant = ground.policy.permit(Op::Write, &ws, Path::new("src/a.rs")).unwrap();
    grant.replace(b"new").unwrap();
    assert_eq!(fs::read(ws.join("src/a.rs")).unwrap(), b"new");
    assert_eq!(
        fs::metadata(ws.join("src/a.rs")).unwrap().permissions().mode() & 0o777,
        0o750
    );
    let deep = ground.policy.permit(Op::Create, &ws, Path::new("x/y/z")).unwrap();
    deep.replace(b"deep").unwrap();
    assert_eq!(fs::read(ws.join("x/y/z")).unwrap(), b"deep");
}
