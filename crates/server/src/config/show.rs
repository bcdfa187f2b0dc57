//! Settings as text: `keyholt config show` and the reference page, both derived from the table.

use std::fmt::Write;

use super::setting::{Fallback, Privacy, SETTINGS};
use super::value::Rule;
use super::{Loaded, Setting};

/// Every setting with its value and origin in aligned columns; secrets are hidden already.
#[must_use]
pub fn show(loaded: &Loaded) -> String {
    let width = |of: fn(&super::Shown) -> &str| {
        let widths = loaded.shown.iter().map(|row| of(row).chars().count());
        widths.max().unwrap_or(0)
    };
    let (names, values) = (width(|row| row.name), width(|row| &row.value));
    loaded.shown.iter().fold(String::new(), |mut text, row| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:names$}  {:values$}  {}", row.name, row.value, row.origin);
        text
    })
}

/// The page `docs/reference/configuration.md`.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    for setting in SETTINGS {
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## `{}`\n\n{}\n\n{}",
            setting.name,
            setting.about,
            facts(setting)
        );
    }
    page
}

const INTRODUCTION: &str = "\
# Configuration

Every setting of `keyholt serve` can be given in a TOML file, in the environment or as a flag, under the same name.
A flag wins over the environment, the environment over the file, the file over the default. A name that is not in this
list is an error. `keyholt config show` prints the value that holds for each setting and where it comes from.

Times are written with a unit: `500ms`, `10s`, `5m`, `12h`, `30d`. So are sizes: `512B`, `64KiB`, `16MiB`.

This page is generated from the table of settings in the source.
";

fn facts(setting: &Setting) -> String {
    let mut lines = vec![format!("- Type: {}", kind(setting.rule))];
    lines.push(match setting.default {
        Fallback::Text("") => "- Default: empty".to_owned(),
        Fallback::Text(text) => format!("- Default: `{text}`"),
        Fallback::Unset(meaning) => format!("- Default: unset ({meaning})"),
    });
    lines.push(format!("- Environment: `{}`", setting.variable()));
    if let Some(variable) = setting.file_variable().filter(|name| is_own(name)) {
        lines.push(format!("- Read from a file: `{variable}`"));
    }
    lines.push(match setting.flag() {
        Some(flag) => format!("- Flag: `--{flag}`"),
        None => "- Flag: none, because a process list shows flags to everybody on the machine".to_owned(),
    });
    match setting.privacy {
        Privacy::Open => {}
        Privacy::UrlPassword => lines.push("- Shown without its password".to_owned()),
        Privacy::Secret => lines.push("- Secret: never shown".to_owned()),
    }
    lines.join("\n") + "\n"
}

/// Whether a `…_FILE` variable is not at the same time the variable of a setting with that name.
fn is_own(variable: &str) -> bool {
    SETTINGS.iter().all(|setting| setting.variable() != variable)
}

fn kind(rule: Rule) -> String {
    match rule {
        Rule::Text | Rule::Path => rule.type_name().to_owned(),
        Rule::Switch => "`true` or `false`".to_owned(),
        _ => {
            let allowed = rule.allowed();
            format!("{}: {}", rule.type_name(), allowed.trim_start_matches("write "))
        }
    }
}
