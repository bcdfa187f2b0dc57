//! Help and mistakes: every command has an example, and an argument never holds a secret.

use keyholt_core::entropy::Entropy;
use keyholt_core::secret::{Prefix, Secret, Visibility};

use crate::desk::Desk;

/// The commands below a command, as its help lists them.
fn commands_below(words: &[&str]) -> Vec<String> {
    let help = help(words);
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

fn help(words: &[&str]) -> String {
    let outcome = Desk::of_a_stranger().run_alone(&[words, &["--help"]].concat());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{words:?}");
    outcome.stdout
}

fn every_command() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(words) = open.pop() {
        let borrowed: Vec<&str> = words.iter().map(String::as_str).collect();
        for name in commands_below(&borrowed) {
            let mut below = words.clone();
            below.push(name);
            open.push(below);
        }
        found.push(words);
    }
    found
}

#[test]
fn the_help_of_every_command_has_an_example_that_is_a_command() {
    let commands = every_command();
    assert!(commands.len() > 60, "only {} commands were found", commands.len());
    for words in &commands {
        let borrowed: Vec<&str> = words.iter().map(String::as_str).collect();
        let help = help(&borrowed);
        let (_, examples) = help
            .split_once("Example")
            .unwrap_or_else(|| panic!("no example: {words:?}"));
        let example = examples
            .lines()
            .find(|line| line.contains("keyholt "))
            .unwrap_or_default();
        assert!(example.contains("keyholt "), "{words:?}");
        // The example of a verb shows that verb; an alias counts.
        if let [.., verb] = borrowed.as_slice()
            && borrowed.len() > 1
        {
            assert!(examples.contains(&format!(" {verb}")), "{words:?}: {example}");
        }
    }
}

#[test]
fn the_reference_page_has_every_command() {
    let page = keyholt::reference_markdown();
    for words in every_command().iter().filter(|words| !words.is_empty()) {
        assert!(page.contains(&format!(" `keyholt {}`\n", words.join(" "))), "{words:?}");
    }
    assert!(page.lines().take(5).any(|line| line.contains("@generated")));
    assert!(page.lines().all(|line| line == line.trim_end()));
}

#[test]
fn help_fits_the_terminal() {
    let outcome = Desk::of_a_stranger()
        .with_terminal(60)
        .with_variable("NO_COLOR", "1")
        .run_alone(&["keys", "rotate", "-h"]);
    let widest = outcome
        .stdout
        .lines()
        .filter(|line| !line.contains("keyholt keys rotate"))
        .map(str::len)
        .max();
    assert!(widest.is_some_and(|widest| widest <= 60), "{}", outcome.stdout);
}

#[test]
fn a_mistake_in_the_command_is_trouble() {
    let outcome = Desk::of_a_stranger().run_alone(&["keys", "crate"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(outcome.stderr.contains("create"), "{}", outcome.stderr);
}

#[test]
fn a_secret_among_the_arguments_is_refused_and_not_repeated() {
    struct Sevens;
    impl Entropy for Sevens {
        fn fill(&mut self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }
    let prefix = Prefix::new("acme").unwrap();
    let secret = Secret::mint(&prefix, Visibility::Secret, None, &mut Sevens)
        .reveal()
        .to_string();
    for words in [
        &["keys", "verify", &secret][..],
        &["login", "--credential", &secret],
        &["keys", "show", &secret],
        &["keys", "create", "--name", &format!("ci {secret}")],
    ] {
        let outcome = Desk::new().run_alone(words);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
        assert!(
            outcome.stderr.starts_with("error: an argument holds a secret\n"),
            "{}",
            outcome.stderr.len()
        );
        assert!(!outcome.stderr.contains(&secret));
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = Desk::of_a_stranger().run_alone(&["completions", shell]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
        assert!(outcome.stdout.contains("revoke-matching"), "{shell}");
    }
}

#[test]
fn the_version_is_data() {
    let version = env!("CARGO_PKG_VERSION");
    let outcome = Desk::of_a_stranger().run_alone(&["version"]);
    assert_eq!(outcome.stdout, format!("keyholt {version}\n"));
    let outcome = Desk::of_a_stranger().run_alone(&["version", "--json"]);
    assert_eq!(outcome.stdout, format!("{{\"version\":\"{version}\"}}\n"));
}
