//! The replication slot and the publication of one connector: what they are called, and how they are made, moved and removed.
//!
//! A slot keeps the server's log from its position on. A publication says which tables' changes the log is read for.

use std::collections::HashSet;

use connectors_sdk::{ErrorKind, SourceError};
use tokio_postgres::types::ToSql;
use xxhash_rust::xxh3::xxh3_64;

use crate::postgresql::catalog::{Kind, Table};
use crate::postgresql::client::Session;
use crate::postgresql::error::{Failure, Place, quoted};
use crate::shared::sql::selection::listed;

/// Longest name of anything at the server (`NAMEDATALEN` - 1).
const LONGEST_NAME: usize = 63;

/// How long the open transactions of others may take to end, before a slot is made.
const OPEN_TRANSACTIONS: &str = "60s";

/// The name of a connector's slot and publication: what is left of its id after taking out what a slot's name may not hold, and
/// a hash, because two ids may leave the same.
pub(super) fn name(connector_id: &str) -> String {
    let hash = format!("_{:08x}", xxh3_64(connector_id.as_bytes()) & 0xffff_ffff);
    let mut name = "connectors_".to_owned();
    for character in connector_id.to_ascii_lowercase().chars() {
        name.push(if character.is_ascii_alphanumeric() { character } else { '_' });
    }
    name.truncate(LONGEST_NAME - hash.len());
    name + &hash
}

/// What the server knows of the slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// Of this database, and for the plugin that is read here.
    pub ours: bool,
    /// Whether the log from its position on was removed.
    pub lost: bool,
    /// Whether somebody else reads it at the moment.
    pub active: bool,
    /// Bytes of the log it keeps.
    pub kept: i64,
    /// Whether its position is not after the given one.
    pub reaches: bool,
}

/// Slot and publication of a connector.
#[derive(Debug, Clone)]
pub(super) struct Names<'a> {
    pub name: String,
    pub place: &'a Place,
}

/// Why a thing cannot be had at the server.
pub(super) enum Cannot {
    /// The server or the account does not allow it: reading the log is not possible here.
    Never(SourceError),
    /// It failed.
    Now(SourceError),
}

impl Cannot {
    pub(super) fn into_error(self) -> SourceError {
        match self {
            Self::Never(error) | Self::Now(error) => error,
        }
    }
}

impl Names<'_> {
    fn failed(&self, operation: &str, error: &tokio_postgres::Error) -> Cannot {
        Cannot::Now(self.place.error(operation, error, None))
    }

    fn never(problem: String, hint: String) -> Cannot {
        Cannot::Never(
            SourceError::new(ErrorKind::Config, "read changes from the server's log", problem)
                .with_hint(hint),
        )
    }

    /// The slot, if there is one. `from` is a position it should still have.
    pub(super) async fn slot(
        &self,
        session: &Session,
        from: Option<&str>,
    ) -> Result<Option<Slot>, SourceError> {
        let lost = if session.version >= 130_000 { "COALESCE(wal_status = 'lost', false)" } else { "false" };
        // The position is compared as text is parsed: the driver need not know the type.
        let query = format!(
            "SELECT database = pg_catalog.current_database() AND plugin = 'pgoutput', {lost} OR restart_lsn IS NULL, active, \
                 COALESCE(pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() \
                     THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn), \
                     0)::pg_catalog.int8, \
                 COALESCE(confirmed_flush_lsn <= $2::pg_catalog.text::pg_catalog.pg_lsn, true) \
             FROM pg_catalog.pg_replication_slots WHERE slot_name = $1"
        );
        let failed = |error| self.place.error("look at the replication slot", &error, None);
        let rows = session.query(&query, &[&self.name, &from]).await.map_err(failed)?;
        let Some(row) = rows.first() else { return Ok(None) };
        let slot = || -> Result<Slot, tokio_postgres::Error> {
            Ok(Slot {
                ours: row.try_get::<_, Option<bool>>(0)?.unwrap_or(false),
                lost: row.try_get(1)?,
                active: row.try_get(2)?,
                kept: row.try_get(3)?,
                reaches: row.try_get(4)?,
            })
        };
        slot().map(Some).map_err(failed)
    }

    /// Makes the slot, which must not exist.
    pub(super) async fn make_slot(&self, session: &Session) -> Result<(), Cannot> {
        let failed = |error| self.failed("make the replication slot", &error);
        // The server waits until every transaction that is open now has ended.
        session.run(&format!("SET statement_timeout = '{OPEN_TRANSACTIONS}'")).await.map_err(failed)?;
        let query = "SELECT pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')::pg_catalog.text";
        let made = session.query(query, &[&self.name]).await;
        session.run("SET statement_timeout = 0").await.map_err(failed)?;
        match made {
            Ok(_) => {
                tracing::info!(
                    "Made the replication slot {}. The server keeps its log from here on until the next incremental sync",
                    self.name
                );
                Ok(())
            }
            Err(error) => Err(match Failure::of(&error) {
                Failure::Server { code, message } if code == "42501" => Self::never(
                    message,
                    format!(
                        "Have an administrator run: ALTER ROLE {} REPLICATION;",
                        quoted(&self.place.user)
                    ),
                ),
                Failure::Server { code, message } if code == "53400" => {
                    Self::never(message, "Raise max_replication_slots at the server.".to_owned())
                }
                Failure::Server { code, .. } if code == "57014" => Cannot::Now(
                    SourceError::new(
                        ErrorKind::Unavailable,
                        "make the replication slot",
                        format!("a transaction of another session has been open for {OPEN_TRANSACTIONS}"),
                    )
                    .with_hint("End it (see pg_stat_activity.xact_start); the next sync tries again."),
                ),
                _ => failed(error),
            }),
        }
    }

    /// Whether the server's log can be read at all.
    pub(super) async fn check(&self, session: &Session) -> Result<(), Cannot> {
        if session.version < 100_000 {
            return Err(Self::never(
                "the server is older than version 10, whose log cannot be read this way".to_owned(),
                "Upgrade the server, or set `watermark_column`.".to_owned(),
            ));
        }
        let query = "SELECT pg_catalog.current_setting('wal_level'), \
             EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = current_user AND (rolreplication OR rolsuper)) \
             OR EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_replication' \
                        AND pg_catalog.pg_has_role(current_user, oid, 'MEMBER'))";
        let rows = session.query(query, &[]).await;
        let rows = rows.map_err(|error| self.failed("look at the server's settings", &error))?;
        let Some(row) = rows.first() else { return Ok(()) };
        let read = || Ok((row.try_get::<_, String>(0)?, row.try_get::<_, bool>(1)?));
        let (level, may) = read().map_err(|error| self.failed("look at the server's settings", &error))?;
        if level != "logical" {
            return Err(Self::never(
                format!("wal_level is {level}"),
                "Set wal_level = logical in postgresql.conf and restart the server, or set `watermark_column`.".to_owned(),
            ));
        }
        if !may {
            let user = quoted(&self.place.user);
            return Err(Self::never(
                format!("{} lacks the attribute REPLICATION", self.place.user),
                format!(
                    "Have an administrator run: ALTER ROLE {user} REPLICATION; or set `watermark_column`."
                ),
            ));
        }
        Ok(())
    }

    /// Brings the publication in step with these tables, and answers which of them were not in it; none if it was made anew.
    pub(super) async fn publish(
        &self,
        session: &Session,
        tables: &[&Table],
    ) -> Result<Option<Vec<String>>, Cannot> {
        let read = |error| self.failed("look at the publication", &error);
        let query = publication(session.version, tables.iter().any(|table| table.kind == Kind::Partitioned));
        let rows = session.query(&query, &[&self.name, &self.place.schema]).await.map_err(read)?;
        let Some(row) = rows.first() else {
            let options =
                if session.version >= 130_000 { " WITH (publish_via_partition_root = true)" } else { "" };
            let of =
                if tables.is_empty() { String::new() } else { format!(" FOR TABLE {}", self.list(tables)) };
            let statement = format!("CREATE PUBLICATION {}{of}{options}", quoted(&self.name));
            self.write(session, &statement).await?;
            tracing::info!("Made the publication {}", self.name);
            return Ok(None);
        };
        if !row.try_get::<_, bool>(1).map_err(read)? {
            return Err(Self::never(
                format!("the publication {} leaves out changes", self.name),
                format!(
                    "Have an administrator run: ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate'{}); and take \
                     row filters out of it.",
                    quoted(&self.name),
                    if session.version >= 130_000 { ", publish_via_partition_root = true" } else { "" }
                ),
            ));
        }
        if row.try_get(0).map_err(read)? {
            return Ok(Some(Vec::new()));
        }
        let query = "SELECT p.prrelid FROM pg_catalog.pg_publication_rel p \
             JOIN pg_catalog.pg_publication n ON n.oid = p.prpubid WHERE n.pubname = $1";
        let rows = session.query(query, &[&self.name]).await.map_err(read)?;
        let published: HashSet<u32> =
            rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(read)?;
        let missing: Vec<&Table> =
            tables.iter().filter(|table| !published.contains(&table.oid)).copied().collect();
        if !missing.is_empty() {
            let add = format!("ALTER PUBLICATION {} ADD TABLE {}", quoted(&self.name), self.list(&missing));
            self.write(session, &add).await?;
        }
        // Changes of other tables are passed over when they are read. They cost the server a little; what costs more is that
        // an update of one that has no replica identity any more is refused.
        if published.iter().any(|oid| !tables.iter().any(|table| table.oid == *oid)) && !tables.is_empty() {
            let set = format!("ALTER PUBLICATION {} SET TABLE {}", quoted(&self.name), self.list(tables));
            if let Err(error) = self.write(session, &set).await {
                tracing::warn!("{}", error.into_error());
            }
        }
        Ok(Some(missing.iter().map(|table| table.name.clone()).collect()))
    }

    fn list(&self, tables: &[&Table]) -> String {
        let schema = quoted(&self.place.schema);
        // Not the tables that inherit from one.
        let only = |table: &Table| if table.kind == Kind::Partitioned { "" } else { "ONLY " };
        let names: Vec<String> =
            tables.iter().map(|table| format!("{}{schema}.{}", only(table), quoted(&table.name))).collect();
        names.join(", ")
    }

    /// Runs one of the few statements that change something at the server: the connector's own publication.
    async fn write(&self, session: &Session, statement: &str) -> Result<(), Cannot> {
        let run = async {
            session.run("BEGIN READ WRITE").await?;
            session.run(statement).await?;
            session.run("COMMIT").await
        };
        let Err(error) = run.await else { return Ok(()) };
        if let Err(error) = session.run("ROLLBACK").await {
            tracing::debug!("the transaction could not be ended: {error}");
        }
        match Failure::of(&error) {
            // Not allowed, or not possible: a standby, a table that cannot be published.
            Failure::Server { code, message } if ["42501", "25006", "22023"].contains(&code.as_str()) => {
                Err(Self::never(
                    message,
                    format!(
                        "Have an administrator run in the database {}: {statement};",
                        self.place.database
                    ),
                ))
            }
            _ => Err(self.failed("prepare the publication", &error)),
        }
    }

    /// Removes the slot, if there is one.
    pub(super) async fn drop_slot(&self, session: &Session) -> Result<(), SourceError> {
        let query = "SELECT pg_catalog.pg_drop_replication_slot(slot_name)::pg_catalog.text \
             FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
        let values: [&(dyn ToSql + Sync); 1] = [&self.name];
        session.query(query, &values).await.map(drop).map_err(|error| {
            self.place.error("remove the replication slot", &error, None).with_hint(format!(
                "Have an administrator run: SELECT pg_drop_replication_slot('{}'); the server keeps its log for it until then.",
                self.name
            ))
        })
    }

    /// Removes the publication, if there is one.
    pub(super) async fn drop_publication(&self, session: &Session) -> Result<(), SourceError> {
        let statement = format!("DROP PUBLICATION IF EXISTS {}", quoted(&self.name));
        self.write(session, &statement).await.map_err(Cannot::into_error)
    }
}

/// Whether a publication holds every table of a schema by itself, and whether it has all changes, in the form that is read here.
fn publication(version: u32, partitioned: bool) -> String {
    let mut every = "p.puballtables".to_owned();
    let mut whole = "p.pubinsert AND p.pubupdate AND p.pubdelete".to_owned();
    if version >= 110_000 {
        whole += " AND p.pubtruncate";
    }
    if version >= 130_000 && partitioned {
        whole += " AND p.pubviaroot";
    }
    // Since version 15 a publication may be of whole schemas, and leave out rows.
    if version >= 150_000 {
        every += " OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s \
             JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid AND n.nspname = $2)";
        whole += " AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel r \
             WHERE r.prpubid = p.oid AND r.prqual IS NOT NULL)";
    }
    format!(
        "SELECT {every}, {whole} FROM pg_catalog.pg_publication p WHERE p.pubname = $1 AND $2::pg_catalog.name IS NOT NULL"
    )
}

/// The tables whose changes the log names by their keys, and, for a warning, the others.
pub(super) fn covered(version: u32, tables: &[Table]) -> (Vec<&Table>, Vec<&Table>) {
    tables.iter().partition(|table| {
        let kind = match table.kind {
            Kind::Table => true,
            Kind::Partitioned => version >= 130_000,
            _ => false,
        };
        kind && table.logged && !table.key.is_empty() && table.identified
    })
}

/// Says which tables are left to full syncs.
pub(super) fn warn_of_the_rest(rest: &[&Table]) {
    if !rest.is_empty() {
        tracing::warn!(
            "Changes of these are seen by full syncs only (a view, or no primary key, or no replica identity, or not logged): {}",
            listed(rest.iter().map(|table| table.name.as_str()))
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_and_each_connectors_own() {
        let first = name("My-Connector Ä");
        assert!(first.starts_with("connectors_my_connector___"), "{first}");
        assert_ne!(first, name("my_connector  Ä"));
        assert_eq!(first, name("My-Connector Ä"));
        let long = name(&"x".repeat(200));
        assert_eq!(long.len(), LONGEST_NAME);
        assert_ne!(long, name(&"x".repeat(201)));
        assert!(long.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')));
    }
}
