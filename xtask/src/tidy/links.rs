//! Relative links in Markdown: the file must exist, and so must the heading.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{File, Finding, Language, Tree};

/// Judges the links of one Markdown file; other files pass.
pub(super) fn check(file: &File, tree: &Tree) -> Vec<Finding> {
    if file.language != Language::Markdown {
        return Vec::new();
    }
    prose(&file.text)
        .flat_map(|(number, line)| targets(line).into_iter().map(move |target| (number, target)))
        .filter_map(|(number, target)| {
            let says = broken(file, &target, tree)?;
            Some(Finding::error(file, number, "dead-link", format!("`{target}`: {says}")))
        })
        .collect()
}

/// Why `target` leads nowhere, if it does.
fn broken(file: &File, target: &str, tree: &Tree) -> Option<&'static str> {
    let elsewhere = ["http://", "https://", "mailto:"]
        .iter()
        .any(|scheme| target.starts_with(scheme));
    if elsewhere {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = resolve(&file.path, path) else {
        return Some("leads out of the repository");
    };
    let is_folder = path.as_os_str().is_empty() || tree.paths.iter().any(|it| it != &path && it.starts_with(&path));
    if !tree.paths.contains(&path) && !is_folder {
        return Some("no such file");
    }
    let linked = tree
        .files
        .iter()
        .find(|it| it.path == path && it.language == Language::Markdown);
    match linked {
        Some(linked) if !heading.is_empty() && !anchors(&linked.text).contains(heading) => Some("no such heading"),
        _ => None,
    }
}

/// The path that a link means, counted from the root; `None` when it climbs out.
fn resolve(from: &Path, link: &str) -> Option<PathBuf> {
    if link.is_empty() {
        return Some(from.to_path_buf());
    }
    let mut path = if link.starts_with('/') {
        PathBuf::new()
    } else {
        from.parent()?.to_path_buf()
    };
    for part in Path::new(link).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir if !path.pop() => return None,
            _ => {}
        }
    }
    Some(path)
}

/// Lines outside fenced blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fence && !fenced).then_some((index + 1, line))
    })
}

/// The targets of all `[text](target)` and `[name]: target` of one line; code spans are skipped.
fn targets(line: &str) -> Vec<String> {
    let spoken: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let bare = |target: &str| {
        target
            .split_whitespace()
            .next()
            .unwrap_or("")
            .trim_matches(['<', '>'])
            .to_owned()
    };
    let mut found: Vec<String> = spoken
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| bare(target))
        .collect();
    if let Some((name, target)) = spoken.split_once("]: ")
        && name.starts_with('[')
    {
        found.push(bare(target));
    }
    found.retain(|target| !target.is_empty());
    found
}

/// The anchors that a Markdown file's headings make, as forges write them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut made = BTreeSet::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() < line.len() && title.starts_with(' ') {
            let slug: String = title
                .trim()
                .to_lowercase()
                .chars()
                .filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'))
                .map(|it| if it == ' ' { '-' } else { it })
                .collect();
            // The second heading of the same words gets `-1`, the third `-2`.
            let again = (1..).map(|count| format!("{slug}-{count}"));
            let free = std::iter::once(slug.clone())
                .chain(again)
                .find(|slug| !made.contains(slug));
            made.extend(free);
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Vec<String> {
        let tree = Tree::of(vec![
            File::new("docs/a.md", text),
            File::new("docs/adr/0001-b.md", "# B\n\n## Why not `c`?\n\n## Twice\n\n## Twice\n"),
            File::new("README.md", "# R\n"),
        ]);
        check(&tree.files[0], &tree)
            .into_iter()
            .map(|it| format!("{}: {}", it.line, it.says))
            .collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "# Here\n[a](adr/0001-b.md) [b](../README.md) [c](adr/) [d](https://a.example/x) [e](#here)\n\
                    [f](adr/0001-b.md#why-not-c) [g](adr/0001-b.md#twice-1) [h]: ../README.md\n";
        assert_eq!(says(text), [""; 0]);
    }

    #[test]
    fn a_missing_file_is_found_with_its_line() {
        assert_eq!(says("\n[a](adr/0002-c.md)\n"), ["2: `adr/0002-c.md`: no such file"]);
        assert_eq!(says("[a]: gone.md \"title\"\n"), ["1: `gone.md`: no such file"]);
    }

    #[test]
    fn a_missing_heading_is_found() {
        assert_eq!(
            says("[a](adr/0001-b.md#never)\n"),
            ["1: `adr/0001-b.md#never`: no such heading"]
        );
        assert_eq!(says("[a](#never)\n"), ["1: `#never`: no such heading"]);
    }

    #[test]
    fn a_link_out_of_the_repository_is_found() {
        assert_eq!(
            says("[a](../../x.md)\n"),
            ["1: `../../x.md`: leads out of the repository"]
        );
    }

    #[test]
    fn examples_in_code_are_not_links() {
        assert_eq!(says("`[a](gone.md)`\n```\n[a](gone.md)\n```\n"), [""; 0]);
    }
}
