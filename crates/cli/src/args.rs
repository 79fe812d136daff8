//! The command line.

use crate::{
    command::{audit, budget, gateway, keys, models, route, sandbox, secrets, serve, trust, usage},
    place::Reach,
};
use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::Shell;
use maestria_kernel::Cost;
use std::path::PathBuf;

/// Runs AI agents on a task: plan, edit, review, validate; in worktrees, within a budget, and never loses a run.
#[derive(Debug, Parser)]
#[command(name = "maestria", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Args {
    /// Configuration file instead of the usual one.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Tell more: every event, and the log.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// How the log is written: for people, or one JSON object a line; with `json` it tells how work goes on.
    #[arg(
        long,
        global = true,
        value_enum,
        env = "MAESTRIA_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub(crate) log_format: LogFormat,
    /// No colours (also: NO_COLOR).
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The whole job on a sample repository: nothing to install, no key; the models' answers are scripted.
    Demo(Demo),
    /// Take a task through plan, edit and review.
    Run(Run),
    /// Runs, newest first.
    Runs(Runs),
    /// One run: its plan, tasks, reviews, costs.
    Show(Which),
    /// A run's events, one JSON a line.
    Events {
        #[command(flatten)]
        which: Which,
        /// Go on as new ones come, until the run ends.
        #[arg(long, short)]
        follow: bool,
        /// Those of all runs after this number instead (0: from the beginning), with their numbers.
        #[arg(long, value_name = "NUMBER", conflicts_with = "run")]
        since: Option<u64>,
        /// JSON lines, which it always prints.
        #[arg(long)]
        jsonl: bool,
    },
    /// What happens, line by line: in one run until it ends, or in all of them from now on.
    Tail {
        /// The run: its id, the end of it, or `last`.
        run: Option<String>,
    },
    /// A run's change as a unified diff.
    Diff {
        #[command(flatten)]
        which: Which,
        /// Only this task's, such as E2.
        #[arg(long)]
        task: Option<String>,
    },
    /// Bring a completed run's work onto your branch.
    Apply(Which),
    /// Throw a run's work away.
    Discard(Which),
    /// Hold a run; its workers are frozen.
    Pause(Which),
    /// Go on with a run: after a pause, a crash, a reboot.
    Resume(Face),
    /// End a run; its workers are stopped.
    Abort {
        #[command(flatten)]
        which: Which,
        /// Why, for the log.
        #[arg(long, default_value = "")]
        because: String,
    },
    /// Start what failed, was skipped or cancelled again.
    Retry(Face),
    /// Do a task, and all that needs it, again.
    Rerun {
        #[command(flatten)]
        face: Face,
        /// The first task to do again, such as E2.
        #[arg(long, value_name = "TASK")]
        from: String,
        /// What the agent of that task is told.
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Tell the agent of a task something: it goes with the next attempt, and work that is done before that is sent back
    /// with it.
    Tell {
        #[command(flatten)]
        which: Which,
        /// The task, such as E2; not needed when there is only one.
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
        /// The file it is about.
        #[arg(long, value_name = "PATH")]
        file: Option<String>,
        /// The line of the file.
        #[arg(long, value_name = "NUMBER", requires = "file")]
        line: Option<u32>,
        /// What is said.
        #[arg(long, value_name = "TEXT")]
        message: String,
    },
    /// Have a run's work reviewed now.
    Review(Face),
    /// Questions that wait for you.
    Decisions {
        #[command(subcommand)]
        verb: Option<Decisions>,
    },
    /// What a run's workers did or tried that they may not.
    Violations(Which),
    /// What a repository brings for agents (settings, hooks, servers, environment files), and whether it may count.
    Trust {
        #[command(subcommand)]
        verb: Option<trust::Trust>,
    },
    /// The agents.
    Agents {
        #[command(subcommand)]
        verb: Option<Agents>,
    },
    /// Serve the dashboard and the API, and drive runs, until it is told to stop.
    Serve(serve::Serve),
    /// Open the dashboard of the server that runs.
    Open,
    /// The token of the server, which lets in whoever has it.
    Token {
        #[command(subcommand)]
        verb: Option<serve::Token>,
    },
    /// Serve models to anything that speaks OpenAI, Anthropic or Gemini.
    Gateway(gateway::Gateway),
    /// Which model would answer a prompt, and why; nobody is called.
    Route(route::Route),
    /// The configured models, and what models cost.
    Models {
        #[command(subcommand)]
        verb: Option<models::Models>,
    },
    /// What was called, by whom, and what it cost.
    Usage(usage::Usage),
    /// What the gateway may spend, and what it has spent.
    Budget {
        #[command(subcommand)]
        verb: Option<budget::Budget>,
    },
    /// The keys of the gateway's clients.
    Keys {
        #[command(subcommand)]
        verb: Option<keys::Keys>,
    },
    /// The keys of providers, encrypted.
    Secrets {
        #[command(subcommand)]
        verb: Option<secrets::Secrets>,
    },
    /// Check this machine: git, agents, sandbox, disk, clock, configuration.
    Doctor(Output),
    /// The configuration.
    Config {
        #[command(subcommand)]
        verb: Config,
    },
    /// The policy: what a worker may run and touch.
    Policy {
        #[command(subcommand)]
        verb: Policy,
    },
    /// The sandbox that workers run in.
    Sandbox {
        #[command(subcommand)]
        verb: sandbox::Sandbox,
    },
    /// The audit trail: who did what, on whose leave.
    Audit {
        #[command(subcommand)]
        verb: Option<audit::Verb>,
    },
    /// Completions for a shell, on stdout.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// The task, in your words; `-` reads it from stdin.
    pub(crate) task: String,
    /// The folder to work on.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) target: PathBuf,
    /// Where the session's folders and worktrees go.
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
    /// Which stages: develop, plan, review, or one of your own.
    #[arg(long, default_value = "develop")]
    pub(crate) workflow: String,
    /// Only these agents, the preferred first.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) agents: Vec<String>,
    /// The most it may cost, in dollars.
    #[arg(long, value_name = "DOLLARS")]
    pub(crate) budget: Option<Cost>,
    #[command(flatten)]
    pub(crate) beside: Beside,
    /// Make and print the plan; do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Work on a copy when the target is not in a git repository.
    #[arg(long)]
    pub(crate) copy: bool,
    /// With `--server`: print the run's id and leave; the server goes on.
    #[arg(long, conflicts_with_all = ["jsonl", "yes"])]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) manner: Manner,
}

#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Beside {
    /// Port of the dashboard, instead of the one of `listen` of [server] (or a free one when that is taken).
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// No dashboard beside the run.
    #[arg(long)]
    pub(crate) no_dashboard: bool,
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Manner {
    /// Events as JSON lines on stdout instead of the live view.
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// The run as one JSON document on stdout at the end, instead of the summary.
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) json: bool,
    /// Take the recommended answer to every decision, but never raise a budget.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Where the sample repository and the session go; a temporary folder if not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) beside: Beside,
    #[command(flatten)]
    pub(crate) manner: Manner,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Which {
    /// The run: its id, the end of it, or `last`.
    #[arg(default_value = "last")]
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Face {
    /// The run: its id, the end of it, or `last`.
    #[arg(default_value = "last")]
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) manner: Manner,
}

/// Which runs are listed.
#[derive(Debug, ClapArgs)]
pub(crate) struct Runs {
    /// Only those in these states (`executing`, `failed`, …) or groups (`open`, `finished`), with commas between.
    #[arg(long, value_name = "STATES")]
    pub(crate) state: Option<String>,
    /// So many at most: 50 if not given, with `--json` all.
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Output {
    /// As one JSON document on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Decisions {
    /// All questions that wait, of all runs.
    List(Output),
    /// One question with its context and options.
    Show {
        /// The decision: its id or the end of it.
        id: String,
    },
    /// Approve: take the first option, or the one named.
    Approve {
        /// The decision: its id or the end of it.
        id: String,
        /// Another option: accept, always, retry, skip, raise, stop.
        #[arg(long)]
        option: Option<String>,
        /// Why; a retried worker is told it.
        #[arg(long, default_value = "")]
        because: String,
    },
    /// Deny: take the last option.
    Deny {
        /// The decision: its id or the end of it.
        id: String,
        /// Why.
        #[arg(long)]
        because: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Agents {
    /// The configured agents, without starting them.
    List(Output),
    /// Start each agent: version, flags, login.
    Probe(Output),
    /// Read a recorded stream of an agent as a live one is read; prints the events and, last, the outcome.
    Replay {
        /// Which agent's stream: claude, codex, gemini, opencode, acp.
        agent: String,
        /// The recorded stdout.
        stream: PathBuf,
        /// The recorded stderr.
        #[arg(long, value_name = "FILE")]
        stderr: Option<PathBuf>,
        /// The recorded exit code.
        #[arg(long, value_name = "CODE")]
        exit: Option<i32>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Write a commented configuration file.
    Init {
        /// Replace an existing one.
        #[arg(long)]
        force: bool,
    },
    /// The configuration in force.
    Show {
        /// With where each value comes from.
        #[arg(long)]
        origin: bool,
    },
    /// Look for mistakes.
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Decide on a command without running it; exit code 0 (allow, monitor), 5 (block) or 6 (confirm).
    Test {
        /// The command, as one text or as words.
        #[arg(last = true, required_unless_present = "batch", conflicts_with = "batch")]
        command: Vec<String>,
        /// Decide on every line {"id","command"} of a file, or of stdin (`-`); one line of JSON each.
        #[arg(long, value_name = "FILE")]
        batch: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        files: PolicyFiles,
    },
    /// Decide on a path; exit code 0 (allow) or 5 (block).
    Path {
        /// What is to be done: read, write, create, delete, list, exec, rename, link.
        #[arg(long)]
        op: String,
        /// Where relative paths begin.
        #[arg(long, default_value = ".", value_name = "DIR")]
        cwd: PathBuf,
        /// A folder that may be changed.
        #[arg(long, value_name = "DIR")]
        rw: Vec<PathBuf>,
        /// A folder that may be read.
        #[arg(long, value_name = "DIR")]
        ro: Vec<PathBuf>,
        /// The path.
        #[arg(last = true, required = true)]
        path: PathBuf,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        files: PolicyFiles,
    },
    /// All rules in force.
    List {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        files: PolicyFiles,
    },
    /// Read a policy file and try its examples.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// One rule: what it is about, why, and examples.
    Explain {
        /// Its id, such as git.push.
        rule: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        files: PolicyFiles,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PolicyFiles {
    /// A further policy file; may be repeated. Files only add rules.
    #[arg(long = "policy", value_name = "FILE")]
    pub(crate) extra: Vec<PathBuf>,
}
