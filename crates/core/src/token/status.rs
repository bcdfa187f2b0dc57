//! Status lists: how verifiers who check tokens by themselves hear that a key turned for the worse.
//!
//! ```text
//!   byte    the last 20 bits of the key's id
//!   2 bits  its epoch: how often what the key may do could have changed, counted from the two bits before those, modulo 4
//! ```
//!
//! A token names the place of its key as the key was when the token was made. Nothing is written for a token, and nothing
//! has to be counted: every node and every restart comes to the same place.

use crate::id::KeyId;

/// Bits of a status (IETF Token Status List).
pub const STATUS_BITS: u8 = 2;
/// Bytes of a list, before it is compressed.
pub const LIST_BYTES: usize = 1 << 20;
/// Epochs that are told apart.
const EPOCHS: u32 = 4;

/// What a list says of a place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Status {
    /// Nothing speaks against the token.
    Valid = 0,
    /// Something changed, and a list cannot say what it means for this token: ask. The standard leaves this one to us.
    Ask = 3,
    /// The key, its owner or the project is suspended.
    Suspended = 2,
    /// The token is dead.
    Invalid = 1,
}

impl Status {
    const ALL: [Self; 4] = [Self::Valid, Self::Invalid, Self::Suspended, Self::Ask];

    /// The number that stands in the list.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The one that leaves the token less.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |status| match status {
            Self::Valid => 0,
            Self::Ask => 1,
            Self::Suspended => 2,
            Self::Invalid => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// How often what a key may do could have changed. Only the last two bits count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Epoch(u32);

impl Epoch {
    /// All that are told apart.
    pub const ALL: [Self; EPOCHS as usize] = [Self(0), Self(1), Self(2), Self(3)];

    /// The epoch after so many changes.
    pub const fn after(changes: u32) -> Self {
        Self(changes % EPOCHS)
    }
}

/// The place of a token in its project's list: `status.status_list.idx`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StatusIndex(u32);

impl StatusIndex {
    /// The place of what was made from a key in one of its epochs. An id ends in bits that nobody chooses.
    pub const fn of(key: KeyId, epoch: Epoch) -> Self {
        let id = key.uuid().as_u128();
        let byte = (id % LIST_BYTES as u128) as u32;
        // Most keys were never changed: counted from where the id says, those that share a byte rarely share a place too.
        let first = (id / LIST_BYTES as u128) as u32;
        Self(byte * EPOCHS + first.wrapping_add(epoch.0) % EPOCHS)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    const fn byte(self) -> usize {
        (self.0 / EPOCHS) as usize
    }

    const fn shift(self) -> u32 {
        (self.0 % EPOCHS) * STATUS_BITS as u32
    }
}

/// The list of one project, not compressed.
pub struct StatusList(Box<[u8]>);

impl Default for StatusList {
    fn default() -> Self {
        Self::all(Status::Valid)
    }
}

impl StatusList {
    /// A list that says the same everywhere.
    pub fn all(status: Status) -> Self {
        let number = status.number();
        Self(vec![number | number << 2 | number << 4 | number << 6; LIST_BYTES].into())
    }

    /// What it says of a place.
    pub fn at(&self, index: StatusIndex) -> Status {
        let byte = self.0.get(index.byte()).copied().unwrap_or(0);
        let number = (byte >> index.shift()) & 0b11;
        Status::ALL.get(usize::from(number)).copied().unwrap_or(Status::Ask)
    }

    /// Whether it says nothing but good of every key whose place is in this byte.
    pub fn is_clear_about(&self, key: KeyId) -> bool {
        self.0.get(StatusIndex::of(key, Epoch(0)).byte()) == Some(&0)
    }

    /// Says something of a place. Where something else was said of another key there, it says to ask.
    pub fn say(&mut self, index: StatusIndex, status: Status) {
        let said = match self.at(index) {
            Status::Valid => status,
            same if same == status => return,
            _ => Status::Ask,
        };
        // What was said is never taken back: the place is clear, or both of its bits are set now.
        if let Some(byte) = self.0.get_mut(index.byte()) {
            *byte |= said.number() << index.shift();
        }
    }

    /// Says to ask where the place is that of a good key too.
    pub fn spare(&mut self, index: StatusIndex) {
        if self.at(index) != Status::Valid {
            self.say(index, Status::Ask);
        }
    }

    /// The bytes: the first place in the lowest bits of the first one.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last: u128) -> KeyId {
        KeyId::from_uuid(uuid::Uuid::from_u128(0x0197_a3c4_7b1e_7c00_8000_6f9d_0000_0000 | last))
    }

    #[test]
    fn a_place_is_where_the_standard_looks_for_it() {
        let mut list = StatusList::default();
        let index = StatusIndex::of(key(0x1_0003), Epoch::after(6));
        assert_eq!(index.number(), 0x1_0003 * 4 + 2);
        list.say(index, Status::Suspended);
        // As a verifier reads it: byte `idx * bits / 8`, from the lowest bit on.
        let read = |idx: u32| list.as_bytes()[(idx * 2 / 8) as usize] >> (idx * 2 % 8) & 0b11;
        assert_eq!(read(index.number()), 2);
        assert_eq!(read(index.number() - 1), 0);
        assert_eq!(list.at(index), Status::Suspended);
        assert_eq!(list.as_bytes().iter().filter(|byte| **byte != 0).count(), 1);
    }

    #[test]
    fn the_four_places_of_a_byte_are_apart() {
        let mut list = StatusList::default();
        let said = [Status::Invalid, Status::Suspended, Status::Ask, Status::Valid];
        let places = Epoch::ALL.map(|epoch| StatusIndex::of(key(9), epoch));
        for (index, status) in places.into_iter().zip(said) {
            list.say(index, status);
        }
        assert_eq!(list.as_bytes()[9], 0b00_11_10_01, "the first in the lowest bits");
        assert_eq!(places.map(|index| list.at(index)), said);
        list.spare(places[0]);
        list.spare(places[3]);
        assert_eq!(
            list.as_bytes()[9],
            0b00_11_10_11,
            "where nothing is said nothing is spared"
        );
    }

    #[test]
    fn of_the_changes_of_a_key_only_the_last_two_bits_count() {
        let epochs = [0, 1, 2, 3, 4, 7, u32::MAX].map(Epoch::after);
        assert_eq!(epochs, [0, 1, 2, 3, 0, 3, 3].map(|at: usize| Epoch::ALL[at]));
    }

    #[test]
    fn where_two_keys_share_a_place_nothing_is_said_that_is_wrong_of_one() {
        let mut list = StatusList::default();
        let (one, other) = (key(7), key(1 << 20 | 7));
        let index = StatusIndex::of(one, Epoch::after(0));
        assert_ne!(
            index,
            StatusIndex::of(other, Epoch::after(0)),
            "the same age is not the same place"
        );
        assert_eq!(index, StatusIndex::of(other, Epoch::after(3)));
        list.say(index, Status::Invalid);
        list.say(index, Status::Invalid);
        assert_eq!(list.at(index), Status::Invalid);
        list.spare(index);
        assert_eq!(list.at(index), Status::Ask);
        assert!(!list.is_clear_about(other));
        assert!(list.is_clear_about(key(8)));
    }

    #[test]
    fn the_worse_of_two_leaves_less() {
        assert_eq!(Status::Ask.worse(Status::Invalid), Status::Invalid);
        assert_eq!(Status::Suspended.worse(Status::Ask), Status::Suspended);
        assert_eq!(StatusList::all(Status::Ask).as_bytes()[9], 0xff);
        assert_eq!(StatusList::all(Status::Suspended).as_bytes()[9], 0xaa);
    }
}
