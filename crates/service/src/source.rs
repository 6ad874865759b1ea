//! From a connector's service type and configuration to a source that can be asked.

use std::sync::Arc;

use connectors_es_client::protocol_index::Stored;
use connectors_protocol::configuration::{Configuration, RawConfiguration, simple_configuration};
use connectors_protocol::connector::{ConnectorDocument, Features};
use connectors_protocol::document_id;
use connectors_sdk::{DataSource, Limits, SourceContext, SourceDescriptor};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::service::{Service, ServiceError};

/// What a source is told beside its configuration.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// Whose source it is; none: of a connector that is not stored yet.
    pub connector_id: Option<String>,
    /// The connector's features.
    pub features: Features,
    /// Whether incremental syncs of the connector are scheduled.
    pub incremental: bool,
    /// Whether the job's pipeline extracts text from files.
    pub extract_binary_content: bool,
    /// Ends the source's work.
    pub cancel: CancellationToken,
}

impl Surroundings {
    /// Those of a stored connector, outside of a job.
    pub(crate) fn of(connector: &Stored<ConnectorDocument>) -> Self {
        Self {
            connector_id: Some(connector.id.clone()),
            features: connector.document.features.clone(),
            incremental: connector.document.scheduling.incremental.enabled,
            ..Self::default()
        }
    }
}

/// A connector id as the name of a folder: Elasticsearch allows any text as an id.
fn folder_name(id: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    if !id.is_empty() && id.len() <= 100 && id.chars().all(plain) {
        id.to_owned()
    } else {
        document_id::hash_id(id)
    }
}

impl Service {
    /// The source for a service type.
    pub fn descriptor(&self, service_type: &str) -> Result<&Arc<SourceDescriptor>, ServiceError> {
        self.shared.registry.get(service_type).ok_or_else(|| {
            let known: Vec<&str> =
                self.shared.registry.iter().map(|source| source.service_type.as_str()).collect();
            ServiceError::Setup(format!(
                "this service has no source for service type \"{service_type}\"; it has: {}",
                known.join(", ")
            ))
        })
    }

    /// Removes what the source keeps at the third party for a connector that is deleted. One that nobody could use yet has
    /// nothing there.
    pub async fn forget(&self, connector: &Stored<ConnectorDocument>) -> Result<(), ServiceError> {
        let document = &connector.document;
        let Some(service_type) = document.service_type.as_deref() else { return Ok(()) };
        if document.last_sync_status.is_none() || self.shared.registry.get(service_type).is_none() {
            return Ok(());
        }
        let descriptor = self.descriptor(service_type)?;
        let source = self.make_source(descriptor, &document.configuration, Surroundings::of(connector))?;
        Ok(source.forget().await?)
    }

    /// Checks a stored configuration and makes the source: field values, the source's own checks, and
    /// whether the third party answers.
    pub(crate) async fn open_source(
        &self,
        descriptor: &SourceDescriptor,
        stored: &RawConfiguration,
        of: Surroundings,
    ) -> Result<Box<dyn DataSource>, ServiceError> {
        let source = self.make_source(descriptor, stored, of)?;
        source.validate().await?;
        source.ping().await?;
        Ok(source)
    }

    /// Checks what can be checked of a stored configuration without the third party, and makes the source.
    pub(crate) fn make_source(
        &self,
        descriptor: &SourceDescriptor,
        stored: &RawConfiguration,
        of: Surroundings,
    ) -> Result<Box<dyn DataSource>, ServiceError> {
        let defaults = simple_configuration(&descriptor.default_configuration().0);
        // A job may be from before the source had all of its fields.
        let configuration = Configuration::parse_with_defaults(&stored.completed(&defaults), &defaults)?;
        configuration.check_valid()?;
        let config = &self.shared.config;
        let max_text = config.elasticsearch.bulk.max_text_document_bytes;
        let context = SourceContext {
            cancel: of.cancel,
            limits: Limits {
                max_file_size: config.service.max_file_download_bytes,
                max_text_size: (max_text > 0).then_some(max_text),
            },
            extract_binary_content: of.extract_binary_content,
            document_level_security: of.features.document_level_security(),
            state_folder: of
                .connector_id
                .as_deref()
                .map(|id| crate::data_folder().join("state").join(folder_name(id))),
            connector_id: of.connector_id,
            incremental: of.incremental,
            span: Span::current(),
        };
        Ok(descriptor.create(&configuration, context)?)
    }
}
