//! The testkit's own programs, for tests of other crates.
//!
//! Cargo builds a package's binaries only for that package's own tests, so other crates ask for them here.

use std::io;
use std::path::PathBuf;
use std::process::Command;

/// The path of `fake-agent` or `model-server`, built first if it is missing or old.
///
/// # Errors
/// When cargo cannot build it; the message holds what cargo said.
pub fn program(name: &str) -> io::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    // Tests run from <target>/<profile>/deps, binaries from <target>/<profile>.
    let profile = exe.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    let (Some(profile), Some(target)) = (profile, profile.and_then(|folder| folder.parent())) else {
        return Err(io::Error::other(format!(
            "{} is not in a cargo target directory",
            exe.display()
        )));
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "build",
            "--quiet",
            "--package",
            "maestria-testkit",
            "--bin",
            name,
            "--target-dir",
        ])
        .arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
    if !built.status.success() {
        return Err(io::Error::other(format!(
            "cargo build {name}: {}",
            String::from_utf8_lossy(&built.stderr)
        )));
    }
    Ok(profile.join(name))
}
