//! Tokens that another Meerschaum issued: imported with their PBKDF2 hashes, adopted when they are first shown.
//!
//! Meerschaum keeps PBKDF2 of a token's secret, from which nothing can be made that Keyholt looks up. So an imported token
//! waits: its key has a secret that only Keyholt can make, a MAC under the master key over the token's id and its hash. When
//! somebody shows id and secret, the hash is found by the id and checked once, slowly; if it is right, the key that answers
//! to that MAC is authenticated like any other, and takes on the digest of the secret. From then on nothing is slow.
//!
//! SECURITY: id and hash are notes in metadata, which no seal covers. Whoever changes them changes the MAC, and no key
//! answers to it: a hash that somebody planted in the database opens nothing.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::alphabet::Alphabet;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_core::actor::{Actor, Source};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::issue::{Life, SecretOrigin, Wish};
use keyholt_core::key::{Bounds, Key, Kind};
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::secret::Fingerprint;
use keyholt_core::text::{Description, Metadata, Name, Tag};
use keyholt_store::{KeyQuery, Limit};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{NAME, scopes, times};
use crate::dialects::caller::Caller;
use crate::dialects::reading::BigBody;
use crate::dialects::{Desk, notes};
use crate::http::fail::Answer;
use crate::http::{Fail, body};
use crate::keeper::{Import, Keeper, Rehearsal};

/// The notes on an imported token: its id, and its hash until it is adopted.
const ID: &str = "id";
const HASH: &str = "hash";
/// Most rounds of a hash; Meerschaum's tokens have 100 000.
const ROUNDS_MAX: u32 = 1_000_000;
/// Longest hash as text, and longest salt or digest in it.
const HASH_BYTES_MAX: usize = 256;
/// Hashes that are checked at once, and shows that may wait for their turn.
static CHECKED: Semaphore = Semaphore::const_new(1);
static WAITING: Semaphore = Semaphore::const_new(32);
/// Most tokens in one import.
const IMPORT_MAX: usize = 10_000;

/// The id by which Meerschaum's clients know a token.
pub fn id_of(key: &Key) -> Uuid {
    noted_id(key).unwrap_or(key.id.uuid())
}

fn noted_id(key: &Key) -> Option<Uuid> {
    Uuid::try_parse(notes::text(&key.about.metadata, NAME, ID)?).ok()
}

/// Whether the actor's key is an imported token of this id.
pub async fn is_named(desk: &Desk, actor: &Actor, id: Uuid) -> Answer<bool> {
    let own = desk.keeper.own_key(actor).await?;
    Ok(noted_id(&own.key) == Some(id))
}

/// The key that a path names; `None` where it is not even an id.
pub async fn token_named(desk: &Desk, caller: &Caller, text: &str) -> Answer<Option<KeyId>> {
    let Ok(id) = Uuid::try_parse(text) else {
        return Ok(None);
    };
    // Our own ids are of version 7, Meerschaum's of version 4.
    if id.get_version_num() == 7 {
        return Ok(Some(KeyId::from_uuid(id)));
    }
    let query = KeyQuery {
        tag: Some(tag(id)?),
        limit: Limit::LARGEST,
        ..KeyQuery::default()
    };
    let found = desk.keeper.keys(&caller.actor, caller.project, query).await?;
    let named = found.entries.iter().find(|view| noted_id(&view.key) == Some(id));
    Ok(Some(named.map_or(KeyId::from_uuid(id), |view| view.key.id)))
}

fn tag(id: Uuid) -> Answer<Tag> {
    Tag::new(&format!("{NAME}:{id}")).map_err(|error| Faults::one("id", error).into())
}

/// Lets an imported token that is shown for the first time take on its secret. `None`: there is no such token, or the secret
/// is wrong; which of them is not said.
pub async fn adopt(desk: &Desk, id: Uuid, secret: &str, source: Source) -> Answer<Option<Actor>> {
    let project = desk.project()?;
    let Ok(_seat) = WAITING.try_acquire() else {
        return Err(Fail::saying(
            Code::TooManyRequests,
            "too many imported tokens are shown for the first time at once",
        ));
    };
    let waiting = desk.keeper.tagged(project, tag(id)?).await?;
    for key in &waiting {
        let Some(hash) = notes::text(&key.about.metadata, NAME, HASH).filter(|_| noted_id(key) == Some(id)) else {
            continue;
        };
        let Some(parsed) = Hash::parse(hash) else { continue };
        if parsed.matches(secret).await {
            let project = project.uuid();
            let about = about(&project, &id, hash);
            let stand_in = spelled(desk.keeper.mac(&about));
            // One that was imported before the master key was replaced waits under the one before.
            let earlier = desk.keeper.earlier_mac(&about).map(spelled);
            let known = earlier.filter(|earlier| desk.keeper.answers_to(earlier));
            let actor = desk.authenticate(&known.unwrap_or(stand_in), source)?;
            desk.keeper.take_on(&actor, Fingerprint::of(secret.as_bytes())).await?;
            return Ok(Some(actor));
        }
    }
    Ok(None)
}

/// The secret of a token that waits: nobody but Keyholt can make it, and it is bound to this id and this hash.
fn stand_in(keeper: &Keeper, project: ProjectId, id: Uuid, hash: &str) -> Zeroizing<String> {
    spelled(keeper.mac(&about(&project.uuid(), &id, hash)))
}

fn about<'a>(project: &'a Uuid, id: &'a Uuid, hash: &'a str) -> [&'a [u8]; 4] {
    [b"meerschaum token", project.as_bytes(), id.as_bytes(), hash.as_bytes()]
}

fn spelled(mac: [u8; 16]) -> Zeroizing<String> {
    Zeroizing::new(format!("mrsm-waiting:{:032x}", u128::from_be_bytes(mac)))
}

/// A hash as Meerschaum writes it: `$pbkdf2-sha256$<rounds>$<salt>$<digest>`.
struct Hash {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

impl Hash {
    fn parse(text: &str) -> Option<Self> {
        if text.len() > HASH_BYTES_MAX {
            return None;
        }
        let rest = text.strip_prefix("$pbkdf2-sha256$")?;
        let [rounds, salt, digest] = rest.split('$').collect::<Vec<_>>().try_into().ok()?;
        let rounds: NonZeroU32 = rounds.parse().ok()?;
        let engine = passlib()?;
        let (salt, digest) = (engine.decode(salt).ok()?, engine.decode(digest).ok()?);
        (rounds.get() <= ROUNDS_MAX && digest.len() == 32).then_some(Self { rounds, salt, digest })
    }

    /// Whether this secret has it. That takes some 20 ms, so one at a time is checked, and on a thread of its own.
    async fn matches(self, secret: &str) -> bool {
        let Ok(_turn) = CHECKED.acquire().await else {
            return false;
        };
        let secret = Zeroizing::new(secret.to_owned());
        let check = move || {
            let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
            pbkdf2::verify(algorithm, self.rounds, &self.salt, secret.as_bytes(), &self.digest).is_ok()
        };
        tokio::task::spawn_blocking(check).await.unwrap_or(false)
    }
}

/// Base64 as passlib writes it: a dot in place of the plus, and no padding.
fn passlib() -> Option<GeneralPurpose> {
    let alphabet = Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").ok()?;
    Some(GeneralPurpose::new(&alphabet, NO_PAD))
}

/// An import as it arrives.
#[derive(Deserialize)]
struct Imports {
    dry_run: bool,
    tokens: Vec<Row>,
}

/// A row of Meerschaum's table of tokens, with the name of its user.
#[derive(Deserialize)]
struct Row {
    id: String,
    username: String,
    label: Option<String>,
    expiration: Option<String>,
    #[serde(default = "yes")]
    is_valid: bool,
    scopes: Option<Vec<String>>,
    secret_hash: String,
}

fn yes() -> bool {
    true
}

/// Imports tokens, all or none; with `dry_run` it is only told what would happen. Tokens that are not valid any more are
/// left out.
pub async fn import(State(desk): State<Desk>, caller: Caller, body: BigBody) -> Answer<Response> {
    let sent: Imports = body.json()?;
    if sent.tokens.is_empty() || sent.tokens.len() > IMPORT_MAX {
        let reason = Reason(
            FaultCode::TooMuch,
            format!("must have 1 to {IMPORT_MAX} entries").into(),
        );
        return Err(Faults::one("tokens", reason).into());
    }
    let now = desk.keeper.now();
    let (mut wishes, mut places, mut refused, mut left_out) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, row) in sent.tokens.iter().enumerate() {
        match row.wish(&desk, caller.project) {
            Ok(Wish {
                life: Life::Until(end), ..
            }) if end <= now => left_out.push(json!({ "index": index, "because": "it has expired" })),
            Ok(_) if !row.is_valid => left_out.push(json!({ "index": index, "because": "it is not valid" })),
            Ok(wish) => {
                wishes.push(wish);
                places.push(index);
            }
            Err(faults) => {
                let told = faults
                    .entries()
                    .iter()
                    .map(|fault| format!("`{}` {}", fault.field, fault.detail));
                refused.push((index, told.collect::<Vec<_>>().join("; ")));
            }
        }
    }
    let rehearsal = if sent.dry_run || !refused.is_empty() {
        Rehearsal::Yes
    } else {
        Rehearsal::No
    };
    let imported = desk
        .keeper
        .import_keys(&caller.actor, caller.project, Import { wishes, rehearsal })
        .await?;
    refused.extend(imported.refused.into_iter().map(|entry| {
        let place = places.get(entry.index).copied().unwrap_or(entry.index);
        (place, entry.refusal.to_string())
    }));
    refused.sort_by_key(|(index, _)| *index);
    let accepted = if refused.is_empty() { imported.keys.len() } else { 0 };
    let refused: Vec<Value> = refused
        .into_iter()
        .map(|(index, because)| json!({ "index": index, "because": because }))
        .collect();
    Ok(body::json(&json!({
        "dry_run": sent.dry_run,
        "accepted": accepted,
        "left_out": left_out,
        "refused": refused,
    })))
}

impl Row {
    fn wish(&self, desk: &Desk, project: ProjectId) -> Result<Wish, Faults> {
        let mut faults = Faults::default();
        let reason = |code, text: &'static str| Reason(code, text.into());
        let id = Uuid::try_parse(&self.id).map_err(|_| reason(FaultCode::Form, "must be a UUID"));
        let id = faults.read("id", id);
        let owner = desk.keeper.owner_named(project, OwnerKind::User, &self.username);
        let owner = owner.map_err(|_| reason(FaultCode::NotFound, "names a user that does not exist"));
        let owner: Option<Owner> = faults.read("username", owner);
        let label = self
            .label
            .as_deref()
            .filter(|label| !label.is_empty())
            .unwrap_or("imported");
        let name = faults.read("label", Name::new(label));
        let end = faults.read_optional("expiration", self.expiration.as_deref(), times::read);
        let access = scopes::read(self.scopes.iter().flatten().map(String::as_str));
        let access = access.map_err(|_| reason(FaultCode::Form, "hold what is no scope"));
        let access = faults.read("scopes", access);
        let hash = Hash::parse(&self.secret_hash)
            .ok_or_else(|| reason(FaultCode::Form, "must be `$pbkdf2-sha256$<rounds>$<salt>$<digest>`"));
        let hash = faults.read("secret_hash", hash);
        let (Some(id), Some(owner), Some(name), Some(end), Some(access), Some(_)) =
            (id, owner, name, end, access, hash)
        else {
            return Err(faults);
        };
        let noted = Map::from_iter([(ID.to_owned(), json!(id)), (HASH.to_owned(), json!(self.secret_hash))]);
        let metadata = notes::write(&Metadata::default(), NAME, noted);
        let tag = Tag::new(&format!("{NAME}:{id}"));
        let description = Description::new("imported from Meerschaum");
        let read = (
            faults.read("secret_hash", metadata),
            faults.read("id", tag),
            faults.read("label", description),
        );
        let (Some(metadata), Some(tag), Some(description)) = read else {
            return Err(faults);
        };
        let stand_in = stand_in(&desk.keeper, project, id, &self.secret_hash);
        Ok(Wish {
            owner,
            kind: Kind::Standard,
            name,
            description,
            metadata,
            tags: [tag].into(),
            access,
            bounds: Bounds::default(),
            life: end.map_or(Life::Never, Life::Until),
            origin: SecretOrigin::Imported {
                fingerprint: Fingerprint::of(stand_in.as_bytes()),
                hint: None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pbkdf2_sha256.using(rounds=1000, salt=b"0123456789abcdef").hash("correct horse")` of passlib 1.7.4.
    const KNOWN: &str = "$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$cBg8D2DungRB9k76szThf5ehfyBz991ay6PT8Srwk4M";

    #[test]
    fn a_hash_that_is_not_one_is_not_read() {
        for bad in [
            "",
            "$pbkdf2-sha512$1000$MDEy$MDEy",
            "$pbkdf2-sha256$0$MDEy$MDEy",
            "$pbkdf2-sha256$2000000$MDEyMzQ1Njc4OWFiY2RlZg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$short",
            "$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg",
        ] {
            assert!(Hash::parse(bad).is_none(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_hash_of_passlib_is_known_again() {
        assert!(Hash::parse(KNOWN).unwrap().matches("correct horse").await);
        assert!(!Hash::parse(KNOWN).unwrap().matches("correct horsf").await);
    }
}
