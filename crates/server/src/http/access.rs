//! Who may come in: the server's token, credentials signed with it, and one-time codes for links.
//!
//! The token is 256 random bits in a file that only its owner can read; whoever has it is admin. A credential is a JSON
//! web token (HS256) under a key derived from it, with a name, a role and an end; so restarts keep it valid and a new token
//! ends all of them at once.

use crate::{app::AppError, config::Config};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use maestria_api::meta::Role;
use maestria_kernel::At;
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long a code is good.
const CODE_LIFE: Duration = Duration::from_secs(600);

/// How long a page stays signed in.
const PAGE_LIFE: Duration = Duration::from_secs(12 * 3600);

const ISSUER: &str = "maestria";

/// The only header that is taken; an `alg` of somebody else's choosing is no choice.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Why there is no access to be had.
pub type AccessError = AppError;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) role: Role,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    role: Role,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// The server's door.
pub struct Access {
    token: String,
    key: hmac::Key,
    /// Codes that were used, until they end.
    used: Mutex<HashMap<String, At>>,
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
        Ok(Self::of(crate::gateway::token(&file(config), random()?)?))
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
    pub fn link(&self, address: SocketAddr) -> Result<String, AccessError> {
        Ok(format!("http://{address}/#signin={}", self.code(crate::now())?))
    }

    fn of(token: String) -> Self {
        let base = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
        let derived = hmac::sign(&base, b"maestria credentials 1");
        Self {
            token,
            key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
            used: Mutex::default(),
        }
    }

    /// The token itself.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A credential with a name, a role and an end.
    pub fn issue(&self, name: &str, role: Role, now: At, life: Duration) -> (String, At) {
        let end = now.after(life);
        let seconds = |at: At| at.0.div_euclid(1000);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: name.to_owned(),
            role,
            iat: seconds(now),
            nbf: seconds(now),
            exp: seconds(end),
        };
        let body = serde_json::to_string(&claims).unwrap_or_default();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(body));
        let seal = hmac::sign(&self.key, signed.as_bytes());
        (format!("{signed}.{}", URL_SAFE_NO_PAD.encode(seal)), end)
    }

    /// Whose credential this is; `None` for all that are not valid, whatever the reason.
    pub(crate) fn whose(&self, given: &str, now: At) -> Option<Caller> {
        if self.is_token(given) {
            return Some(Caller {
                name: "token".to_owned(),
                role: Role::Admin,
            });
        }
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
        valid.then_some(Caller {
            name: claims.sub,
            role: claims.role,
        })
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
    pub(crate) fn redeem(&self, code: &str, now: At) -> Option<(String, At)> {
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
        Some(self.issue("dashboard", Role::Admin, now, PAGE_LIFE))
    }
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
mod tests {
    use super::{Access, HEADER, URL_SAFE_NO_PAD};
    use base64::Engine as _;
    use maestria_api::meta::Role;
    use maestria_kernel::At;
    use std::time::Duration;

    fn access() -> Access {
        Access::of("0123456789abcdef0123456789abcdef".to_owned())
    }

    #[test]
    fn a_credential_is_its_owners_until_its_end_and_under_its_token_only() {
        let (access, now) = (access(), At(1_000_000));
        let (credential, end) = access.issue("ci", Role::Viewer, now, Duration::from_secs(60));
        let caller = access.whose(&credential, now).unwrap();
        assert_eq!((caller.name.as_str(), caller.role), ("ci", Role::Viewer));
        assert_eq!(access.whose(&credential, end), None);
        assert_eq!(access.whose(&credential, At(0)), None);
        let other = Access::of("another-token-another-token-anot".to_owned());
        assert_eq!(other.whose(&credential, now), None);
        assert_eq!(access.whose(access.token(), now).unwrap().role, Role::Admin);
    }

    #[test]
    fn nothing_that_was_touched_is_taken() {
        let (access, now) = (access(), At(1_000_000));
        let (credential, _) = access.issue("ci", Role::Viewer, now, Duration::from_secs(60));
        for place in 0..credential.len() {
            let mut touched = credential.clone().into_bytes();
            touched[place] = if touched[place] == b'A' { b'B' } else { b'A' };
            let touched = String::from_utf8(touched).unwrap();
            // The last character of a seal has bits that decode to nothing.
            let same = |t: &str| URL_SAFE_NO_PAD.decode(t.rsplit('.').next().unwrap_or_default()).ok();
            if touched != credential && same(&touched) != same(&credential) {
                assert_eq!(access.whose(&touched, now), None, "{place}");
            }
        }
        for forged in ["", ".", "..", "a.b.c", "token", "0123456789abcdef0123456789abcde"] {
            assert_eq!(access.whose(forged, now), None, "{forged}");
        }
        let unsigned = HEADER.replace("HS256", "none");
        let body = credential.split('.').nth(1).unwrap();
        let forged = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(unsigned));
        assert_eq!(access.whose(&forged, now), None);
    }

    #[test]
    fn a_code_is_good_once_and_for_ten_minutes() {
        let (access, now) = (access(), At(1_000_000));
        let code = access.code(now).unwrap();
        let (credential, _) = access.redeem(&code, now).unwrap();
        assert_eq!(access.whose(&credential, now).unwrap().name, "dashboard");
        assert!(access.redeem(&code, now).is_none());
        let late = access.code(now).unwrap();
        assert!(access.redeem(&late, At(now.0 + 600_000)).is_none());
        assert!(access.redeem(&late.replace('.', "0."), now).is_none());
        assert!(access.whose(&late, now).is_none(), "a code is no credential");
        assert!(access.redeem(&credential, now).is_none(), "a credential is no code");
    }
}
