//! Encrypted backups: an age file (<https://age-encryption.org/v1>) with one passphrase, which the `age` program opens too.
//!
//! Nothing but the encrypted form is ever written, and 64 KiB are in memory at a time. Each such chunk is handed out when
//! its tag is right for its number; that none is missing at the end is known when the last was read, which says that it is.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::iter;
use std::path::Path;

use age::secrecy::SecretString;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, scrypt};
use tempfile::NamedTempFile;

use super::BackupError;
use super::form::{bad, trouble};

/// The cost of one guess at the passphrase of a new backup, 2^17 in scrypt's N: 128 MiB, as OWASP recommends.
pub const WORK_FACTOR: u8 = 17;
/// The most that is paid to read one: 1 GiB. Others may have made the file, and the cost is written in it.
pub const WORK_FACTOR_MAX: u8 = 20;
/// How every file of age begins.
const MAGIC: &[u8] = b"age-encryption.org/";
/// How the last line of its header begins.
const HEADER_END: &[u8] = b"\n---";
/// The longest header that is looked at; one for a passphrase has some 150 bytes.
const HEADER_BYTES_MAX: u64 = 1024;

/// What a backup is encrypted with.
pub struct Passphrase(SecretString);

impl Passphrase {
    /// As it is spelled: nothing is trimmed or folded.
    pub fn new(text: &str) -> Self {
        Self(SecretString::from(text))
    }
}

/// Where a backup is written to.
pub(super) enum Output {
    Plain(BufWriter<NamedTempFile>),
    Encrypted(Box<StreamWriter<NamedTempFile>>),
}

impl Output {
    /// Begins the file. The salt and the keys come from the operating system, past the Entropy: age takes no other.
    pub(super) fn begin(file: NamedTempFile, passphrase: Option<&Passphrase>) -> io::Result<Self> {
        let Some(Passphrase(passphrase)) = passphrase else {
            return Ok(Self::Plain(BufWriter::with_capacity(256 * 1024, file)));
        };
        let mut recipient = scrypt::Recipient::new(passphrase.clone());
        recipient.set_work_factor(WORK_FACTOR);
        let recipient: &dyn Recipient = &recipient;
        let encryptor = Encryptor::with_recipients(iter::once(recipient)).map_err(io::Error::other)?;
        Ok(Self::Encrypted(Box::new(encryptor.wrap_output(file)?)))
    }

    /// Writes what is left, and that it is the last.
    pub(super) fn finish(self) -> io::Result<NamedTempFile> {
        match self {
            Self::Plain(output) => output.into_inner().map_err(io::IntoInnerError::into_error),
            Self::Encrypted(output) => output.finish(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Encrypted(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Encrypted(output) => output.flush(),
        }
    }
}

/// Where a backup is read from.
pub(super) enum Input {
    Plain(File),
    Encrypted(Box<StreamReader<File>>),
}

impl Input {
    /// Opens a backup. The passphrase is paid for once, however often the backup is read from its beginning.
    pub(super) fn open(path: &Path, mut file: File, passphrase: Option<&Passphrase>) -> Result<Self, BackupError> {
        let head = head_of(&mut file).map_err(|error| trouble(path, error))?;
        match (head.starts_with(MAGIC), passphrase) {
            (false, None) => Ok(Self::Plain(file)),
            (true, None) => Err(BackupError::Encrypted),
            // SECURITY: whoever names a passphrase relies on it; a plain file in the place of theirs is not theirs.
            (false, Some(_)) if head.starts_with(b"{") => Err(BackupError::NotEncrypted),
            (false, Some(_)) => Err(bad(1, "it is not the beginning of an encrypted backup")),
            (true, Some(passphrase)) => {
                // The header is read whole into memory: it must end soon.
                if !head.windows(HEADER_END.len()).any(|bytes| bytes == HEADER_END) {
                    return Err(bad(1, "the header of the encryption is cut off or altered"));
                }
                let opened = decrypt(file, passphrase).map_err(|error| refusal(path, error))?;
                Ok(Self::Encrypted(Box::new(opened)))
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(bytes),
            Self::Encrypted(input) => input.read(bytes),
        }
    }
}

impl Seek for Input {
    fn seek(&mut self, place: io::SeekFrom) -> io::Result<u64> {
        match self {
            Self::Plain(input) => input.seek(place),
            Self::Encrypted(input) => input.seek(place),
        }
    }
}

fn head_of(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEADER_BYTES_MAX).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head)
}

fn decrypt(file: File, Passphrase(passphrase): &Passphrase) -> Result<StreamReader<File>, DecryptError> {
    let mut identity = scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(WORK_FACTOR_MAX);
    let identity: &dyn Identity = &identity;
    Decryptor::new(file)?.decrypt(iter::once(identity))
}

fn refusal(path: &Path, error: DecryptError) -> BackupError {
    match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => BackupError::WrongPassphrase,
        DecryptError::ExcessiveWork { required, .. } => bad(
            1,
            format!(
                "to try a passphrase would cost 2^{required} in scrypt, and no more than 2^{WORK_FACTOR_MAX} is paid"
            ),
        ),
        DecryptError::NoMatchingKeys => bad(1, "it is encrypted for a key of age, not with a passphrase"),
        DecryptError::UnknownFormat => bad(1, "it is encrypted in a format of age that is not known here"),
        DecryptError::Io(error) => unread(path, 1, error),
        _ => bad(1, "the header of the encryption was altered"),
    }
}

/// What it means that bytes of a backup cannot be had: age tells of its own findings as of errors of the system.
pub(super) fn unread(path: &Path, line: u64, error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => bad(line, "the encrypted file is cut off here"),
        io::ErrorKind::InvalidData => bad(line, "it cannot be decrypted: the file was altered or cut off here"),
        _ => trouble(path, error),
    }
}
