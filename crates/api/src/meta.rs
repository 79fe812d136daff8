//! The server itself.

use maestria_kernel::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// What a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AccessRole")]
pub enum Role {
    /// Read.
    Viewer,
    /// Also submit, act and decide.
    Operator,
    /// Also see configuration, keys and audit, and let others in.
    Admin,
}

impl Role {
    /// The word on every face.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Whether the server is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`, `degraded` or `stopping`.
    pub status: String,
    /// The program's version.
    pub version: String,
    /// `ok`, or what is wrong.
    pub store: String,
    /// Since it started.
    pub uptime_seconds: u64,
    /// The runs that it drives.
    pub runs: Lengths,
}

/// How many runs a server drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lengths {
    /// At work; those that wait for a person do not count.
    pub at_work: usize,
    /// Waiting for a place.
    pub queued: usize,
}

/// The server, and who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// The program's version.
    pub version: String,
    /// When the server started.
    pub started_at: At,
    /// Its clock.
    pub now: At,
    /// The newest event's number.
    pub number: u64,
    /// The caller's name.
    pub name: String,
    /// The caller's role.
    pub role: Role,
    /// Optional parts that this server offers.
    pub features: Vec<String>,
    /// Where it listens.
    pub listen: String,
}

/// A key to the API, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyLine {
    /// Its name, which is the caller's.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: At,
    /// When it ends by itself.
    pub expires_at: Option<At>,
    /// When it was last used; up to a minute behind.
    pub used_at: Option<At>,
    /// When it was revoked.
    pub revoked_at: Option<At>,
}

/// A key that is wished for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Its name: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// After how many days it ends; never if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3650))]
    pub days: Option<u32>,
}

/// A key that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeKey {
    /// The key itself, shown this once.
    pub key: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub line: KeyLine,
}

/// The body of `keys/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// A key's name, or a credential's id.
    pub name: String,
}

/// The body of `sign-in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The code of the link.
    pub code: String,
}

/// A credential for a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedIn {
    /// The credential.
    pub token: String,
    /// Whose it is.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it ends.
    pub expires_at: Option<At>,
}

/// An agent as it is configured; it is not started for this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfiguredAgent {
    /// Its name.
    pub name: String,
    /// What it is and how it is started.
    pub how: String,
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The file.
    pub path: String,
    /// Every value.
    pub items: Vec<Setting>,
    /// Always `None`: it is one page.
    pub next: Option<String>,
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// The value as TOML; secrets are `"…"`.
    pub value: String,
    /// `default`, `FILE:LINE`, or the name of the variable or the flag.
    pub origin: String,
}

impl Settings {
    /// All values as TOML; with their origins as comments if asked for.
    pub fn to_toml(&self, origins: bool) -> String {
        let mut text = String::new();
        let mut section = String::new();
        for Setting { key, value, origin } in &self.items {
            let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
            if table != section {
                let gap = if text.is_empty() { "" } else { "\n" };
                // Into a text, writing cannot fail.
                let _ = writeln!(text, "{gap}[{table}]");
                table.clone_into(&mut section);
            }
            let _ = match origins {
                true => writeln!(text, "{name} = {value}  # {origin}"),
                false => writeln!(text, "{name} = {value}"),
            };
        }
        text
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DoctorLevel")]
pub enum Level {
    /// Works.
    Ok,
    /// Works, but not as well as it could; or is not there and not needed.
    Warn,
    /// Maestria cannot do its job.
    Fail,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorLine {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub detail: String,
    /// What to do.
    pub fix: Option<String>,
}
