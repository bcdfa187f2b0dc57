//! Bodies about keys: what is asked for, and what is shown.

mod amend;

pub use amend::{AmendKey, KeyChange};

use std::collections::BTreeSet;

use ipnet::IpNet;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::issue::{Life, SecretOrigin, Wish};
use keyholt_core::key::{Allowed, BOUNDS_MAX, Bounds, Kind, Maker, State, TAGS_MAX};
use keyholt_core::owner::Owner;
use keyholt_core::rotate::{Grace, Turn};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::secret::Fingerprint;
use keyholt_core::text::{Audience, Cause, Description, Environment, Metadata, Name, Origin, Tag};
use keyholt_core::time::Moment;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::fault::{Blame, FaultCode, Faults, Reason};
use crate::reading::{read_cause, read_scopes, too_many};
use crate::reference::{Names, OwnerChoice, OwnerName, OwnerReference};
use crate::scopes::Scopes;
use crate::secret::{PresentedSecret, RevealedSecret};
use crate::words::{Descendants, KeyKind, KeyState};

/// A key as it is shown. It never holds a secret.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Its id; as an OAuth client, its client id.
    #[schema(value_type = Uuid)]
    pub id: KeyId,
    /// Its project's id.
    #[schema(value_type = Uuid)]
    pub project: ProjectId,
    /// Whom it acts for.
    pub owner: OwnerName,
    /// `standard`, `static` or `publishable`.
    #[schema(value_type = KeyKind, examples("standard"))]
    pub kind: Kind,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Free-form data of the relying product.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// What it may do, within what its owner may do.
    pub scopes: Scopes,
    /// Where it is meant to be used.
    #[schema(required)]
    pub environment: Option<String>,
    /// Client networks that it works from; `null` is not restricted.
    #[schema(required)]
    pub networks: Option<Vec<String>>,
    /// Web origins that it works from; `null` is not restricted.
    #[schema(required)]
    pub origins: Option<Vec<String>>,
    /// Whom it may be shown to; `null` is not restricted.
    #[schema(required)]
    pub audience: Option<Vec<String>>,
    /// When it stops by itself; it is dead at that instant. `null` is never.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
    /// `active`, `suspended`, `revoked` or `expired`.
    #[schema(value_type = KeyState, examples("active"))]
    pub state: String,
    /// Since when it is suspended.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub suspended_since: Option<Moment>,
    /// Since when it is revoked.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Moment>,
    /// Why it was revoked.
    #[schema(required)]
    pub revoked_cause: Option<String>,
    /// Until when the secret before the newest still works.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub retiring_until: Option<Moment>,
    /// The recognisable part of its newest secret; `null` where the client made it.
    #[schema(required, examples("acme_…9xQz"))]
    pub hint: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// The key with which it was made; `null` for the one that set-up made.
    #[schema(required, value_type = Option<Uuid>)]
    pub created_by: Option<KeyId>,
    /// When it was last granted something, as far as is known yet.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Moment>,
    /// How often it was changed; also its `ETag`.
    pub revision: u32,
}

impl Key {
    /// A key as it is shown at this instant.
    pub fn show(
        key: &keyholt_core::key::Key,
        last_used_at: Option<Moment>,
        names: &(impl Names + ?Sized),
        now: Moment,
    ) -> Self {
        let (suspended_since, revoked) = match &key.state {
            State::Active => (None, None),
            State::Suspended { since } => (Some(*since), None),
            State::Revoked { at, cause } => (None, Some((*at, cause.as_str().to_owned()))),
        };
        let state = match &key.state {
            State::Active | State::Suspended { .. } if key.expiry.is_past(now) => "expired",
            other => other.as_str(),
        };
        let (revoked_at, revoked_cause) = revoked.unzip();
        let retiring = key.credentials.retiring().map(|(_, until)| until);
        Self {
            id: key.id,
            project: key.project,
            owner: names.owner_name(key.owner),
            kind: key.kind,
            name: key.about.name.to_string(),
            description: key.about.description.to_string(),
            metadata: key.about.metadata.as_map().clone(),
            tags: key.about.tags.iter().map(Tag::to_string).collect(),
            scopes: Scopes::from(&key.access),
            environment: key.bounds.environment.as_ref().map(Environment::to_string),
            networks: texts(&key.bounds.networks, IpNet::to_string),
            origins: texts(&key.bounds.origins, |origin| origin.as_str().to_owned()),
            audience: texts(&key.bounds.audience, Audience::to_string),
            expires_at: key.expiry.at(),
            state: state.to_owned(),
            suspended_since,
            revoked_at,
            revoked_cause,
            retiring_until: retiring.filter(|until| *until > now),
            hint: key.about.hint.as_ref().map(|hint| hint.as_str().to_owned()),
            created_at: key.created_at,
            created_by: match key.created_by {
                Maker::Key(maker) => Some(maker),
                Maker::Setup => None,
            },
            last_used_at,
            revision: key.revision.number(),
        }
    }
}

fn texts<T: Ord>(allowed: &Allowed<T>, text: impl Fn(&T) -> String) -> Option<Vec<String>> {
    allowed.entries().map(|entries| entries.iter().map(text).collect())
}

/// A page of keys.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<Key>,
    /// Asks for the next page; `null` on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A key in the one answer that shows its secret.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct IssuedKey {
    /// The key.
    pub key: Key,
    /// Its secret, shown this once; `null` where the client made it, or where it was shown before.
    #[schema(required, value_type = Option<String>)]
    pub secret: Option<RevealedSecret>,
    /// Given when a repeated request (`Idempotency-Key`) finds that the secret was shown already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub already_revealed: Option<bool>,
}

/// A key in an answer that has nothing else to say.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct FoundKey {
    /// The key.
    pub key: Key,
}

/// The wish for a key. Scopes that are left out grant nothing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"name": "deploy", "owner": {"service": "ci"}, "scopes": ["deploy:write"], "expires_in": "90d"})))]
pub struct CreateKey {
    /// Whom the key acts for; left out, the caller's own owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerChoice>,
    /// `standard` (when left out), `static` or `publishable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<KeyKind>)]
    pub kind: Option<String>,
    /// What people call it.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub description: Option<String>,
    /// Free-form data: at most 4096 bytes and 8 levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32)]
    pub tags: Option<Vec<String>>,
    /// What it may do: scopes, or the word `everything`. Left out, nothing; a static key carries everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// The instant at which it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// How long it works, such as `90d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, examples("90d"))]
    pub expires_in: Option<String>,
    /// `true` for a key without end, where the project's policy allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never_expires: Option<bool>,
    /// Where it is meant to be used; becomes part of the secret's prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 12, examples("live"))]
    pub environment: Option<String>,
    /// Client networks that it works from, in CIDR notation; left out, it is not restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 64)]
    pub networks: Option<Vec<String>>,
    /// Web origins that it works from; left out, it is not restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 64)]
    pub origins: Option<Vec<String>>,
    /// Whom it may be shown to; left out, it is not restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 64)]
    pub audience: Option<Vec<String>>,
    /// SHA-256 of a secret that the caller made, as 64 lower-case hexadecimal digits; Keyholt then never sees the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub secret_sha256: Option<String>,
}

/// A wish that was read; its owner is still to be looked up.
#[derive(Clone, Debug)]
pub struct KeyWish {
    /// Whom the key acts for; `None` is the caller's own owner.
    pub owner: Option<OwnerReference>,
    wish: Wish,
}

impl KeyWish {
    /// The wish for a key of this owner.
    pub fn of(self, owner: Owner) -> Wish {
        Wish { owner, ..self.wish }
    }
}

impl CreateKey {
    /// Reads the wish, or tells all that is wrong with it.
    pub fn read(self) -> Result<KeyWish, Faults> {
        let mut faults = Faults::default();
        let origin = faults.read_optional("secret_sha256", self.secret_sha256.as_deref(), Fingerprint::parse);
        let origin = origin.map(|made| made.map_or(SecretOrigin::Minted, SecretOrigin::ClientMade));
        self.read_with(origin, faults)
    }

    /// Reads the wish for a key whose secret is known already.
    pub(crate) fn read_with(self, origin: Option<SecretOrigin>, mut faults: Faults) -> Result<KeyWish, Faults> {
        let owner = faults.read_optional("owner", self.owner.as_ref(), OwnerChoice::read);
        let kind = match self.kind.as_deref() {
            None => Some(Kind::Standard),
            Some(word) => faults.read(
                "kind",
                Kind::parse(word)
                    .filter(|kind| Kind::ISSUED.contains(kind))
                    .ok_or(UNKNOWN_KIND),
            ),
        };
        let name = faults.read("name", Name::new(&self.name));
        let description = faults.read(
            "description",
            Description::new(self.description.as_deref().unwrap_or_default()),
        );
        let metadata = faults.read("metadata", Metadata::new(self.metadata.unwrap_or_default()));
        let tags = read_tags(&mut faults, self.tags.unwrap_or_default());
        let access = match (self.scopes, kind) {
            (None, Some(Kind::Static)) => Some(Access::Everything),
            (None, _) => Some(Access::Only(ScopeSet::default())),
            (Some(scopes), _) => read_access(&mut faults, "scopes", &scopes),
        };
        let life = read_life(
            &mut faults,
            self.expires_at.as_deref(),
            self.expires_in.as_deref(),
            self.never_expires,
        );
        let environment = faults.read_optional("environment", self.environment.as_deref(), Environment::new);
        let networks = read_allowed(&mut faults, "networks", self.networks.as_deref(), read_network);
        let origins = read_allowed(&mut faults, "origins", self.origins.as_deref(), Origin::new);
        let audience = read_allowed(&mut faults, "audience", self.audience.as_deref(), Audience::new);
        faults.finish(|| {
            Some(KeyWish {
                owner: owner?,
                wish: Wish {
                    // Replaced by `KeyWish::of`, the only way to the wish.
                    owner: Owner::new(keyholt_core::owner::OwnerKind::User, Uuid::nil()),
                    kind: kind?,
                    name: name?,
                    description: description?,
                    metadata: metadata?,
                    tags: tags?,
                    access: access?,
                    bounds: Bounds {
                        networks: networks?,
                        origins: origins?,
                        audience: audience?,
                        environment: environment?,
                    },
                    life: life?,
                    origin: origin?,
                },
            })
        })
    }
}

const UNKNOWN_KIND: Reason = Reason(
    FaultCode::UnknownWord,
    std::borrow::Cow::Borrowed("must be `standard`, `static` or `publishable`"),
);

pub(crate) fn read_tags(faults: &mut Faults, tags: Vec<String>) -> Option<BTreeSet<Tag>> {
    if tags.len() > TAGS_MAX {
        faults.add("tags", too_many(TAGS_MAX));
        return None;
    }
    let tags = faults.read_each("tags", tags, |tag| Tag::new(&tag))?;
    Some(tags.into_iter().collect())
}

pub(crate) fn read_access(faults: &mut Faults, field: &str, scopes: &Scopes) -> Option<Access> {
    match scopes {
        Scopes::Everything => Some(Access::Everything),
        Scopes::Only(list) => read_scopes(faults, field, list).map(Access::Only),
    }
}

fn read_life(faults: &mut Faults, at: Option<&str>, within: Option<&str>, never: Option<bool>) -> Option<Life> {
    let never = never.unwrap_or_default();
    let given = usize::from(at.is_some()) + usize::from(within.is_some()) + usize::from(never);
    if given > 1 {
        let reason = "give only one of `expires_at`, `expires_in` and `never_expires`";
        let field = if at.is_some() { "expires_at" } else { "expires_in" };
        faults.add(field, Reason(FaultCode::Conflict, reason.into()));
        return None;
    }
    match (at, within) {
        (Some(at), _) => faults.read("expires_at", at.parse()).map(Life::Until),
        (None, Some(span)) => faults.read("expires_in", span.parse()).map(Life::For),
        (None, None) if never => Some(Life::Never),
        (None, None) => Some(Life::Default),
    }
}

fn read_network(text: &str) -> Result<IpNet, ipnet::AddrParseError> {
    // A single address is the network of that address alone, as people write allow-lists.
    text.parse::<IpNet>()
        .or_else(|error| text.parse::<std::net::IpAddr>().map(IpNet::from).map_err(|_| error))
        .map(|network| network.trunc())
}

fn read_allowed<T: Ord, E: Blame>(
    faults: &mut Faults,
    field: &str,
    entries: Option<&[String]>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<Allowed<T>> {
    let Some(entries) = entries else {
        return Some(Allowed::Any);
    };
    if entries.len() > BOUNDS_MAX {
        faults.add(field, too_many(BOUNDS_MAX));
        return None;
    }
    let entries = faults.read_each(field, entries, |entry| parse(entry))?;
    faults.read(field, Allowed::only(entries))
}

/// A rotation: a new secret now, the old one until its grace ends.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// How long the old secret still works, such as `24h`; `0s` ends it at once. Left out, the project's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, examples("24h"))]
    pub grace: Option<String>,
    /// SHA-256 of a new secret that the caller made, as 64 lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub secret_sha256: Option<String>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

impl RotateKey {
    /// Reads the rotation, or tells all that is wrong with it.
    pub fn read(&self) -> Result<Turn, Faults> {
        let mut faults = Faults::default();
        let grace = faults.read_optional("grace", self.grace.as_deref(), str::parse);
        let client_made = faults.read_optional("secret_sha256", self.secret_sha256.as_deref(), Fingerprint::parse);
        let cause = read_cause(&mut faults, self.cause.as_deref());
        faults.finish(|| {
            Some(Turn {
                grace: grace?.map_or(Grace::Default, Grace::For),
                client_made: client_made?,
                cause: cause?,
            })
        })
    }
}

/// Why something is done, where that need not be said.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

impl Because {
    /// The cause, if one was given.
    pub fn read(&self) -> Result<Option<Cause>, Faults> {
        let mut faults = Faults::default();
        let cause = read_cause(&mut faults, self.cause.as_deref());
        faults.finish(|| cause)
    }
}

/// Why a key is revoked, and what becomes of what was made with it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeKey {
    /// Why; kept with the key and in the audit trail.
    #[schema(min_length = 1, max_length = 256, examples("leaked in a build log"))]
    pub cause: String,
    /// `revoke` to revoke all that was made with the key as well: by it, by what it made, and so on. Left out, they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Descendants>)]
    pub descendants: Option<String>,
}

/// What becomes of what was made with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DescendantsWish {
    /// It works on.
    Keep,
    /// It ends with the key.
    Revoke,
}

impl RevokeKey {
    /// The cause, and what becomes of what was made with the key.
    pub fn read(&self) -> Result<(Cause, DescendantsWish), Faults> {
        let mut faults = Faults::default();
        let cause = faults.read("cause", Cause::new(&self.cause));
        let descendants = faults.read_optional("descendants", self.descendants.as_deref(), |word| match word {
            "keep" => Ok(DescendantsWish::Keep),
            "revoke" => Ok(DescendantsWish::Revoke),
            _ => Err(Reason(FaultCode::UnknownWord, "must be `keep` or `revoke`".into())),
        });
        faults.finish(|| Some((cause?, descendants?.unwrap_or(DescendantsWish::Keep))))
    }
}

/// A key that was revoked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevokedKey {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// What became of what was made with it, where that was to be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descendants: Option<DescendantsEnded>,
}

/// What became of the keys and sessions that were made with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DescendantsEnded {
    /// How many were revoked by this request.
    pub revoked: u64,
    /// How many live on: the caller may not revoke them, or they are the last way in for operators.
    pub left: u64,
    /// Whether all of them were looked at; if not, the same request made again goes on.
    pub complete: bool,
}

/// A secret whose key is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FindKey {
    /// The secret. It is compared, not kept.
    #[schema(value_type = String, max_length = 512)]
    pub secret: PresentedSecret,
}

/// Whether a key works now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Validity {
    /// Whether it works.
    pub valid: bool,
    /// `valid`, or the code of the denial.
    #[schema(examples("expired"))]
    pub code: String,
    /// When one of its secrets was last seen in a URL or on a connection that nobody encrypts, since its last rotation. It
    /// must be taken for leaked: rotate the key. Left out if that never happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub exposed_at: Option<Moment>,
}
