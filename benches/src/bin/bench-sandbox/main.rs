//! The sandbox beside a bare start and bubblewrap, what its limits hold to, and a server beside workers that want everything.
//!
//! `bench-sandbox MAESTRIA [PART]`, a part being `start`, `limits` or `bombs`.

mod bombs;
mod limits;
mod start;

use anyhow::{Context as _, ensure};
use maestria_benches::Table;
use maestria_sandbox::{Limits, Profile, Spec, Walls};
use std::path::{Path, PathBuf};

const PARTS: [&str; 3] = ["start", "limits", "bombs"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let program = PathBuf::from(args.next().context("the program maestria")?);
    let part = args.next().and_then(|part| part.into_string().ok());
    let known = part.as_deref().is_none_or(|part| PARTS.contains(&part));
    ensure!(known, "the parts are {}", PARTS.join(", "));
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let folder = tempfile::tempdir()?;
    let mut table = Table::default();
    if wanted("start") {
        start::measure(folder.path(), &mut table).await?;
    }
    if wanted("limits") {
        limits::measure(folder.path(), &mut table).await?;
    }
    if wanted("bombs") {
        bombs::measure(&program, folder.path(), &mut table).await?;
    }
    table.end();
    Ok(())
}

/// A worker as agents are started: behind its walls, with one folder to write to.
fn worker(program: &str, args: &[&str], folder: &Path, limits: Limits) -> Spec {
    let mut spec = Spec::new(program, folder);
    spec.args = args.iter().map(Into::into).collect();
    spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    spec.limits = limits;
    spec.walls = Some(Walls::new(Profile::worker([folder.to_path_buf()])));
    spec
}

/// A shell script as a worker.
fn script(text: &str, folder: &Path, limits: Limits) -> Spec {
    worker("/bin/sh", &["-c", text], folder, limits)
}
