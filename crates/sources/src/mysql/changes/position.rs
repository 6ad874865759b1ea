//! Where the binary log is: which server's, which file, how far.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Error, Row};
use serde_json::{Value as Json, json};

use super::super::client::Session;
use super::super::error;

/// MySQL writes a transaction to the binary log a moment before other sessions see its rows.
const SETTLE: Duration = Duration::from_secs(1);

/// How long it is waited for transactions that are logged and not seen.
const MAX_SETTLE: Duration = Duration::from_secs(15);

/// A place in a server's binary log, between two transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Position {
    /// The server's own identity.
    pub server: String,
    pub file: String,
    pub offset: u64,
    /// The transactions until here, where the server counts them.
    pub gtid: String,
}

impl Position {
    /// Whether it is the same place. The transactions until there are not always known.
    pub(in super::super) fn is(&self, other: &Self) -> bool {
        let counted = !self.gtid.is_empty() && !other.gtid.is_empty();
        (&self.server, &self.file, self.offset) == (&other.server, &other.file, other.offset)
            && (!counted || self.gtid == other.gtid)
    }

    /// Whether the log that ends at `end` cannot have got there from here: files are numbered one after the other.
    pub(in super::super) fn is_beyond(&self, end: &Self) -> bool {
        let number = |file: &str| file.rsplit_once('.').and_then(|(_, number)| number.parse::<u64>().ok());
        if self.file == end.file {
            return self.offset > end.offset;
        }
        number(&self.file).zip(number(&end.file)).is_some_and(|(here, end)| here > end)
    }

    /// Takes the position of a snapshot. Which transactions belong to it is not said.
    pub(in super::super) fn move_to(&mut self, snapshot: Option<(String, u64)>) {
        if let Some((file, offset)) = snapshot
            && (&file, offset) != (&self.file, self.offset)
        {
            (self.file, self.offset) = (file, offset);
            self.gtid.clear();
        }
    }

    pub(in super::super) fn to_json(&self) -> Json {
        json!({"server": self.server, "file": self.file, "position": self.offset, "gtid": self.gtid})
    }

    pub(in super::super) fn from_json(value: &Json) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Some(Self {
            server: text("server")?,
            file: text("file").filter(|file| !file.is_empty())?,
            offset: value["position"].as_u64()?,
            gtid: text("gtid")?,
        })
    }
}

/// What the server says of its binary log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Log {
    /// It is at this position.
    At { position: Position, filters: Filters },
    /// It is switched off.
    Off,
    /// The account may not ask.
    Forbidden,
    /// Transactions are in it that nobody sees yet, and it is not known until when (MySQL).
    Unsettled,
}

/// What is left out of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct Filters {
    /// Databases whose writes alone are logged (`binlog-do-db`), or are not logged (`binlog-ignore-db`).
    pub only: Vec<String>,
    pub ignored: Vec<String>,
    /// The server is a replica that does not log what it gets from its primary, or a node that does not log what others write.
    pub replica: bool,
}

impl Filters {
    /// Whether every write is logged.
    pub(in super::super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why writes to this database are not all in the log.
    pub(in super::super) fn hide(&self, database: &str) -> Option<String> {
        if self.replica {
            return Some(
                "the server is a replica or a Galera node with log_slave_updates=OFF (log_replica_updates)"
                    .to_owned(),
            );
        }
        let named = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(database));
        let hidden = named(&self.ignored) || !(self.only.is_empty() || named(&self.only));
        hidden.then(|| format!("binlog-do-db or binlog-ignore-db leave the database {database} out"))
    }
}

impl Log {
    pub(in super::super) fn position(&self) -> Option<&Position> {
        match self {
            Self::At { position, .. } => Some(position),
            Self::Off | Self::Forbidden | Self::Unsettled => None,
        }
    }
}

/// Global variables by name; those the server does not have are empty.
pub(in super::super) async fn variables<const N: usize>(
    session: &mut Session,
    names: [&str; N],
) -> Result<[String; N], Error> {
    let listed: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let statement = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", listed.join(", "));
    let rows: Vec<(String, String)> = session.conn.query(statement).await?;
    Ok(names.map(|name| {
        let found = rows.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }))
}

/// Where the binary log ends now.
pub(in super::super) async fn read(session: &mut Session) -> Result<Log, Error> {
    let [uuid, uid, id, host, log_bin, gtid] = variables(
        session,
        ["server_uuid", "server_uid", "server_id", "hostname", "log_bin", "gtid_binlog_pos"],
    )
    .await?;
    if !log_bin.eq_ignore_ascii_case("on") && log_bin != "1" {
        return Ok(Log::Off);
    }
    let renamed = !session.flavor.mariadb && session.flavor.version >= (8, 2, 0);
    let statement = if renamed { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" };
    let row: Option<Row> = match session.conn.query_first(statement).await {
        // ER_SPECIFIC_ACCESS_DENIED_ERROR
        Err(error) if error::code(&error) == Some(1227) => return Ok(Log::Forbidden),
        other => other?,
    };
    let Some(row) = row else { return Ok(Log::Off) };
    let replica = is_silent_replica(session).await?;
    let text = |index: usize| row.get_opt::<Option<String>, _>(index).and_then(Result::ok).flatten();
    let (Some(file), Some(offset)) = (text(0), row.get_opt::<u64, _>(1).and_then(Result::ok)) else {
        return Ok(Log::Off);
    };
    let names = |index: usize| -> Vec<String> {
        let listed = text(index).unwrap_or_default();
        listed.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    };
    let filters = Filters { only: names(2), ignored: names(3), replica };
    let server = [uuid, uid].into_iter().find(|name| !name.is_empty()).unwrap_or(format!("{id}@{host}"));
    let gtid = text(4).filter(|gtid| !gtid.is_empty()).unwrap_or(gtid);
    Ok(Log::At { position: Position { server, file, offset, gtid }, filters })
}

/// Where the binary log ends, or ended a moment ago: everything before is seen by a transaction that begins now.
pub(in super::super) async fn settled(session: &mut Session) -> Result<Log, Error> {
    let log = read(session).await?;
    if !session.flavor.mariadb {
        return settle(session, log).await;
    }
    let Log::At { mut position, filters } = log else { return Ok(log) };
    session.begin().await?;
    let snapshot = of_snapshot(session).await?;
    session.end().await?;
    position.move_to(snapshot);
    Ok(Log::At { position, filters })
}

/// Waits until all that is in the log before this position is seen by a transaction that begins (MySQL): a transaction is logged
/// a moment before, and with semi-synchronous replication a replica's answer is waited for in between.
pub(in super::super) async fn settle(session: &mut Session, log: Log) -> Result<Log, Error> {
    if log.position().is_none() {
        return Ok(log);
    }
    let [mode, owned, master, source, old_timeout, new_timeout] = variables(
        session,
        [
            "gtid_mode",
            "gtid_owned",
            "rpl_semi_sync_master_enabled",
            "rpl_semi_sync_source_enabled",
            "rpl_semi_sync_master_timeout",
            "rpl_semi_sync_source_timeout",
        ],
    )
    .await?;
    if mode.eq_ignore_ascii_case("on") {
        // A transaction's number is owned from before it is logged until after others see it.
        let mut waiting = owners(&owned);
        let started = Instant::now();
        tokio::time::sleep(SETTLE).await;
        while !waiting.is_empty() {
            let [owned] = variables(session, ["gtid_owned"]).await?;
            let now = owners(&owned);
            waiting.retain(|owner| now.contains(owner));
            if !waiting.is_empty() {
                if started.elapsed() > MAX_SETTLE {
                    return Ok(Log::Unsettled);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        return Ok(log);
    }
    let is_on = |value: &String| value.eq_ignore_ascii_case("on") || value == "1";
    if [master, source].iter().any(is_on) {
        let timeout = [old_timeout, new_timeout].iter().filter_map(|timeout| timeout.parse().ok()).max();
        let wait = Duration::from_millis(timeout.unwrap_or(u64::MAX)).saturating_add(SETTLE);
        if wait > MAX_SETTLE {
            return Ok(Log::Unsettled);
        }
        tokio::time::sleep(wait).await;
    } else {
        tokio::time::sleep(SETTLE).await;
    }
    Ok(log)
}

/// Whether no transaction is between the log and being seen, as far as the server says it (MySQL, `gtid_mode`).
pub(in super::super) async fn is_quiet(session: &mut Session) -> Result<bool, Error> {
    let [owned] = variables(session, ["gtid_owned"]).await?;
    Ok(owners(&owned).is_empty())
}

/// The transactions in `gtid_owned`: for each server `uuid[:tag]:number#thread:number#thread…`, with commas in between.
fn owners(owned: &str) -> BTreeSet<String> {
    let mut owners = BTreeSet::new();
    for set in owned.split(',').map(str::trim) {
        let mut server = String::new();
        for part in set.split(':') {
            if part.contains('#') {
                owners.insert(format!("{server}{part}"));
            } else {
                server = format!("{server}{part}:");
            }
        }
    }
    owners
}

/// Whether the server gets writes from a primary, or from other nodes of a cluster (Galera), and does not log them. MySQL logs them from version 8 on unless told not to, and
/// does not say to everybody whether it has a primary.
async fn is_silent_replica(session: &mut Session) -> Result<bool, Error> {
    let names = ["log_slave_updates", "log_replica_updates", "wsrep_on", "gtid_slave_pos"];
    let [old, new, cluster, received] = variables(session, names).await?;
    if let Some(silent) = silent_by_settings(&[&old, &new], &cluster) {
        return Ok(silent);
    }
    let running: Vec<(String, String)> = session
        .conn
        .query("SHOW GLOBAL STATUS WHERE Variable_name IN ('Slaves_running', 'Slave_running')")
        .await?;
    if running.is_empty() {
        return Ok(session.flavor.version >= (8, 0, 0));
    }
    let runs = |(_, value): &(String, String)| value != "0" && !value.eq_ignore_ascii_case("off");
    Ok(running.iter().any(runs) || !received.is_empty())
}

/// Whether writes of others are left out of the log. None: it depends on whether there are any.
fn silent_by_settings(logged: &[&str], cluster: &str) -> Option<bool> {
    let is_on = |value: &str| value.eq_ignore_ascii_case("on") || value == "1";
    if logged.iter().any(|value| is_on(value)) {
        return Some(false);
    }
    is_on(cluster).then_some(true)
}

/// The position of the snapshot this transaction reads (MariaDB). None: the binary log is off.
pub(in super::super) async fn of_snapshot(session: &mut Session) -> Result<Option<(String, u64)>, Error> {
    let rows: Vec<(String, String)> = session.conn.query("SHOW STATUS LIKE 'binlog\\_snapshot\\_%'").await?;
    let find = |name: &str| rows.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let file = find("binlog_snapshot_file").map(|(_, file)| file.clone()).filter(|file| !file.is_empty());
    let offset = find("binlog_snapshot_position").and_then(|(_, offset)| offset.parse().ok());
    Ok(file.zip(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_hide_databases() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let none = Filters::default();
        assert!(none.is_empty() && none.hide("shop").is_none());
        let only = Filters { only: names(&["shop", "crm"]), ..Filters::default() };
        assert!(!only.is_empty() && only.hide("Shop").is_none() && only.hide("x").is_some());
        let ignored = Filters { ignored: names(&["x"]), ..Filters::default() };
        assert!(ignored.hide("shop").is_none() && ignored.hide("x").unwrap().contains("binlog-ignore-db"));
        let replica = Filters { replica: true, ..Filters::default() };
        assert!(replica.hide("shop").unwrap().contains("log_slave_updates"));
    }

    #[test]
    fn nodes_of_a_cluster_log_what_others_write_or_not() {
        assert_eq!(silent_by_settings(&["ON", ""], "ON"), Some(false));
        assert_eq!(silent_by_settings(&["", "1"], ""), Some(false));
        assert_eq!(silent_by_settings(&["OFF", ""], "ON"), Some(true));
        assert_eq!(silent_by_settings(&["OFF", ""], "OFF"), None);
        assert_eq!(silent_by_settings(&["0", ""], ""), None);
    }

    #[test]
    fn a_log_that_went_backwards_is_seen() {
        let at = |file: &str, offset| Position {
            server: "s".to_owned(),
            file: file.to_owned(),
            offset,
            gtid: String::new(),
        };
        let end = at("b.000010", 500);
        for (file, offset, beyond) in [
            ("b.000010", 500, false),
            ("b.000010", 501, true),
            ("b.000009", 900, false),
            ("b.000011", 4, true),
            ("b.1000000", 4, true),
            ("x", 900, false),
        ] {
            assert_eq!(at(file, offset).is_beyond(&end), beyond, "{file} {offset}");
        }
    }

    #[test]
    fn transactions_that_nobody_sees_yet_are_told_apart() {
        assert!(owners("").is_empty());
        let owned = owners("u1:5#31:7#32,\nu2:tag:5#31");
        assert_eq!(
            owned.iter().map(String::as_str).collect::<Vec<_>>(),
            ["u1:5#31", "u1:7#32", "u2:tag:5#31"]
        );
    }

    #[test]
    fn a_position_is_kept_as_json() {
        let position = Position {
            server: "s".to_owned(),
            file: "b.000001".to_owned(),
            offset: 7,
            gtid: "0-1-2".to_owned(),
        };
        assert_eq!(Position::from_json(&position.to_json()), Some(position));
        assert_eq!(Position::from_json(&json!({"server": "s", "file": "", "position": 7, "gtid": ""})), None);
        assert_eq!(Position::from_json(&json!(null)), None);
    }
}
