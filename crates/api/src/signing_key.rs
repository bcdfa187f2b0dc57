//! Bodies about signing keys, and about component sessions.

use keyholt_core::id::SigningKeyId;
use keyholt_core::signing::Phase;
use keyholt_core::text::{Audience, Cause};
use keyholt_core::time::{Moment, Span};
use keyholt_core::token::{ComponentWish, Wished};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::Faults;
use crate::reading::read_scopes;
use crate::reference::{OwnerChoice, OwnerReference};

/// Why a signing key is withdrawn.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawSigningKey {
    /// Why; kept in the audit trail.
    #[schema(min_length = 1, max_length = 256, examples("the machine was stolen"))]
    pub cause: String,
}

impl WithdrawSigningKey {
    /// The cause.
    pub fn read(&self) -> Result<Cause, Faults> {
        Cause::new(&self.cause).map_err(|error| Faults::one("cause", error))
    }
}

/// A key that signs access tokens, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SigningKey {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: SigningKeyId,
    /// By which verifiers know it: the RFC 7638 thumbprint of its public half.
    pub kid: String,
    /// `ES256`, `EdDSA` or `RS256`.
    pub algorithm: String,
    /// `next` (published, signs later), `live`, `retired` or `withdrawn`.
    pub phase: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// From when on it signs.
    #[schema(value_type = String, format = DateTime)]
    pub signs_from: Moment,
    /// When it is not believed any more; `null` while no other key follows it.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub retires_at: Option<Moment>,
    /// When it was withdrawn in an emergency.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub withdrawn_at: Option<Moment>,
}

impl SigningKey {
    /// A signing key as it is shown.
    pub fn show(key: &keyholt_core::signing::SigningKey, now: Moment) -> Self {
        Self {
            id: key.id,
            kid: key.kid.clone(),
            algorithm: key.algorithm.as_str().to_owned(),
            phase: match key.phase(now) {
                Phase::Next => "next",
                Phase::Live => "live",
                Phase::Retired => "retired",
                Phase::Withdrawn => "withdrawn",
            }
            .to_owned(),
            created_at: key.created_at,
            signs_from: key.signs_from,
            retires_at: key.retires_at,
            withdrawn_at: key.withdrawn_at,
        }
    }
}

/// The signing keys of a project, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SigningKeys {
    /// The keys.
    pub signing_keys: Vec<SigningKey>,
}

/// The wish for a component session: a short credential for one user or team, for pages of the product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"owner": {"user": "ada"}, "expires_in": "15m", "keys_last_at_most": "90d"})))]
pub struct StartComponentSession {
    /// Whom it acts for.
    pub owner: OwnerChoice,
    /// What it may do; left out, what the back end's key and the owner have in common, and to manage own keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 256)]
    pub scopes: Option<Vec<String>>,
    /// Whom it is for; left out, whom the project's policy names, or the issuer: Keyholt itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub audience: Option<String>,
    /// How long it lives, at most `1h`; left out, as long as the project's access tokens do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub expires_in: Option<String>,
    /// The longest life of keys that are made with it; left out, that of the back end's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub keys_last_at_most: Option<String>,
}

impl StartComponentSession {
    /// Reads the wish, or tells all that is wrong with it.
    pub fn read(&self) -> Result<(OwnerReference, ComponentWish), Faults> {
        let mut faults = Faults::default();
        let owner = faults.read("owner", self.owner.read());
        let scopes = match &self.scopes {
            None => Some(Wished::All),
            Some(scopes) => read_scopes(&mut faults, "scopes", scopes).map(Wished::Only),
        };
        let audience = faults.read_optional("audience", self.audience.as_deref(), Audience::new);
        let lifetime = faults.read_optional("expires_in", self.expires_in.as_deref(), str::parse::<Span>);
        let most = faults.read_optional(
            "keys_last_at_most",
            self.keys_last_at_most.as_deref(),
            str::parse::<Span>,
        );
        faults.finish(|| {
            Some((
                owner?,
                ComponentWish {
                    scopes: scopes?,
                    audience: audience?,
                    lifetime: lifetime?,
                    keys_last_at_most: most?,
                },
            ))
        })
    }
}

/// A component session, to be handed to the page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ComponentSession {
    /// The credential: `Authorization: Bearer …` in the browser.
    pub token: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it is dead.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Moment,
}
