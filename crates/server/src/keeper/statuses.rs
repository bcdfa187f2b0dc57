//! Status lists as the keeper hands them out: built from the keyring when it changed, signed, and kept for some seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyholt_core::audit::Noun;
use keyholt_core::commit::Record;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::time::{Moment, Span};
use keyholt_core::token::{STATUS_BITS, StatusIndex, StatusList};
use keyholt_store::{EventNumber, FeedEntry, Limit, StoreError, Touched};
use serde_json::{Value, json};
use zlib_rs::{DeflateConfig, Strategy, compress_bound, compress_slice};

use super::{Issuer, Keeper, Refusal};
use crate::jose::STATUS_LIST;
use crate::keyring::ring::{Found, Past, TURNS_KEPT, TURNS_MAX};

/// How often verifiers should ask again, and how long anybody may keep a list.
pub const STATUS_TTL: Span = Span::secs(5);
/// How long a list is believed that cannot be had again: after that a verifier knows nothing.
const STATUS_BELIEVED: Span = Span::secs(60);
/// A list is built anew at most so often, whatever changes.
const BUILT_APART: Duration = Duration::from_secs(1);
/// Projects whose lists are kept.
const LISTS_KEPT_MAX: usize = 1 << 10;

/// The lists that were built lately.
#[derive(Default)]
pub(super) struct Statuses {
    kept: Mutex<HashMap<ProjectId, Arc<Kept>>>,
    /// One list is built at a time.
    turn: tokio::sync::Mutex<()>,
}

struct Kept {
    text: Arc<str>,
    at: Duration,
    as_of: u64,
}

impl Statuses {
    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<ProjectId, Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the list of an issuer is.
pub fn status_uri(issuer: &Issuer) -> String {
    format!("{}/status-list", issuer.name)
}

/// Where an issuer says which lists it has.
pub fn status_lists_uri(issuer: &Issuer) -> String {
    format!("{}/status-lists", issuer.name)
}

/// The claim by which a token tells its verifiers where to look.
pub(super) fn status_claim(issuer: &Issuer, index: StatusIndex) -> Value {
    json!({"status_list": {"idx": index.number(), "uri": status_uri(issuer)}})
}

impl Keeper {
    /// The place in the status list of what is made from a key as it is now. Ask before judging.
    pub(super) fn status_index(&self, found: &Found) -> StatusIndex {
        StatusIndex::of(found.key(), self.keyring.epoch(found))
    }

    /// A project's status list, signed. `NotFound` where the project signed nothing yet: no token is about.
    pub async fn status_list(&self, issuer: &Issuer) -> Result<Arc<str>, Refusal> {
        if !self.is_fresh() {
            return Err(Refusal::CannotKnow);
        }
        if issuer.has_no_key() {
            return Err(Refusal::NotFound(Noun::SigningKey));
        }
        if let Some(text) = self.kept_list(issuer.project) {
            return Ok(text);
        }
        let _turn = self.statuses.turn.lock().await;
        if let Some(text) = self.kept_list(issuer.project) {
            return Ok(text);
        }
        let (at, as_of, now) = (self.clock.elapsed(), self.keyring.changes(), self.now());
        let (keyring, project) = (Arc::clone(&self.keyring), issuer.project);
        let built =
            tokio::task::spawn_blocking(move || keyring.status_list(project, now).map(|list| compressed(&list)));
        let compressed = built.await.ok().flatten().ok_or(Refusal::NotFound(Noun::Project))?;
        let claims = claims(issuer, &compressed, now).to_string();
        let text: Arc<str> = self.sign(issuer, STATUS_LIST, claims.as_bytes()).await?.into();
        let kept = Kept {
            text: Arc::clone(&text),
            at,
            as_of,
        };
        let mut all = self.statuses.kept();
        if all.len() >= LISTS_KEPT_MAX {
            all.clear();
        }
        all.insert(project, Arc::new(kept));
        Ok(text)
    }

    fn kept_list(&self, project: ProjectId) -> Option<Arc<str>> {
        let kept = self.statuses.kept().get(&project).map(Arc::clone)?;
        let age = self.clock.elapsed().saturating_sub(kept.at);
        let ttl = Duration::from_millis(STATUS_TTL.ms());
        let same = kept.as_of == self.keyring.changes();
        (age < BUILT_APART || same && age < ttl).then(|| Arc::clone(&kept.text))
    }

    /// Takes in what changed before the start: tokens from then are still about.
    pub(super) async fn recollect(&self, seen: EventNumber) -> Result<(), StoreError> {
        let now = self.now();
        let since = now.minus(TURNS_KEPT);
        let page = u64::try_from(Limit::LARGEST.entries()).unwrap_or(1);
        let mut pages: Vec<Vec<FeedEntry>> = Vec::new();
        let (mut next, mut entries) = (seen.0, 0);
        while next > 0 {
            let from = next.saturating_sub(page);
            let mut found = self.store.feed(EventNumber(from), Limit::LARGEST).await?;
            found.retain(|entry| entry.number.0 <= next);
            let whole = found.iter().any(|entry| entry.at < since);
            entries += found.len();
            pages.push(found);
            if whole {
                break;
            }
            if entries >= TURNS_MAX {
                self.keyring.begin_blind(now);
                return Ok(());
            }
            next = from;
        }
        let entries = pages.into_iter().rev().flatten();
        let past: Vec<Past> = entries
            .flat_map(|entry| {
                let touched = entry.touched.into_iter();
                touched.flat_map(move |touched| self.past(touched, entry.at))
            })
            .collect();
        self.keyring.begin_turns(&past, now);
        Ok(())
    }

    fn past(&self, touched: Touched, at: Moment) -> Vec<Past> {
        let Touched { project, noun, id } = touched;
        let directory = self.keyring.directory();
        let record = directory.record(noun, id).map(AsRef::as_ref);
        match (noun, record) {
            (Noun::Key, _) => {
                let id = KeyId::from_uuid(id);
                vec![Past::Key { id, project, at }]
            }
            (Noun::Token, Some(Record::Token(token))) => vec![Past::Recall {
                parent: token.parent,
                to: token.expires_at,
                at,
            }],
            (Noun::Role, Some(Record::Role(role))) if role.revision.number() > 1 => directory
                .holders(role.id)
                .map(|owner| Past::Owner { owner, at })
                .collect(),
            (Noun::User | Noun::Team | Noun::Service, Some(record)) if record.revision().number() > 1 => record
                .owner()
                .map(|owner| Past::Owner { owner, at })
                .into_iter()
                .collect(),
            // An owner that is gone took its keys with it, and those were touched too.
            _ => Vec::new(),
        }
    }
}

/// The list as it stands in `lst`.
///
/// Between the few bytes that say something there are nothing but zeros, and those have no order: to look for anything but runs
/// takes ten times as long and finds less.
pub fn compressed(list: &StatusList) -> String {
    let bytes = list.as_bytes();
    let mut room = vec![0; compress_bound(bytes.len())];
    let runs = DeflateConfig {
        strategy: Strategy::Rle,
        ..DeflateConfig::default()
    };
    // In as much room as is ever needed, it does not fail.
    let (packed, _) = compress_slice(&mut room, bytes, runs);
    URL_SAFE_NO_PAD.encode(packed)
}

fn claims(issuer: &Issuer, compressed: &str, now: Moment) -> Value {
    let seconds = now.ms().div_euclid(1_000);
    json!({
        "iss": &*issuer.name,
        "sub": status_uri(issuer),
        "iat": seconds,
        "exp": now.plus(STATUS_BELIEVED).ms().div_euclid(1_000),
        "ttl": STATUS_TTL.ms() / 1_000,
        "status_list": {
            "bits": STATUS_BITS,
            "lst": compressed,
            "aggregation_uri": status_lists_uri(issuer),
        },
    })
}
