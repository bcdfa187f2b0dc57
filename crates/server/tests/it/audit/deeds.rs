//! Every deed that changes something, with everything set for it.

use std::sync::Arc;

use keyholt_core::actor::Actor;
use keyholt_core::amend::Amendment;
use keyholt_core::commit::Record;
use keyholt_core::id::RoleId;
use keyholt_core::issue::{SecretOrigin, Wish};
use keyholt_core::owner::{MemberRight, Owner, Team, User};
use keyholt_core::rotate::{Grace, Turn};
use keyholt_core::scope::ScopeSet;
use keyholt_core::secret::Fingerprint;
use keyholt_core::text::{Description, ExternalId, Name, Slug};
use keyholt_core::time::Span;
use keyholt_server::keeper::{Import, MembershipChange, ProjectChange, Refusal, Rehearsal};
use keyholt_store::{KeyQuery, Owners};

use crate::acts::{cause, meaning, turn, turned};
use crate::house::{Held, House, Wishes, charter, held, wish};
use crate::relay::{Relay, Stage};

/// Every deed.
pub const DEEDS: [&str; 27] = [
    "issue a key",
    "import keys",
    "amend a key",
    "rotate a key",
    "end a grace",
    "suspend a key",
    "resume a key",
    "revoke a key",
    "delete a key",
    "revoke many keys",
    "revoke the own key",
    "enrol a user",
    "enrol a team",
    "enrol a service",
    "change a user",
    "join a team",
    "leave a team",
    "suspend a user",
    "resume a user",
    "remove a user",
    "make a role",
    "change a role",
    "remove a role",
    "found a project",
    "change a project",
    "suspend a project",
    "resume a project",
];

/// A house in which every deed can be done, on a store that can fail.
pub struct Scene {
    pub house: House,
    pub line: Arc<Stage>,
    pub relay: Relay,
    /// Who does it: an administrator's key; for projects, the operator's.
    pub admin: Held,
    alice: User,
    suspended: User,
    team: Team,
    spare: RoleId,
    /// A key that rotates, one that is suspended, and one of the administrator's.
    pub keys: Vec<Held>,
}

impl Scene {
    pub async fn set() -> Self {
        let relay = Relay::new();
        let line = relay.lone();
        let house = House::open_on(line.clone()).await;
        let robot = house.service("robot", "admin").await;
        let robot = Owner::Service(robot.id);
        let admin = house.issue(wish(robot, "admin").everything()).await;
        let alice = house.user("alice").await;
        let owner = Owner::User(alice.id);
        let team = house.team("platform", vec![(&alice, MemberRight::Belong)]).await;
        let old = house.issue(wish(owner, "rotating").scopes(&["orders:read"])).await;
        let new = house.rotate(old.id(), Grace::For(Span::hours(1))).await;
        let paused = house.issue(wish(owner, "paused").scopes(&["orders:read"])).await;
        house.suspend(paused.id()).await;
        let own = house.issue(wish(robot, "own").everything()).await;
        let suspended = house.user("suspended").await;
        let (olga, project) = (house.olga(), house.project());
        let suspend = house
            .keeper
            .suspend_owner(&olga, project, Owner::User(suspended.id), None, None);
        suspend.await.unwrap();
        let scopes = ScopeSet::parse(["orders:read"]).unwrap();
        let (name, description) = (Slug::new("spare").unwrap(), Description::new("").unwrap());
        let spare = house.keeper.new_role(project, name, description, scopes);
        let spare = house.keeper.make_role(&olga, spare).await.unwrap().id;
        Self {
            house,
            line,
            relay,
            admin,
            alice,
            suspended,
            team,
            spare,
            keys: vec![new, paused, own, old],
        }
    }

    /// Who does a deed.
    pub fn doer(&self, deed: &str) -> Actor {
        match deed {
            "found a project" | "suspend a project" | "resume a project" => self.house.olga(),
            "revoke the own key" => self.house.actor(&self.keys[2].secret),
            _ => self.house.actor(&self.admin.secret),
        }
    }

    /// What must have happened before a deed changes anything.
    pub async fn prepare(&self, deed: &str) {
        if deed == "resume a project" {
            let (olga, project) = (self.house.olga(), self.house.project());
            self.house
                .keeper
                .suspend_project(&olga, project, None, None)
                .await
                .unwrap();
        }
    }

    /// Does a deed.
    pub async fn play(&self, deed: &str, doer: &Actor) -> Result<(), Refusal> {
        let (house, keeper, project) = (&self.house, &self.house.keeper, self.house.project());
        let (rotating, paused) = (self.keys[0].id(), self.keys[1].id());
        let (alice, why) = (Owner::User(self.alice.id), Some(cause("because")));
        // Whatever is done, its event tells why.
        let doer = &Actor {
            cause: why.clone(),
            ..doer.clone()
        };
        let [put, leave] = [MembershipChange::Put(MemberRight::ManageKeys), MembershipChange::Remove];
        match deed {
            "issue a key" => {
                let wish = wish(alice, "new").scopes(&["orders:read"]);
                keeper
                    .issue_key(doer, project, wish, None)
                    .await
                    .map(|issued| drop(held(issued)))
            }
            "import keys" => {
                let wishes = ["legacy-0000000000000001", "legacy-0000000000000002"].map(|secret| Wish {
                    origin: SecretOrigin::Imported {
                        fingerprint: Fingerprint::of(secret.as_bytes()),
                        hint: None,
                    },
                    ..wish(alice, "old").scopes(&["orders:read"])
                });
                let import = Import {
                    wishes: wishes.into(),
                    rehearsal: Rehearsal::No,
                };
                keeper.import_keys(doer, project, import).await.map(drop)
            }
            "amend a key" => {
                let amendment = Amendment {
                    name: Some(Name::new("renamed").unwrap()),
                    access: Some(keyholt_core::scope::Access::Only(ScopeSet::default())),
                    cause: why,
                    ..Amendment::default()
                };
                keeper
                    .amend_key(doer, project, rotating, amendment, None)
                    .await
                    .map(drop)
            }
            "rotate a key" => {
                let turn = Turn {
                    cause: why,
                    ..turn(Grace::Default)
                };
                keeper
                    .rotate_key(doer, project, rotating, turn, None)
                    .await
                    .map(|rotated| drop(turned(rotated)))
            }
            "end a grace" => keeper.end_grace(doer, project, rotating, why, None).await.map(drop),
            "suspend a key" => keeper.suspend_key(doer, project, rotating, why, None).await.map(drop),
            "resume a key" => keeper.resume_key(doer, project, paused, why, None).await.map(drop),
            "revoke a key" => keeper
                .revoke_key(doer, project, rotating, cause("because"), None)
                .await
                .map(drop),
            "delete a key" => keeper.delete_key(doer, project, rotating, why, None).await,
            "revoke many keys" => {
                let alices = KeyQuery {
                    owners: Owners::These(vec![alice]),
                    ..KeyQuery::default()
                };
                keeper
                    .revoke_matching(doer, project, alices, 2, cause("because"))
                    .await
                    .map(drop)
            }
            "revoke the own key" => keeper.revoke_own_key(doer, cause("because")).await.map(drop),
            "enrol a user" => {
                let user = house.new_user(project, "new", &["member"]);
                keeper.enrol_owner(doer, Record::User(user)).await.map(drop)
            }
            "enrol a team" => {
                let mut team = self.team.clone();
                (team.id, _) = keeper.mint_team();
                team.external_id = ExternalId::new("new").unwrap();
                keeper.enrol_owner(doer, Record::Team(team)).await.map(drop)
            }
            "enrol a service" => {
                let (id, created_at) = keeper.mint_service();
                let service = keyholt_core::owner::Service {
                    id,
                    project,
                    name: Slug::new("new").unwrap(),
                    description: Description::new("").unwrap(),
                    roles: self.team.roles.clone(),
                    standing: self.team.standing,
                    metadata: self.team.metadata.clone(),
                    created_at,
                    revision: self.team.revision,
                };
                keeper.enrol_owner(doer, Record::Service(service)).await.map(drop)
            }
            "change a user" => {
                let strip = |record: &mut Record| {
                    if let Record::User(user) = record {
                        user.roles.clear();
                    }
                    Ok(())
                };
                keeper.change_owner(doer, project, alice, None, &strip).await.map(drop)
            }
            "join a team" => keeper
                .change_membership(doer, project, self.team.id, self.suspended.id, put)
                .await
                .map(drop),
            "leave a team" => keeper
                .change_membership(doer, project, self.team.id, self.alice.id, leave)
                .await
                .map(drop),
            "suspend a user" => keeper.suspend_owner(doer, project, alice, why, None).await.map(drop),
            "resume a user" => {
                let suspended = Owner::User(self.suspended.id);
                keeper.resume_owner(doer, project, suspended, why, None).await.map(drop)
            }
            "remove a user" => keeper.remove_owner(doer, project, alice, why, None).await,
            "make a role" => {
                let scopes = ScopeSet::parse(["orders:read"]).unwrap();
                let (name, description) = (Slug::new("new").unwrap(), Description::new("").unwrap());
                let role = keeper.new_role(project, name, description, scopes);
                keeper.make_role(doer, role).await.map(drop)
            }
            "change a role" => {
                let member = keeper.role_named(project, "member").unwrap().id;
                keeper
                    .change_role(doer, project, member, meaning(&["reports:read"]), None)
                    .await
                    .map(drop)
            }
            "remove a role" => keeper.remove_role(doer, project, self.spare, None).await,
            "found a project" => keeper.found_project(doer, charter("initech")).await.map(drop),
            "change a project" => {
                let change = ProjectChange {
                    name: Some(Name::new("Renamed").unwrap()),
                    ..ProjectChange::default()
                };
                keeper.change_project(doer, project, change, None).await.map(drop)
            }
            "suspend a project" => keeper.suspend_project(doer, project, why, None).await.map(drop),
            "resume a project" => keeper.resume_project(doer, project, why, None).await.map(drop),
            other => panic!("no such deed: {other}"),
        }
    }

    /// What every key is good for, as this house's keeper says.
    pub fn verdicts(&self, house: &House) -> Vec<String> {
        let keys = self.keys.iter().chain([&self.admin]);
        keys.map(|key| house.code(&key.secret, &["orders:read"])).collect()
    }
}
