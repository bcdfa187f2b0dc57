//! Stored keys that were read lately: what people call a verified key is told without asking the store each time.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwapOption;
use keyholt_core::actor::{Actor, ReadKeys};
use keyholt_core::commit::Revision;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Key;
use keyholt_core::scope::Access;
use serde_json::{Map, Value};

use super::keys::no_session;
use super::{Keeper, Refusal};
use crate::keyring::ring::Integrity;

/// How many keys are remembered at most.
const PLACES: usize = 1 << 14;
/// Most bytes that a record takes which is remembered, beyond the same few hundred for each: 75 MB if all take that many.
const BYTES_MAX: usize = 4 << 10;

/// Keys as they are stored, each in the one place that its id names, until another one takes it.
///
/// A record is good as long as the keyring's row shows the revision that it has: no change leaves the revision as it was. So
/// nothing here grows old by itself, and nobody has to take anything out. On a node of several it is as fresh as the keyring,
/// which is `staleness.max` behind at most: as fresh as the verdict beside which it is told.
pub(super) struct RememberedKeys {
    places: LazyLock<Box<[ArcSwapOption<Key>]>>,
}

impl RememberedKeys {
    pub(super) fn new() -> Self {
        Self {
            places: LazyLock::new(|| (0..PLACES).map(|_| ArcSwapOption::empty()).collect()),
        }
    }

    fn find(&self, id: KeyId, revision: Revision) -> Option<Arc<Key>> {
        let held = self.place(id)?.load();
        let key = held.as_ref()?;
        (key.id == id && key.revision == revision).then(|| Arc::clone(key))
    }

    fn put(&self, key: &Arc<Key>) {
        if bytes_of(key) <= BYTES_MAX
            && let Some(place) = self.place(key.id)
        {
            place.store(Some(Arc::clone(key)));
        }
    }

    fn place(&self, id: KeyId) -> Option<&ArcSwapOption<Key>> {
        // The end of an id is random.
        let [.., high, low] = *id.uuid().as_bytes();
        self.places.get(usize::from(u16::from_be_bytes([high, low])) % PLACES)
    }
}

/// About how many bytes a record takes where its maker decides how many. The length of the text would not tell: `{"a":1}`
/// takes a hundred times as many.
fn bytes_of(key: &Key) -> usize {
    /// A node of a tree, which has room for eleven entries.
    const NODE: usize = 640;
    /// An entry where nodes are half full.
    const ENTRY: usize = 112;
    fn of_value(value: &Value) -> usize {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(|item| size_of::<Value>() + of_value(item)).sum(),
            Value::Object(map) => of_map(map),
        }
    }
    fn of_map(map: &Map<String, Value>) -> usize {
        let entries = map.iter().map(|(name, value)| ENTRY + name.len() + of_value(value));
        entries.fold(if map.is_empty() { 0 } else { NODE }, usize::saturating_add)
    }
    let scopes = match &key.access {
        Access::Everything => 0,
        Access::Only(scopes) => scopes.iter().map(|scope| ENTRY + scope.as_str().len()).sum(),
    };
    let tags: usize = key.about.tags.iter().map(|tag| ENTRY + tag.as_str().len()).sum();
    let bounds = key.at_rest().bounds.len();
    let description = key.about.description.as_str().len();
    of_map(key.about.metadata.as_map()) + scopes + tags + 2 * bounds + description
}

impl Keeper {
    /// A key that was just verified, for whoever may read it; its last use is not looked up.
    pub async fn verified_key(&self, actor: &Actor, project: ProjectId, id: KeyId) -> Result<Arc<Key>, Refusal> {
        let read = async {
            no_session(match self.remembered(project, id) {
                Some(key) => key,
                None => self.remember(self.stored(project, id).await?),
            })
        };
        self.reached::<ReadKeys, _>(actor, project, read)
            .await
            .map_err(|(refusal, _)| refusal)
    }

    /// The record of a verified key, for verifiers that ask what its holder called it; `None` for one that is gone.
    pub async fn about(&self, project: ProjectId, id: KeyId) -> Result<Option<Arc<Key>>, Refusal> {
        if let Some(key) = self.remembered(project, id) {
            return Ok(Some(key));
        }
        let Some((key, seal)) = self.store.key(project, id).await? else {
            return Ok(None);
        };
        // What people call a key is not sealed: it is told of a changed row too, beside the verdict that says so.
        Ok(Some(match key.clone().opened(&self.seals.believed(), &seal) {
            Some((key, _)) => self.remember(key),
            None => Arc::new(key),
        }))
    }

    /// The record of a key as the keyring knows it, where it is remembered.
    ///
    /// SECURITY: the row is asked first, so what is remembered of a key that is gone or whose row is not as Keyholt wrote it
    /// is of use to nobody.
    fn remembered(&self, project: ProjectId, id: KeyId) -> Option<Arc<Key>> {
        let found = self.keyring.find_key(id)?;
        if found.integrity() == Integrity::Broken {
            return None;
        }
        let key = self.remembered.find(id, found.revision())?;
        (key.project == project).then_some(key)
    }

    /// Takes in a key whose seal was found good.
    fn remember(&self, key: Key) -> Arc<Key> {
        let key = Arc::new(key);
        self.remembered.put(&key);
        key
    }
}
