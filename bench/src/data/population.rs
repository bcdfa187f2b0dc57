//! Who lives in a data set: what each key looks like, as a function of its number.
//!
//! Every filter of the list must find a full page among ten thousand keys as well as among a million. So there are
//! [`RARE`] keys of each rare sort whatever the size, spread evenly, and sorts that many keys belong to.

use std::collections::BTreeSet;

use keyholt_core::commit::Revision;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{About, Bounds, Key, Kind, Maker, State};
use keyholt_core::owner::Owner;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::seal::Sealer;
use keyholt_core::secret::{Credentials, Pepper};
use keyholt_core::text::{Cause, Description, Metadata, Name, Tag};
use keyholt_core::time::{Expiry, Moment, Span};
use keyholt_store::KeyColumns;

use super::house::{House, master};
use super::secrets::{Secrets, Seeded};

/// How many keys there are of each rare sort.
pub const RARE: u64 = 200;
/// What every key that is verified may do.
pub const ASKED: &str = "orders:read";

/// What ordinary keys may do; every set contains or covers [`ASKED`].
const ACCESSES: [&[&str]; 8] = [
    &["orders:read"],
    &["orders:read", "orders:write"],
    &["orders:*"],
    &["orders:read", "invoices:read"],
    &["orders:read", "reports:read"],
    &["orders:read", "orders:write", "invoices:read", "invoices:write"],
    &["orders:read", "customers:read"],
    &["orders:read", "stock:read"],
];

/// What sort of key has a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// One of the many, to be verified.
    Ordinary,
    /// Publishable, suspended, long unused, soon to expire, with a scope, a tag, a name, an owner and a maker of its own.
    Odd,
    /// Revoked.
    Revoked,
    /// Expired.
    Expired,
}

/// How much the keys of a data set have beside what is verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Tags and expiries on half of them, so that lists have something to filter.
    Listed,
    /// Nothing: what memory and start cost without it.
    Plain,
}

/// The sort of the key with this number among `count`.
pub fn sort(number: u64, count: u64) -> Sort {
    let stride = count / RARE;
    match number % stride {
        _ if number / stride >= RARE => Sort::Ordinary,
        3 => Sort::Odd,
        5 => Sort::Revoked,
        7 => Sort::Expired,
        _ => Sort::Ordinary,
    }
}

/// Makes keys.
pub struct Population {
    count: u64,
    detail: Detail,
    project: ProjectId,
    bulk: Owner,
    rare: Owner,
    owners: Vec<Owner>,
    operator: Maker,
    gateway: Maker,
    accesses: Vec<Access>,
    odd_access: Access,
    names: (Name, Name),
    tags: (Tag, Tag),
    cause: Cause,
    description: Description,
    secrets: Secrets,
    pepper: Pepper,
    sealer: Sealer,
    now: Moment,
}

impl Population {
    /// The population of a house.
    pub fn new(house: &House, count: u64, detail: Detail) -> anyhow::Result<Self> {
        anyhow::ensure!(count >= 10 * RARE, "a data set has at least {} keys", 10 * RARE);
        let only = |scopes: &[&str]| ScopeSet::parse(scopes.iter().copied()).map(Access::Only);
        Ok(Self {
            count,
            detail,
            project: house.project,
            bulk: house.bulk,
            rare: house.rare,
            owners: house.owners.clone(),
            operator: Maker::Key(house.operator.id),
            gateway: Maker::Key(house.gateway.id),
            accesses: ACCESSES.iter().map(|scopes| only(scopes)).collect::<Result<_, _>>()?,
            odd_access: only(&["herons:read"])?,
            names: (Name::new("key")?, Name::new("heron")?),
            tags: (Tag::new("common")?, Tag::new("rare")?),
            cause: Cause::new("for the bench")?,
            description: Description::new("")?,
            secrets: Secrets::new()?,
            pepper: master().pepper(),
            sealer: master().sealer(),
            now: house.keeper.now(),
        })
    }

    /// The key with this number, sealed.
    pub fn columns(&self, number: u64) -> anyhow::Result<KeyColumns> {
        let key = self.key(number);
        let at_rest = key.at_rest();
        Ok(KeyColumns::new(&key, &key.row(&at_rest).seal(&self.sealer)))
    }

    fn key(&self, number: u64) -> Key {
        let sort = sort(number, self.count);
        let odd = sort == Sort::Odd;
        let mut random = Seeded::stream(!number);
        let half = random.word().is_multiple_of(2) && self.detail == Detail::Listed;
        let made = self.before(30).plus(Span::millis(number));
        let secret = self.secrets.of(number);
        let pick = |many: usize, word: u64| usize::try_from(word % many as u64).unwrap_or(0);
        let spread = self
            .owners
            .get(pick(self.owners.len(), random.word()))
            .copied()
            .unwrap_or(self.bulk);
        let access = self
            .accesses
            .get(pick(self.accesses.len(), random.word()))
            .unwrap_or(&self.odd_access);
        Key {
            id: KeyId::mint(made, &mut random),
            project: self.project,
            owner: match sort {
                Sort::Odd => self.rare,
                _ if half => self.bulk,
                _ => spread,
            },
            kind: if odd { Kind::Publishable } else { Kind::Standard },
            access: if odd { self.odd_access.clone() } else { access.clone() },
            bounds: Bounds::default(),
            expiry: match sort {
                Sort::Odd => Expiry::At(self.after(365).plus(Span::millis(number))),
                Sort::Expired => Expiry::At(self.before(1)),
                _ if half => Expiry::At(self.after(20 * 365).plus(Span::millis(number))),
                _ => Expiry::Never,
            },
            state: match sort {
                Sort::Odd => State::Suspended { since: self.before(1) },
                Sort::Revoked => State::Revoked {
                    at: self.before(1),
                    cause: self.cause.clone(),
                },
                Sort::Expired | Sort::Ordinary => State::Active,
            },
            credentials: Credentials::One(self.pepper.digest(&secret.fingerprint())),
            about: About {
                name: if odd {
                    self.names.1.clone()
                } else {
                    self.names.0.clone()
                },
                description: self.description.clone(),
                metadata: Metadata::default(),
                tags: match (odd, half) {
                    (true, _) => BTreeSet::from([self.tags.1.clone()]),
                    (false, true) => BTreeSet::from([self.tags.0.clone()]),
                    (false, false) => BTreeSet::new(),
                },
                hint: Some(secret.hint()),
            },
            created_at: if odd {
                self.before(6 * 365).plus(Span::millis(number))
            } else {
                made
            },
            created_by: if odd { self.gateway } else { self.operator },
            revision: Revision::FIRST,
        }
    }

    fn before(&self, days: u64) -> Moment {
        self.now.minus(Span::days(days))
    }

    fn after(&self, days: u64) -> Moment {
        self.now.plus(Span::days(days))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_rare_keys_in_a_small_set_as_in_a_large_one() {
        for count in [10_000, 100_000, 123_457] {
            for wanted in [Sort::Odd, Sort::Revoked, Sort::Expired] {
                let found = (0..count).filter(|number| sort(*number, count) == wanted).count();
                assert_eq!(found as u64, RARE, "{wanted:?} among {count}");
            }
        }
    }
}
