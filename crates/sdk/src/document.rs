//! What a source sends.

use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::source::BoxFuture;
use crate::{ErrorKind, FieldsText, SourceError};

/// One document of a source.
#[derive(Debug)]
pub struct Document {
    /// Stable identity of the document, the same in every sync. It becomes `_id` and the field `id`.
    pub id: String,
    /// When the document last changed, as text. A document whose timestamp equals the indexed one is not written again. One
    /// without a timestamp is compared by the hash of its fields; one that has a download besides is always written.
    pub timestamp: Option<String>,
    /// The fields, without `_timestamp`, and without `id` unless the source [owns](crate::DataSource::owns_id_field) that field.
    pub fields: Map<String, Value>,
    /// More fields, which the source wrote as JSON; none of them is in `fields`, too.
    pub text: FieldsText,
    /// Content that is fetched only if the document has to be written.
    pub download: Option<LazyDownload>,
}

impl Document {
    /// An empty map with room for so many fields, and for those that the engine adds, so that it need not grow.
    pub fn room_for(fields: usize) -> Map<String, Value> {
        /// `id`, `_timestamp`, `_content_hash`, and three for the pipeline.
        const ADDED: usize = 6;
        Map::with_capacity(fields + ADDED)
    }

    /// A document without timestamp and download.
    pub fn new(id: impl Into<String>, fields: Map<String, Value>) -> Self {
        Self { id: id.into(), timestamp: None, fields, text: FieldsText::default(), download: None }
    }

    /// A document whose fields are JSON already, without timestamp and download.
    pub fn written(id: impl Into<String>, text: FieldsText) -> Self {
        Self { text, ..Self::new(id, Map::new()) }
    }

    /// Puts the fields that are JSON into the map, for those who want to look at them.
    ///
    /// # Errors
    /// [`FieldsText::parse`]'s; nothing changes then.
    pub fn expand(&mut self) -> Result<(), serde_json::Error> {
        if !self.text.is_empty() {
            self.fields.extend(self.text.parse()?);
            self.text = FieldsText::default();
        }
        Ok(())
    }

    /// Sets the timestamp.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: impl Into<String>) -> Self {
        self.timestamp = Some(timestamp.into());
        self
    }

    /// Sets the lazy download.
    #[must_use]
    pub fn with_download(mut self, download: LazyDownload) -> Self {
        self.download = Some(download);
        self
    }

    /// About how many bytes the document takes in memory, without its download.
    pub fn size(&self) -> usize {
        const OVERHEAD: usize = 160;
        let timestamp = self.timestamp.as_ref().map_or(0, String::len);
        let fields = self.fields.iter().map(entry_size).sum::<usize>() + self.text.as_bytes().len();
        OVERHEAD + self.id.len() + timestamp + fields
    }
}

fn entry_size((key, value): (&String, &Value)) -> usize {
    // A map entry is a hash, the key's header and the value's: 64 bytes and what they point to.
    64 + key.len() + value_size(value)
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 32 + value_size(item)).sum(),
        Value::Object(fields) => fields.iter().map(entry_size).sum(),
    }
}

/// Content of a document that was fetched lazily.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Plain text, written to the field `body`.
    Text(String),
    /// A file for the ingest pipeline's `attachment` processor, written in base64 to the field `_attachment`.
    Binary(Bytes),
    /// Fields to merge into the document.
    Fields(Map<String, Value>),
}

/// `Ok(None)`: there is no content, the document is written without. An error of kind
/// [`NotFound`](ErrorKind::NotFound): the document vanished after it was listed and is not written; any other error: the
/// document is not written and recorded as a dead letter, so that the next sync tries again.
pub type DownloadResult = Result<Option<Content>, SourceError>;

/// A download that has not begun. It is run at most once, and only if the document has to be written.
pub struct LazyDownload {
    size: u64,
    work: Work,
}

enum Work {
    Blocking(Box<dyn FnOnce() -> DownloadResult + Send>),
    Async(Box<dyn FnOnce() -> BoxFuture<'static, DownloadResult> + Send>),
}

impl LazyDownload {
    /// Content read by blocking calls (files). `size`: expected bytes, for the memory budget. The engine runs many of these
    /// one after the other on one blocking thread.
    pub fn blocking(size: u64, read: impl FnOnce() -> DownloadResult + Send + 'static) -> Self {
        Self { size, work: Work::Blocking(Box::new(read)) }
    }

    /// Content fetched asynchronously (the network). `size`: expected bytes, for the memory budget; 0 if unknown.
    pub fn from_future<F>(size: u64, fetch: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = DownloadResult> + Send + 'static,
    {
        Self { size, work: Work::Async(Box::new(move || Box::pin(fetch()))) }
    }

    /// Expected bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether [`run_blocking`](Self::run_blocking) is the way to run it.
    pub fn is_blocking(&self) -> bool {
        matches!(self.work, Work::Blocking(_))
    }

    /// Runs a blocking download on the calling thread, which must be one that may block.
    pub fn run_blocking(self) -> DownloadResult {
        match self.work {
            Work::Blocking(read) => read(),
            Work::Async(_) => Err(SourceError::new(
                ErrorKind::Unexpected,
                "download",
                "an asynchronous download was run on a blocking thread",
            )),
        }
    }

    /// Runs the download, moving a blocking one to a blocking thread.
    pub async fn run(self) -> DownloadResult {
        match self.work {
            Work::Async(fetch) => fetch().await,
            Work::Blocking(read) => tokio::task::spawn_blocking(read).await.unwrap_or_else(|panic| {
                Err(SourceError::new(ErrorKind::Unexpected, "download", "the download panicked")
                    .with_source(panic))
            }),
        }
    }
}

impl fmt::Debug for LazyDownload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyDownload").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Extensions of files whose text the `attachment` processor can extract (the list the connectors of Elastic accept, so that
/// moving a connector over neither adds nor loses content). Lower case, sorted.
const ACCEPTED_EXTENSIONS: [&str; 31] = [
    "aspx", "csv", "doc", "docx", "html", "json", "markdown", "md", "msg", "odt", "paper", "pdf", "potx",
    "ppt", "pptx", "py", "rb", "rst", "rtf", "sh", "svg", "tsv", "txt", "vsd", "vsdm", "vsdx", "xls", "xlsb",
    "xlsm", "xlsx", "xml",
];

/// Whether files with this extension (without the dot, any case) may be sent as `_attachment`. A file without an extension
/// may not.
pub fn accepts_extension(extension: &str) -> bool {
    !extension.is_empty()
        && ACCEPTED_EXTENSIONS.iter().any(|accepted| accepted.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{FieldName, FieldsPage};

    #[test]
    fn size_grows_with_the_content() {
        let small = Document::new("1", Map::new());
        let Value::Object(fields) =
            json!({"text": "x".repeat(1000), "list": ["y".repeat(500)], "o": {"n": 1, "b": null}})
        else {
            unreachable!()
        };
        let large = Document::new("1", fields).with_timestamp("2026-01-01T00:00:00Z");
        assert!(large.size() > small.size() + 1500);
        assert!(large.size() < small.size() + 2200);
    }

    #[test]
    fn fields_that_are_json_can_be_looked_at() {
        let mut page = FieldsPage::default();
        let mut text = page.begin();
        text.field(&FieldName::distinct(["a"]).unwrap()[0]).string(&"x".repeat(3000));
        let mut document = Document::written("1", text.finish());
        assert!(document.fields.is_empty() && document.size() > 3000);
        document.fields.insert("b".to_owned(), json!(2));
        document.expand().unwrap();
        assert!(document.text.is_empty());
        assert_eq!(Value::Object(document.fields), json!({"a": "x".repeat(3000), "b": 2}));
    }

    #[test]
    fn extensions_are_accepted_in_any_case() {
        for yes in ["txt", "PDF", "Docx", "md"] {
            assert!(accepts_extension(yes), "{yes}");
        }
        for no in ["", "rs", "jpg", ".txt", "pdfx"] {
            assert!(!accepts_extension(no), "{no}");
        }
    }

    #[tokio::test]
    async fn both_kinds_of_download_run() {
        let text = || Content::Text("hello".to_owned());
        let blocking = LazyDownload::blocking(5, move || Ok(Some(text())));
        assert!(blocking.is_blocking());
        assert_eq!(format!("{blocking:?}"), "LazyDownload { size: 5, .. }");
        assert_eq!(blocking.run().await.unwrap(), Some(text()));
        assert_eq!(LazyDownload::blocking(5, move || Ok(Some(text()))).run_blocking().unwrap(), Some(text()));

        let fetched = LazyDownload::from_future(7, move || async move { Ok(Some(text())) });
        assert_eq!((fetched.size(), fetched.is_blocking()), (7, false));
        assert_eq!(fetched.run().await.unwrap(), Some(text()));
        let misused = LazyDownload::from_future(0, || async { Ok(None) }).run_blocking();
        assert_eq!(misused.unwrap_err().kind(), ErrorKind::Unexpected);
    }

    #[tokio::test]
    async fn a_panicking_download_is_an_error() {
        let error = LazyDownload::blocking(0, || panic!("boom")).run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected);
    }
}
