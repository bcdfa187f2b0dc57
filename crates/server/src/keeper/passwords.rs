//! Hashes of passwords: argon2id, so many at once and no more, in memory that is taken once and used again.
//!
//! An attempt costs 19 MiB and some 40 ms of one processor. Two hundred at once would be a denial of service; here they
//! wait for their turn, and beyond a limit they are told to come back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use keyholt_core::bond::Masters;
use keyholt_core::password::{HashText, Made, Typed};
use keyholt_core::seal::MasterKey;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

use super::Refusal;

/// Passwords that are hashed at the same time; each takes 19 MiB and a processor.
pub const HASHES_AT_ONCE: usize = 2;
/// Most who wait for their turn; at two at once that is some seconds.
pub const HASHES_WAITING_MAX: usize = 256;
/// Memory, passes and lanes as OWASP's Password Storage Cheat Sheet asks for.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// Bytes of a salt.
const SALT: usize = 16;
/// Bytes of a hash.
const HASH: usize = 32;
/// Of a password nobody guesses within so many tries it need not be feared that it is on somebody's list.
const LEAST_SCORE: Score = Score::Three;

/// Hashes passwords and checks them, a few at a time.
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    kiln: Arc<Kiln>,
    /// Looked at where there is no password, so that the work is the same.
    nobodys: HashText,
}

/// Somebody's turn to hash; the next one waits until it is dropped.
#[derive(Clone)]
pub(super) struct Turn(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// What a check of a password came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Checked {
    /// It is the one.
    Right,
    /// It is the one, but its hash should be made anew: at the present cost, or with the present master key.
    RightButCheap,
    /// It is not, or there is none.
    Wrong,
}

struct Kiln {
    secret: Zeroizing<[u8; 32]>,
    /// The previous master key's, as long as that one is known.
    previous: Option<Zeroizing<[u8; 32]>>,
    params: Params,
    /// At most [`HASHES_AT_ONCE`], for only who has a turn takes one.
    memory: Mutex<Vec<Vec<Block>>>,
}

impl Passwords {
    /// With the master keys' secrets besides the salts.
    pub fn new(masters: &Masters) -> Self {
        let (memory, passes, lanes) = COST;
        let params = Params::new(memory, passes, lanes, Some(HASH)).unwrap_or_default();
        let nobodys = text_of(&params, &[0; SALT], &[0; HASH]).unwrap_or_else(|| HashText::new(""));
        Self {
            turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            waiting: AtomicUsize::new(0),
            kiln: Arc::new(Kiln {
                secret: masters.present.password_secret(),
                previous: masters.previous.as_ref().map(MasterKey::password_secret),
                params,
                memory: Mutex::default(),
            }),
            nobodys,
        }
    }

    /// Waits for a turn, where not too many wait already.
    pub async fn turn(&self) -> Result<Turn, Refusal> {
        /// Leaves the queue, whoever stops waiting.
        struct Queued<'a>(&'a AtomicUsize);
        impl Drop for Queued<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _queued = Queued(&self.waiting);
        if before >= HASHES_WAITING_MAX {
            return Err(Refusal::Crowded);
        }
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        permit
            .map(|permit| Turn(Arc::new(permit)))
            .map_err(|_| Refusal::Crowded)
    }

    /// Hashes a password with a fresh salt.
    pub async fn hash(&self, turn: &Turn, typed: &Typed, salt: [u8; SALT]) -> Result<HashText, Refusal> {
        let params = self.kiln.params.clone();
        let hash = self
            .work(turn, typed, (params.clone(), Made::Now), salt.to_vec())
            .await?;
        text_of(&params, &salt, &hash).ok_or(Refusal::Crowded)
    }

    /// Whether this is the password. Where there is none, the same work is done for nothing.
    pub async fn check(&self, turn: &Turn, typed: &Typed, kept: Option<(&HashText, Made)>) -> Result<Checked, Refusal> {
        let (text, made) = kept.unwrap_or((&self.nobodys, Made::Now));
        let read = |text: &HashText| {
            let hash = PasswordHash::new(text.as_str()).ok()?;
            let params = Params::try_from(&hash).ok()?;
            Some((params, hash.salt?, hash.hash?))
        };
        let (params, salt, expected) = read(text).ok_or(Refusal::Tampered(keyholt_core::audit::Noun::Password))?;
        let cheap = params != self.kiln.params || made == Made::Earlier;
        let hash = self.work(turn, typed, (params, made), salt.to_vec()).await?;
        let same: bool = hash.as_slice().ct_eq(expected.as_bytes()).into();
        Ok(match (kept.is_some() && same, cheap) {
            (true, false) => Checked::Right,
            (true, true) => Checked::RightButCheap,
            (false, _) => Checked::Wrong,
        })
    }

    /// Whether a password is on the lists from which passwords are guessed, or made of what is.
    pub async fn is_guessable(&self, typed: &Typed, about: Vec<String>) -> bool {
        let text = Zeroizing::new(typed.expose().to_owned());
        let looked_up = tokio::task::spawn_blocking(move || {
            let about: Vec<&str> = about.iter().map(String::as_str).collect();
            zxcvbn(&text, &about).score() < LEAST_SCORE
        });
        looked_up.await.unwrap_or(true)
    }

    async fn work(
        &self,
        turn: &Turn,
        typed: &Typed,
        (params, made): (Params, Made),
        salt: Vec<u8>,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let (kiln, turn) = (Arc::clone(&self.kiln), turn.clone());
        let text = Zeroizing::new(typed.expose().to_owned());
        let work = move || {
            let hash = kiln.hash(text.as_bytes(), &salt, params, made);
            // Whoever asked may be gone: the turn ends when the work does, and not before.
            drop(turn);
            hash
        };
        let done = tokio::task::spawn_blocking(work).await.ok().flatten();
        done.ok_or(Refusal::Crowded)
    }

    /// How many buffers were ever taken.
    #[cfg(test)]
    fn buffers(&self) -> usize {
        self.kiln.memory.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Kiln {
    fn hash(&self, password: &[u8], salt: &[u8], params: Params, made: Made) -> Option<Zeroizing<Vec<u8>>> {
        let taken = self.memory.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut blocks = taken.unwrap_or_default();
        blocks.resize(params.block_count(), Block::new());
        let mut hash = Zeroizing::new(vec![0; params.output_len().unwrap_or(HASH)]);
        // Without the previous master key the same work comes to another hash.
        let earlier = self.previous.as_ref().filter(|_| made == Made::Earlier);
        let secret = earlier.unwrap_or(&self.secret);
        let hashed = Argon2::new_with_secret(secret.as_ref(), Algorithm::Argon2id, Version::V0x13, params)
            .and_then(|argon2| argon2.hash_password_into_with_memory(password, salt, &mut hash, &mut blocks));
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
        hashed.ok().map(|()| hash)
    }
}

fn text_of(params: &Params, salt: &[u8], hash: &[u8]) -> Option<HashText> {
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).ok()?,
        salt: Some(Salt::new(salt).ok()?),
        hash: Some(Output::new(hash).ok()?),
    };
    Some(HashText::new(&phc.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(&MasterKey::new([7; 32]).into())
    }

    fn typed(text: &str) -> Typed {
        Typed::read(text).unwrap()
    }

    async fn checked(passwords: &Passwords, text: &str, kept: Option<&HashText>) -> Checked {
        let turn = passwords.turn().await.unwrap();
        passwords
            .check(&turn, &typed(text), kept.map(|kept| (kept, Made::Now)))
            .await
            .unwrap()
    }

    async fn hashed(passwords: &Passwords, text: &str) -> HashText {
        let turn = passwords.turn().await.unwrap();
        passwords.hash(&turn, &typed(text), [3; SALT]).await.unwrap()
    }

    #[tokio::test]
    async fn a_password_is_recognised_to_its_last_character_and_in_either_composition() {
        let passwords = passwords();
        let long = "x".repeat(127);
        let kept = hashed(&passwords, &format!("{long}é")).await;
        assert!(
            kept.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            kept.as_str()
        );
        assert_eq!(
            checked(&passwords, &format!("{long}e\u{301}"), Some(&kept)).await,
            Checked::Right
        );
        assert_eq!(
            checked(&passwords, &format!("{long}e"), Some(&kept)).await,
            Checked::Wrong
        );
        assert_eq!(checked(&passwords, &long, Some(&kept)).await, Checked::Wrong);
        let mut at_100 = format!("{long}é").into_bytes();
        at_100[100] = b'y';
        let at_100 = String::from_utf8(at_100).unwrap();
        assert_eq!(checked(&passwords, &at_100, Some(&kept)).await, Checked::Wrong);
    }

    #[tokio::test]
    async fn nobodys_password_is_wrong_whatever_it_is_and_takes_the_work_of_anybodys() {
        let passwords = passwords();
        assert_eq!(checked(&passwords, "anything at all", None).await, Checked::Wrong);
        let kept = hashed(&passwords, "anything at all").await;
        let work = |text: &HashText| {
            let hash = PasswordHash::new(text.as_str()).unwrap();
            let params = Params::try_from(&hash).unwrap();
            (params, hash.salt.unwrap().len(), hash.hash.unwrap().len())
        };
        assert_eq!(work(&passwords.nobodys), work(&kept));
    }

    #[tokio::test]
    async fn a_hash_without_the_master_key_s_secret_says_nothing() {
        let kept = hashed(&passwords(), "correct horse battery").await;
        let other = Passwords::new(&MasterKey::new([8; 32]).into());
        assert_eq!(
            checked(&other, "correct horse battery", Some(&kept)).await,
            Checked::Wrong
        );
    }

    #[tokio::test]
    async fn a_hash_of_the_previous_master_key_is_right_and_to_be_made_anew() {
        let kept = hashed(&passwords(), "correct horse battery").await;
        let masters = |previous| Masters {
            present: MasterKey::new([8; 32]),
            previous,
        };
        let asked = async |passwords: Passwords, text: &str, made| {
            let turn = passwords.turn().await.unwrap();
            passwords.check(&turn, &typed(text), Some((&kept, made))).await.unwrap()
        };
        let both = || Passwords::new(&masters(Some(MasterKey::new([7; 32]))));
        let right = "correct horse battery";
        assert_eq!(asked(both(), right, Made::Earlier).await, Checked::RightButCheap);
        assert_eq!(asked(both(), "correct horse", Made::Earlier).await, Checked::Wrong);
        assert_eq!(
            asked(both(), right, Made::Now).await,
            Checked::Wrong,
            "it says when it was made"
        );
        let alone = Passwords::new(&masters(None));
        assert_eq!(asked(alone, right, Made::Earlier).await, Checked::Wrong);
    }

    #[tokio::test]
    async fn a_cheaper_hash_is_right_and_to_be_made_anew() {
        let passwords = passwords();
        let cheap = Params::new(64, 1, 1, Some(HASH)).unwrap();
        let hash = passwords
            .kiln
            .hash(b"secret", &[1; SALT], cheap.clone(), Made::Now)
            .unwrap();
        let kept = text_of(&cheap, &[1; SALT], &hash).unwrap();
        assert_eq!(checked(&passwords, "secret", Some(&kept)).await, Checked::RightButCheap);
        assert_eq!(checked(&passwords, "Secret", Some(&kept)).await, Checked::Wrong);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_hundred_at_once_take_the_memory_of_two() {
        let passwords = Arc::new(passwords());
        let attempts: Vec<_> = (0..200)
            .map(|n| {
                let passwords = Arc::clone(&passwords);
                tokio::spawn(async move { checked(&passwords, &format!("guess {n}"), None).await })
            })
            .collect();
        for attempt in attempts {
            assert_eq!(attempt.await.unwrap(), Checked::Wrong);
        }
        assert!(
            (1..=HASHES_AT_ONCE).contains(&passwords.buffers()),
            "{}",
            passwords.buffers()
        );
    }

    #[tokio::test]
    async fn beyond_the_queue_everybody_is_sent_away() {
        let passwords = Arc::new(passwords());
        let held = [passwords.turn().await.unwrap(), passwords.turn().await.unwrap()];
        let waiting: Vec<_> = (0..HASHES_WAITING_MAX)
            .map(|_| {
                let passwords = Arc::clone(&passwords);
                tokio::spawn(async move { passwords.turn().await.is_ok() })
            })
            .collect();
        while passwords.waiting.load(Ordering::Relaxed) < HASHES_WAITING_MAX {
            tokio::task::yield_now().await;
        }
        assert!(matches!(passwords.turn().await, Err(Refusal::Crowded)));
        drop(held);
        for one in waiting {
            assert!(one.await.unwrap());
        }
        assert!(passwords.turn().await.is_ok(), "the queue is empty again");
    }

    #[tokio::test]
    async fn what_is_guessed_first_is_refused_and_what_is_only_plain_is_not() {
        let passwords = passwords();
        for guessable in [
            "passwordpassword",
            "aaaaaaaaaaaaaaaa",
            "qwertyuiopasdfghj",
            "1234567890123456",
        ] {
            assert!(
                passwords.is_guessable(&typed(guessable), Vec::new()).await,
                "{guessable}"
            );
        }
        let own = "olga.operatrice.acme".to_owned();
        assert!(passwords.is_guessable(&typed(&own), vec![own.clone()]).await);
        for good in [
            "correct horse battery staple",
            "vier gelbe Züge fahren",
            "k3-ve-93-ux-hhz-22",
        ] {
            assert!(!passwords.is_guessable(&typed(good), Vec::new()).await, "{good}");
        }
    }
}
