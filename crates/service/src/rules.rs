//! Sync rules: the generic checks, the source's own for advanced rules, and what people do with a draft.

use connectors_es_client::protocol_index::Stored;
use connectors_protocol::PartialDocument;
use connectors_protocol::connector::ConnectorDocument;
use connectors_protocol::filtering::{
    Filter, Filtering, ValidationResult, ValidationState, validate as validate_filter,
};
use connectors_sdk::{DataSource, SourceDescriptor};
use connectors_sync::{Progress, SyncReport};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::service::{Service, ServiceError};
use crate::source::Surroundings;

/// Checks basic rules by the protocol and advanced rules by the source.
pub(crate) async fn validate(
    filter: &Filter,
    descriptor: &SourceDescriptor,
    source: &dyn DataSource,
) -> Result<ValidationResult, ServiceError> {
    if let Some(result) = validate_without_source(filter, descriptor) {
        return Ok(result);
    }
    let mut advanced = Vec::new();
    if let Some(rules) = filter.advanced_rules() {
        let violations = source.validate_advanced_rules(rules).await?;
        advanced.extend(violations.into_iter().map(|violation| violation.message));
    }
    Ok(validate_filter(filter, |_| advanced))
}

/// The same for rules about which the source has nothing to say; `None` when it has to be asked.
fn validate_without_source(filter: &Filter, descriptor: &SourceDescriptor) -> Option<ValidationResult> {
    if filter.advanced_rules().is_none() {
        return Some(validate_filter(filter, |_| Vec::new()));
    }
    let none = || vec![format!("{} has no advanced sync rules", descriptor.name)];
    (!descriptor.capabilities.advanced_rules).then(|| validate_filter(filter, |_| none()))
}

impl Service {
    /// Checks rules for a connector as the scheduling loop checks a draft. The source is asked only about advanced rules.
    pub async fn validate_rules(
        &self,
        connector: &Stored<ConnectorDocument>,
        filter: &Filter,
    ) -> Result<ValidationResult, ServiceError> {
        let descriptor = self.source_of(connector)?;
        if let Some(result) = validate_without_source(filter, descriptor) {
            return Ok(result);
        }
        let configuration = &connector.document.configuration;
        let source = self.open_source(descriptor, configuration, Surroundings::of(connector)).await?;
        validate(filter, descriptor, source.as_ref()).await
    }

    /// Checks a draft and stores it with the result, which is never `edited`: so no service puts it in force before
    /// somebody applies it.
    pub async fn set_draft(
        &self,
        id: &str,
        mut draft: Filter,
    ) -> Result<(Stored<ConnectorDocument>, ValidationResult), ServiceError> {
        let connector = self.connector(id).await?;
        let result = self.validate_rules(&connector, &draft).await?;
        draft.validation = Some(result.clone());
        let written = self
            .shared
            .connectors
            .update(id, |connector| Some(update(connector.filtering.clone().with_draft(draft.clone()))))
            .await?;
        Ok((written, result))
    }

    /// Checks the draft again, and puts it in force if it is valid. The result is stored with the draft.
    pub async fn apply_draft(&self, id: &str) -> Result<ValidationResult, ServiceError> {
        let connector = self.connector(id).await?;
        let draft = draft_of(&connector)?;
        let result = self.validate_rules(&connector, draft).await?;
        let mut same = true;
        self.shared
            .connectors
            .update(id, |connector| {
                same = connector.filtering.draft() == Some(draft);
                same.then(|| update(connector.filtering.clone().with_draft_validated(&result)))
            })
            .await?;
        if same {
            return Ok(result);
        }
        Err(ServiceError::Setup(
            "somebody else changed the draft meanwhile; look at it and try again".to_owned(),
        ))
    }

    /// Reads the source as a full sync with the draft's rules would, and counts; writes nothing.
    pub async fn preview_draft(
        &self,
        id: &str,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<SyncReport, ServiceError> {
        let connector = self.connector(id).await?;
        draft_of(&connector)?;
        let mut document = connector.document.clone();
        // As if it had been applied; that it is valid is checked before anything is read.
        document.filtering = document.filtering.with_draft_validated(&ValidationResult::valid());
        self.rehearse(id, &document, false, progress, stop).await
    }
}

/// The draft of a connector's rules.
pub fn draft_of(connector: &Stored<ConnectorDocument>) -> Result<&Filter, ServiceError> {
    connector.document.filtering.draft().ok_or_else(|| {
        ServiceError::Setup(format!(
            "connector {id} has no draft of sync rules; `connectors rules set {id} FILE` makes one",
            id = connector.id
        ))
    })
}

/// Whether rules can be used as they are.
pub fn is_valid(result: &ValidationResult) -> bool {
    result.state == ValidationState::Valid
}

fn update(filtering: Filtering) -> PartialDocument {
    let mut update = PartialDocument::new();
    update.insert("filtering".to_owned(), json!(filtering));
    update
}
