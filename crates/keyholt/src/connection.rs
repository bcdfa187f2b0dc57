//! The connection: sends requests to the server, and tells answers, refusals and outages apart.

pub mod request;
pub mod server;

use std::path::Path as FilePath;
use std::time::Duration;

use keyholt_api::oauth::OAuthError;
use keyholt_api::problem::{MEDIA_TYPE, Problem};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, IF_MATCH, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use crate::connection::request::{Encoding, Patience, Repeat, Request};
use crate::connection::server::Server;
use crate::login::Credential;
use crate::trouble::Trouble;

/// Most times that a request is sent while the connection breaks.
const TRIES_MAX: u32 = 3;
/// The pause before the second try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest stream.
const FLOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A server that asks for a longer pause is not waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// Largest answer that is read whole.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest file of certificates.
const CA_BYTES_MAX: u64 = 1024 * 1024;
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A connection to the server, with the caller's credential.
pub struct Connection {
    http: Client,
    server: Server,
    authorization: Option<HeaderValue>,
    patience: Duration,
}

/// An answer: what it says, and the JSON as it came.
pub struct Answer<T> {
    /// What it says.
    pub value: T,
    /// The JSON as it came; it may hold a new secret.
    pub json: Zeroizing<String>,
}

/// What a look at the server gives, whatever it answers.
pub struct Look {
    /// The status.
    pub status: StatusCode,
    /// The server's time of day, as its `Date` header says.
    pub date: Option<String>,
    /// The body.
    pub body: Zeroizing<String>,
}

impl Connection {
    /// A connection to this server; nothing is sent yet.
    pub fn new(
        server: Server,
        credential: Option<&Credential>,
        ca_file: Option<&FilePath>,
        patience: Duration,
    ) -> Result<Self, Trouble> {
        let cannot = |error: &dyn std::error::Error| Trouble::new("cannot prepare the connection").because(error);
        // Another provider may be in the program already; whichever came first is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut http = Client::builder()
            .user_agent(concat!("keyholt/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience)
            // SECURITY: a redirect would carry the credential, or a secret in a body, to another address.
            .redirect(redirect::Policy::none())
            .no_proxy();
        if !server.is_encrypted() {
            // Without TLS no certificates are looked for, which a machine may not even have.
            http = http.tls_certs_only([]);
        } else if let Some(path) = ca_file {
            http = http.tls_certs_merge(read_certificates(path)?);
        }
        let authorization = match credential {
            None => None,
            Some(credential) => {
                let value = Zeroizing::new(format!("Bearer {}", credential.expose()));
                let mut value = HeaderValue::from_str(&value).map_err(|_| {
                    // The error would not show it, and neither do we.
                    Trouble::new("the credential holds characters that no key has")
                        .caused_by(format!("it comes from {}", credential.source))
                })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self {
            http: http.build().map_err(|error| cannot(&error))?,
            server,
            authorization,
            patience,
        })
    }

    /// The server at the other end.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Sends a request and reads the answer.
    pub async fn send<T: DeserializeOwned>(&self, request: &Request) -> Result<Answer<T>, Trouble> {
        let json = self.text_of(request).await?;
        self.understand(request, json)
    }

    /// Sends a request whose answer may be empty.
    pub async fn send_act<T: DeserializeOwned>(&self, request: &Request) -> Result<Option<Answer<T>>, Trouble> {
        let json = self.text_of(request).await?;
        if json.trim().is_empty() {
            return Ok(None);
        }
        self.understand(request, json).map(Some)
    }

    /// Sends a request and hands the answer over piece by piece, as it comes.
    pub async fn stream(
        &self,
        request: &Request,
        mut take: impl FnMut(&[u8]) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let first = timeout(self.patience, self.response_to(request)).await;
        let mut response = first.unwrap_or_else(|_| Err(self.silent(request, self.patience)))?;
        loop {
            let next = match timeout(self.patience, response.chunk()).await {
                Ok(next) => next.map_err(|error| self.broken(request, error))?,
                Err(_) => return Err(self.silent(request, self.patience)),
            };
            match next {
                Some(bytes) => take(&bytes)?,
                None => return Ok(()),
            }
        }
    }

    /// Looks at what the server answers to a request, refusals included.
    pub async fn look(&self, request: &Request) -> Result<Look, Trouble> {
        let response = self.deliver(request).await?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        Ok(Look {
            status: response.status(),
            date: date.map(str::to_owned),
            body: self.body_of(request, response).await?,
        })
    }

    async fn text_of(&self, request: &Request) -> Result<Zeroizing<String>, Trouble> {
        let response = self.response_to(request).await?;
        self.body_of(request, response).await
    }

    fn understand<T: DeserializeOwned>(
        &self,
        request: &Request,
        json: Zeroizing<String>,
    ) -> Result<Answer<T>, Trouble> {
        match serde_json::from_str(&json) {
            Ok(value) => Ok(Answer { value, json }),
            // The parser's message could quote the answer, and the answer may hold a secret.
            Err(error) => Err(Trouble::new(format!("cannot {}", request.purpose))
                .caused_by(format!(
                    "the answer of {} cannot be understood (line {}, column {})",
                    self.server,
                    error.line(),
                    error.column()
                ))
                .hint("`keyholt doctor` compares the versions of this program and the server")),
        }
    }

    /// The response to a request, if it is a good one.
    async fn response_to(&self, request: &Request) -> Result<Response, Trouble> {
        let response = self.deliver(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let told = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_problem = told.is_some_and(|kind| kind.split(';').next().map(str::trim) == Some(MEDIA_TYPE));
        if is_problem || request.encoding == Encoding::Form {
            let json = self.body_of(request, response).await?;
            if let Ok(problem) = serde_json::from_str::<Problem>(&json) {
                let page = self.server.page_of(&problem.kind);
                return Err(self.explained(Trouble::refused(&request.purpose, problem, json.to_string(), page)));
            }
            if let Ok(error) = serde_json::from_str::<OAuthError>(&json) {
                return Err(Trouble::new(format!("cannot {}", request.purpose))
                    .caused_by(format!("{} ({})", error.error_description, error.error)));
            }
        }
        Err(Trouble::new(format!("cannot {}", request.purpose))
            .caused_by(format!(
                "{} answered `{status}`, and not in Keyholt's words",
                self.server
            ))
            .hint("is that the address of Keyholt? A proxy in between may have answered"))
    }

    /// A refusal of the caller's own credential, with the way out.
    fn explained(&self, trouble: Trouble) -> Trouble {
        use keyholt_api::code::Code;
        match trouble.code() {
            Some(Code::CredentialRequired) => trouble.hint("log in with `keyholt login`"),
            Some(Code::InvalidCredential) => {
                trouble.hint("`keyholt doctor` tells which credential is used; `keyholt login` stores another one")
            }
            Some(Code::FreshLogInRequired) => {
                trouble.hint("`keyholt login --user NAME` logs in again; do within five minutes what manages others")
            }
            _ => trouble,
        }
    }

    /// Sends a request as often as it may be sent, until there is a response of whatever status.
    async fn deliver(&self, request: &Request) -> Result<Response, Trouble> {
        let mut has_waited = false;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.once(request).await {
                Ok(response) => match pause_before_repeating(request, &response) {
                    Some(pause) if !has_waited => {
                        has_waited = true;
                        sleep(pause).await;
                    }
                    _ => return Ok(response),
                },
                Err(error) if tries < TRIES_MAX && may_repeat(request, &error) => {
                    sleep(FIRST_PAUSE * 2_u32.saturating_pow(tries - 1)).await;
                }
                Err(error) => return Err(self.broken(request, error)),
            }
        }
    }

    async fn once(&self, request: &Request) -> Result<Response, reqwest::Error> {
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, application/problem+json, */*;q=0.1"),
        );
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Repeat::Recognised(key) = &request.repeat
            && let Ok(key) = HeaderValue::from_str(key)
        {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        if let Some(revision) = request.revision
            && let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\""))
        {
            headers.insert(IF_MATCH, tag);
        }
        let mut sent = self
            .http
            .request(request.method.clone(), self.server.url(&request.path))
            .headers(headers)
            .timeout(self.time_for(request));
        if !request.query.is_empty() {
            sent = sent.query(&request.query);
        }
        if let Some(body) = &request.body {
            sent = sent
                .header(CONTENT_TYPE, request.encoding.media_type())
                .body(body.to_vec());
        }
        sent.send().await
    }

    fn time_for(&self, request: &Request) -> Duration {
        match request.patience {
            Patience::Usual => self.patience,
            Patience::AtLeast(least) => self.patience.max(least),
            Patience::WhileItFlows => FLOW_MAX,
        }
    }

    async fn body_of(&self, request: &Request, mut response: Response) -> Result<Zeroizing<String>, Trouble> {
        let mut bytes = Zeroizing::new(Vec::new());
        while let Some(piece) = response.chunk().await.map_err(|error| self.broken(request, error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(Trouble::new(format!("cannot {}", request.purpose))
                    .caused_by(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes")));
            }
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(_) => Err(Trouble::new(format!("cannot {}", request.purpose))
                .caused_by(format!("the answer of {} is not text", self.server))),
        }
    }

    fn broken(&self, request: &Request, error: reqwest::Error) -> Trouble {
        if error.is_timeout() {
            return self.silent(request, self.time_for(request));
        }
        // The address is told once, without a query.
        let error = error.without_url();
        let trouble = Trouble::new(format!("cannot {}", request.purpose));
        if error.is_connect() {
            return trouble
                .caused_by(format!("{} cannot be reached", self.server))
                .because(&error)
                .hint("is the server running, and is `--server` its address? `keyholt doctor` looks closer");
        }
        let trouble = trouble
            .caused_by(format!("the connection to {} broke", self.server))
            .because(&error);
        match request.repeat {
            Repeat::Read => trouble,
            Repeat::Recognised(_) | Repeat::Never => {
                trouble.hint("it is not known whether it was done: look before you repeat it")
            }
        }
    }

    fn silent(&self, request: &Request, waited: Duration) -> Trouble {
        let trouble = Trouble::new(format!("cannot {}", request.purpose)).caused_by(format!(
            "no answer from {} within {} s",
            self.server,
            waited.as_secs_f32()
        ));
        match request.repeat {
            Repeat::Read => trouble.hint("`--timeout` gives the server more time"),
            Repeat::Recognised(_) | Repeat::Never => {
                trouble.hint("it is not known whether it was done: look before you repeat it")
            }
        }
    }
}

/// Whether a request that failed may be sent again: it never left, or twice is the same as once.
fn may_repeat(request: &Request, error: &reqwest::Error) -> bool {
    if error.is_timeout() || error.is_builder() {
        return false;
    }
    error.is_connect() || request.repeat != Repeat::Never
}

/// How long the server asks to wait before the request is sent again, where it may be.
fn pause_before_repeating(request: &Request, response: &Response) -> Option<Duration> {
    let turned_away = match response.status() {
        // It was not looked at, whatever it was.
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => request.repeat != Repeat::Never,
        _ => false,
    };
    let seconds: u64 = response
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let pause = Duration::from_secs(seconds);
    (turned_away && pause <= RETRY_AFTER_MAX).then_some(pause)
}

fn read_certificates(path: &FilePath) -> Result<Vec<reqwest::Certificate>, Trouble> {
    let cannot = || Trouble::new(format!("cannot read certificates from `{}`", path.display()));
    let size = std::fs::metadata(path).map_err(|error| cannot().because(&error))?.len();
    if size > CA_BYTES_MAX {
        return Err(cannot().caused_by(format!("it is larger than {CA_BYTES_MAX} bytes")));
    }
    let pem = std::fs::read(path).map_err(|error| cannot().because(&error))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| cannot().because(&error))?;
    if certificates.is_empty() {
        return Err(cannot()
            .caused_by("there is no certificate in it")
            .hint("it must be a PEM file"));
    }
    Ok(certificates)
}
