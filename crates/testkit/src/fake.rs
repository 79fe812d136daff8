//! Agent command lines that speak the real protocols and misbehave as told (binary `fake-agent`).
//!
//! The real CLIs are driven by [`crate::real`]; this one is for what they cannot be made to do on
//! demand: hang, die in the middle of a line, ignore TERM, leave a detached process behind.
//!
//! # Which agent
//!
//! `FAKE_AGENT_AS=claude|codex|acp`, or `--as NAME`, or the name the program is started under
//! (`claude`, `codex`; anything else is `acp`). All other arguments are the host's and are accepted
//! unless the plan lists them as missing.
//!
//! | agent | protocol |
//! | --- | --- |
//! | claude | stream-json control: initialize, user turns, `can_use_tool` (with rewritten input), interrupt, `result`; one-shot with `-p PROMPT`; `auth status` |
//! | codex | `app-server` JSON-RPC: thread and turn start, resume, approvals, interrupt; `login status` |
//! | acp | ACP v1: `session/new`, `load`, `prompt`, `request_permission`, `cancel` |
//!
//! `--version` and `--help` answer as the real ones do.
//!
//! # What it does
//!
//! A [`Plan`], from `FAKE_AGENT_PLAN` or `--plan` (JSON, or the path of a JSON file). `turns` is a
//! list of lists of acts, one list a prompt; the last one is repeated. A prompt may bring its own list:
//! `@acts [{"write":{"path":"a.txt","content":"x"}}]`. Without any it says `ok`.
//!
//! | act | effect |
//! | --- | --- |
//! | `{"say":"…"}` | a message |
//! | `{"say_times":[n,"…"]}` | the same message n times |
//! | `{"write":{"path":P,"content":C}}` | asks the host, writes when allowed (what the host rewrote, if it did) |
//! | `{"shell":"CMD"}` | asks the host, runs `sh -c CMD` when allowed |
//! | `{"call":"…"}` | asks the model at `ANTHROPIC_BASE_URL` this, and says its status and answer |
//! | `{"refused_write":{"path":P}}` | a write the CLI itself refuses without asking, as truthfully little reported as by the real one |
//! | `{"fail":"rate_limit"}` or `"auth"`, `"overloaded"` | ends the turn with the CLI's own error shape |
//! | `"hang"` | never answers (an interrupt ends the turn) |
//! | `"deaf"` | never answers, interrupt or not |
//! | `{"exit":N}` | ends the process at once |
//! | `{"pause":MS}` | works that long |
//! | `{"detach":PIDFILE}` | leaves a process behind in a session of its own (ends itself after ten minutes) |
//! | `{"raw":"…"}`, `{"stderr":"…"}` | a line of anything |
//! | `"invalid_utf8"`, `"truncated_json"`, `{"long_line":BYTES}` | a bad line |
//!
//! Of the whole process: `ignore_term`, `linger` (lives on after stdin closed), `die_after_lines`,
//! `exit_at_start`, `stderr_at_start`, `silent` (answers nothing, not even the handshake), `version`,
//! `missing_flags` (refused with exit 2 and not in `--help`), `logged_out`, and `counter` (a file that
//! counts prompts over processes, so that a restarted agent goes on with the next list).

mod acp;
mod act;
mod claude;
mod codex;
mod model;
mod plan;
mod wire;

use std::process::ExitCode;

pub use act::{Agent, End, Verdict};
pub use plan::{Act, Failure, Plan, PlanError};
pub use wire::{Input, Wire};

/// Which agent is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Claude,
    Codex,
    Acp,
}

impl Role {
    fn named(name: &str) -> Self {
        match name {
            "claude" => Self::Claude,
            "codex" => Self::Codex,
            _ => Self::Acp,
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Claude => "2.1.329 (Claude Code)",
            Self::Codex => "codex-cli 0.169.0",
            Self::Acp => "0.61.0",
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Claude => &[
                "--print",
                "--input-format",
                "--output-format",
                "--verbose",
                "--model",
                "--permission-mode",
                "--permission-prompt-tool",
                "--add-dir",
                "--allowedTools",
                "--max-turns",
                "--max-budget-usd",
                "--json-schema",
                "--session-id",
                "--resume",
                "--fork-session",
                "--setting-sources",
                "--strict-mcp-config",
                "--mcp-config",
                "--append-system-prompt",
                "--include-partial-messages",
            ],
            Self::Codex => &[
                "app-server",
                "exec",
                "login",
                "--json",
                "--config",
                "--sandbox",
                "--skip-git-repo-check",
                "--add-dir",
                "--output-schema",
                "--model",
                "--ephemeral",
            ],
            Self::Acp => &[
                "--acp",
                "--model",
                "--approval-mode",
                "--include-directories",
                "--skip-trust",
                "--resume",
            ],
        }
    }
}

/// Runs the fake with the arguments after the program's name.
#[must_use]
pub fn run(program: &str, args: &[String]) -> ExitCode {
    if let [word, file, ..] = args
        && let Some(code) = act::detached(word, file)
    {
        return code;
    }
    match prepared(program, args) {
        Ok((role, plan, args)) => perform(role, &plan, &args),
        Err(error) => {
            eprintln!("fake-agent: {error}");
            ExitCode::from(64)
        }
    }
}

fn prepared(program: &str, args: &[String]) -> Result<(Role, Plan, Vec<String>), PlanError> {
    let mut args = args.to_vec();
    let role = taken(&mut args, "--as").or_else(|| std::env::var("FAKE_AGENT_AS").ok());
    let stem = std::path::Path::new(program)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let plan = taken(&mut args, "--plan").or_else(|| std::env::var("FAKE_AGENT_PLAN").ok());
    let plan = plan.map_or_else(|| Ok(Plan::default()), |text| Plan::read(&text))?;
    Ok((Role::named(&role.unwrap_or(stem)), plan, args))
}

/// Takes `--name VALUE` out of the arguments.
fn taken(args: &mut Vec<String>, name: &str) -> Option<String> {
    let place = args.iter().position(|arg| arg == name)?;
    (place + 1 < args.len())
        .then(|| args.drain(place..place + 2).nth(1))
        .flatten()
}

fn perform(role: Role, plan: &Plan, args: &[String]) -> ExitCode {
    if let Some(text) = &plan.stderr_at_start {
        eprintln!("{text}");
    }
    if let Some(code) = plan.exit_at_start {
        return ExitCode::from(code);
    }
    if let Some(code) = asked(role, plan, args) {
        return code;
    }
    if let Some(flag) = args.iter().find(|arg| plan.missing_flags.contains(arg)) {
        eprintln!("error: unexpected argument '{flag}' found");
        return ExitCode::from(2);
    }
    // Keeps the handlers alive until the process ends.
    let _handlers = plan.ignore_term.then(wire::ignore_term);
    let mut wire = Wire::open(plan.die_after_lines);
    if plan.silent {
        return act::for_ever();
    }
    let code = match role {
        Role::Claude => act::play(&mut claude::Claude::new(args), plan, &mut wire),
        Role::Codex => act::play(&mut codex::Codex::default(), plan, &mut wire),
        Role::Acp => act::play(&mut acp::Acp::default(), plan, &mut wire),
    };
    if plan.linger {
        return act::for_ever();
    }
    code
}

/// Questions about the program itself.
fn asked(role: Role, plan: &Plan, args: &[String]) -> Option<ExitCode> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if words.contains(&"--version") || words.contains(&"-V") {
        println!("{}", plan.version.as_deref().unwrap_or(role.version()));
        return Some(ExitCode::SUCCESS);
    }
    if words.contains(&"--help") || words.contains(&"-h") {
        let known = role
            .flags()
            .iter()
            .filter(|flag| !plan.missing_flags.iter().any(|missing| missing == *flag));
        println!("Usage: fake-agent [OPTIONS]\n\nOptions:");
        known.for_each(|flag| println!("  {flag}"));
        return Some(ExitCode::SUCCESS);
    }
    let status = ExitCode::from(u8::from(plan.logged_out));
    match words.as_slice() {
        ["auth", "status", ..] => {
            let method = if plan.logged_out { "none" } else { "api_key" };
            println!(
                "{}",
                serde_json::json!({"loggedIn": !plan.logged_out, "authMethod": method, "apiProvider": "firstParty"})
            );
            Some(status)
        }
        ["login", "status", ..] => {
            eprintln!(
                "{}",
                if plan.logged_out {
                    "Not logged in"
                } else {
                    "Logged in using an API key"
                }
            );
            Some(status)
        }
        _ => None,
    }
}
