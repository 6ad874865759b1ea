//! The connector document: one connection between a data source and a content index.

mod features;
mod scheduling;
mod status;
mod updates;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use features::{FeatureFlags, Features};
pub use scheduling::{DEFAULT_INTERVAL, ScheduleEntry, Scheduling};
pub use status::{ConnectorStatus, IllegalConnectorTransition};
pub use updates::{JOB_NOT_FOUND, SourceDefinition, SyncStartError, UNKNOWN_ERROR};

use crate::Extra;
use crate::configuration::RawConfiguration;
use crate::filtering::Filtering;
use crate::index_mapping::IndexMapping;
use crate::lenient::null_as_default;
use crate::pipeline::Pipeline;
use crate::sync_job::JobStatus;

/// A document of `.elastic-connectors`; its `_id` is the connector id. Null and absent mean the same everywhere.
/// `Debug` shows names and states only: configuration, cursor and unknown fields may hold secrets.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectorDocument {
    /// Id of the API key made for this connector.
    pub api_key_id: Option<String>,
    /// Id of the connector secret that stores the API key.
    pub api_key_secret_id: Option<String>,
    /// Rich configurable fields.
    #[serde(deserialize_with = "null_as_default")]
    pub configuration: RawConfiguration,
    /// Schedules with configuration overrides; kept for other writers, never read.
    pub custom_scheduling: Value,
    /// Free text of the user.
    pub description: Option<String>,
    /// What is wrong with the connector now.
    pub error: Option<String>,
    /// Optional abilities of the connector.
    #[serde(deserialize_with = "null_as_default")]
    pub features: Features,
    /// Sync rules, active and draft, one entry for each domain.
    #[serde(deserialize_with = "null_as_default")]
    pub filtering: Filtering,
    /// Types that a user gave fields of the content index, for when it is made. A field of ours: others keep it and do not
    /// read it, for the mapping of the connectors' index leaves out what it does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_mapping: Option<IndexMapping>,
    /// Content index.
    pub index_name: Option<String>,
    /// Whether Elastic runs the connector.
    #[serde(deserialize_with = "null_as_default")]
    pub is_native: bool,
    /// Language of the content index's analyzers, as a two-letter code; null for any.
    pub language: Option<String>,
    /// Error of the last access control sync.
    pub last_access_control_sync_error: Option<String>,
    /// When an access control sync was last scheduled.
    #[serde(with = "crate::timestamp::option")]
    pub last_access_control_sync_scheduled_at: Option<Timestamp>,
    /// Status of the last access control sync.
    pub last_access_control_sync_status: Option<JobStatus>,
    /// Documents the last job deleted.
    pub last_deleted_document_count: Option<u64>,
    /// When an incremental sync was last scheduled.
    #[serde(with = "crate::timestamp::option")]
    pub last_incremental_sync_scheduled_at: Option<Timestamp>,
    /// Documents the last job indexed.
    pub last_indexed_document_count: Option<u64>,
    /// When a service last checked in for this connector.
    #[serde(with = "crate::timestamp::option")]
    pub last_seen: Option<Timestamp>,
    /// Error of the last content sync.
    pub last_sync_error: Option<String>,
    /// When a full sync was last scheduled.
    #[serde(with = "crate::timestamp::option")]
    pub last_sync_scheduled_at: Option<Timestamp>,
    /// Status of the last content sync.
    pub last_sync_status: Option<JobStatus>,
    /// When the last sync ended.
    #[serde(with = "crate::timestamp::option")]
    pub last_synced: Option<Timestamp>,
    /// Name shown to people.
    pub name: Option<String>,
    /// Ingest pipeline settings.
    #[serde(deserialize_with = "null_as_default")]
    pub pipeline: Pipeline,
    /// When syncs run by themselves.
    #[serde(deserialize_with = "null_as_default")]
    pub scheduling: Scheduling,
    /// Which source reads the data.
    pub service_type: Option<String>,
    /// Where the connector is in its life.
    #[serde(deserialize_with = "null_as_default")]
    pub status: ConnectorStatus,
    /// Where the next incremental sync starts; its shape is the source's.
    pub sync_cursor: Option<Value>,
    /// Soft deletion by the connector API; absent in the index otherwise.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl fmt::Debug for ConnectorDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectorDocument")
            .field("name", &self.name)
            .field("index_name", &self.index_name)
            .field("service_type", &self.service_type)
            .field("status", &self.status)
            .field("error", &self.error)
            .field("last_sync_status", &self.last_sync_status)
            .field("configuration", &self.configuration)
            .finish_non_exhaustive()
    }
}

impl ConnectorDocument {
    /// A connector nobody has configured yet: protocol defaults, empty sync rules, all schedules off.
    pub fn new(
        service_type: Option<&str>,
        index_name: Option<&str>,
        name: Option<&str>,
        now: Timestamp,
    ) -> Self {
        Self {
            custom_scheduling: Value::Object(serde_json::Map::new()),
            filtering: Filtering::initial(now),
            index_name: index_name.map(str::to_owned),
            name: name.map(str::to_owned),
            service_type: service_type.map(str::to_owned),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
