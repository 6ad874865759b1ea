//! Rows the log named: each is read as it is now and sent, or deleted if it is not there any more.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use connectors_sdk::{ErrorKind, Message, Sink, SourceError};
use tokio_postgres::Statement;

use super::pgoutput::Key;
use super::position;
use crate::postgresql::catalog::{self, Table};
use crate::postgresql::client::{Bound, Session};
use crate::postgresql::document::Shape;
use crate::postgresql::error::{Failure, Place, quoted};
use crate::postgresql::read::Stop;
use crate::shared::batch::Batch;

/// Keys, or transactions, that are collected before their rows are read.
const COLLECTED: usize = 20_000;
/// Rows read by one statement.
const ROWS: usize = 1000;
/// How long a transaction that is in the log may take until it is seen.
const UNSEEN: Duration = Duration::from_mins(1);
/// Type number of `text`, for arrays of it.
const TEXT: u32 = 25;

/// How much was sent.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sent {
    pub rows: u64,
    pub deleted: u64,
}

/// Collects keys, and sends their rows.
pub(super) struct Touched<'a> {
    session: &'a Session,
    place: &'a Place,
    sink: &'a Sink,
    tables: HashMap<u32, Table>,
    keys: HashMap<u32, HashSet<Key>>,
    collected: usize,
    /// The transaction that is read, and those that the collected keys are of.
    transaction: u32,
    transactions: Vec<String>,
    sent: Sent,
}

impl<'a> Touched<'a> {
    pub(super) fn new(
        session: &'a Session,
        place: &'a Place,
        sink: &'a Sink,
        tables: HashMap<u32, Table>,
    ) -> Self {
        Self {
            session,
            place,
            sink,
            tables,
            keys: HashMap::new(),
            collected: 0,
            transaction: 0,
            transactions: Vec::new(),
            sent: Sent::default(),
        }
    }

    /// The name of a table whose changes are sent.
    pub(super) fn table(&self, number: u32) -> Option<&str> {
        self.tables.get(&number).map(|table| table.name.as_str())
    }

    /// The transaction that the next keys are of.
    pub(super) fn transaction(&mut self, number: u32) {
        self.transaction = number;
    }

    /// Adds keys of a table.
    pub(super) async fn add(&mut self, table: u32, keys: Vec<Key>) -> Result<(), SourceError> {
        let transaction = self.transaction.to_string();
        if self.transactions.last() != Some(&transaction) {
            self.transactions.push(transaction);
        }
        let known = self.keys.entry(table).or_default();
        for key in keys {
            if known.insert(key) {
                self.collected += 1;
            }
        }
        // One row may have changed in any number of transactions.
        let full = self.collected >= COLLECTED || self.transactions.len() >= COLLECTED;
        if full { self.flush().await } else { Ok(()) }
    }

    /// Sends what is left, and answers how much it was in all.
    pub(super) async fn finish(mut self) -> Result<Sent, SourceError> {
        self.flush().await?;
        Ok(self.sent)
    }

    async fn flush(&mut self) -> Result<(), SourceError> {
        let transactions = std::mem::take(&mut self.transactions);
        if self.collected == 0 {
            return Ok(());
        }
        if !position::settle(self.session, self.place, Some(&transactions), UNSEEN).await? {
            return Err(SourceError::new(
                ErrorKind::Unavailable,
                "read changed rows",
                "a transaction is in the server's log and cannot be seen yet",
            )
            .with_hint("It waits for a synchronous standby: check that one is connected. The next sync goes on from here."));
        }
        self.collected = 0;
        for (table, keys) in std::mem::take(&mut self.keys) {
            let keys: Vec<Key> = keys.into_iter().collect();
            for keys in keys.chunks(ROWS) {
                self.send(table, keys).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, number: u32, keys: &[Key]) -> Result<(), SourceError> {
        for again in [false, true] {
            let Some(table) = self.tables.get(&number).cloned() else { return Ok(()) };
            let Err(error) = self.read(&table, keys).await else { return Ok(()) };
            let error = match error {
                Stop::Source(error) => return Err(error),
                Stop::Driver(error) => error,
            };
            // Columns were altered since the tables were listed.
            let altered =
                matches!(Failure::of(&error).code(), Some("42703" | "0A000" | "42883" | "42804" | "22P02"));
            if again || !altered {
                return Err(self.place.error("read changed rows", &error, Some(&table.name)));
            }
            if let Some(table) = catalog::again(self.session, self.place, &table.name).await? {
                self.tables.insert(number, table);
            }
        }
        Ok(())
    }

    async fn read(&mut self, table: &Table, keys: &[Key]) -> Result<(), Stop> {
        let (shape, statement) = self.prepare(table).await?;
        let columns = table.columns.len();
        let values = (0..table.key.len()).map(|column| array(keys.iter().map(|key| key[column].as_str())));
        let mut rows = self.session.stream(&statement, values.collect()).await?;
        let mut batch = Batch::new(self.sink);
        while let Some(row) = rows.next().await {
            let row = row?;
            // The key as the log has it comes after the columns.
            let named = shape.id_from(&row, columns)?;
            let found = shape.has_key(&row)?;
            let document = if found { Some(shape.document(&row, &mut batch.page)?) } else { None };
            if document.as_ref().is_none_or(|document| document.id != named) {
                self.sent.deleted += 1;
                batch.add(Message::Delete(named), 0).await?;
            }
            if let Some(document) = document {
                self.sent.rows += 1;
                batch.add(Message::Document(document), row.raw_size_bytes()).await?;
            }
        }
        batch.flush().await?;
        Ok(())
    }

    /// Rows of these keys: the table's columns, which are null if there is no such row, then the key.
    async fn prepare(&self, table: &Table) -> Result<(Shape, Statement), Stop> {
        let from = format!("{}.{}", quoted(&self.place.schema), quoted(&table.name));
        let names: Vec<String> = table.columns.iter().map(|name| format!("t.{}", quoted(name))).collect();
        let probe = self.session.prepare(&format!("SELECT {} FROM {from} t", names.join(", "))).await?;
        let shape = Shape::of_table(self.place, &table.name, probe.columns(), &table.key);
        let types = shape.key_types();
        let numbers = 0..table.key.len();
        let list = |items: Vec<String>| items.join(", ");
        let arrays = list(numbers.clone().map(|n| format!("${}::pg_catalog.text[]", n + 1)).collect());
        let texts = list(numbers.clone().map(|n| format!("k{n}")).collect());
        let typed = list(numbers.clone().map(|n| format!("x.k{n}::{} AS k{n}", types[n])).collect());
        let same: Vec<String> =
            numbers.clone().map(|n| format!("t.{} = k.k{n}", quoted(&table.key[n]))).collect();
        let statement = format!(
            "SELECT {}, {} FROM (SELECT {typed} FROM unnest({arrays}) AS x({texts})) k LEFT JOIN {from} t ON {}",
            shape.select_list(names.into_iter()),
            shape.key_list(numbers.map(|n| format!("k.k{n}"))),
            same.join(" AND ")
        );
        Ok((shape, self.session.prepare(&statement).await?))
    }
}

/// A `text[]` in its binary form.
fn array<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> Bound {
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = Vec::new();
    // One dimension, no nulls, the type, then length and lower bound.
    for number in [1, 0, TEXT] {
        bytes.extend(u32::to_be_bytes(number));
    }
    bytes.extend(length(texts.len()));
    bytes.extend(1_u32.to_be_bytes());
    for text in texts {
        bytes.extend(length(text.len()));
        bytes.extend(text.as_bytes());
    }
    Bound { bytes, text: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_in_the_servers_form() {
        let Bound { bytes, text } = array(["a", "bc"].into_iter());
        let expected = b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x02\0\0\0\x01\0\0\0\x01a\0\0\0\x02bc";
        assert_eq!((bytes.as_slice(), text), (&expected[..], false));
    }
}
