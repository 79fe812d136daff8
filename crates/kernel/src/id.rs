//! Typed ids: a prefix and a UUIDv7, so that an id says what it names and sorts by birth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// An id that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a {what} id; expected `{prefix}_` followed by 32 hexadecimal digits")]
pub struct BadId {
    given: String,
    what: &'static str,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID made by the caller; the kernel never makes one.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Its bytes, most significant first.
            pub const fn bytes(&self) -> [u8; 16] {
                *self.0.as_bytes()
            }

            /// The short form for people: the prefix and the last six digits (the random end of a UUIDv7).
            pub fn short(&self) -> String {
                let hex = self.0.simple().to_string();
                format!("{}_{}", $prefix, &hex[26..])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(given: &str) -> Result<Self, BadId> {
                given
                    .strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32)
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| BadId { given: given.to_owned(), what: $what, prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": concat!("^", $prefix, "_[0-9a-f]{32}$")})
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One request from a person or an API client.
    RunId, "run", "run"
);
id!(
    /// One node of a run's plan.
    TaskId, "task", "task"
);
id!(
    /// One question to a person.
    DecisionId, "dec", "decision"
);
id!(
    /// One review asked of one agent.
    ReviewId, "rev", "review"
);

/// The number of an event in its run's log, from 1 upwards without gaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The number after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names an effect for ever: the event that owes it and its place among that event's effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct EffectId {
    /// The event that owes the effect.
    pub seq: Seq,
    /// Its place among that event's effects, from 0.
    pub index: u16,
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eff_{}_{}", self.seq, self.index)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name as it was given.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }
    };
}

name!(
    /// The configured name of an agent, such as `claude` or `native-reviewer`.
    AgentName
);
name!(
    /// A task's short name within its plan, such as `E1`; other tasks refer to its evidence as `#E1`.
    TaskKey
);
name!(
    /// A commit in the target's repository (hexadecimal object id).
    CommitId
);
name!(
    /// What an agent calls its own conversation; lets the conversation be resumed.
    SessionId
);

/// Makes an id out of what is known already: the run, the moment and a number that is used once within the run.
///
/// A UUIDv7 whose random bits are mixed (splitmix64) from the run's own id and `nonce`, so that a decision and its
/// replay name things alike and the kernel needs no source of randomness.
pub(crate) fn mint(run: RunId, now: crate::time::At, nonce: u64) -> Uuid {
    let seed = run.0.as_u128();
    let mix = |salt: u64| {
        let folded = (seed as u64) ^ ((seed >> 64) as u64).rotate_left(32);
        let mut z = folded.wrapping_add((nonce.wrapping_mul(2) + salt + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let mut bits = [0; 10];
    bits[..8].copy_from_slice(&mix(0).to_be_bytes());
    bits[8..].copy_from_slice(&mix(1).to_be_bytes()[..2]);
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.0).unwrap_or(0), &bits).into_uuid()
}
