//! The system's keyring: where a credential lies better than in a file, if there is one.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use keyring::Entry;
use zeroize::Zeroizing;

/// Under this name the system lists what Keyholt keeps.
const SERVICE: &str = "keyholt";
/// A keyring that asks a person to unlock it may take this long; one that does not answer is done without.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps one secret for each server.
pub trait Vault {
    /// Keeps a secret, in place of one kept before.
    fn keep(&self, server: &str, secret: &str) -> Result<(), VaultError>;
    /// Gives the secret back, if there is one.
    fn recall(&self, server: &str) -> Result<Option<Zeroizing<String>>, VaultError>;
    /// Forgets the secret; forgetting what is not there is no error.
    fn forget(&self, server: &str) -> Result<(), VaultError>;
}

/// Why the keyring is of no use.
#[derive(Debug, PartialEq, Eq)]
pub enum VaultError {
    /// There is none on this machine.
    Missing,
    /// There is one, and it does not do what it is asked.
    Failing(String),
}

impl std::fmt::Display for VaultError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("this machine has no keyring that is running"),
            Self::Failing(says) => write!(f, "the system's keyring fails: {says}"),
        }
    }
}

impl std::error::Error for VaultError {}

/// The keyring of the operating system.
#[derive(Debug)]
pub struct SystemVault;

impl Vault for SystemVault {
    fn keep(&self, server: &str, secret: &str) -> Result<(), VaultError> {
        let secret = Zeroizing::new(secret.to_owned());
        ask(server, move |entry| entry.set_password(&secret))
    }

    fn recall(&self, server: &str) -> Result<Option<Zeroizing<String>>, VaultError> {
        ask(server, |entry| match entry.get_password() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn forget(&self, server: &str) -> Result<(), VaultError> {
        ask(server, |entry| match entry.delete_credential() {
            Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
            Err(error) => Err(error),
        })
    }
}

/// Asks on a thread of its own: the keyring's bus brings its own runtime, and it may never answer.
fn ask<T: Send + 'static>(
    server: &str,
    question: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
) -> Result<T, VaultError> {
    let server = server.to_owned();
    let (answer, answered) = mpsc::channel();
    thread::spawn(move || {
        let found = match Entry::store_status() {
            Ok(()) => Entry::new(SERVICE, &server)
                .and_then(|entry| question(&entry))
                .map_err(|error| VaultError::Failing(error.to_string())),
            Err(_) => Err(VaultError::Missing),
        };
        // Whoever asked may have given up meanwhile.
        let _ = answer.send(found);
    });
    answered.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        Err(VaultError::Failing(format!(
            "no answer within {} s",
            PATIENCE.as_secs()
        )))
    })
}
