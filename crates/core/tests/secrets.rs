//! Stories of secrets: one spelling, one look, and nothing that gives them away.

use keyholt_core::commit::Revision;
use keyholt_core::entropy::Entropy;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{KeyRow, Kind};
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::password::{HashText, Typed};
use keyholt_core::refresh_token::RefreshToken;
use keyholt_core::seal::{MasterKey, Seal};
use keyholt_core::secret::{
    Age, BODY, CHECK, Digest, FOREIGN_BYTES_MIN, Fingerprint, Format, Malformed, Prefix, Presented, SECRET_BYTES_MAX,
    Secret, Visibility, holds_secret,
};
use keyholt_core::setup::Setup;
use keyholt_core::text::{Environment, Name};
use uuid::Uuid;

use crate::support::{NEW_YEAR, Seeded};

fn minted(seed: u64) -> String {
    let prefix = Prefix::new("acme").unwrap();
    let live = Environment::new("live").unwrap();
    Secret::mint(&prefix, Visibility::Secret, Some(&live), &mut Seeded::new(seed))
        .reveal()
        .to_string()
}

#[test]
fn a_prefix_is_a_short_lower_case_word() {
    for good in ["a", "kh", "acme", "a1", "abcdefghijklmnop"] {
        assert_eq!(Prefix::new(good).unwrap().as_str(), good);
    }
    for bad in ["", "1a", "Acme", "a_b", "a-b", "ä", "abcdefghijklmnopq", " a", "a\n"] {
        assert!(Prefix::new(bad).is_err(), "{bad:?}");
    }
    assert!(
        serde_json::from_str::<Prefix>("\"NO\"").is_err(),
        "nor does it come in through a stored policy"
    );
    let kept = serde_json::to_string(&Prefix::new("acme").unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Prefix>(&kept).unwrap().as_str(), "acme");
}

#[test]
fn each_secret_draws_its_own_randomness_and_more_than_it_shows() {
    let mut entropy = Seeded::new(5);
    let prefix = Prefix::new("kh").unwrap();
    let mut drawn = 0;
    for _ in 0..100 {
        let _ = Secret::mint(&prefix, Visibility::Secret, None, &mut entropy);
        assert!(entropy.drawn - drawn >= BODY, "{}", entropy.drawn - drawn);
        drawn = entropy.drawn;
    }
}

#[test]
fn bytes_that_would_favour_some_symbols_are_thrown_away() {
    /// Gives `248` to `255` first, then ones.
    struct Skewed(u8);
    impl Entropy for Skewed {
        fn fill(&mut self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = if self.0 >= 248 { self.0 } else { 1 };
                self.0 = self.0.wrapping_add(u8::from(self.0 >= 248));
            }
        }
    }
    let prefix = Prefix::new("kh").unwrap();
    let secret = Secret::mint(&prefix, Visibility::Secret, None, &mut Skewed(248)).reveal();
    assert!(
        secret.starts_with(&format!("kh_{}", "1".repeat(BODY))),
        "had 248 counted, there would be another symbol"
    );
    let last = Secret::mint(&prefix, Visibility::Secret, None, &mut Fixed(247)).reveal();
    assert!(
        last.starts_with(&format!("kh_{}", "z".repeat(BODY))),
        "247 is the last byte that counts"
    );
}

/// The same byte for ever.
struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}

#[test]
fn the_check_is_the_crc_of_all_before_it_in_six_symbols() {
    const SYMBOLS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for seed in 0..50 {
        let secret = minted(seed);
        let (before, check) = secret.split_at(secret.len() - CHECK);
        let told = check.bytes().fold(0u64, |sum, symbol| {
            sum * 62 + SYMBOLS.iter().position(|known| *known == symbol).unwrap() as u64
        });
        assert_eq!(told, u64::from(crc32fast::hash(before.as_bytes())));
    }
}

#[test]
fn a_foreign_secret_has_a_length_within_limits_and_no_spaces() {
    let of = |length: usize| "X".repeat(length);
    for (text, expected) in [
        (of(FOREIGN_BYTES_MIN - 1), Err(Malformed)),
        (of(FOREIGN_BYTES_MIN), Ok(Format::Foreign)),
        (of(SECRET_BYTES_MAX), Ok(Format::Foreign)),
        (of(SECRET_BYTES_MAX + 1), Err(Malformed)),
        ("sk_live_0123456789 abcdef".into(), Err(Malformed)),
        ("sk_live_0123456789äbcdef".into(), Err(Malformed)),
        ("sk_live_0123456789\u{7f}bcdef".into(), Err(Malformed)),
        (String::new(), Err(Malformed)),
    ] {
        assert_eq!(
            Presented::parse(&text).map(|presented| presented.format()),
            expected,
            "{text:?}"
        );
    }
}

#[test]
fn other_products_keys_are_not_taken_for_mistyped_ones_of_ours() {
    // 36 random characters behind one underscore, where ours have 38.
    let github = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    assert_eq!(Presented::parse(github).unwrap().format(), Format::Foreign);
    let stripe = "sk_live_0123456789abcdefghijABCD";
    assert_eq!(Presented::parse(stripe).unwrap().format(), Format::Foreign);
}

#[test]
fn a_head_of_any_shape_but_ours_is_foreign() {
    let tail = &minted(1)["acme_live".len()..];
    for head in ["Acme_live", "1acme", "acme-live", "", &format!("a{}", "b".repeat(50))] {
        let text = format!("{head}{tail}");
        assert_eq!(
            Presented::parse(&text).map(|presented| presented.format()),
            Ok(Format::Foreign),
            "{head}"
        );
    }
    for head in ["acme_test", "a", &format!("a{}", "b".repeat(49))] {
        assert_eq!(Presented::parse(&format!("{head}{tail}")), Err(Malformed), "{head}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let secret = Secret::mint(
        &Prefix::new("kh").unwrap(),
        Visibility::Secret,
        None,
        &mut Seeded::new(4),
    );
    let master = MasterKey::new([9; 32]);
    let fingerprint = secret.fingerprint();
    let digest = master.pepper().digest(&fingerprint);
    let seal = Seal::from_bytes([9; 32]);
    assert_eq!(format!("{secret:?}"), "Secret(…)");
    assert_eq!(format!("{fingerprint:?}"), "Fingerprint(…)");
    assert_eq!(format!("{digest:?}"), "Digest(…)");
    assert_eq!(format!("{:?}", master.pepper()), "Pepper(…)");
    assert_eq!(format!("{:?}", master.sealer()), "Sealer(…)");
    assert_eq!(format!("{master:?}"), "MasterKey(…)");
    assert_eq!(format!("{seal:?}"), "Seal(…)");
    let presented = Presented::parse(&secret.reveal()).unwrap();
    assert_eq!(
        format!("{presented:?}"),
        "Presented { fingerprint: Fingerprint(…), format: Keyholt }"
    );
    assert_eq!(
        format!("{:?}", RefreshToken::mint(&mut Seeded::new(5)).1),
        "RefreshToken(…)"
    );
    assert_eq!(format!("{:?}", HashText::new("$argon2id$…")), "HashText(…)");
    assert_eq!(format!("{:?}", Typed::read("correct horse").unwrap()), "Typed(…)");
    let setup = Setup::open(&fingerprint, &master.pepper(), NEW_YEAR, Revision::FIRST);
    assert_eq!(
        format!("{setup:?}"),
        "Setup { open: true, expires: At(Moment(1893542400000)), revision: Revision(1) }"
    );
}

#[test]
fn a_fingerprint_is_a_sha256_in_lower_case_hexadecimal() {
    let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let fingerprint = Fingerprint::parse(text).unwrap();
    assert!(fingerprint == Fingerprint::of(b"abc"), "the vector of FIPS 180-4");
    for refused in [
        text.to_uppercase(),
        text[1..].to_owned(),
        format!("{text}0"),
        format!("+{}", &text[1..]),
        format!("g{}", &text[1..]),
        String::new(),
    ] {
        assert!(Fingerprint::parse(&refused).is_err(), "{refused}");
    }
}

#[test]
fn a_digest_depends_on_the_secret_and_on_the_master_key() {
    let fingerprint = Fingerprint::of(b"one");
    let digest = MasterKey::new([1; 32]).pepper().digest(&fingerprint);
    assert!(digest.matches(&MasterKey::new([1; 32]).pepper().digest(&fingerprint)));
    assert!(
        !digest.matches(&MasterKey::new([2; 32]).pepper().digest(&fingerprint)),
        "another master key"
    );
    assert!(!digest.matches(&MasterKey::new([1; 32]).pepper().digest(&Fingerprint::of(b"two"))));
    assert!(digest.matches(&Digest::from_bytes(*digest.as_bytes())));
}

#[test]
fn an_earlier_master_key_is_known_while_it_is_beside_the_present_one() {
    let (earlier, present) = (MasterKey::new([1; 32]).pepper(), MasterKey::new([2; 32]).pepper());
    let fingerprint = Fingerprint::of(b"one");
    let old = earlier.digest(&fingerprint);
    assert!(!present.has_earlier());
    assert!(present.earlier(&fingerprint).is_none());
    assert!(!present.recognises(&fingerprint, &old));
    let both = present.beside(Some(earlier));
    assert!(both.has_earlier());
    assert!(both.earlier(&fingerprint).is_some_and(|digest| digest.matches(&old)));
    assert!(both.recognises(&fingerprint, &old));
    assert!(!both.recognises(&Fingerprint::of(b"two"), &old));
    assert!(!both.beside(None).has_earlier());
}

#[test]
fn the_master_key_gives_the_same_subkeys_for_ever() {
    // Were one of these to change, every key of every installation would stop working.
    let master = MasterKey::new([7; 32]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let digest = master.pepper().digest(&Fingerprint::of(b"abc"));
    let seal = master.sealer().seal(&[b"key", b""]);
    assert_eq!(hex(&master.check()), CHECK_OF_SEVENS);
    assert_eq!(hex(digest.as_bytes()), DIGEST_OF_ABC);
    assert_eq!(hex(seal.as_bytes()), SEAL_OF_KEY);
    assert_eq!(hex(&*master.envelope()), ENVELOPE);
    assert_eq!(hex(&*master.password_secret()), BESIDE_PASSWORDS);

    let id = |byte| Uuid::from_bytes([byte; 16]);
    let row = KeyRow {
        id: KeyId::from_uuid(id(1)),
        project: ProjectId::from_uuid(id(2)),
        owner: Owner::new(OwnerKind::Team, id(3)),
        kind: Kind::Standard,
        access: r#"{"only":[]}"#,
        bounds: "{}",
        expires_at: Some(1_893_456_000_000),
        state: "active",
        state_at: 0,
        current: Digest::from_bytes([4; 32]),
        retiring: Some(Digest::from_bytes([5; 32])),
        retiring_until: Some(1_893_459_600_000),
        revision: Revision::from_number(6),
    };
    assert_eq!(hex(row.seal(&master.sealer()).as_bytes()), SEAL_OF_ROW);
    let aged = KeyRow {
        current: row.current.aged(Age::Earlier),
        retiring: row.retiring.map(|digest| digest.aged(Age::Former)),
        ..row
    };
    assert_eq!(hex(aged.seal(&master.sealer()).as_bytes()), SEAL_OF_AGED_ROW);
}

// Worked out by another implementation of HKDF and HMAC.
const CHECK_OF_SEVENS: &str = "e597c492b805d466c552b7ec1b21bf5097338bfe0ec447d0707f3fc5e5770602";
const DIGEST_OF_ABC: &str = "b3502bd87de41d0b53d880b8ef8035f1d53ee1b04e4c863ee5efc8647242e4c3";
const ENVELOPE: &str = "b385f6b9cef49a149677d25804442f976e1c9f7dc48d8bcd0089f3601ba23126";
const BESIDE_PASSWORDS: &str = "e7714584a3699db628f0836dbd960294d5eb331981bbe1671f6eff1f9e4f4cb6";
const SEAL_OF_ROW: &str = "f07dfd1ae7708a7ae1b44dd8a1ab7e126059b55d65474392733d66d4f32da814";
const SEAL_OF_AGED_ROW: &str = "d1ff111823f58843e9fc2188d72db962e3c1948a9c02406f2a0c5d8f7fda9b74";
const SEAL_OF_KEY: &str = "2d320e2fd2b67a7e1f8c20fe60de7d3d4283d08d741e0562c93d502025d1fe3d";

#[test]
fn a_pasted_secret_is_noticed_wherever_it_stands() {
    let secret = minted(11);
    for text in [
        secret.clone(),
        format!("key={secret}"),
        format!("Bearer {secret}\n"),
        format!("https://example.org/?k={secret}&x=1"),
        format!("„{secret}“"),
        format!("{{\"key\":\"{secret}\"}}"),
    ] {
        assert!(holds_secret(&text));
    }
    assert!(Name::new(&secret).is_err());
    let mut mistyped = secret.clone();
    mistyped.pop();
    mistyped.push(if secret.ends_with('a') { 'b' } else { 'a' });
    assert!(!holds_secret(&mistyped), "what opens nothing may stay");
    assert!(!holds_secret(""));
}
