//! What a person agrees to for ever: the rule they are shown, how it gets into their policy, and that it counts at once.

use super::{Place, Policy};
use maestria_kernel::permission::{Action, Lasting, Permission, Question, Ruling};
use maestria_sandbox::policy::CommandPolicy;
use std::{
    borrow::Cow,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

impl Policy {
    /// As [`Policy::rule`]; but before a person is asked, what they have agreed to meanwhile is read again.
    pub fn rule_now(&self, question: &Question, place: &Place) -> Permission {
        let permission = self.rule(question, place);
        let again = || {
            let (person, target) = self.source.as_ref()?;
            Self::in_force(person.as_deref(), target).ok()
        };
        match permission.ruling {
            Ruling::Ask => again().map_or(permission, |policy| policy.rule(question, place)),
            Ruling::Allow | Ruling::Deny | Ruling::Rewrite { .. } => permission,
        }
    }

    /// A question with the rule by which it would never be asked again, where there can be one: for commands that one rule
    /// asks about, when there is a person's file, and no secret in them.
    pub fn offering(&self, question: Question, permission: &Permission) -> Question {
        let lasting = self.lasting(&question, permission);
        Question { lasting, ..question }
    }

    fn lasting(&self, question: &Question, permission: &Permission) -> Option<Lasting> {
        let Action::Run { command } = &question.action else {
            return None;
        };
        let (Some(file), target) = self.source.as_ref()? else {
            return None;
        };
        // A file that the command writes is held by a rule about paths, which no agreement about a command answers.
        let of_path = permission.rule.starts_with("path.");
        if of_path || matches!(maestria_secrets::funnel().clean(command), Cow::Owned(_)) {
            return None;
        }
        let (id, rule) = self.commands.lasting(command, target)?;
        let file = file.to_str()?.to_owned();
        Some(Lasting { file, id, rule })
    }
}

/// Adds a rule to a policy file: whole or not at all, and only if the file can be used with it. A rule that is there is left.
///
/// # Errors
/// Why it is not there now, with a hint.
pub fn keep(lasting: &Lasting) -> Result<(), String> {
    let file = Path::new(&lasting.file);
    let told = |error: io::Error| format!("{}: {error}; see to the folder's rights", file.display());
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(told)?;
    // One writer at a time, whichever process it is in; closing it lets go.
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(file.with_extension("lock"))
        .map_err(told)?;
    lock.lock().map_err(told)?;
    let mut text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(told)?,
    };
    if text.lines().any(|line| line == format!("id = \"{}\"", lasting.id)) {
        return Ok(());
    }
    if !text.is_empty() {
        text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
    }
    text.push_str(&lasting.rule);
    let tried = CommandPolicy::built_in().with_file(&text, &lasting.file);
    tried.map_err(|bad| format!("{bad}; mend the file and answer again"))?;
    replace(file, &text).map_err(told)
}

fn replace(file: &Path, text: &str) -> io::Result<()> {
    let draft = file.with_extension("draft");
    let mut new = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&draft)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(&draft, file)?;
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
