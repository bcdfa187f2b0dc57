//! The registry of identifiers: one type per noun, so that an owner is never passed where a key is meant.
//!
//! Every id is a UUIDv7 (RFC 9562 §5.7): it sorts by the time of its making and says nothing else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

use crate::entropy::Entropy;
use crate::time::Moment;

/// A text that is not an id in the canonical form: 36 lower-case characters with hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a UUID such as `0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20`")]
pub struct IdError;

fn canonical(text: &str) -> Result<Uuid, IdError> {
    // One spelling only: braces, URN and upper-case forms would be second names for one thing.
    let uuid = Uuid::try_parse(text).map_err(|_| IdError)?;
    let mut buffer = Uuid::encode_buffer();
    if uuid.hyphenated().encode_lower(&mut buffer) == text {
        Ok(uuid)
    } else {
        Err(IdError)
    }
}

/// Whether a text is spelled like an id; names chosen by people must not be (they could stand in for one).
pub fn looks_like_id(text: &str) -> bool {
    Uuid::try_parse(text.trim()).is_ok()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id, ordered by time.
            pub fn mint(now: Moment, entropy: &mut dyn Entropy) -> Self {
                let mut random = [0u8; 10];
                entropy.fill(&mut random);
                let ms = u64::try_from(now.ms()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
            }

            /// The id with these bytes.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bytes of the id.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// When it was minted, to the millisecond. Where the id is sealed, so is this.
            pub fn minted_at(self) -> Moment {
                let (secs, nanos) = self.0.get_timestamp().map_or((0, 0), |time| time.to_unix());
                let ms = secs.saturating_mul(1000).saturating_add(u64::from(nanos / 1_000_000));
                Moment::from_ms(i64::try_from(ms).unwrap_or(i64::MAX))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                canonical(text).map(Self)
            }
        }
    )*};
}

ids! {
    /// Names a project, the tenant of everything else.
    ProjectId;
    /// Names a key; as an OAuth client it is the client id.
    KeyId;
    /// Names a user.
    UserId;
    /// Names a team.
    TeamId;
    /// Names a service, a machine account.
    ServiceId;
    /// Names a role.
    RoleId;
    /// Names a signing key's record; verifiers know the key by its thumbprint.
    SigningKeyId;
    /// Names an access token: its `jti`.
    TokenId;
}

/// The project that Keyholt itself lives in: its users are the operators, its keys are theirs.
pub const SYSTEM: ProjectId = ProjectId(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = SYSTEM.to_string();
        assert_eq!(text.parse::<ProjectId>().unwrap(), SYSTEM);
        for other in [
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("urn:uuid:{text}"),
            format!(" {text}"),
        ] {
            assert!(other.parse::<ProjectId>().is_err(), "{other}");
        }
        assert!("ABCDEF00-0000-7000-8000-000000000001".parse::<KeyId>().is_err());
        assert!(looks_like_id(&text.to_uppercase()));
    }
}
