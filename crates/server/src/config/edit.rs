//! Changing one value in a person's configuration file, and nothing else of it.

use super::{Config, Sources};
use std::{fs, io};

/// Why a value was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file would not be valid any more.
    #[error("nothing was changed: {0}")]
    Invalid(super::ConfigError),
}

/// Sets `key` of `[table]` to a value, written as TOML. The file is made when it is not there; when it would not be
/// valid afterwards, it stays as it was.
///
/// # Errors
/// [`EditError`].
pub fn set(sources: &Sources, table: &str, key: &str, value: &str) -> Result<(), EditError> {
    let path = sources.path();
    let file = |source| EditError::File {
        path: path.display().to_string(),
        source,
    };
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(file(error)),
    };
    let after = with(&before, table, key, value);
    let folder = path.parent().map(std::path::Path::to_owned).unwrap_or_default();
    fs::create_dir_all(&folder).map_err(file)?;
    // Beside the file, so that taking its place is one step and a crash leaves the one or the other.
    let draft = path.with_extension("toml.new");
    fs::write(&draft, after).map_err(file)?;
    let checked = Config::load(&Sources {
        file: Some(draft.clone()),
        env: sources.env.clone(),
    });
    if let Err(error) = checked {
        // A draft that stays is only untidy.
        let _ = fs::remove_file(&draft);
        return Err(EditError::Invalid(error));
    }
    fs::rename(&draft, &path).map_err(file)
}

/// The text with one value changed or added.
fn with(text: &str, table: &str, key: &str, value: &str) -> String {
    let header = format!("[{table}]");
    let line = format!("{key} = {value}");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let Some(start) = lines.iter().position(|l| l.trim() == header) else {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend([header, line]);
        return lines.join("\n") + "\n";
    };
    let rest = lines.iter().skip(start + 1);
    let end = start + 1 + rest.take_while(|l| !l.trim_start().starts_with('[')).count();
    let is_key = |l: &String| l.split_once('=').is_some_and(|(name, _)| name.trim() == key);
    match lines[start + 1..end].iter().position(is_key) {
        Some(place) => lines[start + 1 + place] = line,
        None => lines.insert(start + 1, line),
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::{set, with};
    use crate::config::Sources;
    use std::collections::BTreeMap;

    #[test]
    fn one_value_changes_and_all_else_stays() {
        let table = [
            ("", "[budget]\nday = 5\n"),
            ("[a]\nday = 1 # mine\n", "[a]\nday = 1 # mine\n\n[budget]\nday = 5\n"),
            (
                "[budget]\nrun = 2\nday=9\n[b]\nday = 1\n",
                "[budget]\nrun = 2\nday = 5\n[b]\nday = 1\n",
            ),
            (
                "# c\n[budget]\n[b]\nday = 1\n",
                "# c\n[budget]\nday = 5\n[b]\nday = 1\n",
            ),
        ];
        for (before, after) in table {
            assert_eq!(with(before, "budget", "day", "5"), after);
        }
    }

    #[test]
    fn a_file_that_would_be_invalid_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        let sources = Sources {
            file: Some(path.clone()),
            env: BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]),
        };
        set(&sources, "budget", "day", "7.5").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[budget]\nday = 7.5\n");
        assert!(set(&sources, "budget", "day", "\"much\"").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[budget]\nday = 7.5\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
