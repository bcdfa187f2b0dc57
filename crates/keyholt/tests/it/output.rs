//! What reaches the terminal: nothing that steers it, nothing that is too wide, no colour that nobody wants.

use insta::assert_snapshot;
use keyholt_api::code::Code;
use keyholt_api::problem::Problem;
use serde_json::{Value, json};

use crate::desk::{Desk, KEY, key, key_with};
use crate::stub::{Canned, Stub};

const EVIL: &str = "\u{1b}[2Jci\u{9b}31m\u{202e}\r\nerror: you are hacked\u{7}\u{200b}";

fn keys() -> Canned {
    let named = key_with(&json!({"name": "the key of the nightly build of the web shop", "state": "suspended"}));
    Canned::json(200, &json!({"keys": [key(), named], "next_cursor": null}))
}

fn steers(text: &str) -> bool {
    text.chars()
        .any(|c| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{200b}'))
}

#[test]
fn what_a_name_holds_does_not_steer_the_terminal() {
    let evil = key_with(&json!({"name": EVIL, "tags": [EVIL], "metadata": {EVIL: EVIL}}));
    let stub = Stub::playing([
        Canned::json(200, &evil),
        Canned::json(200, &json!({"keys": [evil], "next_cursor": EVIL})),
        Canned::json(200, &evil),
    ]);
    for words in [
        &["keys", "show", KEY][..],
        &["keys", "list"],
        &["keys", "show", KEY, "--json"],
    ] {
        let outcome = Desk::new().run(&stub, words);
        assert!(!steers(&outcome.stdout) && !steers(&outcome.stderr), "{outcome:?}");
        assert!(outcome.stdout.contains("[2Jci"), "{outcome:?}");
    }
}

#[test]
fn json_still_says_the_same() {
    let evil = key_with(&json!({"name": EVIL}));
    let stub = Stub::playing([Canned::json(200, &evil)]);
    let outcome = Desk::new().run(&stub, &["keys", "show", KEY, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&outcome.stdout).unwrap(), evil);
}

#[test]
fn neither_does_what_an_error_holds() {
    let problem = Problem::new(Code::HandleTaken, EVIL).with_detail(EVIL);
    let stub = Stub::playing([Canned::told(problem)]);
    let outcome = Desk::new().run(&stub, &["roles", "create", EVIL]);
    assert!(!steers(&outcome.stderr), "{outcome:?}");
    assert!(!outcome.stderr.contains("\nerror: you are hacked"), "{outcome:?}");
}

#[test]
fn an_export_that_a_person_reads_does_not_steer_the_terminal_either() {
    let stub = Stub::playing([Canned::text(200, "text/csv", format!("1,{EVIL}\n2,b"))]);
    let outcome = Desk::new()
        .with_terminal(80)
        .run(&stub, &["events", "export", "--format", "csv"]);
    assert!(!steers(&outcome.stdout), "{outcome:?}");
    assert!(outcome.stdout.ends_with("2,b\n"), "{outcome:?}");
}

#[test]
fn a_table_fits_the_terminal() {
    let desk = || Desk::new().with_variable("NO_COLOR", "1");
    let stub = Stub::playing([keys(), keys()]);
    let usual = desk().with_terminal(100).run(&stub, &["keys", "list"]);
    assert_snapshot!(usual.stdout, @"
    ID                                    NAME                          OWNER      STATE      EXPIRES
    0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20  ci                            user:u_42  active     2030-04-01
    0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20  the key of the nightly build  user:u_42  suspended  2030-04-01
                                          of the web shop
    ");
    let narrow = desk().with_terminal(50).run(&stub, &["keys", "list"]);
    assert_snapshot!(narrow.stdout, @"
    ID       0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20
    NAME     ci
    OWNER    user:u_42
    STATE    active
    EXPIRES  2030-04-01

    ID       0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20
    NAME     the key of the nightly build of the web
             shop
    OWNER    user:u_42
    STATE    suspended
    EXPIRES  2030-04-01
    ");
    for (outcome, columns) in [(usual, 100), (narrow, 50)] {
        assert!(
            outcome.stdout.lines().all(|line| line.chars().count() <= columns),
            "{outcome}"
        );
    }
}

#[test]
fn colours_are_for_people_who_want_them() {
    let words = ["keys", "list"];
    let stub = Stub::playing([keys(), keys(), keys()]);
    let coloured = |desk: Desk| desk.run(&stub, &words).stdout.contains('\u{1b}');
    assert!(coloured(Desk::new().with_terminal(100)));
    assert!(!coloured(Desk::new().with_terminal(100).with_variable("NO_COLOR", "1")));
    assert!(!coloured(Desk::new()));
}

#[test]
fn a_secret_that_would_steer_the_terminal_is_not_printed() {
    let stub = Stub::playing([Canned::json(201, &json!({"key": key(), "secret": "acme_\u{1b}[2J"}))]);
    let outcome = Desk::new().run(&stub, &["keys", "create", "--name", "ci"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
}

#[test]
fn quiet_leaves_data_and_errors() {
    let stub = Stub::playing([Canned::json(200, &key()), Canned::problem(Code::NotFound)]);
    let outcome = Desk::new().run(&stub, &["keys", "resume", KEY, "-q"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    let outcome = Desk::new().run(&stub, &["keys", "resume", KEY, "-q"]);
    assert!(outcome.stderr.starts_with("error: cannot resume key"), "{outcome}");
}
