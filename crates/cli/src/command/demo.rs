//! `maestria demo`: the whole job on a sample repository, with scripted models and everything else real.

use super::{Context, Done, Failure, by, drive::drive, serve};
use crate::{args, render};
use maestria_kernel::AgentName;
use maestria_server::{ScriptedProvider, Wish};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const TASK: &str = "Add a --json flag to greet.sh and a --shout flag to farewell.sh, then document and test both";

const SAMPLE: [(&str, &str); 4] = [
    ("README.md", include_str!("../../demo/sample/README.md")),
    ("greet.sh", include_str!("../../demo/sample/greet.sh")),
    ("farewell.sh", include_str!("../../demo/sample/farewell.sh")),
    ("test.sh", include_str!("../../demo/sample/test.sh")),
];

const PLAYBOOK: &str = include_str!("../../demo/playbook.toml");

/// The scripted models of the demo.
pub(super) fn providers() -> Vec<ScriptedProvider> {
    let provider = |name: &str, reviews| ScriptedProvider {
        name: name.to_owned(),
        script: PLAYBOOK.to_owned(),
        reviews,
    };
    vec![provider("playbook-author", false), provider("playbook-reviewer", true)]
}

pub(super) async fn execute(context: &Context, args: args::Demo) -> Done {
    let app = context.app().await?;
    let folder = match args.workspace {
        Some(folder) => folder,
        None => app.config.workspaces.join(format!("demo-{}", app.new_run().short())),
    };
    let target = folder.join("greetings");
    write_sample(&target)?;
    maestria_server::start_repository(&target)
        .await
        .map_err(|e| Failure::user(e, ""))?;
    eprintln!("{}", render::SCRIPTED);
    eprintln!("sample repository: {}", target.display());
    let wish = Wish {
        text: TASK.to_owned(),
        target,
        workspace: Some(folder.join("session")),
        workflow: "develop".to_owned(),
        agents: providers().into_iter().map(|p| AgentName::new(p.name)).collect(),
        budget: None,
        by: by(),
    };
    let run = app.engine.submit(app.request(wish)?).await?;
    let app = Arc::new(app);
    let beside = serve::beside(context, &app, args.beside, run).await;
    let done = drive(context, &app, run, &args.manner).await;
    beside.end().await;
    done
}

fn write_sample(target: &Path) -> Result<(), Failure> {
    if target.exists() {
        let hint = "name another folder with --workspace, or remove it";
        return Err(Failure::user(format!("{} exists", target.display()), hint));
    }
    std::fs::create_dir_all(target)?;
    for (name, text) in SAMPLE {
        let path: PathBuf = target.join(name);
        std::fs::write(&path, text).map_err(|e| Failure::user(format!("{}: {e}", path.display()), ""))?;
    }
    Ok(())
}
