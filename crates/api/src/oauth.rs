//! Bodies of the OAuth endpoints, named as the RFCs name them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is posted to the token endpoint, form-encoded. Members that the grant does not know are passed over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenRequest {
    /// `client_credentials` or `urn:ietf:params:oauth:grant-type:token-exchange`.
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
    /// No endpoint of this server answers with a redirection.
    pub response_types_supported: Vec<String>,
    /// The grants.
    pub grant_types_supported: Vec<String>,
    /// How clients say who they are.
    pub token_endpoint_auth_methods_supported: Vec<String>,
}

/// A set of public keys (RFC 7517).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeySet {
    /// The keys, oldest first; only public members.
    pub keys: Vec<std::collections::BTreeMap<String, String>>,
}
