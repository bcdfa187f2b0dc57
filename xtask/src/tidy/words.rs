//! Words that do not belong in committed text: unfinished work, sleeping tests, paths of one machine.
//!
//! The forbidden words are put together from halves here, so that this file passes its own rules.

use super::{File, Finding, Language};

/// A word that is not allowed in program text.
struct Forbidden {
    word: &'static str,
    rule: &'static str,
    says: &'static str,
    /// The languages in which it means what it seems to mean.
    within: &'static [Language],
}

const CODE: &[Language] = &[Language::Rust, Language::TypeScript, Language::Python];
const TYPESCRIPT: &[Language] = &[Language::TypeScript];
const UNFINISHED: &str = "finish it or leave it out";
const SLEEPING: &str = "a test that does not run protects nothing: mend it or remove it";

const FORBIDDEN: &[Forbidden] = &[
    Forbidden {
        word: concat!("todo", "!"),
        rule: "unfinished",
        says: UNFINISHED,
        within: CODE,
    },
    Forbidden {
        word: concat!("unimpl", "emented!"),
        rule: "unfinished",
        says: UNFINISHED,
        within: CODE,
    },
    Forbidden {
        word: concat!("TO", "DO"),
        rule: "unfinished",
        says: UNFINISHED,
        within: CODE,
    },
    Forbidden {
        word: concat!("FIX", "ME"),
        rule: "unfinished",
        says: UNFINISHED,
        within: CODE,
    },
    Forbidden {
        word: concat!("XX", "X"),
        rule: "unfinished",
        says: UNFINISHED,
        within: CODE,
    },
    Forbidden {
        word: concat!("for", " now"),
        rule: "unfinished",
        says: UNFINISHED,
        within: CODE,
    },
    Forbidden {
        word: concat!("place", "holder"),
        rule: "unfinished",
        says: UNFINISHED,
        within: CODE,
    },
    Forbidden {
        word: concat!("#[ign", "ore"),
        rule: "sleeping-test",
        says: SLEEPING,
        within: &[Language::Rust],
    },
    Forbidden {
        word: concat!("it.sk", "ip"),
        rule: "sleeping-test",
        says: SLEEPING,
        within: TYPESCRIPT,
    },
    Forbidden {
        word: concat!("test.sk", "ip"),
        rule: "sleeping-test",
        says: SLEEPING,
        within: TYPESCRIPT,
    },
    Forbidden {
        word: concat!("describe.sk", "ip"),
        rule: "sleeping-test",
        says: SLEEPING,
        within: TYPESCRIPT,
    },
    Forbidden {
        word: concat!("it.to", "do"),
        rule: "sleeping-test",
        says: SLEEPING,
        within: TYPESCRIPT,
    },
    Forbidden {
        word: concat!("test.to", "do"),
        rule: "sleeping-test",
        says: SLEEPING,
        within: TYPESCRIPT,
    },
    Forbidden {
        word: concat!("mark.sk", "ip"),
        rule: "sleeping-test",
        says: SLEEPING,
        within: &[Language::Python],
    },
    Forbidden {
        word: concat!("unittest.sk", "ip"),
        rule: "sleeping-test",
        says: SLEEPING,
        within: &[Language::Python],
    },
];

/// Folders that exist on one machine and not on the reader's.
const MACHINE_PATHS: [&str; 3] = [concat!("/t", "mp/"), concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// Judges the words of one file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    // A script that asks for a fresh folder may name the place where such folders are.
    let asks_for_a_folder = file.text.starts_with("#!") && file.text.contains("mktemp");
    for (number, line) in file.lines() {
        for forbidden in FORBIDDEN.iter().filter(|it| it.within.contains(&file.language)) {
            if says(line, forbidden.word, file.language) {
                let says = format!("`{}`: {}", forbidden.word, forbidden.says);
                found.push(Finding::error(file, number, forbidden.rule, says));
            }
        }
        for path in MACHINE_PATHS
            .iter()
            .filter(|path| !asks_for_a_folder && names_folder(line, path))
        {
            found.push(Finding::error(
                file,
                number,
                "machine-path",
                format!("`{path}` is a folder of one machine"),
            ));
        }
    }
    found
}

/// Whether `line` contains `word` as a word of its own.
fn says(line: &str, word: &str, language: Language) -> bool {
    let is_letter = |it: char| it.is_alphanumeric() || it == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let alone = !before.is_some_and(is_letter) && !after.is_some_and(is_letter);
        // In TSX and in class names the grey text of an input field is an attribute, not unfinished work.
        let attribute = language == Language::TypeScript && matches!(after, Some('=' | ':'));
        alone && !attribute
    })
}

/// Whether `line` names `folder` from the root, not as the middle of a longer path or address.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|it| it.is_alphanumeric() || matches!(it, '.' | '_' | '-' | '}' | ')' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&File::new(path, text))
            .into_iter()
            .map(|finding| finding.rule)
            .collect()
    }

    #[test]
    fn every_forbidden_word_is_found_in_each_of_its_languages() {
        for forbidden in FORBIDDEN {
            for language in forbidden.within {
                let path = match language {
                    Language::Rust => "a.rs",
                    Language::TypeScript => "a.ts",
                    _ => "a.py",
                };
                let text = format!("let a = 1;\n  {}(later)\n", forbidden.word);
                let found = check(&File::new(path, text));
                assert_eq!(found.len(), 1, "`{}` in {path}", forbidden.word);
                assert_eq!((found[0].rule, found[0].line), (forbidden.rule, 2));
            }
        }
    }

    #[test]
    fn longer_words_that_contain_a_forbidden_one_are_left_alone() {
        assert_eq!(
            rules("a.rs", concat!("let place", "holders = 2; // for nowhere\n")),
            [""; 0]
        );
    }

    #[test]
    fn an_input_attribute_is_not_unfinished_work_but_a_remark_is() {
        assert_eq!(rules("a.tsx", concat!("<input place", "holder=\"Name\" />\n")), [""; 0]);
        assert_eq!(rules("a.tsx", concat!("// a place", "holder\n")), ["unfinished"]);
    }

    #[test]
    fn prose_may_talk_about_unfinished_work() {
        assert_eq!(rules("a.md", concat!("No FIX", "ME is accepted.\n")), [""; 0]);
    }

    #[test]
    fn a_rust_iterator_may_skip() {
        assert_eq!(rules("a.rs", "let b = a.iter().skip(1);\n"), [""; 0]);
    }

    #[test]
    fn each_machine_path_is_found_in_any_text() {
        for path in MACHINE_PATHS {
            assert_eq!(rules("a.toml", &format!("data = \"{path}x\"\n")), ["machine-path"]);
        }
    }

    #[test]
    fn a_folder_of_the_same_name_further_down_is_allowed() {
        assert_eq!(
            rules(
                "a.md",
                concat!("see target", "/t", "mp/ and https://a.example/wo", "rk/b\n")
            ),
            [""; 0]
        );
    }

    #[test]
    fn a_script_with_mktemp_may_name_where_it_makes_its_folder() {
        let bad = concat!("#!/bin/sh\necho /t", "mp/x\n");
        let good = concat!("#!/bin/sh\nmktemp -d /t", "mp/x.XXXXXX\n");
        assert_eq!(rules("tools/a", bad), ["machine-path"]);
        assert_eq!(rules("tools/a", good), [""; 0]);
    }
}
