//! I/O error → [`SourceError`].

use std::io;
use std::path::{Path, PathBuf};

use connectors_sdk::{ErrorKind, SourceError};

use super::document::path_text;

/// Unreadable places named in the error; the rest is counted.
const NAMED: usize = 5;

/// An error at the configured directory itself: the operator named the wrong one, or the service may not read it.
pub(super) fn at_root(path: &Path, error: io::Error) -> SourceError {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::NotFound => {
            (ErrorKind::Config, "Set `directory` to a folder that exists on the machine the service runs on.")
        }
        io::ErrorKind::NotADirectory => (ErrorKind::Config, "Set `directory` to a folder."),
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::PermissionDenied, "Let the account the service runs as read and enter the folder.")
        }
        _ => (ErrorKind::Unavailable, "Check the file system the folder is on."),
    };
    SourceError::new(kind, "read the directory", path_text(path).text).with_hint(hint).with_source(error)
}

/// An error at the content of one file. A vanished file is `NotFound`: there is nothing left to index.
pub(super) fn at_file(path: &Path, error: io::Error) -> SourceError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        _ => ErrorKind::Unavailable,
    };
    SourceError::new(kind, "read the file", path_text(path).text).with_source(error)
}

/// Places whose files could not be listed. What is below them may exist, so the listing is not complete.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    first: Vec<(PathBuf, io::Error)>,
    count: usize,
}

impl Unreadable {
    /// Remembers the place, and logs it.
    pub(super) fn add(&mut self, path: &Path, error: io::Error) {
        tracing::warn!("cannot list {}: {error}", path_text(path).text);
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push((path.to_owned(), error));
        }
    }

    /// Whether everything was read.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// `Ok` if everything was read.
    pub(super) fn into_error(self) -> Result<(), SourceError> {
        if self.count == 0 {
            return Ok(());
        }
        let named: Vec<String> =
            self.first.iter().map(|(path, error)| format!("{} ({error})", path_text(path).text)).collect();
        let more = match self.count - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let hint = "All other files were synced and nothing was deleted. Let the account the service runs as read these \
                    places, or exclude them with `pattern`.";
        Err(SourceError::new(ErrorKind::Incomplete, "list all files", format!("{}{more}", named.join(", ")))
            .with_hint(hint))
    }
}
