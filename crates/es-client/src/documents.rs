//! Single documents, with optimistic locking.

use connectors_transport::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::bulk::{BulkResult, Refresh};
use crate::client::{EsClient, EsRequest};
use crate::error::EsError;
use crate::path::path;

/// The state of a document that a write expects: it fails with 409 ([`EsError::is_conflict`]) if the document was
/// written since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guard {
    /// Number of the last write to the document.
    pub seq_no: u64,
    /// Term of the primary shard that did it.
    pub primary_term: u64,
}

/// A document as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDocument {
    /// Its id.
    pub id: String,
    /// Its state, for the next write.
    pub guard: Guard,
    /// Its fields.
    pub source: Map<String, Value>,
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Write only if the document is still in this state.
    ///
    /// A request is sent again when its answer was lost; if the first one had succeeded, the second one answers 409. So
    /// after a conflict a caller reads the document and decides by what it says.
    pub guard: Option<Guard>,
    /// Whether to wait until searches see it.
    pub refresh: Refresh,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The document's id: the server's choice when none was given.
    pub id: String,
    /// What happened.
    pub result: BulkResult,
    /// The document's new state.
    pub guard: Guard,
}

#[derive(Deserialize)]
struct WriteAnswer {
    #[serde(rename = "_id")]
    id: String,
    result: String,
    #[serde(rename = "_seq_no")]
    seq_no: u64,
    #[serde(rename = "_primary_term")]
    primary_term: u64,
}

#[derive(Deserialize)]
struct GetAnswer {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_seq_no")]
    seq_no: u64,
    #[serde(rename = "_primary_term")]
    primary_term: u64,
    #[serde(rename = "_source")]
    source: Map<String, Value>,
}

impl EsClient {
    /// Reads a document, as of its last write (also one that searches do not see yet); none if it is not there. A
    /// missing index is an error.
    pub async fn get_document(&self, index: &str, id: &str) -> Result<Option<StoredDocument>, EsError> {
        let request = EsRequest::new(Method::GET, path([index, "_doc", id])).accept(&[404]);
        let answer = self.send(request).await?;
        if answer.status == 404 {
            let body: Value = answer.json()?;
            return if body["found"] == json!(false) { Ok(None) } else { Err(answer.as_error(self)) };
        }
        let GetAnswer { id, seq_no, primary_term, source } = answer.json()?;
        Ok(Some(StoredDocument { id, guard: Guard { seq_no, primary_term }, source }))
    }

    /// Writes a whole document, replacing what was there. Without an id the server picks one, and the request is then
    /// sent again only if it surely was not run.
    pub async fn index_document(
        &self,
        index: &str,
        id: Option<&str>,
        document: &Value,
        options: WriteOptions,
    ) -> Result<Written, EsError> {
        let request = match id {
            Some(id) => EsRequest::new(Method::PUT, path([index, "_doc", id])),
            None => EsRequest::new(Method::POST, path([index, "_doc"])),
        };
        self.write(request.json(document), options).await
    }

    /// Writes a document that must not exist yet; 409 if it does.
    pub async fn create_document(
        &self,
        index: &str,
        id: &str,
        document: &Value,
        refresh: Refresh,
    ) -> Result<Written, EsError> {
        let request = EsRequest::new(Method::PUT, path([index, "_create", id])).json(document);
        self.write(request, WriteOptions { refresh, guard: None }).await
    }

    /// Merges fields into a document that must exist (404 otherwise).
    pub async fn update_document(
        &self,
        index: &str,
        id: &str,
        fields: &Value,
        options: WriteOptions,
    ) -> Result<Written, EsError> {
        let request =
            EsRequest::new(Method::POST, path([index, "_update", id])).json(&json!({ "doc": fields }));
        self.write(request, options).await
    }

    /// Deletes a document; tells whether it was there.
    pub async fn delete_document(
        &self,
        index: &str,
        id: &str,
        options: WriteOptions,
    ) -> Result<bool, EsError> {
        let request = EsRequest::new(Method::DELETE, path([index, "_doc", id]));
        match self.write(request, options).await {
            Ok(written) => Ok(written.result == BulkResult::Deleted),
            // The answer says so in its "result"; a missing index has an error type instead.
            Err(error) if error.is_not_found() && error.error_type().is_none() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, mut request: EsRequest, options: WriteOptions) -> Result<Written, EsError> {
        if let Some(guard) = options.guard {
            request = request
                .query("if_seq_no", guard.seq_no.to_string())
                .query("if_primary_term", guard.primary_term.to_string());
        }
        if let Some(refresh) = options.refresh.parameter() {
            request = request.query("refresh", refresh);
        }
        let answer: WriteAnswer = self.send(request).await?.json()?;
        let guard = Guard { seq_no: answer.seq_no, primary_term: answer.primary_term };
        Ok(Written { id: answer.id, result: BulkResult::parse(&answer.result), guard })
    }
}
