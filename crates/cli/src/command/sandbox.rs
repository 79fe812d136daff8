//! `maestria sandbox`: runs a program as a worker would run, and shows which walls stand on this machine.

mod explain;

use super::{Context, Done, Failure, lists::print_json};
use crate::{args::Output, exit::Exit};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use maestria_server::sandbox::{
    Endpoint, Layer, Layers, Limits, Network, Profile, SpawnError, Spec, Standing, Stdin, Supervised, Walls, standing,
};
use std::{ffi::OsString, path::PathBuf};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

#[derive(Debug, Subcommand)]
pub(crate) enum Sandbox {
    /// Run a program in the sandbox: it may change the current folder, read the system, and reach nobody.
    Run(Run),
    /// Try every layer on this machine.
    Doctor(Output),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// What it may touch.
    #[arg(long, value_enum, default_value_t = Name::Worker)]
    profile: Name,
    /// A further folder that it may change.
    #[arg(long, value_name = "DIR")]
    rw: Vec<PathBuf>,
    /// A further folder that it may read.
    #[arg(long, value_name = "DIR")]
    ro: Vec<PathBuf>,
    /// A host it may reach, as HOST, HOST:PORT or *.DOMAIN; may be repeated. None by default.
    #[arg(long = "net", value_name = "HOST")]
    net: Vec<Endpoint>,
    /// A variable to set.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Run it although layers are missing; what is missing is said.
    #[arg(long)]
    allow_degraded: bool,
    /// Leave a layer out, to see that it is missed.
    #[arg(long, value_name = "LAYER", hide = true)]
    remove: Vec<String>,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// May change the current folder, but not its git settings.
    Worker,
    /// May read the current folder.
    Review,
}

pub(super) async fn execute(context: &Context, verb: Sandbox) -> Done {
    match verb {
        Sandbox::Run(run) => start(context, run).await,
        Sandbox::Doctor(output) => doctor(output.json).await,
    }
}

async fn start(context: &Context, run: Run) -> Done {
    let spec = spec(&run)?;
    let granted = spec.walls.clone();
    let mut worker = match Supervised::spawn(spec) {
        Ok(worker) => worker,
        Err(error) => return Err(refused(&error)),
    };
    let standing = worker.standing().cloned();
    if let Some(standing) = standing.iter().find(|s| context.verbose || !s.missing.is_empty()) {
        eprintln!("maestria: {standing}");
    }
    let said = exchange(&mut worker).await?;
    let exit = worker.wait().await;
    if let (Some(walls), false) = (granted, exit.is_zero()) {
        for line in explain::explain(&said, &walls.profile) {
            eprintln!("{line}");
        }
    }
    let code = exit.code.or(exit.signal.map(|signal| 128 + signal)).unwrap_or(1);
    Ok(Exit::Program(u8::try_from(code).unwrap_or(1)))
}

fn spec(run: &Run) -> Result<Spec, Failure> {
    let cwd = std::env::current_dir()?;
    let words: Vec<&OsString> = run.command.iter().collect();
    let Some((program, args)) = words.split_first() else {
        return Err(Failure::user("there is no command", ""));
    };
    let mut spec = Spec::new(PathBuf::from(program), &cwd);
    spec.args = args.iter().map(|word| (*word).clone()).collect();
    spec.env = environment(&run.env)?;
    spec.stdin = Stdin::Pipe;
    spec.limits = Limits::default();
    spec.walls = Some(Walls {
        allow_degraded: run.allow_degraded,
        removed: removed(&run.remove)?,
        ..Walls::new(profile(run, cwd)?)
    });
    Ok(spec)
}

fn profile(run: &Run, cwd: PathBuf) -> Result<Profile, Failure> {
    let absolute = |path: &PathBuf| std::path::absolute(path);
    let mut profile = match run.profile {
        Name::Worker => Profile::worker([cwd]),
        Name::Review => Profile::review([cwd]),
    };
    for path in &run.rw {
        profile.write.push(absolute(path)?);
    }
    for path in &run.ro {
        profile.read.push(absolute(path)?);
    }
    if !run.net.is_empty() {
        profile.network = Network::List {
            endpoints: run.net.clone(),
        };
    }
    Ok(profile)
}

/// Enough to find programs and to speak the person's language; nothing that could be a secret.
fn environment(given: &[String]) -> Result<Vec<(OsString, OsString)>, Failure> {
    let passed = ["PATH", "LANG", "LC_ALL", "TERM", "TZ"];
    let mut env: Vec<(OsString, OsString)> = passed
        .into_iter()
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
        .collect();
    env.push(("HOME".into(), "/tmp".into()));
    for pair in given {
        let hint = "as in `--env RUST_LOG=debug`";
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Failure::user(format!("{pair:?} is not NAME=VALUE"), hint))?;
        env.push((name.into(), value.into()));
    }
    Ok(env)
}

fn removed(words: &[String]) -> Result<Layers, Failure> {
    let all = || Layer::ALL.map(Layer::word).join(", ");
    words.iter().try_fold(Layers::NONE, |layers, word| {
        let layer = Layer::named(word)
            .ok_or_else(|| Failure::user(format!("there is no layer {word:?}"), format!("layers are: {}", all())))?;
        Ok(layers.with(Layers::of(&[layer])))
    })
}

fn refused(error: &SpawnError) -> Failure {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let what = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    let exit = match error {
        SpawnError::Walls { .. } | SpawnError::Confine { .. } => Exit::Blocked,
        _ => Exit::User,
    };
    Failure {
        what,
        hint: String::new(),
        exit,
    }
}

/// Carries the three streams until the program has closed its own; the end of what it said on stderr.
async fn exchange(worker: &mut Supervised) -> Result<String, Failure> {
    let (stdin, stdout, stderr) = (worker.take_stdin(), worker.take_stdout(), worker.take_stderr());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(Failure::user("the program's streams are gone", ""));
    };
    // Detached: a terminal's read cannot be cancelled, and must not keep the program's end from being seen.
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut stdin).await;
    });
    let mut said = Vec::new();
    let (out, err) = tokio::join!(
        forward(stdout, tokio::io::stdout(), None),
        forward(stderr, tokio::io::stderr(), Some(&mut said)),
    );
    out.and(err)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// The part of stderr that is kept to explain it, bytes.
const KEPT: usize = 16 << 10;

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut keep: Option<&mut Vec<u8>>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 32 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
        if let Some(kept) = &mut keep {
            kept.extend_from_slice(&buffer[..count]);
            let surplus = kept.len().saturating_sub(KEPT);
            kept.drain(..surplus);
        }
    }
}

async fn doctor(json: bool) -> Done {
    let standing = standing().await.map_err(|error| refused(&error))?;
    if json {
        print_json(&standing)?;
    } else {
        print!("{}", table(&standing));
    }
    Ok(if standing.missing.is_empty() {
        Exit::Ok
    } else {
        Exit::User
    })
}

fn table(standing: &Standing) -> String {
    let mut text = String::new();
    for layer in Layer::ALL {
        let (mark, told) = if standing.layers.has(layer) {
            ("ok     ", layer.proof())
        } else {
            ("MISSING", "did not hold when it was tried")
        };
        text.push_str(&format!("{mark}  {:<18} {told}\n", layer.word()));
    }
    let user = if standing.unprivileged {
        "a worker of root owns nothing outside"
    } else {
        "a worker is its caller, without capabilities"
    };
    text.push_str(&format!(
        "\nlandlock version  {}\nuser              {user}\n",
        standing.landlock_abi
    ));
    if standing.missing.is_empty() {
        text.push_str("\nWorkers are walled in.\n");
    } else {
        text.push_str(&format!(
            "\nMissing: {}. Workers are not started here unless [sandbox] says mode = \"degraded\".\n",
            standing.missing
        ));
    }
    text
}
