//! Bodies about projects: the tenants and the policy for their keys.

use std::collections::{BTreeMap, BTreeSet};

use keyholt_core::found::Charter;
use keyholt_core::id::ProjectId;
use keyholt_core::owner::{OwnerKind, Standing};
use keyholt_core::project::{
    CATALOGUE_MAX, CLAIMS_MAX, Catalogue, GRACE_MAX, KEYS_PER_OWNER_MAX, PASSWORD_CHARS_MIN_RANGE, ROTATION_MAX,
    ROTATION_MIN, SESSION_LONGEST_MAX, TOKEN_LIFETIME_MAX, TOKEN_LIFETIME_MIN,
};
use keyholt_core::scope::Scope;
use keyholt_core::secret::Prefix;
use keyholt_core::signing::Algorithm;
use keyholt_core::text::{Audience, Cause, Description, Name, Slug};
use keyholt_core::time::{Lifetime, Moment, Span};
use keyholt_core::token::RESERVED_CLAIMS;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::{Blame, FaultCode, Faults, Reason};
use crate::patch::{Patch, all_or, set};
use crate::reading::{read_cause, read_roles, too_many};
use crate::reference::{Names, Reference};
use crate::words;

/// The word for a lifetime without end.
pub const UNLIMITED: &str = "unlimited";

/// A project as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: ProjectId,
    /// Its handle in URLs and commands.
    #[schema(examples("acme"))]
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The rules for its keys.
    pub policy: Policy,
    /// Since when it is suspended; `null` while its keys work.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub suspended_since: Option<Moment>,
    /// When it was founded.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// How often it was changed; also its `ETag`.
    pub revision: u32,
}

/// The rules that every key of a project obeys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// The first word of its secrets.
    #[schema(examples("acme"))]
    pub prefix: String,
    /// The life of a key that is made without saying: `unlimited` or a length of time.
    #[schema(examples("90d"))]
    pub default_lifetime: String,
    /// The longest life of a key, static keys excepted: `unlimited` or a length of time.
    #[schema(examples("unlimited"))]
    pub longest_lifetime: String,
    /// Who may have keys: `user`, `team`, `service`.
    #[schema(value_type = Vec<words::OwnerKind>)]
    pub owners: Vec<OwnerKind>,
    /// Most keys of one owner, revoked ones not counted.
    pub keys_per_owner: u32,
    /// Which scopes exist, each with what it means; `null` lets any well-formed scope be given.
    #[schema(required)]
    pub scopes: Option<BTreeMap<String, String>>,
    /// How long an old secret works after a rotation that does not say.
    #[schema(value_type = String, examples("24h"))]
    pub default_grace: Span,
    /// The longest that an old secret may work after a rotation.
    #[schema(value_type = String, examples("30d"))]
    pub longest_grace: Span,
    /// How access tokens are signed: `ES256`, `EdDSA` or `RS256`.
    #[schema(examples("ES256"))]
    pub token_algorithm: String,
    /// How long a key signs access tokens before the next one does.
    #[schema(value_type = String, examples("30d"))]
    pub signing_key_rotation: Span,
    /// The life of an access token that is asked for without saying.
    #[schema(value_type = String, examples("5m"))]
    pub token_default_lifetime: Span,
    /// The longest life of an access token.
    #[schema(value_type = String, examples("15m"))]
    pub token_longest_lifetime: Span,
    /// Whom an access token is for that is asked for without saying; `null` is the issuer.
    #[schema(required)]
    pub token_audience: Option<String>,
    /// The members of a key's metadata that its access tokens carry as claims.
    pub token_claims: Vec<String>,
    /// The names of the roles of an owner that is enrolled without naming any.
    pub default_roles: Vec<String>,
    /// How long a session lasts that is not refreshed.
    #[schema(value_type = String, examples("7d"))]
    pub session_idle: Span,
    /// How long a session lasts at most, however often it is refreshed.
    #[schema(value_type = String, examples("30d"))]
    pub session_longest: Span,
    /// Fewest characters of a password.
    #[schema(examples(15))]
    pub password_chars_min: u16,
}

impl Project {
    /// A project as it is shown.
    pub fn show(project: &keyholt_core::project::Project, names: &impl Names) -> Self {
        let policy = &project.policy;
        Self {
            id: project.id,
            slug: project.slug.to_string(),
            name: project.name.to_string(),
            policy: Policy {
                prefix: policy.prefix.as_str().to_owned(),
                default_lifetime: policy.default_lifetime.to_string(),
                longest_lifetime: policy.longest_lifetime.to_string(),
                owners: policy.owners.iter().copied().collect(),
                keys_per_owner: policy.keys_per_owner,
                scopes: match &policy.scopes {
                    Catalogue::Open => None,
                    Catalogue::Declared(scopes) => Some(
                        scopes
                            .iter()
                            .map(|(scope, meaning)| (scope.to_string(), meaning.to_string()))
                            .collect(),
                    ),
                },
                default_grace: policy.default_grace,
                longest_grace: policy.longest_grace,
                token_algorithm: policy.tokens.algorithm.as_str().to_owned(),
                signing_key_rotation: policy.tokens.rotation,
                token_default_lifetime: policy.tokens.default_lifetime,
                token_longest_lifetime: policy.tokens.longest_lifetime,
                token_audience: policy.tokens.audience.as_ref().map(Audience::to_string),
                token_claims: policy.tokens.claims.iter().cloned().collect(),
                default_roles: names.role_names(&policy.default_roles),
                session_idle: policy.log_in.idle,
                session_longest: policy.log_in.longest,
                password_chars_min: policy.log_in.password_chars_min,
            },
            suspended_since: suspended_since(project.standing),
            created_at: project.created_at,
            revision: project.revision.number(),
        }
    }
}

pub(crate) fn suspended_since(standing: Standing) -> Option<Moment> {
    match standing {
        Standing::Good => None,
        Standing::Suspended { since } => Some(since),
    }
}

/// A page of projects.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProjectPage {
    /// The projects.
    pub projects: Vec<Project>,
    /// Asks for the next page; `null` on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A project in two words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProjectName {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: ProjectId,
    /// Its handle.
    pub slug: String,
}

/// The wish for a project. It starts with the roles `member`, `admin`, `verifier` and `auditor`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"slug": "acme", "name": "Acme"})))]
pub struct CreateProject {
    /// Its handle: lower-case letters, digits and hyphens, starting with a letter.
    #[schema(min_length = 1, max_length = 40, pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$")]
    pub slug: String,
    /// What people call it.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// The first word of its secrets; left out, its slug without hyphens, cut to 16 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 16, pattern = "^[a-z][a-z0-9]*$")]
    pub prefix: Option<String>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

impl CreateProject {
    /// Reads the wish and why it is made, or tells all that is wrong with it.
    pub fn read(&self) -> Result<(Charter, Option<Cause>), Faults> {
        let mut faults = Faults::default();
        let slug = faults.read("slug", Slug::new(&self.slug));
        let name = faults.read("name", Name::new(&self.name));
        let prefix = match (&self.prefix, &slug) {
            (Some(prefix), _) => faults.read("prefix", Prefix::of_project(prefix)),
            (None, Some(slug)) => {
                let word: String = slug.as_str().chars().filter(|c| *c != '-').take(16).collect();
                faults.read("prefix", Prefix::of_project(&word))
            }
            (None, None) => None,
        };
        let cause = read_cause(&mut faults, self.cause.as_deref());
        faults.finish(|| {
            let charter = Charter {
                slug: slug?,
                name: name?,
                prefix: prefix?,
            };
            Some((charter, cause?))
        })
    }
}

/// Changes to a project: what is left out stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendProject {
    /// A new handle.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 40)]
    pub slug: Patch<String>,
    /// A new name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 64)]
    pub name: Patch<String>,
    /// New rules; keys that exist keep the expiry that they have.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::reading::optional_object"
    )]
    pub policy: Option<AmendPolicy>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

/// Changes to a policy: what is left out stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendPolicy {
    /// The first word of secrets made from now on.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 16)]
    pub prefix: Patch<String>,
    /// The life of a key that is made without saying: `unlimited` or a length of time.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 64)]
    pub default_lifetime: Patch<String>,
    /// The longest life of a key: `unlimited` or a length of time.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 64)]
    pub longest_lifetime: Patch<String>,
    /// Who may have keys: `user`, `team`, `service`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Vec<words::OwnerKind>, required = false, max_items = 3)]
    pub owners: Patch<Vec<String>>,
    /// Most keys of one owner, 1 to 1000000.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 1_000_000)]
    pub keys_per_owner: Patch<u32>,
    /// Which scopes exist, each with what it means; `null` lets any well-formed scope be given.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<BTreeMap<String, String>>, required = false)]
    pub scopes: Patch<BTreeMap<String, String>>,
    /// How long an old secret works after a rotation that does not say.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 64)]
    pub default_grace: Patch<String>,
    /// The longest that an old secret may work after a rotation, at most 90 days.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 64)]
    pub longest_grace: Patch<String>,
    /// How access tokens are signed. Another one than before makes another key.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 8)]
    pub token_algorithm: Patch<String>,
    /// How long a key signs before the next one does, 1 hour to 366 days.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 64)]
    pub signing_key_rotation: Patch<String>,
    /// The life of an access token that is asked for without saying, 10 seconds to 15 minutes.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 64)]
    pub token_default_lifetime: Patch<String>,
    /// The longest life of an access token, 10 seconds to 15 minutes.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 64)]
    pub token_longest_lifetime: Patch<String>,
    /// Whom an access token is for that is asked for without saying; `null` is the issuer.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, required = false, min_length = 1, max_length = 256)]
    pub token_audience: Patch<String>,
    /// The members of a key's metadata that its access tokens carry as claims.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Vec<String>, required = false, max_items = 16)]
    pub token_claims: Patch<Vec<String>>,
    /// The names or ids of the roles of an owner that is enrolled without naming any.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Vec<String>, required = false, max_items = 32)]
    pub default_roles: Patch<Vec<String>>,
    /// How long a session lasts that is not refreshed, 1 minute to 366 days.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 64)]
    pub session_idle: Patch<String>,
    /// How long a session lasts at most, 1 minute to 366 days.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 64)]
    pub session_longest: Patch<String>,
    /// Fewest characters of a password, 8 to 64.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = u16, required = false, minimum = 8, maximum = 64)]
    pub password_chars_min: Patch<u16>,
}

/// Changes to a project that were read: `None` keeps what was.
#[derive(Clone, Debug, Default)]
pub struct ProjectChange {
    /// A new handle.
    pub slug: Option<Slug>,
    /// A new name.
    pub name: Option<Name>,
    /// The first word of secrets.
    pub prefix: Option<Prefix>,
    /// The life of a key that is made without saying.
    pub default_lifetime: Option<Lifetime>,
    /// The longest life of a key.
    pub longest_lifetime: Option<Lifetime>,
    /// Who may have keys.
    pub owners: Option<BTreeSet<OwnerKind>>,
    /// Most keys of one owner.
    pub keys_per_owner: Option<u32>,
    /// Which scopes exist.
    pub scopes: Option<Catalogue>,
    /// The grace of a rotation that does not say.
    pub default_grace: Option<Span>,
    /// The longest grace.
    pub longest_grace: Option<Span>,
    /// How access tokens are signed.
    pub token_algorithm: Option<Algorithm>,
    /// How long a key signs.
    pub signing_key_rotation: Option<Span>,
    /// The life of an access token that is asked for without saying.
    pub token_default_lifetime: Option<Span>,
    /// The longest life of an access token.
    pub token_longest_lifetime: Option<Span>,
    /// Whom an access token is for that is asked for without saying; `Some(None)` is the issuer.
    pub token_audience: Option<Option<Audience>>,
    /// The members of metadata that access tokens carry.
    pub token_claims: Option<BTreeSet<String>>,
    /// The roles of an owner that is enrolled without naming any; still to be looked up.
    pub default_roles: Option<BTreeSet<Reference>>,
    /// How long a session lasts that is not refreshed.
    pub session_idle: Option<Span>,
    /// How long a session lasts at most.
    pub session_longest: Option<Span>,
    /// Fewest characters of a password.
    pub password_chars_min: Option<u16>,
    /// Why, for the audit trail.
    pub cause: Option<Cause>,
}

impl AmendProject {
    /// Reads the changes, or tells all that is wrong with them.
    pub fn read(self) -> Result<ProjectChange, Faults> {
        let mut faults = Faults::default();
        let cause = read_cause(&mut faults, self.cause.as_deref());
        let slug = set(&mut faults, "slug", self.slug).map(|slug| faults.read("slug", Slug::new(&slug)));
        let name = set(&mut faults, "name", self.name).map(|name| faults.read("name", Name::new(&name)));
        let policy = faults.nest("policy", self.policy.unwrap_or_default().read());
        faults.finish(|| {
            Some(ProjectChange {
                slug: all_or(slug)?,
                name: all_or(name)?,
                cause: cause?,
                ..policy?
            })
        })
    }
}

impl AmendPolicy {
    fn read(self) -> Result<ProjectChange, Faults> {
        let mut faults = Faults::default();
        let mut text = |field: &str, patch| set(&mut faults, field, patch);
        let prefix = text("prefix", self.prefix);
        let default_lifetime = text("default_lifetime", self.default_lifetime);
        let longest_lifetime = text("longest_lifetime", self.longest_lifetime);
        let default_grace = text("default_grace", self.default_grace);
        let longest_grace = text("longest_grace", self.longest_grace);
        let token_algorithm = text("token_algorithm", self.token_algorithm);
        let signing_key_rotation = text("signing_key_rotation", self.signing_key_rotation);
        let token_default_lifetime = text("token_default_lifetime", self.token_default_lifetime);
        let token_longest_lifetime = text("token_longest_lifetime", self.token_longest_lifetime);
        let session_idle = text("session_idle", self.session_idle);
        let session_longest = text("session_longest", self.session_longest);
        let prefix = prefix.map(|text| faults.read("prefix", Prefix::of_project(&text)));
        let default_lifetime = default_lifetime.map(|text| read_lifetime(&mut faults, "default_lifetime", &text));
        let longest_lifetime = longest_lifetime.map(|text| read_lifetime(&mut faults, "longest_lifetime", &text));
        let default_grace = default_grace.map(|text| read_grace(&mut faults, "default_grace", &text));
        let longest_grace = longest_grace.map(|text| read_grace(&mut faults, "longest_grace", &text));
        let token_algorithm = token_algorithm.map(|word| {
            let unknown = || Reason(FaultCode::UnknownWord, "must be `ES256`, `EdDSA` or `RS256`".into());
            faults.read("token_algorithm", Algorithm::parse(&word).ok_or_else(unknown))
        });
        let rotations = ROTATION_MIN..=ROTATION_MAX;
        let signing_key_rotation =
            signing_key_rotation.map(|text| read_within(&mut faults, "signing_key_rotation", &text, &rotations));
        let lifetimes = TOKEN_LIFETIME_MIN..=TOKEN_LIFETIME_MAX;
        let token_default_lifetime =
            token_default_lifetime.map(|text| read_within(&mut faults, "token_default_lifetime", &text, &lifetimes));
        let token_longest_lifetime =
            token_longest_lifetime.map(|text| read_within(&mut faults, "token_longest_lifetime", &text, &lifetimes));
        let token_audience = match self.token_audience {
            Patch::Keep => None,
            Patch::Clear => Some(Some(None)),
            Patch::Set(text) => Some(faults.read("token_audience", Audience::new(&text)).map(Some)),
        };
        let token_claims = set(&mut faults, "token_claims", self.token_claims);
        let token_claims = token_claims.map(|claims| read_claims(&mut faults, claims));
        let session_idle = session_idle.map(|text| read_session(&mut faults, "session_idle", &text));
        let session_longest = session_longest.map(|text| read_session(&mut faults, "session_longest", &text));
        let password_chars_min = set(&mut faults, "password_chars_min", self.password_chars_min);
        let password_chars_min =
            password_chars_min.map(|least| faults.read("password_chars_min", password_chars(least)));
        let owners = set(&mut faults, "owners", self.owners).map(|owners| read_kinds(&mut faults, &owners));
        let keys_per_owner = set(&mut faults, "keys_per_owner", self.keys_per_owner);
        let keys_per_owner = keys_per_owner.map(|most| faults.read("keys_per_owner", in_range(most)));
        let scopes = match self.scopes {
            Patch::Keep => None,
            Patch::Clear => Some(Some(Catalogue::Open)),
            Patch::Set(scopes) => Some(read_catalogue(&mut faults, scopes)),
        };
        let default_roles = set(&mut faults, "default_roles", self.default_roles);
        let default_roles = default_roles.map(|roles| read_roles(&mut faults, "default_roles", &roles));
        faults.finish(|| {
            Some(ProjectChange {
                prefix: all_or(prefix)?,
                default_lifetime: all_or(default_lifetime)?,
                longest_lifetime: all_or(longest_lifetime)?,
                owners: all_or(owners)?,
                keys_per_owner: all_or(keys_per_owner)?,
                scopes: all_or(scopes)?,
                default_grace: all_or(default_grace)?,
                longest_grace: all_or(longest_grace)?,
                default_roles: all_or(default_roles)?,
                token_algorithm: all_or(token_algorithm)?,
                signing_key_rotation: all_or(signing_key_rotation)?,
                token_default_lifetime: all_or(token_default_lifetime)?,
                token_longest_lifetime: all_or(token_longest_lifetime)?,
                token_audience: all_or(token_audience)?,
                token_claims: all_or(token_claims)?,
                session_idle: all_or(session_idle)?,
                session_longest: all_or(session_longest)?,
                password_chars_min: all_or(password_chars_min)?,
                ..ProjectChange::default()
            })
        })
    }
}

fn read_lifetime(faults: &mut Faults, field: &str, text: &str) -> Option<Lifetime> {
    if text == UNLIMITED {
        return Some(Lifetime::Unlimited);
    }
    let span: Span = faults.read(field, text.parse())?;
    if span == Span::ZERO {
        faults.add(field, Reason(FaultCode::Range, "must be longer than nothing".into()));
        return None;
    }
    Some(Lifetime::For(span))
}

fn read_grace(faults: &mut Faults, field: &str, text: &str) -> Option<Span> {
    let span: Span = faults.read(field, text.parse())?;
    if span > GRACE_MAX {
        let reason = format!("must be at most {GRACE_MAX}");
        faults.add(field, Reason(FaultCode::Range, reason.into()));
        return None;
    }
    Some(span)
}

/// Shortest session that a policy may ask for: shorter ones end before they are refreshed.
const SESSION_MIN: Span = Span::secs(60);

fn read_session(faults: &mut Faults, field: &str, text: &str) -> Option<Span> {
    let span: Span = faults.read(field, text.parse())?;
    if (SESSION_MIN..=SESSION_LONGEST_MAX).contains(&span) {
        return Some(span);
    }
    let reason = format!("must be {SESSION_MIN} to {SESSION_LONGEST_MAX}");
    faults.add(field, Reason(FaultCode::Range, reason.into()));
    None
}

fn password_chars(least: u16) -> Result<u16, Reason> {
    if PASSWORD_CHARS_MIN_RANGE.contains(&least) {
        Ok(least)
    } else {
        let (least, most) = PASSWORD_CHARS_MIN_RANGE.into_inner();
        Err(Reason(FaultCode::Range, format!("must be {least} to {most}").into()))
    }
}

fn read_within(faults: &mut Faults, field: &str, text: &str, range: &std::ops::RangeInclusive<Span>) -> Option<Span> {
    let span: Span = faults.read(field, text.parse())?;
    if range.contains(&span) {
        return Some(span);
    }
    let reason = format!("must be {} to {}", range.start(), range.end());
    faults.add(field, Reason(FaultCode::Range, reason.into()));
    None
}

/// Most bytes in the name of a claim.
const CLAIM_BYTES_MAX: usize = 64;

fn read_claims(faults: &mut Faults, claims: Vec<String>) -> Option<BTreeSet<String>> {
    if claims.len() > CLAIMS_MAX {
        faults.add("token_claims", too_many(CLAIMS_MAX));
        return None;
    }
    let claims = faults.read_each("token_claims", claims, |claim| {
        if claim.is_empty() || claim.len() > CLAIM_BYTES_MAX || RESERVED_CLAIMS.contains(&claim.as_str()) {
            let reason = format!("must be 1 to {CLAIM_BYTES_MAX} bytes, and no claim about the token itself");
            return Err(Reason(FaultCode::Conflict, reason.into()));
        }
        Ok(claim)
    })?;
    Some(claims.into_iter().collect())
}

fn read_kinds(faults: &mut Faults, kinds: &[String]) -> Option<BTreeSet<OwnerKind>> {
    if kinds.len() > OwnerKind::ALL.len() {
        faults.add("owners", too_many(OwnerKind::ALL.len()));
        return None;
    }
    let unknown = || Reason(FaultCode::UnknownWord, "must be `user`, `team` or `service`".into());
    let kinds = faults.read_each("owners", kinds, |kind| OwnerKind::parse(kind).ok_or_else(unknown))?;
    Some(kinds.into_iter().collect())
}

fn in_range(most: u32) -> Result<u32, Reason> {
    if (1..=KEYS_PER_OWNER_MAX).contains(&most) {
        Ok(most)
    } else {
        let reason = format!("must be 1 to {KEYS_PER_OWNER_MAX}");
        Err(Reason(FaultCode::Range, reason.into()))
    }
}

fn read_catalogue(faults: &mut Faults, scopes: BTreeMap<String, String>) -> Option<Catalogue> {
    struct Declared(Scope, Description);
    fn declare(scope: &str, meaning: &str) -> Result<Declared, Reason> {
        let of = |blame: &dyn Blame| Reason(blame.code(), blame.detail().into());
        let scope: Scope = scope
            .parse()
            .map_err(|error: keyholt_core::scope::ScopeError| of(&error))?;
        if scope.is_reserved() {
            return Err(Reason(
                FaultCode::Conflict,
                "`keyholt:` scopes exist in every project and are not declared".into(),
            ));
        }
        let meaning = Description::new(meaning).map_err(|error| of(&error))?;
        Ok(Declared(scope, meaning))
    }
    if scopes.len() > CATALOGUE_MAX {
        faults.add("scopes", too_many(CATALOGUE_MAX));
        return None;
    }
    let declared = faults.read_each("scopes", &scopes, |(scope, meaning)| declare(scope, meaning))?;
    Some(Catalogue::Declared(
        declared
            .into_iter()
            .map(|Declared(scope, meaning)| (scope, meaning))
            .collect(),
    ))
}
