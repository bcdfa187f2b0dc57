//! A request to be sent: where to, with what, and whether it may be sent twice.

use std::time::Duration;

use keyholt_core::entropy::Entropy;
use keyholt_core::secret::holds_secret;
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::trouble::Trouble;

/// Longest word of a path: an external id of 128 characters of four bytes.
const WORD_BYTES_MAX: usize = 512;

/// The path of a request, word by word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path(Vec<String>);

impl Path {
    /// A path of words that this program knows.
    pub fn of(words: &[&str]) -> Self {
        Self(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// The same path, and a word that the caller gave: an id or a handle.
    pub fn and(mut self, word: &str) -> Result<Self, Trouble> {
        if holds_secret(word) {
            return Err(Trouble::new("a secret stands where an id or a name belongs")
                .hint("`keyholt keys find` tells which key has a secret; it reads the secret from stdin"));
        }
        // `.` and `..` would be taken for steps in the path, and nothing for the list itself.
        if matches!(word, "" | "." | "..") || word.len() > WORD_BYTES_MAX {
            return Err(Trouble::new(format!("`{word}` is neither an id nor a name")));
        }
        self.0.push(word.to_owned());
        Ok(self)
    }

    /// The same path, and a word that this program knows.
    #[must_use]
    pub fn then(mut self, word: &str) -> Self {
        self.0.push(word.to_owned());
        self
    }

    /// Its words.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Whether a request may be sent again when it is not known whether it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// It only reads.
    Read,
    /// The server recognises it by this `Idempotency-Key`.
    Recognised(String),
    /// It may not: twice is more than once.
    Never,
}

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// As JSON.
    Json,
    /// As a form.
    Form,
}

impl Encoding {
    /// The word for it in a header.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

/// How long an answer may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// As long as the person said.
    Usual,
    /// At least this long: the work is known to be much.
    AtLeast(Duration),
    /// As long as it takes, while pieces keep coming.
    WhileItFlows,
}

impl Patience {
    /// For work on thousands of things at once.
    pub const MUCH_WORK: Duration = Duration::from_secs(120);
}

/// A request to be sent.
pub struct Request {
    /// What it is for, such as "show key `…`": errors begin with "cannot".
    pub purpose: String,
    pub(super) method: Method,
    pub(super) path: Path,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
    pub(super) encoding: Encoding,
    pub(super) repeat: Repeat,
    pub(super) revision: Option<u32>,
    pub(super) patience: Patience,
}

impl Request {
    /// A request that only reads.
    pub fn read(path: Path, purpose: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Repeat::Read, purpose)
    }

    /// A question with a body, which changes nothing.
    pub fn ask(path: Path, purpose: impl Into<String>) -> Self {
        Self::new(Method::POST, path, Repeat::Read, purpose)
    }

    /// A form for an OAuth endpoint, which changes nothing.
    pub fn form(path: Path, form: &[(&str, &str)], purpose: impl Into<String>) -> Self {
        let mut encoded = Zeroizing::new(Vec::new());
        for (name, value) in form {
            if !encoded.is_empty() {
                encoded.push(b'&');
            }
            encoded.extend_from_slice(name.as_bytes());
            encoded.push(b'=');
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    encoded.push(byte);
                } else {
                    encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
                }
            }
        }
        Self {
            body: Some(encoded),
            encoding: Encoding::Form,
            ..Self::new(Method::POST, path, Repeat::Read, purpose)
        }
    }

    /// A request that makes a key; it carries an `Idempotency-Key`, so that a lost answer can be asked for again.
    ///
    /// Only for operations that heed the header: elsewhere a second try would do the thing twice.
    pub fn create(path: Path, purpose: impl Into<String>, entropy: &mut dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        let key = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self::new(Method::POST, path, Repeat::Recognised(key), purpose)
    }

    /// A request that does something.
    pub fn act(path: Path, purpose: impl Into<String>) -> Self {
        Self::new(Method::POST, path, Repeat::Never, purpose)
    }

    /// A request that changes something.
    pub fn change(path: Path, purpose: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path, Repeat::Never, purpose)
    }

    /// A request that puts something in its place.
    pub fn put(path: Path, purpose: impl Into<String>) -> Self {
        Self::new(Method::PUT, path, Repeat::Never, purpose)
    }

    /// A request that removes something.
    pub fn remove(path: Path, purpose: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, Repeat::Never, purpose)
    }

    fn new(method: Method, path: Path, repeat: Repeat, purpose: impl Into<String>) -> Self {
        Self {
            purpose: purpose.into(),
            method,
            path,
            query: Vec::new(),
            body: None,
            encoding: Encoding::Json,
            repeat,
            revision: None,
            patience: Patience::Usual,
        }
    }

    /// With the parameters that these filters give.
    pub fn query(mut self, filters: &impl Serialize) -> Result<Self, Trouble> {
        let members = serde_json::to_value(filters).map_err(|error| self.unwritable(&error))?;
        let Value::Object(members) = members else {
            return Ok(self);
        };
        for (name, value) in members {
            match value {
                Value::Null => {}
                Value::String(text) => self.query.push((name, text)),
                other => self.query.push((name, other.to_string())),
            }
        }
        Ok(self)
    }

    /// With this parameter in place of one of the same name.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.query.retain(|(known, _)| known != name);
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body.
    pub fn body(mut self, body: &impl Serialize) -> Result<Self, Trouble> {
        let bytes = serde_json::to_vec(body).map_err(|error| self.unwritable(&error))?;
        self.body = Some(Zeroizing::new(bytes));
        Ok(self)
    }

    /// Only if the thing is still at this revision.
    #[must_use]
    pub fn at_revision(mut self, revision: Option<u32>) -> Self {
        self.revision = revision;
        self
    }

    /// With at least this much time.
    #[must_use]
    pub fn patient(mut self, least: Duration) -> Self {
        self.patience = Patience::AtLeast(least);
        self
    }

    /// With as much time as it takes, while pieces keep coming.
    #[must_use]
    pub fn flowing(mut self) -> Self {
        self.patience = Patience::WhileItFlows;
        self
    }

    fn unwritable(&self, error: &serde_json::Error) -> Trouble {
        Trouble::new(format!("cannot {}", self.purpose)).because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::server::{PlainHttp, Server};

    #[test]
    fn what_the_caller_gives_stays_one_word_of_the_path() {
        let server = Server::parse("http://127.0.0.1:7311/keys", PlainHttp::Loopback)
            .ok()
            .unwrap();
        let users = || Path::of(&["v1", "projects", "self", "users"]);
        let url = |word: &str| users().and(word).ok().map(|path| server.url(&path).to_string());
        let below = "http://127.0.0.1:7311/keys/v1/projects/self/users/";
        assert_eq!(url("u/4?2#%2e").unwrap(), format!("{below}u%2F4%3F2%23%252e"));
        for step in ["", ".", ".."] {
            assert_eq!(url(step), None, "{step:?}");
        }
    }
}
