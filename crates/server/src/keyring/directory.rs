//! Everything but keys, as the keeper works with it: projects, roles, users, teams and services by id and by handle.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use keyholt_core::audit::Noun;
use keyholt_core::commit::Record;
use keyholt_core::enrol;
use keyholt_core::id::{ProjectId, RoleId, TeamId, UserId};
use keyholt_core::owner::Owner;
use keyholt_core::password::mailbox;
use keyholt_core::project::Project;
use keyholt_core::role::Role;
use keyholt_core::scope::ScopeSet;
use keyholt_core::signing::SigningKey;
use keyholt_core::time::Moment;
use keyholt_core::token::RevokedToken;
use uuid::Uuid;

/// All records other than keys. The verify path does not come here.
#[derive(Default)]
pub struct Directory {
    records: HashMap<(Noun, Uuid), Arc<Record>>,
    handles: HashMap<(Noun, ProjectId, Box<str>), Uuid>,
    holders: HashMap<RoleId, BTreeSet<Owner>>,
    managed: HashMap<UserId, BTreeSet<TeamId>>,
    by_project: HashMap<ProjectId, BTreeSet<Owner>>,
    counts: HashMap<(Noun, ProjectId), usize>,
    mailboxes: HashMap<(ProjectId, Box<str>), BTreeSet<UserId>>,
    projects: BTreeSet<Uuid>,
    /// Recalled tokens, those that are dead first before the others.
    recalled: BTreeSet<(Moment, Uuid)>,
    signing_keys: HashMap<ProjectId, BTreeSet<Uuid>>,
}

impl Directory {
    /// The record with this id.
    pub fn record(&self, noun: Noun, id: Uuid) -> Option<&Arc<Record>> {
        self.records.get(&(noun, id))
    }

    /// The id of the record with this handle.
    pub fn id_of(&self, noun: Noun, project: ProjectId, handle: &str) -> Option<Uuid> {
        // A borrowed key would need an odd type; this is not a hot path.
        self.handles.get(&(noun, project, handle.into())).copied()
    }

    /// The one user of a project who has this e-mail address, without regard to case. An address of several is nobody's.
    pub fn by_email(&self, project: ProjectId, email: &str) -> Option<UserId> {
        let users = self.mailboxes.get(&(project, mailbox(email).into()))?;
        users.first().copied().filter(|_| users.len() == 1)
    }

    /// The record of an owner.
    pub fn owner(&self, owner: Owner) -> Option<&Arc<Record>> {
        self.record(noun_of(owner), owner.uuid())
    }

    /// The role with this id.
    pub fn role(&self, id: RoleId) -> Option<&Role> {
        match self.record(Noun::Role, id.uuid())?.as_ref() {
            Record::Role(role) => Some(role),
            _ => None,
        }
    }

    /// What holders of these roles may do.
    pub fn scopes_of<'a>(&self, roles: impl IntoIterator<Item = &'a RoleId>) -> ScopeSet {
        let scopes = roles
            .into_iter()
            .filter_map(|id| self.role(*id))
            .map(|role| &role.scopes);
        scopes.fold(ScopeSet::default(), |all, some| all.union(some))
    }

    /// What an owner may do now.
    pub fn permissions(&self, owner: &Record) -> ScopeSet {
        enrol::roles(owner)
            .map(|roles| self.scopes_of(roles))
            .unwrap_or_default()
    }

    /// How often an owner or one of its roles was changed, as far as that can be told from what they are now.
    pub fn changes_of(&self, owner: &Record) -> u32 {
        let roles = enrol::roles(owner).into_iter().flatten();
        let roles = roles.filter_map(|id| self.role(*id)).map(|role| role.revision.number());
        roles.fold(owner.revision().number(), u32::wrapping_add)
    }

    /// Who holds a role.
    pub fn holders(&self, role: RoleId) -> impl Iterator<Item = Owner> {
        self.holders.get(&role).into_iter().flatten().copied()
    }

    /// The teams whose keys a user may manage.
    pub fn managed_by(&self, user: UserId) -> impl Iterator<Item = TeamId> {
        self.managed.get(&user).into_iter().flatten().copied()
    }

    /// How many records of one kind a project has.
    pub fn count(&self, noun: Noun, project: ProjectId) -> usize {
        self.counts.get(&(noun, project)).copied().unwrap_or(0)
    }

    /// The owners of a project.
    pub fn owners_in(&self, project: ProjectId) -> impl Iterator<Item = Owner> {
        self.by_project.get(&project).into_iter().flatten().copied()
    }

    /// All projects.
    pub fn projects(&self) -> impl Iterator<Item = &Project> {
        let records = self.projects.iter().filter_map(|id| self.record(Noun::Project, *id));
        records.filter_map(|record| match record.as_ref() {
            Record::Project(project) => Some(project),
            _ => None,
        })
    }

    /// Recalled tokens that are dead by now, and so need no recalling any more.
    pub fn recalled_and_dead(&self, now: Moment, most: usize) -> Vec<RevokedToken> {
        let dead = self.recalled.iter().take_while(|(at, _)| *at <= now).take(most);
        dead.filter_map(|(_, id)| match self.record(Noun::Token, *id)?.as_ref() {
            Record::Token(token) => Some(token.clone()),
            _ => None,
        })
        .collect()
    }

    /// The signing keys of a project.
    pub fn signing_keys(&self, project: ProjectId) -> impl Iterator<Item = &SigningKey> {
        let ids = self.signing_keys.get(&project).into_iter().flatten();
        let records = ids.filter_map(|id| self.record(Noun::SigningKey, *id));
        records.filter_map(|record| match record.as_ref() {
            Record::SigningKey(key) => Some(key.as_ref()),
            _ => None,
        })
    }

    /// The teams that name a user as a member.
    pub fn teams_of(&self, user: UserId, project: ProjectId) -> Vec<TeamId> {
        let names = |owner: &Owner| match self.owner(*owner).map(AsRef::as_ref) {
            Some(Record::Team(team)) if team.members.iter().any(|member| member.user == user) => Some(team.id),
            _ => None,
        };
        self.by_project
            .get(&project)
            .into_iter()
            .flatten()
            .filter_map(names)
            .collect()
    }

    /// Takes a record in, in place of an earlier version.
    pub fn put(&mut self, record: Arc<Record>) {
        let key = (record.noun(), record.id());
        if let Some(old) = self.records.get(&key).map(Arc::clone) {
            self.unlink(&old);
        }
        *self.counts.entry((key.0, record.project())).or_default() += 1;
        if let Some(handle) = record.handle() {
            self.handles.insert((key.0, record.project(), handle.into()), key.1);
        }
        match record.as_ref() {
            Record::Project(project) => {
                self.projects.insert(project.id.uuid());
            }
            Record::Token(token) => {
                self.recalled.insert((token.expires_at, token.id.uuid()));
            }
            Record::SigningKey(key) => {
                self.signing_keys.entry(key.project).or_default().insert(key.id.uuid());
            }
            _ => {}
        }
        if let Some(owner) = owner_of(&record) {
            self.by_project.entry(record.project()).or_default().insert(owner);
            for role in enrol::roles(&record).into_iter().flatten() {
                self.holders.entry(*role).or_default().insert(owner);
            }
        }
        if let Some((place, user)) = mailbox_of(&record) {
            self.mailboxes.entry(place).or_default().insert(user);
        }
        if let Record::Team(team) = record.as_ref() {
            for user in team.managers() {
                self.managed.entry(user).or_default().insert(team.id);
            }
        }
        self.records.insert(key, record);
    }

    /// Takes a record out.
    pub fn remove(&mut self, noun: Noun, id: Uuid) -> Option<Arc<Record>> {
        let record = self.records.remove(&(noun, id))?;
        self.unlink(&record);
        Some(record)
    }

    fn unlink(&mut self, record: &Record) {
        if let Some(count) = self.counts.get_mut(&(record.noun(), record.project())) {
            *count = count.saturating_sub(1);
        }
        if let Some(handle) = record.handle() {
            let place = (record.noun(), record.project(), handle.into());
            // Changes may come in another order than they were made in: the handle may have a new bearer already.
            if self.handles.get(&place) == Some(&record.id()) {
                self.handles.remove(&place);
            }
        }
        match record {
            Record::Project(project) => {
                self.projects.remove(&project.id.uuid());
            }
            Record::Token(token) => {
                self.recalled.remove(&(token.expires_at, token.id.uuid()));
            }
            Record::SigningKey(key) => take_out(&mut self.signing_keys, key.project, key.id.uuid()),
            _ => {}
        }
        if let Some(owner) = owner_of(record) {
            take_out(&mut self.by_project, record.project(), owner);
            for role in enrol::roles(record).into_iter().flatten() {
                take_out(&mut self.holders, *role, owner);
            }
        }
        if let Some((place, user)) = mailbox_of(record) {
            take_out(&mut self.mailboxes, place, user);
        }
        if let Record::Team(team) = record {
            for member in &team.members {
                take_out(&mut self.managed, member.user, team.id);
            }
        }
    }
}

fn mailbox_of(record: &Record) -> Option<((ProjectId, Box<str>), UserId)> {
    let Record::User(user) = record else { return None };
    let email = user.email.as_ref()?;
    Some(((user.project, mailbox(email.as_str()).into()), user.id))
}

fn take_out<K: std::hash::Hash + Eq, V: Ord>(map: &mut HashMap<K, BTreeSet<V>>, key: K, value: V) {
    if let Some(set) = map.get_mut(&key) {
        set.remove(&value);
        if set.is_empty() {
            map.remove(&key);
        }
    }
}

/// The owner that a record is, if it is one. What belongs to an owner is not one.
fn owner_of(record: &Record) -> Option<Owner> {
    match record {
        Record::User(_) | Record::Team(_) | Record::Service(_) => record.owner(),
        _ => None,
    }
}

/// The noun of an owner's record.
pub fn noun_of(owner: Owner) -> Noun {
    match owner {
        Owner::User(_) => Noun::User,
        Owner::Team(_) => Noun::Team,
        Owner::Service(_) => Noun::Service,
    }
}

#[cfg(test)]
mod tests {
    use keyholt_core::commit::Revision;
    use keyholt_core::id::{SYSTEM, ServiceId};
    use keyholt_core::owner::{Service, Standing};
    use keyholt_core::text::{Description, Metadata, Slug};
    use keyholt_core::time::Moment;

    use super::*;

    fn service(id: u128, name: &str, revision: u32) -> Arc<Record> {
        Arc::new(Record::Service(Service {
            id: ServiceId::from_uuid(Uuid::from_u128(id)),
            project: SYSTEM,
            name: Slug::new(name).unwrap(),
            description: Description::new("").unwrap(),
            roles: BTreeSet::new(),
            standing: Standing::Good,
            metadata: Metadata::default(),
            created_at: Moment::from_ms(0),
            revision: Revision::from_number(revision),
        }))
    }

    #[test]
    fn a_handle_belongs_to_its_newest_bearer_in_whatever_order_changes_come() {
        let mut directory = Directory::default();
        directory.put(service(1, "ci", 1));
        // The first one gave its name up before the second one took it; here that comes after.
        directory.put(service(2, "ci", 1));
        directory.put(service(1, "old-ci", 2));
        let bearer = |name| directory.id_of(Noun::Service, SYSTEM, name);
        assert_eq!(bearer("ci"), Some(Uuid::from_u128(2)));
        assert_eq!(bearer("old-ci"), Some(Uuid::from_u128(1)));
        assert_eq!(directory.count(Noun::Service, SYSTEM), 2);
    }
}
