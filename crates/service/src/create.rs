//! New connectors: the document, the index it writes to, and the API key it writes with.

use connectors_es_client::protocol_index::Stored;
use connectors_es_client::{ApiKey, Auth};
use connectors_protocol::configuration::RawConfiguration;
use connectors_protocol::connector::{ConnectorDocument, ConnectorStatus};
use connectors_protocol::index_mapping::IndexMapping;
use connectors_protocol::index_name;
use connectors_protocol::indices::{CONCRETE_CONNECTORS_INDEX, access_control_index};
use connectors_protocol::language;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::configure;
use crate::service::{Service, ServiceError};
use crate::source::Surroundings;

/// What a new connector is to be.
#[derive(Debug, Clone)]
pub struct NewConnector {
    /// Which source reads the data.
    pub service_type: String,
    /// The index to write to.
    pub index_name: String,
    /// Name shown to people.
    pub name: String,
    /// Language of the index's analyzers: a code of [`connectors_protocol::language`].
    pub language: Option<String>,
    /// Whether Elastic runs the connector.
    pub is_native: bool,
    /// The index is there and is taken over; otherwise it is made and must not be there.
    pub from_index: bool,
    /// The configuration's fields, filled in.
    pub configuration: RawConfiguration,
    /// Types that the user gives fields of the index.
    pub mapping: IndexMapping,
    /// Ask the source whether the configuration works, before anything is written.
    pub ask_source: bool,
}

/// What was made.
#[derive(Debug)]
pub struct CreatedConnector {
    /// The connector.
    pub connector: Stored<ConnectorDocument>,
    /// The API key its jobs write with (base64 of `id:key`); it cannot be read again.
    pub api_key: Option<SecretString>,
    /// Why there is no API key, or why it could not be kept where a native connector needs it.
    pub api_key_problem: Option<String>,
}

impl Service {
    /// Whether a connector for this index can be made: the name is one, no connector has it, and the index is there if it is
    /// to be taken over and not there otherwise.
    pub async fn check_new_index(&self, index: &str, from_index: bool) -> Result<(), ServiceError> {
        index_name::check(index).map_err(|error| ServiceError::Setup(error.to_string()))?;
        let found = self.shared.connectors.by_index(index).await?;
        if let Some(connector) = found.first() {
            return Err(ServiceError::Setup(format!(
                "the index {index} belongs to connector {}; choose another name, or delete that connector",
                connector.id
            )));
        }
        match (self.shared.client.index_exists(index).await?, from_index) {
            (true, false) => Err(ServiceError::Setup(format!(
                "the index {index} exists; --from-index makes a connector for it, whose first sync deletes the documents \
                 that the source does not have"
            ))),
            (false, true) => Err(ServiceError::Setup(format!(
                "--from-index: there is no index {index}; without it the index is made"
            ))),
            _ => Ok(()),
        }
    }

    /// Makes a connector that is configured and waits for a service: its index, its API key where the cluster has such
    /// things, and its document.
    pub async fn create_connector(&self, new: &NewConnector) -> Result<CreatedConnector, ServiceError> {
        let shared = &self.shared;
        let descriptor = self.descriptor(&new.service_type)?;
        let configuration = configure::configuration(descriptor, &new.configuration, &[])?;
        if let Some(code) = new.language.as_deref().filter(|code| language::analyzer(code).is_none()) {
            let known: Vec<&str> = language::codes().collect();
            return Err(ServiceError::Setup(format!(
                "there is no language \"{code}\"; there is: {}; none is right for texts of several languages",
                known.join(", ")
            )));
        }
        self.check_new_index(&new.index_name, new.from_index).await?;
        let known = if new.ask_source {
            let source = self.open_source(descriptor, &configuration, Surroundings::default()).await?;
            source.mapping(None)
        } else {
            serde_json::Map::new()
        };
        if !new.from_index {
            let language = new.language.as_deref();
            let own = &new.mapping.properties;
            connectors_sync::create_content_index(&shared.client, &new.index_name, known, own, language)
                .await?;
        }
        let (api_key, problem) = self.make_api_key(&new.index_name).await;
        let mut problem = problem;
        let mut api_key_secret_id = None;
        if let (true, Some(key)) = (new.is_native, &api_key) {
            match shared.client.store_connector_secret(&key.encoded).await {
                Ok(id) => api_key_secret_id = Some(id),
                Err(error) => {
                    problem = Some(format!("the API key could not be stored as a connector secret: {error}"));
                }
            }
        }
        let document = ConnectorDocument {
            api_key_id: api_key.as_ref().map(|key| key.id.clone()),
            api_key_secret_id,
            configuration,
            features: descriptor.capabilities.features(),
            index_mapping: Some(new.mapping.clone()).filter(|mapping| !mapping.is_empty()),
            is_native: new.is_native,
            language: new.language.clone(),
            status: ConnectorStatus::Configured,
            ..ConnectorDocument::new(
                Some(&new.service_type),
                Some(&new.index_name),
                Some(&new.name),
                Timestamp::now(),
            )
        };
        let connector = shared.connectors.create(&document).await?;
        Ok(CreatedConnector { connector, api_key: api_key.map(|key| key.encoded), api_key_problem: problem })
    }

    /// An API key for one connector's jobs, or why there is none: without it they write with the service's credentials.
    async fn make_api_key(&self, index: &str) -> (Option<ApiKey>, Option<String>) {
        let client = &self.shared.client;
        if matches!(client.config().auth, Some(Auth::ApiKey(_))) {
            let why = "an API key cannot make another one: log in with a user name and password, or make one in Kibana";
            return (None, Some(why.to_owned()));
        }
        match client.create_api_key(&format!("{index}-connector"), &roles(index)).await {
            Ok(key) => (Some(key), None),
            Err(error) if error.is_unknown_api() => {
                (None, Some("the cluster has no security, so no API key is needed".to_owned()))
            }
            Err(error) => (None, Some(format!("no API key could be made: {error}"))),
        }
    }
}

/// What a connector's jobs need: to see the cluster, to use the connectors API, and everything in its own indices (those that
/// rebuilds make, too) and in the one with the connectors.
fn roles(index: &str) -> Value {
    let names = [
        index.to_owned(),
        connectors_sync::rebuilds_of(index),
        access_control_index(index),
        format!("{CONCRETE_CONNECTORS_INDEX}*"),
    ];
    let mut roles = json!({});
    roles[format!("{index}-connector-role")] = json!({
        "cluster": ["monitor", "manage_connector"],
        "index": [{"names": names, "privileges": ["all"]}],
    });
    roles
}
