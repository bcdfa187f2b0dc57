//! What the suite left behind: all files below the searched paths, read in bounded pieces.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::secrets::{SECRET_LEN_MAX, Secrets};
use super::views::{self, View};

/// A file is read in pieces of this size, so that a database of any size fits.
const PIECE_LEN: usize = 8 << 20;
/// Each piece begins with the end of the one before, so that no secret falls between two.
const OVERLAP_LEN: usize = 2 * SECRET_LEN_MAX;
/// Folders below folders, at most.
const DEPTH_MAX: usize = 64;

/// How compressed files begin: zstd, gzip, xz, zip, bzip2.
const COMPRESSED: [&[u8]; 5] = [
    b"\x28\xb5\x2f\xfd",
    b"\x1f\x8b\x08",
    b"\xfd7zXZ\x00",
    b"PK\x03\x04",
    b"BZh",
];

/// Something in a file that fails the gate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) offset: u64,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// The secret on this line of the list, under this view.
    Secret(usize, View),
    /// A file that cannot be searched.
    Compressed,
}

impl Hit {
    /// Says what was found, with the secret named by its line in `list` only.
    pub(super) fn says(&self, list: impl std::fmt::Display) -> String {
        match &self.what {
            What::Secret(line, view) => {
                let how = match view {
                    View::Raw => "as it is",
                    View::Hex => "in hex",
                    View::Base64 => "in base64",
                    View::Percent => "percent-encoded",
                };
                format!("the secret on line {line} of {list}, {how}")
            }
            What::Compressed => "is compressed: unpack it before the search".to_owned(),
        }
    }
}

/// One file to search.
pub(super) struct Straw {
    pub(super) path: PathBuf,
    len: u64,
}

impl Straw {
    /// Everything in this file that fails the gate, in order.
    pub(super) fn search(&self, secrets: &Secrets) -> anyhow::Result<Vec<Hit>> {
        let trouble = || format!("cannot read `{}`", self.path.display());
        // A database at work removes files of its own; what is gone was not left behind.
        let Some(mut file) = unless_gone(File::open(&self.path)).with_context(trouble)? else {
            return Ok(Vec::new());
        };
        let mut found: BTreeMap<(u64, usize), View> = BTreeMap::new();
        let mut piece: Vec<u8> = Vec::with_capacity(PIECE_LEN);
        let mut offset = 0_u64;
        loop {
            let kept = piece.len();
            let wanted = PIECE_LEN.saturating_sub(kept) as u64;
            let read = Read::by_ref(&mut file)
                .take(wanted)
                .read_to_end(&mut piece)
                .with_context(trouble)?;
            if offset == 0 && COMPRESSED.iter().any(|magic| piece.starts_with(magic)) {
                return Ok(vec![Hit {
                    offset,
                    what: What::Compressed,
                }]);
            }
            if read == 0 {
                break;
            }
            for (hit, view) in views::find(&piece, secrets) {
                // Seen whole at the end of the piece before; here it may have lost its head.
                if offset > 0 && view == View::Raw && hit.offset < SECRET_LEN_MAX {
                    continue;
                }
                found.entry((offset + hit.offset as u64, hit.line)).or_insert(view);
            }
            let done = piece.len().saturating_sub(OVERLAP_LEN);
            piece.drain(..done);
            offset += done as u64;
        }
        let hit = |((offset, line), view)| Hit {
            offset,
            what: What::Secret(line, view),
        };
        Ok(found.into_iter().map(hit).collect())
    }
}

/// All files to search.
pub(super) struct Haystack {
    straws: Vec<Straw>,
}

impl Haystack {
    /// Walks the searched paths. The list of secrets itself is not part of what was left behind.
    pub(super) fn gather(search: &[PathBuf], exclude: &[(PathBuf, String)], list: &Path) -> anyhow::Result<Self> {
        let real = |path: &PathBuf| {
            path.canonicalize()
                .with_context(|| format!("there is no `{}`", path.display()))
        };
        let mut left_out = BTreeSet::from([real(&list.to_path_buf())?]);
        for (path, _) in exclude {
            left_out.insert(real(path)?);
        }
        let mut straws = BTreeMap::new();
        for path in search {
            walk(real(path)?, path.clone(), &left_out, DEPTH_MAX, &mut straws)?;
        }
        let haystack = Self {
            straws: straws.into_values().collect(),
        };
        ensure!(
            haystack.bytes() > 0,
            "there is nothing to search: a gate that saw nothing proves nothing"
        );
        Ok(haystack)
    }

    pub(super) fn straws(&self) -> &[Straw] {
        &self.straws
    }

    pub(super) fn bytes(&self) -> u64 {
        self.straws.iter().map(|straw| straw.len).sum()
    }
}

/// Adds `path` and all below it, keyed by its real place so that no file is searched twice.
fn walk(
    real: PathBuf,
    path: PathBuf,
    left_out: &BTreeSet<PathBuf>,
    depth: usize,
    straws: &mut BTreeMap<PathBuf, Straw>,
) -> anyhow::Result<()> {
    if left_out.contains(&real) {
        return Ok(());
    }
    let trouble = || format!("cannot look into `{}`", path.display());
    let Some(kind) = unless_gone(fs::symlink_metadata(&real)).with_context(trouble)? else {
        return Ok(());
    };
    if kind.is_dir() {
        ensure!(depth > 0, "`{}` is nested too deeply", path.display());
        for entry in fs::read_dir(&real).with_context(trouble)? {
            let name = entry.with_context(trouble)?.file_name();
            walk(real.join(&name), path.join(&name), left_out, depth - 1, straws)?;
        }
    } else if kind.is_file() {
        straws.insert(real, Straw { path, len: kind.len() });
    }
    // Sockets and pipes hold nothing; what a link points to is searched where it is.
    Ok(())
}

/// `None` for what is not there any more.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(it) => Ok(Some(it)),
        Err(trouble) if trouble.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const BODY: &str = "q7XwB2mZt9LcR4vNy8KdPs3HgJ6fTa5W";

    fn search(content: &[u8]) -> Vec<Hit> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let straw = Straw {
            path: file.path().into(),
            len: content.len() as u64,
        };
        straw.search(&Secrets::parse(BODY).unwrap()).unwrap()
    }

    #[test]
    fn a_secret_across_two_pieces_is_found_once_at_its_true_offset() {
        for before in [
            0,
            PIECE_LEN - 40,
            PIECE_LEN - 16,
            PIECE_LEN - OVERLAP_LEN - 16,
            PIECE_LEN + 7,
        ] {
            let mut content = vec![b'\n'; before];
            content.extend_from_slice(BODY.as_bytes());
            content.resize(PIECE_LEN * 2 + 100, 0);
            let hits = search(&content);
            let what = What::Secret(1, View::Raw);
            assert_eq!(
                hits,
                [Hit {
                    offset: before as u64,
                    what
                }],
                "{before} bytes before"
            );
        }
    }

    #[test]
    fn a_file_that_grew_smaller_than_a_piece_is_read_to_its_end() {
        assert_eq!(search(format!("{}{BODY}", "x\n".repeat(3000)).as_bytes()).len(), 1);
        assert_eq!(search(b""), []);
    }

    #[test]
    fn a_file_that_went_away_meanwhile_hides_nothing_but_one_that_cannot_be_read_is_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::parse(BODY).unwrap();
        let search = |path| Straw { path, len: 1 }.search(&secrets);
        assert_eq!(search(folder.path().join("gone")).unwrap(), []);
        assert!(search(folder.path().to_path_buf()).is_err());
    }

    #[test]
    fn folders_are_walked_and_each_file_is_searched_once() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join("log"), "x").unwrap();
        let list = folder.path().join("list");
        fs::write(&list, BODY).unwrap();
        let haystack = Haystack::gather(&[folder.path().into(), below], &[], &list).unwrap();
        assert_eq!((haystack.straws().len(), haystack.bytes()), (1, 1));
    }
}
