//! Access tokens: what one claims, how it narrows the key that it hangs on, and whether it is made at all.
//!
//! A token is no authority of its own. It is a key's authority made smaller: fewer scopes, one audience, an earlier end.
//! So it is judged by its key, as the key is now, and dies with it.

mod mint;
mod recall;
mod status;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::authority::Authority;
use crate::id::{KeyId, ProjectId, TokenId};
use crate::key::{Allowed, Bounds};
use crate::owner::{Owner, OwnerKind, Standing};
use crate::scope::{Access, ScopeSet, Wanted};
use crate::text::Audience;
use crate::time::{Expiry, Moment, Span};
use crate::verify::{Dossier, Form, Stopped};

pub use self::mint::{
    COMPONENT_STARTED, ComponentWish, Mint, MintError, Subject, TokenWish, Wished, component_started, default_audience,
    extra_claims, mint, mint_component,
};
pub use self::recall::{RevokedToken, forget, recall};
pub use self::status::{Epoch, LIST_BYTES, STATUS_BITS, Status, StatusIndex, StatusList};

/// Longest text that is looked at as an access token.
pub const TOKEN_BYTES_MAX: usize = 12 * 1024;
/// Most bytes of a token's scopes, with the spaces between them.
pub const SCOPE_CLAIM_BYTES_MAX: usize = 4 * 1024;
/// Most bytes of claims taken from metadata.
pub const EXTRA_BYTES_MAX: usize = 1024;
/// Most actors in a row, each acting for the one before.
pub const ACTORS_MAX: usize = 4;
/// Most recalled tokens of a project that are not dead yet.
pub const RECALLED_MAX: usize = 100_000;
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

    /// The same token for one audience; for a token that was for nobody in particular.
    #[must_use]
    pub fn aimed_at(self, audience: Audience) -> Self {
        Self {
            bounds: bound_to(&audience),
            audience,
            ..self
        }
    }

    /// Its scopes as OAuth writes them.
    pub fn scope_text(&self) -> String {
        self.scopes().to_string()
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
            authority: Authority::new(&self.token.access, &self.permissions),
            bounds: &self.bounds,
            expiry: if self.parent.expiry.outlives(ends) {
                ends
            } else {
                self.parent.expiry
            },
            stopped: self.stopped,
            owner_standing: self.standing,
            form: Form::Token,
            ..*self.parent
        }
    }
}

/// The key's own bounds, and the token's audience within them.
fn bounds<'a>(parent: &Bounds, token: &'a Token) -> Cow<'a, Bounds> {
    let within = parent.allows_audience(Some(token.audience.as_str()));
    let Bounds {
        networks,
        origins,
        audience: _,
        environment,
    } = parent;
    let bound = (networks.entries(), origins.entries(), environment);
    if within && bound == (None, None, &None) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SYSTEM;

    const ISSUER: &str = "https://keyholt.example";

    fn good() -> serde_json::Map<String, Value> {
        let value = serde_json::json!({
            "iss": ISSUER,
            "sub": "0197a3c4-7b1e-7c00-8000-6f9d2f3f1a20",
            "aud": ISSUER,
            "exp": 1_893_456_300,
            "iat": 1_893_456_000,
            "jti": "0197a3c4-7b1e-7c00-8000-6f9d2f3f1a21",
            "client_id": "0197a3c4-7b1e-7c00-8000-6f9d2f3f1a20",
            "scope": "orders:read",
            "project": SYSTEM,
            "owner": {"kind": "user", "id": "0197a3c4-7b1e-7c00-8000-6f9d2f3f1a22", "handle": "ada"},
        });
        value.as_object().cloned().unwrap_or_default()
    }

    fn read(claims: &serde_json::Map<String, Value>) -> Result<Token, NotOurs> {
        Token::read(&serde_json::to_vec(claims).unwrap(), SYSTEM, ISSUER)
    }

    #[test]
    fn claims_are_read_back_as_they_were_written() {
        let token = read(&good()).unwrap();
        let extra = BTreeMap::from([("plan".to_owned(), Value::from("gold"))]);
        let written = token.claims(ISSUER, &extra);
        assert!(written.contains(r#""plan":"gold""#), "{written}");
        assert_eq!(Token::read(written.as_bytes(), SYSTEM, ISSUER), Ok(token));
    }

    #[test]
    fn a_claim_of_another_type_or_value_is_refused() {
        let odd = [
            ("exp", serde_json::json!("1893456300")),
            ("exp", serde_json::json!(1_893_456_300.5)),
            ("exp", serde_json::json!(-1)),
            ("exp", serde_json::json!(null)),
            ("exp", serde_json::json!(u64::MAX)),
            ("iat", serde_json::json!("now")),
            ("nbf", serde_json::json!("2999-01-01")),
            ("nbf", serde_json::json!(1)),
            ("aud", serde_json::json!([ISSUER])),
            ("aud", serde_json::json!(null)),
            ("iss", serde_json::json!("https://keyholt.example/")),
            ("iss", serde_json::json!("https://KEYHOLT.example")),
            ("iss", serde_json::json!("http://keyholt.example")),
            ("scope", serde_json::json!(["admin"])),
            ("scope", serde_json::json!("admin  read")),
            ("scope", serde_json::json!(" admin")),
            ("jti", serde_json::json!("x")),
            ("client_id", serde_json::json!(7)),
            ("project", serde_json::json!("0197a3c4-7b1e-7c00-8000-6f9d2f3f1a20")),
            ("owner", serde_json::json!("ada")),
            ("gen", serde_json::json!("xyz")),
            ("gen", serde_json::json!("abc")),
            ("gen", serde_json::json!("+00000000000000f")),
            ("gen", serde_json::json!("000000000000ABCD")),
            ("act", serde_json::json!("somebody")),
        ];
        for (name, value) in odd {
            let mut claims = good();
            claims.insert(name.to_owned(), value.clone());
            assert_eq!(read(&claims), Err(NotOurs), "{name}: {value}");
        }
        for name in [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "jti",
            "client_id",
            "project",
            "owner",
        ] {
            let mut claims = good();
            claims.remove(name);
            assert_eq!(read(&claims), Err(NotOurs), "without {name}");
        }
    }

    #[test]
    fn a_claim_given_twice_is_refused() {
        let text = serde_json::to_string(&good()).unwrap();
        for twice in [
            r#""scope":"admin""#,
            r#""exp":9999999999"#,
            r#""iss":"https://keyholt.example""#,
        ] {
            let doubled = format!("{{{twice},{}", &text[1..]);
            assert_eq!(Token::read(doubled.as_bytes(), SYSTEM, ISSUER), Err(NotOurs), "{twice}");
        }
        assert_eq!(Token::read(b"[]", SYSTEM, ISSUER), Err(NotOurs));
        let huge = text.replace("1893456300", "1e400");
        assert_eq!(Token::read(huge.as_bytes(), SYSTEM, ISSUER), Err(NotOurs));
    }

    #[test]
    fn more_actors_than_may_act_for_one_another_are_refused() {
        let mut act = serde_json::json!({"sub": "a"});
        for _ in 0..ACTORS_MAX {
            act = serde_json::json!({"sub": "a", "act": act});
        }
        let mut claims = good();
        claims.insert("act".to_owned(), act);
        assert_eq!(read(&claims), Err(NotOurs));
    }
}
