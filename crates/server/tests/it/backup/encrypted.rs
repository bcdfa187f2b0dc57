//! The encrypted file: who can read it, that nothing else is ever on the disk, and that not one part of it can be changed.

use std::ops::Range;

use keyholt_core::owner::Owner;
use keyholt_server::backup::{Seals, WORK_FACTOR, WORK_FACTOR_MAX};
use keyholt_store::Memory;

use super::*;
use crate::house::{Wishes, canary, wish};

const PASSPHRASE: &str = "seven grey herons count the slow barges";
/// Bytes of a chunk in the file: 64 KiB and a tag.
const CHUNK: usize = 64 * 1024 + 16;
/// So many keys fill more than three chunks.
const SOME: usize = 110;
/// While so many are written, progress is told more than once.
const MANY: usize = 300;
/// What stands in each of their names, and so in every plain backup.
const NEEDLE: &str = "hay-that-nobody-may-see";

fn masters() -> Arc<Masters> {
    Arc::new(MasterKey::new([42; 32]).into())
}

fn yard() -> Yard {
    canary(PASSPHRASE);
    Yard {
        passphrase: Some(PASSPHRASE),
        ..Yard::new()
    }
}

/// Makes many keys and answers the secret of the last.
async fn fill(house: &House, keys: usize) -> String {
    let ada = house.user("ada").await;
    let mut secret = String::new();
    for at in 0..keys {
        let key = house
            .issue(wish(Owner::User(ada.id), &format!("{NEEDLE}-{at}")).scopes(&["orders:*"]))
            .await;
        secret = key.secret;
    }
    secret
}

/// A yard with an encrypted backup, of which only the file matters, and that file.
async fn backed_up() -> (Yard, Vec<u8>) {
    let yard = yard();
    let house = House::open_on(Arc::new(Memory::new())).await;
    fill(&house, SOME).await;
    let data = Data::Opened(Arc::clone(&house.store));
    let now = house.keeper.now();
    backup::create(&data, &yard.backup(), yard.passphrase().as_ref(), now, &mut |_| ())
        .await
        .unwrap();
    keep(&yard.backup());
    let file = fs::read(yard.backup()).unwrap();
    (yard, file)
}

fn verify(yard: &Yard, file: &[u8]) -> Result<Summary, BackupError> {
    fs::write(yard.backup(), file).unwrap();
    backup::verify(&yard.backup(), yard.passphrase().as_ref(), None, &mut |_| ())
}

/// Where the chunks of a file lie: after the header and the 16 bytes of a nonce.
fn chunks(file: &[u8]) -> Vec<Range<usize>> {
    let end = find(file, b"\n--- ") + 5 + 43 + 1 + 16;
    (end..file.len())
        .step_by(CHUNK)
        .map(|at| at..file.len().min(at + CHUNK))
        .collect()
}

fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|found| found == needle).unwrap()
}

#[tokio::test]
async fn an_encrypted_backup_brings_back_what_was_there() {
    let yard = yard();
    let house = yard.house().await;
    let secret = fill(&house, SOME).await;
    let made = yard.back_up(&house).await;
    stop(&house).await;
    let passphrase = yard.passphrase();
    let found = backup::verify(&yard.backup(), passphrase.as_ref(), Some(&masters()), &mut |_| ()).unwrap();
    assert_eq!((found.keys, found.lines), (made.keys, made.lines));
    assert!(matches!(found.seals, Seals::Checked { count: 0, .. }));

    // It is read from its beginning several times, with the comparison and the filling.
    yard.restore(&house, Consent::SuspendAllKeys).await.unwrap();
    let keeper = yard.reopened(&house).await;
    assert_eq!(code(&house, &keeper, &secret), "suspended");
    keeper.rest().await;
}

#[tokio::test]
async fn nothing_of_it_is_ever_on_the_disk_in_the_clear() {
    let (yard, house) = (yard(), House::open_on(Arc::new(Memory::new())).await);
    fill(&house, MANY).await;
    let data = Data::Opened(Arc::clone(&house.store));
    let mut looks = 0;
    let mut look = |file: &Path| {
        let bytes = fs::read(file).unwrap();
        for clear in [NEEDLE, "keyholt_backup", PASSPHRASE] {
            let found = bytes.windows(clear.len()).any(|bytes| bytes == clear.as_bytes());
            assert!(!found, "`{clear}` is in the clear in {}", file.display());
        }
        looks += usize::from(bytes.len() > CHUNK);
    };
    let mut watch = |_| yard.files().iter().for_each(|(path, _)| look(path));
    let now = house.keeper.now();
    backup::create(&data, &yard.backup(), yard.passphrase().as_ref(), now, &mut watch)
        .await
        .unwrap();
    look(&yard.backup());
    assert!(looks > 1, "nobody looked while it was written");
    let head = b"age-encryption.org/v1\n-> scrypt ";
    assert!(fs::read(yard.backup()).unwrap().starts_with(head));
}

#[tokio::test]
async fn without_its_passphrase_or_with_another_it_is_refused_as_such() {
    let (mut yard, file) = backed_up().await;
    yard.passphrase = None;
    assert!(matches!(verify(&yard, &file), Err(BackupError::Encrypted)));
    assert!(matches!(yard.plan(0).await, Err(BackupError::Encrypted)));
    yard.passphrase = Some("seven grey herons count the slow barge");
    assert!(matches!(verify(&yard, &file), Err(BackupError::WrongPassphrase)));
    assert!(matches!(yard.plan(0).await, Err(BackupError::WrongPassphrase)));
    assert!(!yard.database().exists(), "something was touched");
}

#[tokio::test]
async fn a_plain_backup_is_not_taken_for_the_encrypted_one() {
    let mut yard = Yard::new();
    let house = yard.house().await;
    yard.back_up(&house).await;
    let file = fs::read(yard.backup()).unwrap();
    assert!(verify(&yard, &file).is_ok());
    yard.passphrase = Some(PASSPHRASE);
    assert!(matches!(verify(&yard, &file), Err(BackupError::NotEncrypted)));
}

#[tokio::test]
async fn an_encrypted_backup_that_is_cut_off_is_noticed_at_every_border() {
    let (yard, file) = backed_up().await;
    let chunks = chunks(&file);
    assert!(chunks.len() > 3, "{} chunks", chunks.len());
    let first = chunks[0].start;
    let borders = chunks.iter().map(|chunk| chunk.start);
    for at in borders.chain([0, 10, 30, first - 20, first - 1, first + 1, file.len() - 1]) {
        let verdict = verify(&yard, &file[..at]);
        assert!(
            matches!(verdict, Err(BackupError::Bad { .. })),
            "cut at {at}: {verdict:?}"
        );
    }
    let longer = verify(&yard, &[&file[..], b"x"].concat());
    assert!(matches!(longer, Err(BackupError::Bad { .. })), "{longer:?}");
}

#[tokio::test]
async fn one_bit_of_any_part_is_noticed() {
    let (yard, file) = backed_up().await;
    let chunks = chunks(&file);
    let first = chunks[0].start;
    let stanza = find(&file, b"-> scrypt ");
    let body = find(&file[stanza..], b"\n") + stanza + 1;
    let parts = [
        ("the first word", 3),
        ("the version", 20),
        ("the kind of the stanza", stanza + 4),
        ("the salt", stanza + 12),
        ("the cost", body - 2),
        ("the wrapped key", body + 5),
        ("the header's code", first - 30),
        ("the nonce", first - 3),
        ("a chunk", first + 1000),
        ("a chunk's tag", chunks[1].end - 1),
        ("the last chunk", chunks[chunks.len() - 1].start),
    ];
    for (part, at) in parts {
        let mut altered = file.clone();
        altered[at] ^= 1;
        let verdict = verify(&yard, &altered);
        assert!(
            matches!(verdict, Err(BackupError::Bad { .. } | BackupError::WrongPassphrase)),
            "{part}: {verdict:?}"
        );
    }
}

#[tokio::test]
async fn a_chunk_that_is_missing_moved_or_there_twice_is_noticed() {
    let (yard, file) = backed_up().await;
    let chunks = chunks(&file);
    let head = &file[..chunks[0].start];
    let last = chunks.len() - 1;
    let orders: [(&str, Vec<usize>); 4] = [
        ("the first is missing", (1..=last).collect()),
        ("one is missing", std::iter::once(0).chain(2..=last).collect()),
        ("two are swapped", [1, 0].into_iter().chain(2..=last).collect()),
        ("one is there twice", [0, 0].into_iter().chain(1..=last).collect()),
    ];
    for (what, order) in orders {
        let body = order.iter().flat_map(|at| &file[chunks[*at].clone()]);
        let altered: Vec<u8> = head.iter().chain(body).copied().collect();
        let verdict = verify(&yard, &altered);
        assert!(matches!(verdict, Err(BackupError::Bad { .. })), "{what}: {verdict:?}");
    }
}

#[tokio::test]
async fn a_file_that_would_cost_too_much_to_try_is_refused_untried() {
    let (yard, file) = backed_up().await;
    let (asked, more) = (format!(" {WORK_FACTOR}\n"), format!(" {}\n", WORK_FACTOR_MAX + 1));
    let at = find(&file, asked.as_bytes());
    let dear = [&file[..at], more.as_bytes(), &file[at + asked.len()..]].concat();
    match verify(&yard, &dear) {
        Err(BackupError::Bad { line: 1, says }) => assert!(says.contains("2^21"), "{says}"),
        other => panic!("{other:?}"),
    }
}
