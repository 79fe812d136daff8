//! Values with units, read from the layers; what is wrong is collected, not thrown.

use super::{AgentTable, ProviderTable, layers::Layers};
use maestria_kernel::{Cost, agent::Role};
use maestria_secrets::{Secret, is_telling};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use toml::Value;

pub(super) struct Reader<'a> {
    pub(super) layers: &'a mut Layers,
    pub(super) wrong: &'a mut Vec<String>,
}

impl Reader<'_> {
    /// A value converted; what does not convert is reported with its place and what was expected.
    fn read<T>(&mut self, key: &str, expected: &str, convert: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let (value, origin) = self.layers.get(key)?;
        let converted = convert(value);
        if converted.is_none() {
            let shown = if super::schema::is_secret(key) {
                "…".to_owned()
            } else {
                value.to_string()
            };
            self.wrong
                .push(format!("{origin}: `{key}` is {shown}; expected {expected}"));
        }
        converted
    }

    pub(super) fn number<T: TryFrom<i64> + Default>(&mut self, key: &str) -> T {
        let read = self.read(key, "a whole number that fits", |v| {
            v.as_integer().and_then(|n| T::try_from(n).ok())
        });
        read.unwrap_or_default()
    }

    pub(super) fn address(&mut self, key: &str) -> SocketAddr {
        let read = self.read(key, "an address such as \"127.0.0.1:8090\"", |v| {
            v.as_str()?.parse().ok()
        });
        read.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)))
    }

    pub(super) fn percent<T: TryFrom<i64> + Default>(&mut self, key: &str) -> T {
        let read = self.read(key, "a percentage from 1 to 100", |v| {
            let percent = v.as_integer().filter(|n| (1..=100).contains(n));
            percent.and_then(|n| T::try_from(n).ok())
        });
        read.unwrap_or_default()
    }

    fn optional(&mut self, key: &str) -> Option<u32> {
        self.layers.get(key)?;
        Some(self.number(key))
    }

    pub(super) fn optional_count(&mut self, key: &str) -> Option<u16> {
        self.layers.get(key)?;
        Some(self.number(key))
    }

    pub(super) fn duration(&mut self, key: &str) -> Duration {
        let text = |v: &Value| v.as_str().and_then(parse_duration);
        self.read(key, "a duration such as \"30s\", \"15m\", \"2h\" or \"7d\"", text)
            .unwrap_or_default()
    }

    fn optional_duration(&mut self, key: &str) -> Option<Duration> {
        self.layers.get(key)?;
        Some(self.duration(key))
    }

    pub(super) fn bytes(&mut self, key: &str) -> u64 {
        let text = |v: &Value| {
            v.as_str()
                .and_then(parse_bytes)
                .or_else(|| u64::try_from(v.as_integer()?).ok())
        };
        self.read(key, "an amount of bytes such as \"2GiB\" or \"512MB\"", text)
            .unwrap_or_default()
    }

    pub(super) fn money(&mut self, key: &str) -> Option<Cost> {
        let text = |v: &Value| match v {
            Value::Float(n) => n.to_string().parse().ok(),
            Value::Integer(n) => n.to_string().parse().ok(),
            Value::String(s) => s.parse().ok(),
            _ => None,
        };
        self.read(key, "dollars such as 2.50", text)
    }

    /// A part of one, in percent.
    pub(super) fn fraction(&mut self, key: &str) -> u8 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
        let percent = |v: &Value| {
            let number = v
                .as_float()
                .or_else(|| v.as_integer().map(|n| if n == 0 { 0.0 } else { 1.0 }))?;
            (0.0..=1.0).contains(&number).then(|| (number * 100.0).round() as u8)
        };
        self.read(key, "a part of one such as 0.8", percent).unwrap_or_default()
    }

    pub(super) fn band(&mut self, key: &str) -> Option<(u8, u8)> {
        let pair = |v: &Value| {
            let list = v.as_array().filter(|l| l.len() == 2)?;
            let number = |n: &Value| n.as_integer().and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= 100);
            let (least, most) = (number(&list[0])?, number(&list[1])?);
            (least <= most).then_some((least, most))
        };
        self.read(key, "two percentages, least and most, such as [40, 50]", pair)
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.read(key, "a text", |v| v.as_str().map(str::to_owned))
    }

    /// An address over HTTP.
    pub(super) fn url(&mut self, key: &str) -> Option<String> {
        self.read(key, "an address such as \"http://127.0.0.1:4318\"", |v| {
            let text = v.as_str()?;
            let uri: hyper::Uri = text.parse().ok()?;
            let fits =
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none();
            (fits || text.is_empty()).then(|| text.to_owned())
        })
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false", Value::as_bool)
    }

    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// One text, split at white space with quotes heeded, or a list of texts.
    pub(super) fn words(&mut self, key: &str) -> Vec<String> {
        let words = |v: &Value| match v {
            Value::String(text) => shell_words::split(text).ok(),
            Value::Array(list) => list.iter().map(|w| w.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        self.read(key, "a text or a list of texts", words).unwrap_or_default()
    }

    /// Origins of pages, as browsers send them: nothing but a scheme, a host and perhaps a port.
    pub(super) fn origins(&mut self, key: &str) -> Vec<String> {
        let origin = |text: &str| {
            let uri: hyper::Uri = text.parse().ok()?;
            let authority = uri.authority()?.as_str();
            let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
            let plain = format!("{scheme}://{authority}") == text && !authority.contains(['@', '*']);
            (plain && text == text.to_ascii_lowercase()).then(|| text.to_owned())
        };
        let expected = "a list of origins such as [\"https://tools.example\"], each without a path, none with *";
        let read = self.read(key, expected, |v| {
            v.as_array()?.iter().map(|each| origin(each.as_str()?)).collect()
        });
        read.unwrap_or_default()
    }

    fn roles(&mut self, key: &str) -> Vec<Role> {
        let words = self.words(key);
        let role = |word: &String| match word.as_str() {
            "planner" => Some(Role::Planner),
            "analyst" => Some(Role::Analyst),
            "editor" => Some(Role::Editor),
            "reviewer" => Some(Role::Reviewer),
            "validator" => Some(Role::Validator),
            _ => None,
        };
        let roles: Option<Vec<Role>> = words.iter().map(role).collect();
        roles.unwrap_or_else(|| {
            self.wrong.push(format!(
                "`{key}`: roles are planner, analyst, editor, reviewer, validator"
            ));
            Vec::new()
        })
    }

    pub(super) fn one_of(&mut self, key: &str, known: &[&str]) -> String {
        let given = self.text(key);
        match given {
            Some(given) if known.contains(&given.as_str()) => given,
            Some(given) => {
                let nearest = super::schema::nearest(&given, known.iter().copied());
                let origin = self.layers.get(key).map(|(_, o)| o.to_owned()).unwrap_or_default();
                self.wrong.push(format!(
                    "{origin}: `{key}` is \"{given}\"; did you mean \"{nearest}\"? ({})",
                    known.join(", ")
                ));
                String::new()
            }
            None => {
                self.wrong
                    .push(format!("`{key}` is missing; it is one of {}", known.join(", ")));
                String::new()
            }
        }
    }

    /// `None` when the agent is disabled.
    pub(super) fn agent(&mut self, name: &str) -> Option<AgentTable> {
        let key = |k: &str| format!("agents.{name}.{k}");
        if self.flag(&key("enabled")) == Some(false) {
            return None;
        }
        let mut command = self.words(&key("command"));
        command.extend(self.words(&key("args")));
        if command.is_empty() {
            self.wrong
                .push(format!("`{}` is missing; name the program", key("command")));
        }
        Some(AgentTable {
            kind: self.one_of(
                &key("kind"),
                &["claude", "codex", "gemini", "opencode", "qwen", "acp", "oneshot"],
            ),
            command,
            env: self
                .layers
                .below(&key("env"))
                .into_iter()
                .map(|(name, value)| {
                    let secret = match is_telling(&name, &value) {
                        true => Secret::known(&name, value),
                        false => Secret::new(value),
                    };
                    (name, secret)
                })
                .collect(),
            model: self.text(&key("model")),
            roles: self.roles(&key("roles")),
            allow_dirs: self.words(&key("allow_dirs")).into_iter().map(PathBuf::from).collect(),
            idle_timeout: self.optional_duration(&key("idle_timeout")),
            isolate_login: self.flag(&key("isolate_login")).unwrap_or(false),
            network: self.endpoints(&key("network")),
        })
    }

    /// Hosts, as the sandbox reads them.
    fn endpoints(&mut self, key: &str) -> Vec<String> {
        let given = self.words(key);
        for text in &given {
            if let Err(error) = text.parse::<maestria_sandbox::Endpoint>() {
                let origin = self.layers.get(key).map(|(_, o)| o.to_owned()).unwrap_or_default();
                self.wrong.push(format!("{origin}: `{key}`: {error}"));
            }
        }
        given
    }

    pub(super) fn provider(&mut self, name: &str) -> ProviderTable {
        let key = |k: &str| format!("providers.{name}.{k}");
        ProviderTable {
            dialect: self.one_of(
                &key("dialect"),
                &["openai", "responses", "anthropic", "gemini", "playbook"],
            ),
            base_url: self.text(&key("base_url")),
            key: self.text(&key("key")).map(|text| Secret::known(name, text)),
            key_env: self.words(&key("key_env")),
            key_secret: self.words(&key("key_secret")),
            models: self.words(&key("models")),
            local: self.flag(&key("local")).unwrap_or(false),
            script: self.path(&key("script")),
            roles: self.roles(&key("roles")),
            weight: self.optional(&key("weight")).unwrap_or(1),
            requests_per_minute: self.optional(&key("requests_per_minute")).unwrap_or(0),
            tokens_per_minute: self.optional(&key("tokens_per_minute")).unwrap_or(0),
        }
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}
