//! `cargo xtask tidy`: the architecture as a test.
//!
//! * arrows between crates point only downwards (ARCHITECTURE.md draws them)
//! * the kernel's dependency closure has no runtime, network or database
//! * `unsafe` code and fakes stay in their rooms
//! * no file grows past reading

use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// What each crate may depend on, of ours. `testkit` is a dev-dependency only and so stands in nobody's list.
const ARROWS: &[(&str, &[&str])] = &[
    ("maestria-kernel", &[]),
    ("maestria-api", &["maestria-kernel"]),
    ("maestria-web", &[]),
    ("maestria-store", &["maestria-kernel"]),
    ("maestria-secrets", &[]),
    ("maestria-gateway", &["maestria-kernel", "maestria-secrets"]),
    ("maestria-sandbox", &["maestria-kernel"]),
    (
        "maestria-agents",
        &["maestria-kernel", "maestria-sandbox", "maestria-secrets"],
    ),
    ("maestria-engine", &["maestria-kernel", "maestria-secrets"]),
    (
        "maestria-server",
        &[
            "maestria-api",
            "maestria-web",
            "maestria-kernel",
            "maestria-store",
            "maestria-gateway",
            "maestria-sandbox",
            "maestria-secrets",
            "maestria-agents",
            "maestria-engine",
        ],
    ),
    (
        "maestria-cli",
        &["maestria-api", "maestria-kernel", "maestria-secrets", "maestria-server"],
    ),
    ("maestria-testkit", &["maestria-kernel"]),
    (
        "maestria-benches",
        &[
            "maestria-gateway",
            "maestria-kernel",
            "maestria-sandbox",
            "maestria-store",
            "maestria-testkit",
        ],
    ),
    ("xtask", &["maestria-testkit"]),
];

/// What the kernel must not even reach through others.
const IMPURE: &[&str] = &["tokio", "hyper", "reqwest", "rusqlite", "sqlx", "async-std", "mio"];

/// The longest source file, in lines.
const LONGEST: usize = 700;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    source: Option<String>,
}

/// Runs every check and reports all that is wrong at once.
pub(crate) fn run() -> anyhow::Result<()> {
    let metadata = metadata()?;
    let mut wrong = Vec::new();
    check_arrows(&metadata, &mut wrong);
    check_kernel(&metadata, &mut wrong);
    check_files(Path::new("."), &mut wrong)?;
    if wrong.is_empty() {
        println!(
            "tidy: {} crates, arrows and rooms as drawn",
            metadata.workspace_members.len()
        );
        return Ok(());
    }
    for line in &wrong {
        eprintln!("tidy: {line}");
    }
    bail!("{} things are not as ARCHITECTURE.md says", wrong.len());
}

fn metadata() -> anyhow::Result<Metadata> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .context("starting cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("reading cargo metadata")
}

fn check_arrows(metadata: &Metadata, wrong: &mut Vec<String>) {
    let members: BTreeSet<&str> = metadata.workspace_members.iter().map(String::as_str).collect();
    let ours: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|p| members.contains(p.id.as_str()))
        .collect();
    let names: BTreeSet<&str> = ours.iter().map(|p| p.name.as_str()).collect();
    for package in &ours {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            wrong.push(format!(
                "{} is not drawn; add it to ARROWS and to ARCHITECTURE.md",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            if dependency.source.as_deref().is_some_and(|s| s.starts_with("git+")) {
                wrong.push(format!("{} depends on {} from git", package.name, dependency.name));
            }
            let shipped = dependency.kind.as_deref() != Some("dev");
            if shipped && names.contains(dependency.name.as_str()) && !allowed.contains(&dependency.name.as_str()) {
                wrong.push(format!("{} must not depend on {}", package.name, dependency.name));
            }
        }
    }
}

fn check_kernel(metadata: &Metadata, wrong: &mut Vec<String>) {
    let by_name: BTreeMap<&str, &Package> = metadata.packages.iter().map(|p| (p.name.as_str(), p)).collect();
    let mut seen = BTreeSet::new();
    let mut next = vec!["maestria-kernel"];
    while let Some(name) = next.pop() {
        let Some(package) = by_name.get(name).filter(|_| seen.insert(name)) else {
            continue;
        };
        let shipped = package.dependencies.iter().filter(|d| d.kind.is_none());
        next.extend(shipped.map(|d| d.name.as_str()));
    }
    for impure in IMPURE.iter().filter(|name| seen.contains(**name)) {
        wrong.push(format!("the kernel reaches {impure}"));
    }
}

fn check_files(folder: &Path, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() {
            if !matches!(name, "target" | "node_modules") && !name.starts_with('.') {
                check_files(&path, wrong)?;
            }
        } else if name.ends_with(".rs") {
            check_source(&path, wrong)?;
        }
        if matches!(name, "utils.rs" | "common.rs" | "helpers.rs" | "misc.rs" | "mod.rs") {
            wrong.push(format!("{}: a drawer; name the noun", path.display()));
        }
    }
    Ok(())
}

fn check_source(path: &Path, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let lines = text.lines().count();
    if lines > LONGEST {
        wrong.push(format!("{}: {lines} lines; {LONGEST} are the most", path.display()));
    }
    let in_sandbox = path.starts_with("./crates/sandbox");
    let is_code = |line: &str| !line.trim_start().starts_with("//");
    if !in_sandbox
        && text
            .lines()
            .any(|l| is_code(l) && (l.contains(concat!("unsafe", " {")) || l.contains(concat!("unsafe", " fn "))))
    {
        wrong.push(format!("{}: unsafe code outside the sandbox", path.display()));
    }
    Ok(())
}
