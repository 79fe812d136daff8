//! Where configuration comes from. The ambient environment is read here and nowhere else.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The places to read configuration from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file named by `--config`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<String, String>,
}

impl Sources {
    /// The file named, and this process's environment.
    pub fn ambient(file: Option<PathBuf>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            file,
            env: std::env::vars_os().filter_map(text).collect(),
        }
    }

    /// A variable of the environment.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// The person's home.
    pub fn home(&self) -> PathBuf {
        self.var("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
    }

    /// The person's policy file, beside the configuration. It need not be there.
    pub fn policy(&self) -> PathBuf {
        self.path().with_file_name("policy.toml")
    }

    /// The configuration file: named, or the usual one.
    pub fn path(&self) -> PathBuf {
        let named = self
            .file
            .clone()
            .or_else(|| self.var("MAESTRIA_CONFIG").map(PathBuf::from));
        named.unwrap_or_else(|| self.base("XDG_CONFIG_HOME", ".config").join("maestria/config.toml"))
    }

    /// Whether the file was named, so that it must be there.
    pub(super) fn is_named(&self) -> bool {
        self.file.is_some() || self.var("MAESTRIA_CONFIG").is_some()
    }

    /// Where Maestria keeps its own data.
    pub fn data(&self) -> PathBuf {
        self.base("XDG_DATA_HOME", ".local/share").join("maestria")
    }

    fn base(&self, variable: &str, below_home: &str) -> PathBuf {
        let named = self.var(variable).map(Path::new).filter(|p| p.is_absolute());
        named.map_or_else(|| self.home().join(below_home), Path::to_path_buf)
    }
}
