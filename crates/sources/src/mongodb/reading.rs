//! Reading: all documents, or those that changed.

use std::collections::BTreeMap;

use connectors_sdk::{ErrorKind, Message, Sink, SourceError};
use futures_util::StreamExt;
use mongodb::ClientSession;
use mongodb::bson::{Bson, RawBson, RawDocument, RawDocumentBuf, doc};
use mongodb::options::FindOptions;
use mongodb::raw_batch_cursor::RawBatch;
use serde_json::Value;

use super::MongoSource;
use super::changes::{self, Changes, Event, Opened, needs_full_sync};
use super::client::{self, BatchError, Batches, CollectionKind, Connection};
use super::document::{self, IdKinds, Names};
use super::error::{Moment, StreamFailure, stream_failure};
use super::rules::{Find, Rules};
use super::value::Decoder;
use crate::shared::batch::Batch;

/// Changed documents that are looked up with one query.
const LOOKUP: usize = 250;
/// Empty answers of a change stream until a cluster whose shards are behind is given up: about 15 seconds.
pub(super) const PATIENCE: usize = 60;

/// What is being done with a change stream, for errors.
pub(super) const WATCH: &str = "read what changed";
/// What a lost token means.
pub(super) const LOST: &str = "the server does not know any more what changed since the last sync";

/// Asks for a full sync, because the token is lost.
pub(super) fn lost(reason: &str) -> SourceError {
    needs_full_sync(ErrorKind::Incomplete, format!("{LOST} ({reason})"))
}

impl MongoSource {
    /// Takes the point of the change stream from which the next sync has to go on, before anything is read.
    async fn start(&self, connection: &Connection, rules: &Rules) -> Result<Start, SourceError> {
        let kind = self.kind(connection).await?;
        let every = |reason: String| {
            tracing::info!("every sync reads all documents: {reason}");
            Ok(Start { session: None, cursor: Some(changes::cursor(&self.settings.fingerprint, None)?) })
        };
        if kind == Some(CollectionKind::Derived) {
            return every("views and time series collections have no change stream".to_owned());
        }
        if let Some(reason) = rules.unsteady() {
            return every(format!("by the advanced sync rules, {reason}"));
        }
        match Changes::open(connection, None).await? {
            Opened::Stream(mut stream) => {
                let answer = stream.next().await;
                let answer = answer.map_err(|error| connection.explain(WATCH, Moment::Opening, &error))?;
                let cursor = self.cursor(answer.and_then(|answer| answer.token))?;
                if cursor.is_none() {
                    tracing::info!(
                        "every sync reads all documents: the server's change streams have no resume tokens"
                    );
                }
                Ok(Start { session: Some(stream.into_session()), cursor })
            }
            Opened::Lost(reason) | Opened::Unsupported(reason) => {
                tracing::info!("every sync reads all documents: there is no change stream here: {reason}");
                Ok(Start { session: None, cursor: None })
            }
        }
    }

    /// Sends every document, and the cursor.
    pub(super) async fn send_all(&self, rules: Rules, sink: &Sink) -> Result<(), SourceError> {
        const OPERATION: &str = "list the collection";
        let connection = self.connection().await?;
        let Start { session, cursor } = self.start(connection, &rules).await?;
        let all = matches!(rules, Rules::All);
        let opened = match rules {
            Rules::All => connection.find(doc! {}, FindOptions::default(), session).await,
            Rules::Find(find) => connection.find(find.filter, find.options, session).await,
            Rules::Aggregate(aggregate) => {
                connection.aggregate(aggregate.pipeline, aggregate.options, session).await
            }
        };
        let mut batches: Batches =
            opened.map_err(|error| connection.explain(OPERATION, Moment::Opening, &error))?;
        let mut outbox = Outbox::new(self.settings.decoder, sink);
        let (mut partial, mut empty) = (false, true);
        while let Some(batch) = batches.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    // What was read is synced all the same.
                    outbox.flush().await?;
                    return Err(match error {
                        BatchError::Driver(error) => connection.explain(OPERATION, Moment::Reading, &error),
                        BatchError::Stopped(reason) => {
                            SourceError::new(ErrorKind::Incomplete, OPERATION, reason)
                        }
                    });
                }
            };
            partial |= client::is_partial(batch.as_raw_document());
            empty &= client::is_empty(batch.as_raw_document());
            outbox.documents(&batch, |_| ()).await?;
        }
        outbox.flush().await?;
        // A collection that was dropped or renamed meanwhile reads as an empty one: nothing may be deleted because of that.
        if all && empty && self.kind(connection).await?.is_none() {
            let problem = "no document was found, and the account may not see whether the collection exists";
            return Err(SourceError::new(ErrorKind::Incomplete, OPERATION, problem).with_hint(
                "Nothing was deleted. Let the account list collections (privilege `listCollections`).",
            ));
        }
        if outbox.kinds.are_ambiguous() {
            tracing::warn!(
                "the collection has ids of different types that may read the same (5 and \"5\"): of two such documents only one is in the index"
            );
        }
        if partial {
            let problem =
                "a shard did not answer, and `allow_partial_results` lets the server leave its documents out";
            return Err(SourceError::new(ErrorKind::Incomplete, OPERATION, problem));
        }
        // Without anything to send this still finds out that the sync was stopped.
        sink.send_all(cursor.into_iter().map(Message::Checkpoint).collect()).await
    }

    /// Reads events until the time the stream was opened, and sends the documents they are about.
    pub(super) async fn send_changes(
        &self,
        connection: &Connection,
        mut stream: Changes,
        query: &Find,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        let mut quiet = 0;
        loop {
            let answer = stream.next().await.map_err(|error| match stream_failure(&error) {
                StreamFailure::Lost => lost(&connection.without_secrets(&error)),
                _ => connection.explain(WATCH, Moment::Reading, &error),
            })?;
            let Some(answer) = answer else {
                return Err(needs_full_sync(ErrorKind::Incomplete, "the server closed the change stream"));
            };
            quiet = if answer.events.is_empty() { quiet + 1 } else { 0 };
            let mut changed = BTreeMap::new();
            for event in answer.events {
                match event {
                    Event::Changed(id) => {
                        // Two ids may read the same; both are looked up.
                        let ids: &mut Vec<Bson> = changed.entry(self.id_text(&id)?).or_default();
                        if !ids.contains(&id) {
                            ids.push(id);
                        }
                    }
                    Event::Collection(event) => {
                        let problem = format!("something happened to the whole collection (event `{event}`)");
                        return Err(needs_full_sync(ErrorKind::Incomplete, problem));
                    }
                }
                if changed.len() == LOOKUP {
                    self.look_up(connection, &mut stream, std::mem::take(&mut changed), query, sink).await?;
                }
            }
            self.look_up(connection, &mut stream, changed, query, sink).await?;
            // The cursor is right wherever it stands; what may be left is for the next sync.
            let ends = answer.is_last || quiet == PATIENCE;
            if ends || quiet == 0 {
                let cursor = self.cursor(answer.token)?;
                sink.send_all(cursor.into_iter().map(Message::Checkpoint).collect()).await?;
            }
            if ends {
                return Ok(());
            }
        }
    }

    /// Sends changed documents as they are now, and deletes those that are gone or that the rules do not take.
    async fn look_up(
        &self,
        connection: &Connection,
        stream: &mut Changes,
        mut changed: BTreeMap<String, Vec<Bson>>,
        query: &Find,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        const OPERATION: &str = "read the changed documents";
        if changed.is_empty() {
            return Ok(());
        }
        let ids = doc! {"_id": {"$in": changed.values().flatten().cloned().collect::<Vec<_>>()}};
        let filter = if query.filter.is_empty() {
            ids
        } else {
            doc! {"$and": [ids, query.filter.clone()]}
        };
        let session = stream.session();
        let failed = |error: mongodb::error::Error| connection.explain(OPERATION, Moment::Reading, &error);
        let mut cursor = connection.look_up(filter, query.options.clone(), session).await.map_err(failed)?;
        let mut answers = cursor.stream(session);
        let mut outbox = Outbox::new(self.settings.decoder, sink);
        let mut complete = false;
        while let Some(batch) = answers.next().await {
            let batch = batch.map_err(failed)?;
            complete = client::is_last(batch.as_raw_document());
            outbox
                .documents(&batch, |id| {
                    changed.remove(id);
                })
                .await?;
        }
        if !complete {
            return Err(SourceError::new(ErrorKind::Incomplete, OPERATION, "no more answers came"));
        }
        outbox.flush().await?;
        sink.send_all(changed.into_keys().map(Message::Delete).collect()).await
    }

    /// The cursor for a point of the change stream.
    pub(super) fn cursor(&self, token: Option<RawDocumentBuf>) -> Result<Option<Value>, SourceError> {
        token.map(|token| changes::cursor(&self.settings.fingerprint, Some(&token))).transpose()
    }

    fn id_text(&self, id: &Bson) -> Result<String, SourceError> {
        let raw = RawBson::try_from(id.clone()).map_err(|error| {
            SourceError::new(ErrorKind::InvalidData, "read what changed", "an id is not valid BSON")
                .with_source(error)
        })?;
        document::id_text(raw.as_raw_bson_ref(), self.settings.decoder)
    }
}

/// What is needed of a change stream while the collection is read.
struct Start {
    /// Reads in it are not older than the cursor.
    session: Option<ClientSession>,
    cursor: Option<Value>,
}

/// Documents on their way to the sync engine.
struct Outbox<'a> {
    decoder: Decoder,
    batch: Batch<'a>,
    kinds: IdKinds,
    names: Names,
}

impl<'a> Outbox<'a> {
    fn new(decoder: Decoder, sink: &'a Sink) -> Self {
        Self { decoder, batch: Batch::new(sink), kinds: IdKinds::default(), names: Names::default() }
    }

    /// Sends the documents of an answer; `seen` gets their ids.
    async fn documents(
        &mut self,
        batch: &RawBatch,
        mut seen: impl FnMut(&str) + Send,
    ) -> Result<(), SourceError> {
        let invalid = |error: &dyn std::fmt::Display| {
            SourceError::new(ErrorKind::InvalidData, "read an answer of the server", error.to_string())
        };
        for raw in batch.doc_slices().map_err(|error| invalid(&error.kind))? {
            let raw: &RawDocument = raw
                .map_err(|error| invalid(&error))?
                .as_document()
                .ok_or_else(|| invalid(&"there is something else among the documents"))?;
            let page = &mut self.batch.page;
            let document = document::from_bson(raw, self.decoder, &mut self.kinds, &mut self.names, page)?;
            seen(&document.id);
            self.batch.add(Message::Document(document), raw.as_bytes().len()).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SourceError> {
        self.batch.flush().await
    }
}
