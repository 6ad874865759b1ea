//! Messages of the output plugin `pgoutput`, version 1 of its protocol, as far as they name changed rows.
//!
//! Manual, "Logical Replication Message Formats".

use std::collections::HashMap;

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's log has a message that is not in the form of pgoutput")]
pub(super) struct Malformed;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A transaction begins.
    Begin { transaction: u32 },
    /// Rows with these keys are new, changed or gone.
    Rows { table: u32, keys: Vec<Key> },
    /// All rows of these tables are gone.
    Truncate { tables: Vec<u32> },
    /// The table's key has columns that the row has not: they were renamed or added.
    Unnamed { table: u32 },
    /// A key is not UTF-8: the row cannot be asked for.
    Garbled { table: u32 },
    /// Nothing about rows.
    Nothing,
}

/// The values of a key's columns, as text.
pub(super) type Key = Vec<String>;

/// A table, as the log describes it before its first change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Relation {
    columns: Vec<String>,
}

/// Understands a stream of messages.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    relations: HashMap<u32, Relation>,
    /// Columns of each table's key.
    keys: HashMap<u32, Vec<String>>,
}

impl Decoder {
    /// `keys`: the columns that name a row, for each table that is wanted.
    pub(super) fn new(keys: HashMap<u32, Vec<String>>) -> Self {
        Self { relations: HashMap::new(), keys }
    }

    /// The next message.
    pub(super) fn message(&mut self, bytes: &[u8]) -> Result<Change, Malformed> {
        let mut message = Reader(bytes);
        Ok(match message.byte()? {
            b'B' => {
                // The end of the transaction in the log, and its time.
                message.take(16)?;
                Change::Begin { transaction: message.u32()? }
            }
            b'R' => {
                let table = message.u32()?;
                let relation = relation(&mut message)?;
                self.relations.insert(table, relation);
                Change::Nothing
            }
            b'I' => {
                let table = message.u32()?;
                message.kind(b"N")?;
                let row = tuple(&mut message)?;
                self.rows(table, &[row])?
            }
            b'U' => {
                let table = message.u32()?;
                let mut rows = Vec::new();
                if message.kind(b"NKO")? != b'N' {
                    rows.push(tuple(&mut message)?);
                    message.kind(b"N")?;
                }
                let mut new = tuple(&mut message)?;
                // A value that is stored apart is not sent again if it did not change.
                if let Some(old) = rows.first() {
                    for (new, old) in new.iter_mut().zip(old) {
                        if *new == Field::Unchanged {
                            *new = *old;
                        }
                    }
                }
                rows.push(new);
                self.rows(table, &rows)?
            }
            b'D' => {
                let table = message.u32()?;
                message.kind(b"KO")?;
                let row = tuple(&mut message)?;
                self.rows(table, &[row])?
            }
            b'T' => {
                let count = message.u32()?;
                message.byte()?;
                let mut tables = Vec::new();
                for _ in 0..count {
                    tables.push(message.u32()?);
                }
                Change::Truncate { tables }
            }
            // Commit, origin, type, and messages of applications.
            b'C' | b'O' | b'Y' | b'M' => Change::Nothing,
            _ => return Err(Malformed),
        })
    }

    fn rows(&self, table: u32, rows: &[Vec<Field<'_>>]) -> Result<Change, Malformed> {
        let relation = self.relations.get(&table).ok_or(Malformed)?;
        let Some(key) = self.keys.get(&table) else { return Ok(Change::Nothing) };
        let mut keys: Vec<Key> = Vec::new();
        for row in rows {
            let value = |column: &String| {
                let index = relation.columns.iter().position(|name| name == column)?;
                match row.get(index)? {
                    Field::Text(text) => Some(*text),
                    Field::Null | Field::Unchanged => None,
                }
            };
            let Some(key) = key.iter().map(value).collect::<Option<Vec<&[u8]>>>() else {
                return Ok(Change::Unnamed { table });
            };
            let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
            let Ok(key) = key.into_iter().map(text).collect::<Result<Key, _>>() else {
                return Ok(Change::Garbled { table });
            };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(Change::Rows { table, keys })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field<'a> {
    Null,
    /// It did not change and is stored apart (TOAST).
    Unchanged,
    Text(&'a [u8]),
}

fn relation(message: &mut Reader<'_>) -> Result<Relation, Malformed> {
    // Schema, name, and the replica identity: tables are told apart by their numbers.
    message.text()?;
    message.text()?;
    message.byte()?;
    let mut columns = Vec::new();
    for _ in 0..message.u16()? {
        message.byte()?;
        columns.push(message.text()?);
        // Type and its modifier.
        message.take(8)?;
    }
    Ok(Relation { columns })
}

fn tuple<'a>(message: &mut Reader<'a>) -> Result<Vec<Field<'a>>, Malformed> {
    let mut fields = Vec::new();
    for _ in 0..message.u16()? {
        fields.push(match message.byte()? {
            b'n' => Field::Null,
            b'u' => Field::Unchanged,
            b't' => {
                let length = usize::try_from(message.u32()?).map_err(|_| Malformed)?;
                Field::Text(message.take(length)?)
            }
            _ => return Err(Malformed),
        });
    }
    Ok(fields)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// A byte that is one of these.
    fn kind(&mut self, of: &[u8]) -> Result<u8, Malformed> {
        self.byte().and_then(|kind| if of.contains(&kind) { Ok(kind) } else { Err(Malformed) })
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Text up to a zero byte.
    fn text(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
        let text = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.byte()?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder() -> Decoder {
        let mut decoder = Decoder::new(HashMap::from([(7, vec!["b".to_owned(), "a".to_owned()])]));
        for (number, name) in [(7, "pair"), (8, "other")] {
            assert_eq!(decoder.message(&described(number, name)), Ok(Change::Nothing));
        }
        decoder
    }

    fn described(number: u32, name: &str) -> Vec<u8> {
        let mut bytes = vec![b'R'];
        bytes.extend(number.to_be_bytes());
        bytes.extend(b"public\0");
        bytes.extend(name.as_bytes());
        bytes.extend(b"\0d\0\x03");
        for column in ["a", "text", "b"] {
            bytes.push(1);
            bytes.extend(column.as_bytes());
            bytes.extend([0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff]);
        }
        bytes
    }

    /// `~`: null, `=`: unchanged.
    fn row(values: [&str; 3]) -> Vec<u8> {
        let mut bytes = vec![0, 3];
        for value in values {
            match value {
                "~" => bytes.push(b'n'),
                "=" => bytes.push(b'u'),
                text => {
                    bytes.push(b't');
                    bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        bytes
    }

    fn message(head: &[u8], parts: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
        let mut bytes = head.to_vec();
        for (kind, row) in parts {
            bytes.extend(*kind);
            bytes.extend(row);
        }
        bytes
    }

    fn rows(keys: &[[&str; 2]]) -> Change {
        let key = |key: &[&str; 2]| key.iter().map(|&text| text.to_owned()).collect();
        Change::Rows { table: 7, keys: keys.iter().map(key).collect() }
    }

    #[test]
    fn rows_are_named_by_their_keys() {
        let mut decoder = decoder();
        let insert = message(b"I\0\0\0\x07", &[(b"N", row(["1", "x", "ü"]))]);
        assert_eq!(decoder.message(&insert), Ok(rows(&[["ü", "1"]])));
        let update = message(b"U\0\0\0\x07", &[(b"N", row(["1", "=", "k"]))]);
        assert_eq!(decoder.message(&update), Ok(rows(&[["k", "1"]])));
        let key_change =
            message(b"U\0\0\0\x07", &[(b"K", row(["1", "~", "k"])), (b"N", row(["2", "x", "k"]))]);
        assert_eq!(decoder.message(&key_change), Ok(rows(&[["k", "1"], ["k", "2"]])));
        let full = message(b"U\0\0\0\x07", &[(b"O", row(["1", "y", "k"])), (b"N", row(["1", "x", "="]))]);
        assert_eq!(decoder.message(&full), Ok(rows(&[["k", "1"]])));
        let delete = message(b"D\0\0\0\x07", &[(b"K", row(["1", "~", "k"]))]);
        assert_eq!(decoder.message(&delete), Ok(rows(&[["k", "1"]])));
        let without_value = message(b"I\0\0\0\x07", &[(b"N", row(["1", "x", "~"]))]);
        assert_eq!(decoder.message(&without_value), Ok(Change::Unnamed { table: 7 }));
        let mut garbled = insert.clone();
        let at = garbled.windows(2).position(|pair| pair == "ü".as_bytes()).unwrap();
        garbled[at] = b'x';
        assert_eq!(decoder.message(&garbled), Ok(Change::Garbled { table: 7 }));
        let of_no_interest = message(b"D\0\0\0\x08", &[(b"K", row(["1", "~", "k"]))]);
        assert_eq!(decoder.message(&of_no_interest), Ok(Change::Nothing));
    }

    #[test]
    fn transactions_and_truncations_are_told() {
        let mut decoder = decoder();
        let begin = [&b"B"[..], &[0; 16], &[0, 0, 3, 1]].concat();
        assert_eq!(decoder.message(&begin), Ok(Change::Begin { transaction: 769 }));
        assert_eq!(
            decoder.message(b"T\0\0\0\x02\0\0\0\0\x07\0\0\0\x08"),
            Ok(Change::Truncate { tables: vec![7, 8] })
        );
        for other in [&b"C\0"[..], b"O", b"Y", b"M"] {
            assert_eq!(decoder.message(other), Ok(Change::Nothing));
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let mut decoder = decoder();
        let whole = message(b"U\0\0\0\x07", &[(b"K", row(["1", "~", "k"])), (b"N", row(["2", "x", "k"]))]);
        for end in 0..whole.len() {
            assert_eq!(decoder.message(&whole[..end]), Err(Malformed), "{end}");
        }
        let whole = described(9, "t");
        for end in 0..whole.len() {
            assert_eq!(decoder.message(&whole[..end]), Err(Malformed), "{end}");
        }
        let unknown_table = message(b"I\0\0\0\x01", &[(b"N", row(["1", "x", "y"]))]);
        for wrong in [unknown_table, b"?".to_vec(), b"I\0\0\0\x07X".to_vec()] {
            assert_eq!(decoder.message(&wrong), Err(Malformed));
        }
    }
}
