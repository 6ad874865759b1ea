//! Building the body of a bulk request, and parts of it again.

use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;

use super::BulkOpKind;

const UPSERT_START: &[u8] = b"{\"doc\":";
const UPSERT_END: &[u8] = b",\"doc_as_upsert\":true}";

/// A bulk body under construction. Each document is serialised once, straight into the body; where each operation
/// lies is remembered, so that a retry of some of them copies bytes instead of documents.
#[derive(Debug, Default, Clone)]
pub struct BulkBody {
    bytes: Vec<u8>,
    ids: String,
    ops: Vec<Entry>,
}

/// An operation ends where its entry says, and starts where the one before ends.
#[derive(Debug, Clone, Copy)]
struct Entry {
    kind: BulkOpKind,
    end: usize,
    id_end: usize,
}

impl Entry {
    fn ends(&self) -> (usize, usize) {
        (self.end, self.id_end)
    }
}

impl BulkBody {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty body that is built in `buffer`; what the buffer holds is lost. A buffer that an earlier request gave back
    /// ([`BulkRequest::into_buffer`]) is large enough at once.
    pub fn in_buffer(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { bytes: buffer, ..Self::default() }
    }

    /// Adds an index operation and serialises its document. On an error nothing is added.
    pub fn index<T: Serialize + ?Sized>(&mut self, id: &str, document: &T) -> Result<(), serde_json::Error> {
        self.serialized(BulkOpKind::Index, id, document)
    }

    /// Adds a create operation and serialises its document. On an error nothing is added.
    pub fn create<T: Serialize + ?Sized>(&mut self, id: &str, document: &T) -> Result<(), serde_json::Error> {
        self.serialized(BulkOpKind::Create, id, document)
    }

    /// Adds an update that merges the fields into the document, or creates it from them. On an error nothing is added.
    pub fn upsert<T: Serialize + ?Sized>(&mut self, id: &str, fields: &T) -> Result<(), serde_json::Error> {
        self.serialized(BulkOpKind::Update, id, fields)
    }

    /// Adds a delete operation.
    pub fn delete(&mut self, id: &str) {
        self.action(BulkOpKind::Delete, id);
        self.finish(BulkOpKind::Delete, id);
    }

    /// Adds an index, create or update operation with a document (update: the fields to merge) that `write` adds as JSON, on one
    /// line, leaving alone what is there. Tells how many bytes that took. A delete has no document. On an error nothing is added.
    pub fn push<E>(
        &mut self,
        kind: BulkOpKind,
        id: &str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let start = self.bytes.len();
        if kind == BulkOpKind::Delete {
            self.delete(id);
        } else {
            self.written(kind, id, write)?;
        }
        Ok(self.bytes.len() - start)
    }

    /// Takes the last operation away again.
    pub fn pop(&mut self) {
        if self.ops.pop().is_some() {
            let (end, id_end) = self.ends();
            self.bytes.truncate(end);
            self.ids.truncate(id_end);
        }
    }

    /// Takes the last operation away into a body of its own, built in `buffer`: it was the one too many.
    #[must_use]
    pub fn split_last(&mut self, buffer: Vec<u8>) -> Self {
        let mut last = Self::in_buffer(buffer);
        if let Some(entry) = self.ops.last().copied() {
            let before = self.ops.len().checked_sub(2).map_or((0, 0), |position| self.ops[position].ends());
            last.bytes.extend_from_slice(&self.bytes[before.0..]);
            last.finish(entry.kind, &self.ids[before.1..]);
            self.pop();
        }
        last
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Size of the body so far, in bytes.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Ends the building. The body's bytes are not copied.
    pub fn finish_request(self) -> BulkRequest {
        BulkRequest { body: self.bytes.into(), ids: self.ids, ops: self.ops }
    }

    fn serialized<T: Serialize + ?Sized>(
        &mut self,
        kind: BulkOpKind,
        id: &str,
        document: &T,
    ) -> Result<(), serde_json::Error> {
        self.written(kind, id, |bytes| serde_json::to_writer(bytes, document))
    }

    fn written<E>(
        &mut self,
        kind: BulkOpKind,
        id: &str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        self.action(kind, id);
        if kind == BulkOpKind::Update {
            self.bytes.extend_from_slice(UPSERT_START);
        }
        if let Err(error) = write(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        if kind == BulkOpKind::Update {
            self.bytes.extend_from_slice(UPSERT_END);
        }
        self.bytes.push(b'\n');
        self.finish(kind, id);
        Ok(())
    }

    fn action(&mut self, kind: BulkOpKind, id: &str) {
        self.bytes.extend_from_slice(b"{\"");
        self.bytes.extend_from_slice(kind.as_str().as_bytes());
        self.bytes.extend_from_slice(b"\":{\"_id\":");
        // Text into memory: neither can fail.
        let _infallible = serde_json::to_writer(&mut self.bytes, id);
        self.bytes.extend_from_slice(b"}}\n");
    }

    /// Where the last operation ends, in `bytes` and in `ids`.
    fn ends(&self) -> (usize, usize) {
        self.ops.last().map_or((0, 0), Entry::ends)
    }

    fn finish(&mut self, kind: BulkOpKind, id: &str) {
        self.ids.push_str(id);
        self.ops.push(Entry { kind, end: self.bytes.len(), id_end: self.ids.len() });
    }
}

/// A finished bulk body. Cloning does not copy the body.
#[derive(Debug, Clone)]
pub struct BulkRequest {
    body: Bytes,
    ids: String,
    ops: Vec<Entry>,
}

/// One operation of a [`BulkRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkOp<'a> {
    /// What it does.
    pub kind: BulkOpKind,
    /// The document.
    pub id: &'a str,
    /// Its lines in the body.
    pub range: Range<usize>,
}

impl BulkRequest {
    /// The body as it is sent.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The buffer of the body, to build another one in; none while a clone is alive, for example in a connection.
    pub fn into_buffer(self) -> Option<Vec<u8>> {
        self.body.is_unique().then(|| self.body.into())
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The operation at a position.
    pub fn op(&self, position: usize) -> Option<BulkOp<'_>> {
        let entry = self.ops.get(position)?;
        let before = position.checked_sub(1).map(|previous| self.ops[previous]);
        let (start, id_start) = before.map_or((0, 0), |entry| entry.ends());
        Some(BulkOp { kind: entry.kind, id: &self.ids[id_start..entry.id_end], range: start..entry.end })
    }

    /// All operations, in order.
    pub fn ops(&self) -> impl Iterator<Item = BulkOp<'_>> {
        (0..self.len()).filter_map(|position| self.op(position))
    }

    /// The document of an operation as JSON bytes (of an update, the `doc` object with its wrapper); empty for a
    /// delete. For dead letters.
    pub fn source(&self, op: &BulkOp<'_>) -> &[u8] {
        let lines = self.body.get(op.range.clone()).unwrap_or_default();
        let action_end = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
        lines[action_end..].strip_suffix(b"\n").unwrap_or_default()
    }

    /// A request of the operations at these positions only: what to send again after some items failed. Positions
    /// past the end are left out.
    #[must_use]
    pub fn subset(&self, positions: impl IntoIterator<Item = usize>) -> Self {
        let mut part = BulkBody::new();
        for op in positions.into_iter().filter_map(|position| self.op(position)) {
            part.bytes.extend_from_slice(&self.body[op.range.clone()]);
            part.finish(op.kind, op.id);
        }
        part.finish_request()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> BulkBody {
        let mut body = BulkBody::in_buffer(b"what was there before".to_vec());
        body.index("a", &json!({"x": "line\nbreak"})).unwrap();
        body.delete("b\"ü");
        body.upsert("c", &json!({"y": 1})).unwrap();
        body.create("d", &json!({})).unwrap();
        body
    }

    #[test]
    fn writes_the_lines_elasticsearch_reads() {
        let body = sample();
        assert_eq!((body.len(), body.is_empty()), (4, false));
        let request = body.finish_request();
        assert_eq!(
            std::str::from_utf8(request.body()).unwrap(),
            "{\"index\":{\"_id\":\"a\"}}\n{\"x\":\"line\\nbreak\"}\n{\"delete\":{\"_id\":\"b\\\"ü\"}}\n\
             {\"update\":{\"_id\":\"c\"}}\n{\"doc\":{\"y\":1},\"doc_as_upsert\":true}\n\
             {\"create\":{\"_id\":\"d\"}}\n{}\n"
        );
        let seen: Vec<_> = request.ops().map(|op| (op.kind, op.id.to_owned())).collect();
        let expected = [
            (BulkOpKind::Index, "a"),
            (BulkOpKind::Delete, "b\"ü"),
            (BulkOpKind::Update, "c"),
            (BulkOpKind::Create, "d"),
        ];
        assert_eq!(seen, expected.map(|(kind, id)| (kind, id.to_owned())));
        let sources: Vec<_> = request.ops().map(|op| request.source(&op).to_vec()).collect();
        assert_eq!(sources[0], b"{\"x\":\"line\\nbreak\"}");
        assert_eq!(sources[1], b"");
        assert_eq!(sources[3], b"{}");
    }

    #[test]
    fn a_subset_is_the_same_bytes_in_the_order_asked_for() {
        let request = sample().finish_request();
        let part = request.subset([3, 1, 99]);
        assert_eq!(part.len(), 2);
        assert_eq!(
            std::str::from_utf8(part.body()).unwrap(),
            "{\"create\":{\"_id\":\"d\"}}\n{}\n{\"delete\":{\"_id\":\"b\\\"ü\"}}\n"
        );
        assert_eq!(part.op(1).unwrap().id, "b\"ü");
        assert!(part.op(2).is_none() && request.subset([]).is_empty());
    }

    #[test]
    fn a_buffer_is_used_again_once_nobody_reads_it() {
        let request = sample().finish_request();
        let (sent, in_flight) = (request.body().to_vec(), request.body().clone());
        assert!(request.clone().into_buffer().is_none());
        drop(in_flight);
        let place = request.body().as_ptr();
        let buffer = request.into_buffer().unwrap();
        assert_eq!((buffer.as_ptr(), &buffer), (place, &sent));
    }

    #[test]
    fn the_last_operation_can_be_taken_away_again() {
        let document = json!({"a": "b"});
        for kind in [BulkOpKind::Index, BulkOpKind::Create, BulkOpKind::Update, BulkOpKind::Delete] {
            let (whole, mut body) = (sample().finish_request(), sample());
            let size = body.push(kind, "ü\"", |bytes| serde_json::to_writer(bytes, &document)).unwrap();
            assert_eq!(body.byte_len(), whole.body().len() + size, "{kind}");
            let last = body.split_last(b"what was there before".to_vec()).finish_request();
            assert_eq!((body.clone().finish_request().body(), body.len()), (whole.body(), 4));
            assert_eq!((last.body().len(), last.len()), (size, 1));
            assert_eq!(last.op(0).unwrap(), BulkOp { kind, id: "ü\"", range: 0..size });

            body.push(kind, "other", |bytes| serde_json::to_writer(bytes, &document)).unwrap();
            body.pop();
            assert_eq!(body.finish_request().body(), whole.body());
        }
        let mut body = BulkBody::new();
        body.pop();
        assert!(body.split_last(Vec::new()).is_empty() && body.is_empty());
        body.delete("only");
        assert_eq!((body.split_last(Vec::new()).len(), body.len(), body.byte_len()), (1, 0, 0));
    }

    #[test]
    fn a_document_that_cannot_be_serialised_leaves_no_trace() {
        struct Broken;
        impl Serialize for Broken {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("broken"))
            }
        }
        let mut body = sample();
        let before = body.bytes.clone();
        assert!(body.index("e", &Broken).is_err());
        assert_eq!((body.bytes == before, body.len()), (true, 4));
    }
}
