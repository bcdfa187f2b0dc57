//! Every handler of the native API, named once: mounted, it answers; described, it is in the contract.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter};
use utoipa::openapi::HttpMethod;
use utoipa::{OpenApi, Path};

use super::{
    Door, events, export, import, keys, master_key, meta, projects, roles, services, sessions, setup, signing_keys,
    teams, users, verify, whoami,
};
use crate::oauth::{introspect, metadata, revoke, statuses, token};

macro_rules! handlers {
    ($($module:ident :: $handler:ident,)+) => {pastey::paste! {
        /// Every handler at its method and path.
        pub(super) fn mounted() -> Router<Door> {
            Router::new()$(.route(
                &$module::[<__path_ $handler>]::path(),
                answering(&$module::[<__path_ $handler>]::methods(), $module::$handler),
            ))+
        }

        /// What every handler declares.
        #[derive(OpenApi)]
        #[openapi(paths($($module::$handler),+))]
        pub(super) struct Declared;
    }};
}

/// A handler for the methods that it declares.
fn answering<H: Handler<T, Door>, T: 'static>(methods: &[HttpMethod], handler: H) -> MethodRouter<Door> {
    methods.iter().fold(MethodRouter::new(), |router, method| {
        router.on(filter(method), handler.clone())
    })
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}

handlers! {
    setup::set_up,
    verify::verify,
    verify::batch,
    verify::in_project,
    verify::explain,
    whoami::read,
    whoami::revoke,
    sessions::log_in,
    sessions::refresh,
    sessions::log_out,
    sessions::list_own,
    sessions::end_own,
    sessions::end_own_one,
    sessions::list,
    sessions::end,
    sessions::end_one_of,
    sessions::set_password,
    sessions::change_password,
    keys::list,
    keys::create,
    keys::find,
    import::import,
    keys::revoke_matching,
    keys::read,
    keys::amend,
    keys::delete,
    keys::rotate,
    keys::end_grace,
    keys::suspend,
    keys::resume,
    keys::revoke,
    keys::validity,
    keys::usage,
    users::list,
    users::create,
    users::read,
    users::amend,
    users::delete,
    users::suspend,
    users::resume,
    teams::list,
    teams::create,
    teams::read,
    teams::amend,
    teams::delete,
    teams::suspend,
    teams::resume,
    teams::put_member,
    teams::delete_member,
    services::list,
    services::create,
    services::read,
    services::amend,
    services::delete,
    services::suspend,
    services::resume,
    roles::list,
    roles::create,
    roles::read,
    roles::amend,
    roles::delete,
    projects::list,
    projects::create,
    projects::read,
    projects::amend,
    projects::suspend,
    projects::resume,
    events::list,
    export::export,
    signing_keys::list,
    signing_keys::rotate,
    signing_keys::withdraw,
    signing_keys::start_component,
    token::token,
    introspect::introspect,
    revoke::revoke,
    metadata::root_metadata,
    metadata::project_metadata,
    metadata::root_keys,
    metadata::project_keys,
    statuses::root_status_list,
    statuses::project_status_list,
    statuses::root_status_lists,
    statuses::project_status_lists,
    master_key::read,
    meta::meta,
    meta::livez,
    meta::readyz,
    meta::openapi,
}
