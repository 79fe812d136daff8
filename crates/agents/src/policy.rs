//! One deterministic permission policy for every agent: a question in, a ruling with its rule out, before the effect.
//!
//! The rules are data (`policies/default.toml`). Paths are resolved through symlinks before they are compared; on commands
//! the one command policy of the product decides (`maestria_sandbox::policy`). What cannot be decided is asked.

#[cfg(test)]
mod tests;

use maestria_kernel::permission::{Action, Permission, Question, Ruling};
use maestria_sandbox::path::is_named;
pub use maestria_sandbox::path::resolve;
use maestria_sandbox::policy::{BadPolicy, CommandPolicy, Judgement, Level, Rules, Verdict};
use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// Where a worker stands: what is its own, and what is a person's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The worktree it works in; relative paths start here.
    pub worktree: PathBuf,
    /// The person's own checkout. Paths into it mean the same file in the worktree.
    pub target: PathBuf,
    /// The worker's private HOME.
    pub home: PathBuf,
    /// The person's home, whose secrets are out of reach.
    pub person: Option<PathBuf>,
    /// Directories outside that it was allowed.
    pub allow_dirs: Vec<PathBuf>,
    /// It may change nothing at all.
    pub read_only: bool,
}

/// The rules, and what decides by them.
#[derive(Debug, Clone)]
pub struct Policy {
    commands: CommandPolicy,
}

static BUILT_IN: LazyLock<Policy> = LazyLock::new(|| Policy::new(CommandPolicy::built_in().clone()));

impl Policy {
    /// The rules that come with the program.
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// These rules, for commands and for everything else that their files speak of.
    pub const fn new(commands: CommandPolicy) -> Self {
        Self { commands }
    }

    /// The rules for a worker in `target`: see [`CommandPolicy::in_force`].
    ///
    /// # Errors
    /// The first file that cannot be used; a worker is then not started.
    pub fn in_force(person: Option<&Path>, target: &Path) -> Result<Self, BadPolicy> {
        CommandPolicy::in_force(person, Some(target)).map(Self::new)
    }

    fn rules(&self) -> &Rules {
        self.commands.rules()
    }

    /// Rules on what a worker wants to do. Looks at the file system (symlinks), changes nothing.
    pub fn rule(&self, question: &Question, place: &Place) -> Permission {
        match &question.action {
            Action::Read { paths } => self.paths(paths, place, false),
            Action::Write { paths } if place.read_only && !paths.is_empty() => {
                permission(Ruling::Deny, "mode.read_only", "this worker may only read")
            }
            Action::Write { paths } => self.paths(paths, place, true),
            Action::Run { command } => self.command(command, place),
            Action::Fetch { url } => fetch(url),
            Action::Other { tool } => self.tool(tool),
        }
    }

    fn tool(&self, tool: &str) -> Permission {
        let listed = |list: &[String]| list.iter().any(|name| name == tool);
        if listed(&self.rules().tool.harmless) {
            permission(
                Ruling::Allow,
                "tool.harmless",
                "the tool touches nothing but the agent itself",
            )
        } else if listed(&self.rules().tool.useless) {
            permission(
                Ruling::Deny,
                "tool.useless",
                "nobody sits beside this agent; decide by yourself and go on",
            )
        } else {
            permission(
                Ruling::Ask,
                "tool.unknown",
                &format!("it cannot be told what the tool {tool} does"),
            )
        }
    }

    /// All paths of one question together: the strictest ruling wins, and a rewrite keeps the paths it does not concern.
    fn paths(&self, paths: &[String], place: &Place, write: bool) -> Permission {
        let judged: Vec<Judged> = paths.iter().map(|given| self.one_path(given, place, write)).collect();
        let worst = |wanted: fn(&Ruling) -> bool| judged.iter().find(|judged| wanted(&judged.permission.ruling));
        let decisive = worst(|ruling| *ruling == Ruling::Deny).or_else(|| worst(|ruling| *ruling == Ruling::Ask));
        if let Some(judged) = decisive {
            return judged.permission.clone();
        }
        if judged.iter().all(|judged| judged.becomes.is_none()) {
            let first = judged.into_iter().next().map(|judged| judged.permission);
            return first.unwrap_or_else(|| permission(Ruling::Allow, "path.none", "it names no file"));
        }
        let becomes = paths
            .iter()
            .zip(judged)
            .map(|(given, judged)| judged.becomes.unwrap_or_else(|| given.clone()));
        let paths = becomes.collect();
        let action = if write {
            Action::Write { paths }
        } else {
            Action::Read { paths }
        };
        let because = "the path lies in the person's own checkout; the same file in the worktree is meant";
        permission(Ruling::Rewrite { action }, "path.target", because)
    }

    fn one_path(&self, given: &str, place: &Place, write: bool) -> Judged {
        let full = resolve(&place.worktree, &expanded(given, &place.home));
        let shown = full.display();
        let is_in = |folder: &Path| full.starts_with(resolve(Path::new("/"), folder));
        if self.is_secret(&full, place) {
            return Judged::plain(
                Ruling::Deny,
                "path.secret",
                &format!("{shown} holds a person's secrets"),
            );
        }
        if write && full.components().any(|part| part.as_os_str() == ".git") {
            return Judged::plain(Ruling::Deny, "path.git", &format!("{shown} belongs to git"));
        }
        if write && self.is_protected(&full, place) {
            return Judged::plain(
                Ruling::Deny,
                "path.protected",
                &format!("{shown} decides what other programs run"),
            );
        }
        if is_in(&place.worktree) {
            return Judged::plain(Ruling::Allow, "path.inside", "the path lies in the worktree");
        }
        let target = resolve(Path::new("/"), &place.target);
        if let Ok(rest) = full.strip_prefix(&target) {
            let becomes = place.worktree.join(rest).display().to_string();
            return Judged {
                permission: permission(Ruling::Allow, "path.target", "the same file in the worktree is meant"),
                becomes: Some(becomes),
            };
        }
        if is_in(&place.home) {
            return Judged::plain(Ruling::Allow, "path.home", "the path lies in the worker's own home");
        }
        if place.allow_dirs.iter().any(|folder| is_in(folder)) {
            return Judged::plain(
                Ruling::Allow,
                "path.allowed",
                "the path lies in a directory that was allowed",
            );
        }
        let readable = self.rules().path.readable.iter();
        if !write
            && readable
                .flat_map(|entry| homes(entry, place))
                .any(|folder| is_in(&folder))
        {
            return Judged::plain(Ruling::Allow, "path.readable", "the path may be read by everyone");
        }
        let path = &self.rules().path;
        let level = if write { path.write_outside } else { path.read_outside };
        Judged::plain(
            ruling(level.unwrap_or(Level::Confirm)),
            "path.outside",
            &format!("{shown} lies outside the worktree"),
        )
    }

    /// Whether a path in the worktree or the target goes through a name that no worker changes.
    fn is_protected(&self, full: &Path, place: &Place) -> bool {
        let roots = [&place.worktree, &place.target].map(|root| resolve(Path::new("/"), root));
        let inside = roots.iter().find_map(|root| full.strip_prefix(root).ok());
        let protected = &self.rules().path.protected;
        inside.is_some_and(|inside| inside.components().any(|part| is_named(protected, part.as_os_str())))
    }

    /// Whether a path in a worktree, relative to it, goes through such a name.
    pub fn protects(&self, path: &Path) -> bool {
        let protected = &self.rules().path.protected;
        path.components().any(|part| is_named(protected, part.as_os_str()))
    }

    fn is_secret(&self, full: &Path, place: &Place) -> bool {
        let secrets = self.rules().path.secret.iter().flat_map(|entry| homes(entry, place));
        secrets
            .into_iter()
            .any(|secret| full.starts_with(resolve(Path::new("/"), &secret)))
    }

    fn command(&self, text: &str, place: &Place) -> Permission {
        let Judgement { verdict, writes } = self.commands.look_at(text, place.read_only);
        if verdict.level == Level::Block {
            return permission_of(&verdict);
        }
        // A file that a command writes is held to the same rules as one that a tool writes.
        let judged = writes.iter().map(|given| self.one_path(given, place, true).permission);
        let mut held = judged.filter(|permission| matches!(permission.ruling, Ruling::Deny | Ruling::Ask));
        match held.next() {
            Some(held) if held.ruling == Ruling::Deny || verdict.level != Level::Confirm => held,
            Some(_) | None => permission_or_rewritten(&verdict, text, place),
        }
    }
}

const fn ruling(level: Level) -> Ruling {
    match level {
        Level::Allow | Level::Monitor => Ruling::Allow,
        Level::Confirm => Ruling::Ask,
        Level::Block => Ruling::Deny,
    }
}

fn permission_of(verdict: &Verdict) -> Permission {
    let note = if verdict.level == Level::Monitor {
        "; monitored"
    } else {
        ""
    };
    let part = if verdict.part.is_empty() {
        String::new()
    } else {
        format!(": {}", verdict.part)
    };
    permission(
        ruling(verdict.level),
        &verdict.rule,
        &format!("{}{part}{note}", verdict.reason),
    )
}

/// The ruling, with paths into the person's own checkout led into the worktree.
fn permission_or_rewritten(verdict: &Verdict, text: &str, place: &Place) -> Permission {
    let target = place.target.display().to_string();
    if !matches!(verdict.level, Level::Allow | Level::Monitor) || !names(text, &target, place) {
        return permission_of(verdict);
    }
    let command = text.replace(&target, &place.worktree.display().to_string());
    let because = "it names the person's own checkout; the same place in the worktree is meant";
    let action = Action::Run { command };
    permission(Ruling::Rewrite { action }, "command.target", because)
}

/// Whether a command names the target itself or something in it, and not a neighbour with a longer name, and not the
/// worktree where that lies inside the target.
fn names(text: &str, target: &str, place: &Place) -> bool {
    let inside = place.worktree.starts_with(&place.target);
    !inside
        && target.len() > 1
        && text.match_indices(target).any(|(at, _)| {
            let next = text[at + target.len()..].chars().next();
            next.is_none_or(|c| c == '/' || c.is_whitespace() || "\"';&|)`".contains(c))
        })
}

/// `~` as the worker's shell will expand it.
fn expanded(given: &str, home: &Path) -> PathBuf {
    match given.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if given == "~" => home.to_owned(),
        None => PathBuf::from(given.strip_prefix("file://").unwrap_or(given)),
    }
}

/// A path's ruling, and what it becomes if it means another one.
#[derive(Debug, Clone)]
struct Judged {
    permission: Permission,
    becomes: Option<String>,
}

impl Judged {
    fn plain(ruling: Ruling, rule: &str, because: &str) -> Self {
        Self {
            permission: permission(ruling, rule, because),
            becomes: None,
        }
    }
}

/// A rule's path in the homes it may mean.
fn homes(entry: &str, place: &Place) -> Vec<PathBuf> {
    match entry.strip_prefix("~/") {
        None => vec![PathBuf::from(entry)],
        Some(rest) => {
            let homes = std::iter::once(&place.home).chain(&place.person);
            homes.map(|home| home.join(rest)).collect()
        }
    }
}

fn fetch(url: &str) -> Permission {
    if url.starts_with("http://") || url.starts_with("https://") || !url.contains("://") {
        permission(Ruling::Allow, "fetch.web", "reads from the web")
    } else {
        permission(Ruling::Ask, "fetch.scheme", &format!("{url} is not a web address"))
    }
}

fn permission(ruling: Ruling, rule: &str, because: &str) -> Permission {
    Permission {
        ruling,
        rule: rule.to_owned(),
        because: because.to_owned(),
    }
}
