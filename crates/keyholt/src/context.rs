//! What every command works with: the printer, the connection, the project, and whoever can be asked.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use keyholt_api::secret::PresentedSecret;
use keyholt_api::session::{LoggedIn, ShowSession};
use keyholt_core::entropy::Entropy;
use keyholt_core::time::Moment;
use keyholt_server::clock::Clock;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::cli::Globals;
use crate::connection::request::{Path, Request};
use crate::connection::server::{DEFAULT_SERVER, PlainHttp, Server};
use crate::connection::{Answer, Connection};
use crate::intake::{SecretInput, read_secret};
use crate::login::session::KeptSession;
use crate::login::{Credential, Vault, Wallet};
use crate::person::{Consent, Person};
use crate::printer::{Form, Printer, Talk};
use crate::trouble::Trouble;
use crate::world::Environment;

/// The word for the project of the caller's own key.
pub const OWN_PROJECT: &str = "self";

/// What a command works with.
pub struct Context {
    /// Writes data and talk.
    pub printer: Printer,
    /// The caller's credentials.
    pub wallet: Wallet,
    /// Randomness.
    pub entropy: Box<dyn Entropy + Send>,
    clock: Box<dyn Clock>,
    stdin: Box<dyn Read>,
    person: Option<Box<dyn Person>>,
    consent: Foregone,
    choice: Choice,
    connection: Option<Connection>,
}

/// What a client's command needs of the world.
pub struct Surroundings {
    /// The environment.
    pub environment: Environment,
    /// Writes data and talk.
    pub printer: Printer,
    /// Where secrets can be piped in.
    pub stdin: Box<dyn Read>,
    /// Somebody who can answer questions.
    pub person: Option<Box<dyn Person>>,
    /// The system's keyring.
    pub vault: Box<dyn Vault>,
    /// What time it is.
    pub clock: Box<dyn Clock>,
    /// The operating system's randomness.
    pub entropy: Box<dyn Entropy + Send>,
}

/// Whether consent was given beforehand, with `--yes`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Foregone {
    Yes,
    No,
}

/// What was said about the server and the project.
struct Choice {
    server: Option<(String, Named)>,
    project: String,
    plain_http: PlainHttp,
    ca_file: Option<PathBuf>,
    patience: Duration,
}

/// Who named the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// `--server`.
    Argument,
    /// `KEYHOLT_SERVER`.
    Environment,
    /// The last log-in.
    Login,
    /// Nobody: it is where a server listens that was told nothing.
    Nobody,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Argument => "from --server",
            Self::Environment => "from KEYHOLT_SERVER",
            Self::Login => "of the last log-in",
            Self::Nobody => "the usual one",
        })
    }
}

/// The server knows the person and hands out nothing to work with.
pub fn no_tokens() -> Trouble {
    Trouble::new("the server gives no access token").hint("log in with a key: `keyholt login`")
}

impl Context {
    /// Puts together what the command line, the environment and the world give.
    pub fn new(globals: &Globals, surroundings: Surroundings) -> Self {
        let Surroundings {
            mut environment,
            mut printer,
            stdin,
            person,
            vault,
            clock,
            entropy,
        } = surroundings;
        printer.set_form(if globals.json { Form::Json } else { Form::Text });
        printer.set_talk(if globals.quiet { Talk::Silent } else { Talk::Spoken });
        let server = match (&globals.server, environment.server.take()) {
            (Some(server), _) => Some((server.clone(), Named::Argument)),
            (None, Some(server)) => Some((server, Named::Environment)),
            (None, None) => None,
        };
        let project = globals.project.clone().or_else(|| environment.project.take());
        let plain_http = if globals.plain_http {
            PlainHttp::Anywhere
        } else {
            PlainHttp::Loopback
        };
        let choice = Choice {
            server,
            project: project.unwrap_or_else(|| OWN_PROJECT.to_owned()),
            plain_http,
            ca_file: globals.ca_file.clone().or_else(|| environment.ca_file.take()),
            patience: globals.timeout,
        };
        Self {
            printer,
            wallet: Wallet::new(&mut environment, vault),
            entropy,
            clock,
            stdin,
            person,
            consent: if globals.yes { Foregone::Yes } else { Foregone::No },
            choice,
            connection: None,
        }
    }

    /// The project that the command is about.
    pub fn project(&self) -> &str {
        &self.choice.project
    }

    /// What time it is here.
    pub fn now(&self) -> Moment {
        Moment::from_ms(self.clock.now_ms())
    }

    /// The server that the command goes to, and who named it.
    pub fn server(&self) -> Result<(Server, Named), Trouble> {
        let (address, named) = match &self.choice.server {
            Some((address, named)) => (address.clone(), *named),
            None => match self.wallet.current_server()? {
                Some(address) => (address, Named::Login),
                None => (DEFAULT_SERVER.to_owned(), Named::Nobody),
            },
        };
        let server = Server::parse(&address, self.choice.plain_http)
            .map_err(|trouble| trouble.caused_by(format!("the address is {named}")))?;
        Ok((server, named))
    }

    /// A connection to the server with this credential, or none.
    pub fn connection_with(&self, credential: Option<&Credential>) -> Result<Connection, Trouble> {
        let (server, _) = self.server()?;
        Connection::new(server, credential, self.choice.ca_file.as_deref(), self.choice.patience)
    }

    /// The caller's own credential.
    pub fn credential(&self) -> Result<Credential, Trouble> {
        let (server, _) = self.server()?;
        self.wallet.credential(&server.to_string())?.ok_or_else(|| {
            Trouble::new(format!("you are not logged in to {server}"))
                .hint("log in with `keyholt login`, or set KEYHOLT_CREDENTIAL_FILE")
        })
    }

    /// The connection with the caller's own credential.
    pub fn connection(&mut self) -> Result<&Connection, Trouble> {
        if self.connection.is_none() {
            let credential = self.credential()?;
            self.connection = Some(self.connection_with(Some(&credential))?);
        }
        // It was put there just now.
        self.connection
            .as_ref()
            .ok_or_else(|| Trouble::new("there is no connection"))
    }

    /// The connection and the printer, for work that uses both at once.
    pub fn connection_and_printer(&mut self) -> Result<(&Connection, &mut Printer), Trouble> {
        self.connection()?;
        match &self.connection {
            Some(connection) => Ok((connection, &mut self.printer)),
            None => Err(Trouble::new("there is no connection")),
        }
    }

    /// Renews the log-in of a person whose access token is at its end. A key's secret needs none of that.
    pub async fn renew(&self) -> Result<(), Trouble> {
        let (server, _) = self.server()?;
        let address = server.to_string();
        let Some((session, _lock)) = self.wallet.session(&address)? else {
            return Ok(());
        };
        if session.is_usable(self.now()) {
            return Ok(());
        }
        let shown = ShowSession {
            refresh_token: Some(PresentedSecret::new(session.refresh_token)),
        };
        let path = Path::of(&["v1", "sessions", "refresh"]);
        let request = Request::act(path, "renew your log-in").body(&shown)?;
        let renewed = self.connection_with(None)?.send::<LoggedIn>(&request).await?;
        let Some(kept) = KeptSession::of(&renewed.value, self.now()) else {
            return Err(no_tokens());
        };
        self.wallet.keep_renewed(&address, &kept)
    }

    /// Sends a request and reads the answer.
    pub async fn send<T: DeserializeOwned>(&mut self, request: &Request) -> Result<Answer<T>, Trouble> {
        self.connection()?.send(request).await
    }

    /// Sends a request whose answer may be empty.
    pub async fn send_act<T: DeserializeOwned>(&mut self, request: &Request) -> Result<Option<Answer<T>>, Trouble> {
        self.connection()?.send_act(request).await
    }

    /// The path of something in the project that the command is about.
    pub fn in_project(&self, words: &[&str]) -> Result<Path, Trouble> {
        let path = Path::of(&["v1", "projects"]).and(&self.choice.project)?;
        Ok(words.iter().fold(path, |path, word| path.then(word)))
    }

    /// What is piped into the command.
    pub fn stdin(&mut self) -> &mut dyn Read {
        &mut *self.stdin
    }

    /// Reads a secret from where it was said to be.
    pub fn read_secret(&mut self, input: Option<&SecretInput>, what: &str) -> Result<Zeroizing<String>, Trouble> {
        read_secret(input, &mut self.stdin, self.person.as_mut(), what)
    }

    /// Reads a password from where it was said to be; at a terminal it is typed.
    pub fn read_password(&mut self, input: Option<&SecretInput>, question: &str) -> Result<Zeroizing<String>, Trouble> {
        match (input, &mut self.person) {
            (None, Some(person)) => Ok(person.secret(question)?),
            _ => read_secret(input, &mut self.stdin, None, "the password"),
        }
    }

    /// Reads a new password; at a terminal it is typed twice, for nobody sees it.
    pub fn read_new_password(&mut self, input: Option<&SecretInput>) -> Result<Zeroizing<String>, Trouble> {
        let typed = self.read_password(input, "The new password (it is not shown):")?;
        if input.is_none() && self.person.is_some() && *self.read_password(None, "Once more:")? != *typed {
            return Err(Trouble::new("the two passwords differ; nothing was done").into_no());
        }
        Ok(typed)
    }

    /// Asks whether to go on. Without a person to ask it takes `--yes`.
    pub fn confirm(&mut self, question: &str) -> Result<(), Trouble> {
        if self.consent == Foregone::Yes {
            return Ok(());
        }
        let Some(person) = &mut self.person else {
            return Err(Trouble::new("this must be confirmed, and there is nobody to ask")
                .caused_by(question.to_owned())
                .hint("`--yes` confirms it beforehand"));
        };
        match person.confirm(question)? {
            Consent::Given => Ok(()),
            Consent::Withheld => Err(Trouble::new("not confirmed; nothing was done").into_no()),
        }
    }

    /// Has the person type a word that nobody types by habit. Without a person to ask it takes `--yes`.
    pub fn confirm_word(&mut self, question: &str, word: &str) -> Result<(), Trouble> {
        if self.consent == Foregone::Yes {
            return Ok(());
        }
        let Some(person) = &mut self.person else {
            return Err(Trouble::new("this must be confirmed, and there is nobody to ask")
                .caused_by(question.to_owned())
                .hint("`--yes` confirms it beforehand"));
        };
        let typed = person.text(&format!("{question} Type `{word}` to go on:"))?;
        if typed.trim() == word {
            Ok(())
        } else {
            Err(Trouble::new("not confirmed; nothing was done").into_no())
        }
    }

    /// Has the person type how many things a destructive act is about. `--yes` does not replace the number.
    pub fn confirm_count(&mut self, question: &str, count: u64, instead: &str) -> Result<(), Trouble> {
        let Some(person) = &mut self.person else {
            return Err(Trouble::new("the number must be confirmed, and there is nobody to ask")
                .caused_by(question.to_owned())
                .hint(instead.to_owned()));
        };
        let typed = person.text(&format!("{question} Type the number to go on:"))?;
        if typed.trim() == count.to_string() {
            Ok(())
        } else {
            Err(Trouble::new("another number was typed; nothing was done").into_no())
        }
    }
}
