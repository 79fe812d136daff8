//! What the person's own runs teach about which work is hard.

use crate::{
    app::{AppError, make_private},
    config::Config,
    stream::pages::Pages,
};
use maestria_gateway::Catalogue;
pub use maestria_gateway::{Difficulty, Example, Losses, TooFew, Trained, Weights, train};
use maestria_kernel::{
    Event, Run, RunId, TaskId,
    outcome::Verdict,
    port::{Store, StoreError},
    state::TaskState,
};
use maestria_store::SqliteStore;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Events that are read at a time.
const PAGE: u32 = 1_000;

/// Where trained weights lie: beside the store.
pub fn file(config: &Config) -> PathBuf {
    config.store.parent().unwrap_or(Path::new(".")).join("difficulty.toml")
}

/// The weights that were trained, if any were.
///
/// # Errors
/// [`AppError::Config`] with the file, when it cannot be read.
pub fn kept(config: &Config) -> Result<Option<Difficulty>, AppError> {
    let path = file(config);
    let wrong = |what: String| {
        let hint = "`maestria models train` writes it anew, without it the built-in weights are used";
        AppError::Config(format!("{}: {what}; {hint}", path.display()))
    };
    match fs::read_to_string(&path) {
        Ok(text) => Difficulty::read(&text).map(Some).map_err(wrong),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Keeps weights, all or nothing.
///
/// # Errors
/// [`AppError::Config`] with the file.
pub fn keep(config: &Config, difficulty: &Difficulty) -> Result<PathBuf, AppError> {
    let path = file(config);
    let wrong = |what: String| AppError::Config(format!("{} cannot be written: {what}", path.display()));
    let text = difficulty.write().map_err(&wrong)?;
    // Beside the file, so that taking its place is one step and a crash leaves the one or the other.
    let draft = path.with_extension("toml.new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    };
    write().map_err(|e| wrong(e.to_string()))?;
    Ok(path)
}

/// Goes back to the built-in weights; `false` when they are in force.
///
/// # Errors
/// [`AppError::Config`] with the file.
pub fn forget(config: &Config) -> Result<bool, AppError> {
    let path = file(config);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(AppError::Config(format!(
            "{} cannot be removed: {error}",
            path.display()
        ))),
    }
}

/// Examples from a file of JSON lines: `{"prompt": "…", "model": "…", "well": true}`.
///
/// # Errors
/// What is wrong, with the line.
pub fn read(text: &str, catalogue: &Catalogue) -> Result<Vec<Example>, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        prompt: String,
        model: String,
        well: bool,
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let line: Line = serde_json::from_str(line).map_err(|error| {
                let number = number + 1;
                format!("line {number}: {error}; a line is {{\"prompt\": \"…\", \"model\": \"…\", \"well\": true}}")
            })?;
            Ok(Example {
                prompt: line.prompt,
                quality: catalogue.model(&line.model).quality.edit,
                well: line.well,
            })
        })
        .collect()
}

/// Examples from all runs: each task that came to an end by the work of a model, and whether its first attempt was good
/// enough. Scripted runs teach nothing.
///
/// # Errors
/// [`AppError`] when the store cannot be opened or read.
pub async fn gather(config: &Config, catalogue: &Catalogue) -> Result<Vec<Example>, AppError> {
    let path = config.store.clone();
    make_private(path.parent().unwrap_or(Path::new(".")))?;
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(path)).await;
    let store = opened.map_err(|e| AppError::Config(e.to_string()))??;
    let mut examples = Vec::new();
    let store: Arc<dyn Store> = Arc::new(store);
    let mut pages = Pages::of(store.clone());
    while let Some(page) = pages.next().await? {
        for row in page.into_iter().filter(|row| !row.scripted) {
            examples.extend(of_run(&*store, row.id, catalogue).await?);
        }
    }
    Ok(examples)
}

async fn of_run(store: &dyn Store, id: RunId, catalogue: &Catalogue) -> Result<Vec<Example>, StoreError> {
    let mut run = Run::blank(id);
    let mut seen = Seen::default();
    loop {
        let page = store.events(id, run.seq, PAGE).await?;
        for stored in &page {
            run.apply(&stored.event, stored.at);
            seen.note(&stored.event);
        }
        if page.len() < PAGE as usize {
            return Ok(seen.examples(&run, catalogue));
        }
    }
}

/// What a run's state does not keep.
#[derive(Debug, Default)]
struct Seen {
    /// The model that each task's first call went to.
    models: BTreeMap<TaskId, String>,
    /// Tasks of which an attempt failed by its own fault, not for want of money, a login or a network.
    failed: BTreeSet<TaskId>,
}

impl Seen {
    fn note(&mut self, event: &Event) {
        match event {
            Event::ModelCalled {
                task: Some(task),
                model,
                scripted: false,
                ..
            } => {
                self.models.entry(*task).or_insert_with(|| model.clone());
            }
            Event::TaskFinished { task, outcome, .. } => {
                let by_itself = [Verdict::NoChange, Verdict::LimitReached, Verdict::ContextTooLong];
                if by_itself.contains(&outcome.verdict) {
                    self.failed.insert(*task);
                }
            }
            _ => {}
        }
    }

    fn examples(&self, run: &Run, catalogue: &Catalogue) -> Vec<Example> {
        let of = |task: &maestria_kernel::run::Task| {
            let model = self.models.get(&task.plan.id)?;
            let ended = matches!(task.state, TaskState::Done) || !task.tried.is_empty();
            ended.then(|| Example {
                prompt: format!("{}\n\n{}", task.plan.title, task.plan.instructions),
                quality: catalogue.model(model).quality.edit,
                well: task.rework == 0 && task.tried.is_empty() && !self.failed.contains(&task.plan.id),
            })
        };
        run.ordered().into_iter().filter_map(of).collect()
    }
}
