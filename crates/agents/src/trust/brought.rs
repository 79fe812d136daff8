//! Finds what a repository brings, and takes the fingerprint of each file of it.

use crate::worktree::{Git, failed, fields, path_of};
use maestria_kernel::port::RepositoryError;
use ring::digest::{Context, SHA256};
use serde::{Serialize, Serializer};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

/// Files and folders that a coding agent reads its settings from, wherever it finds them on the way up from where it works:
/// hooks, servers to start, permissions, base addresses, plug-ins. `bunfig.toml` is here because agents compiled with Bun
/// execute what it names.
const SETTINGS: [&str; 19] = [
    ".agents",
    ".amp",
    ".augment",
    ".claude",
    ".codex",
    ".crush.json",
    ".cursor",
    ".factory",
    ".gemini",
    ".goose",
    ".kiro",
    ".mcp.json",
    ".opencode",
    ".opencode.json",
    ".qwen",
    "bunfig.toml",
    "crush.json",
    "opencode.json",
    "opencode.jsonc",
];
/// Files that become a program's environment; those that only show what one looks like are not.
const ENVIRONMENT: [&str; 2] = [".env", ".envrc"];
const EXAMPLES: [&str; 4] = ["example", "sample", "template", "dist"];

/// More than this is no project's settings, and more than a worker's file tree can hide.
const MOST: usize = 100;
/// Files of all of them together.
const MOST_FILES: usize = 2_000;

/// What something is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Concern {
    /// Settings of an agent.
    AgentSettings,
    /// Variables for programs.
    Environment,
}

impl Concern {
    /// The words for it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::AgentSettings => "agent settings",
            Self::Environment => "environment",
        }
    }

    fn of(name: &OsStr) -> Option<Self> {
        let text = name.to_str()?;
        if SETTINGS.contains(&text) {
            return Some(Self::AgentSettings);
        }
        let variant = text.strip_prefix(".env.");
        let is_environment = ENVIRONMENT.contains(&text) || variant.is_some_and(|kind| !EXAMPLES.contains(&kind));
        is_environment.then_some(Self::Environment)
    }
}

/// What a file holds, for comparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// SHA-256 of its bytes, in hexadecimal.
    Sha256(String),
    /// Nothing that could be compared, and why: it is never trusted.
    Unknown(&'static str),
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sha256(hex) => serializer.serialize_str(hex),
            Self::Unknown(_) => serializer.serialize_none(),
        }
    }
}

/// One thing that a repository brings: a file, or a folder with all its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Brought {
    /// Where, from the top of the repository.
    pub path: PathBuf,
    /// What it is for.
    pub concern: Concern,
    /// Its files, from the top of the repository.
    pub files: BTreeMap<PathBuf, Content>,
}

/// Whose work tree is looked at.
#[derive(Debug, Clone, Copy)]
pub enum Tree<'a> {
    /// The person's own, from which a run starts: what git would commit, and these ignored files, which are taken along.
    Persons(&'a [String]),
    /// A worker's: whatever lies there, except inside folders that git knows nothing of (such as installed packages).
    Workers,
}

/// Everything that a work tree brings, in the order of the paths.
///
/// # Errors
/// When git cannot list it, or there is more of it than any project has.
pub async fn brought(top: &Path, tree: Tree<'_>) -> Result<Vec<Brought>, RepositoryError> {
    let mut found: BTreeMap<PathBuf, Brought> = BTreeMap::new();
    let root = top.canonicalize().unwrap_or_else(|_| top.to_owned());
    let mut files = 0;
    for path in listed(top, tree).await? {
        let Some((unit, concern)) = unit(&path) else { continue };
        if top.join(&path).symlink_metadata().is_err() {
            continue;
        }
        files += 1;
        let thing = found.entry(unit.clone()).or_insert_with(|| Brought {
            path: unit,
            concern,
            files: BTreeMap::new(),
        });
        let content = content(&root, &path);
        thing.files.insert(path, content);
    }
    if found.len() > MOST || files > MOST_FILES {
        let what = format!(
            "the repository at {} brings {} settings and environment files for agents ({files} files), more than can be hidden",
            top.display(),
            found.len(),
        );
        return Err(failed(
            what,
            format!("leave at most {MOST} of them there, with {MOST_FILES} files"),
        ));
    }
    Ok(found.into_values().collect())
}

/// The files that may matter, and more.
async fn listed(top: &Path, tree: Tree<'_>) -> Result<Vec<PathBuf>, RepositoryError> {
    let git = Git::at(top).await;
    let named = |options: &[&str]| -> Vec<String> {
        let both = |name: &str| [format!(":(glob)**/{name}"), format!(":(glob)**/{name}/**")];
        let names = SETTINGS.iter().chain(&ENVIRONMENT).chain(&[".env.*"]);
        let options = ["ls-files", "-z"].iter().chain(options).map(|&word| word.to_owned());
        options
            .chain(["--".to_owned()])
            .chain(names.flat_map(|name| both(name)))
            .collect()
    };
    let mut bytes = git.bytes(&named(&["--cached"])).await?;
    let mut taken = Vec::new();
    match tree {
        Tree::Persons(ignored) => {
            bytes.extend(git.bytes(&named(&["--others", "--exclude-standard"])).await?);
            taken.extend(ignored.iter().map(PathBuf::from));
        }
        Tree::Workers => bytes.extend(git.bytes(&["ls-files", "-z", "--others", "--directory"]).await?),
    }
    taken.extend(fields(&bytes).map(|path| path_of(path).components().collect()));
    Ok(taken)
}

/// The outermost part of a path that is a thing of its own.
fn unit(path: &Path) -> Option<(PathBuf, Concern)> {
    let mut above = PathBuf::new();
    for component in path.components() {
        let Component::Normal(name) = component else {
            return None;
        };
        above.push(name);
        if let Some(concern) = Concern::of(name) {
            return Some((above, concern));
        }
    }
    None
}

fn content(root: &Path, path: &Path) -> Content {
    let place = root.join(path);
    match place.symlink_metadata() {
        Ok(found) if found.is_file() => hash(&place).map_or(UNREADABLE, Content::Sha256),
        Ok(found) if found.is_symlink() => linked(root, &place),
        Ok(found) if found.is_dir() => Content::Unknown("git knows nothing of what is in it"),
        Ok(_) => Content::Unknown("it is no file"),
        Err(_) => UNREADABLE,
    }
}

const UNREADABLE: Content = Content::Unknown("it cannot be read");

/// A link counts as what it says together with what it leads to, so that neither changes unnoticed.
fn linked(root: &Path, place: &Path) -> Content {
    let (Ok(says), Ok(real)) = (fs::read_link(place), place.canonicalize()) else {
        return Content::Unknown("it is a link that leads nowhere; take it out");
    };
    let Ok(within) = real.strip_prefix(root) else {
        return Content::Unknown("it is a link out of the repository; put what it leads to in its place");
    };
    let held = match real.symlink_metadata() {
        Ok(found) if found.is_file() => hash(&real).ok(),
        // The files of that folder have fingerprints of their own.
        Ok(found) if found.is_dir() && unit(within).is_some() => Some(String::new()),
        Ok(found) if found.is_dir() => {
            return Content::Unknown("it is a link to a folder; put the folder in its place");
        }
        _ => None,
    };
    let Some(held) = held else { return UNREADABLE };
    let mut context = Context::new(&SHA256);
    for part in [b"link".as_slice(), says.as_os_str().as_bytes(), held.as_bytes()] {
        context.update(part);
        context.update(b"\0");
    }
    Content::Sha256(hexadecimal(&context))
}

fn hash(place: &Path) -> std::io::Result<String> {
    let mut file = File::open(place)?;
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; 64 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => context.update(&chunk[..read]),
        }
    }
    Ok(hexadecimal(&context))
}

fn hexadecimal(context: &Context) -> String {
    let digest = context.clone().finish();
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of a file that is brought, for a person to read, cut at `most` bytes; of a link what it says, and the text of the file
/// that it leads to.
///
/// # Errors
/// As the system says.
pub fn text(top: &Path, path: &Path, most: u64) -> std::io::Result<String> {
    let place = &top.join(path);
    let mut bytes = Vec::new();
    let found = fs::symlink_metadata(place)?;
    if found.is_file() {
        File::open(place)?.take(most).read_to_end(&mut bytes)?;
    } else if found.is_symlink() {
        bytes.extend(b"a link to ");
        bytes.extend(fs::read_link(place)?.as_os_str().as_bytes());
        bytes.push(b'\n');
        // What lies elsewhere is the person's own, and not for every eye.
        if let Content::Sha256(_) = content(&top.canonicalize()?, path)
            && place.is_file()
        {
            File::open(place)?.take(most).read_to_end(&mut bytes)?;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
