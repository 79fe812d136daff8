//! What bash really runs: scripts in the product's own sandbox, where every program that could matter is a stub that writes
//! down its words.

use super::grammar::{RUNNERS, STUBS};
use crate::scene::LONG;
use maestria_sandbox::{Limits, Profile, Spec, Supervised, Walls};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::io::AsyncReadExt as _;

/// Real programs that scripts may use; they do no harm where nothing else is.
const REAL: &[&str] = &[
    "sh", "bash", "env", "nohup", "timeout", "nice", "setsid", "stdbuf", "xargs", "find", "cat", "tee", "head", "mv",
    "test", "true", "false", "chmod", "ln", "mkdir",
];

/// A stub notes how many words it got, its name and its words, each ended by NUL.
const STUB: &str = r#"#!/bin/sh
printf '%s\0' $# "${0##*/}" "$@" >> 'LOG'
"#;

/// What a runner's own options leave is run, as the real one would.
const RUNNER: &str = r#"while case $1 in -u) shift 2;; -*) shift;; *=*) export "$1"; shift;; *) false;; esac; do :; done
exec "$@"
"#;

/// Processes that scripts may have: one that starts itself again and again is soon at its end.
const FAMILY: u64 = 64;

/// Each script in a folder of its own, with nothing around it; the substitution ends when the last process has let go of
/// its end, so that no script's processes write under the next one's number. A line tells which script is done.
const DRIVER: &str = r#"for script in ../scripts/*; do
    number=${script##*/}
    cd "$number" || exit 1
    said=$(exec 9>&1; timeout -s KILL 3 bash --noprofile --norc -c "$(< "../$script")" < /dev/null 2>&1)
    cd ..
    printf '%s\0' done "$number" >> 'LOG'
done
"#;

/// The words of every stub that a script started.
pub(crate) type Ran = Vec<Vec<String>>;

/// Runs scripts, and tells of each what it started.
pub(crate) async fn run(scripts: &[String]) -> Vec<Ran> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let log = root.join("work/log");
    lay_out(&root, scripts, &log);
    let mut worker = Supervised::spawn(spec(&root, &log)).unwrap();
    let mut said = String::new();
    let mut stdout = worker.take_stdout().unwrap();
    let patience = LONG + Duration::from_secs(4) * u32::try_from(scripts.len()).unwrap();
    tokio::time::timeout(patience, stdout.read_to_string(&mut said))
        .await
        .expect("the scripts end")
        .unwrap();
    let end = worker.wait().await;
    assert_eq!(end.code, Some(0), "the driver failed: {said} {end:?}");
    let ran = read(&fs::read(&log).unwrap());
    assert_eq!(ran.len(), scripts.len(), "every script was run");
    ran
}

fn lay_out(root: &Path, scripts: &[String], log: &Path) {
    for folder in ["bin", "work/bin", "work/scripts", "work/scene"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let log = log.display().to_string();
    let stub = STUB.replace("LOG", &log);
    for name in STUBS {
        place(&root.join("bin").join(name), &stub);
    }
    for name in RUNNERS {
        place(&root.join("bin").join(name), &(stub.clone() + RUNNER));
    }
    for name in REAL {
        let real = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
        let real = real
            .iter()
            .find(|path| path.exists())
            .expect("a program of every system");
        symlink(real, root.join("bin").join(name)).unwrap();
    }
    for (number, script) in scripts.iter().enumerate() {
        fs::write(root.join(format!("work/scripts/{number:06}")), script).unwrap();
        fs::create_dir(root.join(format!("work/scene/{number:06}"))).unwrap();
    }
}

fn place(path: &PathBuf, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn spec(root: &Path, log: &Path) -> Spec {
    let mut profile = Profile::worker([root.join("work")]);
    profile.read.push(root.join("bin"));
    let mut spec = Spec::new("/bin/bash", root.join("work/scene"));
    let driver = DRIVER.replace("LOG", &log.display().to_string());
    spec.args = ["--noprofile", "--norc", "-c", &driver].map(Into::into).to_vec();
    let home = root.join("work/scene").into_os_string();
    spec.env = vec![
        ("PATH".into(), root.join("bin").into_os_string()),
        ("HOME".into(), home),
        ("LC_ALL".into(), "C.UTF-8".into()),
    ];
    spec.limits = Limits {
        processes: Some(FAMILY),
        ..Limits::none()
    };
    spec.walls = Some(Walls::new(profile));
    spec
}

fn read(log: &[u8]) -> Vec<Ran> {
    let mut words = log
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned());
    let (mut all, mut ran) = (Vec::new(), Vec::new());
    while let Some(count) = words.next() {
        match count.parse::<usize>() {
            Ok(count) => ran.push(words.by_ref().take(count + 1).collect()),
            Err(_) if count == "done" => {
                words.next();
                all.push(std::mem::take(&mut ran));
            }
            Err(_) => assert!(count.is_empty(), "{count:?} is no count of words"),
        }
    }
    all
}
