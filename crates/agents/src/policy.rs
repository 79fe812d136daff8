//! One deterministic permission policy for every agent: a question in, a ruling with its rule out, before the effect.
//!
//! The rules are data (`policies/default.toml`). Paths are resolved through symlinks before they are compared; commands
//! are read as shell and decided on their real words. What cannot be decided is asked.

mod command;
mod path;
mod rules;
mod shell;
#[cfg(test)]
mod tests;

use maestria_kernel::permission::{Action, Permission, Question, Ruling};
use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

pub use path::resolve;
use rules::Rules;
pub use rules::{BadPolicy, Level};

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

/// The rules, read.
#[derive(Debug, Clone)]
pub struct Policy {
    rules: Rules,
}

#[expect(clippy::expect_used, reason = "the rules are embedded; a test reads them")]
static BUILT_IN: LazyLock<Policy> = LazyLock::new(|| {
    Policy::parse(include_str!("../../../policies/default.toml")).expect("policies/default.toml has the rules' shape")
});

impl Policy {
    /// The rules that come with the program.
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// Reads rules from TOML.
    ///
    /// # Errors
    /// [`BadPolicy`] names the key that is wrong.
    pub fn parse(text: &str) -> Result<Self, BadPolicy> {
        Rules::parse(text).map(|rules| Self { rules })
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
        if listed(&self.rules.tool.harmless) {
            permission(
                Ruling::Allow,
                "tool.harmless",
                "the tool touches nothing but the agent itself",
            )
        } else if listed(&self.rules.tool.useless) {
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
        let full = resolve(&place.worktree, &path::expanded(given, &place.home));
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
        let readable = self.rules.path.readable.iter();
        if !write
            && readable
                .flat_map(|entry| homes(entry, place))
                .any(|folder| is_in(&folder))
        {
            return Judged::plain(Ruling::Allow, "path.readable", "the path may be read by everyone");
        }
        let level = if write {
            self.rules.path.write_outside
        } else {
            self.rules.path.read_outside
        };
        Judged::plain(
            level.ruling(),
            "path.outside",
            &format!("{shown} lies outside the worktree"),
        )
    }

    fn is_secret(&self, full: &Path, place: &Place) -> bool {
        let secrets = self.rules.path.secret.iter().flat_map(|entry| homes(entry, place));
        secrets
            .into_iter()
            .any(|secret| full.starts_with(resolve(Path::new("/"), &secret)))
    }

    fn command(&self, text: &str, place: &Place) -> Permission {
        let judge = command::Judge::new(&self.rules, place);
        let finding = judge.script(text);
        // A file that a command writes is held to the same rules as one that a tool writes.
        let paths = judge.written(text).into_iter();
        let written = paths.map(|given| self.one_path(&given, place, true)).find(|judged| {
            matches!(judged.permission.ruling, Ruling::Deny | Ruling::Ask) && judged.permission.rule != "path.home"
        });
        let permission_of = |judged: Judged| judged.permission;
        match finding.level {
            Level::Deny => finding.permission(),
            Level::Ask | Level::Monitor | Level::Allow => match written.map(permission_of) {
                Some(permission) if permission.ruling == Ruling::Deny || finding.level != Level::Ask => permission,
                Some(_) | None => finding.level_or_rewritten(text, place),
            },
        }
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
