//! The one catalogue of error codes: problems, the OpenAPI document and `docs/reference/errors.md` are made from it.

use std::fmt::Write as _;

use keyholt_core::denial::DenialCode;

/// What the catalogue says about a code.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The HTTP status.
    pub status: u16,
    /// What it means, in a few words.
    pub title: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What the caller can do.
    pub remedy: &'static str,
}

macro_rules! catalogue {
    ($($variant:ident = $word:literal, $status:literal, $title:literal, $meaning:literal, $remedy:literal;)*) => {
        /// A stable error code. What was once published keeps its meaning.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All codes, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it is written in answers.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What the catalogue says about it.
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$variant => Entry {
                        status: $status,
                        title: $title,
                        meaning: $meaning,
                        remedy: $remedy,
                    },)*
                }
            }
        }
    };
}

catalogue! {
    MalformedJson = "malformed_json", 400, "Malformed JSON",
        "The body is not one JSON value of the expected kind: a syntax error, nothing at all, text after its end, or invalid Unicode.",
        "Send one JSON object in UTF-8.";
    TooDeep = "too_deep", 400, "Too deep or too long",
        "The body nests deeper than 32 levels, or holds a list that is longer than allowed.",
        "Send flatter bodies and shorter lists; the limits are in the OpenAPI document.";
    DuplicateMember = "duplicate_member", 400, "Duplicate member",
        "An object in the body holds the same member twice, or the query the same parameter; it is not guessed which one was meant.",
        "Give every member once.";
    MalformedRequest = "malformed_request", 400, "Malformed request",
        "A path, query string or header cannot be read.",
        "Encode paths and queries in UTF-8 as RFC 3986 says, and send headers in the form that the OpenAPI document shows.";
    MultipleCredentials = "multiple_credentials", 400, "More than one credential",
        "The request carries more than one credential; it is not guessed which one was meant.",
        "Send either `Authorization: Bearer …` or `X-API-Key: …`, once.";
    TokenInUrl = "token_in_url", 400, "Credential in the URL",
        "The URL holds a credential. URLs are kept in logs, histories and referrers, so a key in one must be taken for leaked; the audit trail says that it was.",
        "Send the key in the `Authorization` header, and rotate the one that was in the URL.";
    InvalidCursor = "invalid_cursor", 400, "Invalid cursor",
        "The cursor was not given out for this list with these filters.",
        "Start again without a cursor, and change no filter between pages.";
    TlsRequired = "tls_required", 400, "TLS required",
        "The request came over plain HTTP where only HTTPS is allowed. What it carried must be taken for leaked.",
        "Use the `https` address, and rotate the key.";
    CredentialRequired = "credential_required", 401, "Credential required",
        "The request carries no credential.",
        "Send `Authorization: Bearer <secret>` or `X-API-Key: <secret>`.";
    InvalidCredential = "invalid_credential", 401, "Invalid credential",
        "The credential is not accepted. A stranger is not told why.",
        "Check that the key is whole and still works; whoever manages it can see its state.";
    SetupTokenInvalid = "setup_token_invalid", 401, "Set-up token not valid",
        "The set-up token is wrong or too old; which of them is not said.",
        "Use the token that the server printed at its last start.";
    LogInRefused = "log_in_refused", 401, "Log-in refused",
        "The name or the password is not right, or the user may not log in now; which of them is not said.",
        "Type both again; whoever manages the user can see more in the audit trail.";
    SessionOver = "session_over", 401, "Session over",
        "The session has ended, or its token was used before, which ends it; which of them is not said.",
        "Log in again.";
    InsufficientScope = "insufficient_scope", 403, "Insufficient scope",
        "The caller's key lacks the scope that this needs.",
        "Use a key with the scope, or ask for the owner's role to be widened.";
    BeyondOwnRights = "beyond_own_rights", 403, "Beyond own rights",
        "Nobody can give, prolong or rotate into more than they have themselves.",
        "Ask for less, or use a key that may do all that is to be handed on.";
    FreshLogInRequired = "fresh_log_in_required", 403, "Fresh log-in required",
        "Keys and passwords that manage others are handed on only within five minutes of logging in with a password.",
        "Log in again, and repeat the request with the new session.";
    AddressNotAllowed = "address_not_allowed", 403, "Address not allowed",
        "The caller's key is good, but bound to networks that the request did not come from.",
        "Call from an allowed network; behind a proxy, the operator names it in `trusted_proxies`.";
    CrossSite = "cross_site", 403, "Cross-site request",
        "The session is in a cookie, and the browser does not say that the request comes from a page of this site.",
        "Make the request from a page of this site. A program uses tokens instead of the cookie.";
    NotFound = "not_found", 404, "Not found",
        "There is no such thing in the reach of the caller's key. Another project's things look exactly like this.",
        "Check the id or handle, and that the key belongs to the right project.";
    NoSuchRoute = "no_such_route", 404, "No such route",
        "No operation has this path. Paths are compared as they are; nothing is normalised.",
        "See `/openapi.json` for the paths that exist.";
    SetupComplete = "setup_complete", 404, "Set-up complete",
        "An operator exists, and the set-up is over for good.",
        "Ask an operator for a key.";
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed",
        "The path exists, but not with this method.",
        "Use a method that the `Allow` header names.";
    RequestTimeout = "request_timeout", 408, "Request time-out",
        "The request did not arrive in time.",
        "Send it again, without pauses.";
    ChangedMeanwhile = "changed_meanwhile", 409, "Changed meanwhile",
        "Somebody else changed the thing at the same time; nothing was done.",
        "Read it again and repeat the request.";
    HandleTaken = "handle_taken", 409, "Handle taken",
        "Another one of its kind has that slug, name or external id.",
        "Choose another one, or change the one that exists.";
    SecretTaken = "secret_taken", 409, "Secret taken",
        "Another key has that secret. Which one is not said.",
        "Make a fresh random secret.";
    StaticKeyExists = "static_key_exists", 409, "Static key exists",
        "The user has a static key already; there is at most one.",
        "Rotate the one that exists.";
    TooManyKeys = "too_many_keys", 409, "Too many keys",
        "The owner has as many keys as the project's policy allows.",
        "Revoke or delete keys that are no longer needed, or have the policy changed.";
    KeyRevoked = "key_revoked", 409, "Key revoked",
        "The key is revoked; that is final.",
        "Make a new key.";
    KeyExpired = "key_expired", 409, "Key expired",
        "The key's time is over.",
        "Give it a later expiry first, or make a new key.";
    CountDiffers = "count_differs", 409, "Count differs",
        "The filter finds another number of keys than expected; nothing was revoked. `count` tells the true number.",
        "Look at the list again, and repeat the request with the number that is meant.";
    RoleInUse = "role_in_use", 409, "Role in use",
        "Somebody holds the role, or the project's policy gives it by default.",
        "Take it from its holders first.";
    LastOperator = "last_operator", 409, "Last operator",
        "This is the last operator in good standing; without one nobody could get in.",
        "Appoint another operator first.";
    SystemProject = "system_project", 409, "Keyholt's own project",
        "Keyholt's own project cannot be suspended.",
        "Suspend the projects that are meant.";
    PreconditionFailed = "precondition_failed", 412, "Precondition failed",
        "The thing is no longer at the revision that `If-Match` names; nothing was done.",
        "Read it again and decide anew.";
    BodyTooLarge = "body_too_large", 413, "Body too large",
        "The body is larger than this request takes: 64 KiB, 2 MiB for a batch of questions and 16 MiB for an import, unless the operator set other limits. `detail` names the limit.",
        "Send less at once, or raise `limits.body_bytes`, `limits.batch_body_bytes` or `limits.import_body_bytes`.";
    UriTooLong = "uri_too_long", 414, "URI too long",
        "Path and query are longer than 8 KiB.",
        "Send shorter filters.";
    UnsupportedMediaType = "unsupported_media_type", 415, "Unsupported media type",
        "The body is not declared as `application/json` in UTF-8 without a content encoding.",
        "Send `Content-Type: application/json` and no `Content-Encoding`.";
    InvalidFields = "invalid_fields", 422, "Invalid fields",
        "Members of the request have values that are not allowed; `errors` names all of them.",
        "Correct the members that `errors` names.";
    UnknownMember = "unknown_member", 422, "Unknown member",
        "The body holds a member that this request does not have; `errors` names it.",
        "Leave it out, or correct its spelling.";
    UnknownParameter = "unknown_parameter", 422, "Unknown parameter",
        "The query holds a parameter that this request does not have; `errors` names it.",
        "Leave it out, or correct its spelling.";
    LooksLikeSecret = "looks_like_secret", 422, "Looks like a secret",
        "A text that would be kept and shown holds what looks like a key. It was not stored.",
        "Remove it. If the key is real, rotate it.";
    LifetimeTooLong = "lifetime_too_long", 422, "Lifetime too long",
        "The key would live longer than the project's policy allows.",
        "Choose an earlier expiry.";
    GraceTooLong = "grace_too_long", 422, "Grace too long",
        "The old secret would live on longer than the project's policy allows.",
        "Choose a shorter grace.";
    UnknownScope = "unknown_scope", 422, "Unknown scope",
        "The project declares its scopes, and this is none of them.",
        "Use a declared scope, or declare it in the project's policy.";
    OwnerKindNotAllowed = "owner_kind_not_allowed", 422, "Owner kind not allowed",
        "The project's policy gives no keys to owners of this kind.",
        "Choose another owner, or have the policy changed.";
    AlreadyExpired = "already_expired", 422, "Already expired",
        "The expiry is not in the future.",
        "Choose a later instant; to end a key now, revoke it.";
    KindNotAllowed = "kind_not_allowed", 422, "Kind not allowed",
        "Only users have static keys, and those carry everything; a publishable key names its scopes, none of them in `keyholt:`.",
        "Choose another kind, or other scopes.";
    EnvironmentFixed = "environment_fixed", 422, "Environment fixed",
        "The environment is part of the secret and cannot be changed.",
        "Make a new key for the other environment.";
    InvalidMembers = "invalid_members", 422, "Invalid members",
        "A team has at most 1000 members, each once.",
        "Remove members first.";
    TooManyMatches = "too_many_matches", 422, "Too many matches",
        "The filter finds more keys than are changed at once.",
        "Narrow the filter, and repeat the request for each part.";
    PasswordTooShort = "password_too_short", 422, "Password too short",
        "The password has fewer characters than the project's policy asks for.",
        "Take a longer one: some words in a row are long and easy to remember.";
    PasswordGuessable = "password_guessable", 422, "Password guessable",
        "The password is on the lists from which passwords are guessed, or made of what is, of the user's names or of a pattern.",
        "Take words that have nothing to do with each other, or have a password manager make one.";
    RequestKeyReused = "request_key_reused", 422, "Idempotency-Key reused",
        "The `Idempotency-Key` was used for another request.",
        "Use a fresh key for every request that is not a repetition.";
    TooManyRequests = "too_many_requests", 429, "Too many requests",
        "Too many requests came from this source, or too many wrong passwords were tried with this name.",
        "Wait as long as `Retry-After` says.";
    HeadersTooLarge = "headers_too_large", 431, "Headers too large",
        "The request's headers are larger than 16 KiB.",
        "Send fewer and shorter headers.";
    Internal = "internal", 500, "Internal error",
        "Something went wrong inside; it was logged under the request's id.",
        "Repeat the request; if it fails again, tell the operator the request's id.";
    Tampered = "tampered", 500, "Tampered record",
        "The stored record is not as Keyholt wrote it: somebody changed the database. An alarm was raised.",
        "Tell the operator, who alone may still revoke or delete such a key; it works again only when it is issued anew.";
    TransferCoding = "transfer_coding", 501, "Transfer coding not supported",
        "The body has a transfer coding other than `chunked`.",
        "Send the body plain or chunked.";
    Crowded = "crowded", 503, "Crowded",
        "More people are logging in at this moment than passwords can be looked at.",
        "Try again after `Retry-After`.";
    CannotKnow = "cannot_know", 503, "Cannot know",
        "This node's view of the keys is too old to answer truthfully, so it gives no answer.",
        "Ask again after `Retry-After`, or ask another node.";
    StoreUnavailable = "store_unavailable", 503, "Store unavailable",
        "The store does not answer; nothing was done.",
        "Repeat the request after `Retry-After`.";
    OutcomeUnknown = "outcome_unknown", 503, "Outcome unknown",
        "The connection to the store broke while it wrote: it is not known whether the change was made.",
        "Read the thing again before repeating; with an `Idempotency-Key` a repetition is safe.";
    StorageFull = "storage_full", 507, "Storage full",
        "There is no room left to write. Verification goes on.",
        "Tell the operator.";
}

impl Code {
    /// The code that this word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }
}

/// `docs/reference/errors.md`, made from the catalogue.
pub fn errors_page() -> String {
    let mut page = String::from(
        "# Error codes\n\n\
         <!-- Generated from the catalogue in `crates/api/src/code.rs`; edit that, then run `cargo xtask generate`. -->\n\n\
         Every error is `application/problem+json` (RFC 9457). Decide by `code`: it keeps its meaning. `title` and\n\
         `detail` are for people and may change. `request_id` is the answer's `X-Request-Id` and stands in the log and\n\
         in the audit trail. That a key is not accepted by `POST /v1/verify` is an answer and not an error: see\n\
         [denial codes](denials.md).\n\n\
         | Code | Status | Title |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let entry = code.entry();
        let word = code.as_str();
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| [`{word}`](#{word}) | {} | {} |", entry.status, entry.title);
    }
    for code in Code::ALL {
        let entry = code.entry();
        let _ = write!(
            page,
            "\n## {}\n\n**{} {}.** {}\n\n*What to do:* {}\n",
            code.as_str(),
            entry.status,
            entry.title,
            entry.meaning,
            entry.remedy
        );
    }
    page
}

/// `docs/reference/denials.md`, made from the catalogue of denials.
pub fn denials_page() -> String {
    let mut page = String::from(
        "# Denial codes\n\n\
         <!-- Generated from the catalogue in `crates/core/src/denial.rs`; edit that, then run `cargo xtask generate`. -->\n\n\
         `POST /v1/verify` answers 200 with `valid: false` and one of these codes when a key is not accepted. The list is\n\
         in the order in which the judge looks, and the first thing that it finds is the answer. New codes may be added:\n\
         treat one that you do not know like any other denial. The status is what the verifying service should answer its\n\
         own client.\n\n\
         | Code | Status | Meaning |\n|---|---|---|\n",
    );
    for code in DenialCode::ALL {
        let explanation = code.explanation();
        let word = code.as_str();
        let _ = writeln!(
            page,
            "| [`{word}`](#{word}) | {} | {} |",
            explanation.status, explanation.meaning
        );
    }
    for code in DenialCode::ALL {
        let explanation = code.explanation();
        let _ = write!(
            page,
            "\n## {}\n\n{} Answer your client with {}.\n\n*What to do:* {}\n",
            code.as_str(),
            explanation.meaning,
            explanation.status,
            explanation.remedy
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_one_word_with_one_meaning() {
        let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            assert!((400..600).contains(&code.entry().status));
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn both_pages_explain_every_code() {
        let (errors, denials) = (errors_page(), denials_page());
        for code in Code::ALL {
            assert!(errors.contains(&format!("\n## {}\n", code.as_str())));
        }
        for code in DenialCode::ALL {
            assert!(denials.contains(&format!("\n## {}\n", code.as_str())));
        }
    }
}
