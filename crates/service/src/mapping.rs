//! Types that a user gives fields of a connector's index.

use connectors_es_client::protocol_index::Stored;
use connectors_protocol::PartialDocument;
use connectors_protocol::connector::ConnectorDocument;
use connectors_protocol::index_mapping::{IndexMapping, InvalidMapping};
use serde_json::{Value, json};

use crate::service::{Service, ServiceError};

impl Service {
    /// Changes the types that a connector's fields get when an index is made for it. What cannot be is refused, and nothing
    /// is written.
    pub async fn change_mapping(
        &self,
        id: &str,
        mut change: impl FnMut(&mut IndexMapping) -> Result<(), InvalidMapping>,
    ) -> Result<Stored<ConnectorDocument>, ServiceError> {
        self.connector(id).await?;
        let mut refused = None;
        let written = self
            .shared
            .connectors
            .update(id, |connector| {
                let mut mapping = connector.index_mapping.clone().unwrap_or_default();
                if let Err(error) = change(&mut mapping) {
                    refused = Some(ServiceError::Setup(error.to_string()));
                    return None;
                }
                let mapping = if mapping.is_empty() { Value::Null } else { json!(mapping) };
                Some(PartialDocument::from_iter([("index_mapping".to_owned(), mapping)]))
            })
            .await?;
        refused.map_or(Ok(written), Err)
    }

    /// Whether there is an index already, which keeps the types it has until it is rebuilt.
    pub async fn index_is_there(&self, connector: &ConnectorDocument) -> Result<bool, ServiceError> {
        match &connector.index_name {
            Some(index) => Ok(self.shared.client.index_exists(index).await?),
            None => Ok(false),
        }
    }
}
