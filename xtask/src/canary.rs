//! The suite's last gate: no secret that any test made may be found in anything the suite left behind.
//!
//! The tests write each secret they make to one file; this searches logs, captured output, database
//! files and backups for all of them, as they are and encoded, whole and in part. It never prints one.

mod haystack;
mod secrets;
mod views;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use haystack::Haystack;
use secrets::Secrets;

/// Every secret is absent.
const CLEAN: u8 = 0;
/// A secret was found.
const LEAKED: u8 = 1;
/// The search could not be made, or would have proven nothing.
const BLIND: u8 = 2;

/// The words of `cargo xtask canary`.
#[derive(Args)]
pub struct Canary {
    /// The file with every secret that any test made, one on each line
    #[arg(long, value_name = "FILE")]
    secrets: PathBuf,
    /// Files and folders to search, folders with all that is below them
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    search: Vec<PathBuf>,
    /// A path below the searched ones that is left out, and why: `PATH=REASON`
    #[arg(long, value_name = "PATH=REASON", value_parser = exclusion)]
    exclude: Vec<(PathBuf, String)>,
}

fn exclusion(text: &str) -> Result<(PathBuf, String), String> {
    match text.split_once('=') {
        Some((path, reason)) if !path.is_empty() && reason.split_whitespace().count() >= 2 => {
            Ok((PathBuf::from(path), reason.to_owned()))
        }
        _ => Err("say `PATH=REASON`, the reason in words".to_owned()),
    }
}

impl Canary {
    /// Searches, says what it found and answers 0 (clean), 1 (a leak) or 2 (saw nothing).
    pub fn run(&self, out: &mut impl Write) -> ExitCode {
        let verdict = self.search(out).unwrap_or_else(|trouble| {
            // Nothing can be said where the output itself is gone; the status still tells.
            let _ = writeln!(out, "canary: blind: {trouble:#}");
            BLIND
        });
        ExitCode::from(verdict)
    }

    fn search(&self, out: &mut impl Write) -> anyhow::Result<u8> {
        let secrets = Secrets::read(&self.secrets)?;
        let haystack = Haystack::gather(&self.search, &self.exclude, &self.secrets)?;
        for (path, reason) in &self.exclude {
            writeln!(out, "canary: left out {}: {reason}", path.display())?;
        }
        let list = self.secrets.display().to_string();
        let mut hits = 0_usize;
        for straw in haystack.straws() {
            for hit in straw.search(&secrets)? {
                hits += 1;
                writeln!(out, "{}:{}: {}", straw.path.display(), hit.offset, hit.says(&list))?;
            }
        }
        writeln!(
            out,
            "canary: {} secrets, {} files, {} bytes, {hits} hits",
            secrets.len(),
            haystack.straws().len(),
            haystack.bytes()
        )?;
        Ok(if hits == 0 { CLEAN } else { LEAKED })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const SECRET: &str = "kh_q7XwB2mZt9LcR4vNy8KdPs3HgJ6fTa5Wk3f2aB";

    /// A suite that has ended: its list of secrets and what it left behind.
    struct Suite {
        folder: TempDir,
    }

    impl Suite {
        fn ended_with(list: &str) -> Self {
            let suite = Self {
                folder: tempfile::tempdir().unwrap(),
            };
            fs::create_dir(suite.folder.path().join("kept")).unwrap();
            fs::write(suite.list(), list).unwrap();
            suite
        }

        fn list(&self) -> PathBuf {
            self.folder.path().join("secrets")
        }

        fn kept(&self, name: &str) -> PathBuf {
            self.folder.path().join("kept").join(name)
        }

        fn leaves(self, name: &str, content: impl AsRef<[u8]>) -> Self {
            fs::write(self.kept(name), content).unwrap();
            self
        }

        fn gate(&self, exclude: Vec<(PathBuf, String)>) -> (u8, String) {
            let search = vec![self.folder.path().to_path_buf()];
            let canary = Canary {
                secrets: self.list(),
                search,
                exclude,
            };
            let mut said = Vec::new();
            let verdict = canary.search(&mut said);
            let mut said = String::from_utf8(said).unwrap();
            let verdict = verdict.unwrap_or_else(|trouble| {
                said += &format!("{trouble:#}");
                BLIND
            });
            (verdict, said)
        }
    }

    #[test]
    fn a_suite_that_kept_its_secrets_passes() {
        let suite = Suite::ended_with(SECRET).leaves("log", "key 0198 issued to alice\n");
        let (verdict, said) = suite.gate(vec![]);
        assert_eq!(verdict, CLEAN, "{said}");
        assert!(said.contains("1 secrets, 1 files, 25 bytes, 0 hits"), "{said}");
    }

    #[test]
    fn a_leak_is_shown_as_file_and_offset_and_never_as_the_secret() {
        let suite = Suite::ended_with(SECRET).leaves("log", format!("token={SECRET}\n"));
        let (verdict, said) = suite.gate(vec![]);
        assert_eq!(verdict, LEAKED);
        assert!(said.contains(&format!("{}:9: ", suite.kept("log").display())), "{said}");
        assert!(said.contains("the secret on line 1"), "{said}");
        for window in SECRET.as_bytes().windows(8) {
            assert!(!said.contains(std::str::from_utf8(window).unwrap()), "{said}");
        }
    }

    #[test]
    fn a_gate_that_was_told_no_secret_is_blind() {
        let suite = Suite::ended_with("\n\n").leaves("log", "x");
        assert_eq!(suite.gate(vec![]).0, BLIND);
        fs::remove_file(suite.list()).unwrap();
        assert_eq!(suite.gate(vec![]).0, BLIND);
    }

    #[test]
    fn a_gate_that_has_nothing_to_search_is_blind() {
        let suite = Suite::ended_with(SECRET);
        let (verdict, said) = suite.gate(vec![]);
        assert_eq!(verdict, BLIND);
        assert!(said.contains("nothing to search"), "{said}");
    }

    #[test]
    fn a_missing_folder_is_not_an_empty_one() {
        let suite = Suite::ended_with(SECRET).leaves("log", "x");
        let canary = Canary {
            secrets: suite.list(),
            search: vec![suite.kept("gone")],
            exclude: vec![],
        };
        assert!(canary.search(&mut Vec::new()).is_err());
    }

    #[test]
    fn a_path_is_left_out_only_with_a_reason_and_is_named() {
        let suite = Suite::ended_with(SECRET).leaves("reply", SECRET).leaves("log", "x");
        let (verdict, said) = suite.gate(vec![(suite.kept("reply"), "shows the one reveal".to_owned())]);
        assert_eq!(verdict, CLEAN);
        assert!(said.contains("shows the one reveal"), "{said}");
        assert!(exclusion("kept/reply").is_err());
        assert!(exclusion("kept/reply=").is_err());
        assert!(exclusion("kept/reply=the one reveal").is_ok());
    }

    #[test]
    fn an_exclusion_that_matches_nothing_is_an_error() {
        let suite = Suite::ended_with(SECRET).leaves("log", "x");
        assert_eq!(
            suite.gate(vec![(suite.kept("gone"), "was there once".to_owned())]).0,
            BLIND
        );
    }

    #[test]
    fn a_compressed_file_cannot_hide_a_secret() {
        let suite = Suite::ended_with(SECRET).leaves("backup", [0x28, 0xb5, 0x2f, 0xfd, 0, 1, 2, 3]);
        let (verdict, said) = suite.gate(vec![]);
        assert_eq!(verdict, LEAKED);
        assert!(said.contains("compressed"), "{said}");
    }
}
