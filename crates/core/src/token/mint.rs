//! Whether an access token is made, and what it claims: never more than what it is made from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    ACTORS_MAX, Bearer, EXTRA_BYTES_MAX, Generation, RESERVED_CLAIMS, SCOPE_CLAIM_BYTES_MAX, Token, bound_to,
    component_permissions,
};
use crate::actor::{Permit, WriteSessions};
use crate::audit::{Event, Noun, Outcome, Target};
use crate::authority::Authority;
use crate::commit::Commit;
use crate::entropy::Entropy;
use crate::id::TokenId;
use crate::key::{Allowed, Bounds};
use crate::owner::Owner;
use crate::project::TokenPolicy;
use crate::scope::{Access, SCOPES_MAX, Scope, ScopeSet};
use crate::text::{Audience, Metadata};
use crate::time::{Expiry, Moment, Span};
use crate::verify::Dossier;

/// The action of the event that a component session leaves.
pub const COMPONENT_STARTED: &str = "component_session.start";

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
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The key, as its own client.
    Client,
    /// The owner: a person who logged in, or whom a component session acts for.
    Owner,
    /// Whoever stood in the token that this one is made from.
    As(String),
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
            Subject::As(subject) => subject,
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

/// Decides what a component session claims: a token that hangs on the key of a back end and acts for somebody else.
pub fn mint_component(
    key: &Dossier<'_>,
    owner: Owner,
    bearer: Bearer<'_>,
    wish: ComponentWish,
    world: Mint<'_>,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<Token, MintError> {
    let permissions = component_permissions(&key.effective(), bearer.permissions);
    let acting = Dossier {
        owner,
        authority: Authority::new(&Access::Everything, &permissions),
        ..key.clone()
    };
    let token = mint(
        &acting,
        TokenWish {
            scopes: wish.scopes,
            audience: wish.audience,
            lifetime: wish.lifetime,
            subject: Subject::Owner,
            actors: vec![key.key.to_string()],
        },
        world,
        now,
        entropy,
    )?;
    Ok(Token {
        // Whole seconds, as the claim has it.
        hands_on: wish.keys_last_at_most.map(|most| Span::secs(most.ms() / 1_000)),
        ..token
    })
}

/// The event that a component session was started; the token itself is kept nowhere.
pub fn component_started(permit: &Permit<WriteSessions>, token: &Token, now: Moment) -> Commit {
    let actor = permit.actor();
    let event = Event {
        project: token.project,
        at: now,
        action: COMPONENT_STARTED.to_owned(),
        outcome: Outcome::Done,
        actor: Some(actor.into()),
        target: Target {
            noun: Noun::Token,
            id: Some(token.id.uuid()),
        },
        owner: Some(token.owner),
        cause: None,
        source: actor.source.clone(),
        before: None,
        after: Some(json!({
            "access": token.access,
            "audience": token.audience,
            "expires_at": token.expires_at,
            "keys_last_at_most": token.hands_on,
        })),
    };
    Commit::by_itself(event, Vec::new())
}

/// What a back end wishes for.
#[derive(Clone, Debug)]
pub struct ComponentWish {
    /// Which scopes.
    pub scopes: Wished,
    /// Whom the session is for; `None` is the project's usual audience.
    pub audience: Option<Audience>,
    /// How long it shall live.
    pub lifetime: Option<Span>,
    /// The longest life of keys that are made with it; `None` is as long as the back end's own key lives.
    pub keys_last_at_most: Option<Span>,
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
