//! The layers of the sandbox, as a set that fits a report between processes.

use serde::{Serialize, Serializer};

/// One layer of the sandbox. Each is raised, and then proved by an attempt that it must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Layer {
    /// A session of its own: no terminal to type into.
    Session,
    /// Control groups and resource limits.
    Limits,
    /// A user namespace: whatever it may there counts for nothing outside.
    User,
    /// A file tree of its own, in which only granted places exist.
    Mounts,
    /// A process namespace: no other process can be seen or signalled.
    Pids,
    /// A network namespace with nothing but its own loopback.
    Net,
    /// Own System V and POSIX message queues.
    Ipc,
    /// An own host name.
    Uts,
    /// A `/proc` that shows the worker's own processes.
    Proc,
    /// A private `/tmp`.
    Tmp,
    /// No capability, and no way to any.
    Capabilities,
    /// No set-uid program raises anything.
    NoNewPrivileges,
    /// File rules of the kernel, independent of mounts.
    Landlock,
    /// Filtered system calls.
    Seccomp,
    /// No descriptor besides the three streams.
    Descriptors,
    /// Nothing of the caller's environment.
    Environment,
}

impl Layer {
    /// All of them, in the order in which they are raised.
    pub const ALL: [Self; 16] = [
        Self::Session,
        Self::Limits,
        Self::User,
        Self::Mounts,
        Self::Pids,
        Self::Net,
        Self::Ipc,
        Self::Uts,
        Self::Proc,
        Self::Tmp,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::Seccomp,
        Self::Descriptors,
        Self::Environment,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Limits => "limits",
            Self::User => "user",
            Self::Mounts => "mounts",
            Self::Pids => "pids",
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Proc => "proc",
            Self::Tmp => "tmp",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Descriptors => "descriptors",
            Self::Environment => "environment",
        }
    }

    /// What proves it, for people.
    pub const fn proof(self) -> &'static str {
        match self {
            Self::Session => "its session is its own, and there is no terminal",
            Self::Limits => "it is a member of its groups, and its resource limits are set",
            Self::User => "its ids are mapped in a namespace other than ours",
            Self::Mounts => "a file of ours outside could not be opened",
            Self::Pids => "its parent is number 1, and our own number means nobody",
            Self::Net => "a packet to an address elsewhere found no way",
            Self::Ipc => "its queues are not ours",
            Self::Uts => "its host name is not ours",
            Self::Proc => "/proc shows it under its own number",
            Self::Tmp => "/tmp is not ours",
            Self::Capabilities => "it could not change its host name",
            Self::NoNewPrivileges => "the kernel says that it cannot be taken back",
            Self::Landlock => "a readable file that no rule names could not be opened",
            Self::Seccomp => "a call that the kernel offers was refused",
            Self::Descriptors => "a descriptor left open on purpose is gone",
            Self::Environment => "it has the variables that it was given and no other",
        }
    }

    /// The layer that a word names.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.word() == word)
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of layers.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Layers(pub(crate) u32);

impl Layers {
    /// No layer.
    pub const NONE: Self = Self(0);
    /// Every layer.
    pub const ALL: Self = Self((1 << Layer::ALL.len()) - 1);
    /// Those that need namespaces of the kernel.
    pub const NAMESPACES: Self = Self::of(&[
        Layer::User,
        Layer::Mounts,
        Layer::Pids,
        Layer::Net,
        Layer::Ipc,
        Layer::Uts,
        Layer::Proc,
        Layer::Tmp,
    ]);

    /// These layers.
    pub const fn of(layers: &[Layer]) -> Self {
        let mut bits = 0;
        let mut next = 0;
        while next < layers.len() {
            bits |= layers[next].bit();
            next += 1;
        }
        Self(bits)
    }

    /// Whether it is among them.
    pub const fn has(self, layer: Layer) -> bool {
        self.0 & layer.bit() != 0
    }

    /// With those of another set.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without those of another set.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One after the other.
    pub fn each(self) -> impl Iterator<Item = Layer> {
        Layer::ALL.into_iter().filter(move |layer| self.has(*layer))
    }
}

impl std::fmt::Display for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, layer) in self.each().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            f.write_str(layer.word())?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Layers({self})")
    }
}

impl Serialize for Layers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.each().map(Layer::word))
    }
}
