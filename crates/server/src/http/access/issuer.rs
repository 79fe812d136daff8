//! Credentials that somebody else issues: JSON web tokens signed with Ed25519 (RFC 8037), under a key that the configuration
//! names. They must say who made them, for whom, from when and until when, and have an id, by which they can be revoked.

use super::{AccessError, LONGEST_LIFE, Role};
use crate::{app::AppError, config::Config};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use maestria_kernel::At;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410).
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The longest credential that is read, in bytes.
const LONGEST: usize = 4096;

/// Somebody whose credentials count.
#[derive(Debug)]
pub(super) struct Issuer {
    key: UnparsedPublicKey<Vec<u8>>,
    name: String,
    audience: String,
}

/// What a valid credential says.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) name: String,
    pub(super) role: Role,
    /// Its id among those of all issuers.
    pub(super) id: String,
    pub(super) end: At,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that a reader must understand; none is understood here.
    crit: Option<serde_json::Value>,
}

/// What must be said. An issuer may say more, which means nothing here.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    jti: String,
    role: Role,
    nbf: i64,
    exp: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

impl Issuer {
    /// The one of the configuration, if it names one.
    ///
    /// # Errors
    /// When it is named by half, or its key cannot be read.
    pub(super) fn of(config: &Config) -> Result<Option<Self>, AccessError> {
        let (file, name) = match (&config.jwt_key, &config.jwt_issuer) {
            (None, None) => return Ok(None),
            (Some(file), Some(name)) if !name.is_empty() => (file, name),
            _ => {
                let what = "an issuer of credentials takes both `jwt_key` and `jwt_issuer` of [server]";
                return Err(AppError::Config(what.to_owned()));
            }
        };
        let text = std::fs::read_to_string(file)
            .map_err(|error| AppError::Config(format!("`jwt_key` of [server]: {}: {error}", file.display())))?;
        let bytes = public_key(&text).ok_or_else(|| {
            AppError::Config(format!(
                "`jwt_key` of [server]: {} holds no Ed25519 public key as PEM; `openssl pkey -in KEY -pubout` writes one",
                file.display()
            ))
        })?;
        Ok(Some(Self {
            key: UnparsedPublicKey::new(&ED25519, bytes),
            name: name.clone(),
            audience: config.jwt_audience.clone(),
        }))
    }

    /// What a credential of theirs says; `None` for all that are not valid, whatever the reason.
    pub(super) fn read(&self, given: &str, now: At) -> Option<Credential> {
        if given.len() > LONGEST {
            return None;
        }
        let (signed, seal) = given.rsplit_once('.')?;
        let (header, body) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header.alg != "EdDSA" || header.crit.is_some() {
            return None;
        }
        let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
        self.key.verify(signed.as_bytes(), &seal).ok()?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let seconds = now.0.div_euclid(1000);
        let end = At(claims.exp.saturating_mul(1000));
        // One that lives longer than it is remembered what was revoked could come back.
        let lasts = end <= now.after(LONGEST_LIFE);
        let named = !claims.sub.is_empty() && !claims.jti.is_empty();
        let valid = claims.iss == self.name
            && claims.aud.has(&self.audience)
            && claims.nbf <= seconds
            && seconds < claims.exp
            && lasts
            && named;
        valid.then(|| Credential {
            name: claims.sub,
            role: claims.role,
            id: format!("{}:{}", self.name, claims.jti),
            end,
        })
    }
}

/// The key in a PEM text.
fn public_key(text: &str) -> Option<Vec<u8>> {
    let body = text
        .split_once("-----BEGIN PUBLIC KEY-----")?
        .1
        .split_once("-----END PUBLIC KEY-----")?
        .0;
    let body: String = body.split_ascii_whitespace().collect();
    let key = STANDARD.decode(body).ok()?;
    let key = key.strip_prefix(&PREFIX)?;
    (key.len() == 32).then(|| key.to_vec())
}

#[cfg(test)]
mod tests;
