//! A source that sends what a test tells it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use connectors_sdk::{
    Changed, Content, DataSource, Document, ErrorKind, LazyDownload, Message, Sink, SourceError,
};
use serde_json::{Map, Value, json};

/// What it does after its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Complete,
    Fails,
    Panics,
    /// It never returns.
    Hangs,
}

/// A source with a fixed list of messages, which can be sent once.
pub struct Listed {
    messages: Mutex<Vec<Message>>,
    end: End,
    pub changed: Changed,
    pub restricted: bool,
    pub owns_id_field: bool,
    pub mapping: Map<String, Value>,
    /// What the engine gave it.
    pub asked: Mutex<Vec<Value>>,
    sent: AtomicBool,
}

impl Listed {
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages: Mutex::new(messages),
            end: End::Complete,
            changed: Changed::Perhaps,
            restricted: false,
            owns_id_field: false,
            mapping: Map::new(),
            asked: Mutex::new(Vec::new()),
            sent: AtomicBool::new(false),
        }
    }

    pub fn documents(documents: impl IntoIterator<Item = Document>) -> Self {
        Self::new(documents.into_iter().map(Message::Document).collect())
    }

    pub fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    async fn send(&self, sink: &Sink) -> Result<(), SourceError> {
        assert!(!self.sent.swap(true, Ordering::Relaxed), "asked for documents twice");
        let messages = std::mem::take(&mut *self.messages.lock().unwrap());
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            sink.send_all(messages.by_ref().take(50).collect()).await?;
        }
        match self.end {
            End::Complete => Ok(()),
            End::Fails => Err(SourceError::new(ErrorKind::Incomplete, "list", "a folder is locked")),
            End::Panics => panic!("the source is broken"),
            End::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl DataSource for Listed {
    async fn ping(&self) -> Result<(), SourceError> {
        Ok(())
    }

    fn mapping(&self, _advanced_rules: Option<&Value>) -> Map<String, Value> {
        self.mapping.clone()
    }

    fn restricts_access(&self) -> bool {
        self.restricted
    }

    fn owns_id_field(&self) -> bool {
        self.owns_id_field
    }

    async fn changed(&self, cursor: Option<&Value>) -> Result<Changed, SourceError> {
        self.asked.lock().unwrap().push(json!({"changed": cursor}));
        Ok(self.changed.clone())
    }

    async fn documents(&self, advanced_rules: Option<&Value>, sink: &Sink) -> Result<(), SourceError> {
        self.asked.lock().unwrap().push(json!({"documents": advanced_rules}));
        self.send(sink).await
    }

    async fn changes(
        &self,
        cursor: Option<&Value>,
        advanced_rules: Option<&Value>,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        self.asked.lock().unwrap().push(json!({"changes": [cursor, advanced_rules]}));
        self.send(sink).await
    }

    async fn access_control(&self, sink: &Sink) -> Result<(), SourceError> {
        self.send(sink).await
    }
}

pub fn fields(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// A document with a timestamp.
pub fn document(id: &str, timestamp: &str) -> Document {
    Document::new(id, fields(json!({"name": id}))).with_timestamp(timestamp)
}

/// Documents `0` to `count`, all with this timestamp.
pub fn documents(count: usize, timestamp: &str) -> Vec<Document> {
    (0..count).map(|index| document(&format!("{index:06}"), timestamp)).collect()
}

/// A document whose content is read by blocking calls.
pub fn with_text(id: &str, text: impl Into<String>) -> Document {
    let text = text.into();
    let size = text.len() as u64;
    document(id, "2026-01-01T00:00:00Z")
        .with_download(LazyDownload::blocking(size, move || Ok(Some(Content::Text(text)))))
}

/// A document whose content comes over the network, after a moment.
pub fn with_fetched(id: &str, content: Content) -> Document {
    document(id, "2026-01-01T00:00:00Z").with_download(LazyDownload::from_future(10, move || async move {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        Ok(Some(content))
    }))
}

/// A document whose content cannot be had.
pub fn with_error(id: &str, kind: ErrorKind) -> Document {
    document(id, "2026-01-01T00:00:00Z")
        .with_download(LazyDownload::blocking(0, move || Err(SourceError::new(kind, "read", "broken"))))
}
