//! The people of the stories about refusals, each with a key.

use keyholt_core::actor::Actor;
use keyholt_core::commit::Record;
use keyholt_core::id::ProjectId;
use keyholt_core::owner::{MemberRight, Owner, Team};
use keyholt_core::project::Project;
use keyholt_server::keeper::MembershipChange;

use crate::house::{Held, House, Wishes, charter, wish};

/// Everybody, in the order of the columns.
pub const EVERYBODY: [&str; 8] = [
    "stranger",
    "narrow",
    "member",
    "manager",
    "ex-manager",
    "verifier",
    "admin",
    "operator",
];

pub struct Cast {
    pub house: House,
    /// Another project, in which the stranger may do everything.
    pub globex: Project,
    /// A team with a key of its own.
    pub platform: Team,
    keys: Vec<Held>,
}

impl Cast {
    pub async fn gather() -> Self {
        let house = House::open().await;
        let globex = house
            .keeper
            .found_project(&house.olga(), charter("globex"))
            .await
            .unwrap();
        let stranger = house.new_user(globex.id, "stranger", &["admin"]);
        house.enrol(Record::User(stranger.clone())).await;
        let [narrow, member] = [house.user("narrow").await, house.user("member").await];
        let [manager, former] = [house.user("manager").await, house.user("ex-manager").await];
        let right = MemberRight::ManageKeys;
        let platform = house.team("platform", vec![(&manager, right), (&former, right)]).await;
        house
            .keeper
            .change_membership(
                &house.olga(),
                house.project(),
                platform.id,
                former.id,
                MembershipChange::Remove,
            )
            .await
            .unwrap();
        let verifier = house.service("verifier", "verifier").await;
        let admin = house.service("admin", "admin").await;

        let full = |owner| wish(owner, "persona").everything();
        let user = |user: &keyholt_core::owner::User| Owner::User(user.id);
        let limited = wish(user(&narrow), "persona").scopes(&["orders:read", "keyholt:self:*"]);
        let keys = vec![
            house.issue_in(globex.id, full(user(&stranger))).await,
            house.issue(limited).await,
            house.issue(full(user(&member))).await,
            house.issue(full(user(&manager))).await,
            house.issue(full(user(&former))).await,
            house.issue(full(Owner::Service(verifier.id))).await,
            house.issue(full(Owner::Service(admin.id))).await,
            house.operator.clone(),
        ];
        Self {
            house,
            globex,
            platform,
            keys,
        }
    }

    pub fn key_of(&self, persona: &str) -> &Held {
        let at = EVERYBODY.iter().position(|name| *name == persona).unwrap();
        &self.keys[at]
    }

    pub fn actor(&self, persona: &str) -> Actor {
        self.house.actor(&self.key_of(persona).secret)
    }

    /// Where the attempts of somebody are told: at home; an operator's, where they were made.
    pub fn told_in(&self, actor: &Actor) -> ProjectId {
        if actor.is_operator() {
            self.house.project()
        } else {
            actor.home
        }
    }
}
