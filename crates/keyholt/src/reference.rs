//! `docs/reference/cli.md`, made from the definition of the command line.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use crate::cli::Cli;
use crate::world::VARIABLES;

/// The page about every command, with its arguments and examples.
pub fn reference_markdown() -> String {
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut page = String::from(
        "# Command line\n\n\
         <!-- @generated from the definition of the command line; edit that, then run `cargo xtask generate`. -->\n\n\
         Data goes to stdout, talk to stderr. Exit codes: **0** done, or yes; **1** a well-asked no (not valid, refused,\n\
         not found); **2** no answer (a mistake in the command, an outage, a server that cannot be understood). An outage\n\
         is never shown as a verdict. With `--json` stdout is the API's JSON, one document; where the server refuses, that\n\
         document is its problem.\n\n\
         A new secret is alone on its line of stdout, so that `SECRET=$(keyholt keys create … --secret-only)` works.\n\
         Secrets are read from stdin, a file or a hidden prompt, and never from arguments.\n\n\
         ## Environment\n\n| Variable | What it is for |\n|---|---|\n",
    );
    // Writing to a string cannot fail.
    for (name, meaning) in VARIABLES {
        let _ = writeln!(page, "| `{name}` | {meaning} |");
    }
    page.push_str("| `NO_COLOR` | Any value: no colours. |\n");
    page.push_str("\n## Global options\n\n");
    write_arguments(
        &mut page,
        root.get_arguments().filter(|argument| argument.is_global_set()),
    );
    for command in root.get_subcommands_mut() {
        write_command(&mut page, command, "keyholt", 2);
    }
    let lines: Vec<&str> = page.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

fn write_command(page: &mut String, command: &mut Command, parent: &str, level: usize) {
    let name = format!("{parent} {}", command.get_name());
    let _ = write!(page, "\n{} `{name}`\n\n", "#".repeat(level));
    if let Some(about) = command.get_about() {
        let _ = writeln!(page, "{about}.");
    }
    let aliases: Vec<String> = command
        .get_visible_aliases()
        .map(|alias| format!("`{alias}`"))
        .collect();
    if !aliases.is_empty() {
        let _ = writeln!(page, "\nAlso called {}.", aliases.join(", "));
    }
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set())
        .collect();
    if own.iter().any(|argument| argument.get_id() != "help") {
        page.push('\n');
        write_arguments(page, own.into_iter());
    }
    if let Some(after) = command.get_after_help() {
        write_after(page, &after.to_string());
    }
    for verb in command.get_subcommands_mut() {
        write_command(page, verb, &name, level + 1);
    }
}

/// Prose stays prose; the indented lines of examples become a block.
fn write_after(page: &mut String, after: &str) {
    let (prose, examples) = after.split_once("Example").unwrap_or((after, ""));
    if !prose.trim().is_empty() {
        let _ = write!(page, "\n{}\n", prose.trim());
    }
    let examples: Vec<&str> = examples
        .lines()
        .skip(1)
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if !examples.is_empty() {
        let _ = write!(page, "\n```console\n{}\n```\n", examples.join("\n"));
    }
}

fn write_arguments<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    page.push_str("| Argument | Meaning |\n|---|---|\n");
    for argument in arguments.filter(|argument| argument.get_id() != "help" && argument.get_id() != "version") {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let mut meaning = cell(&help);
        let values: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|_| argument.get_action().takes_values())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !values.is_empty() {
            let _ = write!(meaning, ": {}", values.join(", "));
        }
        let defaults: Vec<String> = argument
            .get_default_values()
            .iter()
            .filter(|_| argument.get_action().takes_values())
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        if !defaults.is_empty() {
            let _ = write!(meaning, " (default {})", defaults.join(", "));
        }
        if argument.is_required_set() {
            meaning.push_str(" (required)");
        }
        let _ = writeln!(page, "| `{}` | {meaning} |", name_of(argument));
    }
}

fn name_of(argument: &Arg) -> String {
    let values: Vec<&str> = argument
        .get_value_names()
        .into_iter()
        .flatten()
        .map(|name| name.as_str())
        .collect();
    let value = match argument.get_action().takes_values() {
        true if values.is_empty() => format!("<{}>", argument.get_id().as_str().to_uppercase()),
        true => format!("<{}>", values.join("> <")),
        false => String::new(),
    };
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    [names.join(", "), value]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
