//! The one error type of sources.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, from the operator's point of view. Sources classify, the transport retries, the service decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The connector's configuration is wrong or incomplete.
    Config,
    /// The third party does not accept the credentials.
    Authentication,
    /// The credentials are good and may not read this.
    PermissionDenied,
    /// The thing asked for does not exist (any more).
    NotFound,
    /// The third party asks to wait, for this long when it said so.
    RateLimited(Option<Duration>),
    /// The third party cannot be reached or does not work at the moment.
    Unavailable,
    /// A listing ended before its end: what it did not name may still exist, so nothing may be deleted because of it.
    Incomplete,
    /// The third party sent something that is not what its protocol says.
    InvalidData,
    /// The sync was cancelled or suspended while the source was at work; nobody has to do anything.
    Canceled,
    /// Anything else: a defect of the source.
    Unexpected,
}

/// Whether the same request may succeed later without anybody changing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// It may succeed after the usual pause.
    Later,
    /// The third party said how long to wait.
    After(Duration),
}

impl ErrorKind {
    /// Whether a request that failed this way is worth repeating.
    pub fn retry(self) -> Retry {
        match self {
            Self::RateLimited(Some(pause)) => Retry::After(pause),
            Self::RateLimited(None) | Self::Unavailable => Retry::Later,
            _ => Retry::Never,
        }
    }

    /// The name used in job errors and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "ConfigurationError",
            Self::Authentication => "AuthenticationError",
            Self::PermissionDenied => "PermissionDeniedError",
            Self::NotFound => "NotFoundError",
            Self::RateLimited(_) => "RateLimitedError",
            Self::Unavailable => "UnavailableError",
            Self::Incomplete => "IncompleteListingError",
            Self::InvalidData => "InvalidDataError",
            Self::Canceled => "CanceledError",
            Self::Unexpected => "UnexpectedError",
        }
    }

    /// What the operator should do, when the source has nothing more precise to say.
    fn hint(self) -> &'static str {
        match self {
            Self::Config => "Correct the connector's configuration.",
            Self::Authentication => {
                "Check the credentials in the connector's configuration; they may have expired."
            }
            Self::PermissionDenied => "Grant the connector's account read access.",
            Self::NotFound => "Check that it still exists and that the connector's account may see it.",
            Self::RateLimited(_) => "Wait, or raise the limit at the third party.",
            Self::Unavailable => {
                "Check that the third party is up and reachable from this machine; the next sync tries again."
            }
            Self::Incomplete => "Nothing was deleted. Fix the cause; the next complete sync catches up.",
            Self::InvalidData => "Check that the third party's version is a supported one.",
            Self::Canceled => "",
            Self::Unexpected => "This is a defect of the connector: report it with the log of this job.",
        }
    }
}

/// An error of a source: what it did, what happened, and what to do about it.
///
/// ```
/// use connectors_sdk::{ErrorKind, SourceError};
/// let error = SourceError::new(ErrorKind::Config, "open the directory", "/data does not exist");
/// assert_eq!(
///     error.to_string(),
///     "cannot open the directory: /data does not exist. Correct the connector's configuration."
/// );
/// ```
#[derive(Debug)]
pub struct SourceError {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    context: String,
    hint: Option<Cow<'static, str>>,
    source: Option<Cause>,
}

impl SourceError {
    /// `operation` is a verb phrase ("list the bucket"), `context` says what happened, without a final full stop.
    pub fn new(kind: ErrorKind, operation: impl Into<Cow<'static, str>>, context: impl Into<String>) -> Self {
        Self { kind, operation: operation.into(), context: context.into(), hint: None, source: None }
    }

    /// The configuration field `key` has a value that cannot work.
    pub fn configuration(key: &str, problem: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Config, "use the configuration", format!("`{key}` {problem}"))
    }

    /// What a source returns when the sink is closed or its cancel token fires.
    pub fn canceled() -> Self {
        Self::new(ErrorKind::Canceled, "go on", "the sync was stopped")
    }

    /// Replaces the kind's general advice by a precise one (a full sentence).
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Keeps the error this one was made from; its text becomes part of the message.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Cause>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same request may succeed later.
    pub fn retry(&self) -> Retry {
        self.kind.retry()
    }

    /// The verb phrase of what was being done.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// What happened, without the advice.
    pub fn context(&self) -> &str {
        &self.context
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.operation, self.context)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        let hint = self.hint.as_deref().unwrap_or_else(|| self.kind.hint());
        if hint.is_empty() { Ok(()) } else { write!(f, ". {hint}") }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_failed_why_and_what_to_do() {
        let error = SourceError::new(ErrorKind::PermissionDenied, "read the folder", "/secret")
            .with_source(std::io::Error::other("EACCES"))
            .with_hint("Run the service as root.");
        assert_eq!(error.to_string(), "cannot read the folder: /secret: EACCES. Run the service as root.");
        assert_eq!(error.operation(), "read the folder");
        assert_eq!(error.context(), "/secret");
        assert_eq!(std::error::Error::source(&error).map(ToString::to_string).as_deref(), Some("EACCES"));
        assert_eq!(
            SourceError::configuration("pattern", "is empty").to_string(),
            "cannot use the configuration: `pattern` is empty. Correct the connector's configuration."
        );
        assert_eq!(SourceError::canceled().to_string(), "cannot go on: the sync was stopped");
    }

    #[test]
    fn only_waiting_kinds_are_retried() {
        let pause = Duration::from_secs(3);
        assert_eq!(ErrorKind::RateLimited(Some(pause)).retry(), Retry::After(pause));
        assert_eq!(ErrorKind::RateLimited(None).retry(), Retry::Later);
        assert_eq!(SourceError::new(ErrorKind::Unavailable, "x", "y").retry(), Retry::Later);
        for kind in [
            ErrorKind::Config,
            ErrorKind::Authentication,
            ErrorKind::PermissionDenied,
            ErrorKind::NotFound,
            ErrorKind::Incomplete,
            ErrorKind::InvalidData,
            ErrorKind::Canceled,
            ErrorKind::Unexpected,
        ] {
            assert_eq!(kind.retry(), Retry::Never, "{kind:?}");
        }
    }

    #[test]
    fn every_kind_has_its_own_name_and_advice() {
        let kinds = [
            ErrorKind::Config,
            ErrorKind::Authentication,
            ErrorKind::PermissionDenied,
            ErrorKind::NotFound,
            ErrorKind::RateLimited(None),
            ErrorKind::Unavailable,
            ErrorKind::Incomplete,
            ErrorKind::InvalidData,
            ErrorKind::Canceled,
            ErrorKind::Unexpected,
        ];
        let names: std::collections::HashSet<_> = kinds.iter().map(|kind| kind.name()).collect();
        let hints: std::collections::HashSet<_> = kinds.iter().map(|kind| kind.hint()).collect();
        assert_eq!((names.len(), hints.len()), (kinds.len(), kinds.len()));
    }
}
