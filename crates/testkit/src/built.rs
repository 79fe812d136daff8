//! The testkit's own programs, for tests of other crates.
//!
//! Cargo builds a package's binaries only for that package's own tests, so other crates ask for them here.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set by `cargo xtask test`, which builds the whole workspace first: the programs beside the tests are new.
pub const ALL_BUILT: &str = "MAESTRIA_ALL_BUILT";

/// The path of `fake-agent` or `model-server`, built first if it may be missing or old.
///
/// Built alone, the testkit has other features of its dependencies than in the workspace. Cargo would put that
/// build in place of the workspace's, under the feet of agents that run; so it has a target directory of its own.
///
/// # Errors
/// When cargo cannot build it; the message holds what cargo said.
pub fn program(name: &str) -> io::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    // Tests run from <target>/<profile>/deps, binaries from <target>/<profile>.
    let profile = exe.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    let (Some(profile), Some(target)) = (profile, profile.and_then(Path::parent)) else {
        return Err(io::Error::other(format!(
            "{} is not in a cargo target directory",
            exe.display()
        )));
    };
    let beside = profile.join(name);
    if std::env::var_os(ALL_BUILT).is_some() && beside.exists() {
        return Ok(beside);
    }
    build(name, &target.join("testkit"), profile.ends_with("release"))
}

fn build(name: &str, target: &Path, release: bool) -> io::Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--package", "maestria-testkit", "--bin", name])
        .arg("--target-dir")
        .arg(target);
    if release {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
    if !built.status.success() {
        return Err(io::Error::other(format!(
            "cargo build {name}: {}",
            String::from_utf8_lossy(&built.stderr)
        )));
    }
    Ok(target.join(if release { "release" } else { "debug" }).join(name))
}
