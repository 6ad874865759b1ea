//! Which sources exist.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use connectors_protocol::configuration::RawConfiguration;
use connectors_protocol::connector::{FeatureFlags, Features};

use crate::{Configuration, DataSource, ErrorKind, Field, SourceContext, SourceError};

/// What a source can do beyond listing its documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// Independent flags of the connector protocol, not a state.
#[allow(clippy::struct_excessive_bools)]
pub struct Capabilities {
    /// Basic sync rules may be applied to its documents.
    pub basic_rules: bool,
    /// It understands advanced sync rules.
    pub advanced_rules: bool,
    /// It can list identities and sets `_allow_access_control` on its documents (document level security).
    pub access_control: bool,
    /// Incremental sync jobs are allowed.
    pub incremental: bool,
    /// Incremental sync jobs call [`changes`](DataSource::changes); otherwise they list all documents and skip the unchanged.
    pub changes: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            basic_rules: true,
            advanced_rules: false,
            access_control: false,
            incremental: false,
            changes: false,
        }
    }
}

impl Capabilities {
    /// The `features` object of a connector document.
    pub fn features(self) -> Features {
        FeatureFlags {
            basic_rules: self.basic_rules,
            advanced_rules: self.advanced_rules,
            document_level_security: self.access_control,
            incremental_sync: self.incremental,
            native_connector_api_keys: false,
        }
        .into()
    }
}

type Factory =
    dyn Fn(&Configuration, SourceContext) -> Result<Box<dyn DataSource>, SourceError> + Send + Sync;

/// One registered source.
#[derive(Clone)]
pub struct SourceDescriptor {
    /// Key of the source everywhere (`dir`).
    pub service_type: String,
    /// Name shown to people.
    pub name: String,
    /// `module:Class` names of Elastic's Python connectors that this source takes the place of in `sources:` of `config.yml`.
    pub replaces: Vec<String>,
    /// What it can do.
    pub capabilities: Capabilities,
    fields: Vec<Field>,
    factory: Arc<Factory>,
}

impl SourceDescriptor {
    /// A descriptor; `fields` are the configuration's, `factory` makes a source object from a connector's configuration.
    pub fn new(
        service_type: impl Into<String>,
        name: impl Into<String>,
        fields: Vec<Field>,
        factory: impl Fn(&Configuration, SourceContext) -> Result<Box<dyn DataSource>, SourceError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            service_type: service_type.into(),
            name: name.into(),
            replaces: Vec::new(),
            capabilities: Capabilities::default(),
            fields,
            factory: Arc::new(factory),
        }
    }

    /// Names the Python classes this source takes the place of.
    #[must_use]
    pub fn replacing(mut self, classes: &[&str]) -> Self {
        self.replaces = classes.iter().map(|&class| class.to_owned()).collect();
        self
    }

    /// Sets what the source can do.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The configuration's fields, in the order of the form.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The default configuration: field key → the properties that differ from the protocol's defaults.
    pub fn default_configuration(&self) -> RawConfiguration {
        RawConfiguration(self.fields.iter().map(|field| (field.key().to_owned(), field.to_value())).collect())
    }

    /// Understands a stored configuration with the types and defaults of this source.
    pub fn configuration(&self, stored: &RawConfiguration) -> Result<Configuration, SourceError> {
        Configuration::parse_with_defaults(stored, &self.default_configuration())
            .map_err(|error| SourceError::new(ErrorKind::Config, "use the configuration", error.to_string()))
    }

    /// Makes a source object from a configuration understood by [`configuration`](Self::configuration).
    pub fn create(
        &self,
        configuration: &Configuration,
        context: SourceContext,
    ) -> Result<Box<dyn DataSource>, SourceError> {
        (self.factory)(configuration, context)
    }
}

impl fmt::Debug for SourceDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceDescriptor")
            .field("service_type", &self.service_type)
            .field("name", &self.name)
            .field("replaces", &self.replaces)
            .field("capabilities", &self.capabilities)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// All sources of this process, by service type.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    sources: BTreeMap<String, Arc<SourceDescriptor>>,
}

impl Registry {
    /// Adds a source; one of the same service type is replaced.
    #[must_use]
    pub fn with(mut self, source: SourceDescriptor) -> Self {
        self.insert(Arc::new(source));
        self
    }

    /// Adds a source; one of the same service type is replaced and returned.
    pub fn insert(&mut self, source: Arc<SourceDescriptor>) -> Option<Arc<SourceDescriptor>> {
        self.sources.insert(source.service_type.clone(), source)
    }

    /// Takes a source out.
    pub fn remove(&mut self, service_type: &str) -> Option<Arc<SourceDescriptor>> {
        self.sources.remove(service_type)
    }

    /// The source of this service type.
    pub fn get(&self, service_type: &str) -> Option<&Arc<SourceDescriptor>> {
        self.sources.get(service_type)
    }

    /// The source that takes the place of this Python class (`module:Class`).
    pub fn replacing(&self, class: &str) -> Option<&Arc<SourceDescriptor>> {
        self.iter().find(|source| source.replaces.iter().any(|replaced| replaced == class))
    }

    /// All sources, sorted by service type.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SourceDescriptor>> {
        self.sources.values()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use serde_json::{Value, json};

    use super::*;
    use crate::Sink;

    struct Nothing;

    #[async_trait]
    impl DataSource for Nothing {
        async fn ping(&self) -> Result<(), SourceError> {
            Err(SourceError::new(ErrorKind::Unavailable, "reach nothing", "it is nothing"))
        }

        async fn documents(&self, _: Option<&Value>, _: &Sink) -> Result<(), SourceError> {
            Ok(())
        }
    }

    fn nothing(service_type: &str) -> SourceDescriptor {
        SourceDescriptor::new(service_type, "Nothing", vec![Field::new::<String>("a", 1)], |_, _| {
            Ok(Box::new(Nothing))
        })
        .replacing(&["old.nothing:Nothing"])
        .with_capabilities(Capabilities { incremental: true, ..Capabilities::default() })
    }

    #[tokio::test]
    async fn sources_are_found_by_type_and_by_replaced_class() {
        let mut registry = Registry::default().with(nothing("b")).with(nothing("a"));
        let types: Vec<_> = registry.iter().map(|source| source.service_type.as_str()).collect();
        assert_eq!(types, ["a", "b"]);
        assert_eq!(registry.replacing("old.nothing:Nothing").unwrap().service_type, "a");
        assert!(registry.replacing("other").is_none());
        assert!(registry.insert(Arc::new(nothing("a"))).is_some());
        assert!(registry.remove("a").is_some());
        assert!(registry.get("a").is_none());
        let source = registry.get("b").unwrap();
        assert!(format!("{source:?}").contains("Nothing"));
        let configuration = Configuration::default();
        let object = source.create(&configuration, SourceContext::default()).unwrap();
        assert_eq!(object.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn describes_itself_in_the_protocols_terms() {
        let source = nothing("a");
        assert_eq!(source.fields().len(), 1);
        assert_eq!(source.default_configuration().0["a"]["type"], "str");
        assert!(source.capabilities.features().incremental_sync());
        assert!(!source.capabilities.features().document_level_security());
        let stored = RawConfiguration(serde_json::Map::from_iter([("a".to_owned(), json!({"value": 5}))]));
        assert_eq!(source.configuration(&stored).unwrap().get("a"), Some(&json!("5")));
    }
}
