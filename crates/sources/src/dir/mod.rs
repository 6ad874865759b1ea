//! System Directory: the files below one directory.
//!
//! Every regular file whose path matches the pattern is a document with its metadata. Text becomes the document's `body`,
//! other formats that Elasticsearch can extract text from are sent as `_attachment`. See `README.md` for the rules.

mod client;
mod config;
mod document;
mod error;
mod pattern;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use connectors_sdk::{
    Configuration, DataSource, ErrorKind, Message, Sink, SourceContext, SourceDescriptor, SourceError,
};
use serde_json::{Map, Value};

use self::client::{Directory, Skipped};
use self::config::DirConfiguration;
use self::document::Reader;

/// Documents handed to the sync engine in one go: enough to make the hand-over cheap, few enough to start early.
const BATCH: usize = 64;

/// The registry's entry.
pub(crate) fn descriptor() -> SourceDescriptor {
    SourceDescriptor::new("dir", "System Directory", DirConfiguration::fields(), |configuration, context| {
        Ok(Box::new(DirSource::new(configuration, context)?))
    })
    .replacing(&["connectors.sources.directory:DirectoryDataSource"])
}

/// The configured directory of one connector.
#[derive(Debug)]
struct DirSource {
    directory: Directory,
    reader: Arc<Reader>,
    context: SourceContext,
}

impl DirSource {
    fn new(configuration: &Configuration, context: SourceContext) -> Result<Self, SourceError> {
        let configuration = DirConfiguration::parse(configuration)?;
        let directory = Directory::new(&configuration.directory, &configuration.pattern)?;
        let reader = Arc::new(Reader::new(context.limits, context.extract_binary_content));
        Ok(Self { directory, reader, context })
    }
}

#[async_trait]
impl DataSource for DirSource {
    async fn validate(&self) -> Result<(), SourceError> {
        self.ping().await
    }

    async fn ping(&self) -> Result<(), SourceError> {
        let directory = self.directory.clone();
        blocking(move || directory.check()).await
    }

    fn mapping(&self) -> Map<String, Value> {
        document::mapping()
    }

    async fn documents(&self, _advanced_rules: Option<&Value>, sink: &Sink) -> Result<(), SourceError> {
        let directory = self.directory.clone();
        let reader = self.reader.clone();
        let context = self.context.clone();
        let sink = sink.clone();
        blocking(move || {
            let _entered = context.span.enter();
            let mut batch = Vec::with_capacity(BATCH);
            let stopped = || context.cancel.is_cancelled() || sink.is_closed();
            let skipped = directory.walk(stopped, |path, metadata| {
                batch.push(Message::Document(document::from_file(path, metadata, &reader)));
                if batch.len() < BATCH {
                    return Ok(());
                }
                sink.send_all_blocking(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))
            })?;
            sink.send_all_blocking(batch)?;
            report(&skipped);
            skipped.unreadable.into_error()
        })
        .await
    }
}

/// Says once per listing what was not listed, and how often.
fn report(skipped: &Skipped) {
    if skipped.vanished > 0 {
        tracing::info!("{} files vanished while the directory was listed", skipped.vanished);
    }
    if skipped.broken_links > 0 {
        tracing::warn!("{} symbolic links were skipped: dangling or in a loop", skipped.broken_links);
    }
}

/// Runs file system work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| {
        Err(SourceError::new(ErrorKind::Unexpected, "read the directory", "the reading thread panicked")
            .with_source(panic))
    })
}
