//! The tools of native agents: what the model is offered, and what a call does.

use super::{
    files::{self, Fault},
    leash::Leash,
};
use crate::{
    binding,
    chain::chain,
    policy::{Place, Policy},
    trust::Sight,
    violation,
    walls::Ground,
};
use maestria_kernel::{
    Event, TaskId,
    decision::Choice,
    model::Tool,
    permission::{Action, Permission, Question, Ruling},
    port::Observer,
    violation::Violation,
};
use maestria_sandbox::{Demand, Limits, Network, Spec, Supervised};
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest that a command may take.
const COMMAND: Duration = Duration::from_secs(10 * 60);

/// The part of a command's output that the model sees, in bytes.
const OUTPUT: usize = 12 * 1024;

/// What a worker works with.
pub(super) struct Bench<'a> {
    pub(super) task: TaskId,
    pub(super) root: PathBuf,
    pub(super) target: PathBuf,
    pub(super) home: PathBuf,
    pub(super) read_only: bool,
    pub(super) policy: &'a Policy,
    pub(super) leash: &'a Leash,
    pub(super) observer: &'a dyn Observer,
    /// Commands that were run, with their exit codes.
    pub(super) commands: Vec<(String, Option<i32>)>,
    /// What was denied.
    pub(super) denials: Vec<String>,
    /// Whether commands are walled in.
    pub(super) sandbox: Demand,
    /// What commands see of what the repository brings.
    pub(super) sight: Sight,
}

/// The tools on offer.
pub(super) fn offered(read_only: bool) -> Vec<Tool> {
    let tool = |name: &str, description: &str, properties: Value, required: Value| Tool {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({"type": "object", "properties": properties, "required": required}),
    };
    let path = json!({"type": "string", "description": "Relative to the worktree."});
    let mut tools = vec![
        tool(
            "list_files",
            "Lists the files below a folder, without ignored ones.",
            json!({"path": path}),
            json!([]),
        ),
        tool(
            "read_file",
            "Reads lines of a text file, numbered.",
            json!({"path": path, "from": {"type": "integer"}, "count": {"type": "integer"}}),
            json!(["path"]),
        ),
        tool(
            "search",
            "Finds lines by a regular expression.",
            json!({"pattern": {"type": "string"}, "path": path}),
            json!(["pattern"]),
        ),
    ];
    if !read_only {
        tools.push(tool(
            "write_file",
            "Writes a whole file, new or not.",
            json!({"path": path, "content": {"type": "string"}}),
            json!(["path", "content"]),
        ));
        tools.push(tool(
            "apply_patch",
            "Replaces a piece of a file that occurs exactly once.",
            json!({"path": path, "search": {"type": "string"}, "replace": {"type": "string"}}),
            json!(["path", "search", "replace"]),
        ));
        tools.push(tool(
            "run_command",
            "Runs a command in the worktree and returns its output and exit code.",
            json!({"command": {"type": "string"}}),
            json!(["command"]),
        ));
    }
    tools
}

impl Bench<'_> {
    /// Executes a call: asks the policy, does it, and says what came of it. `Err` is what the model is told of a failure.
    pub(super) async fn execute(&mut self, name: &str, arguments: &Value) -> Result<String, String> {
        let text = |key: &str| arguments.get(key).and_then(Value::as_str).map(str::to_owned);
        let path = text("path").unwrap_or_else(|| ".".to_owned());
        let number = |key: &str| {
            arguments
                .get(key)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(0)
        };
        let need = |key: &str| text(key).ok_or_else(|| format!("`{key}` is missing"));
        if !offered(self.read_only).iter().any(|t| t.name == name) {
            return Err(format!("there is no tool `{name}` here"));
        }
        let summary = summary(name, arguments);
        self.observer.observe(Event::ToolStarted {
            task: self.task,
            tool: name.to_owned(),
            summary,
        });
        let question = |action| Question::new(name.to_owned(), action);
        let done = match name {
            "list_files" => files::list(&self.root, &path),
            "search" => match need("pattern") {
                Ok(pattern) => files::search(&self.root, &pattern, &path),
                Err(missing) => Err(missing.into()),
            },
            "read_file" => files::read(&self.root, &path, number("from"), number("count")),
            "write_file" | "apply_patch" => {
                let allowed = self
                    .permit(question(Action::Write {
                        paths: vec![path.clone()],
                    }))
                    .await;
                match allowed {
                    Ok(Action::Write { paths }) => {
                        let path = paths.into_iter().next().unwrap_or_else(|| path.clone());
                        self.change(name, &path, &text("content"), &text("search"), &text("replace"))
                    }
                    Ok(_) => Err(Fault::Other("the policy made something else of it".to_owned())),
                    Err(denied) => Err(denied.into()),
                }
            }
            _ => match need("command") {
                Ok(command) => match self.permit(question(Action::Run { command })).await {
                    Ok(Action::Run { command }) => self.run(&command).await.map_err(Fault::Other),
                    Ok(_) => Err(Fault::Other("the policy made something else of it".to_owned())),
                    Err(denied) => Err(denied.into()),
                },
                Err(missing) => Err(missing.into()),
            },
        };
        if let Err(Fault::Refused(refused)) = &done {
            self.violated(violation::of_path(&path, refused.rule, &refused.reason));
        }
        let done = done.map_err(|fault| fault.to_string());
        // What comes back goes to the model.
        let clean = |text: String| maestria_secrets::funnel().clean(&text).into_owned();
        let done = done.map(clean).map_err(clean);
        let summary = first_line(done.as_ref().unwrap_or_else(|e| e));
        self.observer.observe(Event::ToolFinished {
            task: self.task,
            tool: name.to_owned(),
            ok: done.is_ok(),
            summary,
        });
        done
    }

    fn change(
        &self,
        name: &str,
        path: &str,
        content: &Option<String>,
        search: &Option<String>,
        replace: &Option<String>,
    ) -> Result<String, Fault> {
        match (name, content, search, replace) {
            ("write_file", Some(content), ..) => files::write(&self.root, path, content),
            ("apply_patch", _, Some(search), Some(replace)) => files::patch(&self.root, path, search, replace),
            ("write_file", None, ..) => Err(Fault::Other("`content` is missing".to_owned())),
            _ => Err(Fault::Other("`search` and `replace` are needed".to_owned())),
        }
    }

    fn violated(&self, found: impl IntoIterator<Item = Violation>) {
        for violation in found {
            self.observer.observe(violation.of(self.task));
        }
    }

    /// What the policy makes of an action: the action as it may be done, or why not.
    async fn permit(&mut self, question: Question) -> Result<Action, String> {
        let place = Place {
            worktree: self.root.clone(),
            target: self.target.clone(),
            home: self.home.clone(),
            person: std::env::var_os("HOME").map(PathBuf::from),
            allow_dirs: Vec::new(),
            read_only: self.read_only,
        };
        let permission = self.policy.rule_now(&question, &place);
        let Permission { ruling, because, rule } = permission.clone();
        let offered = permission.clone();
        let violation = violation::of_ruling(&question, &permission);
        if ruling != Ruling::Allow || rule.contains("monitor") {
            self.observer.observe(Event::PermissionRuled {
                task: self.task,
                question: Box::new(question.clone()),
                permission: Box::new(permission),
            });
        }
        self.violated(violation);
        let denied = match ruling {
            Ruling::Allow => return Ok(question.action),
            Ruling::Rewrite { action } => return Ok(action),
            Ruling::Deny => format!("denied by rule {rule}: {because}"),
            Ruling::Ask => loop {
                let asked = self.policy.offering(self.bound(&question), &offered);
                let why = format!("{rule}: {because}");
                match self.observer.ask(self.task, asked.clone(), why).await {
                    // Leave is for what was asked: where the environment has changed meanwhile, it is another question.
                    Choice::Accept if self.bound(&question).bound != asked.bound => {}
                    Choice::Accept => return Ok(question.action),
                    _ => break "a person refused it".to_owned(),
                }
            },
        };
        self.denials.push(format!("{}: {denied}", question.tool));
        Err(format!("{denied}. Go on without it."))
    }

    fn bound(&self, question: &Question) -> Question {
        binding::bound(question, &self.root, &binding::of_environment(&environment(&self.home)))
    }

    /// Runs a command: as argv where it is one, through `sh` where it needs a shell.
    async fn run(&mut self, command: &str) -> Result<String, String> {
        let shell = |c: char| "|&;<>()$`*?[#~{}\n!".contains(c);
        let argv = match shell_words::split(command) {
            Ok(words) if !command.contains(shell) && words.first().is_some_and(|w| !w.contains('=')) => words,
            Ok(words) if words.is_empty() => return Err("`command` is empty".to_owned()),
            _ => vec!["sh".to_owned(), "-c".to_owned(), command.to_owned()],
        };
        if let (Demand::Off, Some(why)) = (self.sandbox, self.sight.unwalled()) {
            return Err(why);
        }
        let mut spec = Spec::new(&argv[0], &self.root);
        spec.args = argv[1..].iter().map(OsString::from).collect();
        spec.env = environment(&self.home);
        spec.limits = Limits {
            cpu_percent: None,
            ..Limits::default()
        };
        let limits = spec.limits.clone();
        let ground = Ground {
            program: &spec.program,
            worktree: &self.root,
            read_only: self.read_only,
            write: vec![self.home.clone()],
            env: &spec.env,
            hidden: &self.sight.hidden,
            network: Network::loopback(),
        };
        spec.walls = ground.walls(self.sandbox);
        let mut worker = Supervised::spawn(spec).map_err(|e| chain(&e))?;
        let (out, err) = (worker.take_stdout(), worker.take_stderr());
        let worker = Arc::new(worker);
        self.leash.hold(&worker).await;
        let watched = async { tokio::join!(ends(out), ends(err), worker.wait()) };
        let begun = tokio::time::Instant::now();
        let ended = tokio::time::timeout(COMMAND, watched).await;
        self.leash.let_go().await;
        let Ok((out, err, exit)) = ended else {
            worker.kill().await;
            self.commands.push((command.to_owned(), None));
            self.violated([violation::of_time(
                command,
                COMMAND.as_secs(),
                begun.elapsed().as_secs(),
            )]);
            return Err(format!("stopped after {} s", COMMAND.as_secs()));
        };
        self.commands.push((command.to_owned(), exit.code));
        self.violated(violation::of_limits(&worker, &limits, exit.out_of_memory));
        let code = exit
            .code
            .map_or_else(|| format!("signal {}", exit.signal.unwrap_or(0)), |c| c.to_string());
        let memory = if exit.out_of_memory { " (out of memory)" } else { "" };
        let text = format!("exit code {code}{memory}\n{out}{err}");
        if exit.is_zero() { Ok(text) } else { Err(text) }
    }
}

/// A clean environment: a home of its own, and what toolchains need to be found.
fn environment(home: &Path) -> Vec<(OsString, OsString)> {
    // Without it tools complain, but work.
    let _ = std::fs::create_dir_all(home);
    let mut env: Vec<(OsString, OsString)> = vec![
        ("HOME".into(), home.into()),
        ("LANG".into(), "C.UTF-8".into()),
        ("CI".into(), "true".into()),
    ];
    let own = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    for (name, default) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        env.push((
            name.into(),
            std::env::var_os(name).unwrap_or_else(|| own.join(default).into()),
        ));
    }
    env.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
    env
}

/// Reads to the end; keeps the beginning and the end of what is long.
async fn ends(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let mut chunk = vec![0; 8 * 1024];
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        let room = (OUTPUT / 2usize).saturating_sub(head.len()).min(read);
        head.extend_from_slice(&chunk[..room]);
        tail.extend_from_slice(&chunk[room..read]);
        if tail.len() > OUTPUT {
            tail.drain(..tail.len() - OUTPUT / 2);
        }
    }
    let cut = if tail.len() > OUTPUT / 2 {
        tail.len() - OUTPUT / 2
    } else {
        0
    };
    let gap = if cut > 0 { "\n[…]\n" } else { "" };
    format!(
        "{}{gap}{}",
        String::from_utf8_lossy(&head),
        String::from_utf8_lossy(&tail[cut..])
    )
}

fn summary(name: &str, arguments: &Value) -> String {
    let key = if name == "run_command" {
        "command"
    } else if name == "search" {
        "pattern"
    } else {
        "path"
    };
    first_line(arguments.get(key).and_then(Value::as_str).unwrap_or_default())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(160).collect()
}
