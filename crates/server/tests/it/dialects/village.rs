//! A house in which dialects are spoken, and how the stories speak them.

use axum::body::Body;
use http::Request;
use keyholt_core::commit::Record;
use keyholt_core::id::KeyId;
use keyholt_core::owner::{MemberRight, Owner, Team, User};
use keyholt_core::text::Email;
use keyholt_core::time::Span;
use keyholt_server::dialects::Dialect;
use keyholt_server::http::Operation;

use crate::house::{Held, House, Wishes, charter, wish};
use crate::people::{STAPLE, in_cookie};
use crate::wire::{Reply, Wire};

/// How the stories speak a dialect.
pub struct Speaker {
    pub dialect: &'static dyn Dialect,
    /// A request that is right in everything but, perhaps, who makes it; an empty secret is none.
    pub example: fn(&Village, &Operation, &str) -> Request<Body>,
    /// The key of somebody who may do everything that the dialect speaks of.
    pub doer: fn(&Village) -> &Held,
    /// What kind of failure an answer is, after a look at its form.
    pub complaint: fn(&Reply) -> Complaint,
    /// Registers the secrets that an answer shows.
    pub canary: fn(&Reply),
    /// What the examples do not show: operations that leave other events when they are asked for something else.
    pub turns: &'static [Turn],
}

/// Something that is asked for in a house where Cora has a password, by somebody who may.
pub struct Turn {
    pub name: &'static str,
    /// What was asked for before.
    pub before: &'static [fn(&Village) -> Request<Body>],
    pub asked: fn(&Village) -> Request<Body>,
    /// The events that it leaves, in their order.
    pub events: &'static [&'static str],
}

/// What a failure says in any tongue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Complaint {
    /// The caller is nobody.
    NotKnown,
    /// The caller may not.
    NotAllowed,
    /// There is no such thing.
    NotThere,
    /// The request is wrong.
    Wrong,
}

/// A house in which there is one of everything that a dialect speaks of.
pub struct Village {
    pub house: House,
    pub wire: Wire,
    pub ada: User,
    /// A key of Ada's that carries everything.
    pub adas: Held,
    /// Another key of hers, which every request about a key is about.
    pub target: Held,
    /// A key of hers that may do nothing.
    pub idle: Held,
    /// A key of Bob's, who has nothing to do with Ada.
    pub bobs: Held,
    /// An administrator's key of this project.
    pub admins: Held,
    /// Somebody without a key, who may be removed.
    pub cora: User,
    /// Cora's session, once she has logged in.
    pub cookie: std::sync::Mutex<String>,
    /// Its id.
    pub session: std::sync::Mutex<KeyId>,
    /// A team whose keys Ada manages.
    pub platform: Team,
    /// A key of that team.
    pub platforms: Held,
    /// A team without any key.
    pub choir: Team,
    /// An administrator's key of another project.
    pub stranger: Held,
}

impl Village {
    pub async fn open(dialect: &'static dyn Dialect) -> Self {
        Self::open_in(House::open().await, dialect).await
    }

    pub async fn open_in(house: House, dialect: &'static dyn Dialect) -> Self {
        let wire = Wire::speaking(&house.keeper, dialect, "acme");
        let ada = house.user("ada").await;
        let bob = house.user("bob").await;
        let root = house.user_with("root", &["admin"]).await;
        let platform = house.team("platform", vec![(&ada, MemberRight::ManageKeys)]).await;
        let globex = house
            .keeper
            .found_project(&house.olga(), charter("globex"))
            .await
            .unwrap();
        let hank = house.new_user(globex.id, "hank", &["admin"]);
        house.enrol(Record::User(hank.clone())).await;
        Self {
            adas: house.issue(wish(Owner::User(ada.id), "laptop").everything()).await,
            target: house
                .issue(wish(Owner::User(ada.id), "target").scopes(&["orders:read"]))
                .await,
            idle: house.issue(wish(Owner::User(ada.id), "idle")).await,
            bobs: house.issue(wish(Owner::User(bob.id), "laptop").everything()).await,
            admins: house.issue(wish(Owner::User(root.id), "console").everything()).await,
            cora: {
                let mut cora = house.new_user(house.project(), "cora", &["member"]);
                cora.email = Email::new("cora@example.org").ok();
                house.enrol(Record::User(cora.clone())).await;
                cora
            },
            cookie: std::sync::Mutex::default(),
            session: std::sync::Mutex::new(KeyId::from_uuid(uuid::Uuid::nil())),
            platforms: house
                .issue(wish(Owner::Team(platform.id), "deploy").scopes(&["deploy:*"]))
                .await,
            choir: house.team("choir", vec![]).await,
            platform,
            stranger: house
                .issue_in(globex.id, wish(Owner::User(hank.id), "hank").everything())
                .await,
            house,
            wire,
            ada,
        }
    }

    /// Gives Cora a password, lets her log in, and a minute pass.
    pub async fn let_cora_in(&self) {
        self.house.give_password(&self.cora, STAPLE).await;
        let session = self.house.log_in("cora", STAPLE, in_cookie()).await.unwrap();
        self.house.advance(Span::secs(60));
        *self.cookie.lock().unwrap() = session.secret;
        *self.session.lock().unwrap() = session.session.id;
    }
}
