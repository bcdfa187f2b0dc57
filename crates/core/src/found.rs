//! Founds projects, and Keyholt itself: its own project, the set-up token, and the first operator.

use std::collections::BTreeSet;

use crate::actor::{Operate, Permit, Source};
use crate::audit::{Event, Noun, Outcome, Target};
use crate::commit::{Change, Commit, Record, Revision};
use crate::entropy::Entropy;
use crate::id::{KeyId, ProjectId, RoleId, SYSTEM, UserId};
use crate::issue::Issued;
use crate::key::{About, Bounds, Key, Kind, Maker, State};
use crate::owner::{Owner, Standing, User};
use crate::project::{LogInPolicy, Policy, Project};
use crate::role::{Role, STARTING_ROLES};
use crate::scope::{Access, ScopeSet};
use crate::secret::{Credentials, Fingerprint, Pepper, Prefix, Secret, Visibility};
use crate::setup::Setup;
use crate::text::{Description, Email, ExternalId, Metadata, Name, Slug, TextError};
use crate::time::{Expiry, Moment};

/// The slug of the project that Keyholt itself lives in.
pub const SYSTEM_SLUG: &str = "keyholt";
/// The first word of operators' secrets.
pub const SYSTEM_PREFIX: &str = "kh";
/// The first word of set-up tokens.
pub const SETUP_PREFIX: &str = "khsetup";
/// The role of operators.
pub const OPERATOR_ROLE: &str = "operator";

/// Why something is not founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FoundError {
    /// Wrong, used or expired token; which of them is not said.
    #[error("the set-up token is not valid")]
    Token,
}

/// A fresh set-up token.
pub fn setup_token(entropy: &mut dyn Entropy) -> Option<Secret> {
    let prefix = Prefix::new(SETUP_PREFIX).ok()?;
    Some(Secret::mint(&prefix, Visibility::Secret, None, entropy))
}

/// Founds Keyholt on an empty store: its own project, the operators' role, and an open set-up.
pub fn found_keyholt(
    token: &Fingerprint,
    pepper: &Pepper,
    source: Source,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<Commit, TextError> {
    let role = Role {
        id: RoleId::mint(now, entropy),
        project: SYSTEM,
        name: Slug::new(OPERATOR_ROLE)?,
        description: Description::new("May do everything in every project.")?,
        scopes: ScopeSet::parse(["*", "keyholt:*"]).unwrap_or_default(),
        created_at: now,
        revision: Revision::FIRST,
    };
    let prefix = Prefix::new(SYSTEM_PREFIX).map_err(|_| TextError::Characters("a prefix"))?;
    let project = Project {
        id: SYSTEM,
        slug: Slug::new(SYSTEM_SLUG)?,
        name: Name::new("Keyholt")?,
        policy: Policy {
            log_in: LogInPolicy::OPERATORS,
            ..Policy::new(prefix, BTreeSet::from([role.id]))
        },
        standing: Standing::Good,
        created_at: now,
        revision: Revision::FIRST,
    };
    let setup = Setup::open(token, pepper, now, Revision::FIRST);
    let event = own_event(
        "setup.open",
        Target {
            noun: Noun::Setup,
            id: Some(SYSTEM.uuid()),
        },
        source,
        now,
    );
    let changes = vec![
        Change::Insert(Record::Project(project)),
        Change::Insert(Record::Role(role)),
        Change::Insert(Record::Setup(setup)),
    ];
    Ok(Commit::by_itself(event, changes))
}

/// Puts a fresh token in place of one that was never used. A closed set-up stays closed.
pub fn renew_setup(setup: &Setup, token: &Fingerprint, pepper: &Pepper, source: Source, now: Moment) -> Option<Commit> {
    if !setup.is_open() {
        return None;
    }
    let renewed = Setup::open(token, pepper, now, setup.revision.next());
    let event = own_event(
        "setup.renew",
        Target {
            noun: Noun::Setup,
            id: Some(SYSTEM.uuid()),
        },
        source,
        now,
    );
    Some(Commit::by_itself(
        event,
        vec![Change::Replace {
            record: Record::Setup(renewed),
            expected: setup.revision,
        }],
    ))
}

/// Who shall be the first operator.
#[derive(Clone, Debug)]
pub struct FirstOperator {
    /// What people call the operator.
    pub name: Name,
    /// How the operator is called in commands.
    pub external_id: ExternalId,
    /// Where to reach the operator.
    pub email: Option<Email>,
}

/// Makes the first operator, with a key that can do everything, and closes the set-up for good.
///
/// Both happen in one commit that is based on the open set-up's revision: of many attempts one wins.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that decides is an argument, and each is used once"
)]
pub fn set_up(
    setup: &Setup,
    token: &Fingerprint,
    who: FirstOperator,
    system: &Project,
    pepper: &Pepper,
    source: Source,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<(Issued, Commit), FoundError> {
    if !setup.admits(token, pepper, now) {
        return Err(FoundError::Token);
    }
    let user = User {
        id: UserId::mint(now, entropy),
        project: SYSTEM,
        external_id: who.external_id,
        name: who.name.clone(),
        email: who.email,
        roles: system.policy.default_roles.clone(),
        standing: Standing::Good,
        metadata: Metadata::default(),
        created_at: now,
        revision: Revision::FIRST,
    };
    let secret = Secret::mint(&system.policy.prefix, Visibility::Secret, None, entropy);
    let key = Key {
        id: KeyId::mint(now, entropy),
        project: SYSTEM,
        owner: Owner::User(user.id),
        kind: Kind::Standard,
        access: Access::Everything,
        bounds: Bounds::default(),
        expiry: Expiry::Never,
        state: State::Active,
        credentials: Credentials::One(pepper.digest(&secret.fingerprint())),
        about: About {
            name: who.name,
            description: Description::new("Made at set-up.").map_err(|_| FoundError::Token)?,
            metadata: Metadata::default(),
            tags: BTreeSet::new(),
            hint: Some(secret.hint()),
        },
        created_at: now,
        created_by: Maker::Setup,
        revision: Revision::FIRST,
    };
    let record = Record::User(user);
    let mut event = own_event(
        "setup.complete",
        Target {
            noun: Noun::User,
            id: Some(record.id()),
        },
        source,
        now,
    );
    event.owner = record.owner();
    event.after = Some(record.view());
    let changes = vec![
        Change::Replace {
            record: Record::Setup(setup.closed()),
            expected: setup.revision,
        },
        Change::Insert(record),
        Change::Insert(Record::Key(Box::new(key.clone()))),
    ];
    Ok((
        Issued {
            key,
            secret: Some(secret),
        },
        Commit::by_itself(event, changes),
    ))
}

/// What a new project starts with.
#[derive(Clone, Debug)]
pub struct Charter {
    /// Its handle.
    pub slug: Slug,
    /// What people call it.
    pub name: Name,
    /// The first word of its secrets.
    pub prefix: Prefix,
}

/// Founds a project with the starting roles; `member` is what owners get who are enrolled without naming a role.
pub fn found(
    permit: &Permit<Operate>,
    charter: Charter,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<(Project, Vec<Role>, Commit), TextError> {
    let id = ProjectId::mint(now, entropy);
    let mut roles = Vec::with_capacity(STARTING_ROLES.len());
    for (name, description, scopes) in STARTING_ROLES {
        roles.push(Role {
            id: RoleId::mint(now, entropy),
            project: id,
            name: Slug::new(name)?,
            description: Description::new(description)?,
            scopes: ScopeSet::parse(scopes.iter().copied()).unwrap_or_default(),
            created_at: now,
            revision: Revision::FIRST,
        });
    }
    let default_roles = roles.iter().take(1).map(|role| role.id).collect();
    let project = Project {
        id,
        slug: charter.slug,
        name: charter.name,
        policy: Policy::new(charter.prefix, default_roles),
        standing: Standing::Good,
        created_at: now,
        revision: Revision::FIRST,
    };
    let founding = Commit::by(
        permit,
        "project.found",
        None,
        Change::Insert(Record::Project(project.clone())),
        None,
        now,
    );
    let commit = roles.iter().fold(founding, |commit, role| {
        commit.with(Change::Insert(Record::Role(role.clone())))
    });
    Ok((project, roles, commit))
}

fn own_event(action: &str, target: Target, source: Source, now: Moment) -> Event {
    Event {
        project: SYSTEM,
        at: now,
        action: action.to_owned(),
        outcome: Outcome::Done,
        actor: None,
        target,
        owner: None,
        cause: None,
        source,
        before: None,
        after: None,
    }
}
