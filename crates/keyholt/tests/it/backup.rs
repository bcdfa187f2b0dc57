//! Encrypted backups, from the passphrase's file to the way back: made, checked and restored by the program itself.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::desk::{Desk, Outcome, PASSWORD};

/// The data of a server that ran once.
fn data_of_a_server(desk: &Desk) -> String {
    let data = desk.home().join("data").to_str().unwrap().to_owned();
    let mut server = Command::new(env!("CARGO_BIN_EXE_keyholt"))
        .env_clear()
        .args(["serve", "--listen", "127.0.0.1:0", "--data", &data])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It says where it listens once the data are there.
    let mut said = String::new();
    let stdout = server.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut said).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(said.contains("listens on"), "{said}");
    data
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn quiet(outcome: &Outcome) {
    assert!(!format!("{outcome:?}").contains(PASSWORD), "the passphrase was printed");
}

#[test]
fn an_encrypted_backup_goes_out_and_comes_back_with_its_passphrase_only() {
    let desk = Desk::of_a_stranger();
    let data = data_of_a_server(&desk);
    let passphrase = desk.file("passphrase", &format!("{PASSWORD}\n"));
    let backup = desk.home().join("monday.age");
    let (passphrase, backup) = (path(&passphrase), path(&backup));

    let made = desk.run_alone(&[
        "backup",
        "create",
        "--data",
        &data,
        "--to",
        backup,
        "--passphrase-file",
        passphrase,
    ]);
    assert_eq!(made.code, 0, "{made}");
    assert!(made.stderr.contains("It is encrypted."), "{made}");
    quiet(&made);
    assert!(std::fs::read(backup).unwrap().starts_with(b"age-encryption.org/v1\n"));

    let without = desk.run_alone(&["backup", "verify", backup, "--data", &data]);
    assert_eq!(without.code, 2, "{without}");
    assert!(without.stderr.contains("the backup is encrypted"), "{without}");
    assert!(without.stderr.contains("`--passphrase-file` names"), "{without}");

    let other = desk.file("other", "nine violet umbrellas\n");
    let wrong = desk.run_alone(&[
        "backup",
        "verify",
        backup,
        "--data",
        &data,
        "--passphrase-file",
        path(&other),
    ]);
    assert_eq!(wrong.code, 1, "{wrong}");
    assert!(wrong.stderr.contains("the passphrase is not the one"), "{wrong}");

    let good = desk.run_alone(&[
        "backup",
        "verify",
        backup,
        "--data",
        &data,
        "--passphrase-file",
        passphrase,
    ]);
    assert_eq!(good.code, 0, "{good}");
    quiet(&good);

    // The passphrase may be piped in.
    let desk = desk.with_stdin(PASSWORD);
    let back = desk.run_alone(&[
        "backup",
        "restore",
        backup,
        "--data",
        &data,
        "--passphrase-file",
        "-",
        "--yes",
    ]);
    assert_eq!(back.code, 0, "{back}");
    quiet(&back);
}

#[test]
fn a_plain_backup_is_refused_where_a_passphrase_is_named() {
    let desk = Desk::of_a_stranger();
    let data = data_of_a_server(&desk);
    let passphrase = desk.file("passphrase", PASSWORD);
    let backup = desk.home().join("monday");
    let backup = path(&backup);
    assert_eq!(
        desk.run_alone(&["backup", "create", "--data", &data, "--to", backup])
            .code,
        0
    );
    let refused = desk.run_alone(&[
        "backup",
        "verify",
        backup,
        "--data",
        &data,
        "--passphrase-file",
        path(&passphrase),
    ]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("the backup is not encrypted"), "{refused}");
}
