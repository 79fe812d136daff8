//! `cargo xtask guest`: the sandbox's limits on a kernel with control groups of version 2, in an emulator, since few machines
//! have both versions. `.ci/install-guest` fetches what it needs.

mod archive;

use anyhow::{Context as _, bail, ensure};
use archive::Archive;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What the scripts of the tests start.
const PROGRAMS: [&str; 6] = ["sh", "mount", "sleep", "tail", "head", "setsid"];

/// The first process of the guest. The kernel stops when it ends, and with it the emulator.
const INIT: &str = "#!/bin/sh
export PATH=/usr/bin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 groups /sys/fs/cgroup
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
/tests limits:: --test-threads=1 --nocapture
echo \"tests ended with $?\"
";

/// What a kernel without hardware of its own is told.
const KERNEL: &str = "console=ttyS0 panic=-1 quiet cgroup_no_v1=all";

/// It takes half a minute on an idle machine.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn run() -> anyhow::Result<()> {
    let kernel = kernel().context("no kernel in .cache/guest; `.ci/install-guest` fetches one")?;
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("guest.cpio");
    fs::write(&disk, files(&tests()?)?)?;
    let told = boot(&kernel, &disk, &folder.path().join("console"))?;
    let held = told.matches("memory is held by CgroupV2").count();
    ensure!(
        told.contains("tests ended with 0") && held > 0,
        "the limits do not hold with control groups of version 2:\n{told}"
    );
    let summary = told.lines().find(|line| line.starts_with("test result"));
    println!("guest: {}", summary.unwrap_or_default());
    Ok(())
}

fn kernel() -> anyhow::Result<PathBuf> {
    let mut files = fs::read_dir(".cache/guest/boot")?.flatten();
    let kernel = files.find(|file| file.file_name().to_string_lossy().starts_with("vmlinuz-"));
    Ok(kernel.context("vmlinuz")?.path())
}

/// The sandbox's tests, as they were built for the ordinary suite.
fn tests() -> anyhow::Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["test", "--workspace", "--no-run", "--quiet", "--message-format=json"])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(built.status.success(), "the tests cannot be built");
    let lines = String::from_utf8(built.stdout)?;
    let messages = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = messages
        .filter(|message| {
            message["target"]["name"] == "it" && message["package_id"].to_string().contains("#maestria-sandbox@")
        })
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.context("the tests of maestria-sandbox")
}

/// All files of the guest.
fn files(tests: &Path) -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["proc", "sys", "dev", "tmp", "usr", "usr/bin", "usr/lib", "usr/lib64"] {
        archive.folder(folder);
    }
    for (at, to) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        archive.link(at, to);
    }
    let mut libraries = libraries(tests)?;
    for name in PROGRAMS {
        let program = Path::new("/usr/bin").join(name);
        archive.program(&format!("usr/bin/{name}"), &fs::read(&program)?);
        libraries.extend(self::libraries(&program)?);
    }
    let mut folders = BTreeSet::new();
    for library in libraries {
        // Everything of a merged system lies below `usr`.
        let place = library.trim_start_matches('/').trim_start_matches("usr/");
        let folder = place.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !["lib", "lib64"].contains(&folder) && folders.insert(folder.to_owned()) {
            archive.folder(&format!("usr/{folder}"));
        }
        archive.program(&format!("usr/{place}"), &fs::read(&library)?);
    }
    archive.program("tests", &fs::read(tests)?);
    archive.program("init", INIT.as_bytes());
    Ok(archive.end())
}

/// The libraries of a program, and its loader.
fn libraries(program: &Path) -> anyhow::Result<BTreeSet<String>> {
    let told = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8(told.stdout)?;
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(ToOwned::to_owned).collect())
}

/// What the guest says until it stops.
fn boot(kernel: &Path, disk: &Path, console: &Path) -> anyhow::Result<String> {
    let serial = format!("file:{}", console.display());
    let mut guest = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-no-reboot"])
        .args(["-nodefaults", "-display", "none", "-serial", &serial, "-append", KERNEL])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(disk)
        .stdin(Stdio::null())
        .spawn()
        .context("starting qemu-system-x86_64")?;
    let ended = end(&mut guest);
    let told = fs::read_to_string(console).unwrap_or_default().replace('\r', "");
    match ended? {
        true => Ok(told),
        false => bail!("the guest did not end within {PATIENCE:?}:\n{told}"),
    }
}

/// Whether it ended by itself.
fn end(guest: &mut Child) -> anyhow::Result<bool> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if guest.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    guest.kill()?;
    guest.wait()?;
    Ok(false)
}
