//! The master key file: made on first start, readable by its owner alone, never replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use keyholt_core::entropy::Entropy;
use keyholt_core::seal::MasterKey;
use zeroize::Zeroizing;

use crate::config;

/// What stands before the 64 hexadecimal digits, so that the file says what it is.
const LABEL: &str = "keyholt-master-key-v1:";
/// Longest file that is read as a master key.
const FILE_BYTES_MAX: u64 = 256;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read or made.
    #[error("the master key file {path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others may read the file.
    #[error(
        "the master key file {0} can be read by others; set its mode to 0600 (chmod 600) and consider whether it leaked"
    )]
    Exposed(PathBuf),
    /// The text is not a master key.
    #[error("the master key must be `{LABEL}` followed by 64 hexadecimal digits, or the digits alone")]
    Form,
}

/// Where a master key came from.
#[derive(Debug)]
pub enum Origin {
    /// It was there.
    Kept(MasterKey),
    /// It was made just now, in this file.
    Made(MasterKey, PathBuf),
}

/// Reads the master key from a file, or makes it where there is no file yet.
pub fn read_or_make(path: &Path, entropy: &mut dyn Entropy) -> Result<Origin, MasterKeyError> {
    match read(path)? {
        Some(key) => Ok(Origin::Kept(key)),
        None => make(path, entropy).map_err(|error| trouble(path, error)),
    }
}

/// Reads the master key from a file, if there is one.
pub fn read(path: &Path) -> Result<Option<MasterKey>, MasterKeyError> {
    let trouble = |error| trouble(path, error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(trouble(error)),
    };
    let mode = file.metadata().map_err(trouble)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(MasterKeyError::Exposed(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(trouble)?;
    parse(text.trim()).map(Some)
}

fn trouble(path: &Path, error: io::Error) -> MasterKeyError {
    MasterKeyError::File {
        path: path.to_owned(),
        error,
    }
}

fn make(path: &Path, entropy: &mut dyn Entropy) -> io::Result<Origin> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut bytes = Zeroizing::new([0u8; 32]);
    entropy.fill(bytes.as_mut());
    let mut text = Zeroizing::new(String::with_capacity(96));
    text.push_str(LABEL);
    for byte in bytes.iter() {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('\n');
    // `create_new`: of two processes that start at once, one makes the key and the other one fails.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(Origin::Made(MasterKey::new(*bytes), path.to_owned()))
}

/// Reads the master key before the present one. None is ever made.
pub fn read_previous(setting: &config::MasterKey) -> Result<MasterKey, MasterKeyError> {
    match setting {
        config::MasterKey::Given(text) => parse(text.trim()),
        config::MasterKey::File(path) => read(path)?.ok_or_else(|| {
            let error = io::Error::new(io::ErrorKind::NotFound, "there is no such file");
            trouble(path, error)
        }),
    }
}

/// Reads a master key that was given as text.
pub fn parse(text: &str) -> Result<MasterKey, MasterKeyError> {
    let digits = text.strip_prefix(LABEL).unwrap_or(text);
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(MasterKeyError::Form);
    }
    let mut bytes = Zeroizing::new([0u8; 32]);
    for (place, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| MasterKeyError::Form)?;
        *place = u8::from_str_radix(pair, 16).map_err(|_| MasterKeyError::Form)?;
    }
    Ok(MasterKey::new(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&mut self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }

    #[test]
    fn a_master_key_is_made_once_and_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/master.key");
        assert!(matches!(read_or_make(&path, &mut Sevens).unwrap(), Origin::Made(..)));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let Origin::Kept(key) = read_or_make(&path, &mut Sevens).unwrap() else {
            panic!("made again")
        };
        assert_eq!(key.check(), MasterKey::new([7; 32]).check());
    }

    #[test]
    fn a_master_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        read_or_make(&path, &mut Sevens).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            read_or_make(&path, &mut Sevens),
            Err(MasterKeyError::Exposed(_))
        ));
    }

    #[test]
    fn a_cut_off_master_key_is_refused_and_not_shown() {
        let error = parse("keyholt-master-key-v1:abcd").unwrap_err().to_string();
        assert!(!error.contains("abcd"), "{error}");
    }
}
