//! `maestria policy`: what the policy makes of a command or a path, and its rules. Nothing is run.

use super::{Context, Done, Failure, lists::print_json};
use crate::{args, exit::Exit, out};
use maestria_server::{
    path::{Op, PathPolicy},
    policy::{BadPolicy, CommandPolicy, Described, Level, Verdict, shown},
};
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// The longest line of a batch: a command of the longest that is read, escaped, and its id.
const LONGEST_LINE: u64 = 1 << 20;

pub(super) fn execute(context: &Context, verb: args::Policy) -> Done {
    match verb {
        args::Policy::Test {
            command,
            batch,
            output,
            files,
        } => {
            let policy = in_force(context, &files)?;
            match batch {
                Some(file) => each_line(&policy, &file),
                None => test(&policy, &as_text(&command), output.json),
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
            let policy = in_force(context, &files)?;
            let roots = PathPolicy::new(&rw, &ro, &policy.rules().path.protected);
            let roots = roots.map_err(|error| Failure::user(error.to_string(), ""))?;
            decide_path(&roots, &op, &cwd, &path, output.json)
        }
        args::Policy::List { output, files } => list(&in_force(context, &files)?, output.json),
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
        args::Policy::Explain { rule, output, files } => explain(&in_force(context, &files)?, &rule, output.json),
    }
}

/// The rules in force here: the program's own, the person's, the project's, and those that are named.
fn in_force(context: &Context, files: &args::PolicyFiles) -> Result<CommandPolicy, Failure> {
    let own = context.sources.policy();
    let here = std::env::current_dir()?;
    let usual = CommandPolicy::in_force(Some(&own), Some(&here)).map_err(|bad| unusable(&bad))?;
    files.extra.iter().try_fold(usual, |policy, file| {
        policy.read_file(file).map_err(|bad| unusable(&bad))
    })
}

fn unusable(bad: &BadPolicy) -> Failure {
    let hint = match bad {
        BadPolicy::Unreadable { .. } => "",
        _ => "`maestria policy explain git.push` shows a rule with its examples",
    };
    Failure::user(bad.to_string(), hint)
}

fn test(policy: &CommandPolicy, command: &str, json: bool) -> Done {
    let verdict = policy.judge(command);
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
fn each_line(policy: &CommandPolicy, file: &Path) -> Done {
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
        let verdict = policy.judge(&asked.command);
        let answered = serde_json::to_string(&Answered { id: asked.id, verdict }).map_err(std::io::Error::from)?;
        println!("{answered}");
        if out::is_broken() {
            break;
        }
    }
    Ok(Exit::Ok)
}

#[derive(Serialize)]
struct PathVerdict {
    verdict: Level,
    rule: String,
    reason: String,
}

fn decide_path(policy: &PathPolicy, op: &str, cwd: &Path, path: &Path, json: bool) -> Done {
    let Some((_, op)) = Op::ALL.into_iter().find(|(name, _)| *name == op) else {
        let names = Op::ALL.map(|(name, _)| name).join(", ");
        return Err(Failure {
            exit: Exit::Usage,
            ..Failure::user(format!("there is no operation `{op}`"), format!("one of {names}"))
        });
    };
    let cwd = std::env::current_dir()?.join(cwd);
    let verdict = match policy.permit(op, &cwd, path) {
        Ok(grant) => PathVerdict {
            verdict: Level::Allow,
            rule: "path.inside".to_owned(),
            reason: format!("it is {}", shown(&grant.path().to_string_lossy())),
        },
        Err(refused) => PathVerdict {
            verdict: Level::Block,
            rule: refused.rule.to_owned(),
            reason: refused.reason,
        },
    };
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

fn list(policy: &CommandPolicy, json: bool) -> Done {
    let rules = policy.rules().described();
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

fn explain(policy: &CommandPolicy, id: &str, json: bool) -> Done {
    let rules: Vec<Described> = policy
        .rules()
        .described()
        .into_iter()
        .filter(|rule| rule.id == id)
        .collect();
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
