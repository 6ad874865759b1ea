//! Why a job failed.

use std::io;

use connectors_es_client::EsError;
use connectors_protocol::filtering::InvalidRule;
use connectors_sdk::SourceError;

use crate::monitor::TooManyErrors;
use crate::replacement::RebuildError;
use crate::writer::Stopped;

/// What ended a job before its end.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The source gave up; also a listing that is not complete, whose documents were written and nothing deleted.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Elasticsearch refused a request, or was away for too long.
    #[error(transparent)]
    Elasticsearch(#[from] EsError),
    /// Elasticsearch refused too many documents.
    #[error(transparent)]
    TooManyErrors(#[from] TooManyErrors),
    /// A basic sync rule cannot be applied.
    #[error("{0}. Correct the connector's sync rules.")]
    Rules(#[from] InvalidRule),
    /// A part of the listing was begun and not ended, though the source said it was done.
    #[error("the source did not list all of {}; nothing was deleted", .0.join(", "))]
    Partitions(Vec<String>),
    /// A temporary file or the dead-letter file cannot be used.
    #[error("cannot write below {path}: {error}")]
    File {
        /// The file, or the folder it should be in.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// Documents the source sent are neither written nor accounted for: a defect of the engine, so nothing was deleted.
    #[error(
        "{extracted} documents were read, but only {accounted} are accounted for; nothing was deleted. This is a defect: report it with the log of this job."
    )]
    Unaccounted {
        /// Documents the source sent.
        extracted: u64,
        /// Written, unchanged, left out, vanished or dead letters.
        accounted: u64,
    },
    /// An incremental sync knows what changed; what was there before is gone. The cursor is to be forgotten.
    #[error(
        "the index {0} is empty or gone, although the last sync left documents in it. The next sync, full or incremental, sends every document."
    )]
    Emptied(String),
    /// A new index could not take the old one's place, which is as it was.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// The source's task panicked.
    #[error(
        "the source panicked: {0}. This is a defect of the connector: report it with the log of this job."
    )]
    Panic(String),
}

impl From<Stopped> for SyncError {
    /// Only seen if nobody knows a better reason.
    fn from(_: Stopped) -> Self {
        Self::Source(SourceError::canceled())
    }
}

impl SyncError {
    /// The class of the error, the first word of a job's `error`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Source(error) => error.kind().name(),
            Self::Elasticsearch(_) => "ElasticsearchError",
            Self::TooManyErrors(_) => "TooManyErrors",
            Self::Rules(_) => "InvalidSyncRulesError",
            Self::Partitions(_) => "IncompleteListingError",
            Self::File { .. } => "FileError",
            Self::Unaccounted { .. } => "UnaccountedDocumentsError",
            Self::Emptied(_) => "EmptyIndexError",
            Self::Rebuild(_) => "RebuildError",
            Self::Panic(_) => "SourcePanicError",
        }
    }
}
