//! Error of the driver → [`SourceError`].
//!
//! Of the driver's error only its kind is shown: its full text repeats the server's whole answer. The codes are those of
//! MongoDB's `error_codes.yml`.

use std::fmt;

use connectors_sdk::{ErrorKind, SourceError};
use mongodb::error::{Error, ErrorKind as Driver};

const AUTHENTICATION_FAILED: [i32; 2] = [18, 11];
const UNAUTHORIZED: i32 = 13;
const ATLAS_ERROR: i32 = 8000;
const NAMESPACE_NOT_FOUND: i32 = 26;
/// CursorNotFound, CursorKilled.
const CURSOR_GONE: [i32; 2] = [43, 237];
/// MaxTimeMSExpired, ExceededTimeLimit.
const OUT_OF_TIME: [i32; 2] = [50, 262];
/// QueryExceededMemoryLimitNoDiskUseAllowed, and its predecessor in sorts.
const OUT_OF_MEMORY: [i32; 2] = [292, 96];
/// Servers that stop, step down, lose their network or interrupt the operation: it may succeed later.
const PASSING: [i32; 14] = [6, 7, 89, 91, 133, 134, 175, 189, 9001, 10107, 11600, 11601, 11602, 13435];
const PASSING_RECOVERING: i32 = 13436;

/// Texts that must not be printed.
#[derive(Clone)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Keeps those that are not empty.
    pub(super) fn new(texts: impl IntoIterator<Item = String>) -> Self {
        let mut texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        // The longest first: one may be a part of another.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Self(texts)
    }

    /// The text without them.
    pub(super) fn remove(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(***)")
    }
}

/// What was being done when the error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Nothing was read yet.
    Opening,
    /// Some of a listing was read, and the rest was not.
    Reading,
}

/// What has to be known of the configuration to say what is wrong.
#[derive(Debug)]
pub(super) struct Advisor {
    pub secrets: Secrets,
    pub database: String,
    pub has_login: bool,
    pub has_tls: bool,
    pub is_srv: bool,
}

impl Advisor {
    /// Classifies an error and says what to do about it.
    pub(super) fn explain(&self, operation: &'static str, moment: Moment, error: &Error) -> SourceError {
        let (kind, hint) = self.classify(error);
        let context = self.secrets.remove(&without_debris(&error.kind.to_string()));
        let (kind, hint) = match (moment, kind) {
            // Whatever it was: what was not read may exist.
            (Moment::Reading, ErrorKind::Unavailable | ErrorKind::NotFound) => (
                ErrorKind::Incomplete,
                format!("What was read is synced and nothing was deleted; the next sync begins anew. {hint}"),
            ),
            (_, kind) => (kind, hint),
        };
        let error = SourceError::new(kind, operation, context);
        if hint.is_empty() { error } else { error.with_hint(hint) }
    }

    fn classify(&self, error: &Error) -> (ErrorKind, String) {
        match &*error.kind {
            Driver::Authentication { .. } => self.wrong_login(),
            Driver::Command(command) => self.classify_command(command.code, &command.message),
            Driver::ServerSelection { message, .. } => {
                // The driver says why each server could not be used only in words.
                if message.contains("uthentication fail") {
                    self.wrong_login()
                } else {
                    self.unreachable(message)
                }
            }
            Driver::Io(io) => self.unreachable(&io.to_string()),
            Driver::ConnectionPoolCleared { message, .. } => self.unreachable(message),
            Driver::DnsResolve { .. } if self.is_srv => (
                ErrorKind::Unavailable,
                "Check the host name in `host`: mongodb+srv:// needs SRV records for it, which the name server of this machine \
                 must find."
                    .to_owned(),
            ),
            Driver::DnsResolve { .. } => {
                (ErrorKind::Unavailable, "Check the host name in `host` and the name server of this machine.".to_owned())
            }
            Driver::InvalidTlsConfig { .. } => {
                (ErrorKind::Config, "Correct `ssl_ca`, or the TLS options in the connection string.".to_owned())
            }
            Driver::InvalidArgument { .. } => {
                (ErrorKind::Config, "Correct the connection string in `host`, or the advanced sync rules.".to_owned())
            }
            Driver::IncompatibleServer { .. }
            | Driver::InvalidResponse { .. }
            | Driver::Bson(_)
            | Driver::SessionsNotSupported => (ErrorKind::InvalidData, String::new()),
            _ => (ErrorKind::Unexpected, String::new()),
        }
    }

    fn classify_command(&self, code: i32, message: &str) -> (ErrorKind, String) {
        if AUTHENTICATION_FAILED.contains(&code) || (code == ATLAS_ERROR && message.contains("auth")) {
            self.wrong_login()
        } else if code == UNAUTHORIZED && !self.has_login {
            (ErrorKind::Authentication, "The server wants a login: set `user` and `password`.".to_owned())
        } else if code == UNAUTHORIZED {
            let hint = format!(
                "Give the account the role `read` on the database {0}, or the privilege `find` on the collection, with \
                 `changeStream` if unchanged collections shall be skipped and `listCollections` on the database: \
                 db.grantRolesToUser(\"<user>\", [{{role: \"read\", db: \"{0}\"}}]).",
                self.database
            );
            (ErrorKind::PermissionDenied, hint)
        } else if code == NAMESPACE_NOT_FOUND {
            (ErrorKind::NotFound, String::new())
        } else if CURSOR_GONE.contains(&code) {
            let hint = "The server closed the cursor: it restarted, somebody killed it, or nothing was read from it for 10 minutes, \
                        because the index took nothing for so long.";
            (ErrorKind::Unavailable, hint.to_owned())
        } else if OUT_OF_TIME.contains(&code) {
            let hint = "Raise `max_time_ms` (find) or `maxTimeMS` (aggregate) in the advanced sync rules, or make an index that serves them.";
            (ErrorKind::Unavailable, hint.to_owned())
        } else if OUT_OF_MEMORY.contains(&code) {
            let hint =
                "Set `allow_disk_use` (find) or `allowDiskUse` (aggregate) in the advanced sync rules.";
            (ErrorKind::Config, hint.to_owned())
        } else if is_passing(code) {
            (ErrorKind::Unavailable, String::new())
        } else {
            // All that is sent besides the rules are requests that every version of the server knows.
            (ErrorKind::Config, "The server refuses the query: correct the advanced sync rules.".to_owned())
        }
    }

    fn wrong_login(&self) -> (ErrorKind, String) {
        let hint = if self.has_login {
            "Check `user` and `password`. An account that is not in the database `admin` needs its database in the connection string: \
             `?authSource=<database>`."
        } else {
            "The server wants a login: set `user` and `password`."
        };
        (ErrorKind::Authentication, hint.to_owned())
    }

    /// For a server that does not answer as it should.
    fn unreachable(&self, message: &str) -> (ErrorKind, String) {
        let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if has(&["certificate", "UnknownIssuer"]) {
            let hint = "The server's certificate is not trusted: put the certificate of its authority into `ssl_ca`, and name the \
                        server in `host` as its certificate does.";
            return (ErrorKind::Config, hint.to_owned());
        }
        let hint = if self.is_srv && !self.has_tls {
            "Switch on `ssl_enabled`: deployments with mongodb+srv:// (MongoDB Atlas) take only TLS, unless made otherwise.".to_owned()
        } else {
            let tls = if self.has_tls {
                "If it has no TLS, switch off `ssl_enabled`."
            } else {
                "If it takes only TLS, switch on `ssl_enabled`."
            };
            format!(
                "Check that the server runs, that `host` names it, and that this machine may reach it (firewall, access list). If only \
                 one member of a replica set can be reached from here, switch on `direct_connection`. {tls}"
            )
        };
        (ErrorKind::Unavailable, hint)
    }
}

/// A message of the driver without what it prints of the insides of errors: labels, and answers that are not there.
fn without_debris(message: &str) -> String {
    const BEGIN: &str = ", labels: {";
    const END: &str = "server response: None";
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, debris)) = rest.split_once(BEGIN) {
        let Some((_, after)) = debris.split_once(END) else { break };
        text.push_str(before);
        rest = after;
    }
    text + rest
}

/// Whether a command that failed so may succeed later as it is.
fn is_passing(code: i32) -> bool {
    code == PASSING_RECOVERING
        || PASSING.contains(&code)
        || CURSOR_GONE.contains(&code)
        || OUT_OF_TIME.contains(&code)
}

/// Why a change stream did not open or go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamFailure {
    /// The server keeps no changes since the token any more, or does not know it.
    Lost,
    /// There are no change streams here: not a replica set, a view, no privilege, or an older or other server.
    Unsupported,
    /// Something that has nothing to do with change streams.
    Other,
}

/// Tells the failures of a change stream apart.
pub(super) fn stream_failure(error: &Error) -> StreamFailure {
    /// InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost, CappedPositionLost, FailedToParse (of a token that is
    /// none of this server's), and what versions before 4.4 said when the token was not in the log.
    const LOST: [i32; 7] = [260, 280, 286, 136, 9, 40_585, 40_576];
    let command = match &*error.kind {
        Driver::Command(command) => command,
        // Servers that only speak MongoDB's protocol may know no sessions, which a stream is read in.
        Driver::SessionsNotSupported => return StreamFailure::Unsupported,
        _ => return StreamFailure::Other,
    };
    if LOST.contains(&command.code) || error.contains_label("NonResumableChangeStreamError") {
        StreamFailure::Lost
    } else if AUTHENTICATION_FAILED.contains(&command.code) || is_passing(command.code) {
        StreamFailure::Other
    } else {
        StreamFailure::Unsupported
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;
    use mongodb::error::CommandError;

    use super::*;

    fn command(code: i32, message: &str) -> Error {
        let error: CommandError =
            mongodb::bson::deserialize_from_document(doc! {"code": code, "codeName": "X", "errmsg": message})
                .unwrap();
        Driver::Command(error).into()
    }

    fn advisor(has_login: bool) -> Advisor {
        Advisor {
            secrets: Secrets::new(["hunter2".to_owned()]),
            database: "shop".to_owned(),
            has_login,
            has_tls: false,
            is_srv: false,
        }
    }

    #[test]
    fn commands_are_classified_by_their_code() {
        for (code, has_login, kind, advice) in [
            (18, true, ErrorKind::Authentication, "authSource"),
            (18, false, ErrorKind::Authentication, "wants a login"),
            (8000, true, ErrorKind::Config, "refuses"),
            (13, true, ErrorKind::PermissionDenied, "role `read` on the database shop"),
            (13, false, ErrorKind::Authentication, "wants a login"),
            (26, true, ErrorKind::NotFound, ""),
            (43, true, ErrorKind::Unavailable, "closed the cursor"),
            (50, true, ErrorKind::Unavailable, "maxTimeMS"),
            (292, true, ErrorKind::Config, "allowDiskUse"),
            (11600, true, ErrorKind::Unavailable, ""),
            (13436, true, ErrorKind::Unavailable, ""),
            (40_324, true, ErrorKind::Config, "advanced sync rules"),
        ] {
            let error =
                advisor(has_login).explain("list the collection", Moment::Opening, &command(code, "no"));
            assert_eq!(error.kind(), kind, "{code}: {error}");
            assert!(error.to_string().contains(advice), "{code}: {error}");
        }
        let atlas = advisor(true).explain("x", Moment::Opening, &command(8000, "bad auth"));
        assert_eq!(atlas.kind(), ErrorKind::Authentication);
    }

    #[test]
    fn a_listing_that_stops_is_incomplete() {
        let io = Error::from(std::io::Error::other("connection reset"));
        for error in
            [command(43, "gone"), command(50, "late"), command(11_600, "bye"), command(26, "dropped"), io]
        {
            let error = advisor(true).explain("list the collection", Moment::Reading, &error);
            assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
            assert!(error.to_string().contains("nothing was deleted"), "{error}");
        }
        let denied = advisor(true).explain("x", Moment::Reading, &command(13, "no"));
        assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn connections_get_the_advice_that_fits() {
        let explain = |advisor: &Advisor, text: &str| {
            advisor
                .explain("x", Moment::Opening, &Error::from(std::io::Error::other(text.to_owned())))
                .to_string()
        };
        let plain = advisor(true);
        assert!(explain(&plain, "refused").contains("direct_connection"));
        assert!(explain(&plain, "refused").contains("switch on `ssl_enabled`"));
        assert!(explain(&plain, "invalid peer certificate: UnknownIssuer").contains("ssl_ca"));
        let tls = Advisor { has_tls: true, ..advisor(true) };
        assert!(explain(&tls, "refused").contains("switch off `ssl_enabled`"));
        let srv = Advisor { is_srv: true, ..advisor(true) };
        assert!(explain(&srv, "eof").contains("Atlas"));
    }

    #[test]
    fn messages_are_without_the_insides_of_errors() {
        let error = "Kind: I/O error: refused, labels: {\"A\", \"B\"}, source: None, server response: None";
        let message = format!("Servers: [ {{ Error: {error} }}, {{ Error: {error} }} ]");
        let expected =
            "Servers: [ { Error: Kind: I/O error: refused }, { Error: Kind: I/O error: refused } ]";
        assert_eq!(without_debris(&message), expected);
        assert_eq!(without_debris("a, labels: {b"), "a, labels: {b");
    }

    #[test]
    fn secrets_do_not_print() {
        let error = advisor(true).explain("x", Moment::Opening, &command(9, "cannot parse hunter2"));
        assert!(
            !error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"),
            "{error}"
        );
        assert!(!format!("{:?}", advisor(true)).contains("hunter2"));
        let nested = Secrets::new(["pa".to_owned(), "pa%21".to_owned(), String::new()]);
        assert_eq!(nested.remove("a pa%21 b pa"), "a *** b ***");
    }

    #[test]
    fn failures_of_streams_are_told_apart() {
        for (code, failure) in [
            (286, StreamFailure::Lost),
            (260, StreamFailure::Lost),
            (9, StreamFailure::Lost),
            (40_573, StreamFailure::Unsupported),
            (13, StreamFailure::Unsupported),
            (166, StreamFailure::Unsupported),
            (18, StreamFailure::Other),
            (11_600, StreamFailure::Other),
        ] {
            assert_eq!(stream_failure(&command(code, "")), failure, "{code}");
        }
        assert_eq!(stream_failure(&std::io::Error::other("cut").into()), StreamFailure::Other);
        assert_eq!(stream_failure(&Driver::SessionsNotSupported.into()), StreamFailure::Unsupported);
    }
}
