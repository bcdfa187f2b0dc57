//! The OAuth door: token endpoint, keys and metadata. It translates between the RFCs' words and the keeper's.
//!
//! ```text
//! form.rs      what was posted, each parameter once
//! client.rs    who posted it: Basic or body, never both
//! token.rs     the grants
//! metadata.rs  issuers, their keys
//! fail.rs      refusals as RFC 6749 §5.2 writes them
//! ```

mod client;
mod fail;
mod form;
pub mod metadata;
pub mod token;

/// The grant of machines.
pub const CLIENT_CREDENTIALS: &str = "client_credentials";
/// The grants that the token endpoint knows.
pub const GRANTS: [&str; 1] = [CLIENT_CREDENTIALS];
