//! A key as columns: what engines keep and dumps carry.

use std::fmt;

use keyholt_core::commit::Revision;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{About, Key, KeyRow, Kind, Maker, State};
use keyholt_core::owner::Owner;
use keyholt_core::seal::Seal;
use keyholt_core::secret::{Credentials, Digest};
use keyholt_core::text::{Cause, Description, Name};
use keyholt_core::time::{Expiry, Moment};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::StoreError;

/// A key with its seal, column by column. Texts are exactly as stored, so that the seal stays right.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyColumns {
    /// The key.
    pub id: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// Whom it acts for.
    pub owner: Owner,
    /// What sort of key it is.
    pub kind: Kind,
    /// Its access as JSON.
    pub access: String,
    /// Its bounds as JSON.
    pub bounds: String,
    /// When it stops by itself, in milliseconds; `None` is never.
    pub expires_at: Option<i64>,
    /// The word for its state.
    pub state: String,
    /// Since when it is suspended or revoked; 0 while active.
    pub state_at: i64,
    /// Why it was revoked; empty unless it was.
    pub cause: String,
    /// Digest of the newest secret.
    pub current: Hex32,
    /// Digest of the secret before it; without an end, of the family of refresh tokens.
    pub retiring: Option<Hex32>,
    /// When the old secret is dead; never given for a family.
    pub retiring_until: Option<i64>,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its metadata as JSON.
    pub metadata: String,
    /// Its tags as JSON.
    pub tags: String,
    /// The recognisable part of its secret, as JSON.
    pub hint: String,
    /// When it was made.
    pub created_at: i64,
    /// With which key it was made; `None` is by Keyholt itself, at set-up.
    pub created_by: Option<KeyId>,
    /// How often it was changed.
    pub revision: Revision,
    /// The seal over what judges.
    pub seal: Hex32,
}

impl KeyColumns {
    /// The columns of a key.
    pub fn new(key: &Key, seal: &Seal) -> Self {
        let at_rest = key.at_rest();
        let row = key.row(&at_rest);
        Self {
            id: row.id,
            project: row.project,
            owner: row.owner,
            kind: row.kind,
            expires_at: row.expires_at,
            state: row.state.to_owned(),
            state_at: row.state_at,
            current: Hex32(*row.current.as_bytes()),
            retiring: row.retiring.map(|digest| Hex32(*digest.as_bytes())),
            retiring_until: row.retiring_until,
            name: key.about.name.as_str().to_owned(),
            description: key.about.description.as_str().to_owned(),
            metadata: json(&key.about.metadata),
            tags: json(&key.about.tags),
            hint: json(&key.about.hint),
            created_at: key.created_at.ms(),
            created_by: match key.created_by {
                Maker::Key(maker) => Some(maker),
                Maker::Setup => None,
            },
            revision: row.revision,
            seal: Hex32(*seal.as_bytes()),
            access: at_rest.access,
            bounds: at_rest.bounds,
            cause: at_rest.cause,
        }
    }

    /// The key and its seal, which is not checked here.
    pub fn read(&self) -> Result<(Key, Seal), StoreError> {
        self.key()
            .map(|key| (key, Seal::from_bytes(self.seal.0)))
            .ok_or_else(|| StoreError::Corrupt(format!("key {}", self.id)))
    }

    fn key(&self) -> Option<Key> {
        Some(Key {
            id: self.id,
            project: self.project,
            owner: self.owner,
            kind: self.kind,
            access: serde_json::from_str(&self.access).ok()?,
            bounds: serde_json::from_str(&self.bounds).ok()?,
            expiry: self
                .expires_at
                .map_or(Expiry::Never, |at| Expiry::At(Moment::from_ms(at))),
            state: self.state()?,
            credentials: self.credentials()?,
            about: About {
                name: Name::new(&self.name).ok()?,
                description: Description::new(&self.description).ok()?,
                metadata: serde_json::from_str(&self.metadata).ok()?,
                tags: serde_json::from_str(&self.tags).ok()?,
                hint: serde_json::from_str(&self.hint).ok()?,
            },
            created_at: Moment::from_ms(self.created_at),
            created_by: self.created_by.map_or(Maker::Setup, Maker::Key),
            revision: self.revision,
        })
    }

    fn state(&self) -> Option<State> {
        let at = Moment::from_ms(self.state_at);
        match self.state.as_str() {
            "active" => Some(State::Active),
            "suspended" => Some(State::Suspended { since: at }),
            "revoked" => Some(State::Revoked {
                at,
                cause: Cause::new(&self.cause).ok()?,
            }),
            _ => None,
        }
    }

    fn credentials(&self) -> Option<Credentials> {
        let current = Digest::from_bytes(self.current.0);
        match (self.retiring, self.retiring_until) {
            (None, None) => Some(Credentials::One(current)),
            (Some(retiring), Some(until)) => Some(Credentials::Rotating {
                current,
                retiring: Digest::from_bytes(retiring.0),
                until: Moment::from_ms(until),
            }),
            (Some(family), None) => Some(Credentials::Family {
                current,
                family: Digest::from_bytes(family.0),
            }),
            (None, Some(_)) => None,
        }
    }

    /// Whether the key counts against its owner's limit: sessions have one of their own.
    pub(crate) fn is_counted(&self) -> bool {
        self.state != "revoked" && self.kind != Kind::Session
    }

    /// The part that judges and is sealed.
    pub fn row(&self) -> KeyRow<'_> {
        KeyRow {
            id: self.id,
            project: self.project,
            owner: self.owner,
            kind: self.kind,
            access: &self.access,
            bounds: &self.bounds,
            expires_at: self.expires_at,
            state: &self.state,
            state_at: self.state_at,
            current: Digest::from_bytes(self.current.0),
            retiring: self.retiring.map(|digest| Digest::from_bytes(digest.0)),
            retiring_until: self.retiring_until,
            revision: self.revision,
        }
    }

    /// The digests under which the key is recognised: one or two.
    pub fn digests(&self) -> impl Iterator<Item = Hex32> {
        std::iter::once(self.current).chain(self.retiring)
    }
}

/// What is kept as JSON has string keys only, so writing it cannot fail.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// 32 bytes, written as 64 hexadecimal digits: a digest or a seal. Never shown by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex32(pub [u8; 32]);

impl fmt::Debug for Hex32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hex32(…)")
    }
}

impl Serialize for Hex32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for Hex32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| de::Error::custom("not 64 lower-case hexadecimal digits"))
    }
}

fn parse(text: &str) -> Option<Hex32> {
    if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0u8; 32];
    for (place, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *place = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(Hex32(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_bytes_have_one_spelling() {
        let bytes = Hex32(std::array::from_fn(|at| u8::try_from(at * 7 % 256).unwrap()));
        let text = serde_json::to_string(&bytes).unwrap();
        assert_eq!(text.len(), 66);
        assert_eq!(serde_json::from_str::<Hex32>(&text).unwrap(), bytes);
        assert!(serde_json::from_str::<Hex32>(&text.to_uppercase()).is_err());
        assert!(serde_json::from_str::<Hex32>("\"00\"").is_err());
        assert_eq!(format!("{bytes:?}"), "Hex32(…)");
    }
}
