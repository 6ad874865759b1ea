//! Documents on their way to the sync engine.

use connectors_sdk::{Document, Message, Sink, SourceError};

/// Documents handed over in one go: enough to make it cheap, few enough to start early.
const MESSAGES: usize = 128;
/// Bytes from which fewer are handed over.
const BYTES: usize = 1 << 20;

/// A batch that is handed over when it is full.
pub(in crate::postgresql) struct Batch<'a> {
    sink: &'a Sink,
    messages: Vec<Message>,
    bytes: usize,
}

impl<'a> Batch<'a> {
    pub(in crate::postgresql) fn new(sink: &'a Sink) -> Self {
        Self { sink, messages: Vec::with_capacity(MESSAGES), bytes: 0 }
    }

    /// Adds a document made of a row of this many bytes. Whether the batch is full now.
    pub(in crate::postgresql) fn add(&mut self, document: Document, bytes: usize) -> bool {
        self.push(Message::Document(document), bytes)
    }

    /// Adds a message. Whether the batch is full now.
    pub(in crate::postgresql) fn push(&mut self, message: Message, bytes: usize) -> bool {
        self.messages.push(message);
        self.bytes += bytes;
        self.messages.len() >= MESSAGES || self.bytes >= BYTES
    }

    /// Hands over what there is.
    pub(in crate::postgresql) async fn flush(&mut self) -> Result<(), SourceError> {
        if self.messages.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        self.sink.send_all(std::mem::replace(&mut self.messages, Vec::with_capacity(MESSAGES))).await
    }
}
