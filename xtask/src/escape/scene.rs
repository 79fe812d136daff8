//! What the probes attack, and how it is seen from outside whether they reached it.

use super::{NOBODY, Who, am_root};
use anyhow::Context as _;
use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv6Addr, TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            fs::{PermissionsExt as _, chown},
            net::{SocketAddr, UnixDatagram, UnixListener},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command},
};

/// Folders: one that may be changed, one that may not, and a home. Modes allow everything: only the sandbox stands between.
pub(super) struct Ground {
    _folder: tempfile::TempDir,
    pub(super) work: PathBuf,
    pub(super) outside: PathBuf,
    pub(super) home: PathBuf,
}

impl Ground {
    pub(super) fn lay_out() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let root = folder.path().canonicalize()?;
        open_to_all(&root)?;
        let (work, outside, home) = (root.join("work"), root.join("outside"), root.join("home"));
        for place in [
            &work,
            &outside,
            &home,
            &work.join(".git"),
            &work.join(".git/hooks"),
            &work.join(".git/info"),
        ] {
            fs::create_dir(place)?;
            open_to_all(place)?;
        }
        for file in ["file", "secret"] {
            fs::write(outside.join(file), "secret")?;
            fs::set_permissions(outside.join(file), fs::Permissions::from_mode(0o666))?;
        }
        for file in [".git/config", ".git/HEAD"] {
            fs::write(work.join(file), "")?;
            fs::set_permissions(work.join(file), fs::Permissions::from_mode(0o666))?;
        }
        Ok(Self {
            _folder: folder,
            work,
            outside,
            home,
        })
    }
}

fn open_to_all(place: &Path) -> anyhow::Result<()> {
    Ok(fs::set_permissions(place, fs::Permissions::from_mode(0o777))?)
}

/// Listeners that nobody should reach, a process that nobody should touch, and how everything looked before.
pub(super) struct Canaries {
    pub(super) ground: Ground,
    streams: TcpListener,
    datagrams: UdpSocket,
    named: UnixListener,
    named_datagrams: UnixDatagram,
    hidden: UnixListener,
    name: String,
    victim: Child,
    memory: Option<String>,
    before: BTreeMap<PathBuf, String>,
}

impl Canaries {
    pub(super) fn open(ground: Ground) -> anyhow::Result<Self> {
        let streams = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).or_else(|_| TcpListener::bind("0.0.0.0:0"))?;
        let address = streams.local_addr()?;
        let datagrams = UdpSocket::bind(address)?;
        let named = UnixListener::bind(ground.outside.join("socket"))?;
        let named_datagrams = UnixDatagram::bind(ground.outside.join("datagrams"))?;
        open_to_all(&ground.outside.join("socket"))?;
        open_to_all(&ground.outside.join("datagrams"))?;
        let name = format!("maestria-escape-{}-{}", std::process::id(), address.port());
        let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        streams.set_nonblocking(true)?;
        datagrams.set_nonblocking(true)?;
        named.set_nonblocking(true)?;
        named_datagrams.set_nonblocking(true)?;
        hidden.set_nonblocking(true)?;
        let victim = Command::new("sleep").arg("600").spawn().context("starting sleep")?;
        let before = look(&ground)?;
        Ok(Self {
            ground,
            streams,
            datagrams,
            named,
            named_datagrams,
            hidden,
            name,
            victim,
            memory: shared_memory(),
            before,
        })
    }

    /// The scene as the probes read it. Who tries owns the folders and the victim, so that no other right stops it.
    pub(super) fn scene(&mut self, who: Who, launcher: Option<&str>) -> anyhow::Result<String> {
        if who == Who::Nobody && am_root() {
            self.victim.kill()?;
            self.victim.wait()?;
            self.victim = who.command("sleep").arg("600").spawn()?;
            for place in [&self.ground.work, &self.ground.outside, &self.ground.home] {
                give(place)?;
            }
        }
        let scene = serde_json::json!({
            "work": self.ground.work,
            "outside": self.ground.outside,
            "home": self.ground.home,
            "victim": self.victim.id(),
            "launcher": 0,
            "port": self.streams.local_addr()?.port(),
            "address": own_address(),
            "abstract_socket": self.name,
            "shared_memory": self.memory.as_deref().and_then(|id| id.parse::<i32>().ok()).unwrap_or(-1),
        })
        .to_string();
        Ok(match launcher {
            Some(word) => scene.replace("\"launcher\":0", &format!("\"launcher\":{word}")),
            None => scene.replace("\"launcher\":0", &format!("\"launcher\":{}", std::process::id())),
        })
    }

    /// What is different from before: bytes that arrived, files that changed, a process that is gone.
    /// Without the whole sandbox, modes and the project's own `.git` are known not to be kept.
    pub(super) fn disturbed(mut self, whole: bool) -> anyhow::Result<Vec<String>> {
        let mut seen = Vec::new();
        let mut byte = [0; 16];
        for (what, reached) in [
            ("a connection by tcp", self.streams.accept().is_ok()),
            ("a datagram by udp", self.datagrams.recv(&mut byte).is_ok()),
            ("a connection to a named socket", self.named.accept().is_ok()),
            (
                "a datagram to a named socket",
                self.named_datagrams.recv(&mut byte).is_ok(),
            ),
            ("a connection to an abstract socket", self.hidden.accept().is_ok()),
            ("the victim has ended", self.victim.try_wait()?.is_some()),
        ] {
            if reached {
                seen.push(what.to_owned());
            }
        }
        let after = look(&self.ground)?;
        let git = self.ground.work.join(".git");
        let kept = |path: &&PathBuf| whole || !path.starts_with(&git);
        for (path, now) in after.iter().filter(|(path, _)| kept(path)) {
            match self.before.get(path) {
                Some(before) if content(before) != content(now) || (whole && before != now) => {
                    seen.push(format!("{} has changed", path.display()));
                }
                None => seen.push(format!("{} is new", path.display())),
                Some(_) => {}
            }
        }
        let gone = self
            .before
            .keys()
            .filter(kept)
            .filter(|path| !after.contains_key(*path));
        seen.extend(gone.map(|path| format!("{} is gone", path.display())));
        for path in [
            "/etc/maestria-escape",
            "/usr/bin/escape",
            "/escape",
            "/run/escape",
            "/etc/cron.d/escape",
        ] {
            if Path::new(path).exists() {
                seen.push(format!("{path} is new"));
            }
        }
        Ok(seen)
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        if let Some(memory) = &self.memory {
            let _ = Command::new("ipcrm").args(["-m", memory]).status();
        }
    }
}

fn give(place: &Path) -> anyhow::Result<()> {
    chown(place, Some(NOBODY), Some(NOBODY))?;
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give(&entry.path())?;
        } else {
            chown(entry.path(), Some(NOBODY), Some(NOBODY))?;
        }
    }
    Ok(())
}

/// Every file outside, in the home and in `.git`, with its mode and content.
fn look(ground: &Ground) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    let mut ahead = vec![ground.outside.clone(), ground.home.clone(), ground.work.join(".git")];
    while let Some(folder) = ahead.pop() {
        // A folder that is gone is told by the file that it held.
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry?;
            let kind = entry.file_type()?;
            let mode = entry.metadata()?.permissions().mode();
            if kind.is_dir() {
                ahead.push(entry.path());
            }
            let content = if kind.is_file() {
                fs::read_to_string(entry.path()).unwrap_or_default()
            } else {
                String::new()
            };
            found.insert(entry.path(), format!("{mode:o}\n{content}"));
        }
    }
    Ok(found)
}

fn content(look: &str) -> &str {
    look.split_once('\n').map_or("", |(_, content)| content)
}

/// An address of this machine on a real interface. Nothing is sent: connecting a datagram socket only chooses a way.
pub(crate) fn own_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// The number of a fresh piece of shared memory that everybody may attach; `None` without the tool for it.
fn shared_memory() -> Option<String> {
    let made = Command::new("ipcmk").args(["-M", "1", "-p", "0666"]).output().ok()?;
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    said.split_whitespace().last().map(str::to_owned)
}
