//! Elasticsearch's connector API, for what holds whatever else was written meanwhile: signs of life and figures. Each is one
//! request, where the protocol's indices take a read and a guarded write.
//! <https://www.elastic.co/docs/api/doc/elasticsearch/group/endpoint-connector>

use connectors_protocol::PartialDocument;
use connectors_transport::Method;
use serde_json::{Value, json};

use crate::client::{EsClient, EsRequest};
use crate::error::EsError;
use crate::path::path;

impl EsClient {
    /// Says that a service serves this connector: its `last_seen` becomes now.
    pub async fn check_in_connector(&self, id: &str) -> Result<(), EsError> {
        let request = EsRequest::new(Method::PUT, path(["_connector", id, "_check_in"]));
        self.send(request).await.map(drop)
    }

    /// Replaces the figures of a running job. `stats` has the fields that
    /// [`SyncJobDocument::progress`](connectors_protocol::sync_job::SyncJobDocument::progress) makes, `last_seen` among them.
    pub async fn update_sync_job_stats(&self, id: &str, stats: &PartialDocument) -> Result<(), EsError> {
        let given = |field: &str| stats.get(field).filter(|value| !value.is_null()).cloned();
        let mut body = json!({});
        for field in ["indexed_document_count", "indexed_document_volume", "deleted_document_count"] {
            body[field] = given(field).unwrap_or_else(|| Value::from(0));
        }
        for field in ["last_seen", "total_document_count", "metadata"] {
            if let Some(value) = given(field) {
                body[field] = value;
            }
        }
        let request =
            EsRequest::new(Method::PUT, path(["_connector", "_sync_job", id, "_stats"])).json(&body);
        self.send(request).await.map(drop)
    }
}
