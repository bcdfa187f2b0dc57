//! SQL is text that a person wrote: what comes from outside travels beside it, as a parameter, and never in it.

use super::{File, Finding, Language};

/// Where statements are written.
const STORE: &str = "crates/store/src";
/// Words by which a statement, or a piece of one, is known. SQL is written in upper case here.
const WORDS: [&str; 14] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "FROM", "WHERE", "JOIN", "COPY", "PRAGMA", "VALUES", "CREATE", "LIMIT",
    "IN (", "ORDER BY",
];
/// The files that put statements together from pieces that are not all constants, and why that is no way in. Their pieces are
/// `&'static str`, words of our own enums, or a number of `?`.
const BUILDERS: [(&str, &str); 6] = [
    (
        "crates/store/src/sqlite/keys.rs",
        "the index, the conditions and the labels that a list of keys goes by",
    ),
    (
        "crates/store/src/sqlite/events.rs",
        "the index and the conditions that a list of events goes by",
    ),
    (
        "crates/store/src/sqlite/source.rs",
        "walks over what those two have put together",
    ),
    (
        "crates/store/src/postgres/find.rs",
        "columns, conditions and orders of a list",
    ),
    (
        "crates/store/src/postgres/load.rs",
        "COPY takes no parameters: the kinds of records, from an enum",
    ),
    (
        "crates/store/src/postgres/dump.rs",
        "the outcomes of uses in their order, from an enum",
    ),
];

/// Judges one file of the store; other files pass.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let is_product = file.path.starts_with(STORE)
        && !file.path.starts_with("crates/store/src/contract")
        && !file.path.ends_with("tests.rs");
    if file.language != Language::Rust || !is_product {
        return Vec::new();
    }
    let is_builder = BUILDERS.iter().any(|(builder, _)| file.path.as_os_str() == *builder);
    if is_builder {
        return Vec::new();
    }
    file.text
        .match_indices("format!(")
        .filter_map(|(at, opening)| {
            let (literal, rest) = literal(file.text.get(at + opening.len()..)?)?;
            let is_sql = WORDS.iter().any(|word| literal.contains(word));
            let foreign = is_sql.then(|| foreign(literal, rest))??;
            let line = file.text.get(..at)?.lines().count().max(1);
            let says = format!("`{foreign}` becomes part of a statement: use a parameter, or a constant");
            Some(Finding::error(file, line, "sql-from-constants", says))
        })
        .collect()
}

/// The literal at the beginning, and what follows it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start().strip_prefix('"')?;
    let mut escaped = false;
    let end = text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// What the literal is filled with and is no constant, if anything.
fn foreign<'a>(literal: &'a str, rest: &'a str) -> Option<&'a str> {
    let named = literal
        .split('{')
        .skip(1)
        .filter_map(|piece| piece.split(['}', ':']).next())
        .filter(|name| !name.is_empty());
    let given = rest.split(')').next().unwrap_or_default();
    let given = given.split(',').map(str::trim).filter(|argument| !argument.is_empty());
    named.chain(given).find(|value| !is_constant(value))
}

/// Whether this names a constant: `RECORD`, `columns::RECORD`.
fn is_constant(value: &str) -> bool {
    let name = value.rsplit("::").next().unwrap_or(value);
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(path: &str, code: &str) -> Vec<String> {
        let found = check(&File::new(path, format!("//! One thing.\n{code}\n")));
        found
            .into_iter()
            .map(|finding| format!("{}: {}", finding.line, finding.says))
            .collect()
    }

    fn in_store(code: &str) -> Vec<String> {
        says("crates/store/src/sqlite/anything.rs", code)
    }

    #[test]
    fn a_value_in_a_statement_is_found_with_its_line() {
        let found = in_store("let sql = format!(\"SELECT id FROM keys WHERE name = '{name}'\");");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("2: `name` becomes part"), "{found:?}");
        assert_eq!(in_store("format!(\"DELETE FROM keys WHERE id = {}\", key.id)").len(), 1);
        assert_eq!(
            in_store("format!(\n    \"SELECT {} FROM {}\",\n    columns::KEY, table\n)").len(),
            1
        );
    }

    #[test]
    fn constants_may_be_put_together() {
        assert_eq!(in_store("format!(\"SELECT {RECORD}, handle FROM records\")"), [""; 0]);
        assert_eq!(in_store("format!(\"SELECT {} FROM keys k\", columns::KEY)"), [""; 0]);
    }

    #[test]
    fn a_message_is_no_statement() {
        assert_eq!(in_store("format!(\"event {number} is out of order\")"), [""; 0]);
    }

    #[test]
    fn builders_and_what_is_no_store_pass() {
        let built = "format!(\"SELECT {value} FROM keys\")";
        for (builder, _) in BUILDERS {
            assert_eq!(says(builder, built), [""; 0]);
        }
        assert_eq!(says("crates/server/src/http/keys.rs", built), [""; 0]);
        assert_eq!(says("crates/store/src/contract/keys.rs", built), [""; 0]);
    }
}
