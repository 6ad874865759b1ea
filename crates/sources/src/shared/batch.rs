//! Documents on their way to the sync engine.

use std::time::{Duration, Instant};

use connectors_sdk::{FieldsPage, Message, Sink, SourceError};

/// Messages handed over in one go: enough to make it cheap, few enough to start early.
const MESSAGES: usize = 128;
/// Bytes from which fewer are handed over.
const BYTES: usize = 1 << 20;

/// Messages that are handed over when there are enough of them. What is left at the end has to be [flushed](Self::flush).
pub(crate) struct Batch<'a> {
    sink: &'a Sink,
    /// Where fields are written that are JSON.
    pub(crate) page: FieldsPage,
    messages: Vec<Message>,
    bytes: usize,
    waited: Duration,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(sink: &'a Sink) -> Self {
        let (page, messages) = (FieldsPage::default(), Vec::with_capacity(MESSAGES));
        Self { sink, page, messages, bytes: 0, waited: Duration::ZERO }
    }

    /// Adds a message about so many bytes.
    ///
    /// # Errors
    /// [`Sink::send_all`]'s.
    pub(crate) async fn add(&mut self, message: Message, bytes: usize) -> Result<(), SourceError> {
        self.messages.push(message);
        self.bytes += bytes;
        if self.messages.len() < MESSAGES && self.bytes < BYTES { Ok(()) } else { self.flush().await }
    }

    /// Hands over what there is.
    ///
    /// # Errors
    /// [`Sink::send_all`]'s.
    pub(crate) async fn flush(&mut self) -> Result<(), SourceError> {
        if self.messages.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let begun = Instant::now();
        let sent =
            self.sink.send_all(std::mem::replace(&mut self.messages, Vec::with_capacity(MESSAGES))).await;
        self.waited += begun.elapsed();
        sent
    }

    /// How long the engine let the source wait until now.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }
}
