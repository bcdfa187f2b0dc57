//! Nobody brings about more than they have: no wider scope, no longer life, on no path.

use keyholt_core::actor::Actor;
use keyholt_core::amend::Amendment;
use keyholt_core::commit::Record;
use keyholt_core::id::RoleId;
use keyholt_core::issue::{Life, SecretOrigin, Wish};
use keyholt_core::key::{Allowed, Bounds};
use keyholt_core::owner::{MemberRight, Owner};
use keyholt_core::rotate::Grace;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::secret::Fingerprint;
use keyholt_core::text::{Description, Name, Slug};
use keyholt_core::time::{Expiry, Moment, Span};
use keyholt_server::keeper::{Import, Refusal, Rehearsal};

use crate::acts::{cause, meaning, turn, turned};
use crate::house::{Held, House, NEW_YEAR, Wishes, held, refusal, wish};

/// What the maker of these stories may do, for ten days.
const MAKER: [&str; 4] = [
    "orders:read",
    "keyholt:keys:write",
    "keyholt:owners:write",
    "keyholt:project:write",
];

struct Scene {
    house: House,
    maker: Actor,
    alice: Owner,
}

impl Scene {
    async fn set() -> Self {
        let house = House::open().await;
        let robot = house.service("robot", "admin").await;
        let maker = wish(Owner::Service(robot.id), "maker").scopes(&MAKER);
        let maker = house.issue(maker.lasting(Span::days(10))).await;
        let alice = Owner::User(house.user("alice").await.id);
        Self {
            maker: house.actor(&maker.secret),
            house,
            alice,
        }
    }

    /// A key of Alice's, made by the operator.
    async fn alices(&self, scopes: &[&str], days: u64) -> Held {
        let wish = wish(self.alice, "hers").scopes(scopes).lasting(Span::days(days));
        self.house.issue(wish).await
    }

    fn role(&self, name: &str) -> RoleId {
        self.house.keeper.role_named(self.house.project(), name).unwrap().id
    }

    async fn amend(&self, key: &Held, amendment: Amendment) -> Result<(), Refusal> {
        let (keeper, project) = (&self.house.keeper, self.house.project());
        keeper
            .amend_key(&self.maker, project, key.id(), amendment, None)
            .await
            .map(drop)
    }

    /// Checks that something was refused for going beyond the maker, and that nothing but the attempt was written.
    async fn beyond<T>(&self, what: &str, attempt: impl Future<Output = Result<T, Refusal>>) {
        let before = self.house.commits().await;
        match attempt.await {
            Ok(_) => panic!("{what}: it was not refused"),
            Err(refusal) => {
                let beyond = refusal.to_string();
                assert!(
                    beyond.contains("hand on") || beyond.contains("live longer"),
                    "{what}: {beyond}"
                );
            }
        }
        assert_eq!(self.house.commits().await, before + 1, "{what}");
        assert!(
            self.house.trail().await[0].ends_with("refused: beyond_own_rights"),
            "{what}"
        );
    }
}

fn ends_after(days: u64) -> Expiry {
    Expiry::At(Moment::from_ms(NEW_YEAR).plus(Span::days(days)))
}

fn only(scopes: &[&str]) -> Access {
    Access::Only(ScopeSet::parse(scopes.iter().copied()).unwrap())
}

fn access(access: Access) -> Amendment {
    Amendment {
        access: Some(access),
        ..Amendment::default()
    }
}

fn expiry(expiry: Expiry) -> Amendment {
    Amendment {
        expiry: Some(expiry),
        ..Amendment::default()
    }
}

/// Wishes that go beyond the maker, each in its own way.
fn too_much(owner: Owner) -> [(&'static str, Wish); 6] {
    let modest = || wish(owner, "new").scopes(&["orders:read"]).lasting(Span::days(10));
    [
        ("another scope", modest().scopes(&["orders:read", "orders:write"])),
        ("a wildcard over the own scope", modest().scopes(&["orders:*"])),
        ("a management scope", modest().scopes(&["keyholt:audit:read"])),
        ("everything", modest().everything()),
        (
            "a moment longer",
            Wish {
                life: Life::For(Span::millis(Span::days(10).ms() + 1)),
                ..modest()
            },
        ),
        (
            "without end",
            Wish {
                life: Life::Never,
                ..modest()
            },
        ),
    ]
}

#[tokio::test]
async fn nothing_beyond_the_maker_is_made_or_imported() {
    let scene = Scene::set().await;
    let (keeper, project) = (&scene.house.keeper, scene.house.project());
    let modest = wish(scene.alice, "new")
        .scopes(&["orders:read"])
        .lasting(Span::days(10));
    held(keeper.issue_key(&scene.maker, project, modest, None).await.unwrap());
    for (what, wish) in too_much(scene.alice) {
        scene
            .beyond(what, keeper.issue_key(&scene.maker, project, wish.clone(), None))
            .await;
        let imported = Wish {
            origin: SecretOrigin::Imported {
                fingerprint: Fingerprint::of(b"legacy-0123456789abcdef"),
                hint: None,
            },
            ..wish
        };
        let import = async {
            let import = Import {
                wishes: vec![imported],
                rehearsal: Rehearsal::No,
            };
            let mut imported = keeper.import_keys(&scene.maker, project, import).await?;
            imported.refused.pop().map_or(Ok(()), |refused| Err(refused.refusal))
        };
        scene.beyond(what, import).await;
    }
}

#[tokio::test]
async fn nothing_is_amended_beyond_the_maker() {
    let scene = Scene::set().await;
    let key = scene.alices(&["orders:read"], 5).await;
    for (what, amendment) in [
        ("another scope", access(only(&["orders:read", "orders:write"]))),
        ("everything", access(Access::Everything)),
        ("too long", expiry(ends_after(11))),
        ("without end", expiry(Expiry::Never)),
    ] {
        scene.beyond(what, scene.amend(&key, amendment)).await;
        assert_eq!(scene.house.key(key.id()).await.revision, key.key.revision);
    }
    scene.amend(&key, expiry(ends_after(10))).await.unwrap();

    // A key that is wider already may be labelled, narrowed and shortened, but not moved.
    let wide = scene.alices(&["orders:*"], 20).await;
    let moved = Amendment {
        bounds: Some(Bounds {
            networks: Allowed::only(vec!["10.0.0.0/8".parse().unwrap()]).unwrap(),
            ..Bounds::default()
        }),
        ..Amendment::default()
    };
    scene.beyond("other bounds", scene.amend(&wide, moved)).await;
    let label = Amendment {
        name: Some(Name::new("labelled").unwrap()),
        ..Amendment::default()
    };
    scene.amend(&wide, label).await.unwrap();
    scene.amend(&wide, access(only(&["orders:write"]))).await.unwrap();
    scene.amend(&wide, expiry(ends_after(19))).await.unwrap();
    scene
        .beyond("wider again", scene.amend(&wide, access(only(&["orders:*"]))))
        .await;
}

#[tokio::test]
async fn no_key_beyond_the_maker_is_rotated_or_resumed_but_any_is_stopped() {
    let scene = Scene::set().await;
    let (keeper, project, maker) = (&scene.house.keeper, scene.house.project(), &scene.maker);
    let modest = scene.alices(&["orders:read"], 10).await;
    let rotated = keeper
        .rotate_key(maker, project, modest.id(), turn(Grace::Default), None)
        .await;
    turned(rotated.unwrap());
    let wide = scene.alices(&["orders:*"], 5).await;
    let long = scene.alices(&["orders:read"], 11).await;
    let full = scene
        .house
        .issue(wish(scene.alice, "full").everything().lasting(Span::days(5)))
        .await;
    for key in [wide, long, full] {
        let rotation = keeper.rotate_key(maker, project, key.id(), turn(Grace::Default), None);
        scene.beyond("rotate", rotation).await;
        keeper.suspend_key(maker, project, key.id(), None, None).await.unwrap();
        scene
            .beyond("resume", keeper.resume_key(maker, project, key.id(), None, None))
            .await;
        assert_eq!(scene.house.code(&key.secret, &[]), "suspended");
        keeper
            .revoke_key(maker, project, key.id(), cause("x"), None)
            .await
            .unwrap();
        keeper.delete_key(maker, project, key.id(), None, None).await.unwrap();
    }
}

#[tokio::test]
async fn no_role_is_made_or_widened_beyond_the_maker() {
    let scene = Scene::set().await;
    let (keeper, project, maker) = (&scene.house.keeper, scene.house.project(), &scene.maker);
    let make = |name: &str, scopes: &[&str]| {
        let scopes = ScopeSet::parse(scopes.iter().copied()).unwrap();
        let role = keeper.new_role(project, Slug::new(name).unwrap(), Description::new("").unwrap(), scopes);
        keeper.make_role(maker, role)
    };
    let reader = make("reader", &["orders:read"]).await.unwrap().id;
    scene.beyond("make", make("writer", &["orders:write"])).await;
    let change = |role, scopes: &[&str]| keeper.change_role(maker, project, role, meaning(scopes), None);
    scene.beyond("widen", change(reader, &["orders:*"])).await;
    change(reader, &[]).await.unwrap();
    change(reader, &["orders:read"]).await.unwrap();
    // A role that is wider already may be narrowed, and what is taken away is not given back.
    let member = scene.role("member");
    change(member, &["orders:write"]).await.unwrap();
    scene
        .beyond("restore", change(member, &["orders:write", "orders:delete"]))
        .await;
}

#[tokio::test]
async fn nobody_is_given_a_role_beyond_the_giver() {
    let scene = Scene::set().await;
    let (house, keeper, maker) = (&scene.house, &scene.house.keeper, &scene.maker);
    let project = house.project();
    let scopes = ScopeSet::parse(["orders:read"]).unwrap();
    let reader = keeper.new_role(
        project,
        Slug::new("reader").unwrap(),
        Description::new("").unwrap(),
        scopes,
    );
    let reader = keeper.make_role(maker, reader).await.unwrap().id;
    let enrol = |name: &str, roles: &[&str]| {
        let user = house.new_user(project, name, roles);
        keeper.enrol_owner(maker, Record::User(user))
    };
    enrol("anna", &["reader"]).await.unwrap();
    scene.beyond("enrol", enrol("bert", &["member"])).await;

    let anna = keeper
        .owner_named(project, keyholt_core::owner::OwnerKind::User, "anna")
        .unwrap();
    let admin = scene.role("admin");
    let promote = |record: &mut Record| {
        if let Record::User(user) = record {
            user.roles.insert(admin);
        }
        Ok(())
    };
    scene
        .beyond("promote", keeper.change_owner(maker, project, anna, None, &promote))
        .await;
    let demote = |record: &mut Record| {
        if let Record::User(user) = record {
            user.roles.clear();
        }
        Ok(())
    };
    keeper
        .change_owner(maker, project, scene.alice, None, &demote)
        .await
        .unwrap();

    let chef = Owner::User(house.user_with("chef", &["admin"]).await.id);
    keeper.suspend_owner(maker, project, chef, None, None).await.unwrap();
    scene
        .beyond("resume", keeper.resume_owner(maker, project, chef, None, None))
        .await;

    // By default either: whoever is enrolled next would have it.
    let policy = |role| {
        let mut policy = keeper.project(&house.olga(), project).unwrap().policy;
        policy.default_roles.insert(role);
        keyholt_server::keeper::ProjectChange {
            policy: Some(policy),
            ..Default::default()
        }
    };
    scene
        .beyond(
            "default roles",
            keeper.change_project(maker, project, policy(admin), None),
        )
        .await;
    keeper
        .change_project(maker, project, policy(reader), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_place_in_a_team_lets_a_manager_hand_on_no_more_than_the_manager_has() {
    let house = House::open().await;
    let bob = house.user("bob").await;
    let team = house.team("admins", vec![(&bob, MemberRight::ManageKeys)]).await;
    let team = Owner::Team(team.id);
    let admin = house.keeper.role_named(house.project(), "admin").unwrap().id;
    let promote = |record: &mut Record| {
        if let Record::Team(team) = record {
            team.roles = [admin].into();
        }
        Ok(())
    };
    let promoted = house
        .keeper
        .change_owner(&house.olga(), house.project(), team, None, &promote)
        .await;
    promoted.unwrap();
    let teams = house.issue(wish(team, "wide").scopes(&["keyholt:*"])).await;
    let bobs = house.issue(wish(Owner::User(bob.id), "bob").everything()).await;
    let actor = house.actor(&bobs.secret);
    let (keeper, project) = (&house.keeper, house.project());
    for wish in [
        wish(team, "k").everything(),
        wish(team, "k").scopes(&["keyholt:keys:read"]),
    ] {
        let issued = keeper.issue_key(&actor, project, wish, None).await;
        assert!(refusal(issued).to_string().contains("hand on"));
    }
    let rotated = keeper
        .rotate_key(&actor, project, teams.id(), turn(Grace::Default), None)
        .await;
    assert!(refusal(rotated).to_string().contains("hand on"));
    let within = wish(team, "k").scopes(&["orders:read"]);
    held(keeper.issue_key(&actor, project, within, None).await.unwrap());
}

#[tokio::test]
async fn what_was_made_by_a_key_that_ends_does_not_outlive_it() {
    let scene = Scene::set().await;
    let modest = wish(scene.alice, "new")
        .scopes(&["orders:read"])
        .lasting(Span::days(10));
    let (keeper, project) = (&scene.house.keeper, scene.house.project());
    let made = held(keeper.issue_key(&scene.maker, project, modest, None).await.unwrap());
    scene.house.advance(Span::days(10));
    assert_eq!(scene.house.code(&made.secret, &[]), "expired");
}
