//! The sync engine: runs one sync job, from the source to the index.
//!
//! A job asks the source whether anything changed, reads ids and timestamps of the index, takes the source's documents
//! through a bounded queue, skips those whose timestamp is the indexed one, fetches contents, writes bulk requests, and
//! deletes what the source no longer has: only if the listing was complete, and only after every write is acknowledged.
//! Memory is bounded at every stage: by bytes where documents are, by a record of 32 bytes where only ids are.
//!
//! The engine does not know job and connector documents: [`run`] takes a [`SyncInput`], tells its [`Progress`], and ends with
//! a [`SyncReport`]. A job that was suspended or killed is simply run again, with the totals it had: what it wrote then has
//! the timestamp of the source and is skipped.

mod buffers;
mod content_hash;
mod counters;
mod dead_letters;
mod document;
mod error;
mod execute;
mod fingerprint;
mod intake;
mod inventory;
mod job;
mod monitor;
mod new_index;
mod options;
mod prepare;
mod progress;
mod writer;

pub use counters::{Counters, OperationCounts};
pub use dead_letters::DeadLetter;
pub use error::SyncError;
pub use job::{Outcome, StopTokens, SyncInput, SyncReport, run};
pub use monitor::{ErrorLimits, TooManyErrors};
pub use new_index::create_content_index;
pub use options::SyncOptions;
pub use progress::{Phase, Progress, Totals};
