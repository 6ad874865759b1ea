//! What a source is given when it is made.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;
use tracing::Span;

/// Limits the operator set for all sources (`config.yml`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files above this many bytes are not downloaded (`service.max_file_download_size`).
    pub max_file_size: u64,
    /// Text above this many bytes is not sent as plain text (`elasticsearch.bulk.max_text_document_size`); none: no limit.
    pub max_text_size: Option<u64>,
}

impl Default for Limits {
    /// The defaults of `config.yml`: files of 10 MiB, text of 3 MiB.
    fn default() -> Self {
        Self { max_file_size: 10 * 1024 * 1024, max_text_size: Some(3 * 1024 * 1024) }
    }
}

/// The surroundings of one source object. A source object lives for one job (or one check of a connector).
#[derive(Debug, Clone)]
pub struct SourceContext {
    /// Fires when the job is cancelled or suspended. A source that works in its own threads checks it; one that awaits the
    /// sink does not need to.
    pub cancel: CancellationToken,
    /// Size limits.
    pub limits: Limits,
    /// Whether the job's pipeline extracts text from `_attachment`: without it, binary content need not be read.
    pub extract_binary_content: bool,
    /// Whether the connector's features have document level security on. A source that supports it sets
    /// `_allow_access_control` on its documents if its configuration wants it, too.
    pub document_level_security: bool,
    /// A folder for what the source keeps from one sync of this connector to the next on this machine, made when it is first
    /// written to. What is in it may be gone at any time. None: there is no place for such a thing.
    pub state_folder: Option<PathBuf>,
    /// Id of the connector, for what a source names after it at the third party. None: the connector is not stored yet.
    pub connector_id: Option<String>,
    /// Whether incremental syncs of the connector are scheduled: a full sync may then prepare what they need and what costs the
    /// third party something (a replication slot keeps its log).
    pub incremental: bool,
    /// The job's span: log inside it, and every line carries the connector and the job.
    pub span: Span,
}

impl Default for SourceContext {
    fn default() -> Self {
        Self {
            cancel: CancellationToken::new(),
            limits: Limits::default(),
            extract_binary_content: true,
            document_level_security: false,
            state_folder: None,
            connector_id: None,
            incremental: false,
            span: Span::none(),
        }
    }
}
