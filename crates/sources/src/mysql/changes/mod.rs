//! Incremental syncs: what changed since the last sync.
//!
//! The binary log says which keys changed; their rows are read as they are now, in the same way as by a full sync. Where it
//! cannot be had, a column whose value grows with every change says which rows changed.

mod cursor;
mod ddl;
mod follow;
mod keys;
pub(super) mod position;
pub(super) mod steady;
mod tracker;
pub(super) mod watermark;

use std::sync::Arc;

use connectors_sdk::{ErrorKind, SourceError};
use mysql_async::Error;

pub(super) use self::cursor::Cursor;
use self::follow::Follower;
use self::position::{Log, Position};
use super::catalog::Table;
use super::client::Session;
use super::error::Place;
use super::read::{Failure, Reader};
use crate::shared::sql::selection::listed;

/// Why the binary log cannot be followed.
pub(super) struct Unusable(String);

impl Unusable {
    pub(super) fn into_error(self) -> SourceError {
        SourceError::new(ErrorKind::Config, "find out what changed", format!("the binary log cannot be used: {}", self.0))
            .with_hint(
                "Make it readable, name a column that grows with every change in `watermark_column`, or use full syncs only.",
            )
    }

    pub(super) fn reason(&self) -> &str {
        &self.0
    }
}

/// The position of the log, if it can be followed.
pub(super) async fn usable(
    session: &mut Session,
    log: &Log,
    tables: &[Table],
    place: &Place,
) -> Result<Result<Position, Unusable>, Error> {
    let unusable = |reason: &str| Ok(Err(Unusable(reason.to_owned())));
    let (position, filters) = match log {
        Log::Off => return unusable("it is switched off (log_bin)"),
        Log::Forbidden => {
            return unusable(&format!(
                "the account may not ask for it: GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{}' (MariaDB: REPLICATION SLAVE, BINLOG MONITOR)",
                place.user
            ));
        }
        Log::Unsettled => {
            return unusable(
                "transactions in it wait for a replica (semi-synchronous replication) and are not seen yet, or without \
                 gtid_mode=ON may wait for more than 14 s",
            );
        }
        Log::At { position, filters } => (position, filters),
    };
    // The server may spell the database's name in another way than the configuration.
    let database = tables.first().map_or(place.database.as_str(), |table| table.database.as_str());
    if let Some(reason) = filters.hide(database) {
        return unusable(&reason);
    }
    let [format] = position::variables(session, ["binlog_format"]).await?;
    if !format.is_empty() && !format.eq_ignore_ascii_case("row") {
        return unusable(&format!("binlog_format is {format}, not ROW"));
    }
    Ok(Ok(position.clone()))
}

/// Sends what changed from one position of the log to another.
pub(super) async fn follow(
    reader: &Reader,
    tables: &[Arc<Table>],
    cursor: Cursor,
    end: Position,
) -> Result<Result<(), Unusable>, SourceError> {
    let Some(from) = cursor.position.clone() else {
        return Err(tracker::lost("no position is known"));
    };
    if from.server != end.server {
        return Err(tracker::lost("the server is another one than at the last sync"));
    }
    if from.is_beyond(&end) {
        return Err(tracker::lost(
            "it ends before the position of the last sync: it was begun anew, or set back",
        ));
    }
    let missing = cursor.missing(tables);
    if !missing.is_empty() {
        return Err(tracker::lost(format!(
            "{} was dropped or renamed, or may not be read any more",
            listed(missing)
        )));
    }
    let (followed, others): (Vec<_>, Vec<_>) =
        tables.iter().cloned().partition(|table| keys::is_followed(table));
    if !others.is_empty() {
        tracing::warn!(
            "changes of {} are seen by full syncs only: views, tables without a key that the binary log shows, and tables in which \
             a column that the account may not know of stands before one that it may",
            listed(others.iter().map(|table| table.name.as_str()))
        );
    }
    let mut session = reader.client.session().await?;
    let cascaded = keys::cascaded(&mut session, &followed)
        .await
        .map_err(|error| reader.client.error("read the foreign keys", &error))?;
    drop(session);
    if !cascaded.is_empty() {
        tracing::warn!(
            "what foreign keys delete or change by themselves (ON DELETE, ON UPDATE) in {} is not in the binary log: \
             only full syncs see it",
            listed(cascaded.iter().map(String::as_str))
        );
    }
    let cursor = Cursor {
        steady: cursor.steady && others.is_empty() && cascaded.is_empty(),
        tables: Some(tables.iter().map(|table| table.name.clone()).collect()),
        ..cursor
    };
    let mut follower = Follower { reader, tables: followed, cursor, end };
    match follower.run(from).await {
        Ok(()) => Ok(Ok(())),
        Err(Failure::Source(error)) => Err(error),
        Err(Failure::Server(error)) => match follow::lacks_privilege(&reader.client, &error) {
            Some(reason) => Ok(Err(Unusable(reason))),
            None => Err(reader.client.error("follow the binary log", &error)),
        },
    }
}
