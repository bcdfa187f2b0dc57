//! The database URL: what it says about the server, about encryption, and what Keyholt adds to it.
//!
//! `sslmode` and `sslrootcert` mean what they mean to libpq, with one difference: wherever a certificate is checked
//! at all, its name is checked too.
//!
//! | `sslmode` | encrypted | certificate checked |
//! |---|---|---|
//! | `disable` | no | |
//! | `prefer` (default) | if the server offers it | no |
//! | `require` | yes | if `sslrootcert` is given |
//! | `verify-full` | yes | yes, by `sslrootcert` or else by the system's authorities |

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{ANSWER_WITHIN, StoreError};

/// How long one address of a server has to accept a connection, so that the next one is tried in time.
const ACCEPT_WITHIN: Duration = Duration::from_secs(1);
/// A connection that is silent for so long is probed.
const PROBE_AFTER: Duration = Duration::from_secs(10);
/// The time between probes.
const PROBE_EVERY: Duration = Duration::from_secs(3);
/// A connection that does not answer that many probes is dead.
const PROBES_MAX: u32 = 3;
/// Most certificates that are read from `sslrootcert`.
const ROOTS_MAX: usize = 10_000;

/// A server and the way to it.
#[derive(Clone)]
pub(super) struct Address {
    /// Host, user, password, database and the settings of the socket.
    pub config: Config,
    /// How to encrypt.
    pub tls: MakeRustlsConnect,
}

impl Address {
    /// Reads a URL such as `postgres://keyholt@db.example.org/keyholt?sslmode=verify-full`.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let Split { rest, mode, roots } = Split::of(url)?;
        let mut config: Config = rest.parse().map_err(|error: tokio_postgres::Error| {
            // The message names the parameter and never repeats the URL, which holds a password.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            unusable(&cause.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(unusable("it names no host"));
        }
        config.ssl_mode(match mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyFull => SslMode::Require,
        });
        let trust = match (mode, roots) {
            (Mode::Disable | Mode::Prefer, _) | (Mode::Require, None) => Trust::Anybody,
            (Mode::Require | Mode::VerifyFull, Some(path)) => Trust::Signed(roots_in(&path)?),
            (Mode::VerifyFull, None) => Trust::Signed(system_roots()?),
        };
        prepare(&mut config);
        Ok(Self {
            config,
            tls: MakeRustlsConnect::new(trust.client()?),
        })
    }
}

/// Adds what Keyholt needs where the URL is silent.
fn prepare(config: &mut Config) {
    if config.get_application_name().is_none() {
        config.application_name("keyholt");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(ACCEPT_WITHIN);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(ANSWER_WITHIN);
    }
    if config.get_keepalives_idle() > PROBE_AFTER {
        config.keepalives_idle(PROBE_AFTER);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(PROBE_EVERY);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(PROBES_MAX);
    }
    // A standby would answer reads too, but without the commits that were acknowledged a moment ago.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyFull,
}

/// A URL taken apart into what tokio-postgres reads and what is read here.
struct Split {
    rest: String,
    mode: Mode,
    roots: Option<PathBuf>,
}

impl Split {
    fn of(url: &str) -> Result<Self, StoreError> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(unusable("it does not start with `postgres://`"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut split = Self {
            rest: base.to_owned(),
            mode: Mode::Prefer,
            roots: None,
        };
        let mut joint = '?';
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", word)) => split.mode = mode(word)?,
                Some(("sslrootcert", "system")) => split.roots = None,
                Some(("sslrootcert", path)) => split.roots = Some(PathBuf::from(plain(path)?)),
                _ => {
                    let _ = write!(split.rest, "{joint}{pair}");
                    joint = '&';
                }
            }
        }
        Ok(split)
    }
}

fn mode(word: &str) -> Result<Mode, StoreError> {
    match word {
        "disable" => Ok(Mode::Disable),
        "prefer" => Ok(Mode::Prefer),
        "require" => Ok(Mode::Require),
        "verify-full" => Ok(Mode::VerifyFull),
        _ => Err(unusable(
            "sslmode is one of `disable`, `prefer`, `require`, `verify-full`",
        )),
    }
}

fn plain(text: &str) -> Result<String, StoreError> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| unusable("sslrootcert is not UTF-8"))
}

fn unusable(why: &str) -> StoreError {
    StoreError::Unavailable(format!("the database URL cannot be used: {why}"))
}

fn roots_in(path: &Path) -> Result<RootCertStore, StoreError> {
    let unreadable = |why: &dyn std::fmt::Display| unusable(&format!("sslrootcert {}: {why}", path.display()));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
    for certificate in certificates.take(ROOTS_MAX) {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        return Err(unreadable(&"it holds no certificate"));
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(unusable(
            "this system has no certificate authorities; name a file by sslrootcert",
        ));
    }
    Ok(roots)
}

/// Whose certificate is good enough.
enum Trust {
    /// Anybody's: encryption against listeners only. SCRAM with channel binding still notices a go-between.
    Anybody,
    /// One that these authorities signed for this host.
    Signed(RootCertStore),
}

impl Trust {
    fn client(self) -> Result<ClientConfig, StoreError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error.to_string()))?;
        Ok(match self {
            Self::Signed(roots) => builder.with_root_certificates(roots).with_no_client_auth(),
            Self::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
                .with_no_client_auth(),
        })
    }
}

/// Takes any certificate, but lets its owner prove that he has its private key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_is_what_the_url_says() {
        for (url, mode, config) in [
            ("postgres://a@h/d", Mode::Prefer, SslMode::Prefer),
            ("postgresql://a@h/d?sslmode=disable", Mode::Disable, SslMode::Disable),
            (
                "postgres://a@h/d?connect_timeout=9&sslmode=require",
                Mode::Require,
                SslMode::Require,
            ),
        ] {
            assert_eq!(Split::of(url).unwrap().mode, mode, "{url}");
            assert_eq!(Address::parse(url).unwrap().config.get_ssl_mode(), config, "{url}");
        }
        let split = Split::of("postgres://h/d?sslrootcert=%2Fetc%2Fca.pem&sslmode=verify-full&user=a").unwrap();
        assert_eq!(split.mode, Mode::VerifyFull);
        assert_eq!(split.roots, Some(PathBuf::from("/etc/ca.pem")));
        assert_eq!(split.rest, "postgres://h/d?user=a");
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_repeating_its_password() {
        for url in [
            "mysql://a:hush@h/d",
            "postgres://a:hush@h/d?sslmode=verify-ca",
            "postgres://a:hush@h/d?sslmode=",
            "postgres://a:hush@h/d?colour=blue",
            "postgres://a:hush@h:port/d",
            "postgres://",
            "postgres://a:hush@h/d?sslmode=verify-full&sslrootcert=/nowhere/ca.pem",
        ] {
            let Err(refused) = Address::parse(url) else {
                panic!("{url} was taken")
            };
            assert!(!refused.to_string().contains("hush"), "{refused}");
        }
    }

    #[test]
    fn a_silent_server_is_noticed_even_if_the_url_does_not_ask_for_it() {
        let config = Address::parse("postgres://a@h/d").unwrap().config;
        assert_eq!(config.get_tcp_user_timeout(), Some(&ANSWER_WITHIN));
        assert_eq!(config.get_keepalives_idle(), PROBE_AFTER);
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }
}
