//! Who may depend on whom: the staircase of the design, checked in every crate's manifest.

use toml::{Table, Value};

use super::{File, Finding};

/// A crate of ours and the crates of ours that it may name. A new crate takes its place here first.
const STAIRCASE: &[(&str, &[&str])] = &[
    ("keyholt-core", &[]),
    ("keyholt-api", &["keyholt-core"]),
    // What tests drive real servers with; it knows none of ours.
    ("keyholt-rig", &[]),
    ("keyholt-store", &["keyholt-core", "keyholt-rig"]),
    ("keyholt-server", &["keyholt-core", "keyholt-api", "keyholt-store"]),
    ("keyholt", &["keyholt-core", "keyholt-api", "keyholt-server"]),
    ("keyholt-client", &["keyholt-api"]),
    (
        "keyholt-bench",
        &[
            "keyholt-core",
            "keyholt-api",
            "keyholt-store",
            "keyholt-server",
            "keyholt-rig",
        ],
    ),
    ("keyholt-torture", &["keyholt-rig"]),
    // `generate` prints what the core, the wire and the server declare.
    ("xtask", &["keyholt", "keyholt-core", "keyholt-api", "keyholt-server"]),
];

/// The sections of a manifest that name other crates. Tests keep to the staircase too: what they
/// reach for from above tends to be what the product needs next.
const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Judges one manifest; other files pass.
pub(super) fn check(file: &File) -> Vec<Finding> {
    if file.path.file_name().is_none_or(|name| name != "Cargo.toml") {
        return Vec::new();
    }
    let manifest: Table = match file.text.parse() {
        Ok(manifest) => manifest,
        Err(trouble) => {
            return vec![Finding::error(file, 1, "layers", format!("is not TOML: {trouble}"))];
        }
    };
    let Some(name) = manifest
        .get("package")
        .and_then(|it| it.get("name"))
        .and_then(Value::as_str)
    else {
        return Vec::new();
    };
    // A fuzz target's crate stands outside the workspace and above everything.
    if name == "keyholt-fuzz" {
        return Vec::new();
    }
    let Some((_, allowed)) = STAIRCASE.iter().find(|(member, _)| *member == name) else {
        return vec![Finding::error(
            file,
            1,
            "layers",
            format!("`{name}` has no place on the staircase yet"),
        )];
    };
    let per_target = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values);
    per_target
        .filter_map(Value::as_table)
        .chain([&manifest])
        .flat_map(|table| SECTIONS.iter().filter_map(|section| table.get(*section)?.as_table()))
        .flatten()
        .map(|(key, value)| (key, value.get("package").and_then(Value::as_str).unwrap_or(key)))
        .filter(|(_, dependency)| STAIRCASE.iter().any(|(member, _)| member == dependency))
        .filter(|(_, dependency)| !allowed.contains(dependency) && *dependency != name)
        .map(|(key, dependency)| {
            let line = file
                .lines()
                .find(|(_, line)| line.starts_with(key.as_str()))
                .map_or(1, |(number, _)| number);
            let says = format!("`{name}` may not depend on `{dependency}` (allowed: {allowed:?})");
            Finding::error(file, line, "layers", says)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, rest: &str) -> Vec<Finding> {
        check(&File::new(
            "crates/x/Cargo.toml",
            format!("[package]\nname = \"{name}\"\n{rest}"),
        ))
    }

    #[test]
    fn a_step_down_is_allowed() {
        assert_eq!(
            manifest(
                "keyholt-store",
                "[dependencies]\nkeyholt-core.workspace = true\nserde = \"1\"\n"
            ),
            []
        );
    }

    #[test]
    fn a_step_up_is_found_with_its_line() {
        let found = manifest("keyholt-core", "[dependencies]\nkeyholt-store.workspace = true\n");
        assert_eq!((found[0].rule, found[0].line), ("layers", 4));
        assert!(
            found[0]
                .says
                .contains("`keyholt-core` may not depend on `keyholt-store`")
        );
    }

    #[test]
    fn a_step_up_in_tests_for_one_platform_or_under_another_name_is_found_too() {
        assert_eq!(
            manifest("keyholt-api", "[dev-dependencies]\nkeyholt-server.workspace = true\n").len(),
            1
        );
        assert_eq!(
            manifest(
                "keyholt-api",
                "[target.'cfg(unix)'.dependencies]\nkeyholt-store = \"1\"\n"
            )
            .len(),
            1
        );
        assert_eq!(
            manifest(
                "keyholt-api",
                "[dependencies]\nrows = { package = \"keyholt-store\" }\n"
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_crate_without_a_place_on_the_staircase_is_found() {
        assert!(manifest("keyholt-attic", "")[0].says.contains("no place"));
    }

    #[test]
    fn the_workspace_manifest_and_other_files_pass() {
        assert_eq!(check(&File::new("Cargo.toml", "[workspace]\n")), []);
        assert_eq!(check(&File::new("deny.toml", "[bans]\n")), []);
    }
}
