//! Bodies of the OAuth endpoints, named as the RFCs name them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is posted to the token endpoint, form-encoded. Members that the grant does not know are passed over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenRequest {
    /// `client_credentials`, `refresh_token` or `urn:ietf:params:oauth:grant-type:token-exchange`.
    pub grant_type: String,
    /// The key's id, where the client is not named in `Authorization: Basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The key's secret, where it is not in `Authorization: Basic`. Never both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Scopes with a space between two; left out, all that the credential may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Whom the token is for; left out, whom the project's policy names, or the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The same as `audience`, as RFC 8707 has it. Not both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// How many seconds the token shall live, within the project's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// Token exchange: the key's secret or the access token that becomes the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_token: Option<String>,
    /// Token exchange: what `subject_token` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_token_type: Option<String>,
    /// Token exchange: what is wanted; only access tokens are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_token_type: Option<String>,
    /// Token exchange: the key's secret or the access token of whoever acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_token: Option<String>,
    /// Token exchange: what `actor_token` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_token_type: Option<String>,
    /// Refresh: the newest refresh token of a person's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// An access token, given out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenAnswer {
    /// A JWT as RFC 9068 has it.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Whole seconds until it is dead.
    pub expires_in: u64,
    /// What it may do; left out where that is nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Token exchange: what was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<String>,
}

/// An access token of a person, with what makes the next one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RefreshedAnswer {
    /// The access token.
    #[serde(flatten)]
    pub token: TokenAnswer,
    /// Good once; the one that was shown is used up.
    pub refresh_token: String,
}

/// Why there is none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OAuthError {
    /// A word of RFC 6749 §5.2, RFC 8707 or RFC 8693.
    pub error: String,
    /// For people.
    pub error_description: String,
}

/// One project as an authorization server (RFC 8414).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServerMetadata {
    /// Its name, to be compared letter by letter.
    pub issuer: String,
    /// Where tokens are given out.
    pub token_endpoint: String,
    /// Where its keys are published.
    pub jwks_uri: String,
    /// Where clients ask about tokens.
    pub introspection_endpoint: String,
    /// Where clients end tokens.
    pub revocation_endpoint: String,
    /// Where it says which status lists it has (IETF Token Status List).
    pub status_list_aggregation_endpoint: String,
    /// No endpoint of this server answers with a redirection.
    pub response_types_supported: Vec<String>,
    /// The grants.
    pub grant_types_supported: Vec<String>,
    /// How clients say who they are when they want a token.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// How they do when they ask about one.
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// How they do when they end one.
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
}

/// What is posted to ask about a token or to end one, form-encoded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct IntrospectionRequest {
    /// The access token, the refresh token or the key's secret.
    pub token: String,
    /// What the client thinks it is; of no consequence here, for each shows by its form what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type_hint: Option<String>,
    /// The key's id, where the client is not named in `Authorization: Basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The key's secret, where it is not in `Authorization: Basic`. Never both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

/// Whether a token is good now (RFC 7662). All but `active` is left out where it is not.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Introspection {
    /// Whether it is good.
    pub active: bool,
    /// What it may do now; of a refresh token, which opens no door, it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The key or session that it is, or that it hangs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How people name whom it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `Bearer`, or `refresh_token` for what is to be shown to nobody but the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
    /// When it is dead, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// Its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Who acts, where that is not its owner (RFC 8693 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Acting>,
    /// Its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// `user`, `team` or `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_kind: Option<String>,
    /// The id of whom it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
}

/// Who acts with a token, and for whom that one acted before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Acting {
    /// The subject of whoever acts.
    pub sub: String,
    /// Who acted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub act: Option<Box<Acting>>,
}

/// Which status lists an issuer has (IETF Token Status List).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct StatusLists {
    /// Where they are.
    pub status_lists: Vec<String>,
}

/// A set of public keys (RFC 7517).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeySet {
    /// The keys, oldest first; only public members.
    pub keys: Vec<std::collections::BTreeMap<String, String>>,
}
