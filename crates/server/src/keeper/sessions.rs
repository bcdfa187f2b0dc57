//! Sessions: refresh, prolong, end, list. A session's secret opens no door; what it refreshes or stands for does.

use std::sync::Arc;

use keyholt_core::actor::{Actor, Permit, Proof, ReadKeys, Source, Subject, WriteKeys};
use keyholt_core::audit::{Noun, Target};
use keyholt_core::commit::{Commit, Record};
use keyholt_core::id::{KeyId, ProjectId, SYSTEM};
use keyholt_core::key::{Key, Kind, State};
use keyholt_core::owner::{Owner, User};
use keyholt_core::refresh_token::RefreshToken;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::secret::{Secret, session_cookie};
use keyholt_core::session::{self, RefreshError};
use keyholt_core::text::{Cause, RequestKey};
use keyholt_core::time::Span;
use keyholt_core::token::{self, TokenWish, Wished};
use keyholt_core::verify::{Form, Shown, standing};
use keyholt_store::{CommitError, EventQuery, KeyQuery, LastUse, Limit, Owners, RecordQuery, Sharing, StateFilter};

use super::{AccessToken, Attempt, Keeper, Refusal, TRIES, Unauthenticated};
use crate::keyring::directory::noun_of;
use crate::keyring::ring::Found;

/// Most sessions of one user; whoever logs in once more ends the oldest.
pub const SESSIONS_PER_USER_MAX: usize = 100;
/// A token that was used up less than this ago was shown twice by a hasty client, and not by a thief.
const HASTE: Span = Span::secs(1);
/// How long a session that is over is kept before it is taken out.
const KEPT: Span = Span::days(1);

/// A session that was refreshed.
#[derive(Debug)]
pub struct Refreshed {
    /// The session as it is now.
    pub session: Key,
    /// The next refresh token, shown this once.
    pub secret: Secret,
}

/// A session as it is shown.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The session.
    pub session: Key,
    /// When and from where it was used.
    pub last_use: Option<LastUse>,
}

impl Keeper {
    /// Uses a refresh token up and gives out the next one. One that was used up before ends the session.
    pub async fn refresh(&self, token: &str, source: Source) -> Result<Refreshed, Refusal> {
        if !self.is_fresh() {
            return Err(Refusal::CannotKnow);
        }
        match self.try_refresh(token, &source).await {
            Err(Refusal::SessionOver) => {
                self.wrong(source.address)?;
                Err(Refusal::SessionOver)
            }
            other => other,
        }
    }

    async fn try_refresh(&self, token: &str, source: &Source) -> Result<Refreshed, Refusal> {
        let shown = RefreshToken::parse(token).map_err(|_| Refusal::SessionOver)?;
        let found = self.family(&shown).await?.ok_or(Refusal::SessionOver)?;
        // The row decides, not this node's view of it, which may be older than the token.
        let session = self.stored_session(found.0, found.1.key()).await?;
        let policy = self.log_in_policy(session.project)?;
        let refreshed =
            self.mint(|now, entropy| session::refresh(&session, shown, &policy, &self.pepper, source, now, entropy));
        match refreshed {
            Ok((started, commit)) => {
                self.stands(session.id)?;
                match self.commit(vec![commit]).await {
                    Ok(()) => Ok(Refreshed {
                        session: started.session,
                        secret: started.secret,
                    }),
                    // Somebody else used it up in this very moment.
                    Err(CommitError::Stale { .. }) => Err(Refusal::SessionOver),
                    Err(error) => Err(error.into()),
                }
            }
            Err(RefreshError::Over) => Err(Refusal::SessionOver),
            Err(RefreshError::Reused) => {
                self.end_reused(session, source).await?;
                Err(Refusal::SessionOver)
            }
        }
    }

    /// Somebody who shows an access token of their own session, as whoever holds that session.
    ///
    /// An access token names its scopes and so hands on no more than them. Where it carries all that a session of everything
    /// may do at this moment, it is the person who logged in: what the session may hand on they may.
    pub fn as_the_session(&self, actor: Actor) -> Actor {
        // A secret carries what its key carries.
        if actor.form == Form::Secret {
            return actor;
        }
        let whole = || {
            let found = self.keyring.find_key(actor.key)?;
            let access = self.keyring.access(&found)?;
            let permissions = self.permissions(actor.home, actor.owner).ok()?;
            let is_whole = found.kind() == Kind::Session
                && **access == Access::Everything
                && actor.effective.lacks(&permissions).is_none();
            is_whole.then(|| Arc::clone(access))
        };
        match whole() {
            Some(access) => Actor { access, ..actor },
            None => actor,
        }
    }

    /// The project of the session that a refresh token or a cookie shows, for doors that are open to one project alone.
    pub async fn home_of_session(&self, secret: &str) -> Result<Option<ProjectId>, Refusal> {
        let found = match RefreshToken::parse(secret) {
            Ok(shown) => self.family(&shown).await?,
            Err(_) => self.by_cookie(secret),
        };
        Ok(found.map(|(project, _)| project))
    }

    /// An access token of a session, for whoever has just proven that the session is theirs. Of wished scopes it has those
    /// that the session may use.
    pub async fn session_token(&self, session: KeyId, wished: Wished) -> Result<AccessToken, Refusal> {
        let parent = self.parent_of(session).ok_or(Refusal::SessionOver)?;
        let scopes = match wished {
            Wished::All => Wished::All,
            Wished::Only(scopes) => {
                let found = self.keyring.find_key(session).ok_or(Refusal::SessionOver)?;
                let may = self
                    .keyring
                    .dossier(&found, |dossier, _| scopes.meet(&dossier.effective()));
                Wished::Only(may.ok_or(Refusal::SessionOver)?)
            }
        };
        let wish = TokenWish {
            scopes,
            audience: None,
            lifetime: None,
            subject: token::Subject::Owner,
            actors: Vec::new(),
        };
        self.mint_token(&parent, wish).await
    }

    /// Prolongs the session that a cookie shows.
    pub async fn prolong_session(&self, cookie: &str, source: Source) -> Result<Key, Refusal> {
        let actor = self.authenticate_cookie(cookie, source).map_err(unrecognised)?;
        for _ in 0..TRIES {
            let session = self.stored_session(actor.home, actor.key).await?;
            let policy = self.log_in_policy(session.project)?;
            let Some((prolonged, commit)) = session::prolong(&session, &policy, &actor.source, self.now()) else {
                return Ok(session);
            };
            match self.commit(vec![commit]).await {
                Ok(()) => return Ok(prolonged),
                Err(CommitError::Stale { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Busy(Noun::Key))
    }

    /// Ends the session that a refresh token or a cookie shows. Possession is leave enough; what is over is over.
    pub async fn log_out(&self, secret: &str, source: Source) -> Result<(), Refusal> {
        let found = match RefreshToken::parse(secret) {
            Ok(shown) => self.by_newest_token(&shown).await?,
            Err(_) => self.by_cookie(secret),
        };
        let Some((project, found)) = found else { return Ok(()) };
        let id = found.key();
        let Some(owner) = self.keyring.dossier(&found, |dossier, _| dossier.owner) else {
            return Ok(());
        };
        let holder = Actor {
            key: id,
            owner,
            home: project,
            access: Arc::new(Access::Only(ScopeSet::default())),
            effective: Arc::new(ScopeSet::parse(["keyholt:self:write"]).unwrap_or_default()),
            expiry: found.expiry(),
            form: Form::Secret,
            proof: Proof::OldLogIn,
            manages: Vec::new(),
            source,
            cause: None,
        };
        let cause = own_words("logged out")?;
        match self.end_session(&holder, project, owner, id, cause).await {
            Ok(()) | Err(Refusal::NotFound(_)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Ends one session of an owner.
    pub async fn end_session(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        id: KeyId,
        cause: Cause,
    ) -> Result<(), Refusal> {
        let only = |session: &Key| session.id == id;
        match self.end_where(actor, project, owner, Some(id), cause, only).await? {
            0 => Err(Refusal::NotFound(Noun::Key)),
            _ => Ok(()),
        }
    }

    /// Ends all sessions of an owner: it is logged out everywhere. Tells how many there were.
    pub async fn end_sessions(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        cause: Cause,
    ) -> Result<usize, Refusal> {
        self.end_where(actor, project, owner, None, cause, |_| true).await
    }

    async fn end_where(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        target: Option<KeyId>,
        cause: Cause,
        wanted: impl Fn(&Key) -> bool,
    ) -> Result<usize, Refusal> {
        let attempt = || Attempt {
            actor,
            project,
            action: "session.end",
            target: Target {
                noun: Noun::Key,
                id: target.map(KeyId::uuid),
            },
            owner: Some(owner),
        };
        let leave = self.permit::<WriteKeys>(actor, project, Subject::Owner(owner), noun_of(owner));
        let permit = match leave.and_then(|permit| self.known_owner(project, owner).map(|_| permit)) {
            Ok(permit) => permit,
            Err(refusal) => return self.refused(refusal, attempt()).await,
        };
        for _ in 0..TRIES {
            let sessions = self.live_sessions(project, owner).await?;
            let now = self.now();
            let ends = sessions.iter().filter(|session| wanted(session));
            let commits: Vec<Commit> = ends
                .filter_map(|session| session::end(&permit, session, cause.clone(), now))
                .map(|(_, commit)| commit)
                .collect();
            let count = commits.len();
            if count == 0 {
                return Ok(0);
            }
            match self.commit(commits).await {
                Ok(()) => return Ok(count),
                // One was refreshed meanwhile: it has to end all the same.
                Err(CommitError::Stale { .. }) => {}
                Err(error) => return self.refused(error.into(), attempt()).await,
            }
        }
        Err(Refusal::Busy(Noun::Key))
    }

    /// An owner's sessions that work, newest first.
    pub async fn sessions(&self, actor: &Actor, project: ProjectId, owner: Owner) -> Result<Vec<SessionView>, Refusal> {
        self.may::<ReadKeys>(actor, project, Subject::Owner(owner), noun_of(owner))?;
        self.known_owner(project, owner)?;
        let sessions = self.live_sessions(project, owner).await?;
        let ids: Vec<KeyId> = sessions.iter().map(|session| session.id).collect();
        let uses: std::collections::HashMap<KeyId, LastUse> = self.store.last_uses(&ids).await?.into_iter().collect();
        let view = |session: Key| SessionView {
            last_use: uses.get(&session.id).copied(),
            session,
        };
        Ok(sessions.into_iter().map(view).collect())
    }

    /// The user of a session; whoever holds a session may know whose it is.
    pub fn holder(&self, session: &Key) -> Option<User> {
        let directory = self.keyring.directory();
        match directory.owner(session.owner)?.as_ref() {
            Record::User(user) => Some(user.clone()),
            _ => None,
        }
    }

    /// Who shows this cookie. Its authority is looked up every time: nothing of it is in the cookie.
    pub fn authenticate_cookie(&self, cookie: &str, source: Source) -> Result<Actor, Unauthenticated> {
        if !self.is_fresh() {
            return Err(Unauthenticated::CannotKnow);
        }
        let address = source.address;
        let found = self.by_cookie(cookie).ok_or(Unauthenticated::Invalid);
        match found.and_then(|(_, found)| self.actor(&found.into(), source)) {
            Err(Unauthenticated::Invalid) => Err(self
                .wrong(address)
                .map_or_else(Into::into, |()| Unauthenticated::Invalid)),
            other => other,
        }
    }

    fn by_cookie(&self, cookie: &str) -> Option<(ProjectId, Found)> {
        self.with_project(self.find_session(&session_cookie(cookie).ok()?)?)
    }

    /// The session whose newest token is shown.
    pub(super) async fn by_newest_token(&self, shown: &RefreshToken) -> Result<Option<(ProjectId, Found)>, Refusal> {
        let found = self.family(shown).await?;
        Ok(found.filter(|(_, found)| found.shown == Shown::Current))
    }

    /// The session of a token's family, wherever it was started.
    async fn family(&self, shown: &RefreshToken) -> Result<Option<(ProjectId, Found)>, Refusal> {
        // Of a session that was refreshed last before the master key was replaced.
        let earlier = shown.earlier_credentials(&self.pepper);
        let kept = [Some(shown.credentials(&self.pepper)), earlier];
        let find = || {
            let mut digests = kept
                .iter()
                .flatten()
                .flat_map(|kept| [Some(kept.current()), kept.beside()])
                .flatten();
            digests.find_map(|digest| self.keyring.find_session(digest))
        };
        let mut found = find();
        if found.is_none() && self.store.sharing() == Sharing::Shared {
            // Another node may have started it this very moment.
            self.catch_up().await?;
            found = find();
        }
        Ok(found.and_then(|found| self.with_project(found)))
    }

    fn with_project(&self, found: Found) -> Option<(ProjectId, Found)> {
        let project = self.keyring.dossier(&found, |dossier, _| dossier.project)?;
        Some((project, found))
    }

    /// Refuses a session whose owner or project is out of standing. Lifting that restores it.
    fn stands(&self, id: KeyId) -> Result<(), Refusal> {
        let now = self.now();
        let found = self.keyring.find_key(id).ok_or(Refusal::SessionOver)?;
        match self.keyring.dossier(&found, |dossier, _| standing(dossier, now)) {
            Some(None) => Ok(()),
            Some(Some(_)) | None => Err(Refusal::SessionOver),
        }
    }

    /// Ends a session whose used-up token was shown, unless that was a matter of haste.
    async fn end_reused(&self, mut session: Key, source: &Source) -> Result<(), Refusal> {
        let query = EventQuery {
            action: Some("session.refresh".to_owned()),
            target: Some((Noun::Key, session.id.uuid())),
            actor: None,
            owner: None,
            refused: None,
            since: Some(self.now().minus(HASTE)),
            until: None,
            after: None,
            limit: Limit::DEFAULT,
        };
        let recent = self.store.events(session.project, &query).await?;
        let since = self.now().minus(HASTE);
        if recent.entries.iter().any(|entry| entry.event.at > since) {
            return Ok(());
        }
        for _ in 0..TRIES {
            let ended = session::end_reused(&session, source, self.now());
            let Some(commit) = ended.map_err(|error| Refusal::Text { field: "cause", error })? else {
                return Ok(());
            };
            match self.commit(vec![commit]).await {
                Ok(()) => {
                    tracing::warn!(session = %session.id, "a used-up refresh token was shown again: the session was ended");
                    return Ok(());
                }
                // The other holder is refreshing it just now: all the more has it to end.
                Err(CommitError::Stale { .. }) => {
                    session = self.stored_session(session.project, session.id).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Busy(Noun::Key))
    }

    /// Ends the oldest sessions of a user who has as many as one may have.
    pub(super) async fn make_room(&self, user: &User, source: &Source) -> Result<(), Refusal> {
        let owner = Owner::User(user.id);
        let sessions = self.live_sessions(user.project, owner).await?;
        let holder = Actor {
            key: sessions
                .first()
                .map_or(KeyId::from_uuid(uuid::Uuid::nil()), |session| session.id),
            owner,
            home: user.project,
            access: Arc::new(Access::Only(ScopeSet::default())),
            effective: Arc::default(),
            expiry: keyholt_core::time::Expiry::Never,
            form: Form::Secret,
            proof: Proof::OldLogIn,
            manages: Vec::new(),
            source: source.clone(),
            cause: None,
        };
        let permit = self.over_keys(&holder, user.project)?;
        let (cause, now) = (own_words("too many sessions")?, self.now());
        let too_many = sessions.iter().skip(SESSIONS_PER_USER_MAX - 1);
        let commits: Vec<Commit> = too_many
            .filter_map(|session| session::end(&permit, session, cause.clone(), now))
            .map(|(_, commit)| commit)
            .collect();
        if commits.is_empty() {
            return Ok(());
        }
        match self.commit(commits).await {
            // Whoever made them change meanwhile counts them as well.
            Ok(()) | Err(CommitError::Stale { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// An owner's sessions that are neither ended nor expired, newest first.
    pub(super) async fn live_sessions(&self, project: ProjectId, owner: Owner) -> Result<Vec<Key>, Refusal> {
        let query = KeyQuery {
            owners: Owners::These(vec![owner]),
            kind: Some(Kind::Session),
            state: Some(StateFilter::Active { now: self.now() }),
            limit: Limit::LARGEST,
            ..KeyQuery::default()
        };
        let page = self.store.keys(project, &query).await?;
        Ok(self.genuine(page.entries).collect())
    }

    /// Leave to end somebody's sessions, for whoever has leave to something that must end them.
    pub(super) fn over_keys(&self, actor: &Actor, project: ProjectId) -> Result<Permit<WriteKeys>, Refusal> {
        let holder = Actor {
            effective: Arc::new(ScopeSet::parse(["keyholt:keys:write"]).unwrap_or_default()),
            ..actor.clone()
        };
        self.permit(&holder, project, Subject::Project, Noun::Project)
    }

    async fn stored_session(&self, project: ProjectId, id: KeyId) -> Result<Key, Refusal> {
        let session = self.stored(project, id).await?;
        match (session.kind, &session.state) {
            (Kind::Session, State::Active) => Ok(session),
            _ => Err(Refusal::SessionOver),
        }
    }

    fn log_in_policy(&self, project: ProjectId) -> Result<keyholt_core::project::LogInPolicy, Refusal> {
        let project = self.keyring.project(project).ok_or(Refusal::SessionOver)?;
        Ok(project.policy.log_in)
    }

    /// Takes sessions out that are over for a day; the audit trail stays.
    pub(super) async fn forget_sessions(&self) -> Result<(), Refusal> {
        let mut projects = RecordQuery {
            handle_prefix: None,
            after: None,
            limit: Limit::LARGEST,
        };
        loop {
            let page = self.store.records(SYSTEM, Noun::Project, &projects).await?;
            for project in &page.entries {
                self.forget_sessions_of(ProjectId::from_uuid(project.id)).await?;
            }
            match page.next {
                Some(next) => projects.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn forget_sessions_of(&self, project: ProjectId) -> Result<(), Refusal> {
        let source = Source {
            address: None,
            request: RequestKey::new("background").map_err(|error| Refusal::Text {
                field: "request",
                error,
            })?,
        };
        loop {
            let now = self.now();
            let query = KeyQuery {
                kind: Some(Kind::Session),
                expiring_before: Some(now.minus(KEPT)),
                limit: Limit::LARGEST,
                ..KeyQuery::default()
            };
            let page = self.store.keys(project, &query).await?;
            let more = page.next.is_some();
            let over: Vec<Key> = page.entries.into_iter().map(|(session, _)| session).collect();
            let Some(commit) = session::forget(over, &source, now) else {
                return Ok(());
            };
            match self.commit(vec![commit]).await {
                Ok(()) if more => {}
                // Another node does the same: once is enough.
                Ok(()) | Err(CommitError::Stale { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn own_words(text: &str) -> Result<Cause, Refusal> {
    Cause::new(text).map_err(|error| Refusal::Text { field: "cause", error })
}

fn unrecognised(why: Unauthenticated) -> Refusal {
    match why {
        Unauthenticated::Invalid | Unauthenticated::AddressNotAllowed => Refusal::SessionOver,
        Unauthenticated::CannotKnow => Refusal::CannotKnow,
        Unauthenticated::TooMany(wait) => Refusal::TooManyGuesses(wait),
    }
}
