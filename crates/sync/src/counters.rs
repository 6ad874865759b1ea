//! What a job counts. Names in [`Counters::to_value`] are those Elastic's connectors log, and a few of our own.

use connectors_es_client::{BulkItem, BulkOpKind, BulkResult};
use serde_json::{Map, Value, json};

/// Counts of one kind of bulk operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationCounts {
    /// Operations put into bulk requests; one that is sent again counts once.
    pub operations: u64,
    /// Final answers.
    pub responses: u64,
    /// Answers without an id.
    pub ids_missing: u64,
    /// Answers for another id than the one sent (a pipeline changed it).
    pub ids_changed: u64,
    /// Index operations that replaced a document.
    pub id_duplicates: u64,
    /// Answers `noop`: a pipeline dropped the document.
    pub dropped: u64,
    /// Answers with an error.
    pub errors: u64,
    /// Answers with neither a result nor an error.
    pub results_undefined: u64,
}

/// What a job has counted so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Documents the source sent.
    pub docs_extracted: u64,
    /// Documents that basic sync rules left out.
    pub docs_filtered: u64,
    /// Documents whose timestamp equals the indexed one: not written.
    pub docs_unchanged: u64,
    /// Documents that were gone when their content was to be read: not written.
    pub docs_vanished: u64,
    /// Documents a pipeline dropped.
    pub docs_dropped: u64,
    /// Documents not written because their text is above `max_text_document_size` (also counted as dead letters).
    pub docs_dropped_too_large: u64,
    /// Documents not written for another reason than the ones above; each has a dead letter.
    pub dead_letters: u64,
    /// Documents not written or deleted for a reason that may pass, because it is not about them (no shard, no permission):
    /// an incremental sync has them sent again.
    pub undelivered: u64,
    /// Documents to write whose id was not in the index.
    pub doc_creates_queued: u64,
    /// Documents to write whose id was in the index.
    pub doc_updates_queued: u64,
    /// Documents to delete.
    pub doc_deletes_queued: u64,
    /// Documents whose content was fetched.
    pub binary_docs_downloaded: u64,
    /// Operations Elasticsearch carried out.
    pub result_successes: u64,
    /// Documents written (`indexed_document_count` of the job).
    pub indexed: u64,
    /// Bytes of the documents written (`indexed_document_volume` of the job is this in MiB).
    pub indexed_bytes: u64,
    /// Documents deleted (`deleted_document_count` of the job).
    pub deleted: u64,
    /// Index operations.
    pub index: OperationCounts,
    /// Update operations.
    pub update: OperationCounts,
    /// Delete operations.
    pub delete: OperationCounts,
}

impl Counters {
    pub(crate) fn operation(&mut self, kind: BulkOpKind) -> &mut OperationCounts {
        match kind {
            BulkOpKind::Index | BulkOpKind::Create => &mut self.index,
            BulkOpKind::Update => &mut self.update,
            BulkOpKind::Delete => &mut self.delete,
        }
    }

    /// Counts a final answer to an operation of this many bytes.
    pub(crate) fn answered(&mut self, kind: BulkOpKind, id: &str, bytes: usize, item: &BulkItem) {
        let counts = self.operation(kind);
        counts.responses += 1;
        match item.id.as_deref() {
            None => counts.ids_missing += 1,
            Some(answered) if answered != id => counts.ids_changed += 1,
            Some(_) => {}
        }
        if item.error.is_some() {
            counts.errors += 1;
            return;
        }
        let mut dropped = false;
        match item.result {
            None => counts.results_undefined += 1,
            Some(BulkResult::Noop) if kind != BulkOpKind::Update => {
                counts.dropped += 1;
                dropped = true;
            }
            Some(BulkResult::Updated) if kind == BulkOpKind::Index => counts.id_duplicates += 1,
            Some(_) => {}
        }
        self.result_successes += 1;
        if kind == BulkOpKind::Delete {
            self.deleted += u64::from(item.result == Some(BulkResult::Deleted));
        } else if dropped {
            self.docs_dropped += 1;
        } else {
            self.indexed += 1;
            self.indexed_bytes += bytes as u64;
        }
    }

    /// Documents the source sent that are accounted for.
    pub(crate) fn accounted(&self) -> u64 {
        self.indexed
            + self.docs_unchanged
            + self.docs_filtered
            + self.docs_vanished
            + self.docs_dropped
            + self.dead_letters
    }

    /// The volume written in whole MiB, rounded, as the job document has it.
    pub fn indexed_mebibytes(&self) -> u64 {
        const MEBIBYTE: u64 = 1 << 20;
        (self.indexed_bytes + MEBIBYTE / 2) / MEBIBYTE
    }

    /// All counters that are not 0, by name.
    pub fn to_value(&self) -> Map<String, Value> {
        let mut all = vec![
            ("docs_extracted".to_owned(), self.docs_extracted),
            ("docs_filtered".to_owned(), self.docs_filtered),
            ("docs_unchanged".to_owned(), self.docs_unchanged),
            ("docs_vanished".to_owned(), self.docs_vanished),
            ("docs_dropped".to_owned(), self.docs_dropped),
            ("docs_dropped_too_large".to_owned(), self.docs_dropped_too_large),
            ("dead_letters".to_owned(), self.dead_letters),
            ("undelivered".to_owned(), self.undelivered),
            ("doc_creates_queued".to_owned(), self.doc_creates_queued),
            ("doc_updates_queued".to_owned(), self.doc_updates_queued),
            ("doc_deletes_queued".to_owned(), self.doc_deletes_queued),
            ("binary_docs_downloaded".to_owned(), self.binary_docs_downloaded),
            ("result_successes".to_owned(), self.result_successes),
            ("indexed_document_count".to_owned(), self.indexed),
            ("indexed_document_volume".to_owned(), self.indexed_mebibytes()),
            ("deleted_document_count".to_owned(), self.deleted),
        ];
        for (name, counts) in [("index", &self.index), ("update", &self.update), ("delete", &self.delete)] {
            all.push((format!("bulk_operations.{name}"), counts.operations));
            let responses = format!("bulk_item_responses.{name}");
            for (suffix, count) in [
                ("ids_missing", counts.ids_missing),
                ("ids_changed_after_request", counts.ids_changed),
                ("id_duplicates", counts.id_duplicates),
                ("docs_dropped", counts.dropped),
                ("result_errors", counts.errors),
                ("results_undefined", counts.results_undefined),
            ] {
                all.push((format!("{responses}.{suffix}"), count));
            }
            all.push((responses, counts.responses));
        }
        all.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name, json!(count))).collect()
    }
}

#[cfg(test)]
mod tests {
    use connectors_es_client::BulkFailure;

    use super::*;

    fn item(id: Option<&str>, result: Option<BulkResult>) -> BulkItem {
        BulkItem { op: BulkOpKind::Index, id: id.map(Into::into), status: 200, result, error: None }
    }

    #[test]
    fn answers_are_counted_by_what_they_say() {
        let mut counters = Counters::default();
        counters.answered(BulkOpKind::Index, "a", 100, &item(Some("a"), Some(BulkResult::Created)));
        counters.answered(BulkOpKind::Index, "a", 100, &item(Some("b"), Some(BulkResult::Updated)));
        counters.answered(BulkOpKind::Index, "a", 100, &item(None, Some(BulkResult::Noop)));
        counters.answered(BulkOpKind::Index, "a", 100, &item(Some("a"), None));
        counters.answered(BulkOpKind::Update, "a", 100, &item(Some("a"), Some(BulkResult::Noop)));
        counters.answered(BulkOpKind::Delete, "a", 10, &item(Some("a"), Some(BulkResult::Deleted)));
        counters.answered(BulkOpKind::Delete, "a", 10, &item(Some("a"), Some(BulkResult::NotFound)));
        let failure = BulkFailure { kind: "x".into(), reason: "y".into() };
        let refused = BulkItem { error: Some(Box::new(failure)), ..item(Some("a"), None) };
        counters.answered(BulkOpKind::Create, "a", 100, &refused);
        counters.operation(BulkOpKind::Index).operations = 5;
        assert_eq!(
            Value::Object(counters.to_value()),
            json!({
                "docs_dropped": 1, "result_successes": 7, "indexed_document_count": 4, "deleted_document_count": 1,
                "bulk_operations.index": 5,
                "bulk_item_responses.index.ids_missing": 1,
                "bulk_item_responses.index.ids_changed_after_request": 1,
                "bulk_item_responses.index.id_duplicates": 1,
                "bulk_item_responses.index.docs_dropped": 1,
                "bulk_item_responses.index.result_errors": 1,
                "bulk_item_responses.index.results_undefined": 1,
                "bulk_item_responses.index": 5,
                "bulk_item_responses.update": 1,
                "bulk_item_responses.delete": 2,
            })
        );
        assert_eq!(counters.accounted(), 5);
    }

    #[test]
    fn volume_is_rounded_to_mebibytes() {
        let volume = |indexed_bytes| Counters { indexed_bytes, ..Counters::default() }.indexed_mebibytes();
        assert_eq!((volume(500_000), volume(600_000), volume(10 << 20)), (0, 1, 10));
    }
}
