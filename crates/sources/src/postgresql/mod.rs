//! PostgreSQL: the rows of the tables and views of one schema.
//!
//! Every row is a document. Tables are read from one snapshot, page by page along their key; advanced sync rules read custom
//! queries instead. See `README.md` for the rules.

mod catalog;
mod client;
mod config;
mod document;
mod error;
mod read;
mod rules;
mod tls;
mod value;

use std::sync::Arc;

use async_trait::async_trait;
use connectors_sdk::{
    Capabilities, Configuration, DataSource, RuleViolation, Sink, SourceContext, SourceDescriptor, SourceError,
};
use serde_json::Value;

use self::client::Server;
use self::config::PostgresqlConfiguration;
use self::read::{Query, Reader, Work};
use crate::shared::sql::selection::Selection;

/// The registry's entry.
pub(crate) fn descriptor() -> SourceDescriptor {
    let fields = PostgresqlConfiguration::fields();
    SourceDescriptor::new("postgresql", "PostgreSQL", fields, |configuration, context| {
        Ok(Box::new(PostgresqlSource::new(configuration, context)?))
    })
    .replacing(&["connectors.sources.postgresql:PostgreSQLDataSource"])
    .with_capabilities(Capabilities { advanced_rules: true, ..Capabilities::default() })
}

/// The configured schema of one connector.
#[derive(Debug)]
struct PostgresqlSource {
    server: Server,
    selection: Selection,
    configuration: PostgresqlConfiguration,
    context: SourceContext,
}

impl PostgresqlSource {
    fn new(configuration: &Configuration, context: SourceContext) -> Result<Self, SourceError> {
        let configuration = PostgresqlConfiguration::parse(configuration)?;
        let server = Server::new(&configuration)?;
        let selection = Selection::parse(&configuration.tables)?;
        Ok(Self { server, selection, configuration, context })
    }

    fn reader(&self, sink: &Sink) -> Arc<Reader> {
        let Self { server, configuration, .. } = self;
        Arc::new(Reader::new(
            server.clone(),
            sink.clone(),
            configuration.fetch_size,
            configuration.retry_count,
        ))
    }

    /// Does the work unless the job is stopped.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        tokio::select! {
            () = self.context.cancel.cancelled() => Err(SourceError::canceled()),
            done = work => done,
        }
    }

    async fn full(&self, rules: Option<&Value>, sink: &Sink) -> Result<(), SourceError> {
        let session = self.server.connect().await?;
        let reader = self.reader(sink);
        let custom = match rules {
            Some(rules) => rules::queries(&session, &self.server.place, rules).await?,
            None => Vec::new(),
        };
        let mut work: Vec<Work> = custom.into_iter().map(|custom| Work::Query(Query::custom(custom))).collect();
        // Rules without a query are no rules.
        if work.is_empty() {
            for table in catalog::tables(&session, &self.server.place, &self.selection).await? {
                work.extend(Work::of_table(&self.server, &session, table).await?);
            }
            reader.take_snapshot(&session).await?;
        }
        reader.read(work).await
    }
}

#[async_trait]
impl DataSource for PostgresqlSource {
    async fn validate(&self) -> Result<(), SourceError> {
        let session = self.server.connect().await?;
        catalog::tables(&session, &self.server.place, &self.selection).await?;
        Ok(())
    }

    async fn ping(&self) -> Result<(), SourceError> {
        self.server.connect().await.map(drop)
    }

    async fn documents(&self, advanced_rules: Option<&Value>, sink: &Sink) -> Result<(), SourceError> {
        self.unless_stopped(self.full(advanced_rules, sink)).await
    }

    async fn validate_advanced_rules(&self, rules: &Value) -> Result<Vec<RuleViolation>, SourceError> {
        let session = self.server.connect().await?;
        Ok(rules::check(&session, &self.server.place, rules).await?.err().unwrap_or_default())
    }
}
