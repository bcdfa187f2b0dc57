//! The native HTTP door: translates requests into calls of the keeper, and what comes of them into answers.
//!
//! ```text
//! envelope ── id, source, headers, problems, panics      envelope.rs, arrival.rs
//!   └─ known parameters                                  parameters.rs
//!        └─ handler: one line of arguments, one call     keys.rs, users.rs, …
//!             ├─ who calls, what the path names          place.rs, credential.rs
//!             ├─ query, body, conditions                 query.rs, body.rs, condition.rs
//!             └─ answer or failure                       show.rs, fail.rs
//! ```

pub(crate) mod arrival;
pub(crate) mod body;
mod client_address;
mod condition;
pub(crate) mod cookie;
pub(crate) mod cors;
pub(crate) mod credential;
mod cursor;
mod docs;
pub(crate) mod envelope;
mod events;
mod export;
pub(crate) mod fail;
mod handlers;
mod import;
mod json_form;
mod keys;
mod master_key;
mod meta;
mod openapi;
mod operations;
mod parameters;
mod place;
mod projects;
pub(crate) mod query;
mod records;
mod roles;
mod services;
mod sessions;
mod setup;
mod show;
mod signing_keys;
mod teams;
mod users;
mod verify;
mod whoami;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::HeaderMap;
use ipnet::IpNet;
use keyholt_api::code::Code;

pub use arrival::{Arrival, RequestId, RequestIds};
pub use body::BodyLimits;
pub(crate) use body::json;
pub use client_address::client_address;
pub use fail::Fail;
pub use openapi::{document, document_json};
pub use operations::{Needs, Operation, operations};
pub(crate) use place::{From as Whence, ProjectWord};
pub use verify::{inadmissible, verdict};

use self::client_address::came_in_the_clear;
use self::parameters::Parameters;
use crate::config::{Config, PublicUrl};
use crate::keeper::Keeper;

/// What every handler needs.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) settings: Arc<Settings>,
    parameters: Arc<Parameters>,
}

/// What the operator decides about the doors.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The proxies that are believed about where requests come from.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether a credential may come in the clear.
    pub encryption: Encryption,
    /// How large bodies may be.
    pub bodies: BodyLimits,
    /// Where pages come from that may use the session cookie, if the operator said so; else where the browser says.
    pub origin: Option<String>,
    /// Where pages come from that may call from another origin, with a credential of their own.
    pub cors_origins: Vec<String>,
}

/// Whether clients are promised an encrypted connection, so that a credential which came without one is taken for leaked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Encryption {
    /// TLS is on, or the public address is an `https` one.
    Required,
    /// Nobody promised it.
    #[default]
    Optional,
}

impl Settings {
    /// The settings of a configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            trusted_proxies: config.trusted_proxies.clone(),
            encryption: Encryption::of(config),
            bodies: (&config.limits).into(),
            origin: config
                .public_url
                .as_ref()
                .and_then(|url| cookie::origin_of(url.as_str())),
            cors_origins: config.cors_origins.clone(),
        }
    }

    /// Whether that peer is believed about where requests come from.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }

    /// Whether a request came over a connection that nobody encrypts, where encryption is promised.
    pub(crate) fn misses_encryption(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        self.encryption == Encryption::Required && came_in_the_clear(peer, headers, &self.trusted_proxies)
    }
}

impl Encryption {
    /// What a configuration promises.
    fn of(config: &Config) -> Self {
        let is_public = config.public_url.as_ref().is_some_and(PublicUrl::is_encrypted);
        if config.tls.is_some() || is_public {
            Self::Required
        } else {
            Self::Optional
        }
    }
}

/// The contract as it is published; `cargo xtask generate` writes it.
const CONTRACT: &str = include_str!("../../../../openapi/keyholt.json");

/// The whole native API with its documentation pages.
///
/// Every request must have its [`Arrival`] as an extension.
pub fn router(keeper: Arc<Keeper>, settings: Arc<Settings>) -> Router {
    let door = Door {
        keeper,
        settings,
        parameters: Arc::new(Parameters::of(CONTRACT)),
    };
    handlers::mounted()
        .route_layer(from_fn_with_state(door.clone(), parameters::known))
        .route("/docs", get(docs::page))
        .route("/docs/docs.css", get(docs::style))
        .route("/docs/docs.js", get(docs::script))
        .route("/docs/errors", get(docs::errors))
        .route("/docs/denials", get(docs::denials))
        .method_not_allowed_fallback(async || Fail::new(Code::MethodNotAllowed))
        .fallback(async || Fail::new(Code::NoSuchRoute))
        .layer(from_fn_with_state(door.clone(), envelope::envelope))
        .with_state(door)
}
