//! Properties of seals: nobody changes anything in a row that carries authority without breaking its seal.

use proptest::prelude::*;

use keyholt_core::commit::Revision;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{Key, KeyRow, Kind};
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::rotate::Grace;
use keyholt_core::seal::{MasterKey, Seal, same};
use keyholt_core::secret::{Credentials, Digest};
use keyholt_core::time::{Expiry, Span};

use super::{access, cases, expiry};
use crate::support::{NEW_YEAR, Seeded, World, turn, wish};

/// A key that has a value in every field, two secrets among them.
fn rotating(world: &mut World) -> Key {
    let member = world.member();
    let key = world.held(&member, wish(member.owner)).key;
    let (held, _) = world.rotate(&member, &key, turn(Grace::For(Span::hours(1)))).unwrap();
    Key {
        expiry: Expiry::At(NEW_YEAR.plus(Span::days(9))),
        ..held.key
    }
}

fn flipped(digest: Digest, bit: usize) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[bit / 8 % 32] ^= 1 << (bit % 8);
    Digest::from_bytes(bytes)
}

type Change = (&'static str, fn(&mut KeyRow<'_>));

/// A change to each field of a row.
fn changes(row: &KeyRow<'_>) -> Vec<Change> {
    // Named one by one: a new field does not compile until it is told how it is forged.
    let KeyRow {
        id: _,
        project: _,
        owner: _,
        kind: _,
        access: _,
        bounds: _,
        expires_at: _,
        state: _,
        state_at: _,
        current: _,
        retiring: _,
        retiring_until: _,
        revision: _,
    } = row;
    vec![
        ("id", |row| row.id = KeyId::mint(NEW_YEAR, &mut Seeded::new(99))),
        ("project", |row| {
            row.project = ProjectId::mint(NEW_YEAR, &mut Seeded::new(99))
        }),
        ("owner", |row| {
            row.owner = Owner::new(OwnerKind::User, KeyId::mint(NEW_YEAR, &mut Seeded::new(99)).uuid());
        }),
        ("owner's kind", |row| {
            row.owner = Owner::new(OwnerKind::Team, row.owner.uuid())
        }),
        ("kind", |row| row.kind = Kind::Static),
        ("access", |row| row.access = "\"everything\""),
        ("no access", |row| row.access = ""),
        ("bounds", |row| row.bounds = "{}"),
        ("later expiry", |row| row.expires_at = row.expires_at.map(|at| at + 1)),
        ("no expiry", |row| row.expires_at = None),
        ("expiry at zero", |row| row.expires_at = Some(0)),
        ("state", |row| row.state = "revoked"),
        ("state's time", |row| row.state_at += 1),
        ("current", |row| row.current = flipped(row.current, 0)),
        ("retiring", |row| {
            row.retiring = row.retiring.map(|digest| flipped(digest, 255))
        }),
        ("no retiring", |row| row.retiring = None),
        ("later grace", |row| {
            row.retiring_until = row.retiring_until.map(|at| at + 1)
        }),
        ("endless grace", |row| row.retiring_until = None),
        ("secrets swapped", |row| {
            let current = row.current;
            row.current = row.retiring.unwrap();
            row.retiring = Some(current);
        }),
        ("revision", |row| row.revision = row.revision.next()),
    ]
}

#[test]
fn changing_any_field_breaks_the_seal() {
    let mut world = World::new();
    let key = rotating(&mut world);
    let at_rest = key.at_rest();
    let row = key.row(&at_rest);
    let seal = row.seal(&world.sealer);
    assert!(row.is_sealed_by(&world.sealer, &seal));
    for (field, change) in changes(&row) {
        let mut forged = row;
        change(&mut forged);
        assert!(!forged.is_sealed_by(&world.sealer, &seal), "{field}");
    }
    assert!(
        !row.is_sealed_by(&MasterKey::new([1; 32]).sealer(), &seal),
        "another master key"
    );
}

#[test]
fn what_is_not_there_is_not_the_same_as_nothing() {
    let mut world = World::new();
    let key = rotating(&mut world);
    let at_rest = key.at_rest();
    let bare = KeyRow {
        expires_at: None,
        retiring: None,
        retiring_until: None,
        ..key.row(&at_rest)
    };
    let seal = bare.seal(&world.sealer);
    let until = Some(NEW_YEAR.ms());
    for forged in [
        KeyRow {
            expires_at: until,
            ..bare
        },
        KeyRow {
            retiring_until: until,
            ..bare
        },
        KeyRow {
            retiring: Some(bare.current),
            ..bare
        },
    ] {
        assert!(!forged.is_sealed_by(&world.sealer, &seal));
    }
}

#[test]
fn seals_are_the_same_or_they_are_not() {
    let one = Seal::from_bytes([1; 32]);
    assert!(same(&one, &Seal::from_bytes(*one.as_bytes())));
    let mut other = [1; 32];
    other[31] = 0;
    assert!(!same(&one, &Seal::from_bytes(other)));
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn each_bit_of_a_digest_and_of_a_seal_counts(bit in 0..256usize) {
        let mut world = World::new();
        let key = rotating(&mut world);
        let at_rest = key.at_rest();
        let row = key.row(&at_rest);
        let seal = row.seal(&world.sealer);
        let planted = KeyRow { current: flipped(row.current, bit), ..row };
        prop_assert!(!planted.is_sealed_by(&world.sealer, &seal));
        prop_assert!(!row.current.matches(&planted.current));
        let forged = Seal::from_bytes(*flipped(Digest::from_bytes(*seal.as_bytes()), bit).as_bytes());
        prop_assert!(!row.is_sealed_by(&world.sealer, &forged));
    }

    #[test]
    fn two_keys_that_differ_in_authority_have_two_seals(
        (one, other) in (access(), access()),
        (ends, later) in (expiry(1..9), expiry(1..9)),
        revision in 1..9u32,
    ) {
        let mut world = World::new();
        let key = rotating(&mut world);
        let a = Key { access: one, expiry: ends, revision: Revision::from_number(revision), ..key.clone() };
        let b = Key { access: other, expiry: later, credentials: Credentials::One(*key.credentials.current()), ..key };
        let (rest_a, rest_b) = (a.at_rest(), b.at_rest());
        let seal = a.row(&rest_a).seal(&world.sealer);
        prop_assert!(a.row(&rest_a).is_sealed_by(&world.sealer, &seal));
        prop_assert!(!b.row(&rest_b).is_sealed_by(&world.sealer, &seal), "it has one secret, the other has two");
        let c = Key { credentials: a.credentials, revision: a.revision, ..b };
        let rest_c = c.at_rest();
        let alike = a.access == c.access && a.expiry == c.expiry;
        prop_assert_eq!(c.row(&rest_c).is_sealed_by(&world.sealer, &seal), alike);
    }

    #[test]
    fn moving_a_boundary_between_fields_breaks_the_seal(
        text in prop::collection::vec(any::<u8>(), 0..40),
        (cut, other) in (0..40usize, 0..40usize),
    ) {
        let sealer = MasterKey::new([7; 32]).sealer();
        let (cut, other) = (cut.min(text.len()), other.min(text.len()));
        let seal = sealer.seal(&[&text[..cut], &text[cut..]]);
        prop_assert_eq!(sealer.holds(&seal, &[&text[..other], &text[other..]]), cut == other);
        prop_assert!(!sealer.holds(&seal, &[&text]));
        prop_assert!(!sealer.holds(&seal, &[&text[..cut], &text[cut..], &[]]));
    }
}
