//! With which credential this run speaks: from the environment, from a file, or from a log-in made before.

pub mod file;
pub mod session;
mod vault;

use std::path::{Path, PathBuf};

use keyholt_core::id::KeyId;
use zeroize::Zeroizing;

pub use vault::{SystemVault, Vault, VaultError};

use crate::intake::{self, SecretError};
use crate::login::file::{Kept, Lock, Login, LoginFile};
use crate::login::session::KeptSession;
use crate::trouble::Trouble;
use crate::world::Environment;

/// The secret of the caller's own key. Nothing prints it.
pub struct Credential {
    secret: Zeroizing<String>,
    /// Where it came from.
    pub source: Source,
}

/// Where a credential came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// `KEYHOLT_CREDENTIAL`.
    Environment,
    /// The file that `KEYHOLT_CREDENTIAL_FILE` names.
    NamedFile(PathBuf),
    /// The system's keyring, by an earlier log-in.
    Keyring,
    /// The file of log-ins.
    LoginFile(PathBuf),
    /// Given to this very command.
    Given,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment => f.write_str("KEYHOLT_CREDENTIAL"),
            Self::NamedFile(path) => write!(f, "the file `{}` (KEYHOLT_CREDENTIAL_FILE)", path.display()),
            Self::Keyring => f.write_str("the system's keyring"),
            Self::LoginFile(path) => write!(f, "the file `{}`", path.display()),
            Self::Given => f.write_str("this command's input"),
        }
    }
}

impl Credential {
    /// A credential that was read by this very command.
    pub fn given(secret: Zeroizing<String>) -> Self {
        Self {
            secret,
            source: Source::Given,
        }
    }

    /// The secret, for the one header that carries it.
    pub fn expose(&self) -> &str {
        &self.secret
    }
}

/// Where log-ins are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Place {
    /// In the system's keyring if there is one, else in a file.
    Auto,
    /// In the system's keyring.
    Keyring,
    /// In a file that only its owner may read.
    File,
}

/// The credentials of this person on this machine.
pub struct Wallet {
    file: Option<LoginFile>,
    vault: Box<dyn Vault>,
    from_environment: Option<Zeroizing<String>>,
    named_file: Option<PathBuf>,
}

impl Wallet {
    /// Takes over from the environment what is about credentials.
    pub fn new(environment: &mut Environment, vault: Box<dyn Vault>) -> Self {
        Self {
            file: environment.folder.as_deref().map(LoginFile::below),
            vault,
            from_environment: environment.credential.take(),
            named_file: environment.credential_file.take(),
        }
    }

    /// The file of log-ins, where this person has a home.
    pub fn file(&self) -> Option<&LoginFile> {
        self.file.as_ref()
    }

    /// The server of the last log-in.
    pub fn current_server(&self) -> Result<Option<String>, Trouble> {
        match &self.file {
            Some(file) => Ok(file.read()?.current),
            None => Ok(None),
        }
    }

    /// The credential for this server, if there is one.
    ///
    /// A stored credential goes to the server that it was stored for and to no other.
    pub fn credential(&self, server: &str) -> Result<Option<Credential>, Trouble> {
        let (secret, source) = match (&self.from_environment, &self.named_file) {
            (Some(_), Some(_)) => {
                return Err(
                    Trouble::new("KEYHOLT_CREDENTIAL and KEYHOLT_CREDENTIAL_FILE are both set")
                        .hint("keep one of them; it is not guessed which one was meant"),
                );
            }
            (Some(secret), None) => (secret.clone(), Source::Environment),
            (None, Some(path)) => (read_file(path)?, Source::NamedFile(path.clone())),
            (None, None) => match self.stored(server)? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        // Of a person's log-in the access token is sent, and never the token that makes new ones.
        let secret = match KeptSession::read(&secret) {
            Some(session) => session.access_token,
            None => secret,
        };
        Ok(Some(Credential { secret, source }))
    }

    /// The stored log-in of a person at this server, if that is what commands are sent with. Nobody else changes it as long
    /// as the lock is held: a refresh token that two programs show at once ends the log-in of both.
    pub fn session(&self, server: &str) -> Result<Option<(KeptSession, Lock)>, Trouble> {
        let Some(file) = &self.file else { return Ok(None) };
        if self.from_environment.is_some() || self.named_file.is_some() || file.read()?.at(server).is_none() {
            return Ok(None);
        }
        let lock = file.lock()?;
        let stored = self.stored(server)?;
        let session = stored.and_then(|(text, _)| KeptSession::read(&text));
        Ok(session.map(|session| (session, lock)))
    }

    /// Keeps a log-in that was renewed, where it was kept before.
    pub fn keep_renewed(&self, server: &str, session: &KeptSession) -> Result<(), Trouble> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut logins = file.read()?;
        let Some(login) = logins.at(server) else { return Ok(()) };
        let key = login.key;
        let text = session.text();
        match login.kept() {
            Kept::Keyring => self
                .vault
                .keep(server, &text)
                .map_err(|error| Trouble::new("cannot keep the log-in in the keyring").because(&error)),
            Kept::Here(_) => {
                // The server that commands go to stays the one that it is.
                let current = logins.current.clone();
                logins.put(Login::new(server.to_owned(), key, Kept::Here(text)))?;
                logins.current = current;
                file.write(&logins)
            }
        }
    }

    fn stored(&self, server: &str) -> Result<Option<(Zeroizing<String>, Source)>, Trouble> {
        let Some(file) = &self.file else { return Ok(None) };
        let logins = file.read()?;
        let Some(login) = logins.at(server) else {
            return Ok(None);
        };
        match login.kept() {
            Kept::Here(secret) => Ok(Some((secret, Source::LoginFile(file.path().to_owned())))),
            Kept::Keyring => match self.vault.recall(server) {
                Ok(found) => Ok(found.map(|secret| (secret, Source::Keyring))),
                Err(error) => Err(Trouble::new(format!("cannot get the credential for {server}"))
                    .because(&error)
                    .hint("unlock the keyring, or log in again with `keyholt login --store file`")),
            },
        }
    }

    /// Keeps a credential for this server and makes the server the current one.
    pub fn keep(&self, server: &str, key: KeyId, secret: &str, place: Place) -> Result<Source, Trouble> {
        let Some(file) = &self.file else {
            return Err(Trouble::new("there is no place to keep the log-in")
                .hint("set HOME or XDG_CONFIG_HOME, or pass the credential in KEYHOLT_CREDENTIAL_FILE"));
        };
        let mut logins = file.read()?;
        let (kept, source) = match place {
            Place::File => here(file, secret),
            Place::Keyring => {
                self.vault
                    .keep(server, secret)
                    .map_err(|error| Trouble::new("cannot keep the credential in the keyring").because(&error))?;
                (Kept::Keyring, Source::Keyring)
            }
            Place::Auto => match self.vault.keep(server, secret) {
                Ok(()) => (Kept::Keyring, Source::Keyring),
                Err(_) => here(file, secret),
            },
        };
        logins.put(Login::new(server.to_owned(), key, kept))?;
        file.write(&logins)?;
        Ok(source)
    }

    /// Forgets the credential for this server; tells where it lay.
    pub fn forget(&self, server: &str) -> Result<Option<Source>, Trouble> {
        let Some(file) = &self.file else { return Ok(None) };
        let mut logins = file.read()?;
        let Some(login) = logins.take(server) else {
            return Ok(None);
        };
        let source = match login.kept() {
            Kept::Here(_) => Source::LoginFile(file.path().to_owned()),
            Kept::Keyring => {
                self.vault
                    .forget(server)
                    .map_err(|error| Trouble::new("cannot remove the credential from the keyring").because(&error))?;
                Source::Keyring
            }
        };
        file.write(&logins)?;
        Ok(Some(source))
    }
}

fn here(file: &LoginFile, secret: &str) -> (Kept, Source) {
    let kept = Kept::Here(Zeroizing::new(secret.to_owned()));
    (kept, Source::LoginFile(file.path().to_owned()))
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, Trouble> {
    intake::read_secret_file(path).map_err(|error| {
        let trouble = Trouble::new(format!("cannot read the credential in `{}`", path.display()));
        match error {
            SecretError::Unreadable(error) => trouble.because(&error),
            SecretError::Unfit(says) => trouble.caused_by(says),
        }
    })
}
