//! Descendants: what was made with a key ends with it, where that is wished, and nothing that is made meanwhile gets away.
//!
//! A key ends first, and what was made with it is looked for after that: the store writes nothing that a key makes once the
//! key has ended. So each generation is complete when it is looked for, and it has ended before the next one is.

use std::collections::{HashSet, VecDeque};

use keyholt_core::actor::{Actor, Subject, WriteKeys};
use keyholt_core::audit::Noun;
use keyholt_core::commit::{Commit, Revision};
use keyholt_core::id::{KeyId, ProjectId, SYSTEM};
use keyholt_core::issue::ISSUED;
use keyholt_core::key::{Key, Kind, State};
use keyholt_core::revoke::revoke;
use keyholt_core::session::{self, STARTED};
use keyholt_core::text::Cause;
use keyholt_store::{CommitError, EventQuery, Limit, RecordQuery, Refused};

use super::way_in::Loss;
use super::{Keeper, KeyView, Refusal, TRIES};

/// Most keys that one request ends with their ancestor; the same request made again goes on.
pub const DESCENDANTS_MAX: u64 = 10_000;
/// Most keys that end in one transaction.
const TOGETHER: usize = 500;

/// What became of the keys and sessions that were made with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Descendants {
    /// How many ended now.
    pub revoked: u64,
    /// How many live on, because the caller may not revoke them or because they are the last way in.
    pub left: u64,
    /// How far it was gone.
    pub extent: Extent,
}

/// Whether all that there is was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Extent {
    /// It was.
    #[default]
    All,
    /// There may be more: the same request goes on.
    UpToTheLimit,
}

/// A walk through the generations.
struct Walk<'a> {
    actor: &'a Actor,
    cause: Cause,
    seen: HashSet<KeyId>,
    /// What has ended and may have made something, each with its project.
    makers: VecDeque<(ProjectId, KeyId)>,
    found: Descendants,
}

impl Keeper {
    /// Ends a key as [`Keeper::revoke_key`] does, and all that was made with it: by it, by what it made, and so on.
    ///
    /// Broken off half-way, it is made good by being asked for again: what has ended stays as it is, and is gone through.
    pub async fn revoke_with_descendants(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        cause: Cause,
        based_on: Option<Revision>,
    ) -> Result<(KeyView, Descendants), Refusal> {
        let view = self.revoke_key(actor, project, id, cause, based_on).await?;
        let mut walk = Walk {
            actor,
            cause: Cause::new(&format!("made with key {id}, which was revoked"))
                .map_err(|error| Refusal::Text { field: "cause", error })?,
            seen: HashSet::from([id]),
            makers: VecDeque::from([(project, id)]),
            found: Descendants::default(),
        };
        while let Some((home, maker)) = walk.makers.pop_front() {
            for place in self.places_of(home).await? {
                let made = self.made_with(place, maker).await?;
                let new: Vec<KeyId> = made.into_iter().filter(|key| walk.seen.insert(*key)).collect();
                for some in new.chunks(TOGETHER) {
                    if walk.found.revoked >= DESCENDANTS_MAX {
                        walk.found.extent = Extent::UpToTheLimit;
                        return Ok((view, walk.found));
                    }
                    self.end_generation(&mut walk, place, some).await?;
                }
            }
        }
        Ok((view, walk.found))
    }

    /// The projects in which a key of this one may have made something: an operator's key makes keys everywhere.
    async fn places_of(&self, home: ProjectId) -> Result<Vec<ProjectId>, Refusal> {
        if home != SYSTEM {
            return Ok(vec![home]);
        }
        let mut query = RecordQuery {
            handle_prefix: None,
            after: None,
            limit: Limit::LARGEST,
        };
        let mut places = Vec::new();
        loop {
            let page = self.store.records(SYSTEM, Noun::Project, &query).await?;
            places.extend(page.entries.iter().map(|project| ProjectId::from_uuid(project.id)));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(places),
            }
        }
    }

    /// The keys and sessions that were made with a key in a project, by the audit trail.
    ///
    /// The records tell of their makers too. But somebody who has a leaked key may have deleted what it made, and what that
    /// made would be found no more.
    async fn made_with(&self, project: ProjectId, maker: KeyId) -> Result<Vec<KeyId>, Refusal> {
        let mut made = Vec::new();
        for action in [ISSUED, STARTED] {
            let mut query = EventQuery {
                action: Some(action.to_owned()),
                target: None,
                actor: Some(maker),
                owner: None,
                refused: Some(Refused::Not),
                since: None,
                until: None,
                after: None,
                limit: Limit::LARGEST,
            };
            loop {
                let page = self.store.events(project, &query).await?;
                let targets = page.entries.iter().filter_map(|entry| entry.event.target.id);
                made.extend(targets.map(KeyId::from_uuid));
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
        Ok(made)
    }

    /// Ends some of those that were made with the same key; what they made is looked for later.
    async fn end_generation(&self, walk: &mut Walk<'_>, project: ProjectId, some: &[KeyId]) -> Result<(), Refusal> {
        walk.makers.extend(some.iter().map(|key| (project, *key)));
        let _turn = self.turn_in(project).await;
        for _ in 0..TRIES {
            let (commits, left) = self.ends(walk, project, some).await?;
            let ended = commits.len() as u64;
            let written = if commits.is_empty() {
                Ok(())
            } else {
                self.commit(commits).await
            };
            match written {
                Ok(()) => {
                    walk.found.revoked += ended;
                    walk.found.left += left;
                    return Ok(());
                }
                Err(CommitError::Stale { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Busy(Noun::Key))
    }

    /// The ends of those that live, and how many live on.
    async fn ends(&self, walk: &Walk<'_>, project: ProjectId, some: &[KeyId]) -> Result<(Vec<Commit>, u64), Refusal> {
        let (mut commits, mut left, mut ending) = (Vec::new(), 0, Vec::new());
        let now = self.now();
        for id in some {
            let key = match self.stored(project, *id).await {
                Ok(key) if matches!(key.state, State::Revoked { .. }) => continue,
                Ok(key) => key,
                // A row that is not as Keyholt wrote it lets nobody in.
                Err(Refusal::NotFound(_) | Refusal::Tampered(_)) => continue,
                Err(refusal) => return Err(refusal),
            };
            ending.push(key.id);
            let stays_open = self.keep_a_way_in(project, Loss::Keys(&ending)).is_ok();
            match self.end_of(walk, &key, now).filter(|_| stays_open) {
                Some(commit) => commits.push(commit),
                None => {
                    ending.pop();
                    left += 1;
                }
            }
        }
        Ok((commits, left))
    }

    /// The end of a key or session, where the caller may bring it about.
    fn end_of(&self, walk: &Walk<'_>, key: &Key, now: keyholt_core::time::Moment) -> Option<Commit> {
        let leave = walk.actor.permit::<WriteKeys>(key.project, Subject::Owner(key.owner));
        let permit = leave.ok()?;
        let ended = match key.kind {
            Kind::Session => session::end(&permit, key, walk.cause.clone(), now),
            Kind::Standard | Kind::Static | Kind::Publishable => revoke(&permit, key, walk.cause.clone(), now),
        };
        ended.map(|(_, commit)| commit)
    }
}
