//! System Directory: the files below one directory.
//!
//! Every regular file whose path matches the pattern is a document with its metadata. Text becomes the document's `body`,
//! other formats that Elasticsearch can extract text from are sent as `_attachment`. See `README.md` for the rules.

mod access;
mod accounts;
mod client;
mod config;
mod document;
mod error;
mod listing;
mod pattern;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use connectors_sdk::{
    Capabilities, Configuration, DataSource, ErrorKind, Message, Sink, SourceContext, SourceDescriptor,
    SourceError,
};
use serde_json::{Map, Value, json};

use self::access::Readers;
use self::accounts::Accounts;
use self::client::{Directory, Skipped};
use self::config::DirConfiguration;
use self::document::Reader;
use self::listing::{Known, Shelf};

/// Documents handed to the sync engine in one go: enough to make the hand-over cheap, few enough to start early.
const BATCH: usize = 64;

/// The registry's entry.
pub(crate) fn descriptor() -> SourceDescriptor {
    SourceDescriptor::new("dir", "System Directory", DirConfiguration::fields(), |configuration, context| {
        Ok(Box::new(DirSource::new(configuration, context)?))
    })
    .replacing(&["connectors.sources.directory:DirectoryDataSource"])
    .with_capabilities(Capabilities {
        access_control: true,
        incremental: true,
        changes: true,
        ..Capabilities::default()
    })
}

/// The configured directory of one connector.
#[derive(Debug)]
struct DirSource {
    directory: Directory,
    reader: Arc<Reader>,
    context: SourceContext,
    /// Whether documents say who may see them.
    restricted: bool,
    /// Where listings are kept.
    shelf: Option<Shelf>,
}

impl DirSource {
    fn new(configuration: &Configuration, context: SourceContext) -> Result<Self, SourceError> {
        let configuration = DirConfiguration::parse(configuration)?;
        let directory = Directory::new(&configuration.directory, &configuration.pattern)?;
        let reader = Arc::new(Reader::new(context.limits, context.extract_binary_content));
        let restricted = configuration.use_document_level_security;
        if restricted && !context.document_level_security {
            return Err(SourceError::configuration(
                "use_document_level_security",
                "is on, but the connector's features have document_level_security off",
            )
            .with_hint("Without it all documents would be open to everybody: switch on both, or neither."));
        }
        let settings = format!("{directory:?} {reader:?} {restricted}");
        let shelf = context.state_folder.as_deref().map(|folder| Shelf::new(folder, &settings));
        Ok(Self { directory, reader, context, restricted, shelf })
    }

    /// Sends the document of every file, or, where an earlier listing is known, of those that changed, and deletions.
    async fn send(&self, known: Option<Known>, changes: bool, sink: &Sink) -> Result<(), SourceError> {
        let readers = if self.restricted { Some(Readers::new(Accounts::of_system().await?)) } else { None };
        let listing = Listing {
            directory: self.directory.clone(),
            reader: self.reader.clone(),
            context: self.context.clone(),
            shelf: self.shelf.clone(),
            sink: sink.clone(),
            readers,
            known,
            changes,
        };
        blocking(move || listing.run()).await
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

    fn mapping(&self, _advanced_rules: Option<&Value>) -> Map<String, Value> {
        let mut mapping = document::mapping();
        if self.restricted {
            // Whatever an index says of fields that it does not know: one that is not searchable would restrict nothing.
            mapping.insert(
                "_allow_access_control".to_owned(),
                json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}),
            );
        }
        mapping
    }

    fn restricts_access(&self) -> bool {
        self.restricted
    }

    async fn documents(&self, _advanced_rules: Option<&Value>, sink: &Sink) -> Result<(), SourceError> {
        self.send(None, false, sink).await
    }

    async fn changes(
        &self,
        cursor: Option<&Value>,
        _advanced_rules: Option<&Value>,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        let (shelf, cursor) = (self.shelf.clone(), cursor.cloned());
        let known = blocking(move || Ok(shelf.and_then(|shelf| open(&shelf, cursor.as_ref())))).await?;
        if known.is_none() {
            tracing::info!(
                "The last sync's list of files is not on this machine: every file is sent; what is gone is deleted by the next full sync"
            );
        }
        self.send(known, true, sink).await
    }

    async fn access_control(&self, sink: &Sink) -> Result<(), SourceError> {
        let accounts = Accounts::of_system().await?;
        sink.send_all(accounts.iter().map(document::of_account).map(Message::Document).collect()).await
    }
}

fn open(shelf: &Shelf, cursor: Option<&Value>) -> Option<Known> {
    // An unreadable listing is as good as none.
    shelf.open(cursor).unwrap_or_else(|error| {
        tracing::warn!("the list of files that the last sync left cannot be read: {error}");
        None
    })
}

/// One walk over the directory.
struct Listing {
    directory: Directory,
    reader: Arc<Reader>,
    context: SourceContext,
    shelf: Option<Shelf>,
    sink: Sink,
    /// Finds out who may see each file, where documents shall say it.
    readers: Option<Readers>,
    known: Option<Known>,
    /// Only what changed is wanted, as far as that can be told.
    changes: bool,
}

impl Listing {
    fn run(self) -> Result<(), SourceError> {
        let Self { directory, reader, context, shelf, sink, mut readers, mut known, changes } = self;
        let _entered = context.span.enter();
        // Without a list the next incremental sync sends everything: worth a warning, not a failed sync.
        let keep = known.as_ref().map(|known| known.name.clone());
        let mut list = Fallible(shelf.map(|shelf| shelf.write(keep)));
        let mut batch = Batch { sink: &sink, messages: Vec::with_capacity(BATCH) };
        let mut unknown_readers = 0_u64;
        let stopped = || context.cancel.is_cancelled() || sink.is_closed();
        let skipped = directory.walk(stopped, |path, metadata, symlink| {
            let access = match readers.as_mut().map(|readers| readers.of(path, symlink, metadata)).transpose()
            {
                Ok(access) => access,
                Err(error) => {
                    // Nobody knows who may see it, so nobody does.
                    unknown_readers += 1;
                    tracing::debug!("who may read {} is unknown: {error}", document::path_text(path).text);
                    // A full sync deletes what it was not sent.
                    return if changes {
                        batch.push(Message::Delete(document::hex(&document::id(path))))
                    } else {
                        Ok(())
                    };
                }
            };
            let (id, stamp) = (document::id(path), listing::stamp(metadata, access.as_deref()));
            list.with(|list| list.add(&id, stamp));
            if known.as_mut().is_some_and(|known| known.is_unchanged(&id, stamp)) {
                return Ok(());
            }
            batch.push(Message::Document(document::from_file(path, metadata, access, &reader)))
        })?;
        report(&skipped, unknown_readers);
        if skipped.unreadable.is_empty() {
            for id in known.iter().flat_map(Known::gone) {
                batch.push(Message::Delete(document::hex(id)))?;
            }
        }
        batch.flush()?;
        skipped.unreadable.into_error()?;
        if let Some(cursor) = list.finish() {
            sink.send_all_blocking(vec![Message::Checkpoint(cursor)])?;
        }
        Ok(())
    }
}

/// A list of files that is given up, with a warning, when it cannot be written.
struct Fallible(Option<io::Result<listing::Writer>>);

impl Fallible {
    fn with(&mut self, write: impl FnOnce(&mut listing::Writer) -> io::Result<()>) {
        if let Some(Ok(list)) = &mut self.0
            && let Err(error) = write(list)
        {
            self.0 = Some(Err(error));
        }
    }

    fn finish(self) -> Option<Value> {
        self.0?.and_then(listing::Writer::finish).map_or_else(
            |error| {
                tracing::warn!("the list of files for the next incremental sync cannot be kept: {error}");
                None
            },
            Some,
        )
    }
}

/// Messages on their way to the sync engine.
struct Batch<'a> {
    sink: &'a Sink,
    messages: Vec<Message>,
}

impl Batch<'_> {
    fn push(&mut self, message: Message) -> Result<(), SourceError> {
        self.messages.push(message);
        if self.messages.len() < BATCH { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), SourceError> {
        self.sink.send_all_blocking(std::mem::replace(&mut self.messages, Vec::with_capacity(BATCH)))
    }
}

/// Says once per listing what was not listed, and how often.
fn report(skipped: &Skipped, unknown_readers: u64) {
    if unknown_readers > 0 {
        tracing::warn!("{unknown_readers} files were left out: it cannot be read who may see them");
    }
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
