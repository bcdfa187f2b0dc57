//! What is out of reach behaves exactly like what does not exist, in the answer and in the audit trail.

use keyholt_core::actor::Actor;
use keyholt_core::amend::Amendment;
use keyholt_core::commit::{Record, Revision};
use keyholt_core::entropy::Entropy;
use keyholt_core::id::{KeyId, ProjectId, RoleId, ServiceId, TeamId, UserId};
use keyholt_core::issue::SecretOrigin;
use keyholt_core::owner::{MemberRight, Owner};
use keyholt_core::rotate::Grace;
use keyholt_core::secret::Fingerprint;
use keyholt_core::time::Span;
use keyholt_server::keeper::{Import, MembershipChange, ProjectChange, Refusal, Rehearsal};
use keyholt_store::{KeyQuery, Owners};
use uuid::Uuid;

use super::personas::Cast;
use crate::acts::{cause, meaning, turn};
use crate::house::{House, Wishes, all_events, seeded, wish};

/// Things that a caller names.
#[derive(Clone)]
struct Names {
    project: ProjectId,
    key: KeyId,
    user: UserId,
    team: TeamId,
    service: ServiceId,
    role: RoleId,
    secret: String,
}

impl Names {
    /// Names of nothing, in this project.
    fn of_nothing(project: ProjectId, seed: u64) -> Self {
        let mut seeded = seeded(seed);
        let mut random = || {
            let mut bytes = [0; 16];
            seeded.fill(&mut bytes);
            uuid::Builder::from_random_bytes(bytes).into_uuid()
        };
        Self {
            project,
            key: KeyId::from_uuid(random()),
            user: UserId::from_uuid(random()),
            team: TeamId::from_uuid(random()),
            service: ServiceId::from_uuid(random()),
            role: RoleId::from_uuid(random()),
            secret: "nothing-nothing-nothing".to_owned(),
        }
    }

    /// Names of things that exist in this project.
    async fn of_something(house: &House, project: ProjectId) -> Self {
        let user = house.new_user(project, "somebody", &["member"]);
        house.enrol(Record::User(user.clone())).await;
        let (team, created_at) = house.keeper.mint_team();
        house
            .enrol(Record::Team(keyholt_core::owner::Team {
                id: team,
                project,
                external_id: user.external_id.clone(),
                name: user.name.clone(),
                roles: user.roles.clone(),
                members: Vec::new(),
                standing: user.standing,
                metadata: user.metadata.clone(),
                created_at,
                revision: user.revision,
            }))
            .await;
        let (service, created_at) = house.keeper.mint_service();
        house
            .enrol(Record::Service(keyholt_core::owner::Service {
                id: service,
                project,
                name: keyholt_core::text::Slug::new("something").unwrap(),
                description: keyholt_core::text::Description::new("").unwrap(),
                roles: user.roles.clone(),
                standing: user.standing,
                metadata: user.metadata.clone(),
                created_at,
                revision: user.revision,
            }))
            .await;
        let key = house
            .issue_in(project, wish(Owner::User(user.id), "k").scopes(&[]))
            .await;
        let role = house.keeper.role_named(project, "auditor").unwrap().id;
        Self {
            project,
            key: key.id(),
            user: user.id,
            team,
            service,
            role,
            secret: key.secret,
        }
    }

    /// The same text with every name in it replaced by what it names.
    fn anonymous(&self, text: &str) -> String {
        let names: [(Uuid, &str); 6] = [
            (self.project.uuid(), "PROJECT"),
            (self.key.uuid(), "KEY"),
            (self.user.uuid(), "USER"),
            (self.team.uuid(), "TEAM"),
            (self.service.uuid(), "SERVICE"),
            (self.role.uuid(), "ROLE"),
        ];
        names
            .iter()
            .fold(text.to_owned(), |text, (id, name)| text.replace(&id.to_string(), name))
    }
}

/// Everything that an actor can ask about named things, and what it is told.
async fn ask_everything(house: &House, actor: &Actor, names: &Names) -> Vec<String> {
    let keeper = &house.keeper;
    let Names {
        project,
        key,
        user,
        team,
        service,
        role,
        ..
    } = *names;
    let now = keeper.now();
    let owners = [Owner::User(user), Owner::Team(team), Owner::Service(service)];
    let rename = |_: &mut Record| Ok(());
    let mut told = Vec::new();
    let mut tell = |what: &str, outcome: Result<String, Refusal>| {
        let outcome = outcome.unwrap_or_else(|refusal| format!("refused: {refusal:?}"));
        told.push(names.anonymous(&format!("{what}: {outcome}")));
    };
    fn done<T>(outcome: Result<T, Refusal>) -> Result<String, Refusal> {
        outcome.map(|_| "done".to_owned())
    }

    tell("read key", done(keeper.key(actor, project, key).await));
    tell("find key", done(keeper.find_key(actor, project, &names.secret).await));
    tell("judge key", done(keeper.validity(actor, project, key).await));
    tell("usage", done(keeper.key_usage(actor, project, key, now, now).await));
    for based_on in [None, Some(Revision::FIRST), Some(Revision::from_number(7))] {
        tell(
            "amend",
            done(
                keeper
                    .amend_key(actor, project, key, Amendment::default(), based_on)
                    .await,
            ),
        );
        tell(
            "rotate",
            done(
                keeper
                    .rotate_key(actor, project, key, turn(Grace::Default), based_on)
                    .await,
            ),
        );
        tell(
            "end grace",
            done(keeper.end_grace(actor, project, key, None, based_on).await),
        );
        tell(
            "suspend",
            done(keeper.suspend_key(actor, project, key, None, based_on).await),
        );
        tell(
            "resume",
            done(keeper.resume_key(actor, project, key, None, based_on).await),
        );
        tell(
            "revoke",
            done(keeper.revoke_key(actor, project, key, cause("x"), based_on).await),
        );
        tell(
            "delete",
            done(keeper.delete_key(actor, project, key, None, based_on).await),
        );
        tell(
            "change role",
            done(keeper.change_role(actor, project, role, meaning(&[]), based_on).await),
        );
        tell(
            "remove role",
            done(keeper.remove_role(actor, project, role, based_on).await),
        );
        for owner in owners {
            tell(
                "change",
                done(keeper.change_owner(actor, project, owner, based_on, &rename).await),
            );
            tell(
                "suspend owner",
                done(keeper.suspend_owner(actor, project, owner, None, based_on).await),
            );
            tell(
                "resume owner",
                done(keeper.resume_owner(actor, project, owner, None, based_on).await),
            );
            tell(
                "remove owner",
                done(keeper.remove_owner(actor, project, owner, None, based_on).await),
            );
        }
    }
    let put = MembershipChange::Put(MemberRight::Belong);
    tell(
        "place",
        done(keeper.change_membership(actor, project, team, user, put).await),
    );
    tell(
        "no place",
        done(
            keeper
                .change_membership(actor, project, team, user, MembershipChange::Remove)
                .await,
        ),
    );
    for owner in owners {
        tell("read owner", done(keeper.owner(actor, project, owner)));
        let new = wish(owner, "new").scopes(&[]).lasting(Span::hours(1));
        tell("issue", done(keeper.issue_key(actor, project, new.clone(), None).await));
        let mut imported = new;
        imported.origin = SecretOrigin::Imported {
            fingerprint: Fingerprint::of(b"legacy-0123456789abcdef"),
            hint: None,
        };
        let import = Import {
            wishes: vec![imported],
            rehearsal: Rehearsal::No,
        };
        let imported = keeper.import_keys(actor, project, import).await;
        tell("import", imported.map(|imported| format!("{:?}", imported.refused)));
        let theirs = || KeyQuery {
            owners: Owners::These(vec![owner]),
            ..KeyQuery::default()
        };
        let listed = keeper.keys(actor, project, theirs()).await;
        tell("list", listed.map(|page| page.entries.len().to_string()));
        let revoked = keeper.revoke_matching(actor, project, theirs(), 1, cause("x")).await;
        tell("revoke many", done(revoked));
    }
    let made_by = KeyQuery {
        created_by: Some(key),
        ..KeyQuery::default()
    };
    let listed = keeper.keys(actor, project, made_by).await;
    tell("list made by", listed.map(|page| page.entries.len().to_string()));
    told
}

/// What a project can be asked about as a whole.
async fn ask_project(house: &House, actor: &Actor, project: ProjectId) -> Vec<String> {
    let keeper = &house.keeper;
    let mut told = Vec::new();
    let mut tell = |what: &str, outcome: Result<(), Refusal>| {
        told.push(format!(
            "{what}: {:?}",
            outcome.map_err(|refusal| format!("{refusal:?}"))
        ));
    };
    tell("read", keeper.project(actor, project).map(drop));
    tell(
        "change",
        keeper
            .change_project(actor, project, ProjectChange::default(), None)
            .await
            .map(drop),
    );
    tell(
        "suspend",
        keeper.suspend_project(actor, project, None, None).await.map(drop),
    );
    tell(
        "resume",
        keeper.resume_project(actor, project, None, None).await.map(drop),
    );
    tell("trail", keeper.events(actor, project, &all_events()).await.map(drop));
    tell("keys", keeper.keys(actor, project, KeyQuery::default()).await.map(drop));
    tell("role", keeper.role(actor, project, "member").map(drop));
    tell("verify", keeper.may_verify(actor, project));
    let mut user = house.new_user(house.project(), "new", &[]);
    user.project = project;
    tell("enrol", keeper.enrol_owner(actor, Record::User(user)).await.map(drop));
    told
}

/// The events of an actor's home since a commit, without what tells them apart by nature.
async fn told_at_home(house: &House, actor: &Actor, before: usize, names: &Names) -> Vec<String> {
    let events = house.events(actor.home).await;
    let new = events.len() - before;
    let events = events.into_iter().take(new).map(|event| {
        assert_eq!(event.project, actor.home);
        names.anonymous(&format!("{event:?}"))
    });
    events.collect()
}

async fn look_alike(house: &House, actor: &Actor, one: &Names, other: &Names) {
    let mut answers = Vec::new();
    let mut trails = Vec::new();
    for names in [one, other] {
        let (commits, events) = (house.commits().await, house.events(actor.home).await.len());
        let mut told = ask_everything(house, actor, names).await;
        if one.project != other.project {
            told.extend(ask_project(house, actor, names.project).await);
        }
        answers.push(told);
        let trail = told_at_home(house, actor, events, names).await;
        let written = house.commits().await - commits;
        assert_eq!(
            written,
            trail.len() as u64,
            "attempts are told at the actor's home and nowhere else"
        );
        trails.push(trail);
    }
    for (one, other) in answers[0].iter().zip(&answers[1]) {
        assert_eq!(one, other);
    }
    for (one, other) in trails[0].iter().zip(&trails[1]) {
        assert_eq!(one, other);
    }
    assert_eq!((answers[0].len(), trails[0].len()), (answers[1].len(), trails[1].len()));
    assert!(trails[0].len() > 40, "there was something to compare");
}

#[tokio::test]
async fn to_a_stranger_a_project_and_all_in_it_do_not_exist() {
    let cast = Cast::gather().await;
    let house = &cast.house;
    let something = Names::of_something(house, house.project()).await;
    let nowhere = ProjectId::from_uuid(Names::of_nothing(house.project(), 3).key.uuid());
    let nothing = Names::of_nothing(nowhere, 4);
    look_alike(house, &cast.actor("stranger"), &something, &nothing).await;
}

#[tokio::test]
async fn things_of_another_project_do_not_exist_in_this_one() {
    let cast = Cast::gather().await;
    let house = &cast.house;
    let mut foreign = Names::of_something(house, cast.globex.id).await;
    foreign.project = house.project();
    let nothing = Names::of_nothing(house.project(), 4);
    for persona in ["admin", "member", "narrow", "verifier"] {
        look_alike(house, &cast.actor(persona), &foreign, &nothing).await;
    }
}

#[tokio::test]
async fn to_a_user_other_users_keys_do_not_exist() {
    let cast = Cast::gather().await;
    let house = &cast.house;
    let others = Names::of_something(house, house.project()).await;
    let nothing = Names::of_nothing(house.project(), 4);
    let member = cast.actor("member");
    let (told, untold) = (
        ask_everything(house, &member, &others).await,
        ask_everything(house, &member, &nothing).await,
    );
    assert_eq!(told, untold);
}

#[tokio::test]
async fn an_operators_attempt_on_a_project_that_does_not_exist_is_told_among_the_operators() {
    let cast = Cast::gather().await;
    let house = &cast.house;
    let olga = cast.actor("operator");
    let nowhere = ProjectId::from_uuid(Names::of_nothing(house.project(), 3).key.uuid());
    let wish = wish(olga.owner, "k").scopes(&[]);
    assert!(house.keeper.issue_key(&olga, nowhere, wish, None).await.is_err());
    let newest = house.events(olga.home).await.into_iter().next().unwrap();
    assert_eq!(crate::house::in_short(&newest), "key.issue refused: not_found");
}
