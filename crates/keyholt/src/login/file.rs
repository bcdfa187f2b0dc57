//! The file of log-ins: which server, with which key, and where its secret lies. Only its owner may read it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use keyholt_core::id::KeyId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::trouble::Trouble;

/// The file's name in the folder of Keyholt's settings.
const NAME: &str = "logins.toml";
/// Most servers to be logged in to.
const LOGINS_MAX: usize = 100;
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// The mode of the file.
pub const FILE_MODE: u32 = 0o600;
/// The mode of its folder.
const FOLDER_MODE: u32 = 0o700;
/// Permission bits of people other than the owner.
const OTHERS: u32 = 0o077;

/// The file that is locked while a log-in is renewed.
const LOCK: &str = "logins.lock";

/// Held by whoever renews a log-in; let go of when it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// Who is logged in where.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logins {
    /// The server of the last log-in, which commands go to when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    #[serde(default, rename = "login")]
    logins: Vec<Login>,
}

/// One log-in.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The server's address.
    pub server: String,
    /// The key whose secret it is.
    pub key: KeyId,
    /// The secret; left out where the system's keyring keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Zeroizing<String>>,
}

/// Where a log-in's secret lies.
pub enum Kept {
    /// In the system's keyring.
    Keyring,
    /// In the file itself.
    Here(Zeroizing<String>),
}

impl Login {
    /// A log-in.
    pub fn new(server: String, key: KeyId, kept: Kept) -> Self {
        let secret = match kept {
            Kept::Keyring => None,
            Kept::Here(secret) => Some(secret),
        };
        Self { server, key, secret }
    }

    /// Where its secret lies.
    pub fn kept(&self) -> Kept {
        match &self.secret {
            None => Kept::Keyring,
            Some(secret) => Kept::Here(secret.clone()),
        }
    }
}

impl Logins {
    /// The log-in at this server.
    pub fn at(&self, server: &str) -> Option<&Login> {
        self.logins.iter().find(|login| login.server == server)
    }

    /// Adds a log-in in place of one at the same server, and makes its server the current one.
    pub fn put(&mut self, login: Login) -> Result<(), Trouble> {
        self.logins.retain(|known| known.server != login.server);
        if self.logins.len() >= LOGINS_MAX {
            return Err(Trouble::new(format!("there are {LOGINS_MAX} log-ins already"))
                .hint("log out where you no longer work"));
        }
        self.current = Some(login.server.clone());
        self.logins.push(login);
        Ok(())
    }

    /// Removes the log-in at this server and gives it back.
    pub fn take(&mut self, server: &str) -> Option<Login> {
        let at = self.logins.iter().position(|login| login.server == server)?;
        if self.current.as_deref() == Some(server) {
            self.current = None;
        }
        Some(self.logins.remove(at))
    }
}

/// The file of log-ins on the disk.
#[derive(Clone, Debug)]
pub struct LoginFile {
    path: PathBuf,
}

impl LoginFile {
    /// The file in this folder.
    pub fn below(folder: &Path) -> Self {
        Self {
            path: folder.join(NAME),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it; one that is not there says that nobody is logged in anywhere.
    pub fn read(&self) -> Result<Logins, Trouble> {
        let shown = self.path.display();
        let cannot = |error: io::Error| Trouble::new(format!("cannot read the log-ins in `{shown}`")).because(&error);
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Logins::default()),
            Err(error) => return Err(cannot(error)),
        };
        let mode = file.metadata().map_err(cannot)?.mode();
        if mode & OTHERS != 0 {
            let mode = mode & 0o777;
            return Err(Trouble::new(format!(
                "others on this machine may read `{shown}` (its mode is {mode:o})"
            ))
            .hint(format!(
                "chmod 600 '{shown}', and rotate the key if somebody may have read it"
            )));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(cannot)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(Trouble::new(format!("`{shown}` is too large to be a file of log-ins")));
        }
        // The parser's message would quote the line, and the line may be the secret.
        toml::from_str(&text).map_err(|_| {
            Trouble::new(format!("`{shown}` is not a file of log-ins")).hint("move it away and log in again")
        })
    }

    /// Writes it whole or not at all, readable by its owner alone from its first byte on.
    pub fn write(&self, logins: &Logins) -> Result<(), Trouble> {
        let shown = self.path.display();
        let cannot = |error: &dyn std::error::Error| {
            Trouble::new(format!("cannot write the log-ins to `{shown}`")).because(error)
        };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(folder)
            .map_err(|error| cannot(&error))?;
        let text = Zeroizing::new(toml::to_string(logins).map_err(|error| cannot(&error))?);
        // A temporary file is made with mode 0600 in the same folder, so that the rename is atomic.
        let mut file = tempfile::Builder::new()
            .prefix(".logins")
            .permissions(fs::Permissions::from_mode(FILE_MODE))
            .tempfile_in(folder)
            .map_err(|error| cannot(&error))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .map_err(|error| cannot(&error))?;
        file.persist(&self.path).map_err(|error| cannot(&error.error))?;
        Ok(())
    }

    /// Waits until nobody else renews a log-in.
    pub fn lock(&self) -> Result<Lock, Trouble> {
        let path = self.path.with_file_name(LOCK);
        let cannot = |error: io::Error| Trouble::new(format!("cannot lock `{}`", path.display())).because(&error);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(cannot)?;
        file.lock().map_err(cannot)?;
        Ok(Lock(file))
    }

    /// Its mode and its folder's, if they are there: others may read neither.
    pub fn modes(&self) -> [(PathBuf, Option<u32>); 2] {
        let mode = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some(metadata.mode() & 0o777)
        };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        [folder, &self.path].map(|path| (path.to_owned(), mode(path)))
    }
}

/// Whether people other than the owner may do something with a file of this mode.
pub fn is_open_to_others(mode: u32) -> bool {
    mode & OTHERS != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20";

    fn login(server: &str) -> Login {
        Login::new(
            server.to_owned(),
            KEY.parse().unwrap(),
            Kept::Here(Zeroizing::new("kh_not_a_real_one".to_owned())),
        )
    }

    #[test]
    fn what_is_written_is_read_again_and_others_cannot_read_it() {
        let home = tempfile::tempdir().unwrap();
        let file = LoginFile::below(&home.path().join("a/keyholt"));
        assert!(file.read().ok().unwrap().current.is_none());
        let mut logins = Logins::default();
        logins.put(login("http://a")).ok().unwrap();
        logins
            .put(Login::new("http://b".into(), KEY.parse().unwrap(), Kept::Keyring))
            .ok()
            .unwrap();
        file.write(&logins).ok().unwrap();
        assert_eq!(file.modes().map(|(_, mode)| mode), [Some(0o700), Some(0o600)]);
        let mut read = file.read().ok().unwrap();
        assert_eq!(read.current.as_deref(), Some("http://b"));
        assert!(matches!(read.at("http://a").unwrap().kept(), Kept::Here(secret) if *secret == "kh_not_a_real_one"));
        assert!(matches!(read.at("http://b").unwrap().kept(), Kept::Keyring));
        assert!(read.take("http://b").is_some() && read.current.is_none());
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let file = LoginFile::below(home.path());
        file.write(&Logins::default()).ok().unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let trouble = file.read().err().unwrap();
        assert!(trouble.says().contains("its mode is 640"), "{}", trouble.says());
    }

    #[test]
    fn a_broken_file_is_not_quoted() {
        let home = tempfile::tempdir().unwrap();
        let file = LoginFile::below(home.path());
        file.write(&Logins::default()).ok().unwrap();
        fs::write(file.path(), "secret = kh_not_a_real_one").unwrap();
        let trouble = file.read().err().unwrap();
        let told = format!("{}{:?}{:?}", trouble.says(), trouble.causes(), trouble.hints());
        assert!(!told.contains("kh_not"), "{told}");
    }
}
