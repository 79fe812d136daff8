//! A sandbox as it is prepared before the fork: everything looked up, opened and laid out, so that the forked side only makes
//! system calls (`confine/raise.rs`, `confine/prove.rs`).

mod filter;
mod store;
mod tree;

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use libc::c_int;

use crate::confine;
use crate::layer::{Layer, Layers};
use crate::net::{self, Doors};
use crate::profile::{Network, Walls};
use crate::raw::landlock::{self, Rights};
use crate::spec::{Spec, Tier};
use filter::Sockets;
use store::Shelf;
pub(crate) use store::{Kept, Text};
use tree::{Access, BadGrant, Place, Step, Tree};
pub(crate) use tree::{Cover, TEMPORARY_PATHS as TEMPORARY};

/// Most steps of a file tree.
pub(crate) const STEPS: usize = 256;
/// Most addresses a worker's own loopback answers under.
pub(crate) const DOORS: usize = 16;
/// A file at the root of the worker's tree which no rule names.
pub(crate) const UNNAMED: &std::ffi::CStr = c".unnamed";

/// Why a sandbox could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unprepared {
    #[error(transparent)]
    Grant(#[from] BadGrant),
    #[error("the kernel has no Landlock")]
    NoLandlock,
    #[error("the network list has too many addresses of this machine")]
    TooManyDoors,
    #[error("{} cannot be hidden from the worker: it would see the machine's own file tree", .0.display())]
    NotHidden(PathBuf),
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Unprepared {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Grant(BadGrant::Missing(..)) => "create it, or take it out of the profile",
            Self::Grant(BadGrant::Relative(_)) => "give the whole path, from the root",
            Self::Grant(BadGrant::TooMuch(_)) => "name the folders that the worker needs, below it",
            Self::Grant(BadGrant::Special(_)) => "grant the folder that it lies in",
            Self::Grant(BadGrant::HiddenLink(_)) => {
                "put the folder in its place, or take the link out of the repository"
            }
            Self::NoLandlock => {
                "boot with landlock in the lsm= list, kernel 5.13 or newer; `--allow-degraded` goes on without"
            }
            Self::NotHidden(_) => {
                "a machine that lets it make namespaces can hide it; or trust the repository: `maestria trust`"
            }
            Self::TooManyDoors => "name at most sixteen addresses of this machine",
            Self::System(_) => "the system refused a step; free memory or descriptors, or name fewer places",
        }
    }
}

/// A step of the file tree, for the forked side. Paths are relative to the root of the tree.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Move {
    Folder(Text),
    Link {
        at: Text,
        to: Text,
    },
    File(Text),
    Bind(Bind),
    /// A place, below the root and from it, and what is put there.
    Cover {
        at: Text,
        path: Text,
        with: Cover,
    },
    Temporary(Text),
    Proc(Text),
    Terminals(Text),
}

/// A place to bind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bind {
    pub(crate) source: Text,
    pub(crate) at: Text,
    pub(crate) identity: (u64, u64),
    pub(crate) writable: bool,
    pub(crate) device: bool,
    pub(crate) granted: bool,
}

/// What the product sees of itself, from which the worker must differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    pub(crate) pid: c_int,
    /// Inodes of the user, mount, pid, net, ipc and uts namespace.
    pub(crate) namespaces: [u64; 6],
    pub(crate) tmp: (u64, u64),
    /// A file outside that anybody could read and write.
    pub(crate) canary: Text,
    /// What names the worker's control group.
    pub(crate) group: Option<Text>,
    /// How many variables it is given.
    pub(crate) variables: usize,
}

/// Everything the forked side needs; nothing in it lies on the heap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blueprint {
    pub(crate) moves: Kept<Move>,
    pub(crate) filter: Kept<libc::sock_filter>,
    /// The rules of Landlock, without those for what is made fresh.
    pub(crate) rules: Option<(c_int, Rights)>,
    pub(crate) doors: Kept<libc::sockaddr_storage>,
    /// Where listening descriptors go.
    pub(crate) handoff: Option<c_int>,
    pub(crate) cwd: Text,
    pub(crate) marks: Marks,
    pub(crate) removed: Layers,
    pub(crate) allow_degraded: bool,
    /// Namespaces are to be had; without, the tree is the machine's.
    pub(crate) walled: bool,
    /// The caller is root, and the worker is to be somebody who owns nothing outside: how owners are mapped for it.
    pub(crate) owners: Option<c_int>,
}

/// A blueprint with what it refers to. To be kept until the worker runs.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) blueprint: Blueprint,
    pub(crate) landlock_abi: u32,
    _shelf: Shelf,
    _rules: Option<OwnedFd>,
    _canary: Canary,
}

/// Prepares the sandbox of a worker that will run under `tier` with so many `variables`.
pub(crate) fn prepare(
    walls: &Walls,
    spec: &Spec,
    tier: Tier,
    doors: &Doors,
    group: Option<&str>,
    variables: usize,
) -> Result<Prepared, Unprepared> {
    let mut shelf = Shelf::new()?;
    let tree = Tree::of(&walls.profile)?;
    let walled = tier == Tier::Namespace && walls.removed.without(Layers::NAMESPACES) == walls.removed;
    if let (false, Some(path)) = (walled, walls.profile.hidden.first()) {
        return Err(Unprepared::NotHidden(path.clone()));
    }
    let rules = rules(walls, &tree, walled)?;
    let addresses: Vec<libc::sockaddr_storage> = doors.addresses().map(net::raw_address).collect();
    if addresses.len() > DOORS {
        return Err(Unprepared::TooManyDoors);
    }
    let sockets = match (&walls.profile.network, walled) {
        (Network::None, _) => Sockets::Pairs,
        (_, false) => Sockets::Tcp,
        (_, true) => Sockets::Loopback,
    };
    let canary = Canary::plant(&tree)?;
    let moves = moves(&mut shelf, &tree, walls.removed)?;
    if moves.len() > STEPS {
        return Err(io::Error::other("the profile names too many places").into());
    }
    let blueprint = Blueprint {
        moves: shelf.keep(&moves)?,
        filter: shelf.keep(&filter::program(sockets, walled))?,
        rules: rules.as_ref().map(|(fd, rights)| (fd.as_raw_fd(), *rights)),
        doors: shelf.keep(&addresses)?,
        handoff: None,
        cwd: text(&mut shelf, &spec.cwd)?,
        marks: Marks {
            pid: c_int::try_from(std::process::id()).unwrap_or(0),
            namespaces: ["user", "mnt", "pid", "net", "ipc", "uts"]
                .map(|name| fs::metadata(format!("/proc/self/ns/{name}")).map_or(0, |found| found.ino())),
            tmp: fs::metadata("/tmp").map_or((0, 0), |found| (found.dev(), found.ino())),
            canary: text(&mut shelf, &canary.path)?,
            group: group.map(|group| shelf.keep_text(&CString::new(group)?)).transpose()?,
            variables,
        },
        removed: walls.removed,
        walled: tier == Tier::Namespace && !walls.removed.has(Layer::Mounts),
        allow_degraded: walls.allow_degraded,
        // SAFETY: geteuid has no preconditions.
        owners: (unsafe { libc::geteuid() } == 0 && !walls.removed.has(Layer::Mounts))
            .then(confine::owners)
            .flatten(),
    };
    let landlock_abi = rules.as_ref().map_or(0, |(_, rights)| rights.abi());
    Ok(Prepared {
        blueprint,
        landlock_abi,
        _shelf: shelf,
        _rules: rules.map(|(fd, _)| fd),
        _canary: canary,
    })
}

/// The rules for places of the machine. Missing Landlock is left to the proof, which names it with all that is missing.
fn rules(walls: &Walls, tree: &Tree, walled: bool) -> Result<Option<(OwnedFd, Rights)>, Unprepared> {
    if walls.removed.has(Layer::Landlock) {
        return Ok(None);
    }
    let Some(rights) = Rights::offered() else {
        return if walls.allow_degraded {
            Ok(None)
        } else {
            Err(Unprepared::NoLandlock)
        };
    };
    let system = |errno| Unprepared::System(io::Error::from_raw_os_error(errno));
    // Without a network of its own, the ports are the best that can be told apart.
    let ports = !walled && walls.profile.network != Network::None;
    let rules = rights.new_rules(ports).map_err(system)?;
    // SAFETY: a fresh descriptor nobody else owns.
    let rules = unsafe { OwnedFd::from_raw_fd(rules) };
    for place in tree.places() {
        allow(&rules, rights, place)?;
    }
    if ports && rights.abi() >= 4 {
        for port in net::ports(&walls.profile.network) {
            landlock::allow_port(rules.as_raw_fd(), port).map_err(system)?;
        }
    }
    Ok(Some((rules, rights)))
}

fn allow(rules: &OwnedFd, rights: Rights, place: &Place) -> Result<(), Unprepared> {
    let granted = match place.access {
        Access::Read => rights.read(),
        Access::Write => rights.write(),
        Access::Device => rights.device(),
    };
    for (path, everybodys) in tree::parts(place) {
        // What has vanished since it was listed needs no rule.
        let Ok(opened) = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&path) else {
            continue;
        };
        let Ok(found) = opened.metadata() else { continue };
        if everybodys && !tree::is_everybodys(&found) {
            continue;
        }
        let granted = if found.is_dir() {
            granted
        } else {
            rights.of_file(granted)
        };
        landlock::allow(rules.as_raw_fd(), opened.as_raw_fd(), granted)
            .map_err(|errno| Unprepared::System(io::Error::from_raw_os_error(errno)))?;
    }
    Ok(())
}

fn moves(shelf: &mut Shelf, tree: &Tree, removed: Layers) -> Result<Vec<Move>, Unprepared> {
    let mut moves = Vec::with_capacity(tree.steps.len());
    for step in &tree.steps {
        moves.push(match step {
            Step::Folder(path) => Move::Folder(below_root(shelf, path)?),
            Step::File(path) => Move::File(below_root(shelf, path)?),
            Step::Link(path, target) => Move::Link {
                at: below_root(shelf, path)?,
                to: text(shelf, target)?,
            },
            Step::Bind(place) => Move::Bind(bind(shelf, place)?),
            Step::Cover(path, with) => Move::Cover {
                at: below_root(shelf, path)?,
                path: text(shelf, path)?,
                with: *with,
            },
            // A layer that is removed leaves what it would have hidden.
            Step::Temporary(path) if removed.has(Layer::Tmp) => Move::Bind(shared(shelf, path)?),
            Step::Temporary(path) => Move::Temporary(below_root(shelf, path)?),
            Step::Proc if removed.has(Layer::Proc) => Move::Bind(shared(shelf, Path::new("/proc"))?),
            Step::Proc => Move::Proc(below_root(shelf, Path::new("/proc"))?),
            Step::Terminals => Move::Terminals(below_root(shelf, Path::new("/dev/pts"))?),
        });
    }
    Ok(moves)
}

fn bind(shelf: &mut Shelf, place: &Place) -> Result<Bind, Unprepared> {
    Ok(Bind {
        source: text(shelf, &place.path)?,
        at: below_root(shelf, &place.path)?,
        identity: place.identity,
        writable: place.access == Access::Write,
        device: place.access == Access::Device,
        granted: place.granted,
    })
}

/// The machine's own, in place of something private.
fn shared(shelf: &mut Shelf, path: &Path) -> Result<Bind, Unprepared> {
    let found = fs::metadata(path)?;
    let place = Place {
        path: path.to_owned(),
        access: Access::Write,
        folder: true,
        granted: false,
        identity: (found.dev(), found.ino()),
    };
    bind(shelf, &place)
}

fn text(shelf: &mut Shelf, path: &Path) -> io::Result<Text> {
    shelf.keep_text(&CString::new(path.as_os_str().as_bytes())?)
}

fn below_root(shelf: &mut Shelf, path: &Path) -> io::Result<Text> {
    text(shelf, path.strip_prefix("/").unwrap_or(path))
}

/// An empty file outside every granted place which anybody could write to: a worker that can open it is not walled in.
#[derive(Debug)]
struct Canary {
    path: PathBuf,
}

impl Canary {
    fn plant(tree: &Tree) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            ".maestria-canary-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let outside = |folder: &PathBuf| !tree.places().any(|place| folder.starts_with(&place.path));
        let places = [std::env::temp_dir(), "/var/tmp".into(), "/dev/shm".into()];
        let mut refused = io::Error::other("no folder for temporary files lies outside what is granted");
        for folder in places.into_iter().filter(outside) {
            let path = folder.join(&name);
            match File::options().write(true).create_new(true).mode(0o666).open(&path) {
                Ok(_) => return Ok(Self { path }),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        // Empty and private to this start: one that stays behind harms nobody.
        let _ = fs::remove_file(&self.path);
    }
}
