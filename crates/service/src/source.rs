//! From a connector's service type and configuration to a source that can be asked.

use std::sync::Arc;

use connectors_protocol::configuration::{Configuration, RawConfiguration, simple_configuration};
use connectors_sdk::{DataSource, Limits, SourceContext, SourceDescriptor};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::service::{Service, ServiceError};

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

    /// Checks a stored configuration and makes the source: missing fields, field values, the source's own checks, and
    /// whether the third party answers.
    pub(crate) async fn open_source(
        &self,
        descriptor: &SourceDescriptor,
        stored: &RawConfiguration,
        extract_binary_content: bool,
        cancel: CancellationToken,
    ) -> Result<Box<dyn DataSource>, ServiceError> {
        let source = self.make_source(descriptor, stored, extract_binary_content, cancel)?;
        source.validate().await?;
        source.ping().await?;
        Ok(source)
    }

    /// Checks what can be checked of a stored configuration without the third party, and makes the source.
    pub(crate) fn make_source(
        &self,
        descriptor: &SourceDescriptor,
        stored: &RawConfiguration,
        extract_binary_content: bool,
        cancel: CancellationToken,
    ) -> Result<Box<dyn DataSource>, ServiceError> {
        let defaults = simple_configuration(&descriptor.default_configuration().0);
        Configuration::check_complete(stored, &defaults)?;
        let configuration = Configuration::parse_with_defaults(stored, &defaults)?;
        configuration.check_valid()?;
        let config = &self.shared.config;
        let max_text = config.elasticsearch.bulk.max_text_document_bytes;
        let context = SourceContext {
            cancel,
            limits: Limits {
                max_file_size: config.service.max_file_download_bytes,
                max_text_size: (max_text > 0).then_some(max_text),
            },
            extract_binary_content,
            span: Span::current(),
        };
        Ok(descriptor.create(&configuration, context)?)
    }
}
