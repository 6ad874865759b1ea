//! Finding connectors.

use connectors_protocol::connector::ConnectorDocument;
use connectors_protocol::filtering::{Filter, ValidationResult};
use serde_json::{Value, json};

use super::{ConnectorIndex, ProtocolDocument, Stored};
use crate::error::EsError;

/// Ids per page when all ids are read.
const ID_PAGE: usize = 1000;

impl ConnectorIndex {
    /// The connectors a service serves: those with one of these ids, and those that are not native and have one of these
    /// service types. Deleted ones are left out. Ordered by name, as far as they have one.
    pub async fn supported(
        &self,
        service_types: &[String],
        ids: &[String],
    ) -> Result<Vec<Stored<ConnectorDocument>>, EsError> {
        match served(service_types, ids) {
            Some(served) => self.not_deleted(&served).await,
            None => Ok(Vec::new()),
        }
    }

    /// Those that a service served until they were deleted, as far as their documents are still there: Kibana and
    /// `DELETE _connector/{id}` only mark them.
    pub async fn marked_as_deleted(
        &self,
        service_types: &[String],
        ids: &[String],
    ) -> Result<Vec<Stored<ConnectorDocument>>, EsError> {
        let Some(served) = served(service_types, ids) else { return Ok(Vec::new()) };
        let query = json!({"bool": {"filter": [served, {"term": {"deleted": true}}]}});
        self.find(&query, &json!(["_doc"])).await
    }

    /// All connectors that are not deleted.
    pub async fn all(&self) -> Result<Vec<Stored<ConnectorDocument>>, EsError> {
        self.not_deleted(&json!({"match_all": {}})).await
    }

    /// The connectors that write to a content index; more than one is a mistake somebody made.
    pub async fn by_index(&self, index_name: &str) -> Result<Vec<Stored<ConnectorDocument>>, EsError> {
        self.not_deleted(&json!({"term": {"index_name": index_name}})).await
    }

    async fn not_deleted(&self, query: &Value) -> Result<Vec<Stored<ConnectorDocument>>, EsError> {
        let query = json!({"bool": {"filter": [query], "must_not": [{"term": {"deleted": true}}]}});
        self.find(&query, &json!([{"name": {"order": "asc", "unmapped_type": "keyword"}}])).await
    }

    /// Ids of all connectors, deleted ones included.
    pub async fn ids(&self) -> Result<Vec<String>, EsError> {
        let mut scan = self.client.scan(<ConnectorDocument as ProtocolDocument>::ALIAS, ID_PAGE);
        let mut ids = Vec::new();
        while let Some(page) = scan.next_page().await? {
            ids.extend(page.iter().map(|hit| hit.document_id().to_owned()));
        }
        Ok(ids)
    }

    /// Writes the result of validating the draft sync rules `validated`, and puts the draft in force if it is valid.
    /// Returns none, and writes nothing, if the draft was edited or validated since: the result is not about it.
    pub async fn draft_validated(
        &self,
        id: &str,
        validated: &Filter,
        result: &ValidationResult,
    ) -> Result<Option<Stored<ConnectorDocument>>, EsError> {
        let mut same = true;
        let stored = self
            .update(id, |connector| {
                same = connector.filtering.edited_draft() == Some(validated);
                let filtering = same.then(|| connector.filtering.clone().with_draft_validated(result));
                filtering.map(|filtering| {
                    let mut partial = serde_json::Map::new();
                    partial.insert("filtering".to_owned(), json!(filtering));
                    partial
                })
            })
            .await?;
        Ok(same.then_some(stored))
    }
}

/// What finds the connectors a service serves; none: it serves none.
fn served(service_types: &[String], ids: &[String]) -> Option<Value> {
    let mut served = Vec::new();
    if !service_types.is_empty() {
        served.push(json!({"bool": {"filter": [
            {"terms": {"service_type": service_types}},
            {"term": {"is_native": false}},
        ]}}));
    }
    if !ids.is_empty() {
        served.push(json!({"ids": {"values": ids}}));
    }
    if served.is_empty() {
        return None;
    }
    Some(json!({"bool": {"should": served, "minimum_should_match": 1}}))
}
