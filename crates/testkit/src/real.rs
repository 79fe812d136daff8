//! The real agent CLIs: where they are, and how each is pointed at the loopback [`ModelServer`].
//!
//! They are installed by `.ci/install-clis` into `.cache/clis` of the workspace; the environment
//! variable [`CACHE`] names another folder. Nothing else is searched: a CLI of the person who runs the
//! tests is never touched.
//!
//! | CLI | base URL and key | quiet and repeatable | two-way protocol |
//! | --- | --- | --- | --- |
//! | claude | env `ANTHROPIC_BASE_URL` (no `/v1`), `ANTHROPIC_API_KEY` | env `DISABLE_AUTOUPDATER`, `CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC`, `DISABLE_TELEMETRY`, `CLAUDE_CODE_MAX_RETRIES` | `-p --input-format stream-json --output-format stream-json --verbose --permission-prompt-tool stdio` |
//! | codex | flags `-c model_provider=…`, `-c model_providers.X.base_url=…/v1`, key by `env_key` | `supports_websockets=false` (else five WebSocket tries first), `analytics.enabled=false`, `check_for_update_on_startup=false` | `app-server` |
//! | gemini | env `GOOGLE_GEMINI_BASE_URL`, `GEMINI_API_KEY`, and a settings file that selects `gemini-api-key` (else exit 41) | settings (`GEMINI_CLI_SYSTEM_SETTINGS_PATH` finds the file from any HOME), `GEMINI_CLI_NO_RELAUNCH`, `GEMINI_CLI_TRUST_WORKSPACE` | `--acp` |
//! | opencode | env `OPENCODE_CONFIG_CONTENT` with a provider of its own | `OPENCODE_DISABLE_AUTOUPDATE`, `…_MODELS_FETCH`, `…_LSP_DOWNLOAD` | `acp` |
//! | claude-agent-acp | as claude | as claude | no argument |
//!
//! Only gemini needs a file; everything else travels in [`Launch::env`] and [`Launch::args`], so an
//! adapter is free to choose its worker's HOME. Codex must be told a model id it knows ([`Launch::model`]):
//! an unknown one loses `apply_patch`.
//!
//! [`ModelServer`]: crate::model::ModelServer

use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::home::clean_env;
use crate::model::Dialect;

/// Names the folder of the installed CLIs (absolute): the one that holds `node_modules`, or a `.bin` inside.
pub const CACHE: &str = "MAESTRIA_CLI_CACHE";

/// The key every CLI is given; the server takes any.
pub const KEY: &str = "sk-test-loopback";

/// A real agent CLI of a known version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RealCli {
    /// `@anthropic-ai/claude-code`
    Claude,
    /// `@openai/codex`, the native binary rather than the node shim
    Codex,
    /// `@google/gemini-cli`
    Gemini,
    /// `opencode-ai`
    Opencode,
    /// `@agentclientprotocol/claude-agent-acp`
    ClaudeAcp,
}

/// How to start a CLI so that it talks to the loopback server and to nothing else.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The executable.
    pub program: PathBuf,
    /// Arguments that point it at the server; they go before the protocol's.
    pub args: Vec<String>,
    /// Arguments that start its two-way protocol.
    pub protocol: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Files it needs, with their contents.
    pub files: Vec<(PathBuf, String)>,
    /// The model to ask for where the protocol names one.
    pub model: &'static str,
}

impl RealCli {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Claude, Self::Codex, Self::Gemini, Self::Opencode, Self::ClaudeAcp];

    /// The name of its executable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
            Self::ClaudeAcp => "claude-agent-acp",
        }
    }

    /// Where it is installed; `None` when it is not.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        let modules = modules();
        let native = match self {
            Self::Codex => codex_binary(&modules),
            Self::Claude | Self::Gemini | Self::Opencode | Self::ClaudeAcp => None,
        };
        native
            .or_else(|| Some(modules.join(".bin").join(self.name())))
            .filter(|path| path.exists())
    }

    /// As [`RealCli::find`] for a test that can do nothing without: says that it is skipped.
    ///
    /// # Panics
    /// When it is missing and `CI` is `true`: there a skipped proof is a failure.
    #[must_use]
    pub fn find_or_skip(self) -> Option<PathBuf> {
        let found = self.find();
        if found.is_none() {
            let name = self.name();
            let missing = format!(
                "{name} is not installed in {}; run .ci/install-clis",
                modules().display()
            );
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
            eprintln!("SKIPPED: {missing}");
        }
        found
    }

    /// How to start it against the server at `url` (as [`ModelServer::base_url`] gives it) with `home` as HOME.
    ///
    /// [`ModelServer::base_url`]: crate::model::ModelServer::base_url
    #[must_use]
    pub fn launch(self, url: &str, home: &Path) -> Option<Launch> {
        let program = self.find()?;
        let mut launch = match self {
            Self::Claude => claude(program, url),
            Self::Codex => codex(program, url),
            Self::Gemini => gemini(program, url, home),
            Self::Opencode => opencode(program, url),
            Self::ClaudeAcp => claude_acp(program, url),
        };
        launch.env.splice(0..0, clean_env(home));
        Some(launch)
    }
}

impl Launch {
    /// Writes the files the CLI needs.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn prepare(&self) -> io::Result<()> {
        for (path, content) in &self.files {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(path, content)?;
        }
        Ok(())
    }

    /// The two-way protocol in `cwd`, environment cleared.
    #[must_use]
    pub fn command(&self, cwd: &Path) -> tokio::process::Command {
        self.command_with(&self.protocol, cwd)
    }

    /// The CLI with other arguments than the protocol's, environment cleared.
    #[must_use]
    pub fn command_with(&self, args: &[String], cwd: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args).args(args).current_dir(cwd).env_clear();
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn modules() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/clis");
    let cache = std::env::var_os(CACHE).map_or(workspace, PathBuf::from);
    if cache.ends_with(".bin") {
        cache.join("..")
    } else {
        cache.join("node_modules")
    }
}

/// The native binary sits in a package per platform; its place inside has moved between versions.
fn codex_binary(modules: &Path) -> Option<PathBuf> {
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let platform = if cfg!(target_arch = "aarch64") {
        "codex-linux-arm64"
    } else {
        "codex-linux-x64"
    };
    let roots = [
        modules.join("@openai").join(platform),
        modules.join("@openai/codex/node_modules/@openai").join(platform),
        modules.join("@openai/codex"),
    ];
    let places = ["bin/codex", "codex/codex"];
    let candidates = roots
        .iter()
        .flat_map(|root| places.iter().map(|place| root.join("vendor").join(&triple).join(place)));
    candidates.into_iter().find(|path| path.is_file())
}

fn strings<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn pairs<const N: usize>(env: [(&str, &str); N]) -> Vec<(String, String)> {
    env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

fn claude_env(url: &str) -> Vec<(String, String)> {
    pairs([
        ("ANTHROPIC_BASE_URL", &Dialect::Anthropic.base_url(url)),
        ("ANTHROPIC_API_KEY", KEY),
        ("DISABLE_AUTOUPDATER", "1"),
        ("DISABLE_TELEMETRY", "1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("CLAUDE_CODE_MAX_RETRIES", "1"),
    ])
}

fn claude(program: PathBuf, url: &str) -> Launch {
    let protocol = strings([
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--permission-prompt-tool",
        "stdio",
        "--model",
        "claude-sonnet-4-5",
    ]);
    Launch {
        program,
        args: Vec::new(),
        protocol,
        env: claude_env(url),
        files: Vec::new(),
        model: "claude-sonnet-4-5",
    }
}

fn claude_acp(program: PathBuf, url: &str) -> Launch {
    Launch {
        program,
        args: Vec::new(),
        protocol: Vec::new(),
        env: claude_env(url),
        files: Vec::new(),
        model: "claude-sonnet-4-5",
    }
}

fn codex(program: PathBuf, url: &str) -> Launch {
    let base_url = Dialect::Responses.base_url(url);
    let settings = [
        r#"model_provider="loopback""#.to_owned(),
        r#"model_providers.loopback.name="loopback""#.to_owned(),
        format!("model_providers.loopback.base_url={base_url:?}"),
        r#"model_providers.loopback.wire_api="responses""#.to_owned(),
        r#"model_providers.loopback.env_key="LOOPBACK_KEY""#.to_owned(),
        "model_providers.loopback.supports_websockets=false".to_owned(),
        "model_providers.loopback.request_max_retries=1".to_owned(),
        "model_providers.loopback.stream_max_retries=1".to_owned(),
        "analytics.enabled=false".to_owned(),
        "check_for_update_on_startup=false".to_owned(),
    ];
    let args = settings
        .into_iter()
        .flat_map(|setting| ["-c".to_owned(), setting])
        .collect();
    Launch {
        program,
        args,
        protocol: strings(["app-server"]),
        env: pairs([("LOOPBACK_KEY", KEY)]),
        files: Vec::new(),
        model: "gpt-5.5",
    }
}

fn gemini(program: PathBuf, url: &str, home: &Path) -> Launch {
    let settings = json!({
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": false},
        "general": {"enableAutoUpdate": false},
        "telemetry": {"enabled": false},
    });
    let file = home.join(".gemini").join("loopback-settings.json");
    let env = pairs([
        ("GOOGLE_GEMINI_BASE_URL", &Dialect::Gemini.base_url(url)),
        ("GEMINI_API_KEY", KEY),
        ("GEMINI_CLI_TRUST_WORKSPACE", "true"),
        ("GEMINI_CLI_NO_RELAUNCH", "true"),
        ("GEMINI_CLI_SYSTEM_SETTINGS_PATH", &file.display().to_string()),
    ]);
    let protocol = strings(["--acp", "-m", "gemini-2.5-flash"]);
    Launch {
        program,
        args: Vec::new(),
        protocol,
        env,
        // The second is for a temporary folder: system settings below one that others may write are not read.
        files: vec![
            (file, settings.to_string()),
            (home.join(".gemini").join("settings.json"), settings.to_string()),
        ],
        model: "gemini-2.5-flash",
    }
}

fn opencode(program: PathBuf, url: &str) -> Launch {
    let config = json!({
        "model": "loopback/scripted",
        "small_model": "loopback/scripted",
        "autoupdate": false,
        "share": "disabled",
        "provider": {"loopback": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "loopback",
            "options": {"baseURL": Dialect::Chat.base_url(url), "apiKey": KEY},
            "models": {"scripted": {"name": "scripted", "tool_call": true, "limit": {"context": 200_000, "output": 8_000}}},
        }},
        "permission": {"edit": "ask", "bash": "ask"},
    });
    let env = pairs([
        ("OPENCODE_CONFIG_CONTENT", &config.to_string()),
        ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
        ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
    ]);
    Launch {
        program,
        args: Vec::new(),
        protocol: strings(["acp"]),
        env,
        files: Vec::new(),
        model: "loopback/scripted",
    }
}
