//! The shape of a file: its name, its length, its first line, its white space.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{File, Finding, Language};

/// From here on a file is asked whether it holds a second concept.
const CODE_LINES_WARN: usize = 500;
/// From here on it is told to.
const CODE_LINES_MAX: usize = 600;

/// Names that say nothing, so that everything ends up in them.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "misc", "shared"];

/// Judges the names of all files and folders.
pub(super) fn names(paths: &BTreeSet<PathBuf>) -> Vec<Finding> {
    paths
        .iter()
        .filter_map(|path| {
            let empty = path.iter().filter_map(|part| part.to_str()).find(|part| {
                let stem = part.split('.').next().unwrap_or(part);
                EMPTY_NAMES.contains(&stem.to_lowercase().as_str())
            })?;
            let file = File::new(path.clone(), "");
            Some(Finding::error(
                &file,
                1,
                "empty-name",
                format!("`{empty}` says nothing; name what is in it"),
            ))
        })
        .collect()
}

/// Judges one file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut found = white_space(file);
    found.extend(length(file));
    found.extend(first_line(file));
    found
}

fn white_space(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    // `str::lines` would hide the carriage return that this rule looks for.
    for (index, line) in file.text.split('\n').enumerate() {
        let number = index + 1;
        let bare = line.strip_suffix('\r').unwrap_or(line);
        if bare.len() < line.len() {
            found.push(Finding::error(file, number, "no-crlf", "end lines with LF alone"));
        }
        if bare.ends_with([' ', '\t']) {
            found.push(Finding::error(
                file,
                number,
                "trailing-space",
                "remove the white space at the end",
            ));
        }
        if bare.contains('\t') && file.language != Language::Makefile {
            found.push(Finding::error(file, number, "no-tab", "indent with spaces"));
        }
    }
    found
}

fn length(file: &File) -> Option<Finding> {
    if !file.language.is_code() {
        return None;
    }
    let comment = match file.language {
        Language::Python => "#",
        _ => "//",
    };
    let is_code = |line: &&str| !line.is_empty() && !line.starts_with(comment);
    let count = file.text.lines().map(str::trim).filter(is_code).count();
    let says = format!(
        "{count} lines of code (aim: {CODE_LINES_WARN}, limit: {CODE_LINES_MAX}); is there a second concept inside?"
    );
    if count > CODE_LINES_MAX {
        Some(Finding::error(file, 1, "length", says))
    } else if count > CODE_LINES_WARN {
        Some(Finding::warning(file, 1, "length", says))
    } else {
        None
    }
}

fn first_line(file: &File) -> Option<Finding> {
    let first = file.text.lines().next().unwrap_or("");
    let told = first.strip_prefix("//! ").is_some_and(|says| !says.trim().is_empty());
    (file.language == Language::Rust && !told).then(|| {
        Finding::error(
            file,
            1,
            "first-line",
            "begin with `//!` and one sentence that says what the file is for",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;

    fn rules(file: &File) -> Vec<&'static str> {
        check(file).into_iter().map(|finding| finding.rule).collect()
    }

    fn rust_of(code_lines: usize) -> File {
        File::new(
            "a.rs",
            format!("//! One thing.\n{}", "let a = 1;\n\n// why\n".repeat(code_lines)),
        )
    }

    #[test]
    fn a_tidy_file_passes() {
        assert_eq!(check(&rust_of(CODE_LINES_WARN)), []);
    }

    #[test]
    fn a_long_file_is_a_warning_and_a_very_long_one_an_error() {
        let weights = |code_lines| {
            check(&rust_of(code_lines))
                .into_iter()
                .map(|it| it.weight)
                .collect::<Vec<_>>()
        };
        assert_eq!(weights(CODE_LINES_WARN + 1), [Weight::Warning]);
        assert_eq!(weights(CODE_LINES_MAX), [Weight::Warning]);
        assert_eq!(weights(CODE_LINES_MAX + 1), [Weight::Error]);
    }

    #[test]
    fn prose_may_be_long() {
        assert_eq!(check(&File::new("a.md", "words\n".repeat(5000))), []);
    }

    #[test]
    fn rust_without_a_sentence_on_its_first_line_is_found() {
        assert_eq!(rules(&File::new("a.rs", "fn main() {}\n")), ["first-line"]);
        assert_eq!(rules(&File::new("a.rs", "//!\n//! Too late.\n")), ["first-line"]);
        assert_eq!(rules(&File::new("a.rs", "")), ["first-line"]);
    }

    #[test]
    fn tabs_are_found_except_where_make_needs_them() {
        assert_eq!(rules(&File::new("a.py", "if a:\n\tb\n")), ["no-tab"]);
        assert_eq!(rules(&File::new("Makefile", "a:\n\tb\n")), [""; 0]);
    }

    #[test]
    fn carriage_returns_are_found() {
        assert_eq!(rules(&File::new("a.toml", "a = 1\r\n")), ["no-crlf"]);
    }

    #[test]
    fn white_space_at_the_end_of_a_line_is_found_with_its_line() {
        let found = check(&File::new("a.toml", "a = 1\nb = 2 \n"));
        assert_eq!((found[0].rule, found[0].line), ("trailing-space", 2));
    }

    #[test]
    fn a_name_that_says_nothing_is_found_anywhere_in_a_path() {
        let found = |path: &str| names(&BTreeSet::from([PathBuf::from(path)])).len();
        assert_eq!(found("crates/core/src/key.rs"), 0);
        assert_eq!(found("crates/core/src/utils.rs"), 1);
        assert_eq!(found("crates/server/tests/common/mod.rs"), 1);
        assert_eq!(found("web/src/helpers.test.ts"), 1);
        assert_eq!(found("crates/core/src/commonplace.rs"), 0);
    }
}
