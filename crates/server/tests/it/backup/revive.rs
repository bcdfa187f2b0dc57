//! Whatever ended, or became less, after the backup stays so.

use std::collections::BTreeSet;

use keyholt_core::amend::Amendment;
use keyholt_core::audit::Noun;
use keyholt_core::id::KeyId;
use keyholt_core::key::{Allowed, Bounds};
use keyholt_core::owner::Owner;
use keyholt_core::restore::Ending;
use keyholt_core::rotate::{Grace, Turn};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::text::Cause;
use keyholt_core::time::Expiry;
use keyholt_server::keeper::RoleChange;

use super::*;
use crate::house::{Held, Wishes, wish};

struct Story {
    yard: Yard,
    house: House,
    owner: Owner,
    key: Held,
}

impl Story {
    /// A key, and a backup in which it is good.
    async fn begin() -> Self {
        let yard = Yard::new();
        let house = yard.house().await;
        let ada = house.user("ada").await;
        let owner = Owner::User(ada.id);
        let key = house
            .issue(
                wish(owner, "deploy")
                    .scopes(&["orders:*", "users:read"])
                    .lasting(Span::days(90)),
            )
            .await;
        yard.back_up(&house).await;
        house.advance(Span::hours(1));
        Self {
            yard,
            house,
            owner,
            key,
        }
    }

    fn id(&self) -> KeyId {
        self.key.id()
    }

    async fn amend(&self, amendment: Amendment) {
        let (olga, project) = (self.house.olga(), self.house.project());
        self.house
            .keeper
            .amend_key(&olga, project, self.id(), amendment, None)
            .await
            .unwrap();
    }

    async fn rotate(&self, grace: Span) -> String {
        let turn = Turn {
            grace: Grace::For(grace),
            client_made: None,
            cause: None,
        };
        let (olga, project) = (self.house.olga(), self.house.project());
        let rotated = self
            .house
            .keeper
            .rotate_key(&olga, project, self.id(), turn, None)
            .await
            .unwrap();
        let secret = rotated.secret.unwrap().reveal().to_string();
        crate::house::canary(&secret);
        secret
    }

    /// Stops the server, restores, and starts it again. The plan must name exactly these endings of the key.
    async fn restore(&self, of_key: &[Ending]) -> Arc<Keeper> {
        stop(&self.house).await;
        let plan = self.yard.plan(self.house.clock.now_ms()).await.unwrap();
        let Comparison::Known { ended, .. } = plan.comparison() else {
            panic!("{:?}", plan.comparison())
        };
        let named: BTreeSet<Ending> = ended
            .iter()
            .filter(|one| one.id == self.id().uuid())
            .flat_map(|one| one.endings.clone())
            .collect();
        assert_eq!(named, of_key.iter().copied().collect());
        let restored = plan
            .carry_out(Consent::EndWhatEnded, &mut seeded(3), &mut |_| ())
            .await
            .unwrap();
        assert!(restored.aside.unwrap().exists());
        let keeper = self.yard.reopened(&self.house).await;
        assert_eq!(keeper.alarms(), 0);
        keeper
    }

    fn code(&self, keeper: &Arc<Keeper>) -> String {
        code(&self.house, keeper, &self.key.secret)
    }
}

#[tokio::test]
async fn a_key_that_nothing_happened_to_comes_back() {
    let story = Story::begin().await;
    let keeper = story.restore(&[]).await;
    assert_eq!(story.code(&keeper), "valid");
}

#[tokio::test]
async fn a_revoked_key_stays_revoked_with_its_first_time_and_cause() {
    let story = Story::begin().await;
    let (olga, project) = (story.house.olga(), story.house.project());
    let cause = Cause::new("leaked on a forge").unwrap();
    story
        .house
        .keeper
        .revoke_key(&olga, project, story.id(), cause, None)
        .await
        .unwrap();
    story.house.advance(Span::hours(1));
    let keeper = story.restore(&[Ending::Revoked]).await;
    assert_eq!(story.code(&keeper), "revoked");
    let operator = keeper
        .authenticate(&story.house.operator.secret, crate::house::source())
        .unwrap();
    let view = keeper.key(&operator, project, story.id()).await.unwrap();
    let keyholt_core::key::State::Revoked { at, cause } = view.key.state else {
        panic!("{:?}", view.key.state)
    };
    assert_eq!(
        (at.to_string().as_str(), cause.as_str()),
        ("2030-01-01T01:00:00Z", "leaked on a forge")
    );
}

#[tokio::test]
async fn a_deleted_key_comes_back_revoked() {
    let story = Story::begin().await;
    let (olga, project) = (story.house.olga(), story.house.project());
    story
        .house
        .keeper
        .delete_key(&olga, project, story.id(), None, None)
        .await
        .unwrap();
    let keeper = story.restore(&[Ending::Gone]).await;
    assert_eq!(story.code(&keeper), "revoked");
}

#[tokio::test]
async fn a_suspended_key_stays_suspended() {
    let story = Story::begin().await;
    let (olga, project) = (story.house.olga(), story.house.project());
    story
        .house
        .keeper
        .suspend_key(&olga, project, story.id(), None, None)
        .await
        .unwrap();
    let keeper = story.restore(&[Ending::Suspended]).await;
    assert_eq!(story.code(&keeper), "suspended");
}

#[tokio::test]
async fn a_rotated_keys_old_secret_is_dead_and_its_new_one_works() {
    let story = Story::begin().await;
    let new = story.rotate(Span::ZERO).await;
    let keeper = story.restore(&[Ending::Rotated]).await;
    assert_eq!(story.code(&keeper), "unknown");
    assert_eq!(code(&story.house, &keeper, &new), "valid");
}

#[tokio::test]
async fn a_rotated_keys_old_secret_dies_when_its_grace_ends() {
    let story = Story::begin().await;
    let new = story.rotate(Span::hours(2)).await;
    story.house.advance(Span::hours(1));
    let keeper = story.restore(&[Ending::Rotated]).await;
    assert_eq!(story.code(&keeper), "valid");
    story.house.advance(Span::hours(1));
    assert_eq!(story.code(&keeper), "unknown");
    assert_eq!(code(&story.house, &keeper, &new), "valid");
}

#[tokio::test]
async fn a_key_that_was_rotated_and_revoked_is_revoked_for_both_secrets() {
    let story = Story::begin().await;
    let new = story.rotate(Span::hours(2)).await;
    let (olga, project) = (story.house.olga(), story.house.project());
    let cause = Cause::new("story").unwrap();
    story
        .house
        .keeper
        .revoke_key(&olga, project, story.id(), cause, None)
        .await
        .unwrap();
    let keeper = story.restore(&[Ending::Revoked, Ending::Rotated]).await;
    assert_eq!(story.code(&keeper), "unknown");
    assert_eq!(code(&story.house, &keeper, &new), "revoked");
}

#[tokio::test]
async fn what_was_narrowed_stays_narrow_and_what_was_widened_is_not_wide() {
    let story = Story::begin().await;
    let only = |scopes: &[&str]| Access::Only(ScopeSet::parse(scopes.iter().copied()).unwrap());
    story
        .amend(Amendment {
            access: Some(only(&["orders:read", "invoices:write"])),
            expiry: Some(Expiry::At(story.house.keeper.now().plus(Span::days(1)))),
            bounds: Some(Bounds {
                networks: Allowed::only(vec!["10.0.0.0/8".parse().unwrap()]).unwrap(),
                ..Bounds::default()
            }),
            ..Amendment::default()
        })
        .await;
    let keeper = story.restore(&[Ending::Narrowed, Ending::Shortened]).await;
    assert_eq!(story.code(&keeper), "address_not_allowed");
    let operator = keeper
        .authenticate(&story.house.operator.secret, crate::house::source())
        .unwrap();
    let key = keeper
        .key(&operator, story.house.project(), story.id())
        .await
        .unwrap()
        .key;
    assert_eq!(key.access, only(&["orders:read"]));
    assert_eq!(key.expiry.at().unwrap().to_string(), "2030-01-02T01:00:00Z");
}

#[tokio::test]
async fn an_owner_that_was_suspended_stays_suspended() {
    let story = Story::begin().await;
    let (olga, project) = (story.house.olga(), story.house.project());
    story
        .house
        .keeper
        .suspend_owner(&olga, project, story.owner, None, None)
        .await
        .unwrap();
    let keeper = story.restore(&[]).await;
    assert_eq!(story.code(&keeper), "owner_suspended");
}

#[tokio::test]
async fn an_owner_that_was_removed_comes_back_suspended_and_its_keys_revoked() {
    let story = Story::begin().await;
    let (olga, project) = (story.house.olga(), story.house.project());
    story
        .house
        .keeper
        .remove_owner(&olga, project, story.owner, None, None)
        .await
        .unwrap();
    let keeper = story.restore(&[Ending::Revoked]).await;
    assert_eq!(story.code(&keeper), "revoked");
    let operator = keeper
        .authenticate(&story.house.operator.secret, crate::house::source())
        .unwrap();
    let resumed = keeper.resume_owner(&operator, project, story.owner, None, None).await;
    assert!(resumed.is_ok(), "it was there, suspended");
    assert_eq!(story.code(&keeper), "revoked");
}

#[tokio::test]
async fn a_role_that_was_narrowed_stays_narrow() {
    let story = Story::begin().await;
    let (olga, project) = (story.house.olga(), story.house.project());
    let member = story.house.keeper.role_named(project, "member").unwrap();
    let change = RoleChange {
        scopes: Some(ScopeSet::parse(["users:*"]).unwrap()),
        ..Default::default()
    };
    story
        .house
        .keeper
        .change_role(&olga, project, member.id, change, None)
        .await
        .unwrap();
    let keeper = story.restore(&[]).await;
    let scopes = keeper.role_named(project, "member").unwrap().scopes;
    assert_eq!(scopes, ScopeSet::parse(["users:*"]).unwrap());
}

#[tokio::test]
async fn a_project_that_was_suspended_stays_suspended() {
    let story = Story::begin().await;
    let (olga, project) = (story.house.olga(), story.house.project());
    story
        .house
        .keeper
        .suspend_project(&olga, project, None, None)
        .await
        .unwrap();
    let keeper = story.restore(&[]).await;
    assert_eq!(story.code(&keeper), "project_suspended");
}

#[tokio::test]
async fn the_plan_names_what_ended_and_counts_what_will_be_missing() {
    let story = Story::begin().await;
    let (olga, project) = (story.house.olga(), story.house.project());
    story
        .house
        .keeper
        .suspend_key(&olga, project, story.id(), None, None)
        .await
        .unwrap();
    story.house.issue(wish(story.owner, "newer").scopes(&[])).await;
    stop(&story.house).await;
    let plan = story.yard.plan(story.house.clock.now_ms()).await.unwrap();
    let Comparison::Known { ended, newer_keys } = plan.comparison() else {
        panic!("{:?}", plan.comparison())
    };
    assert_eq!((ended.len(), *newer_keys), (1, 1));
    assert_eq!((ended[0].noun, ended[0].name.as_str()), (Noun::Key, "deploy"));
    assert_eq!(ended[0].project_handle, "acme");
    assert_eq!(plan.summary().made_at.to_string(), "2030-01-01T00:00:00Z");
}

#[tokio::test]
async fn every_ending_is_in_the_audit_trail_of_the_restored_data() {
    let story = Story::begin().await;
    let (olga, project) = (story.house.olga(), story.house.project());
    story
        .house
        .keeper
        .delete_key(&olga, project, story.id(), None, None)
        .await
        .unwrap();
    story
        .house
        .keeper
        .suspend_owner(&olga, project, story.owner, None, None)
        .await
        .unwrap();
    let keeper = story.restore(&[Ending::Gone]).await;
    keeper.rest().await;
    let lines = dump_of(&Sqlite::open(&story.yard.database()).unwrap()).await;
    let told: Vec<String> = lines
        .iter()
        .filter_map(|line| match line {
            DumpLine::Event { numbered, .. } if numbered.event.source.request.as_str() == "restore" => {
                let event = &numbered.event;
                Some(format!("{} ({})", event.action, event.cause.as_ref().unwrap().as_str()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [
            "user.suspend (ended after the backup)",
            "key.revoke (ended after the backup)",
            "backup.restore (from the backup of 2030-01-01T00:00:00Z; what had ended after it was ended)"
        ]
    );
}
