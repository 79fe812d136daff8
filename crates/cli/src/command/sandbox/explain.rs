//! Tells a person why a program in the sandbox failed, from what it complained of.

use maestria_server::sandbox::{Network, Profile};
use std::path::{Path, PathBuf};

/// What the kernel's refusals read like, whatever the program puts before them.
const COMPLAINTS: [(&str, Wall); 9] = [
    ("Read-only file system", Wall::Place),
    ("Permission denied", Wall::Place),
    ("No such file or directory", Wall::Place),
    ("nonexistent", Wall::Place),
    ("Operation not permitted", Wall::Call),
    ("Network is unreachable", Wall::Network),
    ("Could not resolve", Wall::Network),
    ("Connection refused", Wall::Network),
    ("name resolution", Wall::Network),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wall {
    Place,
    Call,
    Network,
}

/// Lines for a person: what was refused and by which wall; nothing when the complaints are none of ours.
pub(super) fn explain(said: &str, profile: &Profile) -> Vec<String> {
    let mut refused: Vec<String> = said.lines().filter_map(|line| because(line, profile)).collect();
    refused.dedup();
    refused.truncate(5);
    if refused.is_empty() {
        return refused;
    }
    let shown = |places: &[PathBuf]| {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        places.join(", ")
    };
    let own = if profile.write.is_empty() {
        "its own /tmp".to_owned()
    } else {
        format!("{}, its own /tmp", shown(&profile.write))
    };
    let mut lines = vec![format!("maestria: refused by the sandbox, profile {}:", profile.name)];
    lines.extend(refused.into_iter().map(|reason| format!("  {reason}")));
    lines.push(format!(
        "  it may change {own}; `--rw DIR` adds a folder, `--ro DIR` one to read"
    ));
    if profile.network == Network::None {
        lines.push("  it reaches nobody; `--net HOST` adds a host".to_owned());
    } else {
        lines.push(format!("  network: {}", profile.network));
    }
    lines
}

fn because(line: &str, profile: &Profile) -> Option<String> {
    let (_, wall) = COMPLAINTS.iter().find(|(text, _)| line.contains(text))?;
    match wall {
        Wall::Place => place(line, profile),
        Wall::Call => Some(match place(line, profile) {
            Some(reason) => reason,
            None => "the system call is not one that a worker needs (mounts, namespaces, tracing, sockets)".to_owned(),
        }),
        Wall::Network => Some("its network leads to nobody but those granted".to_owned()),
    }
}

fn place(line: &str, profile: &Profile) -> Option<String> {
    let path = paths(line).find(|path| !is_changeable(path, profile))?;
    let seen = |roots: &[PathBuf]| roots.iter().any(|root| path.starts_with(root));
    let system = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt"];
    let shown: String = path.display().to_string().escape_debug().collect();
    Some(
        if path.starts_with("/proc") || path.starts_with("/sys") || path.starts_with("/dev") {
            format!("{shown} belongs to the kernel: a worker can look at its own processes and change nothing")
        } else if system.iter().any(|root| path.starts_with(root)) {
            format!("{shown} belongs to the system: a worker can read there what everybody may, and change nothing")
        } else if seen(&profile.read) || seen(&profile.write) {
            format!("{shown} can be read, not changed")
        } else {
            format!("{shown} is outside: for a worker it does not exist")
        },
    )
}

fn is_changeable(path: &Path, profile: &Profile) -> bool {
    let kept = |root: &PathBuf| profile.kept.iter().any(|name| path.starts_with(root.join(name)));
    let own = ["/tmp", "/var/tmp"].iter().any(|root| path.starts_with(root))
        && !profile.read.iter().any(|root| path.starts_with(root));
    own || profile.write.iter().any(|root| path.starts_with(root) && !kept(root))
}

/// The absolute paths that a line names.
fn paths(line: &str) -> impl Iterator<Item = PathBuf> + '_ {
    line.split(|c: char| c.is_whitespace() || "'\"`‘’()[],;".contains(c))
        .map(|word| word.trim_end_matches([':', '.']))
        .filter(|word| word.starts_with('/') && word.len() > 1)
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests;
