//! The secrets of a run and how to find them, whole or in part, in a stretch of bytes.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use anyhow::{Context, ensure};

/// A secret's random part, by its format.
const BODY_LEN: usize = 32;
/// The checksum behind it.
const CHECK_LEN: usize = 6;
/// So many characters of a random part in a row are a leak: 71 bits of it.
const WINDOW_LEN: usize = 12;
/// The automaton looks for every aligned piece of this length; a window always contains a whole one.
const ANCHOR_LEN: usize = 6;
/// The longest secret, so that the search can say how much of a file it must see at once.
pub(super) const SECRET_LEN_MAX: usize = 2 << 10;
const _: () = assert!(WINDOW_LEN >= 2 * ANCHOR_LEN - 1);

/// What is looked for of one secret.
struct Secret {
    /// Where in the list it stands; the only way it is ever named.
    line: usize,
    text: Vec<u8>,
    /// How many bytes of `text` in a row are a leak.
    least: usize,
}

impl Secret {
    /// The random part decides, if there is one; any other secret is looked for as a whole.
    fn new(line: usize, text: &str) -> Self {
        let tail = text.rsplit('_').next().unwrap_or(text);
        let random = tail.len() >= BODY_LEN && tail.bytes().all(|it| it.is_ascii_alphanumeric());
        if random {
            let body = if tail.len() == BODY_LEN + CHECK_LEN {
                &tail[..BODY_LEN]
            } else {
                tail
            };
            Self {
                line,
                text: body.into(),
                least: WINDOW_LEN,
            }
        } else {
            Self {
                line,
                text: text.into(),
                least: text.len(),
            }
        }
    }
}

/// A place where a secret was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) offset: usize,
    /// The line of the list that names the secret.
    pub(super) line: usize,
}

/// All secrets of a run, ready to be looked for.
pub(super) struct Secrets {
    secrets: Vec<Secret>,
    anchors: AhoCorasick,
    /// For each anchor: which secret has it, and where.
    homes: Vec<Vec<(usize, usize)>>,
}

impl Secrets {
    /// Reads the list; a list without a secret is an error, because it would let everything pass.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let list = fs::read_to_string(path)
            .with_context(|| format!("cannot read the list of secrets `{}`", path.display()))?;
        Self::parse(&list)
    }

    pub(super) fn parse(list: &str) -> anyhow::Result<Self> {
        let mut seen = BTreeSet::new();
        let mut secrets = Vec::new();
        for (index, text) in list.lines().enumerate().map(|(index, line)| (index, line.trim())) {
            if text.is_empty() || !seen.insert(text) {
                continue;
            }
            ensure!(
                text.len() >= WINDOW_LEN,
                "line {}: shorter than {WINDOW_LEN} characters, so it would be found everywhere",
                index + 1
            );
            ensure!(
                text.len() <= SECRET_LEN_MAX,
                "line {}: longer than {SECRET_LEN_MAX} characters",
                index + 1
            );
            secrets.push(Secret::new(index + 1, text));
        }
        ensure!(
            !secrets.is_empty(),
            "the list of secrets is empty: a gate that saw nothing proves nothing"
        );

        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut homes: Vec<Vec<(usize, usize)>> = Vec::new();
        let mut known: HashMap<&[u8], usize> = HashMap::new();
        for (which, secret) in secrets.iter().enumerate() {
            for (piece, at) in secret.text.chunks_exact(ANCHOR_LEN).zip((0..).step_by(ANCHOR_LEN)) {
                let home = *known.entry(piece).or_insert_with(|| {
                    pieces.push(piece);
                    homes.push(Vec::new());
                    homes.len() - 1
                });
                homes[home].push((which, at));
            }
        }
        let anchors = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&pieces)
            .context("cannot prepare the search")?;
        Ok(Self {
            secrets,
            anchors,
            homes,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.secrets.len()
    }

    /// Every secret in `bytes`, once per place.
    pub(super) fn find(&self, bytes: &[u8]) -> BTreeSet<Found> {
        let mut found = BTreeSet::new();
        for anchor in self.anchors.find_overlapping_iter(bytes) {
            for &(which, at) in &self.homes[anchor.pattern().as_usize()] {
                let secret = &self.secrets[which];
                let before = common(bytes[..anchor.start()].iter().rev(), secret.text[..at].iter().rev());
                let after = common(bytes[anchor.start()..].iter(), secret.text[at..].iter());
                if before + after >= secret.least {
                    found.insert(Found {
                        offset: anchor.start() - before,
                        line: secret.line,
                    });
                }
            }
        }
        found
    }
}

/// How many items two sequences have in common from their start.
fn common<'a>(left: impl Iterator<Item = &'a u8>, right: impl Iterator<Item = &'a u8>) -> usize {
    left.zip(right).take_while(|(left, right)| left == right).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "q7XwB2mZt9LcR4vNy8KdPs3HgJ6fTa5W";
    const PASSWORD: &str = "correct horse battery staple";

    fn found(bytes: &str) -> Vec<(usize, usize)> {
        let list = format!("kh_{BODY}k3f2aB\n\n{PASSWORD}\n");
        let secrets = Secrets::parse(&list).unwrap();
        secrets
            .find(bytes.as_bytes())
            .into_iter()
            .map(|it| (it.offset, it.line))
            .collect()
    }

    #[test]
    fn every_window_of_a_random_body_is_a_leak_and_one_character_less_is_not() {
        for start in 0..=BODY.len() - WINDOW_LEN {
            let window = &BODY[start..start + WINDOW_LEN];
            assert_eq!(found(&format!("..{window}..")), [(2, 1)], "window at {start}");
            assert_eq!(found(&format!("..{}..", &window[1..])), [], "window at {start}");
        }
    }

    #[test]
    fn a_prefix_and_the_checksum_give_nothing_away() {
        assert_eq!(found("kh_…k3f2aB"), []);
    }

    #[test]
    fn a_password_is_looked_for_as_a_whole() {
        assert_eq!(found(&format!("pw={PASSWORD};")), [(3, 3)]);
        assert_eq!(found("correct horse battery"), []);
    }

    #[test]
    fn two_secrets_in_one_line_are_two_hits() {
        assert_eq!(found(&format!("{PASSWORD}{BODY}")), [(0, 3), (PASSWORD.len(), 1)]);
    }

    #[test]
    fn a_secret_that_is_two_others_in_part_is_found_for_both() {
        let (left, right) = (format!("{BODY}AAAAAA"), format!("{}zzzzzzzzzzzzAAAAAA", &BODY[..20]));
        let secrets = Secrets::parse(&format!("{left}\n{right}\n")).unwrap();
        assert_eq!(secrets.find(&BODY.as_bytes()[..12]).len(), 2);
    }

    #[test]
    fn a_secret_too_short_to_be_searched_for_is_refused_by_its_line() {
        let trouble = Secrets::parse("hunter2\n").err().unwrap().to_string();
        assert!(
            trouble.starts_with("line 1: ") && !trouble.contains("hunter2"),
            "{trouble}"
        );
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert!(Secrets::parse(" \n\n").is_err());
    }
}
