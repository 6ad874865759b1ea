//! Positions in the server's log.

use std::time::{Duration, Instant};

use connectors_sdk::SourceError;
use tokio_postgres::Error;

use crate::postgresql::client::Session;
use crate::postgresql::error::{Failure, Place};

/// Where the server is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// Up to where something was written; none on a standby.
    pub wal: Option<String>,
    /// Up to where it is on disk, which is how far it can be read.
    pub flushed: Option<String>,
    /// `<system identifier>/<timeline>`: a copy of a cluster that went its own way has another one.
    pub system: Option<String>,
}

/// Asks the server.
pub(super) async fn now(session: &Session, place: &Place) -> Result<Position, SourceError> {
    let failed = |error: Error| place.error("ask for the position in the log", &error, None);
    // The functions had other names.
    if session.version < 100_000 {
        return Ok(Position::default());
    }
    let query = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_insert_lsn() END::pg_catalog.text, \
         CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
              ELSE pg_catalog.pg_current_wal_flush_lsn() END::pg_catalog.text";
    let rows = session.query(query, &[]).await.map_err(failed)?;
    let Some(row) = rows.first() else { return Ok(Position::default()) };
    let query = "SELECT s.system_identifier::pg_catalog.text || '/' || c.timeline_id \
         FROM pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c";
    let system = match session.query(query, &[]).await {
        Ok(rows) => rows.first().map(|row| row.try_get(0)).transpose().map_err(failed)?,
        // Some services keep it to themselves.
        Err(error) if Failure::of(&error).code() == Some("42501") => None,
        Err(error) => return Err(failed(error)),
    };
    Ok(Position { wal: row.try_get(0).map_err(failed)?, flushed: row.try_get(1).map_err(failed)?, system })
}

/// The part of [`Position::system`] that a standby which takes over keeps.
pub(super) fn system_id(system: Option<&str>) -> Option<&str> {
    system.and_then(|system| system.split('/').next())
}

/// Whether the text is a position (`16/B374D848`).
pub(super) fn is_lsn(text: &str) -> bool {
    let part =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split_once('/').is_some_and(|(high, low)| part(high) && part(low))
}

/// Waits until transactions are seen to have ended: the given ones, or all that are at work now. A transaction is in the log a
/// moment before others see it (much longer where it waits for a standby). Answers whether they have, within this time.
pub(super) async fn settle(
    session: &Session,
    place: &Place,
    transactions: Option<&[String]>,
    within: Duration,
) -> Result<bool, SourceError> {
    // Each transaction that writes holds a lock on its own number, until others see it.
    let query = "SELECT transactionid::pg_catalog.text FROM pg_catalog.pg_locks \
         WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted \
           AND ($1::pg_catalog.text[] IS NULL OR transactionid::pg_catalog.text = ANY ($1))";
    let begun = Instant::now();
    let mut waiting = transactions.map(<[String]>::to_vec);
    let mut pause = Duration::from_millis(1);
    loop {
        let failed = |error: Error| place.error("look at transactions", &error, None);
        let rows = session.query(query, &[&waiting]).await.map_err(failed)?;
        let running: Vec<String> =
            rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed)?;
        if running.is_empty() {
            return Ok(true);
        }
        if begun.elapsed() >= within {
            return Ok(false);
        }
        waiting = Some(running);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Gives up the log before a position.
pub(super) async fn advance(
    session: &Session,
    place: &Place,
    slot: &str,
    to: &str,
) -> Result<(), SourceError> {
    let query = if session.version >= 110_000 {
        "SELECT pg_catalog.pg_replication_slot_advance($1, $2::pg_catalog.text::pg_catalog.pg_lsn)::pg_catalog.text"
    } else {
        // Version 10 moves a slot by reading.
        "SELECT pg_catalog.count(*)::pg_catalog.text FROM pg_catalog.pg_logical_slot_get_binary_changes($1, \
             $2::pg_catalog.text::pg_catalog.pg_lsn, NULL, 'proto_version', '1', 'publication_names', $1::pg_catalog.text)"
    };
    let done = session.query(query, &[&slot, &to]).await;
    done.map(drop).map_err(|error| place.error("move the replication slot", &error, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_told_from_other_text() {
        for yes in ["0/0", "16/B374D848", "FFFFFFFF/ffffffff"] {
            assert!(is_lsn(yes), "{yes}");
        }
        for no in ["", "0", "/0", "0/", "0/123456789", "0/0'; --", "g/0"] {
            assert!(!is_lsn(no), "{no}");
        }
    }

    #[test]
    fn a_standby_that_took_over_is_the_same_system() {
        assert_eq!(system_id(Some("7512/2")), Some("7512"));
        assert_eq!(system_id(None), None);
    }
}
