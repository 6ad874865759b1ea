//! The bounded channel from a source to the sync engine.
//!
//! The channel is bounded by messages and by bytes. A full channel makes the source wait, for as long as it takes: there is
//! no timeout after which a slow Elasticsearch becomes an error. A message larger than the whole byte budget passes alone.

use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{Document, SourceError};

/// What a source may send.
#[derive(Debug)]
pub enum Message {
    /// A whole document: replaces what is indexed under its id.
    Document(Document),
    /// A part of a document: its fields are merged into what is indexed. Only in [`changes`](crate::DataSource::changes).
    Update(Document),
    /// The document of this id is gone. Only in [`changes`](crate::DataSource::changes).
    Delete(String),
    /// Everything before this message brings the index up to this cursor.
    Checkpoint(Value),
    /// The source begins to list a part of its documents. A listing counts as complete only if every part that began also ended.
    PartitionStarted(String),
    /// The source has listed all of this part.
    PartitionDone(String),
}

impl Message {
    fn size(&self) -> usize {
        match self {
            Self::Document(document) | Self::Update(document) => document.size(),
            Self::Delete(id) => 32 + id.len(),
            Self::Checkpoint(_) | Self::PartitionStarted(_) | Self::PartitionDone(_) => 64,
        }
    }
}

/// Bounds of the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkLimits {
    /// Messages waiting (`elasticsearch.bulk.queue_max_size`).
    pub messages: usize,
    /// Bytes of messages waiting (`elasticsearch.bulk.queue_max_mem_size`).
    pub bytes: usize,
}

impl Default for SinkLimits {
    /// 1024 messages, 25 MiB.
    fn default() -> Self {
        Self { messages: 1024, bytes: 25 * 1024 * 1024 }
    }
}

/// Messages on their way, with the room they take. Dropping it gives the room back.
#[derive(Debug)]
pub struct Envelope {
    messages: Vec<Message>,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Envelope {
    /// The messages; their room is given back.
    pub fn open(self) -> Vec<Message> {
        self.messages
    }
}

/// The sending end. Clones share the room: a source may read in parallel.
#[derive(Debug, Clone)]
pub struct Sink {
    sender: mpsc::UnboundedSender<Envelope>,
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    limits: SinkLimits,
}

/// The receiving end, the sync engine's.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::UnboundedReceiver<Envelope>,
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    limit: usize,
}

/// Tells how full a channel is.
#[derive(Debug, Clone)]
pub struct Gauge {
    bytes: Arc<Semaphore>,
    limit: usize,
}

impl Gauge {
    /// About how many bytes wait in the channel.
    pub fn bytes(&self) -> usize {
        self.limit.saturating_sub(self.bytes.available_permits())
    }
}

/// A new channel. Limits of 0 count as 1.
pub fn channel(limits: SinkLimits) -> (Sink, Inbox) {
    // A semaphore takes permits in u32 steps.
    let limits = SinkLimits {
        messages: limits.messages.clamp(1, u32::MAX as usize >> 3),
        bytes: limits.bytes.clamp(1, u32::MAX as usize >> 3),
    };
    let (sender, receiver) = mpsc::unbounded_channel();
    let messages = Arc::new(Semaphore::new(limits.messages));
    let bytes = Arc::new(Semaphore::new(limits.bytes));
    let inbox = Inbox { receiver, messages: messages.clone(), bytes: bytes.clone(), limit: limits.bytes };
    (Sink { sender, messages, bytes, limits }, inbox)
}

impl Sink {
    /// Sends one message, waiting for room.
    pub async fn send(&self, message: Message) -> Result<(), SourceError> {
        self.send_all(vec![message]).await
    }

    /// Sends a document, waiting for room.
    pub async fn document(&self, document: Document) -> Result<(), SourceError> {
        self.send(Message::Document(document)).await
    }

    /// Sends messages in one go, which costs less than one by one. They become visible together once there is room for all.
    pub async fn send_all(&self, messages: Vec<Message>) -> Result<(), SourceError> {
        let (count, bytes) = self.room_for(&messages);
        // The order (count, then bytes) is the same everywhere, and room is given back by the receiver alone: no deadlock.
        let count = self.messages.clone().acquire_many_owned(count).await;
        let bytes = self.bytes.clone().acquire_many_owned(bytes).await;
        let (Ok(count), Ok(bytes)) = (count, bytes) else { return Err(SourceError::canceled()) };
        self.push(messages, (count, bytes))
    }

    /// [`send_all`](Self::send_all) for a source's own blocking thread, which must belong to a tokio runtime
    /// (`spawn_blocking`).
    pub fn send_all_blocking(&self, messages: Vec<Message>) -> Result<(), SourceError> {
        let (count, bytes) = self.room_for(&messages);
        if let Ok(count) = self.messages.clone().try_acquire_many_owned(count)
            && let Ok(bytes) = self.bytes.clone().try_acquire_many_owned(bytes)
        {
            return self.push(messages, (count, bytes));
        }
        Handle::current().block_on(self.send_all(messages))
    }

    /// Whether nobody receives any more: the sync was stopped.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    fn room_for(&self, messages: &[Message]) -> (u32, u32) {
        let bytes = messages.iter().map(Message::size).sum::<usize>().min(self.limits.bytes);
        let count = messages.len().min(self.limits.messages);
        (u32::try_from(count).unwrap_or(u32::MAX), u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    fn push(
        &self,
        messages: Vec<Message>,
        room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
    ) -> Result<(), SourceError> {
        self.sender.send(Envelope { messages, _room: room }).map_err(|_| SourceError::canceled())
    }
}

impl Inbox {
    /// Tells how full the channel is, also while somebody receives.
    pub fn gauge(&self) -> Gauge {
        Gauge { bytes: self.bytes.clone(), limit: self.limit }
    }

    /// The next messages; none when every [`Sink`] is dropped and all was received.
    pub async fn receive(&mut self) -> Option<Envelope> {
        self.receiver.recv().await
    }
}

impl Drop for Inbox {
    /// Wakes senders that wait for room: nobody will make any.
    fn drop(&mut self) {
        self.messages.close();
        self.bytes.close();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Map, json};

    use super::*;
    use crate::ErrorKind;

    fn document(id: &str, bytes: usize) -> Document {
        let mut fields = Map::new();
        fields.insert("text".to_owned(), json!("x".repeat(bytes)));
        Document::new(id, fields)
    }

    async fn waits<T>(send: impl Future<Output = T>) -> bool {
        tokio::time::timeout(Duration::from_millis(50), send).await.is_err()
    }

    #[tokio::test]
    async fn a_full_channel_waits_for_messages_to_be_opened() {
        let (sink, mut inbox) = channel(SinkLimits { messages: 2, bytes: 1 << 20 });
        sink.document(document("1", 1)).await.unwrap();
        sink.document(document("2", 1)).await.unwrap();
        assert!(waits(sink.document(document("3", 1))).await);
        let messages = inbox.receive().await.unwrap().open();
        assert!(matches!(&messages[..], [Message::Document(document)] if document.id == "1"));
        sink.document(document("3", 1)).await.unwrap();
    }

    #[tokio::test]
    async fn bytes_are_bounded_too_and_a_giant_passes_alone() {
        let (sink, mut inbox) = channel(SinkLimits { messages: 100, bytes: 10_000 });
        sink.document(document("giant", 50_000)).await.unwrap();
        assert!(waits(sink.send(Message::Delete("a".to_owned()))).await);
        let gauge = inbox.gauge();
        assert_eq!(gauge.bytes(), 10_000);
        assert_eq!(inbox.receive().await.unwrap().open().len(), 1);
        assert_eq!(gauge.bytes(), 0);
        sink.send_all(vec![Message::Delete("a".to_owned()), Message::Checkpoint(json!(1))]).await.unwrap();
        assert_eq!(inbox.receive().await.unwrap().open().len(), 2);
        drop(sink);
        assert!(inbox.receive().await.is_none());
    }

    #[tokio::test]
    async fn a_blocking_thread_waits_as_well() {
        let (sink, mut inbox) = channel(SinkLimits { messages: 0, bytes: 1 << 20 });
        let sender = tokio::task::spawn_blocking(move || {
            for index in 0..50 {
                sink.send_all_blocking(vec![Message::Delete(index.to_string())]).unwrap();
            }
        });
        let mut seen = Vec::new();
        while let Some(envelope) = inbox.receive().await {
            for message in envelope.open() {
                let Message::Delete(id) = message else { panic!("{message:?}") };
                seen.push(id);
            }
        }
        sender.await.unwrap();
        assert_eq!(seen, (0..50).map(|index| index.to_string()).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_closed_inbox_stops_waiting_and_new_senders() {
        let (sink, inbox) = channel(SinkLimits { messages: 1, bytes: 1 << 20 });
        sink.document(document("1", 1)).await.unwrap();
        let waiting = tokio::spawn({
            let sink = sink.clone();
            async move { sink.document(document("2", 1)).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!sink.is_closed());
        drop(inbox);
        assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Canceled);
        assert!(sink.is_closed());
        let late = sink.send(Message::PartitionDone("p".to_owned())).await;
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Canceled);
    }
}
