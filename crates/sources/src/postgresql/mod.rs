//! PostgreSQL: the rows of the tables and views of one schema.
//!
//! Every row is a document. Tables are read from one snapshot, page by page along their key; advanced sync rules read custom
//! queries instead. See `README.md` for the rules.

mod catalog;
mod changes;
mod client;
mod config;
mod document;
mod error;
mod read;
mod rules;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use std::sync::Arc;

use async_trait::async_trait;
use connectors_sdk::{
    Capabilities, Changed, Configuration, DataSource, RuleViolation, Sink, SourceContext, SourceDescriptor,
    SourceError,
};
use serde_json::{Map, Value};

use self::changes::Contents;
use self::client::{Server, Session, Spare};
use self::config::PostgresqlConfiguration;
use self::read::Reader;
use crate::shared::sql::selection::Selection;
use crate::shared::sql::types::Fields;

/// The registry's entry.
pub(crate) fn descriptor() -> SourceDescriptor {
    let fields = PostgresqlConfiguration::fields();
    SourceDescriptor::new("postgresql", "PostgreSQL", fields, |configuration, context| {
        Ok(Box::new(PostgresqlSource::new(configuration, context)?))
    })
    .replacing(&["connectors.sources.postgresql:PostgreSQLDataSource"])
    .with_capabilities(Capabilities {
        advanced_rules: true,
        incremental: true,
        changes: true,
        ..Capabilities::default()
    })
}

/// The configured schema of one connector.
#[derive(Debug)]
struct PostgresqlSource {
    server: Server,
    selection: Selection,
    configuration: PostgresqlConfiguration,
    context: SourceContext,
    fields: Fields,
    spare: Spare,
}

impl PostgresqlSource {
    fn new(configuration: &Configuration, context: SourceContext) -> Result<Self, SourceError> {
        let configuration = PostgresqlConfiguration::parse(configuration)?;
        let server = Server::new(&configuration)?;
        let selection = Selection::parse(&configuration.tables)?;
        let (fields, spare) = (Fields::default(), Spare::default());
        Ok(Self { server, selection, configuration, context, fields, spare })
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

    /// What there is to read: the results of custom queries, or tables.
    async fn contents(&self, session: &Session, rules: Option<&Value>) -> Result<Contents, SourceError> {
        if let Some(rules) = rules {
            let queries = rules::queries(session, &self.server.place, rules).await?;
            // Rules without a query are no rules.
            if !queries.is_empty() {
                return Ok(Contents::Queries(queries));
            }
        }
        catalog::tables(session, &self.server.place, &self.selection).await.map(Contents::Tables)
    }

    async fn connect(&self) -> Result<Session, SourceError> {
        self.spare.take_or_connect(&self.server).await
    }

    /// The connection of a sync. A server that is being started is waited for.
    async fn session(&self) -> Result<Session, SourceError> {
        let mut failures = 0;
        loop {
            match self.connect().await {
                Ok(session) => return Ok(session),
                Err(error) => {
                    failures += 1;
                    read::pause(failures, self.configuration.retry_count, "the server", error).await?;
                }
            }
        }
    }

    async fn full(&self, rules: Option<&Value>, sink: &Sink) -> Result<(), SourceError> {
        let session = self.session().await?;
        let contents = self.contents(&session, rules).await?;
        let slot = match &contents {
            Contents::Tables(tables) => self.prepare(&session, tables).await?,
            Contents::Queries(_) => false,
        };
        self.everything(&session, contents, rules, slot, true, sink).await
    }
}

#[async_trait]
impl DataSource for PostgresqlSource {
    async fn validate(&self) -> Result<(), SourceError> {
        let session = self.connect().await?;
        let tables = catalog::tables(&session, &self.server.place, &self.selection).await?;
        self.spare.leave(session);
        self.fields.learn(|| document::fields(&self.server.place, &tables));
        Ok(())
    }

    fn mapping(&self, advanced_rules: Option<&Value>) -> Map<String, Value> {
        self.fields.mapping(advanced_rules)
    }

    async fn ping(&self) -> Result<(), SourceError> {
        self.spare.leave(self.connect().await?);
        Ok(())
    }

    async fn changed(&self, cursor: Option<&Value>) -> Result<Changed, SourceError> {
        Ok(if self.log_moved(cursor).await? { Changed::Perhaps } else { Changed::Nothing(None) })
    }

    async fn documents(&self, advanced_rules: Option<&Value>, sink: &Sink) -> Result<(), SourceError> {
        self.unless_stopped(self.full(advanced_rules, sink)).await
    }

    async fn changes(
        &self,
        cursor: Option<&Value>,
        advanced_rules: Option<&Value>,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        self.unless_stopped(async {
            let session = self.session().await?;
            let contents = self.contents(&session, advanced_rules).await?;
            self.incremental(&session, contents, cursor, advanced_rules, sink).await
        })
        .await
    }

    async fn forget(&self) -> Result<(), SourceError> {
        self.remove_slot().await
    }

    async fn validate_advanced_rules(&self, rules: &Value) -> Result<Vec<RuleViolation>, SourceError> {
        let session = self.connect().await?;
        let violations = rules::check(&session, &self.server.place, rules).await?.err().unwrap_or_default();
        self.spare.leave(session);
        Ok(violations)
    }
}
