//! A stored log-in of a person: the refresh token, and the access token until it has to be renewed.

use keyholt_api::session::LoggedIn;
use keyholt_core::time::{Moment, Span};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// An access token that ends sooner is renewed before it is used.
const MARGIN: Span = Span::secs(30);

/// What is kept of a session in the place of a key's secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptSession {
    /// Good once, for the next tokens.
    pub refresh_token: Zeroizing<String>,
    /// What commands are sent with.
    pub access_token: Zeroizing<String>,
    /// Until when, in milliseconds.
    until: i64,
}

impl KeptSession {
    /// What a log-in or a refresh gave; nothing where it gave no tokens.
    pub fn of(given: &LoggedIn, now: Moment) -> Option<Self> {
        let span = Span::secs(given.expires_in?);
        Some(Self {
            refresh_token: Zeroizing::new(given.refresh_token.as_ref()?.expose().to_owned()),
            access_token: Zeroizing::new(given.access_token.as_ref()?.expose().to_owned()),
            until: now.plus(span).ms(),
        })
    }

    /// Reads what was kept; nothing where it is a key's secret.
    pub fn read(text: &str) -> Option<Self> {
        // No secret begins so.
        text.starts_with('{').then(|| serde_json::from_str(text).ok())?
    }

    /// As it is kept.
    pub fn text(&self) -> Zeroizing<String> {
        // Its members are texts and a number: writing it cannot fail.
        Zeroizing::new(serde_json::to_string(self).unwrap_or_default())
    }

    /// Whether its access token will still work when it arrives.
    pub fn is_usable(&self, now: Moment) -> bool {
        now.plus(MARGIN).ms() < self.until
    }
}
