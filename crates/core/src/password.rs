//! Passwords: what a person may type, the record that stands for it, and the name under which guesses are counted.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;
use zeroize::Zeroizing;

use crate::actor::{Beyond, Permit, Source, WriteKeys, WriteOwners};
use crate::audit::{Event, Noun, Outcome, Target};
use crate::commit::{Change, Commit, Record, Revision};
use crate::id::{ProjectId, UserId};
use crate::owner::User;
use crate::scope::{Access, ScopeSet};
use crate::text::TextError;
use crate::time::{Expiry, Moment};

/// Most bytes of a password. Longer ones are refused, never cut off.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Most characters of a name that somebody logs in with: those of the longest e-mail address.
pub const LOGIN_CHARS_MAX: usize = 254;

/// A user's password as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Password {
    /// Whose.
    pub user: UserId,
    /// The user's project.
    pub project: ProjectId,
    /// Its hash.
    pub hash: HashText,
    /// With which master key it was made, besides its salt.
    #[serde(default, skip_serializing_if = "Made::is_usual")]
    pub made: Made,
    /// When the user got it.
    pub changed_at: Moment,
    /// How often the record was changed.
    pub revision: Revision,
}

/// With which master key a hash was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// With the present one.
    #[default]
    Now,
    /// With an earlier one. It is made anew when its user logs in.
    Earlier,
}

impl Made {
    fn is_usual(&self) -> bool {
        *self == Self::Now
    }
}

/// A password's hash in the PHC string format, with all that is needed to compute it again but the master key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HashText(Box<str>);

impl HashText {
    /// Takes a hash over.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text. Never log it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the same hash, salt included.
    pub fn is(&self, other: &Self) -> bool {
        self == other
    }
}

impl fmt::Debug for HashText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashText(…)")
    }
}

/// What a person typed as a password, in one spelling: NFC, so that keyboards that compose differently agree.
pub struct Typed(Zeroizing<String>);

impl Typed {
    /// Takes what was typed. Nothing is trimmed or cut off.
    pub fn read(text: &str) -> Result<Self, TextError> {
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(TextError::Bulk("may take at most 1024 bytes"));
        }
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(TextError::Characters(
                "one or more characters, none of them a control character",
            ));
        }
        // Composed text is at most three times as long: the memory is there before, so that no copy is left behind.
        let mut composed = Zeroizing::new(String::with_capacity(text.len() * 3));
        composed.extend(text.nfc());
        Ok(Self(composed))
    }

    /// The text. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// How many characters it has.
    pub fn chars(&self) -> usize {
        self.0.chars().count()
    }
}

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Typed(…)")
    }
}

/// The name under which guesses at somebody's password are counted: one for all spellings that people take for the same.
///
/// SECURITY: a count by the letter is started anew with every capital, space or look-alike.
pub fn counted_as(login: &str) -> String {
    let fold = |text: &str| caseless::default_case_fold_str(&text.nfkc().collect::<String>());
    let shown: String = fold(login)
        .chars()
        .filter(|c| !c.is_whitespace() && crate::text::is_plain(*c))
        .collect();
    fold(&skeleton(&shown).collect::<String>())
}

/// An e-mail address as it is looked up: without regard to case.
pub fn mailbox(email: &str) -> String {
    caseless::default_case_fold_str(&email.trim().nfkc().collect::<String>())
}

/// Gives a user a password, in somebody else's name.
///
/// SECURITY: whoever knows a password can do all that its user can, for ever: so only who could hand that on may set it.
pub fn set(
    permit: &Permit<WriteOwners>,
    user: &User,
    before: Option<&Password>,
    hash: HashText,
    permissions: &ScopeSet,
    now: Moment,
) -> Result<Commit, Beyond> {
    permit
        .actor()
        .may_hand_on(&Access::Everything, permissions, Expiry::Never)?;
    let (change, before) = replaced(user, before, hash, now);
    Ok(Commit::by(permit, "password.set", before.as_ref(), change, None, now))
}

/// Changes a user's own password. That the present one was shown is the caller's to see to.
pub fn change(permit: &Permit<WriteKeys>, user: &User, before: &Password, hash: HashText, now: Moment) -> Commit {
    let (change, before) = replaced(user, Some(before), hash, now);
    Commit::by(permit, "password.change", before.as_ref(), change, None, now)
}

/// Keeps the same password by another hash: the cost of hashing was raised, or the master key replaced.
pub fn rehash(before: &Password, hash: HashText, source: &Source, now: Moment) -> Commit {
    let after = Record::Password(Password {
        hash,
        made: Made::Now,
        revision: before.revision.next(),
        ..before.clone()
    });
    let event = Event {
        project: before.project,
        at: now,
        action: "password.rehash".to_owned(),
        outcome: Outcome::Done,
        actor: None,
        target: Target {
            noun: Noun::Password,
            id: Some(before.user.uuid()),
        },
        owner: after.owner(),
        cause: None,
        source: source.clone(),
        before: Some(Record::Password(before.clone()).view()),
        after: Some(after.view()),
    };
    let change = Change::Replace {
        record: after,
        expected: before.revision,
    };
    Commit::by_itself(event, vec![change])
}

fn replaced(user: &User, before: Option<&Password>, hash: HashText, now: Moment) -> (Change, Option<Record>) {
    let password = Password {
        user: user.id,
        project: user.project,
        hash,
        made: Made::Now,
        changed_at: now,
        revision: before.map_or(Revision::FIRST, |before| before.revision.next()),
    };
    let change = match before {
        None => Change::Insert(Record::Password(password)),
        Some(before) => Change::Replace {
            record: Record::Password(password),
            expected: before.revision,
        },
    };
    (change, before.cloned().map(Record::Password))
}
