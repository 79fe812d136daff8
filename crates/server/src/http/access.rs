//! Who may come in: the server's token, credentials signed with it, and one-time codes for links.
//!
//! The token is 256 random bits in a file that only its owner can read; whoever has it is admin. A credential is a JSON
//! web token (HS256) under a key derived from it, with a name, a role and an end; so restarts keep it valid and a new token
//! ends all of them at once.

use crate::app::AppError;
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
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long a code is good.
const CODE_LIFE: Duration = Duration::from_secs(600);

/// How long a page stays signed in.
const PAGE_LIFE: Duration = Duration::from_secs(12 * 3600);

/// Codes that wait at once.
const MOST_CODES: usize = 64;

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
    codes: Mutex<HashMap<String, At>>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// The door whose token lies in this file; it is made when it is not there.
    ///
    /// # Errors
    /// When the file can neither be read nor made.
    pub fn open(file: &Path) -> Result<Self, AccessError> {
        Ok(Self::of(crate::gateway::token(file, random()?)?))
    }

    /// Makes a new token; every credential under the old one ends.
    ///
    /// # Errors
    /// When the file cannot be replaced.
    pub fn rotate(file: &Path) -> Result<Self, AccessError> {
        let gone = std::fs::remove_file(file);
        match gone {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(AppError::Folder {
                path: file.to_owned(),
                source,
            }),
            _ => Self::open(file),
        }
    }

    fn of(token: String) -> Self {
        let base = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
        let derived = hmac::sign(&base, b"maestria credentials 1");
        Self {
            token,
            key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
            codes: Mutex::default(),
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

    /// A code for a link, good once.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn code(&self, now: At) -> Result<(String, At), AccessError> {
        let code = random()?;
        let end = now.after(CODE_LIFE);
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|_, end| *end > now);
        if codes.len() >= MOST_CODES {
            codes.clear();
        }
        codes.insert(code.clone(), end);
        Ok((code, end))
    }

    /// Takes a code and gives a page's credential for it.
    pub(crate) fn redeem(&self, code: &str, now: At) -> Option<(String, At)> {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let end = codes.remove(code)?;
        (end > now).then(|| self.issue("dashboard", Role::Admin, now, PAGE_LIFE))
    }
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
        let (code, end) = access.code(now).unwrap();
        let (credential, _) = access.redeem(&code, now).unwrap();
        assert_eq!(access.whose(&credential, now).unwrap().name, "dashboard");
        assert!(access.redeem(&code, now).is_none());
        let (late, _) = access.code(now).unwrap();
        assert!(access.redeem(&late, end).is_none());
    }
}
