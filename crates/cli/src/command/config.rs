//! `maestria config`: the file, the values in force, the mistakes.

use super::{Context, Done, Failure};
use crate::{args, exit::Exit};
use maestria_server::Config;

pub(super) async fn execute(context: &Context, verb: &args::Config) -> Done {
    match verb {
        args::Config::Init { force } => init(context, *force),
        args::Config::Show { origin } => {
            println!("{}", context.place()?.settings().await?.to_toml(*origin));
            Ok(Exit::Ok)
        }
        args::Config::Check => {
            let config = Config::load(&context.sources).map_err(|e| Failure::user(e.to_string(), ""))?;
            maestria_server::check(&config).map_err(|e| Failure::user(e, ""))?;
            println!("ok");
            Ok(Exit::Ok)
        }
    }
}

fn init(context: &Context, force: bool) -> Done {
    let path = context.sources.path();
    if path.exists() && !force {
        return Err(Failure::user(
            format!("{} exists", path.display()),
            "`--force` replaces it",
        ));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, Config::STARTER).map_err(|e| Failure::user(format!("{}: {e}", path.display()), ""))?;
    println!("{}", path.display());
    Ok(Exit::Ok)
}
