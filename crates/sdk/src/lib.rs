//! What the author of a source sees: the [`DataSource`] trait, the [`Document`]s it sends into a bounded [`Sink`], the
//! [`SourceError`]s that tell the operator what to do, and the [`Registry`] that maps service types to implementations.
//!
//! A source reads, classifies its errors and sends; it never retries, never writes to Elasticsearch and never decides what
//! is deleted. Those are the sync engine's.

mod access_control;
pub mod configuration;
mod context;
mod document;
mod error;
mod fields;
pub mod json;
mod registry;
mod sink;
mod source;

pub use access_control::access_control_query;
pub use configuration::{ConfigValue, Field};
pub use connectors_protocol::configuration::Configuration;
pub use context::{Limits, SourceContext};
pub use document::{Content, Document, DownloadResult, LazyDownload, accepts_extension};
pub use error::{ErrorKind, Retry, SourceError};
pub use fields::{FieldName, FieldValue, FieldsPage, FieldsText, FieldsWriter};
pub use registry::{Capabilities, Registry, SourceDescriptor};
pub use sink::{Envelope, Gauge, Inbox, Message, Sink, SinkLimits, channel};
pub use source::{BoxFuture, Changed, DataSource, RuleViolation};
