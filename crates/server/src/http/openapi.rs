//! The contract: what the handlers declare, completed with what holds for all of them.

use std::collections::BTreeMap;

use keyholt_api::code::Code;
use keyholt_api::oauth::OAuthError;
use keyholt_api::problem::{MEDIA_TYPE, Problem};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, Ref, RefOr, Required};
use utoipa::{IntoParams, OpenApi};

use super::handlers::Declared;
use super::operations::{self, Needs, operations};

/// The opening of the document: what it is about.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keyholt",
        description = "Issues, verifies, scopes, expires, rotates, revokes and audits API keys.\n\n\
            **Conventions.** Bodies are JSON in UTF-8; unknown members and unknown query parameters are refused. Instants are \
            RFC 3339, spans are texts such as `90d`. In a path, `{project}` is an id, a slug or the word `self`; users and \
            teams are named by id or external id, services and roles by id or name. Lists are pages: `next_cursor` asks for \
            the next one. Changes honour `If-Match` with the `ETag` of what was read.\n\n\
            **Problems.** Every error is `application/problem+json` (RFC 9457) with a stable `code`. Every answer carries \
            `X-Request-Id`, which is the caller's own if it sent a good one.",
        contact(name = "The operator of this installation"),
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "This installation.")),
    tags(
        (name = "Set-up", description = "From an empty installation to its first operator."),
        (name = "Verify", description = "Is this key good for that?"),
        (name = "Self", description = "What a key may know and do about itself."),
        (name = "Sessions", description = "People who log in, and their passwords."),
        (name = "OAuth", description = "Access tokens for clients: given, asked about and ended; issuers and their keys."),
        (name = "Signing keys", description = "What access tokens are signed with."),
        (name = "Component sessions", description = "Short credentials for one user or team, for pages of your own."),
        (name = "Keys", description = "The records that are labelled, scoped, expire, rotate, are suspended or revoked."),
        (name = "Users", description = "People whom keys act for."),
        (name = "Teams", description = "Groups of people that have keys of their own."),
        (name = "Services", description = "Machine accounts."),
        (name = "Roles", description = "Named sets of scopes that owners hold."),
        (name = "Projects", description = "The tenants, each with a policy for the keys in it."),
        (name = "Audit", description = "Who did or tried what, when, from where, and what it changed."),
        (name = "Meta", description = "About the server itself."),
    ),
    components(schemas(Problem, OAuthError)),
)]
struct Opening;

/// The whole contract, made anew from what the handlers declare. A running server publishes what was written down of it.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Opening::openapi();
    document.merge(Declared::openapi());
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let components = document.components.get_or_insert_default();
    add_security(components);
    add_problems(components);
    for operation in operations() {
        if let Some(declared) = document
            .paths
            .paths
            .get_mut(operation.path)
            .and_then(|item| declared(item, operation.method))
        {
            complete(declared, operation);
        }
    }
    document
}

/// The whole contract as text, ending in a line feed.
pub fn document_json(document: &utoipa::openapi::OpenApi) -> String {
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn declared<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Operation> {
    match method {
        "GET" => item.get.as_mut(),
        "POST" => item.post.as_mut(),
        "PUT" => item.put.as_mut(),
        "PATCH" => item.patch.as_mut(),
        "DELETE" => item.delete.as_mut(),
        _ => None,
    }
}

const SCHEMES: [&str; 3] = ["bearer", "api_key", "session"];
const CLIENT_SCHEME: &str = "client";

fn add_security(components: &mut Components) {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A key's secret, in `Authorization: Bearer …`."))
        .build();
    let header = ApiKeyValue::with_description(
        "X-API-Key",
        "A key's secret, for clients that cannot set `Authorization`. Never both.",
    );
    let cookie = ApiKeyValue::with_description(
        super::cookie::NAME,
        "A person's session, for pages of this site. A change needs the `Origin` of this site besides.",
    );
    let client = HttpBuilder::new()
        .scheme(HttpAuthScheme::Basic)
        .description(Some(
            "A key's id and secret, each form-encoded. Both may stand in the body instead.",
        ))
        .build();
    components.add_security_scheme(CLIENT_SCHEME, SecurityScheme::Http(client));
    let [bearer_name, header_name, cookie_name] = SCHEMES;
    components.add_security_scheme(cookie_name, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    components.add_security_scheme(bearer_name, SecurityScheme::Http(bearer));
    components.add_security_scheme(header_name, SecurityScheme::ApiKey(ApiKey::Header(header)));
}

/// One reusable response for each status in the catalogue, naming the codes that come with it.
fn add_problems(components: &mut Components) {
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in Code::ALL {
        by_status.entry(code.entry().status).or_default().push(code.as_str());
    }
    for (status, codes) in by_status.into_iter().filter(|(status, _)| ANSWERED.contains(status)) {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let response = ResponseBuilder::new()
            .description(format!("A problem, with one of the codes `{}`.", codes.join("`, `")))
            .content(MEDIA_TYPE, content)
            .build();
        components.responses.insert(name_of(status), RefOr::T(response));
    }
}

/// The statuses of problems that operations answer with; the others come from the router and the listener.
const ANSWERED: [u16; 13] = [400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 500, 503, 507];

fn name_of(status: u16) -> String {
    format!("Problem{status}")
}

fn complete(declared: &mut Operation, operation: &operations::Operation) {
    let schemes = SCHEMES.map(|name| SecurityRequirement::new(name, Vec::<String>::new()));
    declared.security = Some(match operation.needs {
        Needs::Nothing | Needs::SetupToken | Needs::Password | Needs::Session => Vec::new(),
        // The client may stand in the body as well, and a refresh token needs none.
        Needs::Client => vec![
            SecurityRequirement::new(CLIENT_SCHEME, Vec::<String>::new()),
            SecurityRequirement::default(),
        ],
        Needs::AnyKey | Needs::Scope(_) | Needs::ScopeOrOwn(..) => schemes.into(),
    });
    let needs = match operation.needs {
        Needs::Nothing => "Needs no credential.".to_owned(),
        Needs::SetupToken => "Needs the set-up token.".to_owned(),
        Needs::Password => "Needs the user's password.".to_owned(),
        Needs::Session => "Needs the newest refresh token in the body, or the session cookie.".to_owned(),
        Needs::Client => "Needs an OAuth client: the id and the secret of any key that works.".to_owned(),
        Needs::AnyKey => "Needs any key that works.".to_owned(),
        Needs::Scope(scope) => format!("Needs the scope `{scope}`."),
        Needs::ScopeOrOwn(scope, own) => format!("Needs the scope `{scope}`, or `{own}` for what is the caller's own."),
    };
    declared.description = Some(match declared.description.take().filter(|text| !text.is_empty()) {
        Some(text) => format!("{text}\n\n{needs}"),
        None => needs,
    });
    let words = operation.path.split('/').filter_map(|word| word.strip_prefix('{'));
    let named = words
        .filter_map(|word| word.strip_suffix('}'))
        .map(|word| RefOr::T(path_parameter(word)));
    let parameters = declared.parameters.get_or_insert_default();
    parameters.splice(0..0, named);
    for status in problems(operation, declared) {
        // The OAuth endpoints have bodies of their own for what goes wrong.
        if declared.responses.responses.contains_key(&status.to_string()) {
            continue;
        }
        declared
            .responses
            .responses
            .insert(status.to_string(), Ref::from_response_name(name_of(status)).into());
    }
}

/// Which problems an operation may answer with, by what it takes and does.
fn problems(operation: &operations::Operation, declared: &Operation) -> Vec<u16> {
    let takes = |place: ParameterIn| {
        let parameters = declared.parameters.as_deref().unwrap_or_default();
        parameters
            .iter()
            .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == place))
    };
    let has_body = declared.request_body.is_some();
    let needs_key = !matches!(
        operation.needs,
        Needs::Nothing | Needs::SetupToken | Needs::Password | Needs::Client
    );
    let changes = operation.audit.is_some();
    let is_setup = operation.needs == Needs::SetupToken;
    let is_log_in = operation.needs == Needs::Password;
    let applies = |status: &u16| match status {
        401 => needs_key || is_setup || is_log_in,
        403 => needs_key,
        // An issuer that signed nothing yet has no list.
        404 => (takes(ParameterIn::Path) && !is_log_in) || is_setup || operation.id == "oauth_status_list",
        409 | 507 => changes,
        412 => changes && takes(ParameterIn::Header) && operation.id != "create_key",
        413 | 415 => has_body,
        _ => true,
    };
    ANSWERED.into_iter().filter(applies).collect()
}

fn path_parameter(word: &str) -> utoipa::openapi::path::Parameter {
    let description = match word {
        "project" => "The project's id, its slug, or `self` for the caller's own.",
        "key" => "The key's id.",
        "session" => "The session's id.",
        "kid" => "The key's thumbprint.",
        "user" => "The user's id or external id.",
        "team" => "The team's id or external id.",
        "service" => "The service's id or name.",
        _ => "The role's id or name.",
    };
    ParameterBuilder::new()
        .name(word)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(text()))
        .build()
}

fn text() -> utoipa::openapi::schema::Object {
    utoipa::openapi::schema::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::SchemaType::Type(
            utoipa::openapi::schema::Type::String,
        ))
        .min_length(Some(1))
        .build()
}

macro_rules! optional_parameters {
    ($($(#[$doc:meta])* $name:ident($place:ident, $header:literal, $description:literal);)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<utoipa::openapi::path::Parameter> {
                vec![
                    ParameterBuilder::new()
                        .name($header)
                        .parameter_in(ParameterIn::$place)
                        .required(Required::False)
                        .description(Some($description))
                        .schema(Some(text()))
                        .build(),
                ]
            }
        }
    )*};
}

optional_parameters! {
    /// The revision that a change is based on.
    IfMatchHeader(Header, "If-Match", "The `ETag` of what the change is based on. If it changed meanwhile, nothing is done.");
    /// What makes a repetition safe.
    IdempotencyKeyHeader(Header, "Idempotency-Key",
        "A text of 1 to 128 printable characters. The same request with it again, within a day, makes nothing new.");
    /// Why something is removed.
    CauseParameter(Query, "cause", "Why, for the audit trail; 1 to 256 characters.");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_of_operations_and_the_contract_name_the_same() {
        let document = document();
        let mut declared = BTreeSet::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in [
                ("GET", &item.get),
                ("POST", &item.post),
                ("PUT", &item.put),
                ("PATCH", &item.patch),
                ("DELETE", &item.delete),
            ] {
                if let Some(operation) = operation {
                    let id = operation.operation_id.clone().unwrap_or_default();
                    declared.insert((id, method, path.clone()));
                }
            }
        }
        let listed: BTreeSet<_> = operations()
            .iter()
            .map(|operation| (operation.id.to_owned(), operation.method, operation.path.to_owned()))
            .collect();
        assert_eq!(listed.len(), operations().len(), "an operation is listed twice");
        assert_eq!(declared, listed);
    }

    #[test]
    fn every_response_says_what_it_is_and_every_operation_can_fail() {
        let document = serde_json::to_value(document()).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                assert!(
                    responses.keys().any(|status| status.starts_with('2')),
                    "{method} {path}"
                );
                assert!(responses.contains_key("500"), "{method} {path}");
                for (status, response) in responses {
                    let said = response.get("$ref").is_some()
                        || response["description"].as_str().is_some_and(|text| !text.is_empty());
                    assert!(said, "{method} {path} {status}");
                }
            }
        }
    }
}
