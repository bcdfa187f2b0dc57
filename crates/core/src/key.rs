//! Keys: the records that are labelled, scoped, expire, rotate, are suspended or revoked.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::commit::Revision;
use crate::id::{KeyId, ProjectId};
use crate::owner::Owner;
use crate::scope::Access;
use crate::seal::{Seal, SealedBy, Sealer, Sealers};
use crate::secret::{Age, Credentials, Digest, Hint};
use crate::text::{Audience, Cause, Description, Environment, Metadata, Name, Origin, Tag};
use crate::time::{Expiry, Moment};

/// Most tags on one key.
pub const TAGS_MAX: usize = 32;
/// Most networks, origins or audiences on one key.
pub const BOUNDS_MAX: usize = 64;

/// A key: who it acts for, what it may do, and until when.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its id; as an OAuth client, its client id.
    pub id: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// Whom it acts for.
    pub owner: Owner,
    /// What sort of key it is.
    pub kind: Kind,
    /// How much of its owner's permissions it carries.
    pub access: Access,
    /// Where and for whom it works.
    pub bounds: Bounds,
    /// When it stops by itself.
    pub expiry: Expiry,
    /// Whether somebody stopped it.
    pub state: State,
    /// How its holder is recognised.
    pub credentials: Credentials,
    /// What people need to know about it; never used to judge.
    pub about: About,
    /// When it was made.
    pub created_at: Moment,
    /// The key or operator's key that made it, so that what a leaked key has made can be found.
    pub created_by: Maker,
    /// How often it was changed.
    pub revision: Revision,
}

/// What people need to know about a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct About {
    /// What people call it.
    pub name: Name,
    /// What it is for.
    pub description: Description,
    /// Free-form data of the relying product.
    pub metadata: Metadata,
    /// Words to find it by.
    pub tags: BTreeSet<Tag>,
    /// The recognisable part of its secret; `None` where the client made the secret itself.
    pub hint: Option<Hint>,
}

/// With which credential a key was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Maker {
    /// With this key.
    Key(KeyId),
    /// By Keyholt itself, at set-up.
    Setup,
}

/// What sort of key it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An ordinary key.
    Standard,
    /// A user's one permanent master key: carries everything, never expires unless asked.
    Static,
    /// Not secret: meant for browsers.
    Publishable,
    /// A person's log-in. Its secrets refresh it or stand in a cookie; they are no key's.
    Session,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Static, Self::Publishable, Self::Session];
    /// The kinds that can be asked for when a key is made.
    pub const ISSUED: [Self; 3] = [Self::Standard, Self::Static, Self::Publishable];

    /// The word for it in columns and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Static => "static",
            Self::Publishable => "publishable",
            Self::Session => "session",
        }
    }

    /// The kind that this word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether somebody stopped a key. Expiry is not a state but a fact about *now*.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody did.
    Active,
    /// Stopped for a time.
    Suspended {
        /// Since when.
        since: Moment,
    },
    /// Stopped for good.
    Revoked {
        /// Since when; the first time is kept.
        at: Moment,
        /// Why.
        cause: Cause,
    },
}

impl State {
    /// The word for it in columns and answers.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended { .. } => "suspended",
            Self::Revoked { .. } => "revoked",
        }
    }
}

/// A restriction that is either absent or names what is allowed; a list is never empty.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed<T> {
    /// Not restricted.
    #[default]
    Any,
    /// Only these.
    Only(Vec<T>),
}

/// A list of allowed things that is empty or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must name 1 to {BOUNDS_MAX} entries; leave it out for no restriction")]
pub struct AllowedError;

impl<T: Ord> Allowed<T> {
    /// Only these, in order and each once.
    pub fn only(mut entries: Vec<T>) -> Result<Self, AllowedError> {
        if entries.is_empty() || entries.len() > BOUNDS_MAX {
            return Err(AllowedError);
        }
        entries.sort_unstable();
        entries.dedup();
        Ok(Self::Only(entries))
    }

    /// The allowed entries, where there is a restriction.
    pub fn entries(&self) -> Option<&[T]> {
        match self {
            Self::Any => None,
            Self::Only(entries) => Some(entries),
        }
    }
}

/// Where and for whom a key works. A bound that the question does not mention is not met.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// Client networks, IPv4 and IPv6.
    #[serde(default)]
    pub networks: Allowed<IpNet>,
    /// Web origins.
    #[serde(default)]
    pub origins: Allowed<Origin>,
    /// Whom the key is meant for.
    #[serde(default)]
    pub audience: Allowed<Audience>,
    /// Where the key is meant to be used.
    #[serde(default)]
    pub environment: Option<Environment>,
}

impl Bounds {
    /// Whether the key works for a client at this address; IPv4 inside IPv6 counts as IPv4.
    pub fn allows_address(&self, address: Option<IpAddr>) -> bool {
        match &self.networks {
            Allowed::Any => true,
            Allowed::Only(networks) => address.is_some_and(|address| {
                let address = address.to_canonical();
                networks.iter().any(|network| network.contains(&address))
            }),
        }
    }

    /// Whether the key works for a page of this origin.
    pub fn allows_origin(&self, origin: Option<&str>) -> bool {
        match &self.origins {
            Allowed::Any => true,
            Allowed::Only(origins) => {
                origin.is_some_and(|origin| origins.iter().any(|allowed| allowed.as_str() == origin))
            }
        }
    }

    /// Whether the key is meant for this audience.
    pub fn allows_audience(&self, audience: Option<&str>) -> bool {
        match &self.audience {
            Allowed::Any => true,
            Allowed::Only(audiences) => {
                audience.is_some_and(|audience| audiences.iter().any(|allowed| allowed.as_str() == audience))
            }
        }
    }

    /// Whether the key is meant for this environment.
    pub fn allows_environment(&self, environment: Option<&str>) -> bool {
        self.environment
            .as_ref()
            .is_none_or(|bound| environment == Some(bound.as_str()))
    }
}

impl Key {
    /// The key's authority in the form in which it is stored, sealed and loaded.
    pub fn at_rest(&self) -> AtRest {
        let (state, state_at, cause) = match &self.state {
            State::Active => ("active", 0, ""),
            State::Suspended { since } => ("suspended", since.ms(), ""),
            State::Revoked { at, cause } => ("revoked", at.ms(), cause.as_str()),
        };
        AtRest {
            access: serde_json::to_string(&self.access).unwrap_or_default(),
            bounds: serde_json::to_string(&self.bounds).unwrap_or_default(),
            state,
            state_at,
            cause: cause.to_owned(),
        }
    }

    /// The row that judges and is sealed, borrowing from [`Key::at_rest`].
    pub fn row<'a>(&self, at_rest: &'a AtRest) -> KeyRow<'a> {
        KeyRow {
            id: self.id,
            project: self.project,
            owner: self.owner,
            kind: self.kind,
            access: &at_rest.access,
            bounds: &at_rest.bounds,
            expires_at: self.expiry.at().map(Moment::ms),
            state: at_rest.state,
            state_at: at_rest.state_at,
            current: *self.credentials.current(),
            retiring: self.credentials.beside().copied(),
            retiring_until: self.credentials.beside_until().map(Moment::ms),
            revision: self.revision,
        }
    }

    /// The key as it was sealed, with the ages of its digests; `None` if it is not as Keyholt wrote it.
    pub fn opened(mut self, sealers: &Sealers, seal: &Seal) -> Option<(Self, SealedBy)> {
        let at_rest = self.at_rest();
        let (row, by) = self.row(&at_rest).opened(sealers, seal)?;
        let beside = row.retiring.map_or(Age::Present, |digest| digest.age());
        self.credentials = self.credentials.aged(row.current.age(), beside);
        Some((self, by))
    }

    /// Whether a secret of it is recognised by an earlier master key alone.
    pub fn hangs_on_earlier(&self) -> bool {
        let digests = [Some(self.credentials.current()), self.credentials.beside()];
        digests.into_iter().flatten().any(|digest| digest.age() == Age::Earlier)
    }
}

/// The textual columns of a key's authority.
#[derive(Clone, Debug)]
pub struct AtRest {
    /// [`Access`] as JSON.
    pub access: String,
    /// [`Bounds`] as JSON.
    pub bounds: String,
    /// The word for the state.
    pub state: &'static str,
    /// Since when it is suspended or revoked, in milliseconds; 0 while active.
    pub state_at: i64,
    /// Why it was revoked.
    pub cause: String,
}

/// The part of a stored key that carries authority: what the keyring loads and the seal covers.
///
/// It borrows its texts, so that ten million of them can be read without an allocation each.
#[derive(Clone, Copy, Debug)]
pub struct KeyRow<'a> {
    /// The key.
    pub id: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// Whom it acts for.
    pub owner: Owner,
    /// What sort of key it is.
    pub kind: Kind,
    /// [`Access`] as JSON.
    pub access: &'a str,
    /// [`Bounds`] as JSON.
    pub bounds: &'a str,
    /// When it stops by itself, in milliseconds; `None` is never.
    pub expires_at: Option<i64>,
    /// The word for the state.
    pub state: &'a str,
    /// Since when it is suspended or revoked; 0 while active.
    pub state_at: i64,
    /// Digest of the newest secret.
    pub current: Digest,
    /// Digest of the secret before it; without an end, of the family of refresh tokens.
    pub retiring: Option<Digest>,
    /// When the old secret is dead; never given for a family.
    pub retiring_until: Option<i64>,
    /// How often the key was changed.
    pub revision: Revision,
}

/// The ages that the two digests of a row can have together; the usual ones first.
const AGES: [[Age; 2]; 6] = [
    [Age::Present, Age::Present],
    [Age::Earlier, Age::Present],
    [Age::Earlier, Age::Earlier],
    [Age::Present, Age::Earlier],
    [Age::Present, Age::Former],
    [Age::Earlier, Age::Former],
];

impl KeyRow<'_> {
    fn ages(&self) -> [Age; 2] {
        let beside = self.retiring.map_or(Age::Present, |digest| digest.age());
        [self.current.age(), beside]
    }

    fn aged(self, [current, beside]: [Age; 2]) -> Self {
        Self {
            current: self.current.aged(current),
            retiring: self.retiring.map(|digest| digest.aged(beside)),
            ..self
        }
    }

    /// The row as it was sealed, with the ages of its digests as they are seen from the present master key; `None` if it is
    /// not as Keyholt wrote it.
    ///
    /// The ages are in no column. A row whose digests are all of the master key that sealed it has the seal that it always
    /// had; in any other one's the ages are fields besides, and which they are is found out by trying.
    pub fn opened(self, sealers: &Sealers, seal: &Seal) -> Option<(Self, SealedBy)> {
        AGES.into_iter().find_map(|ages| {
            let row = self.aged(ages);
            let by = sealers.find(|sealer| row.is_sealed_by(sealer, seal))?;
            let seen = |age| match (by, age) {
                (SealedBy::Previous, Age::Present) => Age::Earlier,
                (_, age) => age,
            };
            Some((row.aged(ages.map(seen)), by))
        })
    }

    fn sealed<R>(&self, with: impl FnOnce(&[&[u8]]) -> R) -> R {
        let optional = |value: Option<i64>| value.map(i64::to_be_bytes);
        let (expires, until) = (optional(self.expires_at), optional(self.retiring_until));
        let (id, project, owner) = (self.id.uuid(), self.project.uuid(), self.owner.uuid());
        let ages = self.ages();
        let told = ages.map(|age| match age {
            Age::Present => 0u8,
            Age::Earlier => 1,
            Age::Former => 2,
        });
        let fields: [&[u8]; 16] = [
            b"key",
            id.as_bytes(),
            project.as_bytes(),
            self.owner.kind().as_str().as_bytes(),
            owner.as_bytes(),
            self.kind.as_str().as_bytes(),
            self.access.as_bytes(),
            self.bounds.as_bytes(),
            expires.as_ref().map_or(&[], |bytes| bytes.as_slice()),
            self.state.as_bytes(),
            &self.state_at.to_be_bytes(),
            self.current.as_bytes(),
            self.retiring
                .as_ref()
                .map_or(&[], |digest| digest.as_bytes().as_slice()),
            until.as_ref().map_or(&[], |bytes| bytes.as_slice()),
            &self.revision.number().to_be_bytes(),
            &told,
        ];
        let [usual @ .., _] = &fields;
        if ages == [Age::Present; 2] {
            with(usual)
        } else {
            with(&fields)
        }
    }

    /// Seals the row, and in the seal the ages of its digests.
    pub fn seal(&self, sealer: &Sealer) -> Seal {
        self.sealed(|fields| sealer.seal(fields))
    }

    /// Whether the row is as Keyholt wrote it, the ages of its digests included.
    pub fn is_sealed_by(&self, sealer: &Sealer, seal: &Seal) -> bool {
        self.sealed(|fields| sealer.holds(seal, fields))
    }
}
