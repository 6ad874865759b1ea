//! How a job writes: the keys of `elasticsearch.bulk`.

use std::path::PathBuf;
use std::time::Duration;

use connectors_sdk::SinkLimits;

use crate::monitor::ErrorLimits;

/// Settings of the write path. The defaults are those of the configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncOptions {
    /// Documents that may wait between the source and the writing (`queue_max_size`, `queue_max_mem_size` in bytes). A full
    /// queue makes the source wait; `queue_refresh_interval` and `queue_refresh_timeout` have no meaning here.
    pub queue: SinkLimits,
    /// Operations in a bulk request (`chunk_size`).
    pub chunk_size: usize,
    /// Bytes in a bulk request (`chunk_max_mem_size`). A larger document goes alone.
    pub chunk_max_bytes: usize,
    /// Bytes above which a document without attachment is not sent (`max_text_document_size`); none: no limit.
    pub max_text_bytes: Option<usize>,
    /// Bulk requests in flight (`max_concurrency`).
    pub max_concurrency: usize,
    /// Contents fetched at the same time (`concurrent_downloads`).
    pub concurrent_downloads: usize,
    /// How often a refused operation is sent again when Elasticsearch is busy (`max_retries`).
    pub max_retries: u32,
    /// The wait before the last of these attempts (`retry_interval`); the first ones wait less.
    pub retry_interval: Duration,
    /// How long an outage of Elasticsearch in mid-job may last (`elasticsearch.max_wait_duration`).
    pub max_outage: Duration,
    /// When a job is given up (`error_monitor`).
    pub errors: ErrorLimits,
    /// Documents between two progress lines in the log (`display_every`); 0: none.
    pub display_every: u64,
    /// Whether each operation is logged (`enable_operations_logging`).
    pub log_operations: bool,
    /// Memory for what the index holds, in bytes; 32 bytes an id. More goes to `spill_directory`.
    pub inventory_bytes: usize,
    /// Where unnamed temporary files are made.
    pub spill_directory: PathBuf,
    /// Dead letters kept in the report; all of them are counted and logged.
    pub dead_letters: usize,
    /// A file that gets every dead letter as a line of JSON; it is appended to.
    pub dead_letter_file: Option<PathBuf>,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            queue: SinkLimits::default(),
            chunk_size: 500,
            chunk_max_bytes: 3 << 20,
            max_text_bytes: Some(3 << 20),
            max_concurrency: 5,
            concurrent_downloads: 10,
            max_retries: 5,
            retry_interval: Duration::from_secs(10),
            max_outage: Duration::from_mins(4),
            errors: ErrorLimits::default(),
            display_every: 100,
            log_operations: false,
            inventory_bytes: 64 << 20,
            spill_directory: std::env::temp_dir(),
            dead_letters: 100,
            dead_letter_file: None,
        }
    }
}
