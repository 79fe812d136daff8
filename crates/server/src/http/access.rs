//! Who may come in: the server's token, keys, credentials signed with the token, and one-time codes for links.
//!
//! The token is 256 random bits in a file that only its owner can read; whoever has it is admin. A credential is a JSON
//! web token (HS256) under a key derived from it, with a name, a role and an end; so restarts keep it valid and a new token
//! ends all of them at once. An issuer of the person's own may sign others (EdDSA). Keys are good until they are revoked, or to their end; what is kept of them is a code that is
//! made with the token, too. What is revoked is revoked at once: nobody is believed before a look at the register.

mod issuer;
pub(crate) mod pace;
mod register;

use crate::{app::AppError, config::Config};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use issuer::Issuer;
use maestria_api::meta::{KeyLine, Role};
use maestria_kernel::At;
use register::{Key, LONGEST_LIFE, Register, Stamp, is_key};
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::watch;

/// How long a code is good.
const CODE_LIFE: Duration = Duration::from_secs(600);

/// How long a page stays signed in.
const PAGE_LIFE: Duration = Duration::from_secs(12 * 3600);

const ISSUER: &str = "maestria";

/// How often the register is looked at for those who ask nothing: open streams.
const LOOK: Duration = Duration::from_millis(200);

/// How long the use of a key may go unwritten.
const UNWRITTEN: Duration = Duration::from_secs(60);

/// The only header that is taken; an `alg` of somebody else's choosing is no choice.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Why there is no access to be had.
pub type AccessError = AppError;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// What names the credential among all; the token has none.
    pub(crate) id: Option<String>,
    /// When it ends.
    until: Option<At>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    role: Role,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// The server's door.
pub struct Access {
    token: String,
    key: hmac::Key,
    /// Makes the codes over keys.
    coder: hmac::Key,
    file: PathBuf,
    /// Somebody else whose credentials count.
    issuer: Option<Issuer>,
    known: RwLock<Known>,
    /// Keys that were used, when, and not written down yet.
    unwritten: Mutex<HashMap<String, At>>,
    /// Another value after each change of the register.
    changes: watch::Sender<u64>,
    /// Codes that were used, until they end.
    used: Mutex<HashMap<String, At>>,
}

/// The register as it was read last.
#[derive(Debug, Default)]
struct Known {
    stamp: Stamp,
    register: Register,
    /// The place of each key by its code.
    places: HashMap<String, usize>,
}

impl Known {
    fn new(stamp: Stamp, register: Register) -> Self {
        let codes = register.keys.iter().enumerate();
        let places = codes.map(|(place, key)| (key.code.clone(), place)).collect();
        Self {
            stamp,
            register,
            places,
        }
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// The door of the server of a store; its token is made when it is not there.
    ///
    /// # Errors
    /// When its file can neither be read nor made.
    pub fn open(config: &Config) -> Result<Self, AccessError> {
        let token = crate::gateway::token(&file(config), random()?)?;
        let access = Self::of(token, file(config).with_extension("keys"));
        Ok(Self {
            issuer: Issuer::of(config)?,
            ..access
        })
    }

    /// Makes a new token; every credential under the old one ends with the next start of the server.
    ///
    /// # Errors
    /// When its file cannot be replaced.
    pub fn rotate(config: &Config) -> Result<Self, AccessError> {
        let path = file(config);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(AppError::Folder { path, source }),
            _ => Self::open(config),
        }
    }

    /// A link that signs a browser in, once, within ten minutes.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn link(&self, server: &str) -> Result<String, AccessError> {
        Ok(format!("{server}/#signin={}", self.code(crate::now())?))
    }

    fn of(token: String, file: PathBuf) -> Self {
        let base = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
        let derived = |what: &str| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&base, what.as_bytes()).as_ref());
        Self {
            key: derived("maestria credentials 1"),
            coder: derived("maestria keys 1"),
            token,
            file,
            issuer: None,
            known: RwLock::default(),
            unwritten: Mutex::default(),
            changes: watch::channel(0).0,
            used: Mutex::default(),
        }
    }

    /// The token itself.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A credential with a name, a role and an end.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn issue(&self, name: &str, role: Role, now: At, life: Duration) -> Result<Issued, AccessError> {
        let end = now.after(life.min(LONGEST_LIFE));
        let seconds = |at: At| at.0.div_euclid(1000);
        let id: String = random()?.chars().take(16).collect();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: name.to_owned(),
            jti: id.clone(),
            role,
            iat: seconds(now),
            nbf: seconds(now),
            exp: seconds(end),
        };
        let body = serde_json::to_string(&claims).unwrap_or_default();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(body));
        let seal = hmac::sign(&self.key, signed.as_bytes());
        Ok(Issued {
            credential: format!("{signed}.{}", URL_SAFE_NO_PAD.encode(seal)),
            id,
            end,
        })
    }

    /// Whose credential this is; `None` for all that are not valid, whatever the reason.
    pub(crate) fn whose(&self, given: &str, now: At) -> Option<Caller> {
        if self.is_token(given) {
            return Some(Caller {
                name: "token".to_owned(),
                role: Role::Admin,
                id: None,
                until: None,
            });
        }
        // Without the register nobody but the token's owner can be believed.
        self.refresh().ok()?;
        let caller = if is_key(given) {
            self.keyed(given, now)?
        } else {
            self.signed(given, now)?
        };
        Some(caller)
    }

    /// Whose key this is.
    fn keyed(&self, given: &str, now: At) -> Option<Caller> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let key = known.register.keys.get(*known.places.get(&self.code_of(given))?)?;
        if !key.is_good(now) {
            return None;
        }
        let line = &key.line;
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        unwritten.insert(line.name.clone(), now);
        Some(Caller {
            name: line.name.clone(),
            role: line.role,
            id: Some(format!("key {}", line.name)),
            until: line.expires_at,
        })
    }

    /// Whose signed credential this is, ours or the issuer's.
    fn signed(&self, given: &str, now: At) -> Option<Caller> {
        if let Some(credential) = self.issuer.as_ref().and_then(|issuer| issuer.read(given, now)) {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let caller = Caller {
                name: credential.name,
                role: credential.role,
                until: Some(credential.end),
                id: Some(format!("credential {}", credential.id)),
            };
            return (!known.register.revoked.contains_key(&credential.id)).then_some(caller);
        }
        self.our_own(given, now)
    }

    fn our_own(&self, given: &str, now: At) -> Option<Caller> {
        let (signed, seal) = given.rsplit_once('.')?;
        let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &seal).ok()?;
        let (header, body) = signed.split_once('.')?;
        if URL_SAFE_NO_PAD.decode(header).ok()? != HEADER.as_bytes() {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let seconds = now.0.div_euclid(1000);
        let valid = claims.iss == ISSUER && claims.aud == ISSUER && claims.nbf <= seconds && seconds < claims.exp;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        (valid && !known.register.revoked.contains_key(&claims.jti)).then(|| Caller {
            name: claims.sub,
            role: claims.role,
            id: Some(format!("credential {}", claims.jti)),
            until: Some(At(claims.exp.saturating_mul(1000))),
        })
    }

    /// A code for a key, which says nothing of it.
    fn code_of(&self, key: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.coder, key.as_bytes()))
    }

    /// Compares in constant time.
    fn is_token(&self, given: &str) -> bool {
        let seal = hmac::sign(&self.key, given.as_bytes());
        hmac::verify(&self.key, self.token.as_bytes(), seal.as_ref()).is_ok()
    }

    /// A code for a link, good once. Whoever can read the token can make one, without asking the server.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn code(&self, now: At) -> Result<String, AccessError> {
        let end = now.after(CODE_LIFE).0;
        let said = format!("{}.{end}", random()?);
        let seal = hmac::sign(&self.key, code_text(&said).as_bytes());
        Ok(format!("{said}.{}", URL_SAFE_NO_PAD.encode(seal)))
    }

    /// Takes a code and gives a page's credential for it.
    pub(crate) fn redeem(&self, code: &str, now: At) -> Option<Issued> {
        let (said, seal) = code.rsplit_once('.')?;
        let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
        hmac::verify(&self.key, code_text(said).as_bytes(), &seal).ok()?;
        let end = At(said.rsplit_once('.')?.1.parse().ok()?);
        if end <= now {
            return None;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, end| *end > now);
        if used.insert(said.to_owned(), end).is_some() {
            return None;
        }
        self.issue("dashboard", Role::Admin, now, PAGE_LIFE).ok()
    }

    /// Makes a key, which nobody can ever show again.
    ///
    /// # Errors
    /// When the name is taken or none, or the register cannot be written.
    pub fn add_key(
        &self,
        name: &str,
        role: Role,
        now: At,
        life: Option<Duration>,
    ) -> Result<(String, KeyLine), AccessError> {
        let (key, kept) = Key::make(name, role, now, life, |key| self.code_of(key))?;
        let line = kept.line.clone();
        Register::change(&self.file, |register| {
            register.check_name(name)?;
            register.keys.push(kept);
            Ok::<(), AccessError>(())
        })??;
        Ok((key, line))
    }

    /// All keys there are and were, without the keys themselves.
    ///
    /// # Errors
    /// When the register cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyLine>, AccessError> {
        self.write_uses()?;
        self.refresh()?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Ok(known.register.keys.iter().map(|key| key.line.clone()).collect())
    }

    /// Revokes a key by its name, or a credential: itself, or its id. A server that runs heeds it at once.
    ///
    /// # Errors
    /// When there is nothing of that name, or the register cannot be written.
    pub fn revoke(&self, what: &str, now: At) -> Result<Revoked, AccessError> {
        let signed = self.signed(what, now);
        let id = signed
            .as_ref()
            .and_then(|caller| caller.id.as_deref()?.strip_prefix("credential "));
        let is_id = what.len() == 16 && what.bytes().all(|b| b.is_ascii_hexdigit());
        let revoked = Register::change(&self.file, |register| {
            register.revoked.retain(|_, end| *end > now);
            if let Some(line) = register.revoke(what, now) {
                return Some(Revoked::Key(Box::new(line)));
            }
            let id = id.or_else(|| is_id.then_some(what))?;
            let end = signed.as_ref().and_then(|caller| caller.until);
            register
                .revoked
                .insert(id.to_owned(), end.unwrap_or_else(|| now.after(LONGEST_LIFE)));
            Some(Revoked::Credential(id.to_owned()))
        })?;
        let missing = || format!("there is no key `{what}` in force, and it is no credential and no credential's id");
        revoked.ok_or_else(|| AppError::NotFound(missing()))
    }

    /// Comes back when a credential is good no more: revoked, or at its end.
    pub(crate) async fn ends(&self, credential: &str) {
        let mut changes = self.changes.subscribe();
        loop {
            let now = crate::now();
            let Some(caller) = self.whose(credential, now) else {
                return;
            };
            let left = caller.until.map(|end| end.since(now));
            let end = async {
                match left {
                    Some(left) => tokio::time::sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender is ours; it is there.
                _ = changes.changed() => {}
                () = end => {}
            }
        }
    }

    /// Looks after the register for ever, for those who ask nothing, and writes down when keys were used.
    pub(crate) async fn look_after(&self) {
        let mut written = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.refresh() {
                tracing::error!(%error, "the keys cannot be read; only the token lets in");
            }
            if written.elapsed() >= UNWRITTEN {
                written = tokio::time::Instant::now();
                if let Err(error) = self.write_uses() {
                    tracing::warn!(%error, "the use of keys could not be written down");
                }
            }
        }
    }

    /// Writes down when keys were used.
    ///
    /// # Errors
    /// When the register cannot be written.
    pub(crate) fn write_uses(&self) -> Result<(), AccessError> {
        let used = std::mem::take(&mut *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner));
        if used.is_empty() {
            return Ok(());
        }
        Register::change(&self.file, |register| {
            for key in &mut register.keys {
                let line = &mut key.line;
                line.used_at = line.used_at.max(used.get(&line.name).copied());
            }
        })
    }

    /// Reads the register if it is another than before.
    fn refresh(&self) -> Result<(), AccessError> {
        let stamp = Stamp::of(&self.file);
        if self.known.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return Ok(());
        }
        let register = Register::read(&self.file).map_err(|source| AppError::Folder {
            path: self.file.clone(),
            source,
        })?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known::new(stamp, register);
        self.changes.send_modify(|number| *number += 1);
        Ok(())
    }
}

/// A credential that was issued.
#[derive(Debug)]
pub struct Issued {
    /// The credential itself.
    pub credential: String,
    /// What revokes it.
    pub id: String,
    /// When it ends by itself.
    pub end: At,
}

/// What was revoked.
#[derive(Debug)]
pub enum Revoked {
    /// A key.
    Key(Box<KeyLine>),
    /// The credential with this id.
    Credential(String),
}

/// Where the token lies.
fn file(config: &Config) -> PathBuf {
    config.store.with_file_name("server.token")
}

/// What a code's seal is over; a credential's is over something that never looks like this.
fn code_text(said: &str) -> String {
    format!("code {said}")
}

/// 256 bits as hexadecimal digits.
fn random() -> Result<String, AccessError> {
    let mut bytes = [0_u8; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| AppError::Config("the system gives no random bytes".to_owned()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
