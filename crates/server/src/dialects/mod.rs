//! Dialects: other products' tongues, so that their own unmodified clients work against Keyholt.
//!
//! A dialect is a thin translation and decides nothing: each of its routes is one call of the keeper and an answer in the
//! product's words, as the mapping table at the top of its file says. It is off unless configured, and bound to one
//! project: a key of any other project is nobody's here, an operator's too.
//!
//! ```text
//! envelope ── id, source, headers, panics, failures in the dialect's own words     envelope.rs
//!   └─ table: from method and path to handler                                      table.rs
//!        └─ handler: one line of arguments, one call                               meerschaum/, datalayer/, …
//!             ├─ who calls                                                         caller.rs
//!             ├─ what the path names, query, body                                  reading.rs
//!             ├─ what only the dialect knows of a key, in the key's metadata       notes.rs
//!             └─ answer, or `Fail`, as everywhere
//! ```
//!
//! A dialect's routes and its table of operations are one and the same list ([`Dialect::routes`]), from which the coverage
//! tests are driven: a route without an authorization row and an audit row cannot be written.
//!
//! Where it is: below a path of the main listener, or on a listener of its own, or both. Either way a request comes straight
//! from the front to the desk of its dialect.
//!
//! A new dialect is: a folder here, a line in [`DIALECTS`], its three settings in `config/setting.rs`, and a `Speaker` in
//! `tests/it/dialects/coverage.rs`. Tests tell which of these is missing.

pub mod caller;
mod datalayer;
mod directus;
mod envelope;
mod listing;
mod meerschaum;
pub mod notes;
pub mod reading;
mod stackauth;
mod table;

use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use keyholt_api::code::Code;
use keyholt_core::actor::{Actor, Source};
use keyholt_core::id::ProjectId;
use zeroize::Zeroizing;

pub use self::datalayer::Datalayer;
pub use self::directus::Directus;
pub use self::meerschaum::Meerschaum;
pub use self::stackauth::StackAuth;
use self::table::{Act, Answering, Table};
use crate::config::{self, Mount};
use crate::http::credential::{self, Misplaced};
use crate::http::fail::Answer;
use crate::http::{Arrival, Fail, Needs, Operation, Settings};
use crate::keeper::Keeper;

/// Every dialect there is.
pub static DIALECTS: [&dyn Dialect; 4] = [&Meerschaum, &Datalayer, &Directus, &StackAuth];

/// A tongue that is not ours.
#[async_trait]
pub trait Dialect: Send + Sync {
    /// Its name among the settings (`dialects.<name>.project`) and in the metadata of keys.
    fn name(&self) -> &'static str;

    /// Its operations with what answers them; there is no other way in.
    fn routes(&self) -> Vec<Route>;

    /// A failure in its words: status and body. The envelope adds `Retry-After` and `Allow` where they belong.
    fn say(&self, fail: &Fail) -> Response;

    /// The secret that the headers show. As a rule it is a Bearer credential as it stands.
    fn presented(&self, headers: &HeaderMap) -> Answer<Zeroizing<String>> {
        credential::presented(headers).map(|secret| Zeroizing::new(secret.to_owned()))
    }

    /// Who calls: as a rule whoever shows that secret in the project that the dialect is bound to.
    async fn recognise(&self, desk: &Desk, parts: &Parts, source: Source) -> Answer<Actor> {
        desk.authenticate(&self.presented(&parts.headers)?, source)
    }

    /// A credential that the URL shows, which is refused, unless that is how the product does it.
    fn in_url(&self, uri: &Uri) -> Option<Misplaced> {
        credential::in_url(uri)
    }

    /// Every secret that a request shows outside of its body, for the case that it came over a connection which nobody
    /// encrypts.
    fn shown(&self, _uri: &Uri, headers: &HeaderMap) -> Vec<Zeroizing<String>> {
        self.presented(headers).into_iter().collect()
    }

    /// What is answered without a look at anything: to a browser that asks what a page may send, where the product is used
    /// from pages, and to what the product has and Keyholt never does. As a rule nothing.
    fn beforehand(&self, _method: &Method, _path: &str) -> Option<Response> {
        None
    }

    /// Makes an answer what this product's clients need it to be; as a rule nothing.
    fn finish(&self, _headers: &mut HeaderMap) {}
}

/// One operation of a dialect, and what answers it.
pub struct Route {
    /// What the coverage tests are driven by.
    pub operation: Operation,
    act: Act,
}

impl Route {
    /// An operation of this name, method and path; what a caller needs, the action of its audit event, and the handler.
    pub fn new<H, T>(
        id: &'static str,
        (method, path): (&'static str, &'static str),
        needs: Needs,
        audit: Option<&'static str>,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Desk, Future = Answering>,
        T: 'static,
    {
        Self {
            operation: Operation {
                id,
                method,
                path,
                needs,
                audit,
            },
            act: Box::new(move |request, desk| handler.clone().call(request, desk)),
        }
    }
}

/// Where a dialect is spoken, and what every handler of it needs. A clone is the same desk.
#[derive(Clone)]
pub struct Desk(Arc<Fittings>);

/// What is at a desk.
pub struct Fittings {
    /// Who decides.
    pub keeper: Arc<Keeper>,
    /// Whose tongue is spoken.
    pub dialect: &'static dyn Dialect,
    project: Box<str>,
    settings: Arc<Settings>,
    table: Table,
}

impl Deref for Desk {
    type Target = Fittings;

    fn deref(&self) -> &Fittings {
        &self.0
    }
}

impl Desk {
    /// A desk at which `dialect` is spoken for the project of this slug or id.
    pub fn new(keeper: Arc<Keeper>, dialect: &'static dyn Dialect, project: &str, settings: Arc<Settings>) -> Self {
        Self(Arc::new(Fittings {
            keeper,
            dialect,
            project: project.into(),
            settings,
            table: Table::new(dialect.routes()),
        }))
    }

    /// Answers a request to this desk, whose paths begin below the mount if it has one.
    pub async fn answer(&self, request: Request, mount: Option<&Mount>, arrival: Arrival) -> Response {
        envelope::answer(self, request, mount, arrival).await
    }

    /// The project that the dialect is bound to. It may be founded after the start.
    pub fn project(&self) -> Answer<ProjectId> {
        self.keeper.project_called(&self.project).ok_or_else(|| {
            tracing::warn!(
                dialect = self.dialect.name(),
                project = &*self.project,
                "there is no such project"
            );
            Fail::saying(Code::NotFound, "this service has not been set up yet")
        })
    }

    /// Who shows this secret, provided that it is a key of this project.
    ///
    /// SECURITY: a key of another project is told what a wrong secret is told, an operator's too: a dialect speaks of one
    /// project only, and of what its own people may do there.
    pub fn authenticate(&self, secret: &str, source: Source) -> Answer<Actor> {
        let actor = self.keeper.authenticate(secret, source)?;
        self.of_here(actor)
    }

    /// Who shows this session in a cookie, provided that it is a session of this project.
    pub fn authenticate_session(&self, cookie: &str, source: Source) -> Answer<Actor> {
        let actor = self.keeper.authenticate_cookie(cookie, source)?;
        self.of_here(actor)
    }

    fn of_here(&self, actor: Actor) -> Answer<Actor> {
        if actor.home == self.project()? {
            Ok(actor)
        } else {
            Err(Fail::new(Code::InvalidCredential))
        }
    }

    /// A failure as a whole answer, for what fails before any route is reached.
    pub fn complain(&self, fail: &Fail, request_id: &str) -> Response {
        envelope::finished(self, envelope::said(self, fail), request_id)
    }
}

/// The dialect of this name.
pub fn named(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.into_iter().find(|dialect| dialect.name() == name)
}

/// The desks of the dialects that are on, each with where it is.
pub fn desks<'a>(
    keeper: &Arc<Keeper>,
    settings: &'a [config::Dialect],
    doors: &Arc<Settings>,
) -> Vec<(Desk, &'a config::Dialect)> {
    let desk = |setting: &'a config::Dialect| {
        let dialect = named(setting.name)?;
        let desk = Desk::new(Arc::clone(keeper), dialect, &setting.project, Arc::clone(doors));
        Some((desk, setting))
    };
    settings.iter().filter_map(desk).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_dialect_has_its_settings_and_every_setting_its_dialect() {
        let dialects: BTreeSet<&str> = DIALECTS.iter().map(|dialect| dialect.name()).collect();
        let settings: BTreeSet<&str> = config::dialect_names().collect();
        assert_eq!(dialects, settings);
        for name in dialects {
            for leaf in ["project", "mount", "listen"] {
                let setting = format!("dialects.{name}.{leaf}");
                assert!(config::Setting::named(&setting).is_some(), "{setting}");
            }
        }
    }

    #[test]
    fn no_operation_is_named_twice_or_in_the_place_of_another() {
        for dialect in DIALECTS {
            let routes = dialect.routes();
            let operations = routes.iter().map(|route| route.operation);
            let ids: BTreeSet<&str> = operations.clone().map(|operation| operation.id).collect();
            assert_eq!(ids.len(), routes.len(), "{}", dialect.name());
            let places: BTreeSet<(&str, &str)> =
                operations.map(|operation| (operation.method, operation.path)).collect();
            assert_eq!(places.len(), routes.len(), "{}", dialect.name());
        }
    }
}
