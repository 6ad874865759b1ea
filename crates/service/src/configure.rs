//! A connector's configuration as people give it: complete, typed, and checked as a job would check it.

use connectors_es_client::protocol_index::Stored;
use connectors_protocol::PartialDocument;
use connectors_protocol::configuration::{
    Configuration, ConfigurationError, RawConfiguration, simple_configuration,
};
use connectors_protocol::connector::{ConnectorDocument, ConnectorStatus};
use connectors_sdk::SourceDescriptor;
use serde_json::{Value, json};

use crate::service::{Service, ServiceError};
use crate::source::Surroundings;

/// `stored` with the fields it lacks for this source, these fields set, and all of it checked.
pub(crate) fn configuration(
    descriptor: &SourceDescriptor,
    stored: &RawConfiguration,
    settings: &[(String, Value)],
) -> Result<RawConfiguration, ServiceError> {
    let mut configuration = completed(descriptor, stored);
    for (key, value) in settings {
        let value = typed(descriptor, key, value)?;
        if !configuration.set_value(key, value) {
            return Err(unknown_field(descriptor, key));
        }
    }
    parsed(descriptor, &configuration)?.check_valid()?;
    Ok(configuration)
}

/// `stored` with the fields it lacks for this source, at their defaults. Nothing is checked.
pub fn completed(descriptor: &SourceDescriptor, stored: &RawConfiguration) -> RawConfiguration {
    stored.completed(&simple_configuration(&descriptor.default_configuration().0))
}

/// A configuration understood as this source understands it.
pub fn parsed(
    descriptor: &SourceDescriptor,
    configuration: &RawConfiguration,
) -> Result<Configuration, ConfigurationError> {
    let defaults = simple_configuration(&descriptor.default_configuration().0);
    Configuration::parse_with_defaults(configuration, &defaults)
}

/// Sets one field of a form that is being filled in. The value is taken in the type of the field; the error is what to tell
/// the person who gave it, and then nothing is set.
pub fn set_field(
    descriptor: &SourceDescriptor,
    configuration: &mut RawConfiguration,
    key: &str,
    value: &Value,
) -> Result<(), ServiceError> {
    let mut changed = configuration.clone();
    if !changed.set_value(key, typed(descriptor, key, value)?) {
        return Err(unknown_field(descriptor, key));
    }
    let understood = parsed(descriptor, &changed)?;
    let field = understood.fields().iter().find(|field| field.key == key);
    let errors = field.map(|field| understood.field_errors(field)).transpose()?.unwrap_or_default();
    if !errors.is_empty() {
        return Err(ConfigurationError::Invalid(errors).into());
    }
    *configuration = changed;
    Ok(())
}

fn unknown_field(descriptor: &SourceDescriptor, key: &str) -> ServiceError {
    let known: Vec<&str> = descriptor.fields().iter().map(connectors_sdk::Field::key).collect();
    ServiceError::Setup(format!(
        "{} has no configuration field \"{key}\"; it has: {}",
        descriptor.service_type,
        known.join(", ")
    ))
}

/// A value as a person gave it, in the type of its field, so that it is stored as Kibana would store it.
fn typed(descriptor: &SourceDescriptor, key: &str, given: &Value) -> Result<Value, ServiceError> {
    let mut one = RawConfiguration::default();
    let Some(field) = descriptor.fields().iter().find(|field| field.key() == key) else {
        return Ok(given.clone());
    };
    let mut properties = field.to_value();
    properties["value"] = given.clone();
    properties["required"] = json!(true);
    one.0.insert(key.to_owned(), properties);
    let parsed = Configuration::parse(&one)?;
    Ok(parsed.get(key).cloned().unwrap_or_default())
}

impl Service {
    /// A connector by its id; an error if there is none.
    pub async fn connector(&self, id: &str) -> Result<Stored<ConnectorDocument>, ServiceError> {
        let found = self.shared.connectors.get(id).await?.filter(|stored| !stored.document.deleted);
        found.ok_or_else(|| {
            ServiceError::Setup(format!(
                "there is no connector {id}; `connectors connector list` prints those there are"
            ))
        })
    }

    /// The source of a connector; an error if it has no service type, or one that nobody here knows.
    pub fn source_of(
        &self,
        connector: &Stored<ConnectorDocument>,
    ) -> Result<&SourceDescriptor, ServiceError> {
        let Some(service_type) = connector.document.service_type.as_deref() else {
            return Err(ServiceError::Setup(format!("connector {} has no service type", connector.id)));
        };
        Ok(self.descriptor(service_type)?.as_ref())
    }

    /// Asks the source whether this configuration works: what each job and the scheduling loop ask before anything else.
    pub async fn try_configuration(
        &self,
        descriptor: &SourceDescriptor,
        configuration: &RawConfiguration,
    ) -> Result<(), ServiceError> {
        self.open_source(descriptor, configuration, Surroundings::default()).await.map(drop)
    }

    /// Sets fields of a connector's configuration and marks it as configured, so that a service takes it up. What breaks the
    /// rules of a field is refused, and nothing is written; so is, with `ask_source`, what the source refuses.
    pub async fn configure(
        &self,
        id: &str,
        settings: &[(String, Value)],
        ask_source: bool,
    ) -> Result<Stored<ConnectorDocument>, ServiceError> {
        let stored = self.connector(id).await?;
        let descriptor = self.source_of(&stored)?;
        let wanted = configuration(descriptor, &stored.document.configuration, settings)?;
        if ask_source {
            self.try_configuration(descriptor, &wanted).await?;
        }
        let mut refused = None;
        let written = self
            .shared
            .connectors
            .update(id, |connector| match configuration(descriptor, &connector.configuration, settings) {
                Ok(configuration) => {
                    let mut update = PartialDocument::new();
                    update.insert("configuration".to_owned(), json!(configuration));
                    update.insert("status".to_owned(), json!(ConnectorStatus::Configured));
                    update.insert("error".to_owned(), Value::Null);
                    Some(update)
                }
                Err(error) => {
                    refused = Some(error);
                    None
                }
            })
            .await?;
        refused.map_or(Ok(written), Err)
    }
}
