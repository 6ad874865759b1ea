//! A client of the Elasticsearch REST API, for Elasticsearch, OpenSearch and the embedded node alike.
//!
//! [`EsClient::request`] speaks any JSON API; the other methods type the ones the service lives on: [bulk](BulkBody),
//! documents with optimistic locking, search, scans of a whole index, index management. What differs between servers
//! is read once into [`Capabilities`]. Retries, timeouts and credentials are [`EsConfig`]'s; an [`EsError`] says which
//! request failed, what the server said, and what an operator can do about it, and never holds a credential or a body.

mod aliases;
mod availability;
mod bulk;
mod capabilities;
mod client;
mod config;
mod connector_api;
mod documents;
mod error;
mod gzip;
mod indices;
mod path;
pub mod protocol_index;
mod scan;
mod search;
mod security;
mod templates;

pub use aliases::IndexInfo;
pub use bulk::{
    BulkBody, BulkFailure, BulkItem, BulkOp, BulkOpKind, BulkParams, BulkRequest, BulkResponse, BulkResult,
    Refresh,
};
pub use capabilities::{Capabilities, Distribution, License, ServerInfo, Version, VersionCheck};
pub use client::{EsClient, EsRequest, EsResponse, Repeat};
pub use config::{Auth, EsConfig};
pub use connectors_transport::{CancellationToken, Method};
pub use documents::{Guard, StoredDocument, WriteOptions, Written};
pub use error::{EsError, EsErrorKind};
pub use path::path;
pub use scan::{Scan, ScanHit};
pub use search::{SearchHit, SearchPage, Total};
pub use security::ApiKey;
