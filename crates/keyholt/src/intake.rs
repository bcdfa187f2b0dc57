//! How secrets come in: from stdin, from a file or from a hidden prompt; never as an argument.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::person::Person;
use crate::trouble::Trouble;

/// Longest input that is looked at as a secret.
const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// Where a secret shall be read: `-` is stdin, anything else is a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretInput {
    /// Standard input.
    Stdin,
    /// A file that holds nothing else.
    File(PathBuf),
}

impl FromStr for SecretInput {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "-" => Self::Stdin,
            path => Self::File(PathBuf::from(path)),
        })
    }
}

/// Why an input is no secret. Neither holds what was read.
#[derive(Debug)]
pub enum SecretError {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It was read, and it cannot be a secret.
    Unfit(&'static str),
}

/// Reads a secret from where it was said to be; where nothing was said, asks the person or reads stdin.
///
/// `what` names it in questions and errors, such as "the credential".
pub fn read_secret(
    input: Option<&SecretInput>,
    stdin: &mut dyn Read,
    person: Option<&mut Box<dyn Person>>,
    what: &str,
) -> Result<Zeroizing<String>, Trouble> {
    let read = match (input, person) {
        (None, Some(person)) => {
            let typed = person.secret(&format!("Paste {what} (it is not shown):"))?;
            fit(typed)
        }
        (Some(SecretInput::File(path)), _) => read_secret_file(path),
        (Some(SecretInput::Stdin), _) | (None, None) => read_secret_from(stdin),
    };
    read.map_err(|error| {
        let trouble = Trouble::new(format!("cannot read {what}"));
        match error {
            SecretError::Unreadable(error) => trouble.because(&error),
            SecretError::Unfit(says) => trouble
                .caused_by(says)
                .hint("pipe it in, or name a file that holds nothing else"),
        }
    })
}

/// Reads a file that holds a secret and nothing else.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let mut file = File::open(path).map_err(SecretError::Unreadable)?;
    read_secret_from(&mut file)
}

fn read_secret_from(input: &mut dyn Read) -> Result<Zeroizing<String>, SecretError> {
    let mut bytes = Zeroizing::new(Vec::new());
    input
        .take(INPUT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(SecretError::Unreadable)?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(SecretError::Unfit("it is far too long"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::Unfit("it is not text"))?;
    fit(Zeroizing::new(text.to_owned()))
}

/// Removes the one line end that `echo` and editors add. Nothing else is trimmed: a secret has one spelling.
fn fit(text: Zeroizing<String>) -> Result<Zeroizing<String>, SecretError> {
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(SecretError::Unfit("there is nothing in it"));
    }
    if line.contains(['\n', '\r']) {
        return Err(SecretError::Unfit("it has more than one line"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<String> {
        let mut stdin = bytes;
        let read = read_secret(Some(&SecretInput::Stdin), &mut stdin, None, "the credential");
        read.ok().map(|secret| secret.to_string())
    }

    #[test]
    fn one_line_end_is_taken_off_and_nothing_else() {
        assert_eq!(read(b"kh_abc\n").as_deref(), Some("kh_abc"));
        assert_eq!(read(b"kh_abc\r\n").as_deref(), Some("kh_abc"));
        assert_eq!(read(b" kh_abc ").as_deref(), Some(" kh_abc "));
        for unfit in [&b""[..], b"\n", b"a\nb\n", b"\xff", &[b'a'; 70_000]] {
            assert_eq!(read(unfit), None);
        }
    }
}
