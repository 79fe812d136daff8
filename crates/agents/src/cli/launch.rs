//! Command lines: how each agent is started for one turn. No flag here ever switches an agent's permission checks off; a
//! sandbox of its own is, within ours, where it could not be built.

use crate::cli::{
    config::{AgentConfig, Kind, Transport},
    talk::Turn,
};
use std::{ffi::OsString, path::PathBuf};

/// The longest prompt on a command line, in bytes; the kernel takes 128 KiB for one argument.
const LONGEST_ARGUMENT: usize = 96 << 10;

/// What the recovery has changed about a start.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Directories added, one at a time.
    pub dirs: Vec<PathBuf>,
    /// We vouch for the folder: it is our worktree.
    pub vouched: bool,
    /// The person trusts what the repository brings for agents ([`crate::trust`]): it may count.
    pub trusted: bool,
    /// Edits inside the worktree need no leave (one-shot agents have nobody to ask).
    pub edits: bool,
}

/// How to start an agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Launch {
    /// All arguments.
    pub args: Vec<OsString>,
    /// The prompt, where it goes to stdin because it is too long for the command line.
    pub stdin: Option<String>,
}

/// The arguments for a turn.
pub fn launch(kind: Kind, transport: Transport, config: &AgentConfig, turn: &Turn, grants: &Grants) -> Launch {
    let own = config.args.iter().map(OsString::from);
    let maker = Maker { turn, grants };
    let (args, stdin) = match transport {
        Transport::TwoWay => (maker.two_way(kind), None),
        Transport::OneShot => maker.one_shot(kind),
    };
    Launch {
        args: own.chain(args.into_iter().map(OsString::from)).collect(),
        stdin,
    }
}

struct Maker<'a> {
    turn: &'a Turn,
    grants: &'a Grants,
}

impl Maker<'_> {
    fn two_way(&self, kind: Kind) -> Vec<String> {
        match kind {
            Kind::Claude => {
                let mut args = words(&[
                    "-p",
                    "--input-format",
                    "stream-json",
                    "--permission-prompt-tool",
                    "stdio",
                ]);
                args.extend(self.claude(false));
                args
            }
            Kind::Codex => {
                let mut args = self.codex_settings();
                args.push("app-server".to_owned());
                args
            }
            Kind::Gemini | Kind::Qwen => {
                let mut args = words(&["--acp"]);
                args.extend(self.model("-m"));
                args.extend(self.directories("--include-directories"));
                args
            }
            Kind::Opencode => words(&["acp"]),
            Kind::Acp => Vec::new(),
        }
    }

    /// The prompt comes first or last, never after a flag that takes several values.
    fn one_shot(&self, kind: Kind) -> (Vec<String>, Option<String>) {
        let text = if self.turn.session.is_some() {
            &self.turn.follow_up
        } else {
            &self.turn.prompt
        };
        let long = text.len() > LONGEST_ARGUMENT;
        let stdin = long.then(|| text.clone());
        let args = match kind {
            Kind::Claude | Kind::Qwen => {
                let mut args = words(&["-p"]);
                args.extend((!long).then(|| text.clone()));
                args.extend(if kind == Kind::Claude {
                    self.claude(true)
                } else {
                    self.gemini_like("auto-edit")
                });
                args
            }
            Kind::Codex => self.codex_exec(if long { "-" } else { text }),
            Kind::Gemini => {
                let mut args = words(&["-p", if long { "" } else { text }]);
                args.extend(self.gemini_like("auto_edit"));
                args
            }
            Kind::Opencode => {
                let mut args = words(&["run", "--format", "json"]);
                args.extend(self.model("--model"));
                args.extend(self.session("--session"));
                args.extend((!long).then(|| text.clone()));
                args
            }
            // An unknown agent has no one-shot form: its own arguments must make one of the prompt on stdin.
            Kind::Acp => return (Vec::new(), Some(text.clone())),
        };
        (args, stdin)
    }

    fn claude(&self, alone: bool) -> Vec<String> {
        let mut args = words(&["--output-format", "stream-json", "--verbose"]);
        let mode = match (self.turn.read_only, alone || self.grants.edits) {
            (true, true) => "plan",
            (false, true) => "acceptEdits",
            (_, false) => "default",
        };
        args.extend(words(&["--permission-mode", mode]));
        // The repository's own settings may name hooks and servers, which are programs.
        args.extend(words(if self.grants.trusted {
            &["--setting-sources", "user,project,local"]
        } else {
            &["--setting-sources", "user", "--strict-mcp-config"]
        }));
        args.extend(self.model("--model"));
        args.extend(self.session("--resume"));
        if let Some(schema) = &self.turn.schema {
            args.extend(["--json-schema".to_owned(), schema.to_string()]);
        }
        args.extend(self.directories("--add-dir"));
        args
    }

    fn gemini_like(&self, edits: &str) -> Vec<String> {
        let mode = if self.turn.read_only { "plan" } else { edits };
        let mut args = words(&["--output-format", "stream-json", "--approval-mode", mode]);
        args.extend(self.model("-m"));
        args.extend(self.session("--resume"));
        args.extend(self.directories("--include-directories"));
        args
    }

    fn codex_exec(&self, prompt: &str) -> Vec<String> {
        let mut args = self.codex_settings();
        let sandbox = match (self.turn.walled, self.turn.read_only) {
            (true, _) => "danger-full-access",
            (false, true) => "read-only",
            (false, false) => "workspace-write",
        };
        args.extend(words(&["exec", "--json", "--sandbox", sandbox]));
        if self.grants.vouched {
            args.push("--skip-git-repo-check".to_owned());
        }
        args.extend(self.model("-m"));
        args.extend(self.session("resume"));
        args.push(prompt.to_owned());
        args
    }

    fn codex_settings(&self) -> Vec<String> {
        let mut settings = words(&["analytics.enabled=false", "check_for_update_on_startup=false"]);
        if !self.grants.dirs.is_empty() {
            let roots: Vec<String> = self
                .grants
                .dirs
                .iter()
                .map(|dir| format!("{:?}", dir.display().to_string()))
                .collect();
            settings.push(format!("sandbox_workspace_write.writable_roots=[{}]", roots.join(",")));
        }
        if self.grants.trusted {
            let folder = format!("{:?}", self.turn.cwd.display().to_string());
            settings.push(format!("projects={{{folder}={{trust_level=\"trusted\"}}}}"));
        }
        settings
            .into_iter()
            .flat_map(|setting| ["-c".to_owned(), setting])
            .collect()
    }

    fn model(&self, flag: &str) -> Vec<String> {
        let model = self.turn.model.iter();
        model.flat_map(|model| [flag.to_owned(), model.clone()]).collect()
    }

    fn session(&self, flag: &str) -> Vec<String> {
        let session = self.turn.session.iter();
        session
            .flat_map(|session| [flag.to_owned(), session.as_str().to_owned()])
            .collect()
    }

    fn directories(&self, flag: &str) -> Vec<String> {
        let dirs = self.grants.dirs.iter();
        dirs.flat_map(|dir| [flag.to_owned(), dir.display().to_string()])
            .collect()
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The flags that a transport cannot do without, for the probe.
pub const fn needed(kind: Kind, transport: Transport) -> &'static [&'static str] {
    match (kind, transport) {
        (Kind::Claude, Transport::TwoWay) => &[
            "--input-format",
            "--output-format",
            "--permission-mode",
            "--setting-sources",
            "--strict-mcp-config",
            "--verbose",
        ],
        (Kind::Claude, Transport::OneShot) => &[
            "--output-format",
            "--permission-mode",
            "--setting-sources",
            "--strict-mcp-config",
            "--verbose",
        ],
        (Kind::Codex, Transport::TwoWay) => &["app-server"],
        (Kind::Codex, Transport::OneShot) => &["exec"],
        (Kind::Gemini | Kind::Qwen, Transport::TwoWay) => &["--acp"],
        (Kind::Gemini | Kind::Qwen, Transport::OneShot) => &["--output-format", "--approval-mode"],
        (Kind::Opencode | Kind::Acp, _) => &[],
    }
}
