//! People: log-in by name and password, and the passwords themselves.
//!
//! Unknown, wrong and suspended are one answer after the same work: a look-up, a hash, a line in the audit trail.

use std::collections::HashMap;
use std::time::Duration;

use keyholt_core::actor::{Actor, Permit, Source, Subject, WriteKeys, WriteOwners};
use keyholt_core::audit::{ActorRef, Event, Noun, Outcome, Target};
use keyholt_core::commit::{Commit, Record};
use keyholt_core::id::{KeyId, ProjectId, SYSTEM, UserId};
use keyholt_core::key::{Key, Kind};
use keyholt_core::owner::{Owner, User};
use keyholt_core::password::{self, HashText, Made, Password, Typed, counted_as};
use keyholt_core::project::Project;
use keyholt_core::secret::Secret;
use keyholt_core::session::{self, Wish};
use keyholt_core::text::Cause;
use keyholt_core::time::Span;
use keyholt_store::{CommitError, EventQuery, Limit, Refused, StoreError};

use super::guesses::{Guesser, WINDOW, Wait};
use super::passwords::{Checked, Turn};
use super::{Attempt, Keeper, Refusal, TRIES};

/// Wrong passwords that may be tried with one name, and within which time. The right one has to wait as well.
///
/// NIST SP 800-63B-4 §3.2.2 allows a hundred; a stranger can keep somebody waiting, and nobody out for longer than a day.
pub const GUESSES_AT_NAME: [(usize, Span); 2] = [(10, Span::secs(15 * 60)), (100, Span::hours(24))];

/// Pages of a project's refused attempts that are looked through at the start; nobody writes more within a minute.
const FAILURE_PAGES_MAX: usize = 32;

/// Somebody who logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who.
    pub user: User,
    /// The session.
    pub session: Key,
    /// Its first secret, shown this once: a refresh token, or what goes into the cookie.
    pub secret: Secret,
}

/// Somebody who claims to be a user, and where that is written down if it is not so.
struct Claim<'a> {
    project: ProjectId,
    login: &'a str,
    action: &'static str,
    actor: Option<ActorRef>,
    source: &'a Source,
}

/// Somebody whose password was right.
struct Proven {
    user: User,
    project: Project,
    password: Password,
    /// No other password is looked at before what follows is written.
    turn: Turn,
}

impl Keeper {
    /// Starts a session for whoever knows a user's name (or e-mail address) and password.
    ///
    /// A project that does not exist is a project without users.
    pub async fn log_in(
        &self,
        project: ProjectId,
        login: &str,
        typed: &Typed,
        wish: Wish,
        source: Source,
    ) -> Result<LoggedIn, Refusal> {
        let claim = Claim {
            project,
            login,
            action: "session.start",
            actor: None,
            source: &source,
        };
        let Proven { user, project, .. } = self.prove(claim, typed).await?;
        self.make_room(&user, &source).await?;
        let started =
            self.mint(|now, entropy| session::start(&user, wish, &project, &self.pepper, &source, now, entropy));
        let (started, commit) = started?;
        self.commit(vec![commit]).await?;
        Ok(LoggedIn {
            user,
            session: started.session,
            secret: started.secret,
        })
    }

    /// Gives a user a password. All the user's sessions end: whoever holds one may be why.
    pub async fn set_password(
        &self,
        actor: &Actor,
        project: ProjectId,
        user: UserId,
        new: &Typed,
    ) -> Result<(), Refusal> {
        let attempt = || Attempt {
            actor,
            project,
            action: "password.set",
            target: password_of(user),
            owner: Some(Owner::User(user)),
        };
        let owner = Owner::User(user);
        let leave = self.permit::<WriteOwners>(actor, project, Subject::Owner(owner), Noun::User);
        let (permit, user) = match leave.and_then(|permit| Ok((permit, self.known_user(project, user)?))) {
            Ok(leave) => leave,
            Err(refusal) => return self.refused(refusal, attempt()).await,
        };
        let decide = async {
            // Asked before the work and again for the commit: who may not is not let into the queue.
            let permissions = self.permissions(project, owner)?;
            permit.actor().may_hand_on(
                &keyholt_core::scope::Access::Everything,
                &permissions,
                keyholt_core::time::Expiry::Never,
            )?;
            let turn = self.passwords.turn().await?;
            let hash = self.new_hash(&turn, &user, new).await?;
            for _ in 0..TRIES {
                let before = self.password(project, user.id).await?;
                let set = password::set(&permit, &user, before.as_ref(), hash.clone(), &permissions, self.now())?;
                let mut commits = self.ends_of(&permit, owner, "password set", None).await?;
                commits.push(set);
                match self.commit(commits).await {
                    Ok(()) => return Ok(()),
                    Err(CommitError::Stale { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(Refusal::Busy(Noun::Password))
        };
        match decide.await {
            Ok(()) => Ok(()),
            Err(refusal) => self.refused(refusal, attempt()).await,
        }
    }

    /// Changes the actor's own password, for whoever knows the present one. All other sessions end.
    pub async fn change_password(&self, actor: &Actor, present: &Typed, new: &Typed) -> Result<(), Refusal> {
        let project = actor.home;
        let attempt = |user| Attempt {
            actor,
            project,
            action: "password.change",
            target: password_of(user),
            owner: Some(Owner::User(user)),
        };
        let permit: Permit<WriteKeys> = match self.permit(actor, project, Subject::Owner(actor.owner), Noun::Password) {
            Ok(permit) => permit,
            Err(refusal) => {
                return self
                    .refused(refusal, attempt(UserId::from_uuid(actor.owner.uuid())))
                    .await;
            }
        };
        let Owner::User(user) = actor.owner else {
            return Err(Refusal::NotFound(Noun::Password));
        };
        let user = self.known_user(project, user)?;
        let claim = Claim {
            project,
            login: user.external_id.as_str(),
            action: "password.change",
            actor: Some(actor.into()),
            source: &actor.source,
        };
        let proven = self.prove(claim, present).await?;
        let decide = async {
            let hash = self.new_hash(&proven.turn, &proven.user, new).await?;
            let change = password::change(&permit, &proven.user, &proven.password, hash, self.now());
            for _ in 0..TRIES {
                let others = self.ends_of(&permit, actor.owner, "password changed", Some(actor.key));
                let mut commits = others.await?;
                commits.push(change.clone());
                match self.commit(commits).await {
                    Ok(()) => return Ok(()),
                    // One of the sessions was refreshed meanwhile: it has to end all the same.
                    Err(CommitError::Stale { noun: Noun::Key }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(Refusal::Busy(Noun::Password))
        };
        match decide.await {
            Ok(()) => Ok(()),
            Err(refusal) => self.refused(refusal, attempt(user.id)).await,
        }
    }

    /// Whether a user has a password to log in with.
    pub async fn has_password(&self, actor: &Actor, project: ProjectId, user: UserId) -> Result<bool, Refusal> {
        self.owner(actor, project, Owner::User(user))?;
        Ok(self.password(project, user).await?.is_some())
    }

    /// Takes a user's password away: the user cannot log in any more. What was logged in stays so.
    pub(super) async fn password_to_remove(&self, project: ProjectId, owner: Owner) -> Result<Option<Record>, Refusal> {
        let Owner::User(user) = owner else { return Ok(None) };
        Ok(self.password(project, user).await?.map(Record::Password))
    }

    /// Finds out whether a claim is true. A wrong one is counted before it is answered.
    async fn prove(&self, claim: Claim<'_>, typed: &Typed) -> Result<Proven, Refusal> {
        if !self.is_fresh() {
            return Err(Refusal::CannotKnow);
        }
        self.guesses
            .may_try(claim.source.address.into(), self.clock.elapsed())?;
        let account = self.account(claim.project, claim.login);
        // SECURITY: whoever has the turn looks at the count and adds to it. Else a hundred guesses at once were one.
        let turn = self.passwords.turn().await?;
        self.may_try_name(&claim, account).await?;
        let user = self.user_of_login(claim.project, claim.login);
        let id = user
            .as_ref()
            .map_or(UserId::from_uuid(uuid::Uuid::nil()), |user| user.id);
        let password = self.password(claim.project, id).await?;
        let kept = password.as_ref().map(|password| (&password.hash, password.made));
        let checked = self.passwords.check(&turn, typed, kept).await?;
        let project = self.keyring.project(claim.project);
        let standing = |user: &User, project: &Project| user.standing.is_good() && project.standing.is_good();
        let why = match (user, project, password, checked) {
            (Some(user), Some(project), Some(password), Checked::Right | Checked::RightButCheap)
                if standing(&user, &project) =>
            {
                let proven = Proven {
                    user,
                    project,
                    password,
                    turn,
                };
                return self.renewed(proven, typed, checked, claim.source).await;
            }
            (None, ..) => "unknown_login",
            (Some(_), _, None, _) => "no_password",
            (Some(_), _, _, Checked::Wrong) => "wrong_password",
            (Some(_), ..) => "suspended",
        };
        let owner = (id.uuid() != uuid::Uuid::nil()).then_some(Owner::User(id));
        self.commit(vec![Commit::refusal(self.failure(&claim, account, owner, why))])
            .await?;
        self.wrong(claim.source.address)?;
        Err(Refusal::LogIn)
    }

    /// Keeps the password at the present cost where it was hashed at another one.
    async fn renewed(
        &self,
        mut proven: Proven,
        typed: &Typed,
        checked: Checked,
        source: &Source,
    ) -> Result<Proven, Refusal> {
        if checked == Checked::RightButCheap {
            let hash = self.passwords.hash(&proven.turn, typed, self.salt()).await?;
            let commit = password::rehash(&proven.password, hash.clone(), source, self.now());
            // Whoever knows the password comes in, whether or not its new hash could be written.
            if self.commit(vec![commit]).await.is_ok() {
                proven.password.hash = hash;
                proven.password.made = Made::Now;
                proven.password.revision = proven.password.revision.next();
            }
        }
        Ok(proven)
    }

    fn failure(&self, claim: &Claim<'_>, account: uuid::Uuid, owner: Option<Owner>, code: &str) -> Event {
        let here = self.keyring.project(claim.project).is_some();
        Event {
            project: if here { claim.project } else { SYSTEM },
            at: self.now(),
            action: claim.action.to_owned(),
            outcome: Outcome::Refused { code: code.to_owned() },
            actor: claim.actor,
            target: Target {
                noun: Noun::Password,
                id: Some(account),
            },
            owner,
            cause: None,
            source: claim.source.clone(),
            before: None,
            after: None,
        }
    }

    /// Refuses to look at any password where too many wrong ones were tried with a name.
    ///
    /// The refused attempts in the audit trail are the count: so it survives a restart, and no transaction takes it back.
    async fn may_try_name(&self, claim: &Claim<'_>, account: uuid::Uuid) -> Result<(), Refusal> {
        let [.., (most, longest)] = GUESSES_AT_NAME;
        let now = self.now();
        let query = EventQuery {
            action: None,
            target: Some((Noun::Password, account)),
            actor: None,
            owner: None,
            refused: Some(Refused::Only),
            since: Some(now.minus(longest)),
            until: None,
            after: None,
            limit: u64::try_from(most).ok().and_then(Limit::new).unwrap_or(Limit::LARGEST),
        };
        let here = self.keyring.project(claim.project).is_some();
        let project = if here { claim.project } else { SYSTEM };
        let failures = self.store.events(project, &query).await?.entries;
        for (most, within) in GUESSES_AT_NAME {
            // The newest come first: when this one is old enough, there is room for another.
            if let Some(failure) = failures.get(most - 1) {
                let free_at = failure.event.at.plus(within);
                if free_at > now {
                    let wait = Duration::from_millis(free_at.since(now).ms());
                    return Err(Refusal::AccountThrottled(Wait(wait)));
                }
            }
        }
        Ok(())
    }

    /// Takes in from where wrong passwords came before the start: whoever waits for a restart has gained nothing.
    ///
    /// Wrong keys are not among them. They leave no trail, and are no less hopeless to guess after a restart.
    pub(super) async fn recollect_failures(&self) -> Result<(), StoreError> {
        let now = self.now();
        let mut query = EventQuery {
            action: None,
            target: None,
            actor: None,
            owner: None,
            refused: Some(Refused::Only),
            since: Some(now.minus(Span::millis(WINDOW.as_millis().try_into().unwrap_or(u64::MAX)))),
            until: None,
            after: None,
            limit: Limit::LARGEST,
        };
        let projects: Vec<ProjectId> = self.keyring.directory().projects().map(|project| project.id).collect();
        let mut failures: HashMap<Guesser, Vec<Duration>> = HashMap::new();
        for project in projects {
            query.after = None;
            for _ in 0..FAILURE_PAGES_MAX {
                let page = self.store.events(project, &query).await?;
                let events = page.entries.into_iter().map(|entry| entry.event);
                for event in events.filter(|event| event.target.noun == Noun::Password) {
                    let age = Duration::from_millis(now.since(event.at).ms());
                    failures.entry(event.source.address.into()).or_default().push(age);
                }
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
        }
        for (guesser, mut ages) in failures {
            ages.sort_unstable_by(|one, other| other.cmp(one));
            self.guesses.recollect(guesser, ages, self.clock.elapsed());
        }
        Ok(())
    }

    /// The number under which guesses with a name are counted. It tells nobody what was typed.
    fn account(&self, project: ProjectId, login: &str) -> uuid::Uuid {
        let (project, name) = (project.uuid(), counted_as(login));
        let fields: [&[u8]; 3] = [b"account", project.as_bytes(), name.as_bytes()];
        uuid::Builder::from_custom_bytes(self.mac(&fields)).into_uuid()
    }

    fn user_of_login(&self, project: ProjectId, login: &str) -> Option<User> {
        let login = login.trim();
        let id = {
            let directory = self.keyring.directory();
            let named = directory.id_of(Noun::User, project, login).map(UserId::from_uuid);
            named.or_else(|| directory.by_email(project, login))
        };
        self.known_user(project, id?).ok()
    }

    pub(super) fn known_user(&self, project: ProjectId, user: UserId) -> Result<User, Refusal> {
        match self.known_owner(project, Owner::User(user))?.as_ref() {
            Record::User(user) => Ok(user.clone()),
            _ => Err(Refusal::NotFound(Noun::User)),
        }
    }

    async fn password(&self, project: ProjectId, user: UserId) -> Result<Option<Password>, Refusal> {
        let Some(stored) = self.store.record(project, Noun::Password, user.uuid()).await? else {
            return Ok(None);
        };
        match self.opened(&stored) {
            Ok(Record::Password(password)) => Ok(Some(password)),
            _ => {
                self.alarm(Noun::Password, &user.to_string());
                // Nobody comes in by a hash that somebody else put there.
                Ok(None)
            }
        }
    }

    async fn new_hash(&self, turn: &Turn, user: &User, new: &Typed) -> Result<HashText, Refusal> {
        let project = self
            .keyring
            .project(user.project)
            .ok_or(Refusal::NotFound(Noun::Project))?;
        let least = project.policy.log_in.password_chars_min;
        if new.chars() < usize::from(least) {
            return Err(Refusal::PasswordTooShort { least });
        }
        let mut about = vec![
            user.external_id.to_string(),
            user.name.to_string(),
            project.slug.to_string(),
        ];
        about.extend(user.email.as_ref().map(ToString::to_string));
        if self.passwords.is_guessable(new, about).await {
            return Err(Refusal::PasswordGuessable);
        }
        self.passwords.hash(turn, new, self.salt()).await
    }

    fn salt(&self) -> [u8; 16] {
        self.mint(|_, entropy| {
            let mut salt = [0; 16];
            entropy.fill(&mut salt);
            salt
        })
    }

    /// What ends a user's sessions, all but one.
    async fn ends_of<A: keyholt_core::actor::Action>(
        &self,
        permit: &Permit<A>,
        owner: Owner,
        why: &str,
        but: Option<KeyId>,
    ) -> Result<Vec<Commit>, Refusal> {
        let cause = Cause::new(why).map_err(|error| Refusal::Text { field: "cause", error })?;
        let over_keys = self.over_keys(permit.actor(), permit.project())?;
        let sessions = self.live_sessions(permit.project(), owner).await?;
        let others = sessions
            .iter()
            .filter(|session| session.kind == Kind::Session && Some(session.id) != but);
        let now = self.now();
        Ok(others
            .filter_map(|session| session::end(&over_keys, session, cause.clone(), now))
            .map(|(_, commit)| commit)
            .collect())
    }
}

fn password_of(user: UserId) -> Target {
    Target {
        noun: Noun::Password,
        id: Some(user.uuid()),
    }
}
