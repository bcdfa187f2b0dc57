//! The server's address: read once, checked once.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use crate::connection::request::Path;
use crate::trouble::Trouble;

/// Where a server listens that was told nothing.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7311";

/// A server's address, with the path below which Keyholt's own paths start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server(Url);

/// Whether a credential may be sent where anybody on the way can read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlainHttp {
    /// To this machine only.
    Loopback,
    /// To any machine; somebody said so.
    Anywhere,
}

impl Server {
    /// Reads an address such as `https://keys.example.com`.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, Trouble> {
        let bad = |says: &str| Trouble::new("cannot use the server's address").caused_by(says);
        let example = "write it like `https://keys.example.com` or `http://127.0.0.1:7311`";
        let mut url = Url::parse(text).map_err(|error| bad(&error.to_string()).hint(example))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(bad("it does not start with `https://` or `http://` and a host").hint(example));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                bad("it holds a name or password").hint("Keyholt's credentials are keys; log in with `keyholt login`")
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has a query or a fragment").hint(example));
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
        }
        let server = Self(url);
        if server.is_in_the_clear() && plain_http == PlainHttp::Loopback {
            return Err(bad("with plain HTTP anybody on the way could read the credential")
                .hint("use the server's `https` address; `--plain-http` allows it all the same"));
        }
        Ok(server)
    }

    /// Whether what is sent can be read on the way.
    pub fn is_in_the_clear(&self) -> bool {
        self.0.scheme() == "http" && !self.is_loopback()
    }

    /// Whether requests are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.map_or(host == "localhost", |address| address.is_loopback())
    }

    /// The address of a path on it.
    pub fn url(&self, path: &Path) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.segments());
        }
        url
    }

    /// Where it explains an error code.
    pub fn page_of(&self, problem_kind: &str) -> Option<String> {
        let relative = problem_kind.strip_prefix('/')?;
        Some(format!("{self}/{relative}"))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<String> {
        Server::parse(text, PlainHttp::Loopback)
            .ok()
            .map(|server| server.to_string())
    }

    #[test]
    fn one_server_has_one_spelling() {
        for (text, spelled) in [
            ("http://127.0.0.1:7311/", "http://127.0.0.1:7311"),
            ("http://[::1]:7311", "http://[::1]:7311"),
            ("http://localhost:80", "http://localhost"),
            (
                "HTTPS://Keys.Example.com:443/keyholt/",
                "https://keys.example.com/keyholt",
            ),
        ] {
            assert_eq!(parse(text).as_deref(), Some(spelled));
        }
    }

    #[test]
    fn a_credential_is_not_sent_in_the_clear_over_a_network() {
        assert_eq!(parse("http://keys.example.com"), None);
        assert_eq!(parse("http://10.0.0.1:7311"), None);
        assert!(Server::parse("http://10.0.0.1:7311", PlainHttp::Anywhere).is_ok());
    }

    #[test]
    fn an_address_holds_no_credential_and_no_query() {
        for text in [
            "https://me:secret@keys.example.com",
            "https://keys.example.com/?a=b",
            "ftp://keys.example.com",
            "keys.example.com",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
