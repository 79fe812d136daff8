//! Engines on one store and one world.

use maestria_engine::{Engine, EngineError, Leave, Patience, Ports, SystemClock};
use maestria_kernel::{
    Run, RunId,
    plan::shares::default_bands,
    port::Store,
    request::Request,
    workflow::{Limits, Stage, Workflow},
};
use maestria_store::MemoryStore;
use maestria_testkit::ports::Fakes;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::watch;

pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) fakes: Fakes,
}

impl Scene {
    pub(crate) fn new(fakes: Fakes) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            store: Arc::new(MemoryStore::new()),
            fakes,
        }
    }

    /// An engine as a newly started process would have it.
    pub(crate) fn engine_on(&self, store: Arc<dyn Store>) -> Engine {
        let ports = Ports {
            store,
            planner: Arc::new(self.fakes.clone()),
            agents: Arc::new(self.fakes.clone()),
            repository: Arc::new(self.fakes.clone()),
            clock: Arc::new(SystemClock),
        };
        Engine::new(ports, self.folder.path().join("locks"))
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine_on(self.store.clone())
    }

    pub(crate) fn request(&self) -> Request {
        let workflow = Workflow {
            name: "develop".to_owned(),
            description: String::new(),
            stages: vec![Stage::Plan, Stage::Edit, Stage::Review, Stage::Validate],
            reviews_existing: false,
            limits: Limits::default(),
        };
        Request {
            text: "do it".to_owned(),
            target: "/nowhere".to_owned(),
            workspace: self.folder.path().join("session").display().to_string(),
            workflow,
            agents: Vec::new(),
            budget: None,
            shares: default_bands(),
            by: "test".to_owned(),
        }
    }
}

pub(crate) async fn drive(engine: &Engine, run: RunId) -> Result<Run, EngineError> {
    let (_stay, leave) = watch::channel(Leave::No);
    engine.drive(run, Patience::Leave, leave).await
}
