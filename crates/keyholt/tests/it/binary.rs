//! The program itself: the real environment, streams and exit codes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::desk::{CREDENTIAL, Desk, KEY, REVEALED, about_self};
use crate::stub::{Canned, Stub};

/// The program with nothing in its environment but a home.
fn program(desk: &Desk) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyholt"));
    command.env_clear().env("HOME", desk.home());
    command
}

fn run(mut command: Command, stdin: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn from_log_in_to_verdict() {
    let denied = json!({"valid": false, "code": "unknown", "as_of": "2030-01-01T00:00:00Z"});
    let stub = Stub::playing([about_self(), Canned::json(200, &denied)]);
    let desk = Desk::of_a_stranger();
    let mut login = program(&desk);
    login.args(["login", "--server", &stub.url, "--store", "file"]);
    let output = run(login, &format!("{CREDENTIAL}\n"));
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(std::fs::metadata(desk.login_file()).unwrap().mode() & 0o777, 0o600);

    let mut verify = program(&desk);
    verify.args(["keys", "verify"]);
    let output = run(verify, REVEALED);
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.starts_with("verdict  not valid: unknown\n"), "{stdout}");
    assert_eq!(output.stderr, b"");
}

#[test]
fn the_credential_is_read_from_the_environment_and_printed_nowhere() {
    let stub = Stub::playing([about_self(), Canned::text(500, "text/plain", "")]);
    let desk = Desk::of_a_stranger();
    for _ in 0..2 {
        let mut whoami = program(&desk);
        whoami
            .args(["whoami", "--server", &stub.url])
            .env("KEYHOLT_CREDENTIAL", CREDENTIAL);
        let output = run(whoami, "");
        for stream in [output.stdout, output.stderr] {
            assert!(!String::from_utf8(stream).unwrap().contains(CREDENTIAL));
        }
    }
    assert_eq!(
        stub.seen()[0].header("authorization").unwrap(),
        format!("Bearer {CREDENTIAL}")
    );
}

#[test]
fn no_secret_stands_in_the_process_list() {
    // A server that never answers keeps the program alive while its arguments are read.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let desk = Desk::of_a_stranger();
    let mut command = program(&desk);
    command
        .args(["keys", "verify", "--server", &url])
        .env("KEYHOLT_CREDENTIAL", CREDENTIAL);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(REVEALED.as_bytes()).unwrap();
    // Once it has connected it has read its secret.
    let connection = listener.accept().unwrap();
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(connection);
    assert!(arguments.contains("verify"), "{arguments:?}");
    assert!(!arguments.contains(REVEALED) && !arguments.contains(CREDENTIAL));
}

#[test]
fn a_reader_that_went_away_is_not_told_anything() {
    let stub = Stub::playing([about_self()]);
    let desk = Desk::of_a_stranger();
    let mut command = program(&desk);
    command
        .args(["whoami", "--server", &stub.url])
        .env("KEYHOLT_CREDENTIAL", CREDENTIAL);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(2), &b""[..]));
}

#[test]
fn the_settings_of_the_server_are_flags_of_serve_and_the_clients_variables_are_left_alone() {
    let desk = Desk::of_a_stranger();
    let mut command = program(&desk);
    command
        .args(["config", "show", "--listen", "127.0.0.1:7400"])
        .env("KEYHOLT_SERVER", "http://127.0.0.1:7400")
        .current_dir(desk.home());
    let output = run(command, "");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        stdout.contains("127.0.0.1:7400") && stdout.contains("--listen"),
        "{stdout}"
    );

    let mut command = program(&desk);
    command
        .args(["config", "show"])
        .env("KEYHOLT_LISTN", "x")
        .current_dir(desk.home());
    let output = run(command, "");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr).unwrap().contains("KEYHOLT_LISTEN"),
        "{KEY}"
    );
}

#[test]
fn the_serving_process_leaves_no_core_dump_however_large_a_one_it_was_allowed() {
    let desk = Desk::of_a_stranger();
    let mut server = Command::new("sh");
    // As large as it goes, so that it is the program that forbids it.
    server
        .args([
            "-c",
            "ulimit -S -c \"$(ulimit -H -c)\"; exec \"$0\" serve --listen 127.0.0.1:0 --database memory",
        ])
        .arg(env!("CARGO_BIN_EXE_keyholt"))
        .current_dir(desk.home())
        .env_clear()
        .env("HOME", desk.home())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = server.spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let listens = said
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("listens on http"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(listens, "the server did not start");
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .unwrap();
    let words: Vec<_> = core.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "bytes"]);
}
