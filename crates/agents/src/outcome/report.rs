//! The report of an attempt: its outcome on disk before anybody is told, so that a crash in between repeats nothing.

use maestria_kernel::outcome::Outcome;
use serde::Serialize;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The file's name in the attempt's folder.
pub const NAME: &str = "report.json";

/// Writes the outcome durably: whole or not at all.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path, outcome: &Outcome) -> io::Result<PathBuf> {
    replace(folder, NAME, outcome)
}

/// Reads the outcome of an attempt that ended before; `None` when there is none that can be read.
pub fn read(folder: &Path) -> Option<Outcome> {
    let text = fs::read_to_string(folder.join(NAME)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Writes a value as JSON without secrets beside its place, then renames it there; both are on the disk when this returns.
///
/// # Errors
/// When the folder cannot be written.
pub fn replace(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<PathBuf> {
    let mut value = serde_json::to_value(value)?;
    maestria_secrets::funnel().clean_json(&mut value);
    fs::create_dir_all(folder)?;
    let (place, draft) = (folder.join(name), folder.join(format!("{name}.tmp")));
    let mut file = File::create(&draft)?;
    file.write_all(&serde_json::to_vec_pretty(&value)?)?;
    file.sync_all()?;
    fs::rename(&draft, &place)?;
    File::open(folder)?.sync_all()?;
    Ok(place)
}
