//! One table: who may do what in the project `acme`, and what is told about what was refused.

use keyholt_core::actor::Actor;
use keyholt_core::amend::Amendment;
use keyholt_core::audit::Outcome;
use keyholt_core::commit::Record;
use keyholt_core::issue::SecretOrigin;
use keyholt_core::owner::{MemberRight, Owner, OwnerKind, User};
use keyholt_core::rotate::Grace;
use keyholt_core::scope::ScopeSet;
use keyholt_core::secret::Fingerprint;
use keyholt_core::text::{Description, Name, Slug};
use keyholt_core::time::Span;
use keyholt_core::verify::Ask;
use keyholt_server::keeper::{Counting, Import, MembershipChange, ProjectChange, Question, Refusal, Rehearsal};
use keyholt_store::{KeyQuery, Limit, Owners, RecordQuery};

use super::personas::{Cast, EVERYBODY};
use crate::acts::{cause, meaning, turn, turned};
use crate::house::{Held, House, Wishes, all_events, charter, held, source, wish};

/// What each of them gets. `hidden`: there is no such thing. `lacks`: the key lacks a scope. `beyond`: more than one's own.
const TABLE: &str = "
                          stranger  narrow    member    manager   ex-manager verifier  admin     operator
issue an own key          hidden    done      done      done      done       lacks     done      hidden
issue it with everything  hidden    beyond    done      done      done       lacks     done      hidden
issue another's key       hidden    hidden    hidden    hidden    hidden     lacks     done      done
issue the team's key      hidden    hidden    hidden    done      hidden     lacks     done      done
change an own key         hidden    done      done      done      done       lacks     done      hidden
change another's key      hidden    hidden    hidden    hidden    hidden     lacks     done      done
change the team's key     hidden    hidden    hidden    done      hidden     lacks     done      done
rotate a wider team's key hidden    hidden    hidden    beyond    hidden     lacks     done      done
import keys               hidden    lacks     lacks     lacks     lacks      lacks     done      done
revoke many keys          hidden    lacks     lacks     lacks     lacks      lacks     done      done
enrol a user              hidden    lacks     lacks     lacks     lacks      lacks     done      done
change a user             hidden    lacks     lacks     lacks     lacks      lacks     done      done
change oneself            hidden    lacks     lacks     lacks     lacks      lacks     done      hidden
give a place in a team    hidden    lacks     lacks     lacks     lacks      lacks     done      done
suspend a user            hidden    lacks     lacks     lacks     lacks      lacks     done      done
resume a user             hidden    lacks     lacks     lacks     lacks      lacks     done      done
remove a user             hidden    lacks     lacks     lacks     lacks      lacks     done      done
make a role               hidden    lacks     lacks     lacks     lacks      lacks     done      done
change a role             hidden    lacks     lacks     lacks     lacks      lacks     done      done
remove a role             hidden    lacks     lacks     lacks     lacks      lacks     done      done
change the project        hidden    lacks     lacks     lacks     lacks      lacks     done      done
suspend the project       hidden    hidden    hidden    hidden    hidden     hidden    hidden    done
resume the project        hidden    hidden    hidden    hidden    hidden     hidden    hidden    done
found a project           hidden    hidden    hidden    hidden    hidden     hidden    hidden    done
- read an own key         hidden    done      done      done      done       lacks     done      hidden
- read another's key      hidden    hidden    hidden    hidden    hidden     lacks     done      done
- read the team's key     hidden    hidden    hidden    done      hidden     lacks     done      done
- find another's secret   hidden    hidden    hidden    hidden    hidden     lacks     done      done
- list keys               hidden    done      done      done      done       lacks     done      done
- read oneself            hidden    done      done      done      done       lacks     done      hidden
- read another user       hidden    hidden    hidden    hidden    hidden     lacks     done      done
- read the team           hidden    hidden    hidden    done      hidden     lacks     done      done
- list users              hidden    lacks     lacks     lacks     lacks      lacks     done      done
- read the project        hidden    lacks     lacks     lacks     lacks      lacks     done      done
- list roles              hidden    lacks     lacks     lacks     lacks      lacks     done      done
- read the trail          hidden    lacks     lacks     lacks     lacks      lacks     done      done
- verify                  hidden    lacks     lacks     lacks     lacks      done      done      done
- explain                 hidden    lacks     lacks     lacks     lacks      lacks     done      done
";

/// The ways to change a key; whoever may change it may do each of them.
const WAYS: [&str; 7] = ["amend", "rotate", "end grace", "suspend", "resume", "revoke", "delete"];

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_every_attempt_is_told_once() {
    let mut lines = TABLE.lines().skip(1);
    assert_eq!(lines.next().unwrap().split_whitespace().collect::<Vec<_>>(), EVERYBODY);
    for line in lines {
        let (operation, expected) = line.split_at(26);
        let operation = operation.trim();
        // Everybody's turn is in a house of its own: what one did must not be in another's way.
        for (persona, expected) in EVERYBODY.iter().zip(expected.split_whitespace()) {
            for way in if operation.starts_with("change") && operation.ends_with("key") {
                &WAYS[..]
            } else {
                &[""]
            } {
                let cast = Cast::gather().await;
                let what = format!("{persona}: {operation} {way}");
                let stage = Stage::set(&cast, persona, operation, way).await;
                let before = cast.house.commits().await;
                let outcome = stage.play(&cast, operation, way).await;
                let told = match &outcome {
                    Ok(()) => "done",
                    Err(Refusal::NotFound(_)) => "hidden",
                    Err(Refusal::Lacks { .. }) => "lacks",
                    Err(refusal) if refusal.to_string().contains("hand on") => "beyond",
                    Err(other) => panic!("{what}: {other:?}"),
                };
                assert_eq!(told, expected, "{what}");
                let written = cast.house.commits().await - before;
                let is_read = operation.starts_with('-');
                match (is_read, told) {
                    (true, _) => assert_eq!(written, 0, "{what}: reading writes nothing"),
                    (false, "done") => assert!(written > 0, "{what}: a change is written"),
                    (false, refused) => {
                        assert_eq!(written, 1, "{what}: told once");
                        stage.is_told(&cast, refused, &what).await;
                    }
                }
            }
        }
    }
}

/// Somebody about to try something, and everything that it can be tried on.
struct Stage {
    actor: Actor,
    victim: User,
    target: Held,
    wide: Held,
}

impl Stage {
    async fn set(cast: &Cast, persona: &str, operation: &str, way: &str) -> Self {
        let house = &cast.house;
        let actor = cast.actor(persona);
        let victim = house.user("victim").await;
        let team = Owner::Team(cast.platform.id);
        let owner = if operation.contains("team") {
            team
        } else if operation.contains("own key") && actor.home == house.project() {
            actor.owner
        } else {
            Owner::User(victim.id)
        };
        let target = house.issue(wish(owner, "target").scopes(&["orders:read"])).await;
        let target = if operation.contains("own key") && actor.home != house.project() {
            // Theirs is not in this project.
            cast.key_of(persona).clone()
        } else {
            target
        };
        if actor.home == house.project() || !operation.contains("own key") {
            match way {
                "end grace" => drop(house.rotate(target.id(), Grace::For(Span::hours(1))).await),
                "resume" => drop(house.suspend(target.id()).await),
                _ => {}
            }
        }
        let wide = house
            .issue(wish(team, "wide").scopes(&["orders:read", "keyholt:verify"]))
            .await;
        if operation == "resume a user" {
            let owner = Owner::User(victim.id);
            house
                .keeper
                .suspend_owner(&house.olga(), house.project(), owner, None, None)
                .await
                .unwrap();
        }
        if operation == "resume the project" {
            house
                .keeper
                .suspend_project(&house.olga(), house.project(), None, None)
                .await
                .unwrap();
        }
        Self {
            actor,
            victim,
            target,
            wide,
        }
    }

    async fn play(&self, cast: &Cast, operation: &str, way: &str) -> Result<(), Refusal> {
        let (house, keeper, actor) = (&cast.house, &cast.house.keeper, &self.actor);
        let project = house.project();
        let victim = Owner::User(self.victim.id);
        let team = Owner::Team(cast.platform.id);
        let issue = async |owner: Owner| {
            let wish = wish(owner, "new").scopes(&["orders:read"]);
            keeper
                .issue_key(actor, project, wish, None)
                .await
                .map(|issued| drop(held(issued)))
        };
        let rename = |record: &mut Record| {
            match record {
                Record::User(user) => user.name = Name::new("Renamed").unwrap(),
                Record::Service(service) => service.description = Description::new("Renamed").unwrap(),
                _ => panic!("neither user nor service"),
            }
            Ok(())
        };
        let page = || RecordQuery {
            handle_prefix: None,
            after: None,
            limit: Limit::DEFAULT,
        };
        match operation {
            "issue an own key" => issue(actor.owner).await,
            "issue it with everything" => {
                let wish = wish(actor.owner, "new").everything();
                keeper
                    .issue_key(actor, project, wish, None)
                    .await
                    .map(|issued| drop(held(issued)))
            }
            "issue another's key" => issue(victim).await,
            "issue the team's key" => issue(team).await,
            "change an own key" | "change another's key" | "change the team's key" => self.change(house, way).await,
            "rotate a wider team's key" => {
                let turn = turn(Grace::Default);
                keeper
                    .rotate_key(actor, project, self.wide.id(), turn, None)
                    .await
                    .map(|rotated| drop(turned(rotated)))
            }
            "import keys" => {
                let fingerprint = Fingerprint::of(b"legacy-0123456789abcdef");
                let mut wish = wish(victim, "imported").scopes(&["orders:read"]);
                wish.origin = SecretOrigin::Imported {
                    fingerprint,
                    hint: None,
                };
                let import = Import {
                    wishes: vec![wish],
                    rehearsal: Rehearsal::No,
                };
                let imported = keeper.import_keys(actor, project, import).await?;
                assert_eq!(imported.keys.len(), 1);
                Ok(())
            }
            "revoke many keys" => {
                let theirs = KeyQuery {
                    owners: Owners::These(vec![victim]),
                    ..KeyQuery::default()
                };
                keeper
                    .revoke_matching(actor, project, theirs, 1, cause("x"))
                    .await
                    .map(drop)
            }
            "enrol a user" => {
                let user = house.new_user(project, "new", &["member"]);
                keeper.enrol_owner(actor, Record::User(user)).await.map(drop)
            }
            "change a user" => keeper
                .change_owner(actor, project, victim, None, &rename)
                .await
                .map(drop),
            "change oneself" => keeper
                .change_owner(actor, project, actor.owner, None, &rename)
                .await
                .map(drop),
            "give a place in a team" => {
                let put = MembershipChange::Put(MemberRight::ManageKeys);
                keeper
                    .change_membership(actor, project, cast.platform.id, self.victim.id, put)
                    .await
                    .map(drop)
            }
            "suspend a user" => keeper.suspend_owner(actor, project, victim, None, None).await.map(drop),
            "resume a user" => keeper.resume_owner(actor, project, victim, None, None).await.map(drop),
            "remove a user" => keeper.remove_owner(actor, project, victim, None, None).await,
            "make a role" => {
                let (name, scopes) = (Slug::new("new").unwrap(), ScopeSet::parse(["orders:read"]).unwrap());
                let role = keeper.new_role(project, name, Description::new("").unwrap(), scopes);
                keeper.make_role(actor, role).await.map(drop)
            }
            "change a role" => {
                let change = meaning(&["orders:read"]);
                keeper
                    .change_role(actor, project, role(house, "auditor"), change, None)
                    .await
                    .map(drop)
            }
            "remove a role" => keeper.remove_role(actor, project, role(house, "auditor"), None).await,
            "change the project" => {
                let change = ProjectChange {
                    name: Some(Name::new("Renamed").unwrap()),
                    ..ProjectChange::default()
                };
                keeper.change_project(actor, project, change, None).await.map(drop)
            }
            "suspend the project" => keeper.suspend_project(actor, project, None, None).await.map(drop),
            "resume the project" => keeper.resume_project(actor, project, None, None).await.map(drop),
            "found a project" => keeper.found_project(actor, charter("initech")).await.map(drop),
            "- read an own key" | "- read another's key" | "- read the team's key" => {
                keeper.key(actor, project, self.target.id()).await?;
                keeper.validity(actor, project, self.target.id()).await?;
                let now = keeper.now();
                keeper
                    .key_usage(actor, project, self.target.id(), now, now)
                    .await
                    .map(drop)
            }
            "- find another's secret" => keeper.find_key(actor, project, &self.target.secret).await.map(drop),
            "- list keys" => keeper.keys(actor, project, KeyQuery::default()).await.map(drop),
            "- read oneself" => keeper.owner(actor, project, actor.owner).map(drop),
            "- read another user" => keeper.owner(actor, project, victim).map(drop),
            "- read the team" => keeper.owner(actor, project, team).map(drop),
            "- list users" => keeper.owners(actor, project, OwnerKind::User, page()).await.map(drop),
            "- read the project" => keeper.project(actor, project).map(drop),
            "- list roles" => {
                keeper.role(actor, project, "member")?;
                keeper.roles(actor, project, page()).await.map(drop)
            }
            "- read the trail" => keeper.events(actor, project, &all_events()).await.map(drop),
            "- verify" => keeper.may_verify(actor, project),
            "- explain" => {
                let question = Question {
                    credential: &self.target.secret,
                    ask: Ask::default(),
                    counting: Counting::DryRun,
                };
                keeper.explain(actor, project, &question, |_, _| ())
            }
            other => panic!("no such operation: {other}"),
        }
    }

    async fn change(&self, house: &House, way: &str) -> Result<(), Refusal> {
        let (keeper, actor, project, id) = (&house.keeper, &self.actor, house.project(), self.target.id());
        match way {
            "amend" => {
                let rename = Amendment {
                    name: Some(Name::new("renamed").unwrap()),
                    ..Amendment::default()
                };
                keeper.amend_key(actor, project, id, rename, None).await.map(drop)
            }
            "rotate" => {
                let rotated = keeper.rotate_key(actor, project, id, turn(Grace::Default), None).await;
                rotated.map(|rotated| drop(turned(rotated)))
            }
            "end grace" => keeper.end_grace(actor, project, id, None, None).await.map(drop),
            "suspend" => keeper.suspend_key(actor, project, id, None, None).await.map(drop),
            "resume" => keeper.resume_key(actor, project, id, None, None).await.map(drop),
            "revoke" => keeper.revoke_key(actor, project, id, cause("x"), None).await.map(drop),
            "delete" => keeper.delete_key(actor, project, id, None, None).await,
            other => panic!("no such way: {other}"),
        }
    }

    /// The newest event at the actor's home tells of the attempt.
    async fn is_told(&self, cast: &Cast, refused: &str, what: &str) {
        let code = match refused {
            "hidden" => "not_found",
            "lacks" => "insufficient_scope",
            _ => "beyond_own_rights",
        };
        let events = cast.house.events(cast.told_in(&self.actor)).await;
        let event = events.first().expect("an event");
        assert_eq!(event.outcome, Outcome::Refused { code: code.to_owned() }, "{what}");
        let actor = event.actor.expect("an actor");
        assert_eq!(
            (actor.key, actor.owner, actor.home),
            (self.actor.key, self.actor.owner, self.actor.home)
        );
        assert_eq!(event.source, source());
        assert_eq!((&event.before, &event.after), (&None, &None));
    }
}

fn role(house: &House, name: &str) -> keyholt_core::id::RoleId {
    house.keeper.role_named(house.project(), name).unwrap().id
}

#[tokio::test]
async fn nobody_is_an_actor_without_a_good_key() {
    let cast = Cast::gather().await;
    let house = &cast.house;
    let suspended = house
        .issue(wish(cast.key_of("member").key.owner, "k").everything())
        .await;
    house.suspend(suspended.id()).await;
    let revoked = house
        .issue(wish(cast.key_of("member").key.owner, "k").everything())
        .await;
    house.revoke(revoked.id(), "x").await;
    let member = &cast.key_of("member").secret;
    for nobody in [
        "",
        "nobody",
        "Bearer nobody-nobody-nobody",
        &format!("{member} "),
        &member.to_uppercase(),
        &suspended.secret,
        &revoked.secret,
    ] {
        let told = house.keeper.authenticate(nobody, source()).map(drop).unwrap_err();
        assert_eq!(told.to_string(), "the credential is not valid");
        let verifier = house.keeper.verifier(nobody, None);
        assert!(verifier.is_err() || house.keeper.admit(&verifier.unwrap()).is_err());
    }
}
