//! `maestria demo`: the whole job on a sample repository, with scripted models and everything else real.

use super::{
    Context, Done, Failure, by,
    drive::{at_its_beginning, drive},
    serve,
};
use crate::{
    args,
    place::{self, Here, Place},
    render,
};
use maestria_kernel::AgentName;
use maestria_server::{
    Options, ScriptedProvider, Wish,
    sandbox::{Demand, standing},
};
use std::{
    io::IsTerminal as _,
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
pub(crate) fn providers() -> Vec<ScriptedProvider> {
    let provider = |name: &str, reviews| ScriptedProvider {
        name: name.to_owned(),
        script: PLAYBOOK.to_owned(),
        reviews,
    };
    vec![provider("playbook-author", false), provider("playbook-reviewer", true)]
}

pub(super) async fn execute(context: &Context, args: args::Demo) -> Done {
    let mut config = context.config()?;
    config.sandbox = as_strict_as_possible(config.sandbox).await;
    let app = Arc::new(place::open(config, Options::default()).await?);
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
    let place = Place::Here(Here::opened(context.sources.clone(), app.clone()));
    let beside = serve::beside(context, &app, args.beside, run).await;
    let born = at_its_beginning(&place, run).await?;
    let done = drive(context, &place, born, &args.manner).await;
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !args.manner.jsonl {
        beside.stay().await;
    }
    beside.end().await;
    done
}

/// Where the sandbox cannot stand whole, in a container for instance, the demo goes on with what there is, and says so: its
/// commands are its own, so there is nothing to be kept in. A run of yours is not started there unless you say so.
async fn as_strict_as_possible(configured: Demand) -> Demand {
    let missing = match (configured, standing().await) {
        (Demand::Degraded | Demand::Off, _) => return configured,
        (Demand::Required, Ok(standing)) if standing.missing.is_empty() => return configured,
        (Demand::Required, Ok(standing)) => format!("it lacks {}", standing.missing),
        (Demand::Required, Err(error)) => error.to_string(),
    };
    eprintln!("note: DEGRADED sandbox: {missing}; `maestria sandbox doctor` tells more");
    Demand::Degraded
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
