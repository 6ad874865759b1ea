//! What tables there are, their columns and keys: `information_schema`.

use std::collections::BTreeMap;

use connectors_sdk::{ErrorKind, SourceError};
use mysql_async::prelude::Queryable;
use mysql_async::{Error, Params, Row, Value};

use super::client::{Session, quote};
use super::value::Kind;

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Column {
    pub name: String,
    /// `int`, `varchar`, …
    pub data_type: String,
    /// The type in full, with lengths and all.
    pub full_type: String,
    pub unsigned: bool,
    /// Bytes that fit in, of texts and binaries.
    pub bytes: Option<u64>,
    /// Digits, and those after the point, of decimals.
    pub digits: Option<(u64, u64)>,
    /// Character set of texts.
    pub charset: Option<String>,
    /// How texts are compared.
    pub collation: Option<String>,
    /// Whether it holds JSON though its type is text (MariaDB).
    pub json: bool,
    /// Whether it is kept compressed (MariaDB), which the binary log's readers do not understand.
    pub compressed: bool,
    /// Whether `SELECT *` shows it.
    pub visible: bool,
    /// Whether the account may read it.
    pub readable: bool,
}

/// One table or view.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Table {
    pub database: String,
    pub name: String,
    pub view: bool,
    /// The storage engine, of tables.
    pub engine: String,
    /// In the table's order: that of the binary log, unless some are hidden.
    pub columns: Vec<Column>,
    /// Whether there are columns that the account may not know of before one that it may. (Behind them, nothing tells of them.)
    pub hides: bool,
    /// The columns of the primary key, or else of a unique one without nulls, in the order of its index. Empty: there is none.
    pub key: Vec<usize>,
    /// Whether an index gives rows in the order of the key, and comparing with a bound value follows the same order.
    pub paged: bool,
    /// About how many rows it has, and bytes in each.
    pub rows: u64,
    pub row_bytes: u64,
}

impl Column {
    pub(super) fn is_integer(&self) -> bool {
        matches!(self.data_type.as_str(), "tinyint" | "smallint" | "mediumint" | "int" | "bigint")
    }

    /// Whether `column > ?` is true for what comes later in `ORDER BY column`, and exact. Enumerations are sorted by number and
    /// compared as text; decimals are compared with a text as doubles.
    fn is_comparable(&self) -> bool {
        match self.data_type.as_str() {
            "decimal" => self.is_integral_decimal(),
            "year" | "date" | "datetime" | "timestamp" | "time" | "uuid" | "inet4" | "inet6" => true,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => true,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => true,
            _ => self.is_integer(),
        }
    }

    /// A decimal whose values are integers of 64 bits, and are compared as such.
    pub(super) fn is_integral_decimal(&self) -> bool {
        self.data_type == "decimal" && matches!(self.digits, Some((precision, 0)) if precision <= 18)
    }

    /// What its values mean, given what the server says of the result.
    pub(super) fn kind(&self, result: &mysql_async::Column) -> Kind {
        match self.data_type.as_str() {
            _ if self.json => Kind::Json,
            "vector" => Kind::Vector,
            "uuid" | "inet4" | "inet6" => Kind::Text,
            _ => Kind::of(result),
        }
    }
}

impl Table {
    /// The columns that are read: those `SELECT *` shows and the account may see, and the key.
    pub(super) fn selected(&self) -> Vec<usize> {
        let wanted = |index: &usize| {
            let column = &self.columns[*index];
            column.readable && (column.visible || self.key.contains(index))
        };
        (0..self.columns.len()).filter(wanted).collect()
    }

    /// The key's columns in the order of the table: the order in an id.
    pub(super) fn id_columns(&self) -> Vec<usize> {
        let mut columns = self.key.clone();
        columns.sort_unstable();
        columns
    }

    /// Names of the key's columns in the order of its index.
    pub(super) fn key_names(&self) -> Vec<String> {
        self.key.iter().map(|&index| self.columns[index].name.clone()).collect()
    }

    /// Whether a key of the one is in the same place among the keys of the other.
    pub(super) fn has_the_key_of(&self, other: &Self) -> bool {
        let key = |table: &Self| -> Vec<Column> {
            table.key.iter().map(|&index| table.columns[index].clone()).collect()
        };
        self.paged == other.paged && key(self) == key(other)
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// All tables of a database that the account may know of, sorted by name.
pub(super) async fn tables(session: &mut Session, database: &str) -> Result<Vec<Table>, Error> {
    describe(session, database, None).await
}

/// One table; none if there is none that the account may read.
pub(super) async fn table(session: &mut Session, database: &str, name: &str) -> Result<Option<Table>, Error> {
    Ok(describe(session, database, Some(name)).await?.pop().filter(|table| !table.selected().is_empty()))
}

async fn describe(session: &mut Session, database: &str, only: Option<&str>) -> Result<Vec<Table>, Error> {
    let filter = if only.is_some() { " AND TABLE_NAME = ?" } else { "" };
    let mut values: Vec<Value> = vec![database.into()];
    values.extend(only.map(Value::from));
    let params = || Params::Positional(values.clone());

    let mut tables = BTreeMap::new();
    let statement = format!(
        "SELECT TABLE_NAME, TABLE_TYPE, TABLE_ROWS, AVG_ROW_LENGTH, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?{filter} \
         AND TABLE_TYPE IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')"
    );
    let rows: Vec<Row> = session.conn.exec(statement, params()).await?;
    for row in rows {
        let name: String = field(&row, 0).unwrap_or_default();
        let table = Table {
            database: database.to_owned(),
            name: name.clone(),
            view: field::<String>(&row, 1).is_some_and(|kind| kind == "VIEW"),
            rows: field(&row, 2).unwrap_or_default(),
            row_bytes: field(&row, 3).unwrap_or_default(),
            engine: field(&row, 4).unwrap_or_default(),
            ..Table::default()
        };
        tables.insert(name, table);
    }

    let statement = format!(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, \
         CHARACTER_SET_NAME, EXTRA, PRIVILEGES, COLLATION_NAME, ORDINAL_POSITION FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ?{filter} \
         ORDER BY TABLE_NAME, ORDINAL_POSITION"
    );
    let rows: Vec<Row> = session.conn.exec(statement, params()).await?;
    for row in rows {
        if let Some(table) = field::<String>(&row, 0).and_then(|name| tables.get_mut(&name)) {
            table.columns.push(column(&row));
            table.hides |= field::<u64>(&row, 11) != Some(table.columns.len() as u64);
        }
    }

    if session.flavor.mariadb {
        json_columns(session, &mut tables, filter, params()).await?;
    }

    let statement = format!(
        "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART, NULLABLE FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = ?{filter} AND NON_UNIQUE = 0 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    );
    let rows: Vec<Row> = session.conn.exec(statement, params()).await?;
    let mut indexes: BTreeMap<String, Vec<Index>> = BTreeMap::new();
    for row in rows {
        let (Some(table), Some(name)) = (field::<String>(&row, 0), field::<String>(&row, 1)) else {
            continue;
        };
        let indexes = indexes.entry(table).or_default();
        if indexes.last().is_none_or(|index| index.name != name) {
            indexes.push(Index { name, ..Index::default() });
        }
        if let Some(index) = indexes.last_mut() {
            index.columns.push(field::<String>(&row, 2));
            index.prefix |= field::<u64>(&row, 3).is_some();
            index.nullable |= field::<String>(&row, 4).is_some_and(|nullable| nullable == "YES");
        }
    }
    for (name, indexes) in indexes {
        if let Some(table) = tables.get_mut(&name) {
            choose_key(table, &indexes);
        }
    }
    Ok(tables.into_values().collect())
}

fn field<T: mysql_async::prelude::FromValue>(row: &Row, index: usize) -> Option<T> {
    row.get_opt::<Option<T>, _>(index)?.ok().flatten()
}

fn column(row: &Row) -> Column {
    let text = |index| field::<String>(row, index).unwrap_or_default();
    let (precision, scale) = (field::<u64>(row, 5), field::<u64>(row, 6));
    Column {
        name: text(1),
        data_type: text(2).to_ascii_lowercase(),
        full_type: text(3),
        unsigned: text(3).to_ascii_lowercase().contains("unsigned"),
        bytes: field(row, 4),
        digits: precision.zip(scale),
        charset: field(row, 7),
        collation: field(row, 10),
        json: false,
        compressed: text(3).to_ascii_lowercase().contains(" compressed"),
        visible: !text(8).to_ascii_uppercase().contains("INVISIBLE"),
        readable: text(9).to_ascii_lowercase().contains("select"),
    }
}

/// MariaDB keeps JSON in texts with a check that it is JSON.
async fn json_columns(
    session: &mut Session,
    tables: &mut BTreeMap<String, Table>,
    filter: &str,
    params: Params,
) -> Result<(), Error> {
    let statement = format!(
        "SELECT TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ?{filter} \
         AND CHECK_CLAUSE LIKE 'json\\_valid(%'"
    );
    let rows: Vec<(String, String)> = match session.conn.exec(statement, params).await {
        // Versions before 10.2.22 do not have this view, nor need it: they check no JSON.
        Err(Error::Server(error)) if error.code == 1109 || error.code == 1054 => return Ok(()),
        other => other?,
    };
    for (table, clause) in rows {
        let columns = tables.get_mut(&table).map(|table| table.columns.as_mut_slice()).unwrap_or_default();
        for column in columns {
            column.json |= clause == format!("json_valid({})", quote(&column.name));
        }
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Index {
    name: String,
    /// None: an expression.
    columns: Vec<Option<String>>,
    /// Only the beginning of a column is in it.
    prefix: bool,
    nullable: bool,
}

/// The primary key, or else the unique index of the fewest columns, none of which may be null.
fn choose_key(table: &mut Table, indexes: &[Index]) {
    let mut usable: Vec<(bool, usize, &Index, Vec<usize>)> = Vec::new();
    for index in indexes {
        let primary = index.name == "PRIMARY";
        let position = |name: &Option<String>| {
            let name = name.as_deref()?;
            let position = table.columns.iter().position(|column| column.name == name)?;
            table.columns[position].readable.then_some(position)
        };
        let Some(columns) = index.columns.iter().map(position).collect::<Option<Vec<_>>>() else { continue };
        if primary || !(index.nullable || index.prefix) {
            usable.push((!primary, columns.len(), index, columns));
        }
    }
    usable.sort_by(|one, other| (one.0, one.1, &one.2.name).cmp(&(other.0, other.1, &other.2.name)));
    if let Some((_, _, index, columns)) = usable.into_iter().next() {
        table.paged = !index.prefix && columns.iter().all(|&column| table.columns[column].is_comparable());
        table.key = columns;
    }
}

/// The table was there when the sync began, and is not any more.
pub(super) fn dropped(table: &Table) -> SourceError {
    SourceError::new(
        ErrorKind::Incomplete,
        format!("read the table {}", table.name),
        "it was dropped, or the account may not read it any more, while it was read",
    )
    .with_hint("Nothing was deleted. Correct `tables`, or run the sync again.")
}

/// The table's key was altered while parts of the table were read by it.
pub(super) fn rekeyed(table: &Table) -> SourceError {
    SourceError::new(
        ErrorKind::Incomplete,
        format!("read the table {}", table.name),
        "its key was altered while parts of it were read side by side",
    )
    .with_hint("Nothing was deleted. Run the sync again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(name: &str, data_type: &str) -> Column {
        Column {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            visible: true,
            readable: true,
            ..Column::default()
        }
    }

    fn index(name: &str, columns: &[&str]) -> Index {
        Index {
            name: name.to_owned(),
            columns: columns.iter().map(|&column| Some(column.to_owned())).collect(),
            ..Index::default()
        }
    }

    fn table() -> Table {
        let columns = vec![
            typed("a", "int"),
            typed("b", "varchar"),
            typed("e", "enum"),
            Column { readable: false, ..typed("secret", "int") },
            Column { visible: false, ..typed("hidden", "bigint") },
            Column { digits: Some((18, 0)), ..typed("d", "decimal") },
            Column { digits: Some((18, 2)), ..typed("m", "decimal") },
        ];
        Table { columns, ..Table::default() }
    }

    fn chosen(indexes: &[Index]) -> (Vec<usize>, bool) {
        let mut table = table();
        choose_key(&mut table, indexes);
        (table.key, table.paged)
    }

    #[test]
    fn the_key_is_the_primary_one_or_a_unique_one() {
        assert_eq!(chosen(&[]), (vec![], false));
        assert_eq!(chosen(&[index("A", &["a"]), index("PRIMARY", &["b", "a"])]), (vec![1, 0], true));
        assert_eq!(chosen(&[index("x", &["a", "b"]), index("y", &["b"])]), (vec![1], true));
        assert_eq!(chosen(&[Index { nullable: true, ..index("x", &["a"]) }]), (vec![], false));
        assert_eq!(chosen(&[Index { prefix: true, ..index("x", &["b"]) }]), (vec![], false));
        assert_eq!(chosen(&[Index { prefix: true, ..index("PRIMARY", &["b"]) }]), (vec![1], false));
        assert_eq!(chosen(&[Index { columns: vec![None], ..index("x", &[]) }]), (vec![], false));
        assert_eq!(chosen(&[index("PRIMARY", &["secret"])]), (vec![], false));
    }

    #[test]
    fn only_keys_whose_order_can_be_asked_for_are_paged() {
        assert_eq!(chosen(&[index("PRIMARY", &["e"])]), (vec![2], false));
        assert_eq!(chosen(&[index("PRIMARY", &["hidden"])]), (vec![4], true));
        assert_eq!(chosen(&[index("PRIMARY", &["d"])]), (vec![5], true));
        assert_eq!(chosen(&[index("PRIMARY", &["a", "m"])]), (vec![0, 6], false));
    }

    #[test]
    fn a_key_is_another_if_its_columns_are_compared_in_another_way() {
        let mut one = table();
        one.key = vec![1];
        let mut other = one.clone();
        other.columns[0].full_type = "bigint(20)".to_owned();
        assert!(one.has_the_key_of(&other));
        for (full_type, collation) in [("varchar(9)", "utf8mb4_bin"), ("varchar(8)", "utf8mb4_general_ci")] {
            for (table, full_type, collation) in
                [(&mut one, "varchar(9)", "utf8mb4_general_ci"), (&mut other, full_type, collation)]
            {
                table.columns[1].full_type = full_type.to_owned();
                table.columns[1].collation = Some(collation.to_owned());
            }
            assert!(!one.has_the_key_of(&other), "{full_type} {collation}");
        }
        other = Table { paged: !one.paged, ..one.clone() };
        assert!(!one.has_the_key_of(&other));
    }

    #[test]
    fn what_is_read_and_what_the_id_is_made_of() {
        let mut table = table();
        assert_eq!(table.selected(), [0, 1, 2, 5, 6]);
        choose_key(&mut table, &[index("PRIMARY", &["hidden", "a"])]);
        assert_eq!(table.selected(), [0, 1, 2, 4, 5, 6]);
        assert_eq!(
            (table.id_columns(), table.key_names()),
            (vec![0, 4], vec!["hidden".to_owned(), "a".to_owned()])
        );
        assert!(table.column("HIDDEN").is_some() && table.column("x").is_none());
    }
}
