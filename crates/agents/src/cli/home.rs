//! A worker's private HOME and environment: an allow list, never the caller's own; and the login files it needs.
//!
//! A login is copied, not linked: agents replace such files. A login that was refreshed meanwhile is handed back, because
//! providers make the old one void; unless the person's own has changed, too.

use crate::cli::config::{AgentConfig, Kind, Transport};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The caller's variables that a worker gets; nothing else is handed on.
const ALLOWED: [&str; 27] = [
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "RUSTUP_HOME",
    "GOROOT",
    "JAVA_HOME",
    "PYENV_ROOT",
    "NVM_DIR",
    "VOLTA_HOME",
    "ASDF_DIR",
    "NIX_PATH",
];

/// Variables of every worker.
const ALWAYS: [(&str, &str); 7] = [
    ("TERM", "dumb"),
    ("NO_COLOR", "1"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("GIT_EDITOR", "true"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("DEBIAN_FRONTEND", "noninteractive"),
];

/// Keys of a claude.json that belong to the login; the rest is a person's history and settings.
const CLAUDE_LOGIN: [&str; 5] = [
    "oauthAccount",
    "userID",
    "hasCompletedOnboarding",
    "primaryApiKey",
    "customApiKeyResponses",
];

/// A private home that is ready.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    logins: Vec<Login>,
}

/// A login file that was copied.
#[derive(Debug)]
struct Login {
    original: PathBuf,
    copy: PathBuf,
    content: Vec<u8>,
}

/// Where an agent of this kind keeps its login, relative to a home.
pub const fn login_files(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Claude | Kind::Acp => &[".claude/.credentials.json"],
        Kind::Codex => &[".codex/auth.json"],
        Kind::Gemini => &[
            ".gemini/oauth_creds.json",
            ".gemini/google_accounts.json",
            ".gemini/installation_id",
        ],
        Kind::Opencode => &[".local/share/opencode/auth.json"],
        Kind::Qwen => &[".qwen/oauth_creds.json"],
    }
}

/// Variables that hold a key: with one of them no login is needed.
pub(super) const fn key_names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Claude | Kind::Acp => &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"],
        Kind::Codex => &["OPENAI_API_KEY", "CODEX_API_KEY"],
        Kind::Gemini => &["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"],
        Kind::Opencode => &["OPENCODE_CONFIG_CONTENT"],
        Kind::Qwen => &["OPENAI_API_KEY"],
    }
}

/// Whether the agent gets a key: of the gateway, or by the configuration, in a variable of a known name or any that
/// looks like one.
pub fn has_key(kind: Kind, config: &AgentConfig) -> bool {
    if config.way.is_gateway() {
        return true;
    }
    let names = config.env.keys().chain(&config.pass_env);
    names.into_iter().any(|name| {
        key_names(kind).contains(&name.as_str())
            || name.ends_with("_API_KEY")
            || (kind == Kind::Codex && name.ends_with("_KEY"))
    })
}

/// Whether there is a login of the person's that the agent may use.
pub fn has_login(kind: Kind, config: &AgentConfig, caller: &BTreeMap<String, String>) -> bool {
    let home = login_home(kind, config, caller);
    home.is_some_and(|home| login_files(kind).iter().any(|file| home.join(file).is_file()))
}

/// The home whose login is used, if any is.
pub fn login_home(kind: Kind, config: &AgentConfig, caller: &BTreeMap<String, String>) -> Option<PathBuf> {
    if config.isolate_login || has_key(kind, config) {
        return None;
    }
    config
        .login_from
        .clone()
        .or_else(|| caller.get("HOME").map(PathBuf::from))
}

impl Home {
    /// Makes the home at `path`, with the files its agent needs in it. One that exists already is kept: sessions live there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare(
        path: &Path,
        kind: Kind,
        config: &AgentConfig,
        caller: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let mut home = Self {
            path: path.to_owned(),
            logins: Vec::new(),
        };
        if let Some(from) = login_home(kind, config, caller) {
            for file in login_files(kind) {
                home.copy_login(&from, file)?;
            }
            if matches!(kind, Kind::Claude | Kind::Acp) {
                home.copy_claude_account(&from)?;
            }
        }
        match kind {
            Kind::Gemini => home.put(
                ".gemini/settings.json",
                gemini_settings(path, config).to_string().as_bytes(),
            )?,
            Kind::Codex => fs::create_dir_all(path.join(".codex"))?,
            Kind::Claude | Kind::Opencode | Kind::Qwen | Kind::Acp => {}
        }
        Ok(home)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts aside what would be in the way of the next process. Gemini names a session's file by the minute and begins it
    /// anew when the session is loaded within the same one; under an older name it is only read.
    pub fn settle(&self, kind: Kind) {
        if kind != Kind::Gemini {
            return;
        }
        let projects = fs::read_dir(self.path.join(".gemini/tmp"))
            .into_iter()
            .flatten()
            .flatten();
        let chats = projects.flat_map(|project| {
            fs::read_dir(project.path().join("chats"))
                .into_iter()
                .flatten()
                .flatten()
        });
        for chat in chats {
            let name = chat.file_name().to_string_lossy().into_owned();
            let Some((_, id)) = name.strip_prefix("session-").and_then(|rest| rest.rsplit_once('-')) else {
                continue;
            };
            let aside = chat.path().with_file_name(format!("session-2000-01-01T00-00-{id}"));
            // A second file of the session is what a failed load has left: the older one holds the conversation.
            if !aside.exists() {
                // One that cannot be moved costs the session, not the work: a new one is begun.
                let _ = fs::rename(chat.path(), aside);
            }
        }
    }

    /// Gives refreshed logins back to their owner. What fails is logged: the person then logs in again.
    pub fn hand_back(&self) {
        for login in &self.logins {
            let Ok(now) = fs::read(&login.copy) else { continue };
            let untouched = fs::read(&login.original).is_ok_and(|original| original == login.content);
            if now == login.content || now.is_empty() || !untouched {
                continue;
            }
            if let Err(error) = replace(&login.original, &now) {
                tracing::warn!(file = %login.original.display(), %error, "a refreshed login could not be handed back; log in again");
            }
        }
    }

    fn copy_login(&mut self, from: &Path, file: &str) -> io::Result<()> {
        let original = from.join(file);
        let content = match fs::read(&original) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        self.put(file, &content)?;
        let copy = self.path.join(file);
        self.logins.push(Login {
            original,
            copy,
            content,
        });
        Ok(())
    }

    /// Claude keeps the account beside years of history; only the account is copied, and never handed back.
    fn copy_claude_account(&self, from: &Path) -> io::Result<()> {
        let Ok(text) = fs::read_to_string(from.join(".claude.json")) else {
            return Ok(());
        };
        let Ok(Value::Object(all)) = serde_json::from_str(&text) else {
            return Ok(());
        };
        let account: serde_json::Map<String, Value> = all
            .into_iter()
            .filter(|(key, _)| CLAUDE_LOGIN.contains(&key.as_str()))
            .collect();
        if self.path.join(".claude.json").exists() || account.is_empty() {
            return Ok(());
        }
        self.put(".claude.json", Value::Object(account).to_string().as_bytes())
    }

    fn put(&self, file: &str, content: &[u8]) -> io::Result<()> {
        let place = self.path.join(file);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        replace(&place, content)
    }
}

/// Writes a file that only its owner can read, whole or not at all.
fn replace(place: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".maestria-tmp");
    let draft = place.with_file_name(name);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(draft, place)
}

/// Gemini asks how to log in unless its settings say so; with a base URL it ends at once otherwise. Sessions are kept:
/// its tidying takes those of ACP away at the next start. It tries a call ten times without a word, which takes minutes;
/// after three we take over: another agent can do the task meanwhile, and people see why.
fn gemini_settings(home: &Path, config: &AgentConfig) -> Value {
    let has = |name: &str| config.env.contains_key(name) || config.pass_env.iter().any(|passed| passed == name);
    let method = if has("GOOGLE_GENAI_USE_VERTEXAI") {
        Some("vertex-ai")
    } else if has("GEMINI_API_KEY") || has("GOOGLE_API_KEY") {
        Some("gemini-api-key")
    } else {
        home.join(".gemini/oauth_creds.json")
            .exists()
            .then_some("oauth-personal")
    };
    let mut settings = json!({
        "privacy": {"usageStatisticsEnabled": false},
        "general": {"enableAutoUpdate": false, "maxAttempts": 3, "sessionRetention": {"enabled": false}},
        "telemetry": {"enabled": false},
    });
    if let Some(method) = method {
        settings["security"] = json!({"auth": {"selectedType": method}});
    }
    settings
}

/// A worker's whole environment. Later entries win: the allow list, what every worker gets, the agent's own, the
/// configuration.
pub fn environment(
    kind: Kind,
    transport: Transport,
    vouched: bool,
    config: &AgentConfig,
    home: &Path,
    caller: &BTreeMap<String, String>,
) -> Vec<(OsString, OsString)> {
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    let passed = ALLOWED
        .iter()
        .copied()
        .chain(config.pass_env.iter().map(String::as_str));
    for name in passed {
        if let Some(value) = caller.get(name) {
            env.insert(name.to_owned(), value.clone());
        }
    }
    let mut set = |name: &str, value: &str| {
        env.insert(name.to_owned(), value.to_owned());
    };
    ALWAYS.iter().for_each(|(name, value)| set(name, value));
    set("HOME", &home.display().to_string());
    if let Some(rustup) = caller
        .get("HOME")
        .map(|home| Path::new(home).join(".rustup"))
        .filter(|folder| folder.is_dir())
        && !caller.contains_key("RUSTUP_HOME")
    {
        // The compilers are a person's, and only read; everything they write goes to the private home.
        set("RUSTUP_HOME", &rustup.display().to_string());
    }
    for (name, value) in of_kind(kind, home) {
        set(name, &value);
    }
    if kind == Kind::Gemini && (vouched || transport == Transport::OneShot) {
        set("GEMINI_CLI_TRUST_WORKSPACE", "true");
    }
    env.extend(config.env.clone());
    if kind == Kind::Opencode {
        let asking = asking_opencode(env.get("OPENCODE_CONFIG_CONTENT").map(String::as_str));
        env.insert("OPENCODE_CONFIG_CONTENT".to_owned(), asking);
    }
    env.into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn of_kind(kind: Kind, home: &Path) -> Vec<(&'static str, String)> {
    let fixed: &[(&str, &str)] = match kind {
        Kind::Claude | Kind::Acp => &[
            ("DISABLE_AUTOUPDATER", "1"),
            ("DISABLE_TELEMETRY", "1"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("CLAUDE_CODE_MAX_RETRIES", "4"),
        ],
        Kind::Codex => &[],
        Kind::Gemini => &[("GEMINI_CLI_NO_RELAUNCH", "true")],
        Kind::Opencode => &[
            ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
            ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
            ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
        ],
        Kind::Qwen => &[],
    };
    let mut env: Vec<(&str, String)> = fixed.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    if kind == Kind::Codex {
        env.push(("CODEX_HOME", home.join(".codex").display().to_string()));
    }
    env
}

/// opencode allows everything unless its configuration says that it asks.
fn asking_opencode(given: Option<&str>) -> String {
    let mut config: Value = given
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_else(|| json!({}));
    if config.is_object() && config.get("permission").is_none() {
        config["permission"] = json!({"edit": "ask", "bash": "ask", "webfetch": "ask", "external_directory": "ask"});
    }
    config.to_string()
}
