//! Incremental syncs: what changed since a position in the server's log, or since a value of a column.
//!
//! The log names changed rows by their keys only; their values are read from the tables, in the same way as in a full sync. So an
//! update whose large values are not in the log is no special case, and rows that changed often are read once.

mod cursor;
mod pgoutput;
mod position;
mod slot;
mod touched;
mod watermark;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use connectors_sdk::{ErrorKind, Message, Sink, SourceError};
use jiff::Timestamp;
use serde_json::{Map, Value};

use self::cursor::Cursor;
use self::pgoutput::{Change, Decoder};
use self::position::Position;
use self::slot::{Cannot, Names};
use self::touched::Touched;
use super::PostgresqlSource;
use super::catalog::{Kind, Table};
use super::client::{Bound, Raw, Session};
use super::error::Place;
use super::read::{Query, Reader, Work};
use super::rules::Custom;
use crate::shared::sql::rules::given;

/// How long transactions that are ending are waited for before a full sync takes its snapshot.
const ENDING: Duration = Duration::from_secs(2);

/// How long open transactions may take to end before a table that is new is read.
const OPEN: Duration = Duration::from_mins(1);

/// What a full sync reads.
pub(super) enum Contents {
    Tables(Vec<Table>),
    Queries(Vec<Custom>),
}

impl PostgresqlSource {
    fn place(&self) -> &Place {
        &self.server.place
    }

    fn names(&self) -> Option<Names<'_>> {
        let id = self.context.connector_id.as_deref()?;
        Some(Names { name: slot::name(id), place: self.place() })
    }

    /// Everything about the configuration that decides which documents there are.
    pub(super) fn settings(&self, rules: Option<&Value>) -> String {
        let (place, watermark) = (self.place(), &self.configuration.watermark_column);
        let rules = given(rules);
        // Another account may see other tables and rows.
        let settings = format!(
            "{:?} {} {:?} {:?} {:?} {:?} {watermark:?} {rules:?}",
            place.host, place.port, place.user, place.database, place.schema, self.selection
        );
        format!("{:016x}", xxhash_rust::xxh3::xxh3_64(settings.as_bytes()))
    }

    /// Whether anything was written to the server's log since the last sync, which then was complete.
    pub(super) async fn log_moved(&self, cursor: Option<&Value>) -> Result<bool, SourceError> {
        let cursor = Cursor(cursor);
        let Some(wal) = cursor.text("wal") else { return Ok(true) };
        if cursor.text("settings") != Some(&self.settings(None)) {
            return Ok(true);
        }
        let session = self.connect().await?;
        let now = position::now(&session, self.place()).await?;
        self.spare.leave(session);
        Ok(now.wal.as_deref() != Some(wal)
            || now.system.is_none()
            || now.system.as_deref() != cursor.text("system"))
    }

    /// Sends all documents, and a cursor from which incremental syncs can go on. `slot`: whether one is there for that. `whole`:
    /// whether documents that are not sent are deleted, so that the index then has what there is.
    pub(super) async fn everything(
        &self,
        session: &Session,
        contents: Contents,
        rules: Option<&Value>,
        slot: bool,
        whole: bool,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        let reader = self.reader(sink);
        // All before the snapshot is taken: what is written in between comes twice rather than never.
        let position = position::now(session, self.place()).await?;
        let mut cursor = self.cursor(rules, &position);
        let mut work = Vec::new();
        match contents {
            Contents::Queries(queries) => {
                work.extend(queries.into_iter().map(|custom| Work::Query(Query::custom(custom))));
            }
            Contents::Tables(tables) => {
                if let Some(column) = &self.configuration.watermark_column {
                    let usable = self.usable(session, &tables, column).await?;
                    let marked = tables.iter().filter(|table| usable.contains(&table.oid));
                    cursor.insert("watermarks".to_owned(), self.watermarks(session, marked, column).await?);
                }
                if slot && let (Some(names), Some(lsn)) = (self.names(), &position.flushed) {
                    cursor.insert("slot".to_owned(), names.name.into());
                    cursor.insert("lsn".to_owned(), lsn.as_str().into());
                    let (covered, _) = slot::covered(session.version, &tables);
                    cursor.insert("tables".to_owned(), cursor::tables(&covered));
                }
                let logged = whole
                    && tables.iter().all(|table| {
                        let kind = matches!(table.kind, Kind::Table | Kind::MaterializedView);
                        kind && table.logged && !table.secured
                    });
                let settled =
                    (slot || logged) && position::settle(session, self.place(), None, ENDING).await?;
                if settled && logged {
                    cursor.insert("wal".to_owned(), position.wal.as_deref().into());
                }
                tracing::info!("{} tables are read", tables.len());
                for table in tables {
                    work.extend(Work::of_table(&self.server, session, table).await?);
                }
                reader.take_snapshot(session).await?;
            }
        }
        reader.read(work).await?;
        sink.send(Message::Checkpoint(Value::Object(cursor))).await
    }

    fn cursor(&self, rules: Option<&Value>, position: &Position) -> Map<String, Value> {
        let mut cursor = Map::new();
        cursor.insert("settings".to_owned(), self.settings(rules).into());
        cursor.insert("system".to_owned(), position.system.as_deref().into());
        cursor.insert(
            "cursor_timestamp".to_owned(),
            connectors_protocol::timestamp::format(Timestamp::now()).into(),
        );
        cursor
    }

    /// Makes slot and publication ready for the tables. They may be there already.
    async fn ensure(&self, session: &Session, tables: &[Table]) -> Result<(), Cannot> {
        let Some(names) = self.names() else {
            return Err(Cannot::Never(SourceError::new(
                ErrorKind::Config,
                "read changes from the server's log",
                "the connector has no id that the replication slot could be named after",
            )));
        };
        names.check(session).await?;
        let (covered, rest) = slot::covered(session.version, tables);
        slot::warn_of_the_rest(&rest);
        // A slot reads publications as they were at its position: one that was made later is unknown there.
        let made = names.publish(session, &covered).await?.is_none();
        let slot = names.slot(session, None).await.map_err(Cannot::Now)?;
        if slot.as_ref().is_some_and(|slot| slot.ours && !slot.lost && !made) {
            return Ok(());
        }
        if slot.is_some() {
            names.drop_slot(session).await.map_err(Cannot::Now)?;
        }
        names.make_slot(session).await
    }

    /// Whether a full sync leaves a position in the log: it prepares the slot if incremental syncs are scheduled.
    pub(super) async fn prepare(&self, session: &Session, tables: &[Table]) -> Result<bool, SourceError> {
        let Some(names) = self.names() else { return Ok(false) };
        if self.context.incremental {
            return Ok(match self.ensure(session, tables).await {
                Ok(()) => true,
                Err(Cannot::Never(error)) if self.configuration.watermark_column.is_some() => {
                    tracing::info!("Incremental syncs will go by `watermark_column`: {error}");
                    false
                }
                // This sync is whole without it.
                Err(cannot) => {
                    tracing::warn!("Incremental syncs are not prepared: {}", cannot.into_error());
                    false
                }
            });
        }
        if session.version < 100_000 {
            return Ok(false);
        }
        let slot = names.slot(session, None).await?.filter(|slot| slot.ours && !slot.lost);
        if let Some(slot) = &slot {
            tracing::warn!(
                "The replication slot {} keeps {} bytes of the server's log, and no incremental sync is scheduled that would \
                 read it. If none shall be, drop it: SELECT pg_drop_replication_slot('{}')",
                names.name,
                slot.kept,
                names.name
            );
        }
        Ok(slot.is_some())
    }

    /// An incremental sync.
    pub(super) async fn incremental(
        &self,
        session: &Session,
        contents: Contents,
        cursor: Option<&Value>,
        rules: Option<&Value>,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        let Contents::Tables(tables) = contents else {
            tracing::info!(
                "The results of custom queries are read whole: the log does not say which of their rows changed"
            );
            return self.everything(session, contents, rules, false, false, sink).await;
        };
        let cursor = Cursor(cursor);
        let same = cursor.text("settings") == Some(&self.settings(rules));
        if same && let (Some(_), Some(lsn)) = (cursor.text("slot"), cursor.text("lsn")) {
            return self.log(session, tables, &cursor, lsn, rules, sink).await;
        }
        match self.ensure(session, &tables).await {
            Ok(()) => {
                tracing::info!("There is no position in the server's log to go on from: every row is sent");
                self.everything(session, Contents::Tables(tables), rules, true, false, sink).await
            }
            Err(Cannot::Never(error)) => match &self.configuration.watermark_column {
                Some(column) => {
                    tracing::debug!("going by `watermark_column`: {error}");
                    let since = cursor.watermarks().filter(|_| same);
                    self.above_watermarks(session, tables, column, since, rules, sink).await
                }
                None => Err(error),
            },
            Err(Cannot::Now(error)) => Err(error),
        }
    }

    /// Sends what the log says since a position.
    async fn log(
        &self,
        session: &Session,
        tables: Vec<Table>,
        cursor: &Cursor<'_>,
        lsn: &str,
        rules: Option<&Value>,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        let names = self.names().filter(|names| cursor.text("slot") == Some(&names.name));
        let Some(names) = names else { return Err(lost("it was left by another connector")) };
        if !position::is_lsn(lsn) {
            return Err(lost("the cursor does not hold one"));
        }
        names.check(session).await.map_err(Cannot::into_error)?;
        let Some(slot) = names.slot(session, Some(lsn)).await? else {
            return Err(lost(&format!("the replication slot {} does not exist any more", names.name)));
        };
        if !slot.ours || slot.lost {
            return Err(lost(&format!(
                "the server removed the log that the replication slot {} kept (max_slot_wal_keep_size)",
                names.name
            )));
        }
        if !slot.reaches {
            return Err(lost(&format!("the replication slot {} is already past it", names.name)));
        }
        let Some(known) = cursor.tables() else {
            return Err(lost("the cursor does not say of which tables"));
        };
        let (covered, rest) = slot::covered(session.version, &tables);
        slot::warn_of_the_rest(&rest);
        let Some(added) = names.publish(session, &covered).await.map_err(Cannot::into_error)? else {
            return Err(lost(&format!("the publication {} did not exist any more", names.name)));
        };
        cursor::compare(&known, &covered)?;
        // The log has no changes of tables from before they were published, and a sync that published some may not have completed.
        let new: Vec<&Table> = covered
            .iter()
            .filter(|table| added.contains(&table.name) || !known.iter().any(|known| known.oid == table.oid))
            .copied()
            .collect();
        // What is written by transactions that began before is not in the log either: it is read with the table.
        if !new.is_empty() && !position::settle(session, self.place(), None, OPEN).await? {
            return Err(SourceError::new(
                ErrorKind::Unavailable,
                "read new tables",
                format!("a transaction of another session has been open for {} s", OPEN.as_secs()),
            )
            .with_hint("End it (see pg_stat_activity.xact_start); the next sync tries again."));
        }
        let now = position::now(session, self.place()).await?;
        if position::system_id(cursor.text("system")) != position::system_id(now.system.as_deref()) {
            return Err(lost("it is of another server"));
        }
        let Some(until) = &now.flushed else { return Err(lost("the server does not say its own")) };
        // The job that left the cursor completed: what is before it is not needed any more.
        position::advance(session, self.place(), &names.name, lsn).await?;
        let mut cursor = self.cursor(rules, &now);
        cursor.insert("slot".to_owned(), names.name.as_str().into());
        cursor.insert("lsn".to_owned(), until.as_str().into());
        cursor.insert("tables".to_owned(), cursor::tables(&covered));
        let reader = self.reader(sink);
        let mut work = Vec::new();
        for table in new {
            tracing::info!("{}: is new, and sent whole", table.name);
            work.extend(Work::of_table(&self.server, session, table.clone()).await?);
        }
        let tables = covered.into_iter().map(|table| (table.oid, table.clone())).collect();
        self.follow(session, &names.name, until, tables, &reader).await?;
        reader.read(work).await?;
        sink.send(Message::Checkpoint(Value::Object(cursor))).await
    }

    /// Reads the log up to a position, and sends the rows it names as they are now.
    async fn follow(
        &self,
        session: &Session,
        slot: &str,
        until: &str,
        tables: HashMap<u32, Table>,
        reader: &Arc<Reader>,
    ) -> Result<(), SourceError> {
        let failed = |error| self.place().error("read the server's log", &error, None);
        let keys = tables.iter().map(|(number, table)| (*number, table.key.clone()));
        let mut decoder = Decoder::new(keys.collect());
        let rows = self.server.connect().await?;
        let mut touched = Touched::new(&rows, self.place(), &reader.sink, tables);
        let query = "SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, $2::pg_catalog.pg_lsn, NULL, \
             'proto_version', '1', 'publication_names', $3)";
        let statement = session.prepare(query).await.map_err(failed)?;
        let values = vec![Bound::text(slot), Bound::text(until), Bound::text(slot)];
        let mut log = session.stream(&statement, values).await.map_err(failed)?;
        let mut changes = 0_u64;
        while let Some(row) = log.next().await {
            let row = row.map_err(failed)?;
            let message: Raw<'_> = row.try_get(0).map_err(failed)?;
            let change = decoder.message(message.0).map_err(|error| {
                SourceError::new(ErrorKind::InvalidData, "read the server's log", error.to_string())
            })?;
            match change {
                Change::Nothing => {}
                Change::Begin { transaction } => touched.transaction(transaction),
                Change::Rows { table, keys } => {
                    changes += 1;
                    touched.add(table, keys).await?;
                }
                Change::Truncate { tables } => {
                    if let Some(name) = tables.iter().find_map(|table| touched.table(*table)) {
                        return Err(unreadable(&format!("the table {name} was truncated")));
                    }
                }
                Change::Unnamed { table } => {
                    let name = touched.table(table).unwrap_or_default();
                    return Err(unreadable(&format!("the key of the table {name} was altered")));
                }
                Change::Garbled { table } => {
                    let name = touched.table(table).unwrap_or_default();
                    return Err(unreadable(&format!("a key of the table {name} is not UTF-8")));
                }
            }
        }
        let sent = touched.finish().await?;
        tracing::info!(
            "{changes} changes in the server's log: {} rows sent, {} deleted",
            sent.rows,
            sent.deleted
        );
        Ok(())
    }

    /// Removes slot and publication.
    pub(super) async fn remove_slot(&self) -> Result<(), SourceError> {
        let Some(names) = self.names() else { return Ok(()) };
        let session = self.connect().await?;
        if session.version < 100_000 {
            return Ok(());
        }
        names.drop_slot(&session).await?;
        names.drop_publication(&session).await
    }
}

/// The position is of no use any more.
fn lost(why: &str) -> SourceError {
    SourceError::new(
        ErrorKind::Incomplete,
        "read changes from the server's log",
        format!("the position of the last sync is lost: {why}"),
    )
    .with_hint("Run a full sync: it reads everything and leaves a new position.")
}

/// The log does not say enough.
fn unreadable(why: &str) -> SourceError {
    SourceError::new(ErrorKind::Incomplete, "read changes from the server's log", why)
        .with_hint("The log does not say which rows there were. Run a full sync: it deletes what is gone.")
}
