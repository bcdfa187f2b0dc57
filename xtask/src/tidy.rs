//! Style as a test: reads every file of the repository and says `path:line: rule: what is wrong`.

mod layers;
mod links;
mod shape;
mod sql;
mod words;

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};

/// Checks the repository at `root`, prints what it found and fails if any finding is an error.
pub fn run(root: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let tree = Tree::read(root)?;
    let mut findings = tree.findings();
    findings.sort();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let errors = findings
        .iter()
        .filter(|finding| finding.weight == Weight::Error)
        .count();
    let warnings = findings.len() - errors;
    writeln!(
        out,
        "tidy: {} files, {errors} errors, {warnings} warnings",
        tree.files.len()
    )?;
    Ok(if errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Shown; does not fail the run.
    Warning,
    /// Fails the run.
    Error,
}

/// One place that breaks one rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: PathBuf,
    line: usize,
    rule: &'static str,
    says: String,
    weight: Weight,
}

impl Finding {
    fn error(file: &File, line: usize, rule: &'static str, says: impl Into<String>) -> Self {
        Self {
            path: file.path.clone(),
            line,
            rule,
            says: says.into(),
            weight: Weight::Error,
        }
    }

    fn warning(file: &File, line: usize, rule: &'static str, says: impl Into<String>) -> Self {
        Self {
            weight: Weight::Warning,
            ..Self::error(file, line, rule, says)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.weight {
            Weight::Warning => " (warning)",
            Weight::Error => "",
        };
        write!(
            f,
            "{}:{}: {}{mark}: {}",
            self.path.display(),
            self.line,
            self.rule,
            self.says
        )
    }
}

/// What a file is written in, as far as the rules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    TypeScript,
    Python,
    Markdown,
    Makefile,
    /// A shell script, a manifest, a style sheet: text that a person wrote.
    Text,
}

impl Language {
    fn of(path: &Path, text: &str) -> Self {
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or("");
        match extension {
            "rs" => Self::Rust,
            "ts" | "tsx" | "mts" => Self::TypeScript,
            "py" => Self::Python,
            "md" => Self::Markdown,
            "mk" => Self::Makefile,
            _ if path.file_name().is_some_and(|name| name == "Makefile") => Self::Makefile,
            "" if text
                .lines()
                .next()
                .is_some_and(|it| it.starts_with("#!") && it.contains("python")) =>
            {
                Self::Python
            }
            _ => Self::Text,
        }
    }

    /// Program text, as opposed to prose and settings.
    fn is_code(self) -> bool {
        matches!(self, Self::Rust | Self::TypeScript | Self::Python)
    }
}

/// One text file of the repository; its path is relative to the root.
#[derive(Debug)]
struct File {
    path: PathBuf,
    text: String,
    language: Language,
}

impl File {
    fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let language = Language::of(&path, &text);
        Self { path, text, language }
    }

    /// Lines with their numbers, counted from one.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Text that a program wrote is judged by whether it is fresh, not by its looks.
    fn is_generated(&self) -> bool {
        const MARK: &str = concat!("@", "generated");
        const BY_NAME: [&str; 3] = ["Cargo.lock", "package-lock.json", "LICENSE"];
        let name = self.path.file_name().and_then(|it| it.to_str()).unwrap_or("");
        BY_NAME.contains(&name)
            || self.path.extension().is_some_and(|it| it == "snap" || it == "svg")
            || self.path.starts_with("openapi")
            || self.text.lines().take(5).any(|line| line.contains(MARK))
    }
}

/// Everything under version control, or about to be.
struct Tree {
    /// All paths, also those of files that are not text.
    paths: BTreeSet<PathBuf>,
    files: Vec<File>,
}

impl Tree {
    /// Reads what git tracks or would track, so that build output and ignored data are never judged.
    fn read(root: &Path) -> anyhow::Result<Self> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("cannot run `git ls-files`")?;
        ensure!(
            listed.status.success(),
            "`git ls-files` failed: {}",
            String::from_utf8_lossy(&listed.stderr)
        );
        let listed = String::from_utf8(listed.stdout).context("a path is not UTF-8")?;
        let mut tree = Self {
            paths: BTreeSet::new(),
            files: Vec::new(),
        };
        for path in listed.split_terminator('\0').map(PathBuf::from) {
            let full = root.join(&path);
            // Still tracked, but deleted in the work tree: nothing to judge.
            if !full.is_file() {
                continue;
            }
            let bytes = std::fs::read(&full).with_context(|| format!("cannot read `{}`", path.display()))?;
            // A NUL byte or broken UTF-8 means an image or an archive.
            if let Ok(text) = String::from_utf8(bytes)
                && !text.contains('\0')
            {
                tree.files.push(File::new(path.clone(), text));
            }
            tree.paths.insert(path);
        }
        ensure!(!tree.files.is_empty(), "found no file to judge in `{}`", root.display());
        Ok(tree)
    }

    fn findings(&self) -> Vec<Finding> {
        let mut found: Vec<Finding> = shape::names(&self.paths);
        for file in &self.files {
            if !file.is_generated() {
                found.extend(shape::check(file));
                found.extend(words::check(file));
            }
            found.extend(links::check(file, self));
            found.extend(layers::check(file));
            found.extend(sql::check(file));
        }
        found
    }
}

#[cfg(test)]
impl Tree {
    fn of(files: Vec<File>) -> Self {
        Self {
            paths: files.iter().map(|file| file.path.clone()).collect(),
            files,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_path_line_rule_and_reason() {
        let file = File::new("crates/core/src/key.rs", "");
        let finding = Finding::error(&file, 3, "no-tab", "indent with spaces");
        assert_eq!(
            finding.to_string(),
            "crates/core/src/key.rs:3: no-tab: indent with spaces"
        );
    }

    #[test]
    fn generated_text_is_not_judged_by_its_looks() {
        let written = File::new("docs/a.md", "trailing \n");
        let made = File::new("docs/b.md", concat!("<!-- @", "generated -->\ntrailing \n"));
        assert_eq!(Tree::of(vec![written, made]).findings().len(), 1);
    }

    #[test]
    fn a_script_without_extension_is_known_by_its_first_line() {
        assert_eq!(
            File::new("tools/tour", "#!/usr/bin/env python3\n").language,
            Language::Python
        );
        assert_eq!(
            File::new("tools/need", "#!/usr/bin/env bash\n").language,
            Language::Text
        );
    }
}
