//! What changed since the last sync, by change streams: the cursor between syncs, and the events.
//!
//! See "Change Streams" in MongoDB's manual. An event only says that the document of an id changed; the document is read
//! afterwards, as it is then. That is the state every later event leads to, so nothing is lost when several come together.

use connectors_sdk::{ErrorKind, SourceError};
use futures_util::StreamExt;
use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, Timestamp};
use mongodb::raw_batch_cursor::SessionRawBatchCursor;
use serde_json::{Value, json};

use super::client::{self, Connection};
use super::error::{Moment, StreamFailure, stream_failure};
use super::value::extended_object;

const FINGERPRINT: &str = "configuration";
const TOKEN: &str = "resume_token";
/// What the source is doing, for errors.
const OPERATION: &str = "read what changed";

/// What the last sync left.
#[derive(Debug, PartialEq)]
pub(super) enum LastSync {
    /// Nothing: there was none, or the server has no change streams.
    Unknown,
    /// It was one of another configuration, or nobody can read what it left.
    Other,
    /// Documents may change without a change of the collection, so every sync reads all.
    Unsteady,
    /// The point of the change stream up to which everything is in the index.
    At(Document),
}

impl LastSync {
    /// From the cursor of the last sync.
    pub(super) fn read(cursor: Option<&Value>, fingerprint: &str) -> Self {
        let Some(cursor) = cursor.filter(|cursor| !cursor.is_null()) else { return Self::Unknown };
        if cursor[FINGERPRINT] != fingerprint {
            return Self::Other;
        }
        match &cursor[TOKEN] {
            Value::Null => Self::Unsteady,
            Value::String(token) => serde_json::from_str(token).map_or(Self::Other, Self::At),
            _ => Self::Other,
        }
    }
}

/// The cursor for the next sync; without a token it says that every sync has to read all. The token is kept as text, so that
/// indices of connectors need no mapping for what is in it.
pub(super) fn cursor(fingerprint: &str, token: Option<&RawDocument>) -> Result<Value, SourceError> {
    let token = token.map(extended_object).transpose().map_err(|problem| {
        SourceError::new(ErrorKind::InvalidData, "keep the point of the change stream", problem.to_string())
    })?;
    let token = token.map(|token| Value::Object(token).to_string());
    Ok(json!({FINGERPRINT: fingerprint, TOKEN: token}))
}

/// Asks for a full sync, because incremental ones cannot go on.
pub(super) fn needs_full_sync(kind: ErrorKind, reason: impl Into<String>) -> SourceError {
    SourceError::new(kind, "sync only what changed", reason)
        .with_hint("Run a full content sync; incremental ones go on from there.")
}

/// A change stream, or why there is none.
pub(super) enum Opened {
    /// It is open.
    Stream(Box<Changes>),
    /// The server knows nothing of the time since the token.
    Lost(String),
    /// The server, the collection or the account has no change streams.
    Unsupported(String),
}

/// An open change stream.
pub(super) struct Changes {
    stream: SessionRawBatchCursor,
    session: ClientSession,
    /// Up to when it has to be read: the time of the server when it was opened.
    end: Option<Timestamp>,
    /// The first answer, which is there from the beginning.
    first: bool,
}

/// One answer of a change stream.
#[derive(Debug)]
pub(super) struct Answer {
    pub events: Vec<Event>,
    /// The point of the stream behind the events.
    pub token: Option<RawDocumentBuf>,
    /// All that happened before the stream was opened is read.
    pub is_last: bool,
}

/// One event.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// The document of this id was made, changed or deleted.
    Changed(Bson),
    /// Something happened to the collection as a whole, by the name of the event.
    Collection(String),
}

impl Changes {
    /// Opens the change stream, from now or from a token on.
    pub(super) async fn open(
        connection: &Connection,
        token: Option<Document>,
    ) -> Result<Opened, SourceError> {
        let failed = |error| connection.explain(OPERATION, Moment::Opening, &error);
        let mut session = connection.session().await.map_err(failed)?;
        match connection.watch(token, &mut session).await {
            Ok(stream) => Ok(Opened::Stream(Box::new(Self { stream, session, end: None, first: true }))),
            Err(error) => match stream_failure(&error) {
                StreamFailure::Lost => Ok(Opened::Lost(connection.without_secrets(&error))),
                StreamFailure::Unsupported => Ok(Opened::Unsupported(connection.without_secrets(&error))),
                StreamFailure::Other => Err(failed(error)),
            },
        }
    }

    /// The next answer; none if the server closed the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Answer>, mongodb::error::Error> {
        let Some(batch) = self.stream.stream(&mut self.session).next().await.transpose()? else {
            return Ok(None);
        };
        let raw = batch.as_raw_document();
        let first = std::mem::take(&mut self.first);
        if first {
            self.end = client::operation_time(raw);
        }
        let mut events = Vec::new();
        let mut time = None;
        for event in batch.doc_slices()? {
            if let Some(event) = event?.as_document() {
                time = event.get_timestamp("clusterTime").ok().or(time);
                events.extend(read_event(event)?);
            }
        }
        let token = client::resume_token(raw);
        let is_last = if events.is_empty() {
            // The first answer may be empty only because nothing was looked for yet.
            !first && is_reached(token.and_then(token_time), self.end)
        } else {
            // Events of the same time may follow.
            time.zip(self.end).is_some_and(|(time, end)| time > end)
        };
        Ok(Some(Answer { events, token: token.map(RawDocument::to_owned), is_last }))
    }

    /// Ends the stream; the session goes on.
    pub(super) fn into_session(self) -> ClientSession {
        self.session
    }

    /// The session, for reads that must not be older than the events.
    pub(super) fn session(&mut self) -> &mut ClientSession {
        &mut self.session
    }
}

/// An event. One that is not known is taken as one of the whole collection, so that nothing is passed over.
fn read_event(event: &RawDocument) -> Result<Option<Event>, mongodb::bson::error::Error> {
    let kind = event.get_str("operationType").unwrap_or_default();
    if !["insert", "update", "replace", "delete"].contains(&kind) {
        return Ok(Some(Event::Collection(kind.to_owned())));
    }
    let id = event.get_document("documentKey").ok().and_then(|key| key.get("_id").ok().flatten());
    id.map(|id| Bson::try_from(id).map(Event::Changed)).transpose()
}

/// Whether an empty answer says that there was nothing up to `end`. A sharded cluster can answer before every shard did; its
/// token then stands earlier. A server whose tokens do not show their time answers for all it has.
fn is_reached(token: Option<Timestamp>, end: Option<Timestamp>) -> bool {
    match (token, end) {
        (Some(token), Some(end)) => token >= end,
        _ => true,
    }
}

/// The time in a resume token of MongoDB: `_data` is the hexadecimal text of a sortable key whose first part is the time
/// (0x82, seconds, increment), since version 4.0.7.
fn token_time(token: &RawDocument) -> Option<Timestamp> {
    let data = token.get_str("_data").ok()?.strip_prefix("82")?;
    let part = |range| u32::from_str_radix(data.get(range)?, 16).ok();
    Some(Timestamp { time: part(0..8)?, increment: part(8..16)? })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{doc, rawdoc};

    use super::*;

    fn raw(document: Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(&document).unwrap()
    }

    #[test]
    fn cursors_can_be_read_again() {
        let token = doc! {"_data": "8263E4B5C1000000012B0229296E04", "_typeBits": mongodb::bson::Binary {
            subtype: mongodb::bson::spec::BinarySubtype::Generic, bytes: vec![1, 2],
        }};
        let kept = cursor("f", Some(&raw(token.clone()))).unwrap();
        assert!(kept["resume_token"].is_string());
        assert_eq!(LastSync::read(Some(&kept), "f"), LastSync::At(token));
        assert_eq!(LastSync::read(Some(&kept), "g"), LastSync::Other);
        assert_eq!(LastSync::read(Some(&cursor("f", None).unwrap()), "f"), LastSync::Unsteady);
        assert_eq!(LastSync::read(None, "f"), LastSync::Unknown);
        assert_eq!(LastSync::read(Some(&Value::Null), "f"), LastSync::Unknown);
        for odd in [
            json!({"configuration": "f", "resume_token": "{"}),
            json!({"configuration": "f", "resume_token": 1}),
            json!([]),
        ] {
            assert_eq!(LastSync::read(Some(&odd), "f"), LastSync::Other, "{odd}");
        }
    }

    #[test]
    fn tokens_show_their_time() {
        let time = |data: &str| token_time(&rawdoc! {"_data": data});
        let expected = Timestamp { time: 0x63E4_B5C1, increment: 3 };
        assert_eq!(time("8263E4B5C1000000032B0229296E04"), Some(expected));
        assert_eq!(time("2f000000107300"), None);
        assert_eq!(time("82zz"), None);
        assert_eq!(token_time(&rawdoc! {"_data": 5}), None);
    }

    #[test]
    fn an_empty_answer_counts_only_from_the_end_on() {
        let at = |time| Some(Timestamp { time, increment: 1 });
        assert!(is_reached(at(5), at(5)) && is_reached(at(6), at(5)));
        assert!(!is_reached(at(4), at(5)));
        assert!(is_reached(None, at(5)) && is_reached(at(1), None));
    }

    #[test]
    fn events_are_told_apart() {
        let read = |event: Document| read_event(&raw(event)).unwrap();
        for kind in ["insert", "update", "replace", "delete"] {
            let event = read(doc! {"operationType": kind, "documentKey": {"_id": 7, "shard": "x"}});
            assert_eq!(event, Some(Event::Changed(Bson::Int32(7))));
        }
        for kind in ["drop", "rename", "dropDatabase", "invalidate", "reshardCollection"] {
            assert_eq!(read(doc! {"operationType": kind}), Some(Event::Collection(kind.to_owned())));
        }
    }
}
