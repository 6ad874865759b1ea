//! Connections that see the same data.

use connectors_sdk::SourceError;
use mysql_async::Error;

use super::super::changes::position::{self, Log};
use super::super::client::{Client, Session};

/// How often it is tried to open several connections between two writes.
const TRIES: usize = 3;

/// Open transactions that read the same data.
pub(in super::super) struct Snapshot {
    pub sessions: Vec<Session>,
    /// Where the binary log was when they began, or a little before.
    pub log: Log,
}

/// Opens up to `wanted` transactions, the first on the given connection. More than one only where the server can show that they see the
/// same data.
pub(super) async fn open(client: &Client, first: Session, wanted: usize) -> Result<Snapshot, SourceError> {
    let mut sessions = vec![first];
    let log =
        begin(&mut sessions, client, wanted).await.map_err(|error| client.error("begin to read", &error))?;
    Ok(Snapshot { sessions, log })
}

async fn begin(sessions: &mut Vec<Session>, client: &Client, wanted: usize) -> Result<Log, Error> {
    let mariadb = sessions[0].flavor.mariadb;
    let mut log = position::read(&mut sessions[0]).await?;
    if !mariadb {
        log = position::settle(&mut sessions[0], log).await?;
    }
    let parallel = match &log {
        Log::At { .. } => true,
        // MariaDB tells it to everybody.
        Log::Forbidden => mariadb,
        Log::Off | Log::Unsettled => false,
    };
    while parallel && sessions.len() < wanted {
        match client.connect().await {
            Ok(session) => sessions.push(session),
            Err(error) => {
                tracing::info!("fewer connections than wanted: {error}");
                break;
            }
        }
    }
    for left in (0..TRIES).rev() {
        let same = if mariadb { begin_mariadb(sessions).await? } else { begin_mysql(sessions).await? };
        if same || sessions.len() == 1 {
            break;
        }
        if left == 0 {
            tracing::info!("the server is written to all the time: the tables are read on one connection");
            sessions.truncate(1);
            sessions[0].end().await?;
            sessions[0].begin().await?;
        } else {
            for session in sessions.iter_mut() {
                session.end().await?;
            }
        }
    }
    Ok(match log {
        Log::At { mut position, filters } => {
            if mariadb {
                position.move_to(position::of_snapshot(&mut sessions[0]).await?);
            }
            Log::At { position, filters }
        }
        other => other,
    })
}

/// MariaDB says for each snapshot where in the binary log it is.
async fn begin_mariadb(sessions: &mut [Session]) -> Result<bool, Error> {
    let mut first = None;
    let mut same = true;
    for session in sessions {
        session.begin().await?;
        let at = position::of_snapshot(session).await?;
        same &= at.is_some() && first.get_or_insert_with(|| at.clone()) == &at;
    }
    Ok(same)
}

/// MySQL does not: nothing may be written while the transactions begin.
async fn begin_mysql(sessions: &mut [Session]) -> Result<bool, Error> {
    let several = sessions.len() > 1;
    let before = if several { Some(position::read(&mut sessions[0]).await?) } else { None };
    // What is logged and not seen yet may be seen by some of them only.
    let quiet = !several || position::is_quiet(&mut sessions[0]).await?;
    for session in sessions.iter_mut() {
        session.begin().await?;
    }
    let after = if several { Some(position::read(&mut sessions[0]).await?) } else { None };
    Ok(quiet && before == after && before.is_some_and(|log| log.position().is_some()))
}
