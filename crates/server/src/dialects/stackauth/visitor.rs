//! Who asks, and on which level: Stack Auth's headers, by their new names and by the names that older clients use.

use axum::extract::FromRequestParts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use keyholt_api::code::Code;
use keyholt_core::actor::{Actor, Source};
use keyholt_core::id::{ProjectId, UserId};
use keyholt_core::key::Kind;
use keyholt_core::owner::Owner;
use keyholt_core::time::Moment;
use keyholt_core::verify::{Ask, Verification};
use zeroize::Zeroizing;

use super::complaint::{self, Answer, Complaint};
use crate::dialects::Desk;
use crate::dialects::caller;
use crate::keeper::{Counting, Question, Unauthenticated};

/// The level on which a request is made; each reaches as far as the ones before it, and further.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// A browser, with the rights of whoever is signed in there.
    Client,
    /// The application's own server, with the rights of its secret server key.
    Server,
    /// Whoever holds the super secret admin key.
    Admin,
}

impl Level {
    const ALL: [Self; 3] = [Self::Client, Self::Server, Self::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Admin => "admin",
        }
    }
}

/// Who asks.
#[derive(Clone)]
pub struct Visitor {
    /// On which level.
    pub level: Level,
    /// The project that is spoken of.
    pub project: ProjectId,
    /// The holder of the secret server key or super secret admin key.
    app: Option<Actor>,
    /// Whoever is signed in.
    person: Option<Actor>,
    /// The secret of a session that was shown beside.
    session: Option<Zeroizing<String>>,
}

impl Visitor {
    /// With whose rights things are done: on the client's level the signed-in person's, else the key's.
    pub fn actor(&self) -> Answer<&Actor> {
        let actor = match self.level {
            Level::Client => self.person.as_ref(),
            Level::Server | Level::Admin => self.app.as_ref(),
        };
        actor.ok_or_else(complaint::user_required)
    }

    /// Whoever is signed in, with their own rights.
    pub fn person(&self) -> Option<(&Actor, UserId)> {
        match &self.person {
            Some(actor) => match actor.owner {
                Owner::User(user) => Some((actor, user)),
                Owner::Team(_) | Owner::Service(_) => None,
            },
            None => None,
        }
    }

    /// The secret of a session, as the clients show it beside an access token.
    pub fn refresh_token(&self) -> Option<&str> {
        self.session.as_ref().map(|secret| secret.as_str())
    }

    /// Refuses who asks on a lower level than this.
    pub fn at_least(&self, level: Level) -> Answer<()> {
        if self.level >= level {
            return Ok(());
        }
        let allowed: Vec<&str> = Level::ALL
            .into_iter()
            .filter(|one| *one >= level)
            .map(Level::as_str)
            .collect();
        Err(complaint::insufficient_access_type(self.level.as_str(), &allowed))
    }
}

impl FromRequestParts<Desk> for Visitor {
    type Rejection = Complaint;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Answer<Self> {
        let caller::From(source) = caller::From::from_request_parts(parts, desk).await?;
        let headers = &parts.headers;
        let level = level(headers)?;
        let project = desk.project()?;
        let Some(named) = shown(headers, &PROJECT_ID)? else {
            return Err(complaint::no_project(level.as_str()));
        };
        if desk.keeper.project_called(named) != Some(project) {
            return Err(complaint::project_not_found(named));
        }
        let named = Named { project, word: named };
        let app = match level {
            Level::Client => {
                check_publishable(desk, headers, named, &source)?;
                None
            }
            Level::Server => Some(app_key(desk, headers, named, &source, &SERVER_KEY)?),
            Level::Admin => Some(app_key(desk, headers, named, &source, &ADMIN_KEY)?),
        };
        let session = shown(headers, &REFRESH_TOKEN)?;
        let person = match (shown(headers, &ACCESS_TOKEN)?, session) {
            (Some(token), _) => Some(person(desk, token, project, &source)?),
            (None, Some(secret)) => holder(desk, secret, source)?,
            (None, None) => None,
        };
        Ok(Self {
            level,
            project,
            app,
            person,
            session: session.map(|secret| Zeroizing::new(secret.to_owned())),
        })
    }
}

/// A header by both of its names: the clients' own from 2.8.108 on, and what they sent before.
struct Header([HeaderName; 2]);

macro_rules! headers {
    ($($name:ident = $word:literal;)*) => {$(
        static $name: Header = Header([
            HeaderName::from_static(concat!("x-hexclave-", $word)),
            HeaderName::from_static(concat!("x-stack-", $word)),
        ]);
    )*};
}

headers! {
    ACCESS_TYPE = "access-type";
    PROJECT_ID = "project-id";
    PUBLISHABLE = "publishable-client-key";
    SECRET_SERVER = "secret-server-key";
    SUPER_SECRET_ADMIN = "super-secret-admin-key";
    ACCESS_TOKEN = "access-token";
    REFRESH_TOKEN = "refresh-token";
}

/// The value of a header by either name; an empty one was not given.
fn shown<'a>(headers: &'a HeaderMap, Header(names): &Header) -> Answer<Option<&'a str>> {
    for name in names {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { continue };
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        let text = text.ok_or_else(|| complaint::schema(format!("the header {name} must be one printable text")))?;
        if !text.is_empty() {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// The secrets that a request shows in its headers.
pub fn secrets(headers: &HeaderMap) -> Vec<Zeroizing<String>> {
    let secret = [&SECRET_SERVER, &SUPER_SECRET_ADMIN, &ACCESS_TOKEN, &REFRESH_TOKEN];
    let shown = secret
        .into_iter()
        .filter_map(|header| shown(headers, header).ok().flatten());
    shown.map(|secret| Zeroizing::new(secret.to_owned())).collect()
}

fn level(headers: &HeaderMap) -> Answer<Level> {
    if let Some(word) = shown(headers, &ACCESS_TYPE)? {
        let level = Level::ALL.into_iter().find(|level| level.as_str() == word);
        return level.ok_or_else(|| complaint::invalid_access_type(word));
    }
    for key in [&PUBLISHABLE, &SECRET_SERVER, &SUPER_SECRET_ADMIN] {
        if shown(headers, key)?.is_some() {
            return Err(complaint::key_without_access_type());
        }
    }
    Err(complaint::access_type_required())
}

/// The key that opens a level.
struct ProjectKey {
    header: &'static Header,
    name: &'static str,
    code: &'static str,
}

static SERVER_KEY: ProjectKey = ProjectKey {
    header: &SECRET_SERVER,
    name: "secret server key",
    code: "INVALID_SECRET_SERVER_KEY",
};
static ADMIN_KEY: ProjectKey = ProjectKey {
    header: &SUPER_SECRET_ADMIN,
    name: "super secret admin key",
    code: "INVALID_SUPER_SECRET_ADMIN_KEY",
};

/// The project that is spoken of, and the word that names it.
#[derive(Clone, Copy)]
struct Named<'a> {
    project: ProjectId,
    word: &'a str,
}

/// Who shows the key of a level. What that key may do, the keeper decides for each act.
fn app_key(desk: &Desk, headers: &HeaderMap, named: Named<'_>, source: &Source, key: &ProjectKey) -> Answer<Actor> {
    let invalid = || complaint::invalid_project_key(key.code, key.name, named.word);
    let secret = shown(headers, key.header)?.ok_or_else(invalid)?;
    match desk.keeper.authenticate(secret, source.clone()) {
        Ok(actor) if actor.home == named.project => Ok(actor),
        Ok(_) | Err(Unauthenticated::Invalid) => Err(invalid()),
        Err(error) => Err(Complaint::Fail(error.into())),
    }
}

/// A publishable key opens nothing, but one that is shown must be good.
fn check_publishable(desk: &Desk, headers: &HeaderMap, named: Named<'_>, source: &Source) -> Answer<()> {
    let Some(key) = shown(headers, &PUBLISHABLE)? else {
        return Ok(());
    };
    let origin = headers
        .get(http::header::ORIGIN)
        .and_then(|origin| origin.to_str().ok());
    let question = Question {
        credential: key,
        ask: Ask {
            address: source.address,
            origin,
            ..Ask::default()
        },
        counting: Counting::Counted,
    };
    let good = desk.keeper.verify(named.project, &question, |answer| {
        let publishable = answer.key.as_ref().is_some_and(|key| key.kind == Kind::Publishable);
        publishable && !matches!(answer.verification, Verification::Denied(_))
    })?;
    if good {
        Ok(())
    } else {
        Err(complaint::invalid_project_key(
            "INVALID_PUBLISHABLE_CLIENT_KEY",
            "publishable key",
            named.word,
        ))
    }
}

/// Who is signed in.
fn person(desk: &Desk, token: &str, project: ProjectId, source: &Source) -> Answer<Actor> {
    match desk.keeper.authenticate(token, source.clone()) {
        Ok(actor) if actor.home == project && matches!(actor.owner, Owner::User(_)) => Ok(actor),
        Ok(_) | Err(Unauthenticated::Invalid) => Err(match expired_at(token, desk.keeper.now()) {
            Some(at) => complaint::access_token_expired(at),
            None => complaint::bad_access_token(),
        }),
        Err(error) => Err(Complaint::Fail(error.into())),
    }
}

/// Who is signed in by the session alone. One that is over signs nobody in.
fn holder(desk: &Desk, secret: &str, source: Source) -> Answer<Option<Actor>> {
    match desk.authenticate_session(secret, source) {
        Ok(actor) => Ok(Some(actor)),
        Err(fail) if fail.code() == Code::InvalidCredential => Ok(None),
        Err(fail) => Err(Complaint::Fail(fail)),
    }
}

/// When a token says that it ended, if it says so. Believed only as far as the choice of words for a token that is refused.
fn expired_at(token: &str, now: Moment) -> Option<i64> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let at = claims.get("exp")?.as_i64()?.checked_mul(1000)?;
    (at <= now.ms()).then_some(at)
}
