//! Events of the binary log → the keys that changed.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use connectors_sdk::{ErrorKind, SourceError};
use mysql_async::Value;
use mysql_async::binlog::events::{Event, EventData, RowsEventData, TableMapEvent};
use mysql_async::binlog::row::BinlogRow;
use mysql_async::binlog::{EventFlags, EventType};

use super::super::catalog::Table;
use super::ddl::{self, Statement};
use super::keys;
use super::position::Position;

/// Events of MariaDB whose content is compressed (`log_bin_compress`).
const COMPRESSED: std::ops::RangeInclusive<u8> = 165..=171;

/// What an event meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is within a transaction.
    Inside,
    /// A transaction ended with it.
    Boundary,
}

/// What was read of the log, and which keys changed since they were last taken.
pub(super) struct Tracker {
    database: String,
    /// Names of databases and tables are the same in any case (`lower_case_table_names`).
    folds: bool,
    /// By name, as [`Tracker::folded`] has it.
    tables: HashMap<String, Arc<Table>>,
    /// Keys by table: the name of a key, and its values in the order of the index.
    pending: BTreeMap<String, HashMap<Vec<u8>, Vec<Value>>>,
    /// Where the log is read.
    position: Position,
    /// Files named before the first description of the format have rubbish at their end.
    described: bool,
    count: usize,
}

impl Tracker {
    pub(super) fn new(database: &str, tables: &[Arc<Table>], position: Position, folds: bool) -> Self {
        let named = |table: &Arc<Table>| (folded(&table.name, folds).into_owned(), table.clone());
        Self {
            database: folded(database, folds).into_owned(),
            folds,
            tables: tables.iter().map(named).collect(),
            pending: BTreeMap::new(),
            position,
            described: false,
            count: 0,
        }
    }

    /// A name in the form in which names are compared.
    fn folded<'a>(&self, name: &'a str) -> Cow<'a, str> {
        folded(name, self.folds)
    }

    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    /// How many keys wait to be taken.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes the keys that changed, by table.
    pub(super) fn take(&mut self) -> Vec<(Arc<Table>, Vec<Vec<Value>>)> {
        self.count = 0;
        let pending = std::mem::take(&mut self.pending);
        pending
            .into_iter()
            .filter_map(|(name, keys)| Some((self.tables.get(&name)?.clone(), keys.into_values().collect())))
            .collect()
    }

    /// Understands the next event. `map` finds the description of a table in the log.
    pub(super) fn see<'a>(
        &mut self,
        event: &Event,
        map: impl FnOnce(u64) -> Option<&'a TableMapEvent<'static>>,
    ) -> Result<Step, SourceError> {
        let header = event.header();
        let kind = header.event_type_raw();
        if COMPRESSED.contains(&kind) {
            return Err(lost("it holds compressed events, which are not understood")
                .with_hint("Set log_bin_compress=OFF on the server, then run a full sync."));
        }
        let step = match header.event_type() {
            // What this version of the driver does not know holds no rows.
            Err(_) => Step::Inside,
            Ok(EventType::FORMAT_DESCRIPTION_EVENT) => {
                self.described = true;
                Step::Inside
            }
            Ok(EventType::INCIDENT_EVENT) => {
                return Err(lost("the server says that events are missing in it"));
            }
            // The driver hands out what is in it after it, but leaves out silently what it cannot decompress.
            Ok(EventType::TRANSACTION_PAYLOAD_EVENT) => {
                return Err(lost("it holds compressed transactions, which are not understood").with_hint(
                    "Set binlog_transaction_compression=OFF for all sessions, which incremental syncs need, then run a full sync.",
                ));
            }
            Ok(EventType::XA_PREPARE_LOG_EVENT) => {
                return Err(lost("it holds XA transactions, whose rows are seen after they are logged"));
            }
            Ok(EventType::XID_EVENT) => Step::Boundary,
            Ok(
                EventType::ROTATE_EVENT
                | EventType::QUERY_EVENT
                | EventType::WRITE_ROWS_EVENT
                | EventType::UPDATE_ROWS_EVENT
                | EventType::DELETE_ROWS_EVENT
                | EventType::WRITE_ROWS_EVENT_V1
                | EventType::UPDATE_ROWS_EVENT_V1
                | EventType::DELETE_ROWS_EVENT_V1
                | EventType::PARTIAL_UPDATE_ROWS_EVENT
                | EventType::EXECUTE_LOAD_QUERY_EVENT,
            ) => {
                let data =
                    event.read_data().map_err(|error| lost(format!("an event cannot be read: {error}")))?;
                match data {
                    Some(EventData::RotateEvent(rotate)) => {
                        self.rotate(&rotate.name(), rotate.position(), header.flags());
                        return Ok(Step::Inside);
                    }
                    Some(EventData::QueryEvent(query)) => self.statement(&query.schema(), &query.query())?,
                    Some(EventData::RowsEvent(rows)) => {
                        let map = map(rows.table_id())
                            .ok_or_else(|| lost("it has rows of a table that it does not describe"))?;
                        self.rows(&rows, map)?;
                        Step::Inside
                    }
                    Some(EventData::ExecuteLoadQueryEvent(_)) => return Err(statements()),
                    _ => Step::Inside,
                }
            }
            Ok(_) => Step::Inside,
        };
        self.advance(header.log_pos());
        Ok(step)
    }

    /// The position in an event has 32 bits, the file may be longer. 0: the event is not in the file.
    fn advance(&mut self, log_pos: u32) {
        if log_pos > 0 {
            let low = u32::try_from(self.position.offset & u64::from(u32::MAX)).unwrap_or(u32::MAX);
            self.position.offset += u64::from(log_pos.wrapping_sub(low));
        }
    }

    fn rotate(&mut self, file: &str, offset: u64, flags: EventFlags) {
        let made_up = flags.contains(EventFlags::LOG_EVENT_ARTIFICIAL_F);
        // The server repeats the file's name at the begin of each file: after a crash that is the only one.
        if (!made_up || self.described) && file != self.position.file {
            file.clone_into(&mut self.position.file);
            self.position.offset = offset.max(4);
        }
    }

    fn statement(&self, database: &str, text: &str) -> Result<Step, SourceError> {
        let is_ours = |database: &str| self.folded(database) == self.database;
        match ddl::understand(text) {
            Statement::End => return Ok(Step::Boundary),
            Statement::Other => {
                // BEGIN and SAVEPOINT are within a transaction, everything else is one of its own.
                let begins = ["BEGIN", "SAVEPOINT", "ROLLBACK TO", "XA START", "XA END"];
                let text = text.trim_start().to_uppercase();
                if text.starts_with("XA COMMIT") {
                    return Err(lost("it holds XA transactions, whose rows are seen after they are logged"));
                }
                let inside = begins.iter().any(|begin| text.starts_with(begin));
                return Ok(if inside { Step::Inside } else { Step::Boundary });
            }
            Statement::Changes(what, names) => {
                let changed = names.into_iter().find(|(qualifier, table)| {
                    is_ours(qualifier.as_deref().unwrap_or(database)) && self.knows(table)
                });
                if let Some((_, table)) = changed {
                    return Err(lost(format!("the table {table} was {what}")));
                }
            }
            Statement::DropsDatabase(name) if is_ours(&name) => {
                return Err(lost(format!("the database {name} was dropped")));
            }
            Statement::DropsDatabase(_) => {}
            Statement::Writes if is_ours(database) || self.folded(text).contains(&self.database) => {
                return Err(statements());
            }
            Statement::Writes => {}
        }
        Ok(Step::Boundary)
    }

    fn knows(&self, table: &str) -> bool {
        self.tables.keys().any(|known| known.eq_ignore_ascii_case(table))
    }

    fn rows(&mut self, rows: &RowsEventData<'_>, map: &TableMapEvent<'_>) -> Result<(), SourceError> {
        if self.folded(&map.database_name()) != self.database {
            return Ok(());
        }
        let name = self.folded(&map.table_name()).into_owned();
        let Some(table) = self.tables.get(&name).cloned() else { return Ok(()) };
        // Hidden columns of the server stand at the end.
        if map.columns_count() < table.columns.len() as u64 {
            return Err(lost(format!("the table {} was altered", table.name)));
        }
        let before = columns(rows.columns_before_image().map(|bits| bits.iter().by_vals()));
        let after = columns(rows.columns_after_image().map(|bits| bits.iter().by_vals()));
        let pending = self.pending.entry(name).or_default();
        let known = pending.len();
        let mut images = rows.rows(map);
        loop {
            // The driver panics at some values it does not expect; the log is not worth a service.
            let next = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| images.next()));
            let next =
                next.map_err(|_| lost(format!("the driver cannot read a row of the table {}", table.name)))?;
            let Some(row) = next else { break };
            let (old, new) = row.map_err(|error| {
                lost(format!("a row of the table {} cannot be read: {error}", table.name))
            })?;
            let old = old.as_ref().map(|row| Image { row, columns: &before });
            let new = new.as_ref().map(|row| Image { row, columns: &after });
            for image in [old.as_ref(), new.as_ref()].into_iter().flatten() {
                let key = key(&table, image, old.as_ref()).ok_or_else(|| {
                    lost(format!("the key of a row of the table {} is not what the table has", table.name))
                })?;
                pending.insert(keys::name(&key), key);
            }
        }
        self.count += pending.len() - known;
        Ok(())
    }
}

fn folded(name: &str, folds: bool) -> Cow<'_, str> {
    if folds { name.to_lowercase().into() } else { name.into() }
}

/// A row in the log and which columns of the table it has, in order.
struct Image<'a> {
    row: &'a BinlogRow,
    columns: &'a [usize],
}

fn columns(present: Option<impl Iterator<Item = bool>>) -> Vec<usize> {
    let present = present.into_iter().flatten().enumerate();
    present.filter_map(|(index, present)| present.then_some(index)).collect()
}

/// The key of a row, in the order of the index. What an image after an update leaves out is as it was before.
fn key(table: &Table, image: &Image<'_>, before: Option<&Image<'_>>) -> Option<Vec<Value>> {
    let of = |image: &Image<'_>, column: usize| {
        let at = image.columns.iter().position(|&present| present == column)?;
        keys::of_log(&table.columns[column], image.row.as_ref(at)?)
    };
    let value = |&column: &usize| of(image, column).or_else(|| of(before?, column));
    table.key.iter().map(value).collect()
}

/// The log cannot be followed any further.
pub(super) fn lost(what: impl Into<String>) -> SourceError {
    SourceError::new(ErrorKind::Incomplete, "follow the binary log", what).with_hint(
        "Nothing was deleted, and the position stays. Run a full sync; incremental ones go on from there.",
    )
}

fn statements() -> SourceError {
    lost("rows were written as statements (binlog_format STATEMENT or MIXED)")
        .with_hint("Set binlog_format=ROW for all sessions, then run a full sync.")
}

#[cfg(test)]
mod tests {
    use mysql_async::binlog::BinlogVersion;
    use mysql_async::binlog::events::FormatDescriptionEvent;

    use super::*;

    fn tracker() -> Tracker {
        of_names("shop", "t", false)
    }

    fn of_names(database: &str, table: &str, folds: bool) -> Tracker {
        let table = Table { database: database.to_owned(), name: table.to_owned(), ..Table::default() };
        let position =
            Position { server: "s".to_owned(), file: "b.000001".to_owned(), offset: 4, gtid: String::new() };
        Tracker::new(database, &[Arc::new(table)], position, folds)
    }

    #[test]
    fn positions_beyond_32_bits_are_counted_on() {
        let mut tracker = tracker();
        tracker.advance(100);
        assert_eq!(tracker.position().offset, 100);
        tracker.advance(0);
        tracker.advance(u32::MAX);
        tracker.advance(50);
        assert_eq!(tracker.position().offset, (1 << 32) + 50);
    }

    #[test]
    fn files_follow_each_other() {
        let mut tracker = tracker();
        tracker.rotate("b.000001crc4", 4, EventFlags::LOG_EVENT_ARTIFICIAL_F);
        assert_eq!(tracker.position().file, "b.000001");
        tracker.described = true;
        tracker.advance(500);
        tracker.rotate("b.000001", 4, EventFlags::LOG_EVENT_ARTIFICIAL_F);
        assert_eq!(tracker.position().offset, 500);
        tracker.rotate("b.000002", 4, EventFlags::empty());
        assert_eq!((tracker.position().file.as_str(), tracker.position().offset), ("b.000002", 4));
        tracker.rotate("b.000003", 0, EventFlags::LOG_EVENT_ARTIFICIAL_F);
        assert_eq!((tracker.position().file.as_str(), tracker.position().offset), ("b.000003", 4));
    }

    #[test]
    fn names_are_compared_as_the_server_does() {
        for (text, folds, ours) in [
            ("TRUNCATE SHOP.T", true, true),
            ("TRUNCATE SHOP.T", false, false),
            ("DROP DATABASE sHop", true, true),
            ("DROP DATABASE sHop", false, false),
            ("UPDATE SHOP.t SET a = 1", true, true),
        ] {
            let stated = of_names("Shop", "T", folds).statement("crm", text);
            assert_eq!(stated.is_err(), ours, "{text} {folds}");
        }
    }

    #[test]
    fn compressed_transactions_need_a_full_sync() {
        let mut event = vec![0; 19];
        (event[4], event[9]) = (EventType::TRANSACTION_PAYLOAD_EVENT as u8, 19);
        let format = FormatDescriptionEvent::new(BinlogVersion::Version4);
        let event = Event::read(&format, event.as_slice()).unwrap();
        let error = tracker().see(&event, |_| None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete);
        assert!(error.to_string().contains("binlog_transaction_compression=OFF"), "{error}");
    }

    #[test]
    fn statements_on_tables_that_are_followed_need_a_full_sync() {
        let tracker = tracker();
        for (database, text, expected) in [
            ("shop", "BEGIN", Ok(Step::Inside)),
            ("shop", "COMMIT", Ok(Step::Boundary)),
            ("shop", "CREATE TABLE u (a int)", Ok(Step::Boundary)),
            ("shop", "TRUNCATE u", Ok(Step::Boundary)),
            ("crm", "TRUNCATE t", Ok(Step::Boundary)),
            ("shop", "TRUNCATE t", Err("the table t was emptied")),
            ("crm", "TRUNCATE shop.T", Err("the table T was emptied")),
            ("shop", "ALTER TABLE t ADD x int", Err("the table t was altered")),
            ("shop", "RENAME TABLE x TO t", Err("the table t was renamed")),
            ("shop", "DROP TABLE u, t", Err("the table t was dropped")),
            ("crm", "DROP DATABASE shop", Err("the database shop was dropped")),
            ("crm", "DROP DATABASE crm", Ok(Step::Boundary)),
            ("shop", "INSERT INTO t VALUES (1)", Err("binlog_format")),
            ("crm", "INSERT INTO t VALUES (1)", Ok(Step::Boundary)),
            ("crm", "INSERT INTO shop.t VALUES (1)", Err("binlog_format")),
            ("shop", "XA COMMIT 'x'", Err("XA transactions")),
        ] {
            match (tracker.statement(database, text), expected) {
                (Ok(step), Ok(expected)) => assert_eq!(step, expected, "{text}"),
                (Err(error), Err(expected)) => {
                    assert_eq!(error.kind(), ErrorKind::Incomplete);
                    assert!(error.to_string().contains(expected), "{text}: {error}");
                }
                (got, expected) => panic!("{text}: {got:?}, not {expected:?}"),
            }
        }
    }
}
