//! MySQL and MariaDB: the rows of a database's tables.
//!
//! Every row is a document. Full syncs read all tables in one snapshot, page by page; incremental ones follow the binary log.
//! See `README.md` for the rules.

mod catalog;
mod changes;
mod client;
mod config;
mod document;
mod error;
mod geometry;
mod read;
mod rules;
mod selected;
#[cfg(test)]
mod tests;
mod types;
mod value;

use std::sync::Arc;

use async_trait::async_trait;
use connectors_sdk::{
    Capabilities, Changed, Configuration, DataSource, Message, RuleViolation, Sink, SourceContext,
    SourceDescriptor, SourceError,
};
use mysql_async::prelude::Queryable;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use self::catalog::Table;
use self::changes::position::{self, Log};
use self::changes::{Cursor, Unusable, steady, watermark};
use self::client::{Client, Session};
use self::config::MysqlConfiguration;
use self::read::{Reader, Work};
use crate::shared::sql::rules::given;
use crate::shared::sql::selection::Selection;
use crate::shared::sql::types::Fields;

/// The registry's entry.
pub(crate) fn descriptor() -> SourceDescriptor {
    SourceDescriptor::new("mysql", "MySQL", MysqlConfiguration::fields(), |configuration, context| {
        Ok(Box::new(MysqlSource::new(configuration, context)?))
    })
    .replacing(&["connectors.sources.mysql:MySqlDataSource"])
    .with_capabilities(Capabilities {
        advanced_rules: true,
        incremental: true,
        changes: true,
        ..Capabilities::default()
    })
}

/// The configured database of one connector.
struct MysqlSource {
    client: Arc<Client>,
    database: String,
    selection: Selection,
    page_rows: u64,
    watermark_column: Option<String>,
    /// Hash of the settings that decide what is read.
    settings: String,
    context: SourceContext,
    fields: Fields,
}

impl MysqlSource {
    fn new(configuration: &Configuration, context: SourceContext) -> Result<Self, SourceError> {
        let configuration = MysqlConfiguration::parse(configuration)?;
        let watermark_column = configuration.watermark_column.clone().filter(|name| !name.trim().is_empty());
        let settings = format!(
            "{:?}",
            (
                &configuration.host,
                configuration.port,
                &configuration.user,
                &configuration.database,
                &configuration.tables,
                &watermark_column,
            )
        );
        Ok(Self {
            client: Arc::new(Client::new(&configuration)?),
            database: configuration.database.clone(),
            selection: Selection::parse(&configuration.tables)?,
            page_rows: configuration.page_rows()?,
            watermark_column,
            settings: format!("{:016x}", xxh3_64(settings.as_bytes())),
            context,
            fields: Fields::default(),
        })
    }

    /// Does the work unless the job is stopped before: waiting for a lock may take long.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        tokio::select! {
            done = work => done,
            () = self.context.cancel.cancelled() => Err(SourceError::canceled()),
        }
    }

    fn reader(&self, sink: &Sink) -> Reader {
        Reader { client: self.client.clone(), sink: sink.clone(), page_rows: self.page_rows }
    }

    async fn tables(&self, session: &mut Session) -> Result<Vec<Table>, SourceError> {
        selected::tables(&self.client, session, &self.database, &self.selection).await
    }

    /// Sends all rows of all tables, or of the custom queries. `whole`: what is not sent is deleted.
    async fn list(&self, rules: Option<&Value>, whole: bool, sink: &Sink) -> Result<(), SourceError> {
        let reader = self.reader(sink);
        let mut session = self.client.session().await?;
        if let Some(rules) = rules {
            let queries = rules::resolve(&self.client, &mut session, rules).await?;
            let queries = queries.map_err(|violations| rules::refused(&violations))?;
            let snapshot = reader.snapshot(session, &[]).await?;
            let work = queries.into_iter().map(|query| Work::Query(Arc::new(query))).collect();
            reader.run(work, snapshot.sessions).await?;
            return self.checkpoint(&snapshot.log, None, false, Vec::new(), sink).await;
        }
        let tables = self.tables(&mut session).await?;
        selected::warn_of_gaps(&tables);
        let failed = |error: mysql_async::Error| self.client.error("read the catalogue", &error);
        let steady = whole && steady::are_steady(&mut session, &tables).await.map_err(failed)?;
        let tables: Vec<Arc<Table>> = tables.into_iter().map(Arc::new).collect();
        let mut snapshot = reader.snapshot(session, &tables).await?;
        let connections = snapshot.sessions.len();
        tracing::info!("reading {} tables on {connections} connections", tables.len());
        let first = &mut snapshot.sessions[0];
        first.hold().await.map_err(failed)?;
        let marks = self.marks(first, &tables).await?;
        let work = reader.parts(&tables, first, connections).await?;
        first.release().await.map_err(failed)?;
        reader.run(work, snapshot.sessions).await?;
        self.checkpoint(&snapshot.log, marks, steady, names(&tables), sink).await
    }

    /// The watermarks of the tables, if a column for them is named.
    async fn marks(
        &self,
        session: &mut Session,
        tables: &[Arc<Table>],
    ) -> Result<Option<Map<String, Value>>, SourceError> {
        let Some(column) = &self.watermark_column else { return Ok(None) };
        watermark::greatest(&self.client, session, tables, column).await.map(Some)
    }

    /// Leaves where the binary log was, and the watermarks.
    async fn checkpoint(
        &self,
        log: &Log,
        watermarks: Option<Map<String, Value>>,
        steady: bool,
        mut tables: Vec<String>,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        let position = log.position().cloned();
        if position.is_none() && watermarks.is_none() {
            return Ok(());
        }
        tables.sort_unstable();
        tables.dedup();
        let tables = Some(tables);
        let cursor = Cursor { settings: self.settings.clone(), steady, tables, position, watermarks };
        sink.send(Message::Checkpoint(cursor.to_json())).await
    }

    /// Sends what changed since the cursor.
    async fn send_changes(&self, cursor: Option<Cursor>, sink: &Sink) -> Result<(), SourceError> {
        let mut session = self.client.session().await?;
        // The tables are described before the end of the log is read: what is altered in between is in the log.
        let tables = self.tables(&mut session).await?;
        let failed = |error: mysql_async::Error| self.client.error("read the binary log's position", &error);
        let log = position::settled(&mut session).await.map_err(failed)?;
        let usable =
            changes::usable(&mut session, &log, &tables, &self.client.place).await.map_err(failed)?;
        let cursor = cursor.filter(|cursor| cursor.settings == self.settings);
        let why_not = match usable {
            Ok(end) => {
                let Some(cursor) = cursor.clone().filter(|cursor| cursor.position.is_some()) else {
                    tracing::info!(
                        "no position of the binary log is known for these settings: all rows are sent"
                    );
                    return self.list(None, false, sink).await;
                };
                let steady = steady::are_steady(&mut session, &tables).await.map_err(failed)?;
                let cursor = Cursor { steady: cursor.steady && steady, ..cursor };
                let tables: Vec<_> = tables.iter().cloned().map(Arc::new).collect();
                match changes::follow(&self.reader(sink), &tables, cursor, end).await? {
                    Ok(()) => return Ok(()),
                    Err(unusable) => unusable,
                }
            }
            Err(unusable) => unusable,
        };
        self.send_marked(cursor, tables, session, why_not, sink).await
    }

    /// Sends the rows whose watermark is not below the last one.
    async fn send_marked(
        &self,
        cursor: Option<Cursor>,
        tables: Vec<Table>,
        session: Session,
        why_not: Unusable,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        let Some(column) = &self.watermark_column else { return Err(why_not.into_error()) };
        let before = cursor.as_ref().and_then(|cursor| cursor.tables.clone()).unwrap_or_default();
        let Some(known) = cursor.and_then(|cursor| cursor.watermarks) else {
            tracing::info!("no watermark is known for these settings: all rows are sent");
            return self.list(None, false, sink).await;
        };
        tracing::info!("the binary log cannot be used ({}): going by the column {column}", why_not.reason());
        let tables: Vec<_> = tables.into_iter().map(Arc::new).collect();
        let marked = watermark::marked(&tables, column);
        let reader = self.reader(sink);
        let mut snapshot = reader.snapshot(session, &marked).await?;
        let marks = self.marks(&mut snapshot.sessions[0], &marked).await?;
        let work = marked
            .into_iter()
            .map(|table| {
                let value = known.get(&table.name).and_then(watermark::from_json);
                Work::Since { table, column: column.clone(), value }
            })
            .collect();
        reader.run(work, snapshot.sessions).await?;
        // Tables that are gone stay named: what was theirs is not deleted here.
        let mut names = names(&tables);
        names.extend(before);
        self.checkpoint(&snapshot.log, marks, false, names, sink).await
    }
}

fn names(tables: &[Arc<Table>]) -> Vec<String> {
    tables.iter().map(|table| table.name.clone()).collect()
}

#[async_trait]
impl DataSource for MysqlSource {
    async fn validate(&self) -> Result<(), SourceError> {
        self.unless_stopped(async {
            let mut session = self.client.session().await?;
            let tables = self.tables(&mut session).await?;
            self.fields.learn(|| types::fields(&tables));
            Ok(())
        })
        .await
    }

    fn mapping(&self, advanced_rules: Option<&Value>) -> Map<String, Value> {
        self.fields.mapping(advanced_rules)
    }

    async fn ping(&self) -> Result<(), SourceError> {
        self.unless_stopped(async {
            let mut session = self.client.session().await?;
            session.conn.ping().await.map_err(|error| self.client.error("ping the server", &error))
        })
        .await
    }

    /// Nothing changed if the server's binary log is where it was. It knows of every write, whatever database it was to.
    async fn changed(&self, cursor: Option<&Value>) -> Result<Changed, SourceError> {
        let Some(cursor) = Cursor::from_json(cursor) else { return Ok(Changed::Perhaps) };
        let Some(known) = cursor.position.filter(|_| cursor.steady && cursor.settings == self.settings)
        else {
            return Ok(Changed::Perhaps);
        };
        self.unless_stopped(async {
            let mut session = self.client.session().await?;
            let log = position::read(&mut session)
                .await
                .map_err(|error| self.client.error("read the binary log's position", &error))?;
            Ok(match log {
                Log::At { position, filters } if filters.is_empty() && position.is(&known) => {
                    Changed::Nothing(None)
                }
                Log::At { .. } | Log::Off | Log::Forbidden | Log::Unsettled => Changed::Perhaps,
            })
        })
        .await
    }

    /// A table may have a column of that name.
    fn owns_id_field(&self) -> bool {
        true
    }

    async fn documents(&self, advanced_rules: Option<&Value>, sink: &Sink) -> Result<(), SourceError> {
        self.unless_stopped(self.list(given(advanced_rules), true, sink)).await
    }

    async fn changes(
        &self,
        cursor: Option<&Value>,
        advanced_rules: Option<&Value>,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        self.unless_stopped(async {
            let rules = given(advanced_rules);
            if rules.is_some() {
                tracing::info!("which rows of a query changed is not known: all of them are sent");
                return self.list(rules, false, sink).await;
            }
            self.send_changes(Cursor::from_json(cursor), sink).await
        })
        .await
    }

    async fn validate_advanced_rules(&self, rules: &Value) -> Result<Vec<RuleViolation>, SourceError> {
        self.unless_stopped(async {
            let mut session = self.client.session().await?;
            Ok(rules::resolve(&self.client, &mut session, rules).await?.err().unwrap_or_default())
        })
        .await
    }
}
