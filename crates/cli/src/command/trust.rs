//! `maestria trust`: whether what a repository brings for agents may count.

use super::{Context, Done, Failure, by, lists::print_json, now};
use crate::{args::Output, exit::Exit, render};
use clap::{Args as ClapArgs, Subcommand};
use maestria_server::{
    Config, audit,
    sandbox::audit::{Audit, Record, fingerprint},
    trust::{self, BadBook, Book, Brought, Content, Tree, Trusted},
    trust_book,
};
use serde_json::json;
use std::{
    io::{BufRead as _, IsTerminal as _},
    path::{Path, PathBuf},
};

/// The part of a file that is shown, in bytes.
const SHOWN: u64 = 16 << 10;

#[derive(Debug, Subcommand)]
pub(crate) enum Trust {
    /// What a repository brings, and whether you trust it.
    Show(Show),
    /// Let it count for agents, as it is now; a file that changes is not trusted any more.
    Add {
        /// A folder of the repository.
        #[arg(default_value = ".", value_name = "DIR")]
        folder: PathBuf,
        /// Do not ask, because you have read it.
        #[arg(long)]
        yes: bool,
    },
    /// Trust nothing of a repository any more.
    Revoke {
        /// A folder of the repository, or where it was.
        #[arg(default_value = ".", value_name = "DIR")]
        folder: PathBuf,
    },
    /// The repositories of which you trust something.
    List(Output),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Show {
    /// A folder of the repository.
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
    /// With the text of each file.
    #[arg(long)]
    content: bool,
    #[command(flatten)]
    output: Output,
}

impl From<BadBook> for Failure {
    fn from(bad: BadBook) -> Self {
        Self::user(bad.to_string(), "")
    }
}

/// Where it is kept what is trusted, and who said so.
struct Desk {
    book: PathBuf,
    trail: Audit,
    env_files: Vec<String>,
}

impl Desk {
    fn of(config: &Config) -> Self {
        Self {
            book: trust_book(&config.store),
            trail: audit::trail(&config.store),
            env_files: config.env_files.clone(),
        }
    }

    /// Leaves a trail of what a person decided about a repository, and about which files.
    fn note(&self, top: &Path, what: &str, decision: &str, files: &[Brought]) -> Result<(), Failure> {
        let files: Vec<_> = files.iter().flat_map(|thing| &thing.files).collect();
        let of = match files.as_slice() {
            [] => String::new(),
            files => {
                let all = serde_json::to_string(files).map_err(|error| Failure::user(error.to_string(), ""))?;
                format!(", {} files, together {}", files.len(), fingerprint(&all))
            }
        };
        let record = Record {
            at: now().0,
            who: by(),
            what: format!("{what} {}{of}", top.display()),
            decision: Some(decision.to_owned()),
            ..Record::default()
        };
        let hint = "what you decided holds; `maestria audit verify` says what is wrong with the trail";
        let failed = |error| Failure::user(format!("the audit trail could not be written: {error}"), hint);
        self.trail.note(record).map_err(failed)
    }
}

pub(super) async fn execute(context: &Context, verb: Option<Trust>) -> Done {
    let config = context.config()?;
    let desk = Desk::of(&config);
    match verb {
        None => {
            let found = Found::look(&desk, Path::new(".")).await?;
            found.print(&Book::load(&desk.book)?);
        }
        Some(Trust::Show(args)) => {
            let found = Found::look(&desk, &args.folder).await?;
            let book = Book::load(&desk.book)?;
            if args.output.json {
                return print_json(&found.json(&book));
            }
            found.print(&book);
            if args.content {
                found.print_content();
            }
        }
        Some(Trust::Add { folder, yes: true }) => return add(&desk, &folder, None::<fn() -> _>).await,
        Some(Trust::Add { folder, yes: false }) => return add(&desk, &folder, Some(agreed)).await,
        Some(Trust::Revoke { folder }) => revoke(&desk, &folder).await?,
        Some(Trust::List(output)) => list(&Book::load(&desk.book)?, output.json)?,
    }
    Ok(Exit::Ok)
}

/// What a repository brings.
struct Found {
    top: PathBuf,
    brought: Vec<Brought>,
}

impl Found {
    async fn look(desk: &Desk, folder: &Path) -> Result<Self, Failure> {
        if let Err(error) = folder.metadata() {
            return Err(Failure::user(
                format!("{}: {error}", folder.display()),
                "name a folder of a git repository",
            ));
        }
        let outside = |_| {
            let hint = "only what git knows can be trusted: `git init` makes a repository of it";
            Failure::user(format!("{} is not in a git repository", folder.display()), hint)
        };
        let top = trust::repository(folder).await.map_err(outside)?;
        let brought = trust::brought(&top, Tree::Persons(&desk.env_files)).await;
        let brought = brought.map_err(|error| Failure::user(error.what, error.hint))?;
        Ok(Self { top, brought })
    }

    /// Every file with what it is for and how it stands.
    fn files(&self, book: &Book) -> Vec<(&Path, &'static str, &'static str)> {
        let trusted = book.of(&self.top);
        let all = self.brought.iter();
        all.flat_map(|thing| {
            let concern = thing.concern.words();
            thing
                .files
                .iter()
                .map(move |(path, content)| (path.as_path(), concern, standing(trusted, path, content)))
        })
        .collect()
    }

    fn json(&self, book: &Book) -> serde_json::Value {
        let files = self.files(book);
        let files = files.iter().map(|(path, concern, standing)| {
            json!({"path": path, "concern": concern.replace(' ', "-"), "standing": standing})
        });
        json!({"repository": self.top, "trusted": self.is_trusted(book), "files": files.collect::<Vec<_>>()})
    }

    fn is_trusted(&self, book: &Book) -> bool {
        self.brought.iter().all(|thing| book.trusts(&self.top, thing))
    }

    fn print(&self, book: &Book) {
        if self.brought.is_empty() {
            println!("{} brings nothing for agents", self.top.display());
            return;
        }
        println!("{} brings", self.top.display());
        let rows = self.files(book);
        let rows = rows.iter().map(|(path, concern, standing)| {
            vec![
                format!("  {}", path.display()),
                (*concern).to_owned(),
                (*standing).to_owned(),
            ]
        });
        println!("{}", render::columns(&rows.collect::<Vec<_>>()));
        if self.is_trusted(book) {
            println!("all of it counts for agents; `maestria trust revoke` ends that");
        } else {
            println!("agents and checks see nothing of what you do not trust");
            println!("read it (`maestria trust show --content`); `maestria trust add` lets it count as it is");
        }
    }

    fn print_content(&self) {
        for path in self.brought.iter().flat_map(|thing| thing.files.keys()) {
            println!("\n--- {}", render::clean(&path.display().to_string()));
            match trust::text(&self.top, path, SHOWN) {
                Ok(text) => {
                    for line in text.lines() {
                        println!("{}", render::clean(line));
                    }
                    if text.len() as u64 >= SHOWN {
                        println!("… the rest is in the file");
                    }
                }
                Err(error) => println!("it cannot be read: {error}"),
            }
        }
        println!("");
    }
}

fn standing(trusted: Option<&Trusted>, path: &Path, content: &Content) -> &'static str {
    let known = trusted.and_then(|trusted| trusted.files.get(path));
    match (content, known) {
        (Content::Unknown(why), _) => why,
        (Content::Sha256(now), Some(then)) if now == then => "trusted",
        (Content::Sha256(_), Some(_)) => "changed since you trusted it",
        (Content::Sha256(_), None) => "not trusted",
    }
}

/// Trusts what a repository brings; with `ask`, once the person has read it and agrees.
async fn add(desk: &Desk, folder: &Path, ask: Option<impl FnOnce() -> Result<bool, Failure>>) -> Done {
    let found = Found::look(desk, folder).await?;
    let top = &found.top;
    found.print(&Book::load(&desk.book)?);
    if found.brought.is_empty() {
        return Ok(Exit::Ok);
    }
    if let Some(ask) = ask {
        found.print_content();
        if !ask()? {
            desk.note(top, "trust.refused to", "refuse", &found.brought)?;
            println!("nothing is trusted");
            return Ok(Exit::User);
        }
        // What they have read is what counts, and nothing that came meanwhile.
        if Found::look(desk, folder).await?.brought != found.brought {
            desk.note(
                top,
                "trust.withheld, as it changed meanwhile, from",
                "refuse",
                &found.brought,
            )?;
            let hint = "read it again: `maestria trust add`";
            return Err(Failure::user(
                "what it brings has changed while you read it; nothing is trusted",
                hint,
            ));
        }
    }
    Book::update(&desk.book, |book| book.trust(top, &found.brought, now().0))?;
    desk.note(top, "trust.added to", "trust", &found.brought)?;
    let files = found.brought.iter().flat_map(|thing| thing.files.values());
    let known = files.filter(|content| matches!(content, Content::Sha256(_))).count();
    println!("trusted as they are: {known} files of {}", top.display());
    Ok(Exit::Ok)
}

fn agreed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let hint = "`--yes` trusts without a question, once you have read what it brings";
        return Err(Failure::user("there is no terminal to ask you on", hint));
    }
    eprint!("Let this count for agents, as it is now? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn revoke(desk: &Desk, folder: &Path) -> Result<(), Failure> {
    let given = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let top = trust::repository(&given).await.unwrap_or(given);
    if !Book::update(&desk.book, |book| book.forget(&top))? {
        return Err(Failure::user(
            format!("nothing of {} is trusted", top.display()),
            "`maestria trust list` shows the repositories of which something is",
        ));
    }
    desk.note(&top, "trust.revoked from", "revoke", &[])?;
    println!("nothing of {} is trusted any more", top.display());
    Ok(())
}

fn list(book: &Book, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(book).map(drop);
    }
    if book.repositories.is_empty() {
        println!("you trust nothing of any repository yet; `maestria trust show DIR` tells what one brings");
    }
    let rows = book.repositories.iter().map(|(top, trusted)| {
        let files = match trusted.files.len() {
            1 => "1 file".to_owned(),
            more => format!("{more} files"),
        };
        vec![top.display().to_string(), files]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        println!("{}", render::columns(&rows));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
