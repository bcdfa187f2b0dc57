//! Writes what the program says about itself: the OpenAPI document and the reference pages.

mod api;
mod bodies;
mod scopes;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use keyholt_api::code::{denials_page, errors_page};
use keyholt_server::config;
use keyholt_server::http::{document, document_json};

/// Every generated file with its text.
fn files() -> Vec<(&'static str, String)> {
    let contract = document();
    vec![
        ("openapi/keyholt.json", document_json(&contract)),
        ("docs/reference/api.md", api::page(&contract)),
        ("docs/reference/bodies.md", bodies::page(&contract)),
        ("docs/reference/scopes.md", scopes::page()),
        ("docs/reference/errors.md", errors_page()),
        ("docs/reference/denials.md", denials_page()),
        ("docs/reference/configuration.md", config::reference_markdown()),
        ("docs/reference/cli.md", keyholt::reference_markdown()),
    ]
}

/// Writes all of them below the repository's root, and tells which were stale.
pub fn run(root: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    for (path, text) in files() {
        let file = root.join(path);
        if fs::read_to_string(&file).is_ok_and(|old| old == text) {
            continue;
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(&file, text).with_context(|| format!("writing {path}"))?;
        writeln!(out, "{path}: written anew")?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_what_the_program_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (path, text) in files() {
            let committed = fs::read_to_string(root.join(path)).unwrap_or_default();
            assert!(committed == text, "{path} is stale: run `make generate`");
        }
    }
}
