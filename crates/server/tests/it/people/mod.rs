//! People who log in: with a password, into sessions that are refreshed, listed and ended.

mod access;
mod cookie;
mod log_in;
mod passwords;
mod refresh;
mod sessions;
mod step_up;
mod throttle;

use keyholt_core::key::Key;
use keyholt_core::owner::{Owner, User};
use keyholt_core::password::Typed;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::session::{Mode, Wish};
use keyholt_core::text::Name;
use keyholt_server::keeper::{LoggedIn, Refusal};

use crate::house::{House, canary, source};

/// A password that is long and on nobody's list.
pub const STAPLE: &str = "correct horse battery staple";
/// Another one.
pub const KETTLE: &str = "seven kettles under the bridge";

/// A session with the secret that its holder wrote down.
pub struct In {
    pub session: Key,
    pub secret: String,
}

/// A log-in to everything, by refresh tokens.
pub fn tokens() -> Wish {
    Wish {
        access: Access::Everything,
        mode: Mode::Tokens,
        name: Name::new("laptop").unwrap(),
    }
}

/// A log-in to these scopes only.
pub fn only(scopes: &[&str]) -> Wish {
    Wish {
        access: Access::Only(ScopeSet::parse(scopes.iter().copied()).unwrap()),
        ..tokens()
    }
}

/// A log-in in a cookie.
pub fn in_cookie() -> Wish {
    Wish {
        mode: Mode::Cookie,
        ..tokens()
    }
}

/// Fewer characters would be found everywhere, which is also why they are no good as a password.
const SEARCHABLE: usize = 12;

pub fn typed(text: &str) -> Typed {
    if text.len() >= SEARCHABLE {
        canary(text);
    }
    Typed::read(text).unwrap()
}

pub fn kept(logged_in: LoggedIn) -> In {
    let secret = logged_in.secret.reveal().to_string();
    canary(&secret);
    In {
        session: logged_in.session,
        secret,
    }
}

impl House {
    /// A member with a password.
    pub async fn person(&self, name: &str) -> User {
        let user = self.user(name).await;
        self.give_password(&user, STAPLE).await;
        user
    }

    pub async fn give_password(&self, user: &User, password: &str) {
        self.keeper
            .set_password(&self.olga(), user.project, user.id, &typed(password))
            .await
            .unwrap();
    }

    pub async fn log_in(&self, login: &str, password: &str, wish: Wish) -> Result<In, Refusal> {
        let logged_in = self
            .keeper
            .log_in(self.project(), login, &typed(password), wish, source())
            .await;
        logged_in.map(kept)
    }

    pub async fn refresh(&self, token: &str) -> Result<In, Refusal> {
        let refreshed = self.keeper.refresh(token, source()).await?;
        let secret = refreshed.secret.reveal().to_string();
        canary(&secret);
        Ok(In {
            session: refreshed.session,
            secret,
        })
    }

    /// The names of an owner's sessions, newest first.
    pub async fn sessions_of(&self, user: &User) -> Vec<Key> {
        let sessions = self
            .keeper
            .sessions(&self.olga(), user.project, Owner::User(user.id))
            .await
            .unwrap();
        sessions.into_iter().map(|view| view.session).collect()
    }
}
