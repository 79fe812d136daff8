//! The audit trail: who did what, on whose leave, behind which walls. It only grows, and each entry seals the one before it.
//!
//! Every entry carries a code over itself and its predecessor's, made with a key that only the product's user can read. A
//! second, sealed file says how far the trail goes, so that a cut end is noticed, too. Whoever can read the key can forge the
//! trail; a worker in the sandbox cannot even see the folder.

mod backwards;
mod verify;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::{digest, hmac};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use backwards::Backwards;
pub use verify::{Broken, Verified};

/// What is kept of one thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    /// When, milliseconds since 1970.
    pub at: i64,
    /// The event's number among those of all runs.
    pub number: u64,
    /// Whose run; empty for what a person did outside of any.
    pub run: String,
    /// Which task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Who did or decided it.
    pub who: String,
    /// What: the event's kind, and a few words.
    pub what: String,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// SHA-256 of the command that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv_sha256: Option<String>,
    /// What stood around the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<String>,
}

/// An entry: a record in its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number in the trail, from 1.
    pub seq: u64,
    /// The seal of the entry before it; of the first, zeroes.
    pub prev: String,
    /// What happened.
    #[serde(flatten)]
    pub record: Record,
}

/// A line of the trail: the entry's exact text, and its seal.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    entry: &'a RawValue,
    seal: &'a str,
}

/// How far the trail goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Head {
    /// Entries.
    seq: u64,
    /// The last seal.
    last: String,
    /// Bytes of the trail.
    length: u64,
    /// The last event that was looked at, whether it was worth an entry or not.
    number: u64,
}

#[derive(Serialize, Deserialize)]
struct SealedHead {
    head: Head,
    seal: String,
}

/// The trail in a folder of its own.
#[derive(Debug, Clone)]
pub struct Audit {
    folder: PathBuf,
}

const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Audit {
    /// The trail in `folder`, which need not be there yet.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The number of the last event that was looked at.
    ///
    /// # Errors
    /// When the trail cannot be read, or its head is not ours.
    pub fn number(&self) -> io::Result<u64> {
        if !self.trail().exists() {
            return Ok(0);
        }
        Ok(self.head(&self.key()?)?.number)
    }

    /// Adds records of events that are newer than the last one looked at, and notes that all up to `number` were. Several
    /// processes may do so at a time: what another has added meanwhile is left out.
    ///
    /// # Errors
    /// When it cannot be written, or the trail that is there is not whole.
    pub fn append(&self, records: &[Record], number: u64) -> io::Result<()> {
        self.extend(|head| {
            let new = records.iter().filter(|record| record.number > head.number);
            (new.cloned().collect(), head.number.max(number))
        })
    }

    /// Adds a record of something that is no event.
    ///
    /// # Errors
    /// As of [`Audit::append`].
    pub fn note(&self, record: Record) -> io::Result<()> {
        self.extend(|head| {
            let number = head.number;
            (vec![Record { number, ..record }], number)
        })
    }

    /// Adds what `news` makes of how far the trail goes, and notes up to which event it was looked.
    fn extend(&self, news: impl FnOnce(&Head) -> (Vec<Record>, u64)) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut trail = private().read(true).append(true).open(self.trail())?;
        trail.lock()?;
        let key = self.key()?;
        let mut head = self.caught_up(&mut trail, &key)?;
        let (records, number) = news(&head);
        let mut text = Vec::new();
        for record in records {
            let entry = Entry {
                seq: head.seq + 1,
                prev: head.last.clone(),
                record,
            };
            let body = RawValue::from_string(serde_json::to_string(&entry)?)?;
            head.last = seal(&key, body.get().as_bytes());
            head.seq = entry.seq;
            serde_json::to_writer(
                &mut text,
                &Line {
                    entry: &body,
                    seal: &head.last,
                },
            )?;
            text.push(b'\n');
        }
        if !text.is_empty() {
            trail.write_all(&text)?;
            trail.sync_data()?;
        }
        head.length += text.len() as u64;
        head.number = number;
        self.put_head(&key, head)
    }

    /// The head, brought up to entries that a crash kept from being counted. They must continue the chain.
    fn caught_up(&self, trail: &mut File, key: &hmac::Key) -> io::Result<Head> {
        let length = trail.metadata()?.len();
        if length == 0 && !self.head_path().exists() {
            return Ok(Head {
                last: FIRST.to_owned(),
                ..Head::default()
            });
        }
        let mut head = self.head(key)?;
        if length < head.length {
            return Err(broken("its end is missing"));
        }
        trail.seek(SeekFrom::Start(head.length))?;
        let mut rest = String::new();
        trail.read_to_string(&mut rest)?;
        for line in rest.split_inclusive('\n') {
            if !line.ends_with('\n') {
                // Torn by a crash: it was never acknowledged.
                trail.set_len(head.length)?;
                break;
            }
            let entry = verify::open(line, key).map_err(|why| broken(&why))?;
            if entry.0.seq != head.seq + 1 || entry.0.prev != head.last {
                return Err(broken("an entry at its end does not belong there"));
            }
            head = Head {
                seq: entry.0.seq,
                last: entry.1,
                length: head.length + line.len() as u64,
                number: head.number.max(entry.0.record.number),
            };
        }
        Ok(head)
    }

    /// Every entry as it stands now, a line each; `None` when there is no trail. [`Audit::verify`] says whether they can be
    /// believed.
    ///
    /// # Errors
    /// When the trail cannot be read.
    pub fn export(&self) -> io::Result<Option<io::Take<File>>> {
        match File::open(self.trail()) {
            Ok(file) => {
                let (length, ()) = verify::at_rest(&file, || ())?;
                Ok(Some(file.take(length)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Entries as they stand, the newest first, that end before this place in the trail.
    ///
    /// # Errors
    /// When the trail cannot be read.
    pub fn backwards(&self, before: u64) -> io::Result<Backwards> {
        match File::open(self.trail()) {
            Ok(file) => Backwards::new(file, before),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Backwards::empty()),
            Err(error) => Err(error),
        }
    }

    /// Looks at every seal, at the order, and at the end.
    ///
    /// # Errors
    /// [`Broken`] names the first line that is not as it was written, and how.
    pub fn verify(&self) -> Result<Verified, Broken> {
        verify::verify(self)
    }

    fn trail(&self) -> PathBuf {
        self.folder.join("audit.jsonl")
    }

    fn head_path(&self) -> PathBuf {
        self.folder.join("audit.head")
    }

    fn head(&self, key: &hmac::Key) -> io::Result<Head> {
        let text = fs::read_to_string(self.head_path())
            .map_err(|error| io::Error::new(error.kind(), format!("the trail's head cannot be read: {error}")))?;
        let sealed: SealedHead = serde_json::from_str(&text).map_err(|_| broken("its head is not readable"))?;
        if seal(key, serde_json::to_string(&sealed.head)?.as_bytes()) != sealed.seal {
            return Err(broken("its head was changed"));
        }
        Ok(sealed.head)
    }

    fn put_head(&self, key: &hmac::Key, head: Head) -> io::Result<()> {
        let sealed = SealedHead {
            seal: seal(key, serde_json::to_string(&head)?.as_bytes()),
            head,
        };
        let draft = self.folder.join("audit.head.new");
        let mut file = private().write(true).truncate(true).open(&draft)?;
        file.write_all(serde_json::to_string(&sealed)?.as_bytes())?;
        file.sync_data()?;
        fs::rename(draft, self.head_path())
    }

    /// The key; made when there is no trail yet, and never anew.
    fn key(&self) -> io::Result<hmac::Key> {
        let path = self.folder.join("audit.key");
        match fs::read(&path) {
            Ok(bytes) if bytes.len() == 32 => Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)),
            Ok(_) => Err(broken("its key is damaged")),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.head_path().exists() => make_key(&path),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("the trail's key {} cannot be read: {error}", path.display()),
            )),
        }
    }
}

fn make_key(path: &Path) -> io::Result<hmac::Key> {
    let mut bytes = [0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| io::Error::other("the system has no randomness to give"))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    options
}

fn broken(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the audit trail is not whole: {why}; `maestria audit verify` looks closer"),
    )
}

fn seal(key: &hmac::Key, text: &[u8]) -> String {
    hex(hmac::sign(key, text).as_ref())
}

/// SHA-256 of a text, in hexadecimal.
pub fn fingerprint(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
