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
use bytes::Bytes;
use http::HeaderMap;
use ipnet::IpNet;
use keyholt_api::code::Code;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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
use crate::oauth::{introspect, metadata, revoke, statuses, token};

/// What every handler needs.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) settings: Arc<Settings>,
    openapi: Bytes,
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

/// The whole native API with its documentation pages.
///
/// Every request must have its [`Arrival`] as an extension.
pub fn router(keeper: Arc<Keeper>, settings: Arc<Settings>) -> Router {
    let (router, contract) = routes().split_for_parts();
    let document = openapi::completed(contract);
    let door = Door {
        keeper,
        settings,
        openapi: document_json(&document).into(),
        parameters: Arc::new(Parameters::of(&document)),
    };
    router
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

/// The operations with their contract, before it is completed.
fn routes() -> OpenApiRouter<Door> {
    OpenApiRouter::with_openapi(openapi::opening())
        .routes(routes!(setup::set_up))
        .routes(routes!(verify::verify))
        .routes(routes!(verify::batch))
        .routes(routes!(verify::in_project))
        .routes(routes!(verify::explain))
        .routes(routes!(whoami::read))
        .routes(routes!(whoami::revoke))
        .routes(routes!(sessions::log_in))
        .routes(routes!(sessions::refresh))
        .routes(routes!(sessions::log_out))
        .routes(routes!(sessions::list_own, sessions::end_own))
        .routes(routes!(sessions::end_own_one))
        .routes(routes!(sessions::list, sessions::end))
        .routes(routes!(sessions::end_one_of))
        .routes(routes!(sessions::set_password))
        .routes(routes!(sessions::change_password))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::find))
        .routes(routes!(import::import))
        .routes(routes!(keys::revoke_matching))
        .routes(routes!(keys::read, keys::amend, keys::delete))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::end_grace))
        .routes(routes!(keys::suspend))
        .routes(routes!(keys::resume))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::validity))
        .routes(routes!(keys::usage))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::read, users::amend, users::delete))
        .routes(routes!(users::suspend))
        .routes(routes!(users::resume))
        .routes(routes!(teams::list, teams::create))
        .routes(routes!(teams::read, teams::amend, teams::delete))
        .routes(routes!(teams::suspend))
        .routes(routes!(teams::resume))
        .routes(routes!(teams::put_member, teams::delete_member))
        .routes(routes!(services::list, services::create))
        .routes(routes!(services::read, services::amend, services::delete))
        .routes(routes!(services::suspend))
        .routes(routes!(services::resume))
        .routes(routes!(roles::list, roles::create))
        .routes(routes!(roles::read, roles::amend, roles::delete))
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::read, projects::amend))
        .routes(routes!(projects::suspend))
        .routes(routes!(projects::resume))
        .routes(routes!(events::list))
        .routes(routes!(export::export))
        .routes(routes!(signing_keys::list, signing_keys::rotate))
        .routes(routes!(signing_keys::withdraw))
        .routes(routes!(signing_keys::start_component))
        .routes(routes!(token::token))
        .routes(routes!(introspect::introspect))
        .routes(routes!(revoke::revoke))
        .routes(routes!(metadata::root_metadata))
        .routes(routes!(metadata::project_metadata))
        .routes(routes!(metadata::root_keys))
        .routes(routes!(metadata::project_keys))
        .routes(routes!(statuses::root_status_list))
        .routes(routes!(statuses::project_status_list))
        .routes(routes!(statuses::root_status_lists))
        .routes(routes!(statuses::project_status_lists))
        .routes(routes!(master_key::read))
        .routes(routes!(meta::meta))
        .routes(routes!(meta::livez))
        .routes(routes!(meta::readyz))
        .routes(routes!(meta::openapi))
}
