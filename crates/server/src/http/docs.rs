//! Documentation pages that work without the internet: the contract, the error codes, the denial codes.

use std::fmt::Write as _;

use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};
use keyholt_api::code::Code;
use keyholt_core::denial::DenialCode;

/// SECURITY: the pages run one script of ours and load nothing from anywhere else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

fn asset(media_type: &'static str, text: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The page that shows the contract.
pub async fn page() -> Response {
    asset("text/html; charset=utf-8", include_str!("docs/docs.html"))
}

/// Its looks.
pub async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("docs/docs.css"))
}

/// Its script.
pub async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("docs/docs.js"))
}

/// The page that every problem's `type` leads to.
pub async fn errors() -> Response {
    let entries = Code::ALL.iter().map(|code| {
        let entry = code.entry();
        Explained {
            word: code.as_str(),
            status: entry.status,
            meaning: entry.meaning,
            remedy: entry.remedy,
        }
    });
    let opening = "Every error is <code>application/problem+json</code> (RFC 9457). Decide by <code>code</code>: it keeps its \
                   meaning. That a key is not accepted is an answer and not an error: see the \
                   <a href=\"/docs/denials\">denial codes</a>.";
    asset("text/html; charset=utf-8", catalogue("Error codes", opening, entries))
}

/// The page that explains verdicts.
pub async fn denials() -> Response {
    let entries = DenialCode::ALL.iter().map(|code| {
        let explanation = code.explanation();
        Explained {
            word: code.as_str(),
            status: explanation.status,
            meaning: explanation.meaning,
            remedy: explanation.remedy,
        }
    });
    let opening = "<code>POST /v1/verify</code> answers 200 with <code>valid: false</code> and one of these codes when a key is \
                   not accepted, in the order in which the judge looks. The status is what the verifying service should \
                   answer its own client.";
    asset("text/html; charset=utf-8", catalogue("Denial codes", opening, entries))
}

struct Explained {
    word: &'static str,
    status: u16,
    meaning: &'static str,
    remedy: &'static str,
}

fn catalogue(title: &str, opening: &str, entries: impl Iterator<Item = Explained>) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title} · Keyholt</title><link rel=\"stylesheet\" \
         href=\"/docs/docs.css\"></head><body class=\"plain\"><main><p class=\"crumb\"><a href=\"/docs\">Keyholt API</a></p>\
         <h1>{title}</h1><p>{opening}</p>\n"
    );
    for entry in entries {
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "<section class=\"entry\" id=\"{word}\"><h2><a href=\"#{word}\"><code>{word}</code></a> <span class=\"status \
             s{class}\">{status}</span></h2><p>{meaning}</p><p class=\"remedy\">{remedy}</p></section>",
            word = entry.word,
            class = entry.status / 100,
            status = entry.status,
            meaning = marked(entry.meaning),
            remedy = marked(entry.remedy),
        );
    }
    page.push_str("</main></body></html>\n");
    page
}

/// Plain text with `code` in backticks as HTML.
fn marked(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut html = String::with_capacity(escaped.len());
    for (index, piece) in escaped.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{piece}</code>");
        } else {
            html.push_str(piece);
        }
    }
    html
}
