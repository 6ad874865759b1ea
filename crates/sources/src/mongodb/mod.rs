//! MongoDB: the documents of one collection or view.
//!
//! A full sync reads the collection, or what advanced sync rules make of it. Where the server has change streams, a sync of an
//! unchanged collection ends at once, and incremental syncs read only the documents that changed. See `README.md` for the rules.

mod changes;
mod client;
mod config;
mod document;
mod error;
mod reading;
mod rules;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use async_trait::async_trait;
use connectors_sdk::{
    Capabilities, Changed, Configuration, DataSource, ErrorKind, RuleViolation, Sink, SourceContext,
    SourceDescriptor, SourceError,
};
use serde_json::Value;
use tokio::sync::OnceCell;

use self::changes::{Changes, LastSync, Opened, needs_full_sync};
use self::client::{CollectionKind, Connection};
use self::config::{MongoConfiguration, Settings};
use self::error::{Moment, StreamFailure, stream_failure};
use self::reading::{LOST, PATIENCE, WATCH, lost};
use self::rules::Rules;

/// Names listed in an error.
const NAMED: usize = 20;

/// The registry's entry.
pub(crate) fn descriptor() -> SourceDescriptor {
    SourceDescriptor::new("mongodb", "MongoDB", MongoConfiguration::fields(), |configuration, context| {
        Ok(Box::new(MongoSource::new(configuration, context)?))
    })
    .replacing(&["connectors.sources.mongo:MongoDataSource", "connectors.sources.mongodb:MongoDataSource"])
    .with_capabilities(Capabilities {
        advanced_rules: true,
        incremental: true,
        changes: true,
        ..Capabilities::default()
    })
}

/// The configured collection of one connector.
struct MongoSource {
    settings: Settings,
    context: SourceContext,
    /// Made by the first method that needs it.
    connection: OnceCell<Connection>,
}

impl MongoSource {
    fn new(configuration: &Configuration, context: SourceContext) -> Result<Self, SourceError> {
        let settings = Settings::new(MongoConfiguration::parse(configuration)?)?;
        Ok(Self { settings, context, connection: OnceCell::new() })
    }

    async fn connection(&self) -> Result<&Connection, SourceError> {
        self.connection.get_or_try_init(|| Connection::open(&self.settings)).await
    }

    /// Does the work unless the job is stopped meanwhile, also while the server is waited for.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        tokio::select! {
            biased;
            () = self.context.cancel.cancelled() => Err(SourceError::canceled()),
            result = work => result,
        }
    }

    /// Where the names of the configuration lead nowhere: says which do exist.
    async fn missing(&self, connection: &Connection) -> SourceError {
        let Settings { database, collection, .. } = &self.settings;
        let databases = connection.database_names().await;
        let (key, context, hint) = match &databases {
            Ok(names) if !names.contains(database) => (
                "database",
                format!("there is no database {database:?} that the account may see"),
                format!("Databases there: {}.", listed(names)),
            ),
            _ => (
                "collection",
                format!(
                    "the database {database:?} has no collection {collection:?} that the account may see"
                ),
                match connection.collection_names().await {
                    Ok(names) => format!("Collections there: {}.", listed(&names)),
                    Err(error) => {
                        format!(
                            "The account may not list collections ({}).",
                            connection.without_secrets(&error)
                        )
                    }
                },
            ),
        };
        SourceError::new(ErrorKind::Config, "find the collection", context)
            .with_hint(format!("Correct `{key}`. {hint}"))
    }

    /// What the configured collection is. None if the account may not ask.
    async fn kind(&self, connection: &Connection) -> Result<Option<CollectionKind>, SourceError> {
        const OPERATION: &str = "find the collection";
        match connection.kind().await {
            Ok(CollectionKind::Missing) => Err(self.missing(connection).await),
            Ok(kind) => Ok(Some(kind)),
            Err(error) => match connection.explain(OPERATION, Moment::Opening, &error) {
                // Not allowed, or not known there: whether the collection can be read is found out by reading it.
                denied if matches!(denied.kind(), ErrorKind::PermissionDenied | ErrorKind::Config) => {
                    Ok(None)
                }
                explained => Err(explained),
            },
        }
    }
}

#[async_trait]
impl DataSource for MongoSource {
    async fn validate(&self) -> Result<(), SourceError> {
        const OPERATION: &str = "read the collection";
        self.unless_stopped(async {
            let connection = self.connection().await?;
            let known = self.kind(connection).await?;
            connection.probe().await.map_err(|error| {
                let error = connection.explain(OPERATION, Moment::Opening, &error);
                if known.is_none() {
                    tracing::warn!(
                        "whether database and collection exist is unknown: the account may not list them"
                    );
                }
                error
            })
        })
        .await
    }

    async fn ping(&self) -> Result<(), SourceError> {
        self.unless_stopped(async {
            let connection = self.connection().await?;
            connection
                .ping()
                .await
                .map_err(|error| connection.explain("reach MongoDB", Moment::Opening, &error))
        })
        .await
    }

    fn owns_id_field(&self) -> bool {
        true
    }

    async fn changed(&self, cursor: Option<&Value>) -> Result<Changed, SourceError> {
        let LastSync::At(token) = LastSync::read(cursor, &self.settings.fingerprint) else {
            return Ok(Changed::Perhaps);
        };
        self.unless_stopped(async {
            let connection = self.connection().await?;
            let mut stream = match Changes::open(connection, Some(token)).await? {
                Opened::Stream(stream) => stream,
                Opened::Lost(reason) => {
                    tracing::warn!("{LOST}: {reason}; all documents are read");
                    return Ok(Changed::Perhaps);
                }
                Opened::Unsupported(reason) => {
                    tracing::info!("there is no change stream here: {reason}; all documents are read");
                    return Ok(Changed::Perhaps);
                }
            };
            let (mut token, mut still) = (None, 0);
            while still < PATIENCE {
                match stream.next().await {
                    Ok(Some(answer)) if answer.events.is_empty() => {
                        if answer.is_last {
                            return Ok(Changed::Nothing(self.cursor(answer.token)?));
                        }
                        // A server that has much to look through says how far it is.
                        still = if answer.token == token { still + 1 } else { 0 };
                        token = answer.token;
                    }
                    Ok(Some(_) | None) => return Ok(Changed::Perhaps),
                    Err(error) if stream_failure(&error) == StreamFailure::Lost => {
                        tracing::warn!(
                            "{LOST}: {}; all documents are read",
                            connection.without_secrets(&error)
                        );
                        return Ok(Changed::Perhaps);
                    }
                    // What the server refuses once it refuses each time: a full sync must not depend on it.
                    Err(error) if stream_failure(&error) == StreamFailure::Unsupported => {
                        tracing::warn!(
                            "the change stream cannot be read: {}; all documents are read",
                            connection.without_secrets(&error)
                        );
                        return Ok(Changed::Perhaps);
                    }
                    Err(error) => return Err(connection.explain(WATCH, Moment::Opening, &error)),
                }
            }
            Ok(Changed::Perhaps)
        })
        .await
    }

    async fn documents(&self, advanced_rules: Option<&Value>, sink: &Sink) -> Result<(), SourceError> {
        let rules = Rules::for_job(advanced_rules)?;
        self.unless_stopped(self.send_all(rules, sink)).await
    }

    async fn changes(
        &self,
        cursor: Option<&Value>,
        advanced_rules: Option<&Value>,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        let rules = Rules::for_job(advanced_rules)?;
        let query = rules.for_one_document()?;
        self.unless_stopped(async {
            let token = match LastSync::read(cursor, &self.settings.fingerprint) {
                LastSync::At(token) => token,
                LastSync::Unknown | LastSync::Unsteady => return self.send_all(rules, sink).await,
                LastSync::Other => {
                    let problem = "the last sync was one of another configuration";
                    return Err(needs_full_sync(ErrorKind::Incomplete, problem));
                }
            };
            let connection = self.connection().await?;
            match Changes::open(connection, Some(token)).await? {
                Opened::Stream(stream) => self.send_changes(connection, *stream, &query, sink).await,
                Opened::Lost(reason) => Err(lost(&reason)),
                Opened::Unsupported(reason) => {
                    tracing::info!(
                        "there is no change stream here: {reason}; all documents are sent, and what is gone is deleted by the next full sync"
                    );
                    self.send_all(rules, sink).await
                }
            }
        })
        .await
    }

    async fn validate_advanced_rules(&self, rules: &Value) -> Result<Vec<RuleViolation>, SourceError> {
        Ok(Rules::parse(Some(rules)).err().unwrap_or_default())
    }
}

/// Some names for an error.
fn listed(names: &[String]) -> String {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    match names.len() {
        0 => "none that the account may see".to_owned(),
        count if count > NAMED => format!("{} and {} more", names[..NAMED].join(", "), count - NAMED),
        _ => names.join(", "),
    }
}
