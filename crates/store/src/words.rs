//! What counts as a word when keys are searched by text; the same for every store.

use std::collections::BTreeSet;

use keyholt_core::key::About;

/// Most words of one key that can be found; those after are not.
pub const WORDS_PER_KEY_MAX: usize = 64;
/// Most characters of a word that are compared.
pub const WORD_CHARS_MAX: usize = 40;
/// Most words of a search that are looked at.
pub const SOUGHT_MAX: usize = 8;
/// Most words that the beginning of a word stands for: the first ones of the project in the order of their bytes.
pub const COMPLETIONS_MAX: usize = 32;

/// What a text search asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sought {
    /// Words that must be there.
    pub whole: BTreeSet<String>,
    /// The beginning of a word that must be there.
    pub beginning: String,
}

/// The words by which a key is found: those of its name, then those of its description.
pub fn of_key(about: &About) -> BTreeSet<String> {
    of_texts(about.name.as_str(), about.description.as_str())
}

/// The words by which a key with these texts is found.
pub fn of_texts(name: &str, description: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in words(name).chain(words(description)) {
        if found.len() == WORDS_PER_KEY_MAX {
            break;
        }
        found.insert(word);
    }
    found
}

/// What a text asks for; `None` where there is no word in it.
pub fn sought(text: &str) -> Option<Sought> {
    let mut all: Vec<String> = words(text).take(SOUGHT_MAX).collect();
    let beginning = all.pop()?;
    Some(Sought {
        whole: all.into_iter().collect(),
        beginning,
    })
}

/// Runs of letters and digits in lower case.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|run| !run.is_empty())
        .map(|run| run.chars().flat_map(char::to_lowercase).take(WORD_CHARS_MAX).collect())
}

/// The first text after all that start with `prefix`, in the order of bytes; `None` where there is none.
pub(crate) fn after_all_with(prefix: &str) -> Option<String> {
    let mut kept: Vec<char> = prefix.chars().collect();
    while let Some(last) = kept.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            kept.push(next);
            return Some(kept.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let found: Vec<String> = words("Deploy-Bot №7 (Zürich), CI_2").collect();
        assert_eq!(found, ["deploy", "bot", "7", "zürich", "ci", "2"]);
        assert_eq!(
            words(&"x".repeat(90)).map(|word| word.len()).max(),
            Some(WORD_CHARS_MAX)
        );
    }

    #[test]
    fn the_last_word_of_a_search_is_a_beginning() {
        let asked = sought("nightly Back").unwrap();
        assert_eq!((asked.whole.len(), asked.beginning.as_str()), (1, "back"));
        assert_eq!(sought("  ,;- "), None);
    }

    #[test]
    fn a_range_of_texts_ends_before_the_next_beginning() {
        assert_eq!(after_all_with("ab").as_deref(), Some("ac"));
        assert_eq!(after_all_with("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(after_all_with("\u{D7FF}").as_deref(), Some("\u{E000}"));
        assert_eq!(after_all_with("\u{10FFFF}"), None);
    }
}
