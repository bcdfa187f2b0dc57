//! What the operator does in stories, in a word each.

use keyholt_core::amend::Amendment;
use keyholt_core::id::KeyId;
use keyholt_core::key::Key;
use keyholt_core::owner::Owner;
use keyholt_core::project::{Policy, Project};
use keyholt_core::rotate::{Grace, Rotated, Turn};
use keyholt_core::scope::ScopeSet;
use keyholt_core::secret::{Fingerprint, Prefix, Secret, Visibility};
use keyholt_core::text::Cause;
use keyholt_server::keeper::{KeyView, ProjectChange, Refusal, RoleChange};
use keyholt_store::KeyQuery;

use crate::house::{Held, House, canary, seeded};

impl House {
    pub async fn key(&self, id: KeyId) -> Key {
        self.key_view(id).await.key
    }

    pub async fn key_view(&self, id: KeyId) -> KeyView {
        self.keeper.key(&self.olga(), self.project(), id).await.unwrap()
    }

    /// Why a key does not work, in the words of verify; `valid` if it does.
    pub async fn validity(&self, id: KeyId) -> &'static str {
        let validity = self.keeper.validity(&self.olga(), self.project(), id).await.unwrap();
        validity.denial.map_or("valid", |denial| denial.as_str())
    }

    /// The names of the keys that a query finds, in order.
    pub async fn named(&self, query: KeyQuery) -> Vec<String> {
        let page = self.keeper.keys(&self.olga(), self.project(), query).await.unwrap();
        names(&page.entries)
    }

    pub async fn amend(&self, id: KeyId, amendment: Amendment) -> Result<KeyView, Refusal> {
        self.keeper
            .amend_key(&self.olga(), self.project(), id, amendment, None)
            .await
    }

    pub async fn rotate(&self, id: KeyId, grace: Grace) -> Held {
        self.try_rotate(id, grace).await.unwrap()
    }

    pub async fn try_rotate(&self, id: KeyId, grace: Grace) -> Result<Held, Refusal> {
        let rotated = self
            .keeper
            .rotate_key(&self.olga(), self.project(), id, turn(grace), None)
            .await;
        rotated.map(turned)
    }

    pub async fn suspend(&self, id: KeyId) -> Key {
        let suspended = self
            .keeper
            .suspend_key(&self.olga(), self.project(), id, None, None)
            .await;
        suspended.unwrap().key
    }

    pub async fn resume(&self, id: KeyId) -> Key {
        let resumed = self
            .keeper
            .resume_key(&self.olga(), self.project(), id, None, None)
            .await;
        resumed.unwrap().key
    }

    pub async fn revoke(&self, id: KeyId, why: &str) -> Key {
        let revoked = self
            .keeper
            .revoke_key(&self.olga(), self.project(), id, cause(why), None)
            .await;
        revoked.unwrap().key
    }

    pub async fn delete(&self, id: KeyId) {
        self.keeper
            .delete_key(&self.olga(), self.project(), id, None, None)
            .await
            .unwrap();
    }

    pub async fn remove(&self, owner: Owner) {
        self.keeper
            .remove_owner(&self.olga(), self.project(), owner, None, None)
            .await
            .unwrap();
    }

    /// Changes the project's policy.
    pub async fn policy(&self, change: impl FnOnce(&mut Policy)) -> Project {
        let mut policy = self.keeper.project(&self.olga(), self.project()).unwrap().policy;
        change(&mut policy);
        self.try_policy(policy).await.unwrap()
    }

    pub async fn try_policy(&self, policy: Policy) -> Result<Project, Refusal> {
        let change = ProjectChange {
            policy: Some(policy),
            ..ProjectChange::default()
        };
        self.keeper
            .change_project(&self.olga(), self.project(), change, None)
            .await
    }

    /// Gives a role other scopes.
    pub async fn role_means(&self, role: &str, scopes: &[&str]) {
        let role = self.keeper.role_named(self.project(), role).unwrap();
        self.keeper
            .change_role(&self.olga(), self.project(), role.id, meaning(scopes), None)
            .await
            .unwrap();
    }
}

/// A role's new scopes.
pub fn meaning(scopes: &[&str]) -> RoleChange {
    RoleChange {
        scopes: Some(ScopeSet::parse(scopes.iter().copied()).unwrap()),
        ..RoleChange::default()
    }
}

/// A rotation with this grace.
pub fn turn(grace: Grace) -> Turn {
    Turn {
        grace,
        client_made: None,
        cause: None,
    }
}

/// A rotated key with its new secret.
pub fn turned(rotated: Rotated) -> Held {
    let secret = rotated.secret.expect("a minted secret").reveal().to_string();
    canary(&secret);
    Held {
        key: rotated.key,
        secret,
    }
}

/// A secret that a client made by itself, and all that Keyholt is told of it.
pub fn client_made(seed: u64) -> (String, Fingerprint) {
    let prefix = Prefix::new("acme").unwrap();
    let secret = Secret::mint(&prefix, Visibility::Secret, None, &mut seeded(1_000_000 + seed));
    let fingerprint = secret.fingerprint();
    let secret = secret.reveal().to_string();
    canary(&secret);
    (secret, fingerprint)
}

pub fn cause(text: &str) -> Cause {
    Cause::new(text).unwrap()
}

pub fn names(views: &[KeyView]) -> Vec<String> {
    views.iter().map(|view| view.key.about.name.to_string()).collect()
}
