//! API keys: made, found, invalidated, and recognised.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::role::Role;
use crate::cluster::{Cluster, new_uuid};
use crate::error::{ApiError, Result};
use crate::http::access::{ApiKeys, same};

/// Section of the metadata that holds API keys.
const SECTION: &str = "api_key";
/// Realm of who makes keys on a node without credentials.
pub const ANONYMOUS_REALM: &str = "__anonymous";
/// How many of the searches a key left open are remembered to be its own.
const OPEN_SEARCHES: usize = 1000;

/// Who made a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// User name.
    pub username: String,
    /// Where the user is known.
    pub realm: String,
}

/// What is stored of a key. The secret is not among it, only a salted hash: it has 122 random bits, so that a fast hash
/// cannot be reversed by trying.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    name: String,
    salt: String,
    hash: String,
    creation: i64,
    expiration: Option<i64>,
    invalidation: Option<i64>,
    owner: Owner,
    metadata: Map<String, Value>,
    role_descriptors: Map<String, Value>,
}

/// One key.
pub struct ApiKey {
    /// Public part.
    pub id: String,
    record: RwLock<Record>,
    /// What it may do; `None` for all its owner may.
    pub role: Option<Role>,
    searches: Mutex<VecDeque<String>>,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ApiKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for ApiKey {}

impl ApiKey {
    fn record(&self) -> Record {
        self.record.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Name its maker gave it.
    pub fn name(&self) -> String {
        self.record().name
    }

    /// Who made it.
    pub fn owner(&self) -> Owner {
        self.record().owner
    }

    /// Whether it can still be used.
    pub fn is_active(&self) -> bool {
        let record = self.record();
        record.invalidation.is_none() && record.expiration.is_none_or(|end| end > now_ms())
    }

    /// Whether somebody ended it.
    pub fn is_invalidated(&self) -> bool {
        self.record().invalidation.is_some()
    }

    /// As `GET _security/api_key` shows it.
    pub fn shown(&self) -> Value {
        let record = self.record();
        let mut shown = json!({
            "id": self.id, "name": record.name, "type": "rest", "creation": record.creation,
        });
        if let Some(expiration) = record.expiration {
            shown["expiration"] = expiration.into();
        }
        shown["invalidated"] = record.invalidation.is_some().into();
        if let Some(invalidation) = record.invalidation {
            shown["invalidation"] = invalidation.into();
        }
        shown["username"] = record.owner.username.into();
        shown["realm"] = record.owner.realm.clone().into();
        shown["realm_type"] = record.owner.realm.into();
        shown["metadata"] = record.metadata.into();
        shown["role_descriptors"] = record.role_descriptors.into();
        shown
    }

    /// The key opened a scroll or point in time.
    pub fn opened(&self, search: &str) {
        let mut searches = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
        if searches.len() >= OPEN_SEARCHES {
            searches.pop_front();
        }
        searches.push_back(search.to_owned());
    }

    /// Whether it was this key that opened a scroll or point in time.
    pub fn has_opened(&self, search: &str) -> bool {
        self.searches.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|own| own == search)
    }
}

/// What a new key is to be.
#[derive(Debug)]
pub struct NewKey {
    /// Name; need not be unique.
    pub name: String,
    /// Lifetime in milliseconds; `None` for ever.
    pub lifetime_ms: Option<i64>,
    /// Who makes it.
    pub owner: Owner,
    /// Facts of its maker's.
    pub metadata: Map<String, Value>,
    /// What it may do; `None` for all its owner may.
    pub role: Option<Role>,
    /// The same as it is shown.
    pub role_descriptors: Map<String, Value>,
}

/// A key that was made; the only time its secret is known.
#[derive(Debug)]
pub struct MadeKey {
    /// Public part.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// When it ends, epoch milliseconds.
    pub expiration: Option<i64>,
}

/// All keys of a node. They are kept in the node's metadata, synced before they are answered.
#[derive(Debug)]
pub struct Keys {
    cluster: Arc<Cluster>,
    all: RwLock<HashMap<String, Arc<ApiKey>>>,
}

impl Keys {
    /// Reads the stored keys.
    ///
    /// # Errors
    /// 500 when they cannot be read.
    pub fn open(cluster: Arc<Cluster>) -> Result<Self> {
        let mut all = HashMap::new();
        for (id, value) in cluster.meta_section(SECTION)? {
            let record: Record = serde_json::from_value(value).map_err(ApiError::internal)?;
            all.insert(id.clone(), Arc::new(key(id, record)?));
        }
        Ok(Self { cluster, all: RwLock::new(all) })
    }

    /// Makes a key. Blocks.
    ///
    /// # Errors
    /// 500 when it cannot be saved.
    pub fn create(&self, new: NewKey) -> Result<MadeKey> {
        let (id, secret, salt) = (new_uuid(), new_uuid(), new_uuid());
        let creation = now_ms();
        let expiration = new.lifetime_ms.map(|lifetime| creation.saturating_add(lifetime));
        let record = Record {
            name: new.name,
            hash: hash(&salt, &secret),
            salt,
            creation,
            expiration,
            invalidation: None,
            owner: new.owner,
            metadata: new.metadata,
            role_descriptors: new.role_descriptors,
        };
        self.save(&id, &record)?;
        let key = ApiKey {
            id: id.clone(),
            record: RwLock::new(record),
            role: new.role,
            searches: Mutex::default(),
        };
        self.all.write().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Arc::new(key));
        Ok(MadeKey { id, secret, expiration })
    }

    fn save(&self, id: &str, record: &Record) -> Result<()> {
        self.cluster.put_meta(SECTION, id, &serde_json::to_value(record).map_err(ApiError::internal)?)
    }

    /// All keys, the oldest first.
    pub fn list(&self) -> Vec<Arc<ApiKey>> {
        let mut keys: Vec<_> =
            self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        keys.sort_by_cached_key(|key| (key.record().creation, key.id.clone()));
        keys
    }

    /// Ends a key's use. Blocks.
    ///
    /// # Errors
    /// 500 when it cannot be saved; then the key goes on.
    pub fn invalidate(&self, key: &ApiKey) -> Result<()> {
        // Held while it is saved: of two requests one ends the key, and the other finds it ended.
        let mut record = key.record.write().unwrap_or_else(PoisonError::into_inner);
        if record.invalidation.is_some() {
            return Ok(());
        }
        let mut ended = record.clone();
        ended.invalidation = Some(now_ms());
        self.save(&key.id, &ended)?;
        *record = ended;
        Ok(())
    }
}

impl ApiKeys for Keys {
    fn verify(&self, id: &str, secret: &str) -> std::result::Result<Arc<ApiKey>, String> {
        let found = self.all.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let key = found.ok_or_else(|| format!("unable to find apikey with id {id}"))?;
        let record = key.record();
        if !same(&record.hash, &hash(&record.salt, secret)) {
            return Err(format!("invalid credentials for API key [{id}]"));
        }
        if record.invalidation.is_some() {
            return Err(format!("api key [{id}] has been invalidated"));
        }
        // Asked only on a node with credentials. While it had none anybody could make keys, for anything.
        if record.owner.realm == ANONYMOUS_REALM {
            return Err(format!("api key [{id}] was made while the node had no credentials"));
        }
        if !key.is_active() {
            return Err("api key is expired".to_owned());
        }
        Ok(key)
    }
}

fn key(id: String, record: Record) -> Result<ApiKey> {
    let role = if record.role_descriptors.is_empty() {
        None
    } else {
        Some(Role::parse(&record.role_descriptors)?.0)
    };
    Ok(ApiKey { id, record: RwLock::new(record), role, searches: Mutex::default() })
}

fn hash(salt: &str, secret: &str) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(salt.as_bytes());
    context.update(secret.as_bytes());
    URL_SAFE_NO_PAD.encode(context.finish())
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
