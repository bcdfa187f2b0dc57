//! Sessions: the log-in of a person is a key of its own kind, so that the one judge judges it like any other.
//!
//! Its owner is the user, its access what the log-in may do, its expiry the instant at which it ends unless it is
//! refreshed. It ends by being revoked.

use crate::actor::{Permit, Source, WriteKeys, WriteSessions};
use crate::audit::{ActorRef, Event, Noun, Outcome, Target};
use crate::commit::{Change, Commit, Record, Revision};
use crate::entropy::Entropy;
use crate::id::KeyId;
use crate::issue::Circumstances;
use crate::key::{About, Bounds, Key, Kind, Maker, State};
use crate::owner::{Owner, User};
use crate::project::{LogInPolicy, PolicyBreach, Project};
use crate::refresh_token::RefreshToken;
use crate::scope::Access;
use crate::secret::{Age, Credentials, Pepper, Prefix, SESSION_PREFIX, Secret, Visibility};
use crate::text::{Cause, Description, Metadata, Name, TextError};
use crate::time::{Expiry, Moment};
use crate::token::component_permissions;

/// The action of the event of a start.
pub const STARTED: &str = "session.start";

/// What somebody who logs in wishes for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// How much of the user's permissions the session carries: a log-in may be for reading only.
    pub access: Access,
    /// How the session is shown.
    pub mode: Mode,
    /// What the user recognises it by in a list.
    pub name: Name,
}

/// How a session is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// By refresh tokens, each good once, for access tokens.
    Tokens,
    /// By a cookie, looked up on every request.
    Cookie,
}

/// A session with the secret to be shown once: a refresh token, or what goes into the cookie.
#[derive(Debug)]
pub struct Started {
    /// The session.
    pub session: Key,
    /// Its newest secret.
    pub secret: Secret,
}

/// Why a session is not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The project's policy is against it.
    #[error(transparent)]
    Policy(#[from] PolicyBreach),
    /// A text of our own making is not allowed: never.
    #[error(transparent)]
    Text(#[from] TextError),
}

/// Why a session is not refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The session is over, or was never shown by such a token.
    #[error("the session is over")]
    Over,
    /// The token was used up before: it has two holders, and one of them is a thief.
    #[error("the refresh token was used before")]
    Reused,
}

/// Starts a session for a user who proved to be this user.
pub fn start(
    user: &User,
    wish: Wish,
    project: &Project,
    pepper: &Pepper,
    source: &Source,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<(Started, Commit), StartError> {
    if let Access::Only(scopes) = &wish.access {
        project.policy.knows_scopes(scopes)?;
    }
    let id = KeyId::mint(now, entropy);
    let policy = &project.policy.log_in;
    let Started { session, secret } = new(
        user,
        wish,
        (id, Maker::Key(id)),
        ends(id, policy, now),
        pepper,
        now,
        entropy,
    )?;
    let record = Record::Key(Box::new(session.clone()));
    let event = event(STARTED, &session, Some(holder(&session)), None, source, now);
    let event = Event {
        after: Some(record.view()),
        ..event
    };
    let commit = Commit::by_itself(event, vec![Change::Insert(record)]);
    Ok((Started { session, secret }, commit))
}

/// Starts a session for a user whom a back end vouches for, until `end`: it is not refreshed beyond, and lasts no longer
/// than the back end's key, nor than a log-in may. It does what a component session may do.
pub fn lend(
    permit: &Permit<WriteSessions>,
    user: &User,
    name: Name,
    end: Moment,
    world: Circumstances<'_>,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<(Started, Commit), StartError> {
    let (id, actor) = (KeyId::mint(now, entropy), permit.actor());
    let longest = id.minted_at().plus(world.project.policy.log_in.longest);
    let end = actor.expiry.at().into_iter().fold(end.min(longest), Moment::min);
    let wish = Wish {
        access: Access::Only(component_permissions(&actor.effective, world.permissions)),
        mode: Mode::Cookie,
        name,
    };
    let started = new(user, wish, (id, Maker::Key(actor.key)), end, world.pepper, now, entropy)?;
    let change = Change::Insert(Record::Key(Box::new(started.session.clone())));
    let commit = Commit::by(permit, STARTED, None, change, None, now);
    Ok((started, commit))
}

fn new(
    user: &User,
    wish: Wish,
    (id, created_by): (KeyId, Maker),
    end: Moment,
    pepper: &Pepper,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<Started, StartError> {
    let (secret, credentials) = match wish.mode {
        Mode::Tokens => {
            let (secret, token) = RefreshToken::mint(entropy);
            (secret, token.credentials(pepper))
        }
        Mode::Cookie => {
            let prefix = Prefix::new(SESSION_PREFIX).map_err(|_| TextError::Characters("a prefix"))?;
            let secret = Secret::mint(&prefix, Visibility::Secret, None, entropy);
            let digest = pepper.digest(&secret.fingerprint());
            (secret, Credentials::One(digest))
        }
    };
    let session = Key {
        id,
        project: user.project,
        owner: Owner::User(user.id),
        kind: Kind::Session,
        access: wish.access,
        bounds: Bounds::default(),
        expiry: Expiry::At(end),
        state: State::Active,
        credentials,
        about: About {
            name: wish.name,
            description: Description::new("")?,
            metadata: Metadata::default(),
            tags: Default::default(),
            hint: None,
        },
        created_at: now,
        created_by,
        revision: Revision::FIRST,
    };
    Ok(Started { session, secret })
}

/// Refreshes a session: the shown token is used up, and another one takes its place.
///
/// SECURITY: which token is the newest is decided here, on the row that the commit is based on. Of many who show the same
/// token at once one commit is written.
pub fn refresh(
    session: &Key,
    shown: RefreshToken,
    policy: &LogInPolicy,
    pepper: &Pepper,
    source: &Source,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<(Started, Commit), RefreshError> {
    let kept = match session.credentials.current().age() {
        Age::Present => Some(shown.credentials(pepper)),
        Age::Earlier | Age::Former => shown.earlier_credentials(pepper),
    };
    let (
        Credentials::Family { current, family },
        Some(Credentials::Family {
            current: whole,
            family: part,
        }),
    ) = (session.credentials, kept)
    else {
        return Err(RefreshError::Over);
    };
    if session.state != State::Active || session.expiry.is_past(now) || !family.matches(&part) {
        return Err(RefreshError::Over);
    }
    if !current.matches(&whole) {
        return Err(RefreshError::Reused);
    }
    let end = ends_refreshed(session, policy, now);
    if end <= now {
        return Err(RefreshError::Over);
    }
    let (secret, token) = shown.next(entropy);
    let mut refreshed = session.clone();
    refreshed.credentials = token.credentials(pepper);
    refreshed.expiry = Expiry::At(end);
    let commit = replace("session.refresh", session, &mut refreshed, None, source, now);
    Ok((
        Started {
            session: refreshed,
            secret,
        },
        commit,
    ))
}

/// Prolongs a session that a cookie shows; its secret stays. Nothing gained is no commit.
pub fn prolong(session: &Key, policy: &LogInPolicy, source: &Source, now: Moment) -> Option<(Key, Commit)> {
    let end = Expiry::At(ends_refreshed(session, policy, now));
    if !end.outlives(session.expiry) {
        return None;
    }
    let mut prolonged = session.clone();
    prolonged.expiry = end;
    let commit = replace("session.refresh", session, &mut prolonged, None, source, now);
    Some((prolonged, commit))
}

/// Ends a session. One that is over already stays as it is.
pub fn end(permit: &Permit<WriteKeys>, session: &Key, cause: Cause, now: Moment) -> Option<(Key, Commit)> {
    if matches!(session.state, State::Revoked { .. }) {
        return None;
    }
    let ended = revoked(session, cause.clone(), now);
    let change = Change::Replace {
        record: Record::Key(Box::new(ended.clone())),
        expected: session.revision,
    };
    let before = Record::Key(Box::new(session.clone()));
    let commit = Commit::by(permit, "session.end", Some(&before), change, Some(cause), now);
    Some((ended, commit))
}

/// Ends a session whose used-up token was shown: nobody can tell which of its two holders is the thief.
pub fn end_reused(session: &Key, source: &Source, now: Moment) -> Result<Option<Commit>, TextError> {
    if matches!(session.state, State::Revoked { .. }) {
        return Ok(None);
    }
    let cause = Cause::new("refresh token reused")?;
    let mut ended = revoked(session, cause.clone(), now);
    Ok(Some(replace(
        "session.reuse",
        session,
        &mut ended,
        Some(cause),
        source,
        now,
    )))
}

/// Takes sessions out that are over for long; the audit trail stays. Nothing to take out is no commit.
pub fn forget(sessions: Vec<Key>, source: &Source, now: Moment) -> Option<Commit> {
    let first = sessions.first()?;
    let event = Event {
        target: Target {
            noun: Noun::Key,
            id: None,
        },
        owner: None,
        ..event("session.forget", first, None, None, source, now)
    };
    let removal = |session| Change::Remove {
        record: Record::Key(Box::new(session)),
    };
    Some(Commit::by_itself(event, sessions.into_iter().map(removal).collect()))
}

/// When a session ends that is not refreshed after now. How long it may last is counted from its id, which is sealed.
fn ends(id: KeyId, policy: &LogInPolicy, now: Moment) -> Moment {
    now.plus(policy.idle).min(id.minted_at().plus(policy.longest))
}

/// The same for a session that is there. Whoever started one for somebody else has said when it ends.
fn ends_refreshed(session: &Key, policy: &LogInPolicy, now: Moment) -> Moment {
    match session.expiry {
        Expiry::At(said) if session.created_by != Maker::Key(session.id) => said,
        _ => ends(session.id, policy, now),
    }
}

fn revoked(session: &Key, cause: Cause, now: Moment) -> Key {
    let mut ended = session.clone();
    ended.state = State::Revoked { at: now, cause };
    ended.credentials = Credentials::One(*session.credentials.current());
    ended.revision = session.revision.next();
    ended
}

/// Whoever holds a session acts with it.
fn holder(session: &Key) -> ActorRef {
    ActorRef {
        home: session.project,
        owner: session.owner,
        key: session.id,
    }
}

fn replace(action: &str, before: &Key, after: &mut Key, cause: Option<Cause>, source: &Source, now: Moment) -> Commit {
    after.revision = before.revision.next();
    // Whoever shows a used-up token is somebody unknown.
    let actor = cause.is_none().then(|| holder(before));
    let record = Record::Key(Box::new(after.clone()));
    let event = Event {
        before: Some(Record::Key(Box::new(before.clone())).view()),
        after: Some(record.view()),
        ..event(action, before, actor, cause, source, now)
    };
    let change = Change::Replace {
        record,
        expected: before.revision,
    };
    Commit::by_itself(event, vec![change])
}

fn event(
    action: &str,
    session: &Key,
    actor: Option<ActorRef>,
    cause: Option<Cause>,
    source: &Source,
    now: Moment,
) -> Event {
    Event {
        project: session.project,
        at: now,
        action: action.to_owned(),
        outcome: Outcome::Done,
        actor,
        target: Target {
            noun: Noun::Key,
            id: Some(session.id.uuid()),
        },
        owner: Some(session.owner),
        cause,
        source: source.clone(),
        before: None,
        after: None,
    }
}
