//! The embedded node: an Elasticsearch-compatible REST node in one process, durable, for one machine.
//!
//! It is reached over HTTP like any other Elasticsearch; nothing else of the project calls into it but
//! to start it. See ARCHITECTURE.md, "Embedded node".

pub mod aggs;
pub mod analysis;
pub mod cluster;
pub mod dates;
pub mod error;
pub mod highlight;
pub mod http;
pub mod index;
pub mod ingest;
pub mod lock;
pub mod mapping;
mod node;
pub mod query;
pub mod rest;
pub mod search;
pub mod security;
pub mod store;
pub mod templates;

pub use http::{Credential, TlsFiles};
pub use lock::{RunningNode, discover};
pub use node::{Node, NodeError, NodeHandle, NodeOptions};
