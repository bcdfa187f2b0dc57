//! The file: one JSON object on each line, and at the end the number of lines and the SHA-256 of all before.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use keyholt_core::time::Moment;
use keyholt_store::{DumpLine, Hex32};
use serde::{Deserialize, Serialize};

use super::BackupError;
use super::encrypted::{Input, Output, Passphrase, unread};
use super::order::Order;

/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
/// The longest line that is written or read: an audit event about the largest project, before and after, has room.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The first line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    keyholt_backup: u32,
    pub made_at: Moment,
    pub made_by: String,
}

impl Header {
    pub(super) fn new(made_at: Moment) -> Self {
        Self {
            keyholt_backup: FORMAT,
            made_at,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    lines: u64,
    sha256: Hex32,
}

/// Only this much is asked of the first line before it is known who wrote it.
#[derive(Deserialize)]
struct Format {
    keyholt_backup: u32,
}

/// Writes a backup under a temporary name; it gets its own when it is whole.
pub(super) struct Writer {
    file: Output,
    to: PathBuf,
    digest: Context,
    lines: u64,
    order: Order,
    line: Vec<u8>,
}

impl Writer {
    /// Begins the file beside the place where it shall lie, readable by its owner alone.
    pub(super) fn begin(to: &Path, passphrase: Option<&Passphrase>, header: &Header) -> Result<Self, BackupError> {
        if to.exists() {
            return Err(BackupError::Exists(to.to_owned()));
        }
        let file = tempfile::Builder::new()
            .prefix(".keyholt-backup-")
            .permissions(std::fs::Permissions::from_mode(0o600))
            .tempfile_in(folder_of(to))
            .map_err(|error| trouble(to, error))?;
        let mut writer = Self {
            file: Output::begin(file, passphrase).map_err(|error| trouble(to, error))?,
            to: to.to_owned(),
            digest: Context::new(&SHA256),
            lines: 0,
            order: Order::default(),
            line: Vec::new(),
        };
        writer.write(header)?;
        Ok(writer)
    }

    /// Writes the next line of the dump. What could not be read back is not written.
    pub(super) fn dump(&mut self, line: &DumpLine) -> Result<(), BackupError> {
        let number = self.lines + 1;
        self.order.take(line).map_err(|says| bad(number, says))?;
        self.write(line)
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), BackupError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line).map_err(|error| trouble(&self.to, error.into()))?;
        self.line.push(b'\n');
        if self.line.len() > LINE_BYTES_MAX {
            return Err(bad(self.lines + 1, "it would be longer than a backup can hold"));
        }
        self.digest.update(&self.line);
        self.lines += 1;
        self.file
            .write_all(&self.line)
            .map_err(|error| trouble(&self.to, error))
    }

    /// Ends the file, sees that it is on the disk, and gives it its name. Tells the number of lines before the last.
    pub(super) fn finish(mut self) -> Result<u64, BackupError> {
        if !self.order.is_complete() {
            return Err(bad(self.lines, "the data ended too early"));
        }
        let lines = self.lines;
        let trailer = Trailer {
            lines,
            sha256: sum(self.digest.clone()),
        };
        self.write(&trailer)?;
        let Self { file, to, .. } = self;
        let named = |error| trouble(&to, error);
        let file = file.finish().map_err(named)?;
        file.as_file().sync_all().map_err(named)?;
        file.persist_noclobber(&to).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(to.clone()),
            _ => named(error.error),
        })?;
        File::open(folder_of(&to))
            .and_then(|folder| folder.sync_all())
            .map_err(named)?;
        Ok(lines)
    }
}

/// A backup that was opened: the same file each time that it is read, whatever lies under its name by then.
pub(super) struct Backup {
    input: Input,
    path: PathBuf,
    size: u64,
}

impl Backup {
    pub(super) fn open(path: &Path, passphrase: Option<&Passphrase>) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(|error| trouble(path, error))?;
        let size = file.metadata().map_err(|error| trouble(path, error))?.len();
        Ok(Self {
            input: Input::open(path, file, passphrase)?,
            path: path.to_owned(),
            size,
        })
    }

    /// Reads it from its first line.
    pub(super) fn read(&mut self) -> Result<Reader<'_>, BackupError> {
        self.input.rewind().map_err(|error| unread(&self.path, 1, error))?;
        Reader::of(self)
    }
}

/// Reads a backup line by line. What it hands out is only to be believed once it said that there is no more.
pub(super) struct Reader<'a> {
    input: BufReader<&'a mut Input>,
    path: &'a Path,
    digest: Context,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
    size: u64,
    order: Order,
    header: Header,
}

impl<'a> Reader<'a> {
    fn of(backup: &'a mut Backup) -> Result<Self, BackupError> {
        let mut reader = Self {
            input: BufReader::with_capacity(256 * 1024, &mut backup.input),
            path: &backup.path,
            digest: Context::new(&SHA256),
            line: Vec::new(),
            number: 0,
            bytes: 0,
            size: backup.size,
            order: Order::default(),
            header: Header::new(Moment::from_ms(0)),
        };
        reader.read_line()?;
        let refuse = || bad(1, "it is not the first line of a backup of Keyholt");
        let format: Format = serde_json::from_slice(&reader.line).map_err(|_| refuse())?;
        if format.keyholt_backup > FORMAT {
            return Err(BackupError::TooNew {
                found: format.keyholt_backup,
                known: FORMAT,
            });
        }
        reader.header = serde_json::from_slice(&reader.line).map_err(|_| refuse())?;
        reader.digest.update(&reader.line);
        Ok(reader)
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// The number of the line that was read last; the first line is 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes were read, decrypted ones where the file is encrypted.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many bytes the file has: as many as can be read, or a few more where it is encrypted.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The next line; none after a last line that agrees with all before it.
    pub(super) fn next(&mut self) -> Result<Option<DumpLine>, BackupError> {
        self.read_line()?;
        if self.order.is_complete() {
            return self.end().map(|()| None);
        }
        let says = |error: serde_json::Error| bad(self.number, format!("it cannot be read ({error})"));
        let line: DumpLine = serde_json::from_slice(&self.line).map_err(says)?;
        self.order.take(&line).map_err(|says| bad(self.number, says))?;
        self.digest.update(&self.line);
        Ok(Some(line))
    }

    fn end(&mut self) -> Result<(), BackupError> {
        let refuse = |says: &str| bad(self.number, says);
        let trailer: Trailer =
            serde_json::from_slice(&self.line).map_err(|_| refuse("it is not the last line of a backup"))?;
        // One spelling only, or a change of it would go unnoticed.
        let mut spelled = serde_json::to_vec(&trailer).map_err(|_| refuse("it cannot be spelled"))?;
        spelled.push(b'\n');
        if spelled != self.line {
            return Err(refuse("it was altered"));
        }
        if trailer.lines != self.number - 1 || trailer.sha256 != sum(self.digest.clone()) {
            return Err(refuse(
                "it does not agree with the lines before it: the file was altered",
            ));
        }
        let more = self
            .input
            .fill_buf()
            .map_err(|error| unread(self.path, self.number + 1, error))?;
        if more.is_empty() {
            Ok(())
        } else {
            Err(bad(self.number + 1, "there is more after the last line"))
        }
    }

    fn read_line(&mut self) -> Result<(), BackupError> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.input)
            .take(LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut self.line)
            .map_err(|error| unread(self.path, self.number, error))?;
        self.bytes += read as u64;
        match self.line.last() {
            Some(b'\n') => Ok(()),
            _ if read == LINE_BYTES_MAX => Err(bad(self.number, "it is longer than a line of a backup can be")),
            Some(_) => Err(bad(self.number, "the file is cut off here")),
            None => Err(bad(self.number, "the file is cut off before it")),
        }
    }
}

fn sum(digest: Context) -> Hex32 {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref());
    Hex32(bytes)
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

pub(super) fn trouble(path: &Path, error: io::Error) -> BackupError {
    BackupError::File {
        path: path.to_owned(),
        error,
    }
}

pub(super) fn bad(line: u64, says: impl Into<String>) -> BackupError {
    BackupError::Bad {
        line,
        says: says.into(),
    }
}
