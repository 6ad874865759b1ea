//! Errors of the driver and the server → [`SourceError`].

use std::borrow::Cow;
use std::io;

use connectors_sdk::{ErrorKind, SourceError};
use mysql_async::{DriverError, Error, IoError, ServerError, UrlError};

/// Where the connector is connected to, for errors. Never the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub database: String,
}

/// What the server's own advice cannot know: the statement that gives this account the right to read.
fn grant(place: &Place) -> String {
    format!("Run: GRANT SELECT, SHOW VIEW ON `{}`.* TO '{}'.", place.database.replace('`', "``"), place.user)
}

/// An error of the driver. The text of the server is kept: it names what it means, and holds no secret.
pub(super) fn of(operation: impl Into<Cow<'static, str>>, error: &Error, place: &Place) -> SourceError {
    let at = format!("{}:{}", place.host, place.port);
    match error {
        Error::Server(error) => of_server(operation, error, place),
        Error::Io(IoError::Tls(error)) => {
            SourceError::new(ErrorKind::Config, operation, format!("TLS with {at} failed: {error}")).with_hint(
                "Set `ssl_ca` to the certificate of the authority that signed the server's, and `host` to a name in the \
                 server's certificate.",
            )
        }
        // rustls hands certificate errors through the stream's I/O error.
        Error::Io(IoError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            SourceError::new(ErrorKind::Config, operation, format!("TLS with {at} failed: {error}")).with_hint(
                "Set `ssl_ca` to the certificate of the authority that signed the server's, and `host` to a name in the \
                 server's certificate.",
            )
        }
        Error::Io(IoError::Io(error)) => {
            let hint = match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    "Check `host` and `port`, that the server runs, and that it listens on the network (bind-address, skip-networking)."
                }
                io::ErrorKind::TimedOut => {
                    "Check `host` and `port`, and that no firewall is in between."
                }
                _ => "Check that the server is up and reachable from this machine; the next sync tries again.",
            };
            SourceError::new(ErrorKind::Unavailable, operation, format!("{at}: {error}")).with_hint(hint)
        }
        Error::Driver(DriverError::ConnectionClosed) => {
            SourceError::new(ErrorKind::Unavailable, operation, format!("{at} closed the connection"))
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            SourceError::new(ErrorKind::Config, operation, format!("{at} has no TLS"))
                .with_hint("Switch off `ssl_enabled`, or give the server a certificate.")
        }
        Error::Driver(
            error @ (DriverError::UnknownAuthPlugin { .. }
            | DriverError::MysqlOldPasswordDisabled
            | DriverError::CleartextPluginDisabled),
        ) => SourceError::new(ErrorKind::Authentication, operation, format!("{at}: {error}")).with_hint(
            "Let the account sign in with caching_sha2_password, mysql_native_password or ed25519.",
        ),
        Error::Url(error @ UrlError::Invalid) => {
            SourceError::new(ErrorKind::Config, operation, format!("{at}: {error}"))
        }
        // Only the text: values in other parts of these errors are rows of the operator's tables.
        other => SourceError::new(ErrorKind::InvalidData, operation, format!("{at}: {other}")),
    }
}

fn of_server(operation: impl Into<Cow<'static, str>>, error: &ServerError, place: &Place) -> SourceError {
    let at = format!("{}:{}", place.host, place.port);
    let said = format!("{} (error {})", error.message.trim_end_matches('.'), error.code);
    let (kind, hint): (_, Cow<'static, str>) = match error.code {
        // ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR
        1045 | 1698 => (
            ErrorKind::Authentication,
            "Check `user` and `password`, and that the account may connect from this machine ('user'@'%').".into(),
        ),
        // ER_NOT_SUPPORTED_AUTH_MODE, ER_MUST_CHANGE_PASSWORD, ER_MUST_CHANGE_PASSWORD_LOGIN, ER_ACCOUNT_HAS_BEEN_LOCKED
        1251 | 1820 | 1862 | 3118 | 4151 => (
            ErrorKind::Authentication,
            "Unlock the account, give it a password that has not expired, and let it sign in with caching_sha2_password or \
             mysql_native_password."
                .into(),
        ),
        // ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR
        1044 | 1142 | 1143 => (ErrorKind::PermissionDenied, grant(place).into()),
        // ER_SPECIFIC_ACCESS_DENIED_ERROR, ER_PROCACCESS_DENIED_ERROR
        1227 | 1370 => (ErrorKind::PermissionDenied, "Grant the account the privilege that is named.".into()),
        // ER_HOST_NOT_PRIVILEGED, ER_HOST_IS_BLOCKED
        1130 => (
            ErrorKind::Authentication,
            format!("Let the account connect from this machine: CREATE USER '{}'@'%'.", place.user).into(),
        ),
        1129 => (ErrorKind::Unavailable, "Run FLUSH HOSTS on the server.".into()),
        // ER_BAD_DB_ERROR
        1049 => (ErrorKind::Config, "Set `database` to one that exists on this server.".into()),
        // ER_NO_SUCH_TABLE
        1146 => (
            ErrorKind::Incomplete,
            "It was dropped while it was read; nothing was deleted. Correct `tables`, or run the sync again.".into(),
        ),
        // ER_BAD_FIELD_ERROR
        1054 => (
            ErrorKind::Incomplete,
            "The table was altered while it was read, or a query names a column that does not exist. Run the sync again."
                .into(),
        ),
        // ER_VIEW_INVALID
        1356 => (
            ErrorKind::Config,
            "The view names what does not exist any more, or its definer may not read it: correct the view, or name the tables \
             to sync without it."
                .into(),
        ),
        // ER_PARSE_ERROR, ER_BAD_TABLE..., ER_NON_UNIQ_ERROR, ER_WRONG_FIELD_WITH_GROUP, ER_INVALID_GROUP_FUNC_USE
        1064 | 1052 | 1055 | 1056 | 1111 | 1140 => {
            (ErrorKind::Config, "Correct the query in the advanced sync rules.".into())
        }
        // ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK
        1205 | 1213 => (
            ErrorKind::Unavailable,
            "Another session holds a lock on the table: see SHOW PROCESSLIST. The next sync tries again.".into(),
        ),
        // ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED
        1040 | 1203 | 1226 => (
            ErrorKind::Unavailable,
            "The server has too many connections: raise max_connections (or the account's limit), or sync at a quieter time."
                .into(),
        ),
        // ER_SERVER_SHUTDOWN, ER_NET_*, ER_CONNECTION_KILLED, CR_SERVER_GONE, CR_SERVER_LOST, ER_CLIENT_INTERACTION_TIMEOUT
        1053 | 1152 | 1158..=1161 | 1317 | 1927 | 2006 | 2013 | 3024 | 1969 | 4031 => (
            ErrorKind::Unavailable,
            "The server ended the connection or the statement; the next sync tries again.".into(),
        ),
        // ER_TABLE_DEF_CHANGED, ER_NEED_REPREPARE
        1412 | 1615 => (
            ErrorKind::Incomplete,
            "Tables are altered all the time: run the sync when that is over.".into(),
        ),
        // ER_MASTER_FATAL_ERROR_READING_BINLOG
        1236 => (
            ErrorKind::Incomplete,
            "The binary log from the last sync on is gone or cannot be read: run a full sync, and keep the log longer than the \
             pause between syncs (binlog_expire_logs_seconds)."
                .into(),
        ),
        _ => (ErrorKind::Unavailable, "Look the error's number up in the server's manual.".into()),
    };
    SourceError::new(kind, operation, format!("{at}: {said}")).with_hint(hint)
}

/// Whether the connection is gone, so that a new one may go on where it ended.
pub(super) fn is_lost(error: &Error) -> bool {
    match error {
        Error::Io(IoError::Io(error)) => error.kind() != io::ErrorKind::InvalidData,
        Error::Driver(DriverError::ConnectionClosed | DriverError::PacketOutOfOrder) => true,
        Error::Server(error) => {
            matches!(error.code, 1040 | 1053 | 1152 | 1158..=1161 | 1203 | 1927 | 2006 | 2013 | 4031)
        }
        _ => false,
    }
}

/// Whether a table was altered since the snapshot began: a new snapshot sees it.
pub(super) fn is_redefined(error: &Error) -> bool {
    matches!(error, Error::Server(error) if matches!(error.code, 1412 | 1615 | 1054))
}

/// The number of a server's error.
pub(super) fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Server(error) => Some(error.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { host: "db".to_owned(), port: 3306, user: "me".to_owned(), database: "shop".to_owned() }
    }

    fn server(code: u16) -> Error {
        Error::Server(ServerError { code, message: "said so.".to_owned(), state: "HY000".to_owned() })
    }

    #[test]
    fn server_errors_are_classified_by_their_number() {
        for (code, kind, advice) in [
            (1045, ErrorKind::Authentication, "`password`"),
            (1698, ErrorKind::Authentication, "`password`"),
            (1251, ErrorKind::Authentication, "caching_sha2_password"),
            (1130, ErrorKind::Authentication, "CREATE USER 'me'@'%'"),
            (1044, ErrorKind::PermissionDenied, "GRANT SELECT, SHOW VIEW ON `shop`.* TO 'me'"),
            (1142, ErrorKind::PermissionDenied, "GRANT SELECT"),
            (1143, ErrorKind::PermissionDenied, "GRANT SELECT"),
            (1227, ErrorKind::PermissionDenied, "privilege"),
            (1049, ErrorKind::Config, "`database`"),
            (1146, ErrorKind::Incomplete, "nothing was deleted"),
            (1054, ErrorKind::Incomplete, "altered"),
            (1064, ErrorKind::Config, "query"),
            (1356, ErrorKind::Config, "view"),
            (1205, ErrorKind::Unavailable, "lock"),
            (1213, ErrorKind::Unavailable, "lock"),
            (1040, ErrorKind::Unavailable, "max_connections"),
            (1203, ErrorKind::Unavailable, "max_connections"),
            (1053, ErrorKind::Unavailable, "next sync"),
            (2006, ErrorKind::Unavailable, "next sync"),
            (2013, ErrorKind::Unavailable, "next sync"),
            (1236, ErrorKind::Incomplete, "full sync"),
            (9999, ErrorKind::Unavailable, "manual"),
        ] {
            let error = of("read", &server(code), &place());
            let text = error.to_string();
            assert_eq!(error.kind(), kind, "{code}");
            assert!(text.contains(advice) && text.contains("db:3306: said so (error"), "{code}: {text}");
        }
    }

    #[test]
    fn what_the_network_does_is_told_apart() {
        let io = |kind| Error::Io(IoError::Io(io::Error::from(kind)));
        for (error, kind, advice) in [
            (io(io::ErrorKind::ConnectionRefused), ErrorKind::Unavailable, "bind-address"),
            (io(io::ErrorKind::TimedOut), ErrorKind::Unavailable, "firewall"),
            (io(io::ErrorKind::UnexpectedEof), ErrorKind::Unavailable, "up and reachable"),
            (io(io::ErrorKind::InvalidData), ErrorKind::Config, "`ssl_ca`"),
            (DriverError::ConnectionClosed.into(), ErrorKind::Unavailable, "db:3306"),
            (DriverError::NoClientSslFlagFromServer.into(), ErrorKind::Config, "`ssl_enabled`"),
            (
                DriverError::UnknownAuthPlugin { name: "gssapi".to_owned() }.into(),
                ErrorKind::Authentication,
                "gssapi",
            ),
            (
                DriverError::UnexpectedPacket { payload: b"private".to_vec() }.into(),
                ErrorKind::InvalidData,
                "db:3306",
            ),
        ] {
            let shown = of("read", &error, &place());
            assert_eq!(shown.kind(), kind, "{shown}");
            assert!(shown.to_string().contains(advice), "{shown}");
            assert!(!format!("{shown:?}").contains("private"), "{shown:?}");
        }
    }

    #[test]
    fn what_a_new_connection_or_snapshot_cures() {
        for code in [1053, 1927, 2013, 1040] {
            assert!(is_lost(&server(code)), "{code}");
        }
        assert!(is_lost(&Error::Io(IoError::Io(io::Error::from(io::ErrorKind::ConnectionReset)))));
        assert!(!is_lost(&server(1146)) && !is_lost(&server(1045)) && !is_lost(&server(1205)));
        assert!(is_redefined(&server(1412)) && !is_redefined(&server(1146)));
        assert_eq!((code(&server(7)), code(&DriverError::ConnectionClosed.into())), (Some(7), None));
    }
}
