//! Somebody's desk: a home folder, an environment, a terminal or none; and what a command printed there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use keyholt::world::{Reader, Stream, World};
use keyholt::{Consent, Person, Unanswered, Vault, VaultError};
use keyholt_core::entropy::Entropy;
use keyholt_server::clock::FakeClock;
use serde_json::{Value, json};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::stub::{Canned, Stub};

/// 2030-01-01T00:00:00Z.
pub const NOW_MS: i64 = 1_893_456_000_000;
/// The secret with which the person at the desk is logged in.
pub const CREDENTIAL: &str = "kh_4Jq9wNfXz0RtLc7sVb2mHyKd8PgTe5Ua3kQnXw";
/// A secret that a server gives away.
pub const REVEALED: &str = "acme_Zr8mK1vQx6YtBn3jWc9sLd4HfGp7Ue2TbRwVyS";
/// The password of somebody who logs in.
pub const PASSWORD: &str = "nine violet umbrellas under a bridge";
/// A key's id.
pub const KEY: &str = "0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20";

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code.
    pub code: u8,
    /// What went to stdout.
    pub stdout: String,
    /// What went to stderr.
    pub stderr: String,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit: {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

/// Servers and secrets in a keyring.
type Kept = Vec<(String, String)>;

/// Somebody's desk.
pub struct Desk {
    home: TempDir,
    variables: Vec<(String, String)>,
    stdin: Vec<u8>,
    columns: Option<u16>,
    typed: Option<VecDeque<&'static str>>,
    asked: Rc<RefCell<Vec<String>>>,
    vault: Rc<RefCell<Option<Kept>>>,
}

impl Desk {
    /// A desk of somebody who is logged in, where a program reads what is printed.
    pub fn new() -> Self {
        register_secrets();
        let desk = Self::of_a_stranger();
        desk.with_variable("KEYHOLT_CREDENTIAL", CREDENTIAL)
    }

    /// A desk of somebody who is not logged in anywhere.
    pub fn of_a_stranger() -> Self {
        register_secrets();
        Self {
            home: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
            stdin: Vec::new(),
            columns: None,
            typed: None,
            asked: Rc::default(),
            vault: Rc::default(),
        }
    }

    /// With this variable in the environment.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this piped in.
    pub fn with_stdin(mut self, text: &str) -> Self {
        self.stdin = text.as_bytes().to_vec();
        self
    }

    /// With somebody at a terminal who types these answers.
    pub fn with_person(mut self, typed: impl IntoIterator<Item = &'static str>) -> Self {
        self.typed = Some(typed.into_iter().collect());
        self
    }

    /// With a terminal of this width to read at.
    pub fn with_terminal(mut self, columns: u16) -> Self {
        self.columns = Some(columns);
        self
    }

    /// On a machine with a keyring.
    pub fn with_keyring(self) -> Self {
        *self.vault.borrow_mut() = Some(Vec::new());
        self
    }

    /// What lies in the keyring.
    pub fn keyring(&self) -> Kept {
        self.vault.borrow().clone().unwrap_or_default()
    }

    /// What the person was asked.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    /// The home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The file of log-ins.
    pub fn login_file(&self) -> PathBuf {
        self.home().join(".config/keyholt/logins.toml")
    }

    /// A file in the home folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a command against a server.
    pub fn run(&self, stub: &Stub, words: &[&str]) -> Outcome {
        let mut all = words.to_vec();
        all.extend(["--server", &stub.url]);
        self.run_alone(&all).at(stub)
    }

    /// Runs a command that finds the server by itself.
    pub fn run_alone(&self, words: &[&str]) -> Outcome {
        let (stdout, stderr) = (Paper::default(), Paper::default());
        let mut variables = self.variables.clone();
        variables.push(("HOME".to_owned(), self.home().to_str().unwrap().to_owned()));
        let reader = match self.columns {
            Some(columns) => Reader::Person { columns },
            None => Reader::Program,
        };
        let stream = |paper: &Paper| Stream {
            to: Box::new(paper.clone()),
            reader,
        };
        let world = World {
            arguments: std::iter::once("keyholt")
                .chain(words.iter().copied())
                .map(OsString::from)
                .collect(),
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            stdin: Box::new(Cursor::new(self.stdin.clone())),
            stdout: stream(&stdout),
            stderr: stream(&stderr),
            person: self.typed.clone().map(|typed| {
                Box::new(Typist {
                    typed,
                    asked: Rc::clone(&self.asked),
                }) as Box<dyn Person>
            }),
            vault: Box::new(Drawer(Rc::clone(&self.vault))),
            clock: Box::new(FakeClock::at(NOW_MS)),
            entropy: Box::new(Counting(7)),
        };
        let exit = keyholt::run(world);
        Outcome {
            code: exit.code(),
            stdout: stdout.text().replace(self.home().to_str().unwrap(), "~"),
            stderr: stderr.text().replace(self.home().to_str().unwrap(), "~"),
        }
    }
}

impl Outcome {
    fn at(self, stub: &Stub) -> Self {
        Self {
            stdout: self.stdout.replace(&stub.url, "http://keyholt.test"),
            stderr: self.stderr.replace(&stub.url, "http://keyholt.test"),
            ..self
        }
    }
}

/// A key as the API shows it.
pub fn key() -> Value {
    json!({
        "id": KEY, "project": "0199a3c4-0000-7c00-8000-000000000001",
        "owner": {"kind": "user", "id": "0199a3c4-0000-7c00-8000-000000000042", "handle": "u_42"},
        "kind": "standard", "name": "ci", "description": "", "metadata": {}, "tags": ["build"],
        "scopes": ["orders:read"], "environment": null, "networks": null, "origins": null, "audience": null,
        "expires_at": "2030-04-01T00:00:00Z", "state": "active", "suspended_since": null, "revoked_at": null,
        "revoked_cause": null, "retiring_until": null, "hint": "acme_…RwVy", "created_at": "2030-01-01T00:00:00Z",
        "created_by": null, "last_used_at": null, "revision": 1,
    })
}

/// The same with some members replaced.
pub fn key_with(members: &Value) -> Value {
    let mut key = key();
    for (name, value) in members.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

/// A key about itself.
pub fn whoami() -> Value {
    json!({
        "key": key(), "owner": key()["owner"], "effective_scopes": ["orders:read", "keyholt:keys:read"],
        "project": {"id": "0199a3c4-0000-7c00-8000-000000000001", "slug": "acme"},
    })
}

/// A key about itself, as an answer.
pub fn about_self() -> Canned {
    Canned::json(200, &whoami())
}

#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Types prepared answers: a `y` is a yes, and nothing left to type is Ctrl-C.
struct Typist {
    typed: VecDeque<&'static str>,
    asked: Rc<RefCell<Vec<String>>>,
}

impl Typist {
    fn answer(&mut self, question: &str) -> Result<&'static str, Unanswered> {
        self.asked.borrow_mut().push(question.to_owned());
        self.typed.pop_front().ok_or(Unanswered::Cancelled)
    }
}

impl Person for Typist {
    fn confirm(&mut self, question: &str) -> Result<Consent, Unanswered> {
        let answer = self.answer(question)?;
        Ok(if answer == "y" {
            Consent::Given
        } else {
            Consent::Withheld
        })
    }

    fn text(&mut self, question: &str) -> Result<String, Unanswered> {
        Ok(self.answer(question)?.to_owned())
    }

    fn secret(&mut self, question: &str) -> Result<Zeroizing<String>, Unanswered> {
        Ok(Zeroizing::new(self.answer(question)?.to_owned()))
    }
}

/// A keyring, or none.
struct Drawer(Rc<RefCell<Option<Kept>>>);

impl Vault for Drawer {
    fn keep(&self, server: &str, secret: &str) -> Result<(), VaultError> {
        self.forget(server)?;
        let mut drawer = self.0.borrow_mut();
        let kept = drawer.as_mut().ok_or(VaultError::Missing)?;
        kept.push((server.to_owned(), secret.to_owned()));
        Ok(())
    }

    fn recall(&self, server: &str) -> Result<Option<Zeroizing<String>>, VaultError> {
        let drawer = self.0.borrow();
        let kept = drawer.as_ref().ok_or(VaultError::Missing)?;
        let found = kept.iter().find(|(known, _)| known == server);
        Ok(found.map(|(_, secret)| Zeroizing::new(secret.clone())))
    }

    fn forget(&self, server: &str) -> Result<(), VaultError> {
        let mut drawer = self.0.borrow_mut();
        let kept = drawer.as_mut().ok_or(VaultError::Missing)?;
        kept.retain(|(known, _)| known != server);
        Ok(())
    }
}

struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0;
            self.0 = self.0.wrapping_add(41);
        }
    }
}

/// The suite searches its own output for every secret that a test made.
fn register_secrets() {
    use std::sync::Once;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the suite says through the environment where secrets are listed"
        )]
        let Ok(folder) = std::env::var("KEYHOLT_TEST_CANARY") else {
            return;
        };
        let mut list = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(Path::new(&folder).join("secrets"))
            .unwrap();
        // In one write, line end and all: other tests append at the same time.
        let lines = format!("{CREDENTIAL}\n{REVEALED}\n{PASSWORD}\n");
        list.write_all(lines.as_bytes()).unwrap();
    });
}
