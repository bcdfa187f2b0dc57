//! Sessions that the back end of a product starts for one of its users: like a log-in, without the password.

use keyholt_core::actor::{Actor, SESSIONS_WRITE, Subject, WriteKeys, WriteSessions};
use keyholt_core::audit::{Noun, Target};
use keyholt_core::id::{KeyId, ProjectId, UserId};
use keyholt_core::key::Kind;
use keyholt_core::owner::{Owner, Standing};
use keyholt_core::session;
use keyholt_core::text::Name;
use keyholt_core::time::Span;
use keyholt_core::verify::Form;

use super::{Attempt, Keeper, LoggedIn, Refusal};
use crate::keyring::ring::Found;

impl Keeper {
    /// Starts a session for a user of the product, for so long; it does what a component session may do.
    ///
    /// It is the user's own: it is listed, and ends, with the user's log-ins, and is not refreshed beyond its end.
    pub async fn lend_session(
        &self,
        actor: &Actor,
        project: ProjectId,
        user: UserId,
        (name, lifetime): (Name, Span),
    ) -> Result<LoggedIn, Refusal> {
        let owner = Owner::User(user);
        let attempt = || Attempt {
            actor,
            project,
            action: "session.start",
            target: Target {
                noun: Noun::Key,
                id: None,
            },
            owner: Some(owner),
        };
        let leave = self.permit::<WriteSessions>(actor, project, Subject::Project, Noun::Project);
        let decided = leave.and_then(|permit| {
            self.back_end(actor, project)?;
            let user = self.known_user(project, user)?;
            if !matches!(user.standing, Standing::Good) {
                return Err(Refusal::NotFound(Noun::User));
            }
            let permissions = self.permissions(project, owner)?;
            let lent = self.with_circumstances(project, &permissions, |world, now, entropy| {
                session::lend(&permit, &user, name, now.plus(lifetime), world, now, entropy)
            })?;
            Ok((user, lent?))
        });
        let (user, (started, commit)) = match decided {
            Ok(decided) => decided,
            Err(refusal) => return self.refused(refusal, attempt()).await,
        };
        self.make_room(&user, &actor.source).await?;
        self.commit(vec![commit.made_with(actor.key)]).await?;
        Ok(LoggedIn {
            user,
            session: started.session,
            secret: started.secret,
        })
    }

    /// Whose session it is, for whoever may end everybody's; who may not has attempted to end it.
    pub async fn owner_of_session(&self, actor: &Actor, project: ProjectId, session: KeyId) -> Result<Owner, Refusal> {
        if let Err(refusal) = self.permit::<WriteKeys>(actor, project, Subject::Project, Noun::Key) {
            let attempt = Attempt {
                actor,
                project,
                action: "session.end",
                target: Target {
                    noun: Noun::Key,
                    id: Some(session.uuid()),
                },
                owner: None,
            };
            return self.refused(refusal, attempt).await;
        }
        let found = self
            .keyring
            .find_key(session)
            .filter(|found| found.kind() == Kind::Session);
        let whose = found.and_then(|found| self.keyring.dossier(&found, |key, _| (key.project, key.owner)));
        let owner = whose.filter(|(home, _)| *home == project).map(|(_, owner)| owner);
        owner.ok_or(Refusal::NotFound(Noun::Key))
    }

    /// The key with which a back end hands out sessions.
    ///
    /// SECURITY: only the newest secret of a key of this very project. What hangs on a secret in its grace, on a token or on a
    /// log-in would outlive it here.
    pub(super) fn back_end(&self, actor: &Actor, project: ProjectId) -> Result<Found, Refusal> {
        let lacks = || Refusal::Lacks { scope: SESSIONS_WRITE };
        let found = self.keyring.find_key(actor.key).ok_or_else(lacks)?;
        let is_back_end = actor.home == project
            && actor.form == Form::Secret
            && found.kind() != Kind::Session
            && actor.expiry == found.expiry();
        if is_back_end { Ok(found) } else { Err(lacks()) }
    }
}
