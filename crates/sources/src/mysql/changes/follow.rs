//! Follows the binary log from one position to another and sends the rows that changed, as they are now.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use connectors_sdk::{Message, SourceError};
use futures_util::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStreamRequest, Error, Params, Row, Value};

use super::super::catalog::Table;
use super::super::client::{Client, Session, quote};
use super::super::error;
use super::super::read::{Failure, Reader, shape, statement};
use super::cursor::Cursor;
use super::keys;
use super::position::{self, Position};
use super::tracker::{Step, Tracker, lost};
use crate::shared::batch::Batch;

/// Keys that are read again in one go.
const KEYS: usize = 1000;

/// Keys of one statement, and its placeholders: the protocol has room for 65,535.
const KEYS_PER_STATEMENT: usize = 500;
const PLACEHOLDERS: usize = 60_000;

/// Keys after which a transaction that has not ended is not waited for.
const MAX_KEYS: usize = 50_000;

/// Sends what changed from the cursor's position to `end`.
pub(super) struct Follower<'a> {
    pub reader: &'a Reader,
    pub tables: Vec<Arc<Table>>,
    /// The cursor to leave; its position is filled in.
    pub cursor: Cursor,
    pub end: Position,
}

impl Follower<'_> {
    /// Follows the log, over lost connections.
    pub(super) async fn run(&mut self, from: Position) -> Result<(), Failure> {
        let mut from = from;
        let mut failures = 0;
        loop {
            let start = from.clone();
            let error = match self.attempt(&mut from).await {
                Ok(()) => break,
                Err(Failure::Server(error)) if error::is_lost(&error) => error,
                Err(other) => return Err(other),
            };
            failures = if from == start { failures + 1 } else { 1 };
            if failures > self.reader.client.retries {
                return Err(error.into());
            }
            let pause = Duration::from_secs(1 << failures.min(3));
            tracing::warn!("the connection was lost ({error}): a new one in {} s", pause.as_secs());
            tokio::time::sleep(pause).await;
        }
        let end = self.end.clone();
        self.checkpoint(end).await?;
        Ok(())
    }

    async fn checkpoint(&mut self, position: Position) -> Result<(), SourceError> {
        self.cursor.position = Some(position);
        self.reader.sink.send(Message::Checkpoint(self.cursor.to_json())).await
    }

    /// Follows the log on one connection; `from` is moved to where everything before was sent.
    async fn attempt(&mut self, from: &mut Position) -> Result<(), Failure> {
        let mut rows = self.reader.client.connect().await?;
        let [case] = position::variables(&mut rows, ["lower_case_table_names"]).await?;
        let (mut log, flavor) = self.reader.client.connection().await?;
        if flavor.mariadb {
            // Otherwise the server hides the transactions' own events behind others.
            log.query_drop("SET @mariadb_slave_capability = 4").await?;
        }
        let request = BinlogStreamRequest::new(server_id())
            .with_non_blocking()
            .with_filename(from.file.as_bytes())
            // The request has 32 bits. Beyond them the file is read from its begin.
            .with_pos(if from.offset > u64::from(u32::MAX) { 4 } else { from.offset });
        let mut stream = log.get_binlog_stream(request).await?;

        let mut start = from.clone();
        let skip = (start.offset > u64::from(u32::MAX)).then_some(start.offset);
        if skip.is_some() {
            start.offset = 4;
        }
        let database = self.tables.first().map(|table| table.database.clone()).unwrap_or_default();
        let mut tracker = Tracker::new(&database, &self.tables, start, matches!(case.as_str(), "1" | "2"));
        while !self.is_reached(tracker.position()) {
            let Some(event) = stream.next().await else {
                return Err(lost("it ended before the position that the server said").into());
            };
            let event = event?;
            let step = tracker.see(&event, |table| stream.get_tme(table))?;
            let position = tracker.position();
            if skip.is_some_and(|skip| position.file == from.file && position.offset <= skip) {
                tracker.take();
                continue;
            }
            if step == Step::Boundary && tracker.count() >= KEYS {
                self.send(&mut rows, &mut tracker).await?;
                *from = tracker.position().clone();
                self.checkpoint(from.clone()).await?;
            } else if tracker.count() >= MAX_KEYS {
                self.send(&mut rows, &mut tracker).await?;
            }
        }
        self.send(&mut rows, &mut tracker).await
    }

    fn is_reached(&self, position: &Position) -> bool {
        position.file == self.end.file && position.offset >= self.end.offset
    }

    /// Reads the rows of the keys that changed and sends them, and deletions for those that are not there.
    async fn send(&self, session: &mut Session, tracker: &mut Tracker) -> Result<(), Failure> {
        let mut batch = Batch::new(&self.reader.sink);
        for (table, keys) in tracker.take() {
            let per_statement = KEYS_PER_STATEMENT.min(PLACEHOLDERS / table.key.len().max(1));
            for keys in keys.chunks(per_statement) {
                let keys = translated(session, &table, keys.to_vec()).await?;
                send_rows(session, &table, &keys, &mut batch).await?;
            }
        }
        batch.flush().await?;
        Ok(())
    }
}

/// A number that no other reader of the log has: two of the same number throw each other out.
fn server_id() -> u32 {
    let random = uuid::Uuid::new_v4().as_u128();
    0x4000_0000 | (random & 0x3fff_ffff) as u32
}

/// Keys whose texts are in another character set, in UTF-8.
async fn translated(
    session: &mut Session,
    table: &Table,
    mut keys: Vec<Vec<Value>>,
) -> Result<Vec<Vec<Value>>, Error> {
    for (at, &column) in table.key.iter().enumerate() {
        let column = &table.columns[column];
        let Some(charset) = column.charset.as_deref().filter(|_| keys::is_foreign(column)) else { continue };
        // The name of a character set is one of the server's own. In hexadecimal digits no byte is taken for a bad character.
        let expression = format!("CONVERT(UNHEX(?) USING {charset})");
        let statement = format!("SELECT {}", vec![expression; keys.len()].join(", "));
        let values = keys.iter().map(|key| hexadecimal(&key[at])).collect();
        let row: Option<Row> = session.conn.exec_first(statement, Params::Positional(values)).await?;
        for (key, text) in keys.iter_mut().zip(row.map(Row::unwrap).unwrap_or_default()) {
            key[at] = text;
        }
    }
    Ok(keys)
}

fn hexadecimal(text: &Value) -> Value {
    let Value::Bytes(bytes) = text else { return text.clone() };
    Value::Bytes(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect())
}

/// The rows with these keys, now, and deletions of what is not there any more.
async fn send_rows(
    session: &mut Session,
    table: &Table,
    keys: &[Vec<Value>],
    batch: &mut Batch<'_>,
) -> Result<(), Failure> {
    let mut gone: HashSet<String> = keys.iter().map(|key| keys::id(table, key)).collect();
    let values = keys
        .iter()
        .flat_map(|key| key.iter().zip(&table.key))
        .map(|(value, &column)| statement::bound(table, column, value))
        .collect();
    let mut result = session.conn.exec_iter(by_keys(table, keys.len()), Params::Positional(values)).await?;
    let shape = shape(table, result.columns_ref());
    {
        let Some(mut rows) = result.stream::<Row>().await? else { return Ok(()) };
        while let Some(row) = rows.next().await {
            let document = shape.document(row?.unwrap(), &mut batch.page);
            gone.remove(&document.id);
            let size = document.size();
            batch.add(Message::Document(document), size).await?;
        }
    }
    result.drop_result().await?;
    for id in gone {
        batch.add(Message::Delete(id), 0).await?;
    }
    Ok(())
}

/// Spelled out, because not every server uses an index for `(a, b) IN ((?, ?), …)`.
fn by_keys(table: &Table, count: usize) -> String {
    let names: Vec<String> = table.key_names().iter().map(|name| quote(name)).collect();
    let condition = if let [name] = names.as_slice() {
        format!("{name} IN ({})", vec!["?"; count].join(", "))
    } else {
        let equal: Vec<String> = names.iter().map(|name| format!("{name} = ?")).collect();
        vec![format!("({})", equal.join(" AND ")); count].join(" OR ")
    };
    format!("{} WHERE {condition}", statement::select(table))
}

/// What the account lacks to read the log, if that is what the error says.
pub(super) fn lacks_privilege(client: &Client, error: &Error) -> Option<String> {
    matches!(error::code(error), Some(1045 | 1227)).then(|| {
        format!(
            "the account may not read it: GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{}' (MariaDB: REPLICATION SLAVE, BINLOG MONITOR)",
            client.place.user
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::catalog::Column;
    use super::*;

    #[test]
    fn keys_are_looked_up_by_an_index() {
        let column = |name: &str| Column {
            name: name.to_owned(),
            data_type: "int".to_owned(),
            visible: true,
            readable: true,
            ..Column::default()
        };
        let mut table = Table {
            database: "d".to_owned(),
            name: "t".to_owned(),
            columns: vec![column("a"), column("b")],
            key: vec![1],
            ..Table::default()
        };
        assert_eq!(by_keys(&table, 2), "SELECT `a`, `b` FROM `d`.`t` WHERE `b` IN (?, ?)");
        table.key = vec![1, 0];
        assert_eq!(
            by_keys(&table, 2),
            "SELECT `a`, `b` FROM `d`.`t` WHERE (`b` = ? AND `a` = ?) OR (`b` = ? AND `a` = ?)"
        );
    }

    #[test]
    fn numbers_of_readers_differ() {
        assert_ne!(server_id(), server_id());
        assert!(server_id() >= 0x4000_0000);
    }
}
