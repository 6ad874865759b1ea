//! What there is to read: tables, their columns and keys, from the system catalogues.

use std::collections::HashMap;

use connectors_sdk::{ErrorKind, SourceError};
use tokio_postgres::Error;
use tokio_postgres::types::Type;

use super::client::Session;
use super::error::Place;
use super::value::{Cast, Plan};
use crate::shared::sql::selection::{Selection, listed as names};
use crate::shared::sql::types::FieldType;

/// A table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub oid: u32,
    pub name: String,
    pub kind: Kind,
    /// Columns that may be read, in the table's order.
    pub columns: Vec<String>,
    /// What their values are in an index, as far as that is known.
    pub types: Vec<Option<FieldType>>,
    /// Columns that identify a row: the primary key's, or those of a unique index without nulls. Empty: there are none.
    pub key: Vec<String>,
    /// Whether the key's order can be read page by page.
    pub ordered: bool,
    /// About how many rows there are; 0 if nobody has counted.
    pub rows: u64,
    /// Whether all changes of it are in the server's log.
    pub logged: bool,
    /// Whether policies decide which rows the account sees: they may say something else tomorrow.
    pub secured: bool,
    /// Whether the log names changed and deleted rows by this key.
    pub identified: bool,
    /// Stands for the columns with their types, and the key. Where it is another, documents of rows that nobody changed are too.
    pub shape: u64,
}

/// `relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    Partitioned,
    Foreign,
    View,
    MaterializedView,
}

impl Kind {
    fn parse(letter: &str) -> Self {
        match letter {
            "p" => Self::Partitioned,
            "f" => Self::Foreign,
            "v" => Self::View,
            "m" => Self::MaterializedView,
            _ => Self::Table,
        }
    }
}

/// All tables of a schema, partitions too, that the account may read at least a column of. Tables with old-style inheritance hold
/// rows of their children, for which their key says nothing.
fn listing(version: u32) -> String {
    let partition = if version >= 100_000 { "c.relispartition" } else { "false" };
    format!(
        "SELECT c.oid, c.relname::pg_catalog.text, c.relkind::pg_catalog.text, {partition}, \
                c.relpersistence = 'p', \
                GREATEST(c.reltuples, 0)::pg_catalog.int8, \
                c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid), \
                pg_catalog.has_any_column_privilege(c.oid, 'SELECT'), c.relrowsecurity \
         FROM pg_catalog.pg_class c \
         WHERE c.relnamespace = $1 AND c.relkind IN ('r', 'p', 'f', 'v', 'm') \
         ORDER BY c.relname"
    )
}

const COLUMNS: &str = "SELECT a.attrelid, a.attname::pg_catalog.text, \
            pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'), \
            CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, t.typtype = 'e', a.atttypid, a.atttypmod \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped \
     ORDER BY a.attrelid, a.attnum";

/// Primary keys, and unique indexes that hold every row. Then: whether comparing the columns as `>` does is the order
/// of the index, and tells all rows apart; whether the log names rows by it (`REPLICA IDENTITY`); and the types that are compared.
fn keys(version: u32) -> String {
    // INCLUDE columns came with version 11, collations that call different texts equal with version 12.
    let columns = if version >= 110_000 { "i.indnkeyatts" } else { "i.indnatts" };
    let exact = if version >= 120_000 { "COALESCE(c.collisdeterministic, true)" } else { "true" };
    format!(
        "SELECT i.indrelid, k.names, k.ordered, CASE t.relreplident WHEN 'd' THEN i.indisprimary WHEN 'f' THEN true \
                WHEN 'i' THEN i.indisreplident ELSE false END, k.types \
         FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class t ON t.oid = i.indrelid \
         JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
         JOIN pg_catalog.pg_am m ON m.oid = x.relam AND m.amname = 'btree' \
         CROSS JOIN LATERAL ( \
             SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY n) AS names, \
                    pg_catalog.bool_and(a.attnotnull) AS whole, \
                    pg_catalog.array_agg(o.opcintype ORDER BY n) AS types, \
                    pg_catalog.bool_and(o.opcdefault AND o.opcnamespace = 'pg_catalog'::pg_catalog.regnamespace \
                        AND i.indcollation[n] = a.attcollation AND {exact}) AS ordered \
             FROM pg_catalog.generate_series(0, {columns} - 1) n \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n] \
             JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[n] \
             LEFT JOIN pg_catalog.pg_collation c ON c.oid = i.indcollation[n]) k \
         WHERE i.indrelid = ANY ($1) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL \
           AND (i.indisprimary OR (i.indimmediate AND k.whole)) \
         ORDER BY i.indrelid, NOT i.indisprimary, NOT k.ordered, pg_catalog.array_length(k.names, 1), x.relname"
    )
}

/// Tables whose files hold the rows of a table or view: itself, its partitions and children, and what a view reads.
const FENCE: &str = "WITH RECURSIVE named(oid) AS (SELECT c.oid FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2), \
     r(oid) AS (SELECT oid FROM named UNION SELECT x.oid FROM r CROSS JOIN LATERAL ( \
         SELECT h.inhrelid AS oid FROM pg_catalog.pg_inherits h WHERE h.inhparent = r.oid \
         UNION ALL SELECT d.refobjid FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d ON d.objid = w.oid \
             AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
             AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass WHERE w.ev_class = r.oid) x) \
     SELECT COALESCE(pg_catalog.md5(pg_catalog.string_agg( \
         r.oid::pg_catalog.text || ':' || COALESCE(pg_catalog.pg_relation_filenode(r.oid), 0)::pg_catalog.text, ',' \
         ORDER BY r.oid)), ''), COALESCE((SELECT oid FROM named), 0::pg_catalog.oid) FROM r";

/// Which table has a name, and where its rows are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fence {
    /// The table's number; 0: there is none of that name.
    pub oid: u32,
    /// Stands for the files.
    files: String,
}

/// The tables to read.
pub(super) async fn tables(
    session: &Session,
    place: &Place,
    selection: &Selection,
) -> Result<Vec<Table>, SourceError> {
    let (listed, hidden) = readable(session, place).await?;
    if *selection == Selection::All && !hidden.is_empty() {
        tracing::warn!(
            "These are left out, and a full sync deletes what documents there are of them: the account may not read {}",
            names(hidden.iter().map(String::as_str))
        );
    }
    // The rows of a partition are its parent's; it is read by itself only if it is named.
    let offered = |table: &&Listed| *selection != Selection::All || !table.partition;
    let existing: Vec<String> =
        listed.iter().filter(offered).map(|listed| listed.table.name.clone()).collect();
    let mut by_name: HashMap<String, Listed> =
        listed.into_iter().map(|table| (table.table.name.clone(), table)).collect();
    let tables = selection.of(&existing)?.iter().filter_map(|name| by_name.remove(name)).collect();
    describe(session, place, tables).await
}

/// Every table that may be read, partitions too.
pub(super) async fn every(session: &Session, place: &Place) -> Result<Vec<Table>, SourceError> {
    let (listed, _) = readable(session, place).await?;
    describe(session, place, listed).await
}

/// What may be read, and the names of what may not, without partitions.
async fn readable(session: &Session, place: &Place) -> Result<(Vec<Listed>, Vec<String>), SourceError> {
    let failed = |error: Error| place.error("list the tables", &error, None);
    let schema = schema(session, place).await?;
    let rows = session.query(&listing(session.version), &[&schema]).await.map_err(failed)?;
    let listed: Vec<Listed> = rows.iter().map(read_table).collect::<Result<_, _>>().map_err(failed)?;
    let (listed, hidden): (Vec<Listed>, Vec<Listed>) = listed.into_iter().partition(|table| table.readable);
    let hidden = hidden.into_iter().filter(|table| !table.partition).map(|table| table.table.name);
    Ok((listed, hidden.collect()))
}

/// The table as it is now; none if there is none of that name any more.
pub(super) async fn again(
    session: &Session,
    place: &Place,
    name: &str,
) -> Result<Option<Table>, SourceError> {
    match tables(session, place, &Selection::Named(vec![name.to_owned()])).await {
        Ok(mut tables) => Ok(tables.pop()),
        Err(error) if error.kind() == ErrorKind::Config => Ok(None),
        Err(error) => Err(error),
    }
}

/// The schema's number.
async fn schema(session: &Session, place: &Place) -> Result<u32, SourceError> {
    let query = "SELECT n.oid, pg_catalog.has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_namespace n WHERE n.nspname = $1";
    let failed = |error: Error| place.error("find the schema", &error, None);
    let rows = session.query(query, &[&place.schema]).await.map_err(failed)?;
    let Some(row) = rows.first() else {
        return Err(SourceError::configuration(
            "schema",
            format!("names no schema of the database {}: {}", place.database, place.schema),
        )
        .with_hint("Names are case-sensitive; most tables are in the schema public."));
    };
    if row.try_get::<_, bool>(1).map_err(failed)? {
        return row.try_get(0).map_err(failed);
    }
    let text = format!("{} may not use the schema {}", place.user, place.schema);
    let grant = format!(
        "Have an administrator run: GRANT USAGE ON SCHEMA {} TO {};",
        super::error::quoted(&place.schema),
        super::error::quoted(&place.user)
    );
    Err(SourceError::new(ErrorKind::PermissionDenied, "list the tables", text).with_hint(grant))
}

struct Listed {
    table: Table,
    partition: bool,
    parent: bool,
    readable: bool,
}

fn read_table(row: &tokio_postgres::Row) -> Result<Listed, Error> {
    Ok(Listed {
        table: Table {
            oid: row.try_get(0)?,
            name: row.try_get(1)?,
            kind: Kind::parse(row.try_get(2)?),
            columns: Vec::new(),
            types: Vec::new(),
            key: Vec::new(),
            ordered: false,
            rows: row.try_get::<_, i64>(5)?.unsigned_abs(),
            logged: row.try_get(4)?,
            secured: row.try_get(8)?,
            identified: false,
            shape: 0,
        },
        partition: row.try_get(3)?,
        parent: row.try_get(6)?,
        readable: row.try_get(7)?,
    })
}

/// The tables with their columns and keys.
async fn describe(
    session: &Session,
    place: &Place,
    mut listed: Vec<Listed>,
) -> Result<Vec<Table>, SourceError> {
    fill_in(session, &mut listed).await.map_err(|error| place.error("list the columns", &error, None))?;
    Ok(listed.into_iter().map(|listed| listed.table).collect())
}

/// Columns of a table: those that may be read with their types, and those that may not.
#[derive(Default)]
struct Columns {
    readable: Vec<String>,
    types: Vec<Option<FieldType>>,
    hidden: Vec<String>,
    /// All that decides how the values of a row are written.
    shape: String,
}

async fn fill_in(session: &Session, tables: &mut [Listed]) -> Result<(), Error> {
    let oids: Vec<u32> = tables.iter().map(|listed| listed.table.oid).collect();
    let mut columns: HashMap<u32, Columns> = HashMap::new();
    for row in session.query(COLUMNS, &[&oids]).await? {
        let of = columns.entry(row.try_get(0)?).or_default();
        let (name, readable): (String, bool) = (row.try_get(1)?, row.try_get(2)?);
        of.shape +=
            &format!("{name:?} {readable} {} {}\n", row.try_get::<_, u32>(5)?, row.try_get::<_, i32>(6)?);
        if readable {
            of.readable.push(name);
            of.types.push(if row.try_get(4)? { Some(FieldType::Text) } else { field_type(row.try_get(3)?) });
        } else {
            of.hidden.push(name);
        }
    }
    let mut keys_of: HashMap<u32, (Vec<String>, bool, bool)> = HashMap::new();
    for row in session.query(&keys(session.version), &[&oids]).await? {
        let ordered = row.try_get(2)? && row.try_get::<_, Vec<u32>>(4)?.into_iter().all(is_bound_again);
        keys_of.entry(row.try_get(0)?).or_insert((row.try_get(1)?, ordered, row.try_get(3)?));
    }
    for Listed { table, parent, .. } in tables {
        let Columns { readable, types, hidden, shape } = columns.remove(&table.oid).unwrap_or_default();
        if !hidden.is_empty() {
            tracing::warn!(
                "{}: these columns are left out, the account may not read them: {}",
                table.name,
                hidden.join(", ")
            );
        }
        let key = keys_of.remove(&table.oid).filter(|_| !*parent);
        if let Some((key, ordered, identified)) = key
            && key.iter().all(|column| readable.contains(column))
        {
            (table.key, table.ordered, table.identified) = (key, ordered, identified);
        }
        (table.columns, table.types) = (readable, types);
        table.shape = xxhash_rust::xxh3::xxh3_64(format!("{shape}{:?}", table.key).as_bytes());
    }
    Ok(())
}

/// What values of a type are in an index.
fn field_type(oid: u32) -> Option<FieldType> {
    let plan = Plan::of(&Type::from_oid(oid)?);
    if plan.cast == Cast::None { plan.codec.field_type() } else { None }
}

/// Whether values of the type that an index compares come as they are and can be bound again.
fn is_bound_again(oid: u32) -> bool {
    match Type::from_oid(oid) {
        Some(Type::ANYENUM) => true,
        Some(of) => Plan::of(&of).cast == Cast::None,
        None => false,
    }
}

/// Names the files that hold a table's rows. A table that is rewritten or emptied gets new ones, and seems empty to a snapshot
/// that is older: its rows must be read again then. (Manual, "Caveats" of chapter "Concurrency Control".) So must those of a table that got
/// the name of another.
pub(super) async fn fence(session: &Session, place: &Place, name: &str) -> Result<Fence, Error> {
    let rows = session.query(FENCE, &[&place.schema, &name]).await?;
    let Some(row) = rows.first() else { return Ok(Fence::default()) };
    Ok(Fence { files: row.try_get(0)?, oid: row.try_get(1)? })
}
