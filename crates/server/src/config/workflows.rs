//! Workflows: the built-in ones, and the person's own beside the configuration file.

use super::{ConfigError, schema::nearest};
use maestria_kernel::workflow::{Limits, Workflow};
use std::{collections::BTreeMap, path::Path};

const BUILT_IN: [(&str, &str); 3] = [
    (
        "workflows/develop.toml",
        include_str!("../../../../workflows/develop.toml"),
    ),
    ("workflows/plan.toml", include_str!("../../../../workflows/plan.toml")),
    (
        "workflows/review.toml",
        include_str!("../../../../workflows/review.toml"),
    ),
];

/// All workflows by name.
#[derive(Debug, Clone)]
pub struct Workflows(BTreeMap<String, Workflow>);

impl Workflows {
    /// The built-in workflows, with the configured limits, and those in a folder, which win and have limits of their own.
    ///
    /// # Errors
    /// [`ConfigError`] with every file that is no workflow, and where.
    pub fn load(folder: &Path, limits: &Limits) -> Result<Self, ConfigError> {
        let mut wrong = Vec::new();
        let mut all = BTreeMap::new();
        for (name, text) in BUILT_IN {
            if let Some(mut workflow) = parse(name, text, &mut wrong) {
                workflow.limits = limits.clone();
                all.insert(workflow.name.clone(), workflow);
            }
        }
        let own = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|e| e.ok().map(|e| e.path()));
        for path in own.filter(|p| p.extension().is_some_and(|e| e == "toml")) {
            let name = path.display().to_string();
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let read = parse(&name, &text, &mut wrong);
                    all.extend(read.map(|workflow| (workflow.name.clone(), workflow)));
                }
                Err(error) => wrong.push(format!("{name}: {error}")),
            }
        }
        if wrong.is_empty() {
            Ok(Self(all))
        } else {
            Err(ConfigError(wrong))
        }
    }

    /// All workflows, by name.
    pub fn all(&self) -> impl Iterator<Item = &Workflow> {
        self.0.values()
    }

    /// A workflow by name.
    ///
    /// # Errors
    /// A sentence with the nearest name and all there are.
    pub fn get(&self, name: &str) -> Result<&Workflow, String> {
        self.0.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let best = nearest(name, names.iter().copied());
            format!(
                "there is no workflow `{name}`; did you mean `{best}`? (there are {})",
                names.join(", ")
            )
        })
    }
}

fn parse(name: &str, text: &str, wrong: &mut Vec<String>) -> Option<Workflow> {
    match toml::from_str::<Workflow>(text) {
        Ok(workflow) => match workflow.check() {
            Ok(()) => Some(workflow),
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                None
            }
        },
        Err(error) => {
            wrong.push(format!("{name}: {}", error.to_string().trim_end()));
            None
        }
    }
}
