//! The part of a start that a sandbox adds: prepared before the fork, and put to use when the worker runs.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;

use super::SpawnError;
use crate::confine::UNPRIVILEGED;
use crate::control::Report;
use crate::layer::{Layer, Layers};
use crate::net::{Carriers, Doors};
use crate::profile::{Standing, Walls};
use crate::raw;
use crate::spec::{Spec, Tier};
use crate::walls::{self, Blueprint, DOORS, Prepared};

pub(super) const HINT: &str = "`maestria sandbox doctor` says what this machine lacks; where user namespaces are refused: sysctl \
                               user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0, or a container that may make \
                               them; `--allow-degraded`, or mode = \"degraded\" under [sandbox], goes on without, and says so everywhere";

/// Without a user and PID namespace there is nobody who could make the others.
pub(super) fn tier(spec: &Spec) -> Tier {
    let removed = spec.walls.as_ref().map_or(Layers::NONE, |walls| walls.removed);
    if removed.has(Layer::User) || removed.has(Layer::Pids) {
        return Tier::Subreaper;
    }
    spec.tier.unwrap_or_else(Tier::best)
}

/// With the variables that lead programs to the proxy, where there will be one.
pub(super) fn with_proxy(mut spec: Spec, tier: Tier) -> Spec {
    let doors = doors(&spec, tier);
    let variables = doors.environment().into_iter();
    spec.env
        .splice(0..0, variables.map(|(name, value)| (name.into(), value.into())));
    spec
}

fn doors(spec: &Spec, tier: Tier) -> Doors {
    match &spec.walls {
        Some(walls) if tier == Tier::Namespace && !walls.removed.has(Layer::Net) => Doors::of(&walls.profile.network),
        _ => Doors::default(),
    }
}

/// The caller's environment, which a worker never gets unless the layer that keeps it out is removed to be missed.
pub(super) fn callers_variables() -> impl Iterator<Item = CString> {
    let own = std::env::vars_os()
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .filter_map(|text| CString::new(text).ok());
    own.chain([c"MAESTRIA_CALLER=1".to_owned()])
}

/// A sandbox that waits for its worker.
pub(super) struct Walled {
    walls: Walls,
    prepared: Prepared,
    doors: Doors,
    /// Both ends of the way on which the listening sockets come; ours first.
    handoff: (UnixStream, UnixStream),
}

pub(super) fn prepare(spec: &Spec, tier: Tier, group: Option<&str>) -> Result<Option<Walled>, SpawnError> {
    let Some(walls) = &spec.walls else {
        return Ok(None);
    };
    let doors = doors(spec, tier);
    let variables = super::environment(spec).map_or(0, |variables| variables.len());
    let prepared = UnixStream::pair()
        .map_err(walls::Unprepared::from)
        .and_then(|handoff| Ok((walls::prepare(walls, spec, tier, &doors, group, variables)?, handoff)));
    let (prepared, handoff) = prepared.map_err(|source| SpawnError::Profile {
        name: spec.name.clone(),
        hint: source.hint(),
        source: Box::new(source),
    })?;
    Ok(Some(Walled {
        walls: walls.clone(),
        prepared,
        doors,
        handoff,
    }))
}

impl Walled {
    pub(super) fn blueprint(&self) -> Blueprint {
        Blueprint {
            handoff: (self.doors.addresses().next().is_some()).then(|| self.handoff.1.as_raw_fd()),
            ..self.prepared.blueprint
        }
    }

    /// What stands, now that the worker runs; and what carries for it.
    pub(super) fn stand(self, reports: &[Report]) -> io::Result<(Standing, Carriers)> {
        let told = reports.iter().find_map(|report| match report {
            Report::Proved(told) => Some(*told),
            _ => None,
        });
        let told = told.unwrap_or(0);
        let layers = Layers((told & !UNPRIVILEGED) as u32);
        let listeners = self.listeners()?;
        let standing = Standing {
            profile: self.walls.profile.name,
            layers,
            missing: Layers::ALL.without(layers),
            landlock_abi: if layers.has(Layer::Landlock) {
                self.prepared.landlock_abi
            } else {
                0
            },
            unprivileged: told & UNPRIVILEGED != 0,
            network: self.walls.profile.network,
        };
        Ok((standing, Carriers::start(self.doors, listeners)?))
    }

    /// The sockets that the worker's init has sent. They were sent before its program ran, so they are here.
    fn listeners(&self) -> io::Result<Vec<OwnedFd>> {
        if self.doors.addresses().next().is_none() {
            return Ok(Vec::new());
        }
        let mut sent = [-1; DOORS];
        let count = match raw::receive_descriptors(self.handoff.0.as_raw_fd(), &mut sent) {
            Ok(count) => count,
            // Going on without was allowed, and the report says that the layer is missing.
            Err(_) if self.walls.allow_degraded => 0,
            Err(errno) => return Err(io::Error::from_raw_os_error(errno)),
        };
        // SAFETY: fresh descriptors nobody else owns.
        Ok(sent[..count]
            .iter()
            .map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) })
            .collect())
    }
}
