//! `cargo xtask escape`: tries to get out of the real sandbox by every known way, as root and as nobody, with fewer and fewer
//! layers; and takes each layer away in turn, which must keep a program from starting.

mod scene;

use anyhow::{Context as _, bail};
pub(crate) use scene::own_address;
use scene::{Canaries, Ground};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The user who owns nothing.
const NOBODY: u32 = 65534;

/// What the tiers without a file tree of their own cannot stop: Landlock has no rule for the first four, and none that takes
/// a part out of what is granted.
const BEYOND_LANDLOCK: [&str; 5] = [
    "existence of a file",
    "mode of a file",
    "times of a file",
    "attributes of a file",
    "the granted folder's own .git",
];

/// Which of [`BEYOND_LANDLOCK`] a probe is about.
fn beyond_landlock(probe: &str) -> Option<&'static str> {
    let own_git = probe.contains(".git") && !probe.contains('~');
    let kind = if own_git {
        "the granted folder's own .git"
    } else {
        probe
    };
    BEYOND_LANDLOCK.into_iter().find(|known| *known == kind)
}

const NAMESPACES: &str = "user mounts pids net ipc uts proc tmp";

/// The layers of the product, in its words.
const LAYERS: [&str; 16] = [
    "session",
    "limits",
    "user",
    "mounts",
    "pids",
    "net",
    "ipc",
    "uts",
    "proc",
    "tmp",
    "capabilities",
    "no-new-privileges",
    "landlock",
    "seccomp",
    "descriptors",
    "environment",
];

struct Tier {
    name: &'static str,
    removed: Vec<&'static str>,
}

fn tiers() -> [Tier; 3] {
    let namespaces: Vec<&str> = NAMESPACES.split(' ').collect();
    let mut groups = namespaces.clone();
    groups.push("limits");
    [
        Tier {
            name: "full",
            removed: Vec::new(),
        },
        Tier {
            name: "no namespaces",
            removed: namespaces,
        },
        Tier {
            name: "landlock and seccomp",
            removed: groups,
        },
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Root,
    Nobody,
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Root => "from root",
            Self::Nobody => "from nobody",
        }
    }

    pub(crate) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if self == Self::Nobody && am_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

pub(crate) fn am_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

#[derive(Debug, Deserialize)]
struct Tried {
    probe: String,
    escaped: bool,
    how: String,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let bin = tempfile::tempdir()?;
    fs::set_permissions(bin.path(), fs::Permissions::from_mode(0o755))?;
    let programs = build(bin.path())?;
    let users: &[Who] = if am_root() {
        &[Who::Root, Who::Nobody]
    } else {
        println!("escape: not run as root, so only the column of an unprivileged user is tried");
        &[Who::Nobody]
    };
    let mut failed = false;
    let control = bare(&programs)?;
    println!("control: without a sandbox, {control} probes get through even for nobody");
    for who in users {
        for tier in tiers() {
            failed |= !try_tier(&programs, *who, &tier)?;
        }
    }
    let broken = users
        .iter()
        .map(|who| refused_when_broken(&programs, *who))
        .sum::<anyhow::Result<usize>>()?;
    let wanted = users.len() * LAYERS.len();
    println!("refused when broken: {broken}/{wanted}");
    if failed || broken != wanted {
        bail!("the sandbox does not hold");
    }
    Ok(())
}

struct Programs {
    maestria: PathBuf,
    escape: PathBuf,
    folder: PathBuf,
}

/// Builds the real program and the probes, and puts them where everybody may execute them.
fn build(folder: &Path) -> anyhow::Result<Programs> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "maestria-cli", "-p", "maestria-sandbox"])
        .args(["--bin", "maestria", "--example", "escape"])
        .status()
        .context("starting cargo build")?;
    if !built.success() {
        bail!("the program could not be built: {built}");
    }
    let target = std::env::current_exe()?;
    let target = target.parent().context("the target folder")?;
    let (maestria, escape) = (folder.join("maestria"), folder.join("escape"));
    fs::copy(target.join("maestria"), &maestria)?;
    fs::copy(target.join("examples/escape"), &escape)?;
    Ok(Programs {
        maestria,
        escape,
        folder: folder.to_owned(),
    })
}

/// How many probes get through where nothing stops them: a suite that always fails to get out would prove nothing.
fn bare(programs: &Programs) -> anyhow::Result<usize> {
    let mut canaries = Canaries::open(Ground::lay_out()?)?;
    let scene = canaries.scene(Who::Nobody, None)?;
    let output = Who::Nobody
        .command(&programs.escape)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("MAESTRIA_ESCAPE_SECRET", "x")
        .current_dir(&canaries.ground.work)
        .args(["all", &scene])
        .output()?;
    let tried = read(&output)?;
    Ok(tried.iter().filter(|tried| tried.escaped).count())
}

fn try_tier(programs: &Programs, who: Who, tier: &Tier) -> anyhow::Result<bool> {
    let mut canaries = Canaries::open(Ground::lay_out()?)?;
    let scene = canaries.scene(who, Some("LAUNCHER"))?;
    let mut words = vec!["--ro".to_owned(), programs.folder.display().to_string()];
    if !tier.removed.is_empty() {
        words.push("--allow-degraded".to_owned());
    }
    words.extend(
        tier.removed
            .iter()
            .flat_map(|layer| ["--remove".to_owned(), (*layer).to_owned()]),
    );
    // The shell becomes the launcher, so that its number is the launcher's.
    let script = r#"scene=$1; shift; exec "$@" "${scene%LAUNCHER*}$$${scene#*LAUNCHER}""#;
    let output = who
        .command("/bin/sh")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("MAESTRIA_ESCAPE_SECRET", "x")
        .current_dir(&canaries.ground.work)
        .args(["-c", script, "sh", &scene])
        .arg(&programs.maestria)
        .args(["sandbox", "run"])
        .args(&words)
        .arg("--")
        .arg(&programs.escape)
        .arg("all")
        .output()?;
    let tried = read(&output)?;
    if tried.len() < 200 {
        bail!(
            "only {} probes were tried: {}",
            tried.len(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let whole = tier.removed.is_empty();
    let (expected, escaped): (Vec<&Tried>, Vec<&Tried>) = tried
        .iter()
        .filter(|tried| tried.escaped)
        .partition(|tried| !whole && beyond_landlock(&tried.probe).is_some());
    let seen = canaries.disturbed(whole)?;
    println!(
        "{:<12} {:<22} probes {}, escapes {}, seen from outside {}",
        who.name(),
        tier.name,
        tried.len(),
        escaped.len(),
        seen.len(),
    );
    let expected: BTreeSet<&str> = expected
        .iter()
        .filter_map(|tried| beyond_landlock(&tried.probe))
        .collect();
    if !expected.is_empty() {
        let list: Vec<&str> = expected.into_iter().collect();
        println!("             cannot stop without namespaces: {}", list.join(", "));
    }
    for tried in &escaped {
        println!("             ESCAPED {}: {}", tried.probe, tried.how);
    }
    for sight in &seen {
        println!("             SEEN {sight}");
    }
    Ok(escaped.is_empty() && seen.is_empty())
}

fn read(output: &Output) -> anyhow::Result<Vec<Tried>> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("reading {line:?}")))
        .collect()
}

/// Takes each layer away: the launcher must notice, and the program must not run.
fn refused_when_broken(programs: &Programs, who: Who) -> anyhow::Result<usize> {
    let mut refused = 0;
    for layer in LAYERS {
        let ground = Ground::lay_out()?;
        let output = who
            .command(&programs.maestria)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&ground.work)
            .args([
                "sandbox",
                "run",
                "--remove",
                layer,
                "--",
                "/bin/sh",
                "-c",
                "echo > started",
            ])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(5) && !ground.work.join("started").exists() && said.contains(layer) {
            refused += 1;
        } else {
            println!("{:<12} started without {layer}: {said}", who.name());
        }
    }
    Ok(refused)
}
