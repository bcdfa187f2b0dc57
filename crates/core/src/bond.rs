//! The bond between data and master keys: to which one they belong, which one came before, and what a start may make of it.

use serde::{Deserialize, Serialize};

use crate::seal::{MasterKey, Sealers};
use crate::secret::Pepper;

/// The master keys that a start or a restore is given.
pub struct Masters {
    /// The one to work with.
    pub present: MasterKey,
    /// The one before, as long as something may still hang on it.
    pub previous: Option<MasterKey>,
}

impl From<MasterKey> for Masters {
    fn from(present: MasterKey) -> Self {
        Self {
            present,
            previous: None,
        }
    }
}

/// To which master keys data belong. It is kept beside them and holds no secret.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bond {
    /// The check of the master key.
    pub check: [u8; 32],
    /// The one before it, where there was one.
    pub previous: Option<Former>,
}

/// The master key before the present one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Former {
    /// Its check.
    pub check: [u8; 32],
    /// Whether rows are still sealed with it.
    pub sealing: Sealing,
}

/// Whether rows are still sealed with the master key before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sealing {
    /// Some may be: its seals are believed.
    UnderWay,
    /// None is: its seals count no more than anybody's.
    Done,
}

/// Why data and master keys do not go together. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BondError {
    /// The data belong to another master key.
    #[error(
        "this is not the master key that the data was made with; nothing was changed. Start with the right key, or with an empty data folder"
    )]
    Other,
    /// The previous master key is not the one that was before this one.
    #[error(
        "the previous master key is not the one that the data had before this one; nothing was changed. Start with the right one, or with none"
    )]
    OtherPrevious,
    /// Both are the same.
    #[error("the master key and the previous one are the same; to replace a master key, make a new one")]
    Same,
    /// Rows are still sealed with the previous one.
    #[error(
        "the data are not sealed anew yet since the master key was replaced; nothing was changed. Start with that master key, and with the one before it as the previous one"
    )]
    UnderWay,
}

impl Bond {
    /// Data that only ever had this master key.
    pub const fn to(check: [u8; 32]) -> Self {
        Self { check, previous: None }
    }

    /// The bond as bytes. One without a previous key is the check alone, as it always was.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.check.to_vec();
        if let Some(previous) = self.previous {
            bytes.extend(previous.check);
            bytes.push(match previous.sealing {
                Sealing::UnderWay => 1,
                Sealing::Done => 0,
            });
        }
        bytes
    }

    /// Reads what [`Bond::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (check, rest) = bytes.split_first_chunk()?;
        let previous = match rest {
            [] => None,
            [former @ .., told] => Some(Former {
                check: former.try_into().ok()?,
                sealing: match told {
                    1 => Sealing::UnderWay,
                    0 => Sealing::Done,
                    _ => return None,
                },
            }),
        };
        Some(Self {
            check: *check,
            previous,
        })
    }

    /// Whose seals on the data are believed.
    pub fn sealers(&self, masters: &Masters) -> Sealers {
        let under_way = self.previous.is_some_and(|former| former.sealing == Sealing::UnderWay);
        let previous = masters.previous.as_ref().filter(|_| under_way);
        Sealers::new(masters.present.sealer(), previous.map(MasterKey::sealer))
    }
}

/// A text that is no bond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the check of a master key in lower-case hexadecimal digits, alone or with the one before it")]
pub struct NoBond;

impl From<Bond> for String {
    fn from(bond: Bond) -> Self {
        bond.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Bond {
    type Error = NoBond;

    fn try_from(text: String) -> Result<Self, NoBond> {
        if !text.len().is_multiple_of(2) || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NoBond);
        }
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digits).collect();
        Self::from_bytes(&bytes.ok_or(NoBond)?).ok_or(NoBond)
    }
}

impl Masters {
    /// What turns fingerprints into digests.
    pub fn pepper(&self) -> Pepper {
        self.present
            .pepper()
            .beside(self.previous.as_ref().map(MasterKey::pepper))
    }

    /// The bond that data with this bond have from now on. The same one, where the master key was not replaced.
    pub fn tie(&self, bond: Option<&Bond>) -> Result<Bond, BondError> {
        let present = self.present.check();
        let previous = self.previous.as_ref().map(MasterKey::check);
        if previous == Some(present) {
            return Err(BondError::Same);
        }
        let Some(bond) = bond else {
            // Data that never had a master key had no previous one.
            return match previous {
                None => Ok(Bond::to(present)),
                Some(_) => Err(BondError::OtherPrevious),
            };
        };
        let under_way = bond.previous.filter(|former| former.sealing == Sealing::UnderWay);
        if bond.check == present {
            return match (previous, bond.previous) {
                (None, _) if under_way.is_some() => Err(BondError::UnderWay),
                (None, _) => Ok(*bond),
                (Some(given), Some(former)) if given == former.check => Ok(*bond),
                (Some(_), _) => Err(BondError::OtherPrevious),
            };
        }
        match (previous, under_way) {
            // Back to the one before is right at any time: there are rows of these two and of no other.
            (Some(given), Some(former)) if given == bond.check && former.check != present => Err(BondError::UnderWay),
            (Some(given), _) if given == bond.check => Ok(Bond {
                check: present,
                previous: Some(Former {
                    check: given,
                    sealing: Sealing::UnderWay,
                }),
            }),
            _ => Err(BondError::Other),
        }
    }
}

impl std::fmt::Debug for Bond {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bond")
            .field("sealing", &self.previous.map(|former| former.sealing))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masters(present: u8, previous: Option<u8>) -> Masters {
        Masters {
            present: MasterKey::new([present; 32]),
            previous: previous.map(|byte| MasterKey::new([byte; 32])),
        }
    }

    fn check(byte: u8) -> [u8; 32] {
        MasterKey::new([byte; 32]).check()
    }

    fn after(check_now: u8, former: u8, sealing: Sealing) -> Bond {
        Bond {
            check: check(check_now),
            previous: Some(Former {
                check: check(former),
                sealing,
            }),
        }
    }

    #[test]
    fn data_follow_from_one_master_key_to_the_next_and_to_no_other() {
        use Sealing::{Done, UnderWay};
        let new = None;
        let one = Some(Bond::to(check(1)));
        let moving = Some(after(2, 1, UnderWay));
        let moved = Some(after(2, 1, Done));
        let table = [
            (new, masters(1, None), Ok(Bond::to(check(1)))),
            (new, masters(2, Some(1)), Err(BondError::OtherPrevious)),
            (one, masters(1, None), Ok(Bond::to(check(1)))),
            (one, masters(1, Some(1)), Err(BondError::Same)),
            (one, masters(1, Some(2)), Err(BondError::OtherPrevious)),
            (one, masters(2, None), Err(BondError::Other)),
            (one, masters(2, Some(3)), Err(BondError::Other)),
            (one, masters(2, Some(1)), Ok(after(2, 1, UnderWay))),
            (moving, masters(2, Some(1)), Ok(after(2, 1, UnderWay))),
            (moving, masters(2, None), Err(BondError::UnderWay)),
            (moving, masters(1, None), Err(BondError::Other)),
            (moving, masters(3, Some(2)), Err(BondError::UnderWay)),
            (moving, masters(1, Some(2)), Ok(after(1, 2, UnderWay))),
            (moved, masters(2, None), Ok(after(2, 1, Done))),
            (moved, masters(2, Some(1)), Ok(after(2, 1, Done))),
            (moved, masters(2, Some(3)), Err(BondError::OtherPrevious)),
            (moved, masters(1, None), Err(BondError::Other)),
            (moved, masters(3, Some(2)), Ok(after(3, 2, UnderWay))),
        ];
        for (at, (bond, masters, expected)) in table.into_iter().enumerate() {
            assert_eq!(masters.tie(bond.as_ref()), expected, "line {at}");
        }
    }

    #[test]
    fn the_seals_of_the_one_before_are_believed_while_rows_are_sealed_anew_and_no_longer() {
        let (both, alone) = (masters(2, Some(1)), masters(2, None));
        for (bond, masters, is_pair) in [
            (Bond::to(check(2)), &both, false),
            (after(2, 1, Sealing::UnderWay), &both, true),
            (after(2, 1, Sealing::Done), &both, false),
            (after(2, 1, Sealing::UnderWay), &alone, false),
        ] {
            assert_eq!(bond.sealers(masters).is_pair(), is_pair, "{bond:?}");
        }
    }

    #[test]
    fn a_printed_bond_says_how_far_the_sealing_is_and_no_check() {
        let printed = format!("{:?}", after(2, 1, Sealing::UnderWay));
        assert_eq!(printed, "Bond { sealing: Some(UnderWay), .. }");
    }

    #[test]
    fn a_bond_is_read_as_it_was_written_and_one_key_alone_is_as_it_always_was() {
        for bond in [
            Bond::to(check(1)),
            after(2, 1, Sealing::UnderWay),
            after(2, 1, Sealing::Done),
        ] {
            assert_eq!(Bond::from_bytes(&bond.to_bytes()), Some(bond));
            let text = String::from(bond);
            assert_eq!(Bond::try_from(text.to_uppercase()), Err(NoBond));
            assert_eq!(Bond::try_from(text[1..].to_owned()), Err(NoBond));
            assert_eq!(Bond::try_from(text), Ok(bond));
        }
        assert_eq!(Bond::to(check(1)).to_bytes(), check(1));
        for bad in [0, 31, 33, 64, 66] {
            assert_eq!(Bond::from_bytes(&vec![1; bad]), None, "{bad} bytes");
        }
    }
}
