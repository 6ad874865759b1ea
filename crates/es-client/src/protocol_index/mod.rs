//! The connector protocol's two indices, typed.
//!
//! [`ConnectorIndex`] and [`SyncJobIndex`] read and write the documents of `connectors-protocol`. That crate decides
//! *what* to write (a [`PartialDocument`] for each transition); here it is written so that nothing is lost when several
//! services, Kibana and people write the same document: a document is read, changed, and replaced only if nobody wrote
//! it since ([`write_guarded`](ProtocolIndex::write_guarded)); or, where the change holds whatever else happened, read
//! and changed again a few times ([`write`](ProtocolIndex::write), [`update`](ProtocolIndex::update)).
//!
//! Documents are replaced and not merged by the server, because its merge would keep the former content of objects such
//! as `sync_cursor` or `features`; [`connectors_protocol::merge`] says what merges.

mod connectors;
mod jobs;

use std::fmt;
use std::marker::PhantomData;

use connectors_protocol::connector::ConnectorDocument;
use connectors_protocol::sync_job::SyncJobDocument;
use connectors_protocol::{PartialDocument, indices, merge};
use connectors_transport::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::bulk::Refresh;
use crate::client::EsClient;
use crate::documents::{Guard, StoredDocument, WriteOptions};
use crate::error::EsError;
use crate::path::path;

pub use jobs::JobPage;

/// The connector documents.
pub type ConnectorIndex = ProtocolIndex<ConnectorDocument>;
/// The sync job documents.
pub type SyncJobIndex = ProtocolIndex<SyncJobDocument>;

/// How often a document is read and changed again when others wrote it in between.
const TRIES: usize = 3;
/// Documents per page of a search: a service asks for its connectors at every turn, and should get them with one request.
const PAGE: usize = 1000;
/// Elasticsearch's limit of `from` + `size`.
const WINDOW: usize = 10_000;

/// A document type of the protocol and where it is kept.
pub trait ProtocolDocument: Serialize + DeserializeOwned + Send + Sync {
    /// The alias all requests go to.
    const ALIAS: &'static str;
    /// The index behind it.
    const CONCRETE: &'static str;
    /// Body of the request that creates the index.
    fn index_body() -> Value;
}

impl ProtocolDocument for ConnectorDocument {
    const ALIAS: &'static str = indices::CONNECTORS_INDEX;
    const CONCRETE: &'static str = indices::CONCRETE_CONNECTORS_INDEX;

    fn index_body() -> Value {
        indices::connectors_index_body()
    }
}

impl ProtocolDocument for SyncJobDocument {
    const ALIAS: &'static str = indices::JOBS_INDEX;
    const CONCRETE: &'static str = indices::CONCRETE_JOBS_INDEX;

    fn index_body() -> Value {
        indices::jobs_index_body()
    }
}

/// A document as it was read, with what a guarded write needs. `Debug` shows what the document's own `Debug` does.
#[derive(Clone, PartialEq)]
pub struct Stored<T> {
    /// Its id.
    pub id: String,
    /// Its fields, understood.
    pub document: T,
    guard: Guard,
    /// Its fields as stored: a write changes these, so that what this version cannot express stays as it is.
    source: Map<String, Value>,
}

impl<T: fmt::Debug> fmt::Debug for Stored<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stored")
            .field("id", &self.id)
            .field("document", &self.document)
            .finish_non_exhaustive()
    }
}

/// One of the protocol's indices: [`ConnectorIndex`] or [`SyncJobIndex`]. Cloning is cheap.
#[derive(Debug)]
pub struct ProtocolIndex<T> {
    client: EsClient,
    document: PhantomData<fn() -> T>,
}

impl<T> Clone for ProtocolIndex<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), document: PhantomData }
    }
}

impl<T: ProtocolDocument> ProtocolIndex<T> {
    /// The index on the cluster of `client`. Makes no request.
    pub fn new(client: EsClient) -> Self {
        Self { client, document: PhantomData }
    }

    /// Creates the index and its alias where they are missing. Several services may do so at the same time. What is
    /// there is left as it is.
    pub async fn ensure(&self) -> Result<(), EsError> {
        if self.client.index_exists(T::ALIAS).await? {
            return Ok(());
        }
        match self.client.ensure_index(T::CONCRETE, &T::index_body()).await {
            Ok(true) => Ok(()),
            // It was there without its alias, which another implementation leaves to an index template.
            Ok(false) => self.add_alias().await,
            // Somebody wrote through the alias name meanwhile, which created an index of that name.
            Err(error) => match self.client.index_exists(T::ALIAS).await {
                Ok(true) => Ok(()),
                _ => Err(error),
            },
        }
    }

    async fn add_alias(&self) -> Result<(), EsError> {
        let actions = json!({"actions": [{"add": {"index": T::CONCRETE, "alias": T::ALIAS}}]});
        self.client.request(Method::POST, "/_aliases", &[], Some(&actions)).await.map(drop)
    }

    /// Reads a document, as of its last write; none if it is not there.
    pub async fn get(&self, id: &str) -> Result<Option<Stored<T>>, EsError> {
        self.client.get_document(T::ALIAS, id).await?.map(read).transpose()
    }

    /// Writes a new document under an id of our choice, and returns it as it is stored. Searches see it at once.
    pub async fn create(&self, document: &T) -> Result<Stored<T>, EsError> {
        // The server would pick an id as well, but then a request whose answer is lost could not be repeated safely.
        self.create_with_id(&uuid::Uuid::new_v4().to_string(), document).await
    }

    /// As [`create`](Self::create), but searches see it only after the next refresh: for many at once, and for what is read by its id.
    pub async fn create_unseen(&self, document: &T) -> Result<Stored<T>, EsError> {
        self.create_as(&uuid::Uuid::new_v4().to_string(), document, Refresh::No).await
    }

    /// Lets searches see everything written so far.
    pub async fn refresh(&self) -> Result<(), EsError> {
        self.client.refresh(T::ALIAS).await
    }

    /// Writes a new document; a conflict ([`EsError::is_conflict`]) if the id is taken. Searches see it at once.
    pub async fn create_with_id(&self, id: &str, document: &T) -> Result<Stored<T>, EsError> {
        self.create_as(id, document, Refresh::Now).await
    }

    async fn create_as(&self, id: &str, document: &T, refresh: Refresh) -> Result<Stored<T>, EsError> {
        let body = to_value(document)?;
        match self.client.create_document(T::ALIAS, id, &body, refresh).await {
            Ok(written) => {
                let Value::Object(source) = body else {
                    return Err(EsError::invalid_answer("the document is no JSON object"));
                };
                read(StoredDocument { id: id.to_owned(), guard: written.guard, source })
            }
            Err(error) if error.is_conflict() => {
                // Ours after all, if the answer to the first attempt was lost.
                let stored = self.client.get_document(T::ALIAS, id).await?;
                let ours = stored.filter(|stored| Some(&stored.source) == body.as_object());
                ours.map_or(Err(error), read)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes `partial` only if nobody wrote the document since `stored` was read; `None` if somebody did. Returns the
    /// document as it is now.
    pub async fn write_guarded(
        &self,
        stored: &Stored<T>,
        partial: &PartialDocument,
    ) -> Result<Option<Stored<T>>, EsError> {
        let mut source = stored.source.clone();
        merge(&mut source, partial.clone());
        let body = Value::Object(source.clone());
        let options = WriteOptions { guard: Some(stored.guard), refresh: Refresh::No };
        match self.client.index_document(T::ALIAS, Some(&stored.id), &body, options).await {
            Ok(written) => {
                read(StoredDocument { id: stored.id.clone(), guard: written.guard, source }).map(Some)
            }
            Err(error) if error.is_conflict() => {
                // A repeated request conflicts with its own first attempt when that one's answer was lost.
                let found = self.client.get_document(T::ALIAS, &stored.id).await?;
                found.filter(|found| found.source == source).map(read).transpose()
            }
            Err(error) => Err(error),
        }
    }

    /// Writes `partial` whatever else was written: for changes that hold in any state, such as a sign of life. Returns
    /// the document as it is now. An error if it does not exist, or if others keep writing it.
    pub async fn write(&self, id: &str, partial: &PartialDocument) -> Result<Stored<T>, EsError> {
        self.update(id, |_| Some(partial.clone())).await
    }

    /// As [`write`](Self::write), without reading the document first: a request less where nobody wrote it since `stored` was read.
    pub async fn write_from(
        &self,
        stored: &Stored<T>,
        partial: &PartialDocument,
    ) -> Result<Stored<T>, EsError> {
        match self.write_guarded(stored, partial).await? {
            Some(written) => Ok(written),
            None => self.write(&stored.id, partial).await,
        }
    }

    /// Reads a document, lets `decide` say what to write in its present state, and writes that if the document is still
    /// in that state; otherwise again, three times in all. `None` from `decide` writes nothing. Returns the document as
    /// it is now.
    pub async fn update(
        &self,
        id: &str,
        mut decide: impl FnMut(&T) -> Option<PartialDocument>,
    ) -> Result<Stored<T>, EsError> {
        for _ in 0..TRIES {
            let Some(stored) = self.get(id).await? else {
                return Err(self.failed(id, "the document does not exist (any more)"));
            };
            let Some(partial) = decide(&stored.document) else { return Ok(stored) };
            if let Some(written) = self.write_guarded(&stored, &partial).await? {
                return Ok(written);
            }
        }
        Err(self.failed(id, "others wrote the document each time it was to be changed"))
    }

    /// Deletes a document; tells whether it was there.
    pub async fn delete(&self, id: &str) -> Result<bool, EsError> {
        let options = WriteOptions { guard: None, refresh: Refresh::Now };
        self.client.delete_document(T::ALIAS, id, options).await
    }

    fn failed(&self, id: &str, reason: &str) -> EsError {
        EsError::invalid_answer(reason)
            .of_request(&Method::PUT, &path([T::ALIAS, "_doc", id]))
            .at(self.client.address())
    }

    /// All documents a query finds, up to Elasticsearch's limit of 10,000. A document that cannot be read is skipped with
    /// a warning, so that one broken connector does not stop all others.
    async fn find(&self, query: &Value, sort: &Value) -> Result<Vec<Stored<T>>, EsError> {
        let mut found = Vec::new();
        for from in (0..WINDOW).step_by(PAGE) {
            let page = self.page(query, sort, from, PAGE).await?;
            let last = page.hits < PAGE;
            found.extend(page.documents);
            if last {
                break;
            }
        }
        Ok(found)
    }

    async fn page(&self, query: &Value, sort: &Value, from: usize, size: usize) -> Result<Page<T>, EsError> {
        let body = json!({
            "query": query,
            "sort": sort,
            "from": from,
            "size": size,
            "seq_no_primary_term": true,
            "track_total_hits": true,
        });
        let page = self.client.search(T::ALIAS, &body, &[]).await?;
        let hits = page.hits.len();
        let mut documents = Vec::with_capacity(hits);
        for hit in page.hits {
            let Some(guard) = hit.guard() else {
                return Err(self.failed(&hit.id, "the search did not answer with the document's state"));
            };
            match read(StoredDocument { id: hit.id, guard, source: hit.source }) {
                Ok(stored) => documents.push(stored),
                Err(error) => tracing::warn!("skipped: {error}"),
            }
        }
        Ok(Page { documents, hits, total: page.total.map_or(0, |total| total.value) })
    }
}

/// One page of a search.
struct Page<T> {
    documents: Vec<Stored<T>>,
    /// Documents on the page, those that could not be read included.
    hits: usize,
    /// Documents that match.
    total: u64,
}

fn to_value<T: ProtocolDocument>(document: &T) -> Result<Value, EsError> {
    serde_json::to_value(document)
        .map_err(|error| EsError::invalid_answer(format!("the document cannot be written as JSON: {error}")))
}

fn read<T: ProtocolDocument>(stored: StoredDocument) -> Result<Stored<T>, EsError> {
    let StoredDocument { id, guard, source } = stored;
    if let Ok(document) = T::deserialize(&source) {
        return Ok(Stored { id, document, guard, source });
    }
    let fields = unreadable_fields::<T>(&source).join(", ");
    let reason = format!("the stored document cannot be read: see its fields {fields}");
    Err(EsError::invalid_answer(reason).of_request(&Method::GET, &path([T::ALIAS, "_doc", &id])))
}

/// Names of the fields that keep a document from being read. The values, which serde's messages quote, may be secrets.
fn unreadable_fields<T: ProtocolDocument>(source: &Map<String, Value>) -> Vec<&str> {
    let without: Map<String, Value> = Map::new();
    let missing = T::deserialize(&without).is_err();
    let fields = source.iter().filter(|(name, value)| {
        let mut alone = without.clone();
        if missing {
            // The one field a document cannot be without.
            alone.insert("status".to_owned(), "pending".into());
        }
        alone.insert((*name).clone(), (*value).clone());
        T::deserialize(&alone).is_err()
    });
    let mut names: Vec<&str> = fields.map(|(name, _)| name.as_str()).collect();
    if missing && !source.contains_key("status") {
        names.push("status");
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(source: Value) -> StoredDocument {
        let Value::Object(source) = source else { panic!("not an object: {source}") };
        StoredDocument { id: "a/1".into(), guard: Guard { seq_no: 1, primary_term: 1 }, source }
    }

    #[test]
    fn a_document_that_cannot_be_read_names_its_fields_and_no_value() {
        let broken = json!({"status": "pending", "last_seen": "hunter2", "error": ["hunter2"], "worker_hostname": "h"});
        let error = read::<SyncJobDocument>(stored(broken)).unwrap_err().to_string();
        assert!(error.contains("last_seen, error"), "{error}");
        assert!(error.contains("/.elastic-connectors-sync-jobs/_doc/a%2F1"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");

        let error = read::<SyncJobDocument>(stored(json!({"error": null}))).unwrap_err().to_string();
        assert!(error.contains("fields status"), "{error}");
        let error = read::<SyncJobDocument>(stored(json!({"status": "odd"}))).unwrap_err().to_string();
        assert!(error.contains("fields status"), "{error}");
        let error = read::<ConnectorDocument>(stored(json!({"pipeline": 1}))).unwrap_err().to_string();
        assert!(error.contains("fields pipeline"), "{error}");
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = json!({"status": "pending", "connector": {"configuration": {"password": "hunter2"}}, "x": "hunter2"});
        let shown = format!("{:?}", read::<SyncJobDocument>(stored(secret)).unwrap());
        assert!(shown.contains("a/1") && !shown.contains("hunter2"), "{shown}");
    }
}
