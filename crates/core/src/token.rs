//! Access tokens: what one claims, how it narrows the key that it hangs on, and whether it is made at all.
//!
//! A token is no authority of its own. It is a key's authority made smaller: fewer scopes, one audience, an earlier end.
//! So it is judged by its key, as the key is now, and dies with it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::commit::Revision;
use crate::entropy::Entropy;
use crate::id::{KeyId, ProjectId, TokenId};
use crate::key::{Allowed, Bounds};
use crate::owner::{Owner, OwnerKind, Standing};
use crate::project::TokenPolicy;
use crate::scope::{Access, SCOPES_MAX, Scope, ScopeSet, Wanted};
use crate::text::{Audience, Metadata};
use crate::time::{Expiry, Moment, Span};
use crate::verify::{Dossier, Form, Stopped};

/// Longest text that is looked at as an access token.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of a token's scopes, with the spaces between them.
pub const SCOPE_CLAIM_BYTES_MAX: usize = 4 * 1024;
/// Most bytes of claims taken from metadata.
pub const EXTRA_BYTES_MAX: usize = 1024;
/// Most actors in a row, each acting for the one before.
pub const ACTORS_MAX: usize = 4;
/// The longest life of a component session.
pub const COMPONENT_LIFETIME_MAX: Span = Span::secs(3_600);
/// The claims that say something about the token itself; metadata never becomes one of them.
pub const RESERVED_CLAIMS: [&str; 27] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "scope",
    "project",
    "owner",
    "act",
    "may_act",
    "status",
    "gen",
    "hands_on",
    "azp",
    "cnf",
    "nonce",
    "roles",
    "groups",
    "entitlements",
    "auth_time",
    "acr",
    "amr",
    "sid",
    "events",
];
/// What a component session's user may do with what is theirs.
pub const COMPONENT_SCOPES: [&str; 2] = ["keyholt:self:read", "keyholt:self:write"];

/// An access token whose claims were checked, but not yet whether its key is still good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its `jti`.
    pub id: TokenId,
    /// The project whose key it hangs on.
    pub project: ProjectId,
    /// The key or session that it hangs on: `client_id`.
    pub parent: KeyId,
    /// Which of the parent's secrets it was made with; `None` where the parent is not a key with secrets of its own.
    pub generation: Option<Generation>,
    /// `sub`, as it is written.
    pub subject: String,
    /// Whom it acts for.
    pub owner: Owner,
    /// How people name the owner.
    pub owner_handle: String,
    /// `Only` its scopes.
    pub access: Access,
    /// Only its audience.
    pub bounds: Bounds,
    /// Whom it is for.
    pub audience: Audience,
    /// When it was made.
    pub issued_at: Moment,
    /// When it is dead.
    pub expires_at: Moment,
    /// Who acts, the latest first; empty where its owner does.
    pub actors: Vec<String>,
    /// What it may make lives at most this long; `None` where its key alone decides.
    pub hands_on: Option<Span>,
}

/// Which of a key's secrets a token was made with: a short fingerprint of the secret's digest.
///
/// SECURITY: it ties the token to the secret. When a rotation ends the secret, what was made with it ends too, and nothing
/// made with a retiring secret can be used to outlive it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Generation(u64);

impl Generation {
    /// The generation with this number.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl TryFrom<String> for Generation {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !digits {
            return Err("not 16 hexadecimal digits");
        }
        u64::from_str_radix(&text, 16).map(Self).map_err(|_| "not a number")
    }
}

impl From<Generation> for String {
    fn from(generation: Generation) -> Self {
        format!("{:016x}", generation.0)
    }
}

/// The claims as they are written. Members of metadata come after ours and are never read back.
#[derive(Serialize, Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    sub: Cow<'a, str>,
    aud: Cow<'a, str>,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    iat: u64,
    jti: TokenId,
    client_id: KeyId,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    scope: Cow<'a, str>,
    project: ProjectId,
    owner: OwnerClaim<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Act>,
    #[serde(default, rename = "gen", skip_serializing_if = "Option::is_none")]
    generation: Option<Generation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hands_on: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct OwnerClaim<'a> {
    kind: OwnerKind,
    id: uuid::Uuid,
    handle: Cow<'a, str>,
}

/// Who acts, and for whom that one acted before (RFC 8693 §4.1).
#[derive(Serialize, Deserialize)]
struct Act {
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Box<Act>>,
}

fn act_of(actors: &[String]) -> Option<Act> {
    let (first, rest) = actors.split_first()?;
    Some(Act {
        sub: first.clone(),
        act: act_of(rest).map(Box::new),
    })
}

fn actors_of(act: Option<Act>) -> Option<Vec<String>> {
    let mut actors = Vec::new();
    let mut next = act;
    while let Some(act) = next {
        if actors.len() == ACTORS_MAX {
            return None;
        }
        actors.push(act.sub);
        next = act.act.map(|act| *act);
    }
    Some(actors)
}

/// Claims that are not those of an access token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the claims of an access token of this issuer")]
pub struct NotOurs;

impl Token {
    /// Reads claims that somebody who holds one of the project's signing keys wrote: the issuer letter by letter, every
    /// type as it must be, nothing twice. Whether the time has come or gone is the judge's to say.
    pub fn read(payload: &[u8], project: ProjectId, issuer: &str) -> Result<Self, NotOurs> {
        // serde would also take a list for a structure.
        if payload.first() != Some(&b'{') {
            return Err(NotOurs);
        }
        let claims: Claims<'_> = serde_json::from_slice(payload).map_err(|_| NotOurs)?;
        let seconds = |seconds: u64| {
            i64::try_from(seconds)
                .ok()
                .and_then(|seconds| seconds.checked_mul(1_000))
                .map(Moment::from_ms)
                .ok_or(NotOurs)
        };
        if claims.iss != issuer || claims.project != project || claims.nbf.is_some() {
            return Err(NotOurs);
        }
        let scopes = match &*claims.scope {
            "" => ScopeSet::default(),
            scopes => ScopeSet::parse(scopes.split(' ')).map_err(|_| NotOurs)?,
        };
        let audience = Audience::new(&claims.aud).map_err(|_| NotOurs)?;
        Ok(Self {
            id: claims.jti,
            project,
            parent: claims.client_id,
            generation: claims.generation,
            subject: claims.sub.into_owned(),
            owner: Owner::new(claims.owner.kind, claims.owner.id),
            owner_handle: claims.owner.handle.into_owned(),
            access: Access::Only(scopes),
            bounds: bound_to(&audience),
            audience,
            issued_at: seconds(claims.iat)?,
            expires_at: seconds(claims.exp)?,
            actors: actors_of(claims.act).ok_or(NotOurs)?,
            hands_on: claims.hands_on.map(Span::secs),
        })
    }

    /// The claims as JSON, with what was taken from metadata and other members of the door's.
    pub fn claims(&self, issuer: &str, extra: &BTreeMap<String, Value>) -> String {
        #[derive(Serialize)]
        struct All<'a> {
            #[serde(flatten)]
            ours: Claims<'a>,
            #[serde(flatten)]
            extra: &'a BTreeMap<String, Value>,
        }
        let scope = self.scope_text();
        let seconds = |at: Moment| u64::try_from(at.ms() / 1_000).unwrap_or(0);
        let ours = Claims {
            iss: issuer.into(),
            sub: self.subject.as_str().into(),
            aud: self.audience.as_str().into(),
            exp: seconds(self.expires_at),
            nbf: None,
            iat: seconds(self.issued_at),
            jti: self.id,
            client_id: self.parent,
            scope: scope.into(),
            project: self.project,
            owner: OwnerClaim {
                kind: self.owner.kind(),
                id: self.owner.uuid(),
                handle: self.owner_handle.as_str().into(),
            },
            act: act_of(&self.actors),
            generation: self.generation,
            hands_on: self.hands_on.map(|span| span.ms() / 1_000),
        };
        serde_json::to_string(&All { ours, extra }).unwrap_or_default()
    }

    /// Its scopes as OAuth writes them: one text, with a space between two.
    pub fn scope_text(&self) -> String {
        let texts: Vec<&str> = self.scopes().iter().map(Scope::as_str).collect();
        texts.join(" ")
    }

    /// Its scopes.
    pub fn scopes(&self) -> &ScopeSet {
        match &self.access {
            Access::Only(scopes) => scopes,
            // A token always names its scopes; this arm is never met.
            Access::Everything => &EMPTY,
        }
    }
}

static EMPTY: ScopeSet = ScopeSet::EMPTY;

fn bound_to(audience: &Audience) -> Bounds {
    Bounds {
        audience: Allowed::Only(vec![audience.clone()]),
        ..Bounds::default()
    }
}

/// Whom a component session acts for, as they are now.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    /// What they may do.
    pub permissions: &'a ScopeSet,
    /// Whether their keys work.
    pub standing: Standing,
}

/// A key's dossier made smaller by a token that hangs on it.
#[derive(Debug)]
pub struct Narrowed<'a> {
    parent: &'a Dossier<'a>,
    token: &'a Token,
    permissions: Cow<'a, ScopeSet>,
    bounds: Cow<'a, Bounds>,
    standing: Standing,
    stopped: Stopped,
}

/// Whether a single token was revoked before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recall {
    /// It was not.
    Standing,
    /// It was.
    Revoked,
}

impl<'a> Narrowed<'a> {
    /// Narrows a key by a token. `bearer` is whom the token acts for where that is not the key's own owner.
    pub fn new(parent: &'a Dossier<'a>, token: &'a Token, bearer: Option<Bearer<'a>>, recall: Recall) -> Self {
        let (permissions, standing) = match bearer {
            None => (parent.effective(), parent.owner_standing),
            Some(bearer) => {
                let standing = match parent.owner_standing {
                    Standing::Good => bearer.standing,
                    suspended @ Standing::Suspended { .. } => suspended,
                };
                (
                    Cow::Owned(component_permissions(&parent.effective(), bearer.permissions)),
                    standing,
                )
            }
        };
        let stopped = match (parent.stopped, recall) {
            (Stopped::No | Stopped::Suspended, Recall::Revoked) => Stopped::Revoked,
            (stopped, _) => stopped,
        };
        Self {
            parent,
            token,
            permissions,
            bounds: bounds(parent.bounds, token),
            standing,
            stopped,
        }
    }

    /// What the judge looks at.
    pub fn dossier(&self) -> Dossier<'_> {
        let ends = Expiry::At(self.token.expires_at);
        Dossier {
            owner: self.token.owner,
            access: &self.token.access,
            bounds: &self.bounds,
            expiry: if self.parent.expiry.outlives(ends) {
                ends
            } else {
                self.parent.expiry
            },
            stopped: self.stopped,
            permissions: &self.permissions,
            owner_standing: self.standing,
            form: Form::Token,
            ..*self.parent
        }
    }
}

/// The key's own bounds, and the token's audience within them.
fn bounds<'a>(parent: &Bounds, token: &'a Token) -> Cow<'a, Bounds> {
    let plain = Bounds {
        audience: parent.audience.clone(),
        ..Bounds::default()
    };
    let within = parent.allows_audience(Some(token.audience.as_str()));
    if within && *parent == plain {
        return Cow::Borrowed(&token.bounds);
    }
    Cow::Owned(Bounds {
        // A key that was bound to others since: an audience that nobody has.
        audience: if within {
            token.bounds.audience.clone()
        } else {
            Allowed::Only(Vec::new())
        },
        ..parent.clone()
    })
}

/// What a component session may do at most: what the key and whom it acts for have in common, and what everybody may do
/// with what is theirs. Without the scope that lets the key hand sessions out, nothing.
pub fn component_permissions(key: &ScopeSet, bearer: &ScopeSet) -> ScopeSet {
    let may = Wanted::parse(crate::actor::SESSIONS_WRITE).is_ok_and(|scope| key.covers(scope));
    if !may {
        return ScopeSet::default();
    }
    let own = ScopeSet::parse(COMPONENT_SCOPES).unwrap_or_default();
    key.meet(bearer).union(&own)
}

/// What the caller wishes for.
#[derive(Clone, Debug)]
pub struct TokenWish {
    /// Which scopes.
    pub scopes: Wished,
    /// Whom it is for; `None` is whom the project's policy names, or the issuer.
    pub audience: Option<Audience>,
    /// How long it shall live; `None` is as long as the project's policy says.
    pub lifetime: Option<Span>,
    /// Who stands in `sub`.
    pub subject: Subject,
    /// Who acts, the latest first.
    pub actors: Vec<String>,
}

/// Which scopes a token shall have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wished {
    /// All that its parent may do now.
    All,
    /// These.
    Only(ScopeSet),
}

/// Who stands in `sub`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The key, as its own client.
    Client,
    /// The owner: a person who logged in.
    Owner,
}

/// What the verb needs to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Mint<'a> {
    /// The rules of the project.
    pub policy: &'a TokenPolicy,
    /// The issuer, which a token is for that names nobody.
    pub issuer: &'a str,
    /// How people name the owner.
    pub owner_handle: &'a str,
    /// Which of the parent's secrets was shown.
    pub generation: Option<Generation>,
    /// When what was shown stops: nothing made with it may live longer.
    pub ends: Expiry,
    /// The longest life that is allowed here.
    pub longest: Span,
}

/// Why a token is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The parent does not carry the scope.
    #[error("`{scope}` is more than this credential may do")]
    Scope {
        /// The scope.
        scope: Scope,
    },
    /// More scopes than a token carries.
    #[error("that are more scopes than a token carries; name those that are needed")]
    TooManyScopes,
    /// The parent is meant for others.
    #[error("this credential is not meant for that audience")]
    Audience,
    /// Longer than the project allows.
    #[error("the lifetime is longer than this project's limit of {longest}")]
    TooLong {
        /// The limit.
        longest: Span,
    },
    /// Shorter than anybody could use.
    #[error("a token lives at least a second")]
    TooShort,
    /// Too many act for one another.
    #[error("at most {ACTORS_MAX} may act for one another in a row")]
    TooManyActors,
}

/// Decides what a token claims. The parent was judged before; what it is narrowed by holds here too.
pub fn mint(
    parent: &Dossier<'_>,
    wish: TokenWish,
    world: Mint<'_>,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<Token, MintError> {
    let effective = parent.effective();
    let scopes = match wish.scopes {
        Wished::All => effective.into_owned(),
        Wished::Only(scopes) => {
            if let Some(scope) = effective.lacks(&scopes) {
                return Err(MintError::Scope { scope: scope.clone() });
            }
            scopes
        }
    };
    let bytes: usize = scopes.iter().map(|scope| scope.as_str().len() + 1).sum();
    if scopes.len() > SCOPES_MAX || bytes > SCOPE_CLAIM_BYTES_MAX {
        return Err(MintError::TooManyScopes);
    }
    if wish.actors.len() > ACTORS_MAX {
        return Err(MintError::TooManyActors);
    }
    let audience = audience(parent.bounds, wish.audience, &world)?;
    let lifetime = match wish.lifetime {
        None => world.policy.default_lifetime.min(world.longest),
        Some(asked) if asked > world.longest => return Err(MintError::TooLong { longest: world.longest }),
        Some(asked) => asked,
    };
    // Whole seconds, as the claims have them; rounded towards the earlier end.
    let whole = |at: Moment| Moment::from_ms(at.ms().div_euclid(1_000) * 1_000);
    let ends = [world.ends, parent.expiry];
    let earliest = ends.iter().filter_map(|expiry| expiry.at()).min();
    let wished = now.plus(lifetime);
    let expires_at = whole(earliest.map_or(wished, |ends| ends.min(wished)));
    if expires_at <= now {
        return Err(MintError::TooShort);
    }
    Ok(Token {
        id: TokenId::mint(now, entropy),
        project: parent.project,
        parent: parent.key,
        generation: world.generation,
        subject: match wish.subject {
            Subject::Client => parent.key.to_string(),
            Subject::Owner => parent.owner.uuid().to_string(),
        },
        owner: parent.owner,
        owner_handle: world.owner_handle.to_owned(),
        access: Access::Only(scopes),
        bounds: bound_to(&audience),
        audience,
        issued_at: whole(now),
        expires_at,
        actors: wish.actors,
        hands_on: None,
    })
}

fn audience(bounds: &Bounds, wished: Option<Audience>, world: &Mint<'_>) -> Result<Audience, MintError> {
    let audience = match (wished, &bounds.audience) {
        (Some(audience), _) => audience,
        // A key that is meant for one alone makes tokens for that one.
        (None, Allowed::Only(only)) if only.len() == 1 => only.first().cloned().ok_or(MintError::Audience)?,
        (None, _) => default_audience(world.policy, world.issuer).ok_or(MintError::Audience)?,
    };
    if bounds.allows_audience(Some(audience.as_str())) {
        Ok(audience)
    } else {
        Err(MintError::Audience)
    }
}

/// Whom a token is for that names nobody.
pub fn default_audience(policy: &TokenPolicy, issuer: &str) -> Option<Audience> {
    policy.audience.clone().or_else(|| Audience::new(issuer).ok())
}

/// The members of a key's metadata that its tokens carry, as far as the project allows and there is room.
pub fn extra_claims(policy: &TokenPolicy, metadata: &Metadata) -> BTreeMap<String, Value> {
    let mut bytes = 0;
    let members = metadata.as_map().iter();
    let allowed =
        members.filter(|(name, _)| policy.claims.contains(name.as_str()) && !RESERVED_CLAIMS.contains(&name.as_str()));
    allowed
        .take_while(|(name, value)| {
            bytes += name.len() + value.to_string().len();
            bytes <= EXTRA_BYTES_MAX
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// An access token that was revoked before its end, kept until that end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RevokedToken {
    /// The token.
    pub id: TokenId,
    /// Its project.
    pub project: ProjectId,
    /// Whom it acts for.
    pub owner: Owner,
    /// The key that it hangs on.
    pub parent: KeyId,
    /// When it was revoked.
    pub revoked_at: Moment,
    /// When it would have been dead anyway, and the record goes.
    pub expires_at: Moment,
    /// How often the record was changed.
    pub revision: Revision,
}
