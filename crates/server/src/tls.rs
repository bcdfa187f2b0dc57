//! The certificate this service shows, read again when its files change without closing a single connection.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// How often the files are looked at for a change.
pub const WATCH_EVERY: Duration = Duration::from_secs(5);

/// Largest PEM file that is read, in bytes.
const PEM_LIMIT: u64 = 1 << 20;

/// TLS with one certificate that can be exchanged while connections are open.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    shown: Arc<Shown>,
    server: Arc<ServerConfig>,
    /// What the files looked like when they were last read, whether or not they were any good.
    last_look: Mutex<Look>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {expected} in PEM form: {error}", .path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What the reader stumbled over.
        error: pem::Error,
    },
    /// The two files do not belong together, or the key is of a kind that is not supported.
    #[error("the key {} does not fit the certificate {}: {error}", .files.key.display(), .files.certificate.display())]
    Mismatch {
        /// Both files.
        files: TlsFiles,
        /// What the cryptographic library said.
        error: rustls::Error,
    },
    /// The library refused the set-up as a whole.
    #[error("TLS cannot be set up: {0}")]
    SetUp(#[from] rustls::Error),
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// When a file cannot be read, is not PEM, or the two do not belong together.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        // Named rather than taken from the process: with two providers compiled in, rustls refuses to guess.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let last_look = Mutex::new(Look::at(&files));
        let certified = read(&files, &provider)?;
        let shown = Arc::new(Shown {
            current: ArcSwap::from_pointee(certified),
            provider: Arc::clone(&provider),
        });
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Tickets instead of a session table: a client may resume on any worker, and nothing grows.
        server.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(Self {
            files,
            shown,
            server: Arc::new(server),
            last_look,
        })
    }

    /// Reads the files again. New connections see the new certificate; open ones go on undisturbed.
    ///
    /// # Errors
    /// As [`Tls::load`]; the old certificate then stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        *self.last_look() = Look::at(&self.files);
        let fresh = read(&self.files, &self.shown.provider)?;
        self.shown.current.store(Arc::new(fresh));
        tracing::info!(certificate = %self.files.certificate.display(), "certificate read again");
        Ok(())
    }

    /// Reads the files again if they look different than before; a broken new one is logged once and not used.
    pub fn reload_if_changed(&self) {
        let changed = *self.last_look() != Look::at(&self.files);
        if changed && let Err(error) = self.reload() {
            tracing::error!(%error, "the new certificate cannot be used; the old one stays");
        }
    }

    /// Looks at the files every `period`, for ever.
    pub async fn watch(&self, period: Duration) {
        loop {
            tokio::time::sleep(period).await;
            self.reload_if_changed();
        }
    }

    /// What does the handshakes.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.server))
    }

    fn last_look(&self) -> std::sync::MutexGuard<'_, Look> {
        self.last_look.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The certificate that is shown at the moment.
#[derive(Debug)]
struct Shown {
    current: ArcSwap<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// What two files look like from outside: enough to notice that either was written or replaced.
#[derive(Debug, PartialEq, Eq)]
struct Look([Option<(SystemTime, u64)>; 2]);

impl Look {
    fn at(files: &TlsFiles) -> Self {
        // Metadata follows links, so the exchange of a linked folder (as Kubernetes does it) is noticed too.
        let one = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self([one(&files.certificate), one(&files.key)])
    }
}

fn read(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let not_pem = |path: &Path, expected| {
        let path = path.to_owned();
        move |error| TlsError::NotPem { path, expected, error }
    };
    let pem = read_small_file(&files.certificate)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| match chain.len() {
            0 => Err(pem::Error::NoItemsFound),
            _ => Ok(chain),
        })
        .map_err(not_pem(&files.certificate, "certificate"))?;
    let pem = zeroize::Zeroizing::new(read_small_file(&files.key)?);
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(not_pem(&files.key, "private key"))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| TlsError::Mismatch {
        files: files.clone(),
        error,
    })
}

fn read_small_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(PEM_LIMIT).read_to_end(&mut bytes))
        .map_err(|error| TlsError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
    Ok(bytes)
}
