//! What keys are searched by: scopes, tags and words.

use std::collections::BTreeSet;

use keyholt_core::key::{Key, Kind};
use keyholt_core::scope::Access;

use crate::{KeyColumns, words};

/// Under which sort a word of a key's texts stands.
pub(super) const WORD: &str = "word";
/// Under which sort a tag stands.
pub(super) const TAG: &str = "tag";
/// Under which sort a scope stands.
pub(super) const SCOPE: &str = "scope";

/// Something that a key is found by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Label {
    pub sort: &'static str,
    pub value: String,
}

/// What a key is found by. Sessions are never searched: they would crowd the words out that keys are found by.
pub(super) fn of_key(key: &Key) -> BTreeSet<Label> {
    if key.kind == Kind::Session {
        return BTreeSet::new();
    }
    let label = |sort| {
        move |value: &str| Label {
            sort,
            value: value.to_owned(),
        }
    };
    let words = words::of_key(&key.about)
        .into_iter()
        .map(|value| Label { sort: WORD, value });
    let tags = key.about.tags.iter().map(|tag| label(TAG)(tag.as_str()));
    let mut labels: BTreeSet<Label> = words.chain(tags).collect();
    if let Access::Only(scopes) = &key.access {
        labels.extend(scopes.iter().map(|scope| label(SCOPE)(scope.as_str())));
    }
    labels
}

/// What a key is found by, from its columns. Columns that somebody tampered with have no labels that could be known.
pub(super) fn of_columns(columns: &KeyColumns) -> BTreeSet<Label> {
    columns.read().map(|(key, _)| of_key(&key)).unwrap_or_default()
}
