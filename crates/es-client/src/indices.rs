//! Index management.

use connectors_transport::Method;
use serde_json::Value;

use crate::client::{EsClient, EsRequest};
use crate::error::EsError;
use crate::path::path;

impl EsClient {
    /// Whether an index or alias of this name is there.
    pub async fn index_exists(&self, index: &str) -> Result<bool, EsError> {
        self.exists(&path([index])).await
    }

    /// Creates an index from `settings`, `mappings` and `aliases` unless something of that name is there; tells whether
    /// it did. What is there is left as it is.
    pub async fn ensure_index(&self, index: &str, body: &Value) -> Result<bool, EsError> {
        // Asked first, because creating needs a privilege that a connector's key need not have.
        if self.index_exists(index).await? { Ok(false) } else { self.create_index(index, body).await }
    }

    /// Creates an index that was not there a moment ago; tells whether it was made now.
    pub async fn create_index(&self, index: &str, body: &Value) -> Result<bool, EsError> {
        match self.request(Method::PUT, &path([index]), &[], Some(body)).await {
            Ok(_) => Ok(true),
            // Another worker was quicker, or our own first attempt had succeeded and its answer was lost.
            Err(error) if error.is_already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes an index; tells whether it was there.
    pub async fn delete_index(&self, index: &str) -> Result<bool, EsError> {
        match self.request(Method::DELETE, &path([index]), &[], None).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes the documents that searches see and a query matches, and lets searches see that they are gone; tells how
    /// many were deleted. Documents that somebody writes meanwhile stay. An error when a document could not be deleted.
    pub async fn delete_by_query(&self, index: &str, query: &Value) -> Result<u64, EsError> {
        let request = EsRequest::new(Method::POST, path([index, "_delete_by_query"]))
            .query("refresh", "true")
            .query("conflicts", "proceed")
            .json(&serde_json::json!({ "query": query }));
        let answer = self.send(request).await?;
        let body: Value = answer.json()?;
        let failures = body["failures"].as_array().map_or(0, Vec::len);
        if failures > 0 || body["timed_out"] == true {
            return Err(answer.invalid("not all documents could be deleted: try again"));
        }
        body["deleted"]
            .as_u64()
            .ok_or_else(|| answer.invalid("the answer does not say how many were deleted"))
    }

    /// Makes everything written so far visible to searches.
    pub async fn refresh(&self, index: &str) -> Result<(), EsError> {
        self.request(Method::POST, &path([index, "_refresh"]), &[], None).await.map(drop)
    }

    /// Number of documents that searches see, of all or of those a query (`{"match_all": {}}`, …) matches. An error when
    /// a shard could not count.
    pub async fn count(&self, index: &str, query: Option<&Value>) -> Result<u64, EsError> {
        let mut request = EsRequest::new(Method::POST, path([index, "_count"]));
        if let Some(query) = query {
            request = request.json(&serde_json::json!({ "query": query }));
        }
        let answer = self.send(request).await?;
        let body: Value = answer.json()?;
        if body["_shards"]["failed"].as_u64().unwrap_or(0) > 0 {
            return Err(answer.invalid("some shards did not answer, so the count would be too low"));
        }
        body["count"].as_u64().ok_or_else(|| answer.invalid("the answer has no count"))
    }
}
