//! Repairs between two processes of one attempt: the least that helps, each one told, the dangerous ones refused.

use crate::{
    cli::{
        config::AgentConfig,
        drive::{Audience, Ran},
        launch::Grants,
    },
    policy::{Place, resolve},
    recovery::{
        Found, Repair,
        directory::{Bounds, Grant, grant},
    },
};
use maestria_kernel::{
    Event, TaskId,
    decision::Choice,
    permission::{Action, Question},
};
use std::path::PathBuf;

/// The most repairs in one attempt.
pub const MOST: u16 = 3;

/// What a repair comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repaired {
    /// Start again, in the same session; the agent is told this.
    Resume(String),
    /// Start again in a new session.
    Anew,
    /// Nothing can be done here.
    No,
}

/// An attempt that may be repaired.
#[derive(Debug)]
pub struct Workshop<'a> {
    /// Who hears of it.
    pub audience: &'a Audience<'a>,
    /// The task.
    pub task: TaskId,
    /// The agent's configuration.
    pub config: &'a AgentConfig,
    /// Where it works.
    pub place: &'a Place,
}

impl Workshop<'_> {
    /// Repairs a problem, if that can be done here; tells what was done, or why it was refused. `number`: from 1.
    pub async fn repair(&self, found: &Found, ran: &Ran, grants: &mut Grants, number: u16) -> Repaired {
        match found.problem.repair {
            Repair::AddDirectory => self.add_directory(found, ran, grants, number).await,
            Repair::Trust if !grants.vouched => {
                grants.vouched = true;
                self.tell(found, "vouched for the worktree, which is ours", number);
                Repaired::Anew
            }
            Repair::AllowEdits if !grants.edits && !self.place.read_only => {
                grants.edits = true;
                self.tell(found, "edits inside the worktree need no leave any more", number);
                Repaired::Resume("You may now edit files inside your working directory.".to_owned())
            }
            Repair::NewSession => {
                self.tell(found, "a new session with the whole task", number);
                Repaired::Anew
            }
            Repair::Trust | Repair::AllowEdits | Repair::None | Repair::Wait | Repair::OtherAgent | Repair::LogIn => {
                Repaired::No
            }
        }
    }

    async fn add_directory(&self, found: &Found, ran: &Ran, grants: &mut Grants, number: u16) -> Repaired {
        let Some(wanted) = &found.path else { return Repaired::No };
        let bounds = Bounds {
            person: self.place.person.as_deref(),
            target: &self.place.target,
            worktree: &self.place.worktree,
            allow_dirs: &self.config.allow_dirs,
        };
        let folder = match grant(wanted, &bounds) {
            Grant::Never(why) => {
                self.tell(found, &format!("refused: {why}"), number);
                return Repaired::No;
            }
            Grant::Add(folder) => folder,
            Grant::Ask(folder) if self.was_accepted(&folder, ran) || self.ask(&folder).await => folder,
            Grant::Ask(folder) => {
                self.tell(
                    found,
                    &format!("{} was not added: a person refused", folder.display()),
                    number,
                );
                return Repaired::No;
            }
        };
        if grants.dirs.contains(&folder) {
            // It was added, and did not help.
            return Repaired::No;
        }
        self.tell(
            found,
            &format!("added the directory {} and resumed the session", folder.display()),
            number,
        );
        let words = format!("You may now also use the directory {}.", folder.display());
        grants.dirs.push(folder);
        Repaired::Resume(words)
    }

    /// Whether a person allowed a write into this directory in the same attempt already.
    fn was_accepted(&self, folder: &PathBuf, ran: &Ran) -> bool {
        let full = |path: &String| resolve(&self.place.worktree, std::path::Path::new(path));
        ran.accepted
            .iter()
            .any(|path| full(path).parent() == Some(folder) || full(path) == *folder)
    }

    async fn ask(&self, folder: &std::path::Path) -> bool {
        let paths = vec![folder.display().to_string()];
        let question = Question::new("add directory".to_owned(), Action::Write { paths });
        let because = format!(
            "{} lies outside the worktree; the agent asks to work there, too",
            folder.display()
        );
        match self.audience.ask(&question, &because) {
            Some(answer) => answer.await == Choice::Accept,
            None => false,
        }
    }

    fn tell(&self, found: &Found, repair: &str, number: u16) {
        self.audience.tell(Event::TaskRecovered {
            task: self.task,
            problem: found.problem.id.clone(),
            repair: repair.to_owned(),
            number,
        });
    }
}
