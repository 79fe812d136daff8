//! `maestria policy`: what the policy makes of a command or a path, and its rules. Nothing is run.

use super::{Context, Done, Failure, lists::print_json};
use crate::{args, exit::Exit, out};
use maestria_api::{
    client::Client,
    policy::{AskedPath, Level, PathVerdict, RuleLine, Verdict},
    problem::Code,
};
use maestria_server::{
    policy::{BadPolicy, CommandPolicy, shown},
    rules::{self, BadQuestion},
};
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// The longest line of a batch: a command of the longest that is read, escaped, and its id.
const LONGEST_LINE: u64 = 1 << 20;

pub(super) async fn execute(context: &Context, verb: args::Policy) -> Done {
    match verb {
        args::Policy::Test {
            command,
            batch,
            output,
            files,
        } => {
            let rules = Rules::in_force(context, &files)?;
            match batch {
                Some(file) => each_line(&rules, &file).await,
                None => test(&rules, &as_text(&command), output.json).await,
            }
        }
        args::Policy::Path {
            op,
            cwd,
            rw,
            ro,
            path,
            output,
            files,
        } => {
            let rules = Rules::in_force(context, &files)?;
            let cwd = std::path::absolute(&cwd)?;
            decide_path(&rules, &AskedPath { op, path, cwd, rw, ro }, output.json).await
        }
        args::Policy::List { output, files } => list(&Rules::in_force(context, &files)?, output.json).await,
        args::Policy::Check { file } => {
            let policy = CommandPolicy::built_in()
                .read_file(&file)
                .map_err(|bad| unusable(&bad))?;
            policy
                .try_examples()
                .map_err(|bad| Failure::user(bad.to_string(), ""))?;
            println!("ok");
            Ok(Exit::Ok)
        }
        args::Policy::Explain { rule, output, files } => {
            explain(&Rules::in_force(context, &files)?, &rule, output.json).await
        }
    }
}

/// The rules that are asked.
enum Rules {
    /// The program's own, the person's, the project's, and those that are named.
    Here(CommandPolicy),
    /// A server's.
    There(Client),
}

impl Rules {
    fn in_force(context: &Context, files: &args::PolicyFiles) -> Result<Self, Failure> {
        if let Some(client) = context.reach.client(&context.sources)? {
            return match files.extra.first() {
                None => Ok(Self::There(client)),
                Some(file) => Err(Failure::user(
                    format!(
                        "the rules of a server are its own; {} is not asked there",
                        file.display()
                    ),
                    context.reach.how_to_stay(),
                )),
            };
        }
        let own = context.sources.policy();
        let here = std::env::current_dir()?;
        let usual = CommandPolicy::in_force(Some(&own), Some(&here)).map_err(|bad| unusable(&bad))?;
        let all = files.extra.iter().try_fold(usual, |policy, file| {
            policy.read_file(file).map_err(|bad| unusable(&bad))
        });
        Ok(Self::Here(all?))
    }

    async fn judge(&self, command: &str) -> Result<Verdict, Failure> {
        match self {
            Self::Here(policy) => Ok(rules::judge(policy, command)),
            Self::There(client) => Ok(client.test_command(command).await?),
        }
    }

    async fn judge_path(&self, asked: &AskedPath) -> Result<PathVerdict, Failure> {
        match self {
            Self::Here(policy) => rules::judge_path(policy, asked).map_err(|bad| match bad {
                BadQuestion::Op(_) => Failure {
                    exit: Exit::Usage,
                    ..Failure::user(bad.to_string(), format!("one of {}", rules::operations()))
                },
                BadQuestion::Relative | BadQuestion::Root(_) => Failure::user(bad.to_string(), ""),
            }),
            Self::There(client) => client.test_path(asked).await.map_err(|error| match error.code() {
                Some(Code::BadValue) => Failure {
                    exit: Exit::Usage,
                    ..error.into()
                },
                _ => error.into(),
            }),
        }
    }

    async fn lines(&self) -> Result<Vec<RuleLine>, Failure> {
        match self {
            Self::Here(policy) => Ok(rules::lines(policy)),
            Self::There(client) => Ok(client.rules().await?),
        }
    }
}

fn unusable(bad: &BadPolicy) -> Failure {
    let hint = match bad {
        BadPolicy::Unreadable { .. } => "",
        _ => "`maestria policy explain git.push` shows a rule with its examples",
    };
    Failure::user(bad.to_string(), hint)
}

async fn test(rules: &Rules, command: &str, json: bool) -> Done {
    let verdict = rules.judge(command).await?;
    if json {
        print_json(&verdict)?;
    } else {
        println!("{} {}", verdict.level.word(), verdict.rule);
        println!("  because  {}", shown(&verdict.reason));
        if !verdict.part.is_empty() {
            println!("  part     {}", verdict.part);
        }
    }
    Ok(exit(verdict.level))
}

/// One word is a command line; several are the words of one command, each of which means itself.
fn as_text(words: &[String]) -> String {
    match words {
        [text] => text.clone(),
        words => words
            .iter()
            .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

const fn exit(level: Level) -> Exit {
    match level {
        Level::Allow | Level::Monitor => Exit::Ok,
        Level::Confirm => Exit::Confirm,
        Level::Block => Exit::Blocked,
    }
}

#[derive(Deserialize)]
struct Asked {
    id: serde_json::Value,
    command: String,
}

#[derive(Serialize)]
struct Answered {
    id: serde_json::Value,
    #[serde(flatten)]
    verdict: Verdict,
}

/// One verdict a line, in order. A line that cannot be read is an error, and nothing after it is decided.
async fn each_line(rules: &Rules, file: &Path) -> Done {
    let wrong = |what: String| Failure::user(what, "each line is an object with `id` and `command`");
    let input: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(|error| wrong(format!("{}: {error}", file.display())))?)
    };
    let mut input = BufReader::new(input);
    for number in 1.. {
        let mut line = String::new();
        let read = input.by_ref().take(LONGEST_LINE).read_line(&mut line);
        let read = read.map_err(|error| wrong(format!("{}:{number}: {error}", file.display())))?;
        if read == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let asked: Asked =
            serde_json::from_str(&line).map_err(|error| wrong(format!("{}:{number}: {error}", file.display())))?;
        let verdict = rules.judge(&asked.command).await?;
        let answered = serde_json::to_string(&Answered { id: asked.id, verdict }).map_err(std::io::Error::from)?;
        println!("{answered}");
        if out::is_broken() {
            break;
        }
    }
    Ok(Exit::Ok)
}

async fn decide_path(rules: &Rules, asked: &AskedPath, json: bool) -> Done {
    let verdict = rules.judge_path(asked).await?;
    if json {
        print_json(&verdict)?;
    } else {
        println!(
            "{} {}\n  because  {}",
            verdict.verdict.word(),
            verdict.rule,
            verdict.reason
        );
    }
    Ok(exit(verdict.verdict))
}

async fn list(rules: &Rules, json: bool) -> Done {
    let rules = rules.lines().await?;
    if json {
        print_json(&rules)?;
        return Ok(Exit::Ok);
    }
    for rule in rules {
        println!(
            "{:8} {:24} {}",
            rule.verdict.word(),
            shown(&rule.id),
            shown(&rule.because)
        );
    }
    Ok(Exit::Ok)
}

async fn explain(rules: &Rules, id: &str, json: bool) -> Done {
    let mut rules = rules.lines().await?;
    rules.retain(|rule| rule.id == id);
    if rules.is_empty() {
        return Err(Failure::user(
            format!("there is no rule `{}`", shown(id)),
            "`maestria policy list` names them",
        ));
    }
    if json {
        print_json(&rules)?;
        return Ok(Exit::Ok);
    }
    for rule in rules {
        println!("{} {}: {}", rule.verdict.word(), shown(&rule.id), shown(&rule.because));
        println!("  about        {}", shown(&rule.about));
        for (label, examples) in [("fits", &rule.matches), ("leaves alone", &rule.not_match)] {
            examples
                .iter()
                .for_each(|example| println!("  {label:12} {}", shown(example)));
        }
    }
    Ok(Exit::Ok)
}
