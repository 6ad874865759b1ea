//! What every registered source must do, whatever it reads. A source without a fixture fails the suite.

mod certificates;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgresql")]
mod postgresql;

use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use connectors_protocol::configuration::{RawConfiguration, simple_configuration};
use connectors_protocol::{document_id, timestamp};
use connectors_sdk::{
    DataSource, Document, Message, Registry, SinkLimits, SourceContext, SourceDescriptor, SourceError,
    channel,
};
use connectors_sources::registry;
use tempfile::TempDir;

/// A third-party system with at least 300 documents, and the values of the configuration that leads to it.
struct Fixture {
    values: Vec<(&'static str, String)>,
    /// Lives as long as the system.
    _system: Box<dyn Any>,
}

/// Sources that read from a server, and the environment variable that says where it is. Without it they are left out.
const NEED_A_SERVER: &[(&str, &str)] = &[
    ("mongodb", "CONNECTORS_TEST_MONGODB"),
    ("mysql", "CONNECTORS_TEST_MYSQL"),
    ("postgresql", "CONNECTORS_TEST_POSTGRESQL"),
];

fn has_fixture(service_type: &str) -> bool {
    let needed = NEED_A_SERVER.iter().find(|(needing, _)| *needing == service_type);
    needed.is_none_or(|(_, variable)| std::env::var_os(variable).is_some())
}

fn fixture(service_type: &str) -> Fixture {
    match service_type {
        "dir" => {
            let system = TempDir::new().unwrap();
            for index in 0..300 {
                std::fs::write(system.path().join(format!("{index}.txt")), format!("text {index}")).unwrap();
            }
            let directory = system.path().to_str().unwrap().to_owned();
            Fixture { values: vec![("directory", directory)], _system: Box::new(system) }
        }
        #[cfg(feature = "mongodb")]
        "mongodb" => mongodb::fixture::start(),
        #[cfg(feature = "mysql")]
        "mysql" => mysql::fixture(),
        #[cfg(feature = "postgresql")]
        "postgresql" => Fixture { values: postgresql::fixture(), _system: Box::new(()) },
        other => panic!("the source {other} has no fixture"),
    }
}

/// Every source with a stored configuration that leads to its fixture.
fn sources() -> Vec<(Arc<SourceDescriptor>, RawConfiguration, Fixture)> {
    let registry: Registry = registry();
    let with_fixture = |source: &Arc<SourceDescriptor>| {
        let fixture = fixture(&source.service_type);
        let mut stored = simple_configuration(&source.default_configuration().0);
        for (key, value) in &fixture.values {
            assert!(stored.set_value(key, value.as_str().into()), "{}: no field {key}", source.service_type);
        }
        (source.clone(), stored, fixture)
    };
    registry.iter().filter(|source| has_fixture(&source.service_type)).map(with_fixture).collect()
}

fn create(
    source: &SourceDescriptor,
    stored: &RawConfiguration,
    context: SourceContext,
) -> Box<dyn DataSource> {
    source.create(&source.configuration(stored).unwrap(), context).unwrap()
}

async fn list(source: &dyn DataSource) -> (Vec<Document>, Result<(), SourceError>) {
    let (sink, mut inbox) = channel(SinkLimits { messages: 100, bytes: 1 << 20 });
    let send = async {
        let result = source.documents(None, &sink).await;
        drop(sink);
        result
    };
    let receive = async {
        let mut documents = Vec::new();
        while let Some(envelope) = inbox.receive().await {
            for message in envelope.open() {
                match message {
                    Message::Document(document) => documents.push(document),
                    Message::Update(_) | Message::Delete(_) => panic!("a listing sent {message:?}"),
                    Message::Checkpoint(_) | Message::PartitionStarted(_) | Message::PartitionDone(_) => {}
                }
            }
        }
        documents
    };
    let (result, documents) = tokio::join!(send, receive);
    (documents, result)
}

#[test]
fn the_form_is_whole_and_the_configuration_is_valid() {
    for (source, stored, _fixture) in sources() {
        let name = &source.service_type;
        for field in source.fields() {
            let properties = field.to_value();
            for property in ["label", "tooltip"] {
                let text = properties[property].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{name}.{}: {property}", field.key());
            }
        }
        source.configuration(&stored).unwrap().check_valid().unwrap();
    }
}

#[tokio::test]
async fn documents_are_sound_and_the_same_in_every_listing() {
    for (source, stored, _fixture) in sources() {
        let name = &source.service_type;
        let mut listings = Vec::new();
        for _ in 0..2 {
            let object = create(&source, &stored, SourceContext::default());
            object.validate().await.unwrap();
            object.ping().await.unwrap();
            let (documents, result) = list(object.as_ref()).await;
            result.unwrap();
            assert!(documents.len() >= 300, "{name}: {} documents", documents.len());
            let mut listing = BTreeMap::new();
            for mut document in documents {
                document.expand().unwrap();
                let id = document.id.clone();
                assert!(!id.is_empty() && id.len() <= document_id::MAX_BYTES, "{name}: id {id:?}");
                if let Some(text) = &document.timestamp {
                    timestamp::parse(text).unwrap();
                }
                for reserved in ["_id", "id", "_timestamp"] {
                    assert!(!document.fields.contains_key(reserved), "{name}: {id} has the field {reserved}");
                }
                assert!(listing.insert(id.clone(), document.timestamp).is_none(), "{name}: {id} came twice");
            }
            listings.push(listing);
        }
        assert_eq!(listings[0], listings[1], "{name}");
    }
}

#[tokio::test]
async fn contents_can_be_fetched_in_any_order() {
    for (source, stored, _fixture) in sources() {
        let (documents, _) = list(create(&source, &stored, SourceContext::default()).as_ref()).await;
        let mut contents = HashSet::new();
        for document in documents.into_iter().rev().step_by(30) {
            if let Some(download) = document.download {
                let content = download.run().await.unwrap();
                contents.insert(format!("{content:?}"));
            }
        }
        assert_ne!(contents.len(), 1, "{}: all contents are the same", source.service_type);
    }
}

#[tokio::test]
async fn a_stopped_source_ends_soon() {
    for (source, stored, _fixture) in sources() {
        let name = &source.service_type;
        let object = create(&source, &stored, SourceContext::default());
        let (sink, inbox) = channel(SinkLimits { messages: 1, bytes: 1 });
        drop(inbox);
        let ended = tokio::time::timeout(Duration::from_secs(1), object.documents(None, &sink)).await;
        assert!(ended.unwrap_or_else(|_| panic!("{name} goes on")).is_err(), "{name} says it is complete");
    }
}
