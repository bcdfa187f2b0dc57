//! A user's `token`: the one static key, made by the client itself, kept as a digest and shown as ten asterisks.
//!
//! | Directus | keeper |
//! |---|---|
//! | a text where there is none | `issue_key` of kind static, by the text's SHA-256 |
//! | another text | `rotate_key`; the old one is dead at once |
//! | the same text | nothing |
//! | null, or nothing between the quotes | `revoke_key` |

use std::collections::BTreeSet;

use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_core::actor::Actor;
use keyholt_core::id::{ProjectId, UserId};
use keyholt_core::issue::{Life, SecretOrigin, Wish};
use keyholt_core::key::{Bounds, Key, Kind, State};
use keyholt_core::owner::Owner;
use keyholt_core::rotate::{Grace, RotateError, Turn};
use keyholt_core::scope::Access;
use keyholt_core::secret::Fingerprint;
use keyholt_core::strength::{Weak, strong};
use keyholt_core::text::{Cause, Description, Metadata, Name};
use keyholt_store::{KeyQuery, Limit, Owners, StateFilter};
use zeroize::Zeroizing;

use crate::dialects::Desk;
use crate::http::Fail;
use crate::http::fail::Answer;
use crate::keeper::Refusal;

/// Most characters of a token, as of the column that Directus keeps it in.
const CHARS_MAX: usize = 255;

/// A token that a client made and that nobody is likely to guess.
pub struct Token {
    text: Zeroizing<String>,
    fingerprint: Fingerprint,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Looks at a text as a token. What is wrong with it is said without repeating it.
    pub fn read(text: &str) -> Result<Self, Reason> {
        if text.chars().count() > CHARS_MAX {
            let told = format!("must have at most {CHARS_MAX} characters");
            return Err(Reason(FaultCode::TooMuch, told.into()));
        }
        let fingerprint = strong(text).map_err(|weak| {
            let told = match weak {
                Weak::Guessable => format!("{weak}; the client's randomString() makes a good one"),
                Weak::Mask | Weak::Form => weak.to_string(),
            };
            Reason(FaultCode::Form, told.into())
        })?;
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            fingerprint,
        })
    }
}

/// Refuses a token that another user of the project has, before anything is changed.
pub async fn check_free(
    desk: &Desk,
    actor: &Actor,
    project: ProjectId,
    owner: Option<UserId>,
    token: &Token,
) -> Answer<()> {
    match desk.keeper.find_key(actor, project, &token.text).await {
        Ok(found) if owner.is_none_or(|owner| found.key.owner != Owner::User(owner)) => Err(taken()),
        // Its own: `give` sees what that means. Not found, or not to be known: the store has the last word.
        _ => Ok(()),
    }
}

/// Gives a user a token in place of the one before.
pub async fn give(desk: &Desk, actor: &Actor, project: ProjectId, user: UserId, token: &Token) -> Answer<()> {
    let keeper = &desk.keeper;
    let Some(key) = current(desk, actor, project, user).await? else {
        return issue(desk, actor, project, user, token).await;
    };
    if let Ok(found) = keeper.find_key(actor, project, &token.text).await {
        let same = found.key.id == key.id && keeper.is_newest(&found.key, &token.fingerprint);
        return if same { Ok(()) } else { Err(taken()) };
    }
    let turn = Turn {
        grace: Grace::Default,
        client_made: Some(token.fingerprint),
        cause: Cause::new("regenerated through Directus").ok(),
    };
    match keeper.rotate_key(actor, project, key.id, turn, None).await {
        Ok(_) => Ok(()),
        // Only an end that somebody gave it elsewhere brings a static key here.
        Err(Refusal::Rotate(RotateError::Expired)) => {
            revoke(desk, actor, project, &key, "replaced through Directus").await?;
            issue(desk, actor, project, user, token).await
        }
        Err(refusal) => Err(told(refusal)),
    }
}

/// Takes a user's token away.
pub async fn clear(desk: &Desk, actor: &Actor, project: ProjectId, user: UserId) -> Answer<()> {
    match current(desk, actor, project, user).await? {
        Some(key) => revoke(desk, actor, project, &key, "cleared through Directus").await,
        None => Ok(()),
    }
}

/// Which of these users have a token that is not cleared; `None` where the caller may not know.
pub async fn holders(
    desk: &Desk,
    actor: &Actor,
    project: ProjectId,
    users: &[UserId],
) -> Answer<Option<BTreeSet<UserId>>> {
    let now = desk.keeper.now();
    let mut holders = BTreeSet::new();
    for users in users.chunks(usize::from(Limit::MOST)) {
        for state in [StateFilter::Active { now }, StateFilter::Suspended] {
            let query = KeyQuery {
                owners: Owners::These(users.iter().copied().map(Owner::User).collect()),
                kind: Some(Kind::Static),
                state: Some(state),
                // There is at most one that is not revoked for each of them.
                limit: Limit::LARGEST,
                ..KeyQuery::default()
            };
            match desk.keeper.keys(actor, project, query).await {
                Ok(page) => holders.extend(page.entries.iter().filter_map(|view| holder(&view.key))),
                Err(Refusal::Lacks { .. } | Refusal::NotFound(_)) => return Ok(None),
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }
    Ok(Some(holders))
}

/// The static key of a user that is not revoked. Only the newest can be such a one: while it lived none could be made.
async fn current(desk: &Desk, actor: &Actor, project: ProjectId, user: UserId) -> Answer<Option<Key>> {
    let query = KeyQuery {
        owners: Owners::These(vec![Owner::User(user)]),
        kind: Some(Kind::Static),
        limit: Limit::new(1).unwrap_or(Limit::DEFAULT),
        ..KeyQuery::default()
    };
    let page = desk.keeper.keys(actor, project, query).await?;
    let newest = page.entries.into_iter().next().map(|view| view.key);
    Ok(newest.filter(|key| !matches!(key.state, State::Revoked { .. })))
}

async fn issue(desk: &Desk, actor: &Actor, project: ProjectId, user: UserId, token: &Token) -> Answer<()> {
    let text = |error| Fail::from(Refusal::Text { field: "token", error });
    let wish = Wish {
        owner: Owner::User(user),
        kind: Kind::Static,
        name: Name::new("Directus token").map_err(text)?,
        description: Description::new("").map_err(text)?,
        metadata: Metadata::default(),
        tags: BTreeSet::new(),
        access: Access::Everything,
        bounds: Bounds::default(),
        life: Life::Default,
        origin: SecretOrigin::Imported {
            fingerprint: token.fingerprint,
            hint: None,
        },
    };
    desk.keeper.issue_key(actor, project, wish, None).await.map_err(told)?;
    Ok(())
}

async fn revoke(desk: &Desk, actor: &Actor, project: ProjectId, key: &Key, cause: &str) -> Answer<()> {
    let cause = Cause::new(cause).map_err(|error| Refusal::Text { field: "token", error })?;
    desk.keeper.revoke_key(actor, project, key.id, cause, None).await?;
    Ok(())
}

fn holder(key: &Key) -> Option<UserId> {
    match key.owner {
        Owner::User(user) => Some(user),
        Owner::Team(_) | Owner::Service(_) => None,
    }
}

/// A token that is in use, or was: which of them is not said, and the token is not repeated.
fn taken() -> Fail {
    let reason = Reason(FaultCode::Conflict, "has to be unique".into());
    Fail::naming(Code::SecretTaken, Faults::one("token", reason))
}

fn told(refusal: Refusal) -> Fail {
    match refusal {
        Refusal::SecretTaken | Refusal::Rotate(RotateError::SameSecret) => taken(),
        refusal => refusal.into(),
    }
}
