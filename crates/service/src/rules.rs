//! Sync rules: the generic checks, and the source's own for advanced rules.

use connectors_protocol::filtering::{Filter, ValidationResult, validate as validate_filter};
use connectors_sdk::{DataSource, SourceDescriptor};

use crate::service::ServiceError;

/// Checks basic rules by the protocol and advanced rules by the source.
pub(crate) async fn validate(
    filter: &Filter,
    descriptor: &SourceDescriptor,
    source: &dyn DataSource,
) -> Result<ValidationResult, ServiceError> {
    let advanced = match filter.advanced_rules() {
        None => Vec::new(),
        Some(_) if !descriptor.capabilities.advanced_rules => {
            vec![format!("{} has no advanced sync rules", descriptor.name)]
        }
        Some(rules) => source
            .validate_advanced_rules(rules)
            .await?
            .into_iter()
            .map(|violation| violation.message)
            .collect(),
    };
    Ok(validate_filter(filter, |_| advanced))
}
