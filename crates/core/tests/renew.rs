//! Stories of a master key that was replaced: what hangs on the one before is recognised, and renewed when it is shown.

use keyholt_core::audit::Noun;
use keyholt_core::commit::{Change, Record, Revision};
use keyholt_core::id::{SYSTEM, SigningKeyId};
use keyholt_core::key::Key;
use keyholt_core::renew::{RENEWED, RESEALED, renew, reseal};
use keyholt_core::rotate::Grace;
use keyholt_core::seal::{MasterKey, SealedBy, Sealer, Sealers};
use keyholt_core::secret::{Age, Credentials, Digest, Fingerprint, Pepper};
use keyholt_core::signing::{Algorithm, KEPT_AFTER, SigningKey};
use keyholt_core::time::{Moment, Span};

use crate::support::{NEW_YEAR, World, source, turn, wish};

const HOUR: Span = Span::hours(1);

/// An installation whose master key was replaced while keys were in use.
struct Replaced {
    world: World,
    pepper: Pepper,
    sealers: Sealers,
}

impl Replaced {
    fn new() -> Self {
        let (world, present) = (World::new(), MasterKey::new([43; 32]));
        Self {
            pepper: present.pepper().beside(Some(world.pepper.clone())),
            sealers: Sealers::new(present.sealer(), Some(world.sealer.clone())),
            world,
        }
    }

    /// A key that is older than the master key, and what its holder shows.
    fn old(&mut self) -> (Key, Fingerprint) {
        let member = self.world.member();
        let held = self.world.held(&member, wish(member.owner));
        let fingerprint = Fingerprint::of(held.secret.as_bytes());
        let (key, _) = self.reopened(&held.key, &self.world.sealer).unwrap();
        (key, fingerprint)
    }

    /// The same in the middle of a rotation that is an hour long.
    fn rotating(&mut self) -> (Key, Fingerprint) {
        let member = self.world.member();
        let held = self.world.held(&member, wish(member.owner));
        let (new, _) = self.world.rotate(&member, &held.key, turn(Grace::For(HOUR))).unwrap();
        let fingerprint = Fingerprint::of(new.secret.as_bytes());
        let (key, _) = self.reopened(&new.key, &self.world.sealer).unwrap();
        (key, fingerprint)
    }

    /// A key that is sealed, written, read and opened.
    fn reopened(&self, key: &Key, sealer: &Sealer) -> Option<(Key, SealedBy)> {
        let seal = key.row(&key.at_rest()).seal(sealer);
        read(key).opened(&self.sealers, &seal)
    }

    fn renewed(&self, key: &Key, shown: &Fingerprint, now: Moment) -> Option<Key> {
        renew(key, shown, &self.pepper, &source(), now).map(|(key, _)| key)
    }
}

/// A key as it comes out of a store: no column says with which master key its digests were made.
fn read(key: &Key) -> Key {
    let bare = |digest: &Digest| Digest::from_bytes(*digest.as_bytes());
    let current = bare(key.credentials.current());
    let beside = key.credentials.beside().map(bare);
    Key {
        credentials: match (beside, key.credentials.beside_until()) {
            (None, _) => Credentials::One(current),
            (Some(family), None) => Credentials::Family { current, family },
            (Some(retiring), Some(until)) => Credentials::Rotating {
                current,
                retiring,
                until,
            },
        },
        ..key.clone()
    }
}

fn ages(key: &Key) -> (Age, Option<Age>) {
    (
        key.credentials.current().age(),
        key.credentials.beside().map(Digest::age),
    )
}

#[test]
fn the_secrets_of_a_key_that_was_sealed_before_are_known_to_be_of_that_master_key() {
    let mut replaced = Replaced::new();
    let member = replaced.world.member();
    let one = replaced.world.held(&member, wish(member.owner)).key;
    let (two, _) = replaced.world.rotate(&member, &one, turn(Grace::For(HOUR))).unwrap();
    for (key, known) in [
        (&one, (Age::Earlier, None)),
        (&two.key, (Age::Earlier, Some(Age::Earlier))),
    ] {
        let (opened, by) = replaced.reopened(key, &replaced.world.sealer).unwrap();
        assert_eq!((by, ages(&opened)), (SealedBy::Previous, known));
        assert!(opened.hangs_on_earlier());
        let (present, by) = replaced.reopened(key, replaced.sealers.present()).unwrap();
        assert_eq!((by, present.hangs_on_earlier()), (SealedBy::Present, false));
    }
}

#[test]
fn a_seal_tells_of_which_master_key_each_secret_is() {
    let mut replaced = Replaced::new();
    let (one, shown) = replaced.old();
    let (two, _) = replaced.rotating();
    let renewed = replaced.renewed(&one, &shown, NEW_YEAR).unwrap();
    replaced.world.pepper = replaced.pepper.clone();
    let admin = replaced.world.admin();
    let (half, _) = replaced.world.rotate(&admin, &one, turn(Grace::For(HOUR))).unwrap();
    for (key, known) in [
        (&one, (Age::Earlier, None)),
        (&two, (Age::Earlier, Some(Age::Earlier))),
        (&half.key, (Age::Present, Some(Age::Earlier))),
        (&renewed, (Age::Present, Some(Age::Former))),
    ] {
        let (opened, by) = replaced.reopened(key, replaced.sealers.present()).unwrap();
        assert_eq!((by, ages(&opened)), (SealedBy::Present, known));
        assert_eq!(format!("{:?}", opened.credentials), format!("{:?}", key.credentials));
        let seal = key.row(&key.at_rest()).seal(replaced.sealers.present());
        let bare = read(key);
        let alone = Sealers::new(MasterKey::new([44; 32]).sealer(), None);
        assert!(bare.clone().opened(&alone, &seal).is_none(), "another master key");
        assert!(
            !bare
                .row(&bare.at_rest())
                .is_sealed_by(replaced.sealers.present(), &seal),
            "an old digest does not pass for a new one: {known:?}"
        );
    }
}

#[test]
fn a_secret_that_is_shown_gets_a_digest_of_the_present_master_key() {
    let mut replaced = Replaced::new();
    let (key, shown) = replaced.old();
    let (renewed, commit) = renew(&key, &shown, &replaced.pepper, &source(), NEW_YEAR).unwrap();
    let Credentials::Renewed { current, former, until } = renewed.credentials else {
        panic!("{:?}", renewed.credentials)
    };
    assert!(current.matches(&replaced.pepper.digest(&shown)));
    assert!(
        former.matches(key.credentials.current()),
        "access tokens are tied to it"
    );
    assert_eq!(until, NEW_YEAR.plus(KEPT_AFTER), "as long as there can be any");
    assert!(!renewed.hangs_on_earlier());

    let event = commit.event();
    assert_eq!((event.action.as_str(), event.actor), (RENEWED, None));
    assert_eq!((event.project, event.owner), (key.project, Some(key.owner)));
    assert_eq!((event.target.noun, event.target.id), (Noun::Key, Some(key.id.uuid())));
    assert_eq!((event.at, &event.source), (NEW_YEAR, &source()));
    let view = |key: &Key| Some(Record::Key(Box::new(key.clone())).view());
    assert_eq!((&event.before, &event.after), (&view(&key), &view(&renewed)));
    let [Change::Replace { record, expected }] = commit.changes() else {
        panic!("{commit:?}")
    };
    assert_eq!((*expected, record.revision()), (key.revision, key.revision.next()));
    assert!(replaced.renewed(&renewed, &shown, NEW_YEAR).is_none(), "once is enough");
}

#[test]
fn nothing_is_renewed_that_was_not_shown_or_is_of_the_present_master_key_or_dead() {
    let mut replaced = Replaced::new();
    let (key, shown) = replaced.old();
    let other = Fingerprint::of(b"another secret");
    assert!(replaced.renewed(&key, &other, NEW_YEAR).is_none());
    assert!(
        replaced.renewed(&read(&key), &shown, NEW_YEAR).is_none(),
        "it is of the present one"
    );
    let admin = replaced.world.admin();
    let (revoked, _) = replaced.world.revoke(&admin, &key, "leaked").unwrap();
    assert!(replaced.renewed(&revoked, &shown, NEW_YEAR).is_none());
    let alone = MasterKey::new([43; 32]).pepper();
    assert!(
        renew(&key, &shown, &alone, &source(), NEW_YEAR).is_none(),
        "nobody knows the one before"
    );
    assert!(replaced.renewed(&key, &shown, NEW_YEAR).is_some());
}

#[test]
fn a_key_in_the_middle_of_a_rotation_waits_for_the_end_of_its_grace() {
    let mut replaced = Replaced::new();
    let (key, shown) = replaced.rotating();
    let end = NEW_YEAR.plus(HOUR);
    assert!(replaced.renewed(&key, &shown, end.minus(Span::millis(1))).is_none());
    assert!(replaced.renewed(&key, &shown, end).is_some());
}

#[test]
fn what_is_sealed_anew_is_the_same_record_but_for_a_signing_key() {
    let mut replaced = Replaced::new();
    let (key, _) = replaced.old();
    let (other, _) = replaced.old();
    let record = |key: &Key| Record::Key(Box::new(key.clone()));
    let commit = reseal(vec![record(&key), record(&other)], &source(), NEW_YEAR).unwrap();
    for change in commit.changes() {
        let Change::Replace { record, expected } = change else {
            panic!("{change:?}")
        };
        assert_eq!((*expected, record.revision()), (Revision::FIRST, Revision::FIRST));
    }
    let event = commit.event();
    assert_eq!((event.action.as_str(), event.project), (RESEALED, SYSTEM));
    assert_eq!((event.target.noun, event.target.id), (Noun::Key, None));
    assert_eq!(event.after, Some(serde_json::json!({ "sealed_anew": 2 })));
    assert!(reseal(Vec::new(), &source(), NEW_YEAR).is_none());

    let signing = SigningKey {
        id: SigningKeyId::mint(NEW_YEAR, &mut replaced.world.entropy),
        project: SYSTEM,
        place: "1".to_owned(),
        kid: "a".to_owned(),
        algorithm: Algorithm::Es256,
        public: Default::default(),
        sealed: "encrypted anew".to_owned(),
        created_at: NEW_YEAR,
        signs_from: NEW_YEAR,
        retires_at: None,
        withdrawn_at: None,
        revision: Revision::FIRST,
    };
    let commit = reseal(vec![Record::SigningKey(Box::new(signing))], &source(), NEW_YEAR).unwrap();
    assert!(
        matches!(commit.changes(), [Change::Replace { record, expected: Revision::FIRST }]
            if record.revision() == Revision::FIRST.next()),
        "its old text must not be written back"
    );
}
