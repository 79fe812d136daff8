//! Tries to get out of the sandbox it runs in: every probe is one real attempt, in a process of its own, so that one that is
//! killed or gets through does not disturb the next. `cargo xtask escape` starts it in the real launcher and looks, from
//! outside, at what was really reached.
//!
//! `escape all SCENE` prints one line of JSON a probe; `escape one NAME SCENE` tries one: exit code 0 means that it got out.
#![expect(unsafe_code, reason = "the calls that must be refused have no safe interface")]

mod calls;
mod files;
mod network;
mod processes;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What there is to attack, laid out by whoever starts the probes.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Scene {
    /// The folder that may be changed.
    pub(crate) work: PathBuf,
    /// A folder that may not, although anybody could by its mode.
    pub(crate) outside: PathBuf,
    /// The home of somebody.
    pub(crate) home: PathBuf,
    /// A process that may not be touched.
    pub(crate) victim: i32,
    /// The launcher's own number.
    pub(crate) launcher: i32,
    /// A port on the machine's loopback where somebody listens.
    pub(crate) port: u16,
    /// An address of the machine itself on a real interface, if it has one.
    pub(crate) address: Option<std::net::IpAddr>,
    /// The name of an abstract socket where somebody listens.
    pub(crate) abstract_socket: String,
    /// The number of memory that the machine shares, System V; -1 for none.
    pub(crate) shared_memory: i32,
}

/// One attempt. It returns `Ok` when it got through.
pub(crate) struct Probe {
    pub(crate) name: String,
    pub(crate) attempt: Attempt,
}

pub(crate) type Attempt = Box<dyn Fn(&Scene) -> io::Result<()>>;

pub(crate) fn probe(name: impl Into<String>, attempt: impl Fn(&Scene) -> io::Result<()> + 'static) -> Probe {
    Probe {
        name: name.into(),
        attempt: Box::new(attempt),
    }
}

/// The result of a system call that returns -1.
pub(crate) fn done(result: libc::c_long) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Something was there that must not be.
pub(crate) fn found(is: bool) -> io::Result<()> {
    if is {
        Ok(())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn all() -> Vec<Probe> {
    let mut probes = files::probes();
    probes.extend(network::probes());
    probes.extend(processes::probes());
    probes.extend(calls::probes());
    probes
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [_, "count"] => println!("{}", all().len()),
        [own, "all", scene] => try_all(own, scene),
        [_, "one", name, scene] => return try_one(name, scene),
        _ => {
            eprintln!("usage: escape count | all SCENE | one NAME SCENE");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn try_all(own: &str, scene: &str) {
    let laid_out = serde_json::from_str::<Scene>(scene).ok();
    for probe in all() {
        laid_out.iter().for_each(restore);
        let (escaped, how) = match in_process(own, &probe.name, scene) {
            Ok((escaped, how)) => (escaped, how),
            Err(error) => (false, format!("not started: {error}")),
        };
        println!(
            "{}",
            serde_json::json!({"probe": probe.name, "escaped": escaped, "how": how})
        );
    }
}

/// Puts back what an earlier probe has taken, where it could; in a sandbox this is one more attempt that fails.
fn restore(scene: &Scene) {
    for name in ["file", "secret"] {
        let _ = std::fs::write(scene.outside.join(name), "secret");
    }
}

fn in_process(own: &str, name: &str, scene: &str) -> io::Result<(bool, String)> {
    let mut child = Command::new(own)
        .args(["one", name, scene])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > PATIENCE {
            child.kill()?;
            break child.wait()?;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        io::Read::read_to_string(&mut io::Read::take(stderr, 4096), &mut said)?;
    }
    let how = match (status.code(), std::os::unix::process::ExitStatusExt::signal(&status)) {
        (_, Some(signal)) => format!("killed by signal {signal}"),
        (Some(0), _) => "got through".to_owned(),
        _ => said.trim().to_owned(),
    };
    Ok((status.code() == Some(0), how))
}

fn try_one(name: &str, scene: &str) -> ExitCode {
    let Ok(scene) = serde_json::from_str::<Scene>(scene) else {
        eprintln!("the scene cannot be read");
        return ExitCode::from(2);
    };
    let Some(probe) = all().into_iter().find(|probe| probe.name == name) else {
        eprintln!("there is no such probe");
        return ExitCode::from(2);
    };
    match (probe.attempt)(&scene) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A path as the system takes it.
pub(crate) fn c_path(path: &Path) -> io::Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(std::ffi::CString::new(path.as_os_str().as_bytes())?)
}
