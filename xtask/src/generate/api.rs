//! The page of the API: every operation with who may, what it takes, what it answers and what can go wrong.

use std::fmt::Write as _;

use keyholt_api::code::Code;
use keyholt_server::http::{Needs, Operation, operations};
use utoipa::openapi::path::{Operation as Declared, Parameter, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::response::Response;
use utoipa::openapi::{Content, OpenApi, RefOr, Required, Schema};

use super::bodies::{self, cell, kind};

const MARK: &str = "<!-- Generated from the OpenAPI document that the handlers in `crates/server/src/http` declare; run `cargo xtask generate`. -->";

const CALLING: &str = "\
The same, for programs, is the OpenAPI document at `/openapi.json`, which is kept in `openapi/keyholt.json`. What is
written about a key's secret holds for an access token as well, within what the token carries.

**Who may.** A request shows one credential: `Authorization: Bearer …` or `X-API-Key: …` with a key's secret or an
access token, or the session cookie of somebody who is logged in. Two of them are refused, but a cookie beside a header
is passed over. Where a scope is named, the key must have it *now*: what is written in its access and what its
owner holds. [Management scopes](scopes.md) says what each allows and which role has it.

**Members.** What is not said to be optional must be there in a request, and is always there in an answer. `null` is
given where it says so. Bodies that come up in several places are described in [Bodies](bodies.md).
";

/// The whole page.
pub fn page(document: &OpenApi) -> String {
    let about = document.info.description.as_deref().unwrap_or_default();
    let mut page = format!("# API\n\n{MARK}\n\n{about}\n\n{CALLING}\n");
    let tags = document.tags.as_deref().unwrap_or_default();
    for tag in tags {
        let _ = writeln!(
            page,
            "- [{}](#{}): {}",
            tag.name,
            anchor(&tag.name),
            tag.description.as_deref().unwrap_or_default()
        );
    }
    errors(&mut page);
    for tag in tags {
        let about = tag.description.as_deref().unwrap_or_default();
        let _ = write!(
            page,
            "\n## {}\n\n{about}\n\n| Operation | Request | Who may |\n|---|---|---|\n",
            tag.name
        );
        let of_tag = || {
            operations().iter().filter_map(|operation| {
                let declared = declared(document, operation)?;
                declared
                    .tags
                    .as_ref()?
                    .contains(&tag.name)
                    .then_some((operation, declared))
            })
        };
        for (operation, declared) in of_tag() {
            let title = title(declared);
            let _ = writeln!(
                page,
                "| [{title}](#{}) | `{} {}` | {} |",
                anchor(title),
                operation.method,
                operation.path,
                who(operation.needs)
            );
        }
        for (operation, declared) in of_tag() {
            describe(&mut page, document, operation, declared);
        }
    }
    page
}

/// The anchor that a heading makes, as forges write it.
pub fn anchor(heading: &str) -> String {
    heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() })
        .collect()
}

/// What the contract says of an operation.
fn declared<'a>(document: &'a OpenApi, operation: &Operation) -> Option<&'a Declared> {
    let PathItem {
        get,
        post,
        put,
        patch,
        delete,
        ..
    } = document.paths.paths.get(operation.path)?;
    match operation.method {
        "GET" => get.as_ref(),
        "POST" => post.as_ref(),
        "PUT" => put.as_ref(),
        "PATCH" => patch.as_ref(),
        "DELETE" => delete.as_ref(),
        _ => None,
    }
}

fn title(declared: &Declared) -> &str {
    declared.summary.as_deref().unwrap_or_default()
}

/// Who may, in a few words.
fn who(needs: Needs) -> String {
    match needs {
        Needs::Nothing => "anybody".to_owned(),
        Needs::SetupToken => "who has the set-up token".to_owned(),
        Needs::Password => "who knows the password".to_owned(),
        Needs::Session => "who has the session's refresh token or cookie".to_owned(),
        Needs::Client => "an OAuth client: any key that works".to_owned(),
        Needs::AnyKey => "any key that works".to_owned(),
        Needs::Scope(scope) => format!("`{scope}`"),
        Needs::ScopeOrOwn(scope, own) => format!("`{scope}`, or `{own}` for one's own"),
    }
}

/// Which codes come with which status, once for all operations.
fn errors(page: &mut String) {
    page.push_str(
        "\n## Errors\n\nWhat can go wrong is said of each operation by status. These codes come with them; each is explained in\n\
         [Error codes](errors.md). That a key is not accepted is an answer of `POST /v1/verify` and not an error: see\n\
         [Denial codes](denials.md).\n\n| Status | Codes |\n|---|---|\n",
    );
    let mut statuses: Vec<u16> = Code::ALL.iter().map(|code| code.entry().status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses {
        let codes: Vec<String> = Code::ALL
            .iter()
            .filter(|code| code.entry().status == status)
            .map(|code| format!("[`{0}`](errors.md#{0})", code.as_str()))
            .collect();
        let _ = writeln!(page, "| {status} | {} |", codes.join(", "));
    }
}

fn describe(page: &mut String, document: &OpenApi, operation: &Operation, declared: &Declared) {
    let about = declared.description.as_deref().unwrap_or_default();
    let _ = write!(
        page,
        "\n### {}\n\n`{} {}`\n\n{about}\n",
        title(declared),
        operation.method,
        operation.path
    );
    if let Some(action) = operation.audit {
        let _ = write!(page, "\nIn the audit trail: `{action}`.\n");
    }
    let parameters: Vec<&Parameter> = declared
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .collect();
    if !parameters.is_empty() {
        page.push_str("\n| Parameter | | What it is |\n|---|---|---|\n");
        for parameter in parameters {
            let _ = writeln!(page, "{}", parameter_row(parameter));
        }
    }
    if let Some(RefOr::T(body)) = &declared.request_body {
        request_body(page, document, body);
    }
    answers(page, declared);
}

fn parameter_row(parameter: &Parameter) -> String {
    let place = match parameter.parameter_in {
        ParameterIn::Path => "path",
        ParameterIn::Query => "query",
        ParameterIn::Header => "header",
        ParameterIn::Cookie => "cookie",
        // What a later version of the document may know.
        _ => "request",
    };
    let optional = if parameter.required == Required::True {
        ""
    } else {
        ", optional"
    };
    let mut is = parameter.schema.as_ref().map(kind).unwrap_or_default();
    if let Some(about) = &parameter.description {
        is = format!("{about} *{is}*");
    }
    format!("| `{}` | {place}{optional} | {} |", parameter.name, cell(&is))
}

fn request_body(page: &mut String, document: &OpenApi, body: &RequestBody) {
    for (media_type, content) in &body.content {
        let Some(schema) = schema_of(content) else { continue };
        let optional = if body.required == Some(Required::True) {
            ""
        } else {
            ", optional"
        };
        let _ = write!(page, "\n**Body**, `{media_type}`{optional}: ");
        let Some((name, whole)) = bodies::resolve(document, schema) else {
            let _ = writeln!(page, "{}", kind(schema));
            continue;
        };
        let _ = writeln!(page, "[`{name}`](bodies.md#{}). {}", anchor(name), bodies::about(whole));
        bodies::members(page, whole);
    }
}

fn answers(page: &mut String, declared: &Declared) {
    page.push_str("\n| Answer | Body | What it is |\n|---|---|---|\n");
    let mut problems = Vec::new();
    for (status, response) in &declared.responses.responses {
        match response {
            RefOr::T(response) => answer(page, status, response),
            RefOr::Ref(_) => problems.push(status.as_str()),
        }
    }
    if !problems.is_empty() {
        let _ = write!(page, "\nProblems: {}.\n", problems.join(", "));
    }
}

fn answer(page: &mut String, status: &str, response: &Response) {
    let mut contents: Vec<String> = response
        .content
        .iter()
        .map(|(media_type, content)| match schema_of(content) {
            Some(schema @ RefOr::Ref(_)) => kind(schema),
            _ => format!("`{media_type}`"),
        })
        .collect();
    if contents.is_empty() {
        contents.push("none".to_owned());
    }
    let headers: String = response.headers.keys().fold(String::new(), |mut said, name| {
        let _ = write!(said, " With the header `{name}`.");
        said
    });
    let _ = writeln!(
        page,
        "| {status} | {} | {}{headers} |",
        contents.join(" or "),
        cell(&response.description)
    );
}

fn schema_of(content: &RefOr<Content>) -> Option<&RefOr<Schema>> {
    match content {
        RefOr::T(content) => content.schema.as_ref(),
        RefOr::Ref(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use keyholt_server::http::document;

    use super::*;

    #[test]
    fn every_operation_stands_on_the_page_once_with_who_may() {
        let page = page(&document());
        for operation in operations() {
            let line = format!("\n\n`{} {}`\n", operation.method, operation.path);
            assert_eq!(page.matches(&line).count(), 1, "{}", operation.id);
            let row = format!(
                "| `{} {}` | {} |\n",
                operation.method,
                operation.path,
                who(operation.needs)
            );
            assert_eq!(page.matches(&row).count(), 1, "{}", operation.id);
        }
    }

    #[test]
    fn no_two_headings_lead_to_the_same_place() {
        let page = page(&document());
        let headings: Vec<String> = page
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| anchor(line.trim_start_matches('#').trim()))
            .collect();
        let different: BTreeSet<&String> = headings.iter().collect();
        assert_eq!(different.len(), headings.len(), "{headings:?}");
    }

    #[test]
    fn a_body_is_described_where_it_is_asked_for() {
        let page = page(&document());
        let (_, create) = page.split_once("\n### Create a key\n").unwrap();
        let (create, _) = create.split_once("\n### ").unwrap();
        assert!(create.contains("| `name` | text, 1 to 64 characters |"), "{create}");
        assert!(create.contains("| `expires_in` | optional; text or `null`"), "{create}");
        assert!(
            create.contains("| 201 | [`IssuedKey`](bodies.md#issuedkey) |"),
            "{create}"
        );
        assert!(create.contains("In the audit trail: `key.issue`."), "{create}");
    }
}
