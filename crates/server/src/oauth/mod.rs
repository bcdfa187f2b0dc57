//! The OAuth door: token endpoint, keys and metadata. It translates between the RFCs' words and the keeper's.
//!
//! ```text
//! form.rs      what was posted, each parameter once
//! client.rs    who posted it: Basic or body, never both
//! token.rs     the grants of keys
//! refresh.rs   the grant of people
//! metadata.rs  issuers, their keys
//! statuses.rs  what became of keys, for verifiers who do not ask
//! introspect.rs, revoke.rs   what was given out, asked about and ended
//! fail.rs      refusals as RFC 6749 §5.2 writes them
//! ```

pub mod client;
mod fail;
pub mod form;
pub mod introspect;
pub mod metadata;
mod refresh;
pub mod revoke;
pub mod statuses;
pub mod token;

/// The grant of machines.
pub const CLIENT_CREDENTIALS: &str = "client_credentials";
/// The grant that makes one token from another (RFC 8693).
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The grant of people who logged in.
pub const REFRESH_TOKEN: &str = "refresh_token";
/// The grants that the token endpoint knows.
pub const GRANTS: [&str; 3] = [CLIENT_CREDENTIALS, TOKEN_EXCHANGE, REFRESH_TOKEN];
