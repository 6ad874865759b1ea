//! Takes what the source sends, and decides what has to be written.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use connectors_es_client::BulkOpKind;
use connectors_protocol::document_id;
use connectors_protocol::filtering::{BasicRules, RuleMatches};
use connectors_protocol::pipeline::Pipeline;
use connectors_sdk::{Document, ErrorKind, Message, SourceError};
use serde_json::Value;

use crate::content_hash::{ContentHasher, Digest};
use crate::dead_letters::DeadLetter;
use crate::document::{Added, CONTENT_HASH, Outgoing};
use crate::error::SyncError;
use crate::inventory::{Inventory, Known, Revision};
use crate::progress::Ledger;

/// Field of a document with the identities that may see it.
const ACCESS_FIELD: &str = "_allow_access_control";

/// After so many documents in a row that have to be written, they are taken to fill the memory that they share. One of few among
/// many that are dropped would keep all of it taken.
const NEIGHBOURS: usize = 32;

/// What decides.
#[derive(Debug)]
pub(crate) struct Decisions {
    pub rules: BasicRules,
    /// Pipeline settings content documents carry; identities carry none.
    pub pipeline: Option<Pipeline>,
    /// Write also what did not change.
    pub force: bool,
    /// A document must say who may see it.
    pub restricted: bool,
    /// How a document is written whose id is in the index.
    pub known: BulkOpKind,
    /// Content without a timestamp is compared by its hash. Identities are few, and always written, as the protocol has it.
    pub hashes: bool,
    /// The field `id` is the source's own.
    pub owns_id_field: bool,
}

/// Documents to be written, and what was learned of the listing.
#[derive(Debug)]
pub(crate) struct Intake {
    decisions: Decisions,
    ledger: Arc<Ledger>,
    tally: Tally,
    /// Which rule decided about how many documents.
    pub matches: RuleMatches,
    /// What the index holds; none when the source sends changes.
    pub inventory: Option<Inventory>,
    /// Documents to be written.
    pub pending: Vec<Outgoing>,
    /// About how many bytes they take, with the content that blocking downloads will read.
    pub pending_bytes: usize,
    /// Ids to be deleted, from a source that sends changes. They are written after everything pending.
    pub deletes: Vec<String>,
    /// The last cursor.
    pub cursor: Option<Value>,
    open_partitions: HashSet<String>,
    /// How many documents in a row had to be written.
    neighbours: usize,
    hasher: ContentHasher,
}

impl Intake {
    pub(crate) fn new(decisions: Decisions, inventory: Option<Inventory>, ledger: Arc<Ledger>) -> Self {
        let hasher = ContentHasher::new(decisions.pipeline.as_ref());
        Self {
            matches: decisions.rules.matches(),
            decisions,
            ledger,
            tally: Tally::default(),
            inventory,
            pending: Vec::new(),
            pending_bytes: 0,
            deletes: Vec::new(),
            cursor: None,
            open_partitions: HashSet::new(),
            neighbours: 0,
            hasher,
        }
    }

    /// Takes one message. It fails on a message that does not belong into this kind of job. What it counts is in the books
    /// after [`book`](Self::book).
    pub(crate) fn take(&mut self, message: Message) -> Result<(), TakeError> {
        match message {
            Message::Document(document) => self.document(document, None)?,
            Message::Update(document) if self.inventory.is_none() => {
                self.document(document, Some(BulkOpKind::Update))?;
            }
            Message::Delete(id) if self.inventory.is_none() => {
                self.delete(&id);
            }
            Message::Update(_) | Message::Delete(_) => {
                let error = SourceError::new(
                    ErrorKind::Unexpected,
                    "list all documents",
                    "the source sent a change where it has to send whole documents",
                );
                return Err(TakeError::Source(error));
            }
            Message::Checkpoint(cursor) => self.cursor = Some(cursor),
            Message::PartitionStarted(name) => {
                self.open_partitions.insert(name);
            }
            Message::PartitionDone(name) => {
                self.open_partitions.remove(&name);
            }
        }
        Ok(())
    }

    fn delete(&mut self, id: &str) {
        self.tally.deletes += 1;
        self.deletes.push(document_id::stored(id).into_owned());
    }

    /// Whether the document of this id is to be deleted before anything else is written of it.
    pub(crate) fn deletes(&self, id: &str) -> bool {
        !self.deletes.is_empty() && self.deletes.iter().any(|deleted| *deleted == document_id::stored(id))
    }

    fn document(&mut self, mut document: Document, operation: Option<BulkOpKind>) -> Result<(), TakeError> {
        self.tally.extracted += 1;
        if document.id.is_empty() {
            self.bury(String::new(), "invalid_id", "the source sent a document without an id");
            return Ok(());
        }
        if self.decisions.restricted && !says_who_may_see_it(&document) {
            // What the index has of it is deleted, for nobody knows who may see it: in a full sync because it is not seen.
            if self.inventory.is_none() {
                self.delete(&document.id);
            }
            self.bury(
                document.id,
                "permissions_unknown",
                format!("the source did not say in {ACCESS_FIELD} who may see this document"),
            );
            return Ok(());
        }
        if document.id.len() > document_id::MAX_BYTES {
            document.id = document_id::hash_id(&document.id);
        }
        // Of a part of a document nothing can be said about the whole.
        let hash = match operation {
            None if self.decisions.hashes => self.hasher.of(&document),
            None | Some(_) => None,
        };
        if self.looks_at_fields(&document, operation)
            && let Err(error) = document.expand()
        {
            // What the index has of it stays.
            if let Some(inventory) = &mut self.inventory {
                inventory.see(&document.id, None).map_err(TakeError::Inventory)?;
            }
            self.bury(
                document.id,
                "not_readable",
                format!("its fields cannot be looked at, as sync rules, downloads and access lists need it: {error}"),
            );
            return Ok(());
        }
        let Decisions { pipeline, owns_id_field, .. } = &self.decisions;
        let added = Added::to(&document, pipeline.as_ref(), *owns_id_field, hash);
        let added = if document.text.is_empty() {
            // Rules see these fields, too.
            added.insert(&mut document);
            None
        } else {
            Some(added)
        };
        if operation.is_some() {
            document.fields.insert(CONTENT_HASH.to_owned(), Value::Null);
        }
        let decision = self.decisions.rules.decide(&document.fields);
        self.matches.record(decision);
        if !decision.include {
            self.tally.filtered += 1;
            if self.inventory.is_none() {
                // It may have been let in as it was before.
                self.delete(&document.id);
            }
            return Ok(());
        }
        let known = match &mut self.inventory {
            Some(inventory) => {
                let access = self.decisions.restricted.then(|| identities(&document)).flatten();
                let access = access.into_iter().flatten().filter_map(Value::as_str);
                let version = document.timestamp.as_deref().or(hash.as_ref().map(Digest::as_str));
                let revision = Revision::new(version, access);
                inventory.see(&document.id, revision).map_err(TakeError::Inventory)?
            }
            None => Known::Changed,
        };
        if known == Known::Unchanged && !self.decisions.force {
            self.tally.unchanged += 1;
            self.neighbours = 0;
            return Ok(());
        }
        match known {
            Known::New => self.tally.creates += 1,
            Known::Changed | Known::Unchanged => self.tally.updates += 1,
        }
        let kind = operation.unwrap_or(match known {
            Known::New => BulkOpKind::Index,
            Known::Changed | Known::Unchanged => self.decisions.known,
        });
        let size = document.size() + added.as_ref().map_or(0, |_| Added::SIZE);
        let content = document.download.as_ref().filter(|download| download.is_blocking());
        let content = content.map_or(0, |download| usize::try_from(download.size()).unwrap_or(usize::MAX));
        self.pending_bytes = self.pending_bytes.saturating_add(size).saturating_add(content);
        let Document { id, timestamp, fields, mut text, download } = document;
        if self.neighbours < NEIGHBOURS {
            text = text.detached();
        }
        self.neighbours += 1;
        let all_or_nothing = self.decisions.restricted;
        self.pending.push(Outgoing {
            id,
            kind,
            fields,
            text,
            added,
            timestamp,
            download,
            size,
            all_or_nothing,
        });
        Ok(())
    }

    /// Records a document that cannot be written, for what is wrong with it.
    fn bury(&self, id: String, kind: &str, reason: impl Into<String>) {
        let letter = DeadLetter {
            id,
            operation: BulkOpKind::Index.as_str(),
            status: None,
            kind: kind.to_owned(),
            reason: reason.into(),
        };
        self.ledger.bury(letter, false);
    }

    /// Whether fields of the document have to be looked at or changed, and are not only sent.
    fn looks_at_fields(&self, document: &Document, operation: Option<BulkOpKind>) -> bool {
        !self.decisions.rules.is_empty()
            || self.decisions.restricted
            || document.download.is_some()
            || operation.is_some()
            || !document.fields.is_empty()
            || (document.text.has_id() && !self.decisions.owns_id_field)
    }

    /// Puts what was counted into the books.
    pub(crate) fn book(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        self.ledger.count(|counters| {
            counters.docs_extracted += tally.extracted;
            counters.docs_filtered += tally.filtered;
            counters.docs_unchanged += tally.unchanged;
            counters.doc_creates_queued += tally.creates;
            counters.doc_updates_queued += tally.updates;
            counters.doc_deletes_queued += tally.deletes;
        });
    }

    /// The documents to be written so far.
    pub(crate) fn batch(&mut self) -> Vec<Outgoing> {
        self.pending_bytes = 0;
        std::mem::take(&mut self.pending)
    }

    /// An error if the listing has holes. Logs which rules decided how often.
    pub(crate) fn check_complete(&self) -> Result<(), SyncError> {
        if !self.decisions.rules.is_empty() {
            tracing::info!("documents decided by each sync rule: {}", self.matches);
        }
        if self.open_partitions.is_empty() {
            return Ok(());
        }
        let mut open: Vec<String> = self.open_partitions.iter().cloned().collect();
        open.sort();
        Err(SyncError::Partitions(open))
    }
}

fn identities(document: &Document) -> Option<&Vec<Value>> {
    document.fields.get(ACCESS_FIELD).and_then(Value::as_array)
}

/// An empty list would be no restriction for the query of an identity.
fn says_who_may_see_it(document: &Document) -> bool {
    identities(document)
        .is_some_and(|identities| !identities.is_empty() && identities.iter().all(Value::is_string))
}

/// What is counted of each document and is not in the books yet: they have one lock for all stages.
#[derive(Debug, Default)]
struct Tally {
    extracted: u64,
    filtered: u64,
    unchanged: u64,
    creates: u64,
    updates: u64,
    deletes: u64,
}

/// Why a message could not be taken.
#[derive(Debug)]
pub(crate) enum TakeError {
    Source(SourceError),
    Inventory(io::Error),
}

#[cfg(test)]
mod tests {
    use connectors_sdk::{FieldName, FieldsPage};

    use super::*;
    use crate::dead_letters::DeadLetters;
    use crate::inventory::InventoryBuilder;
    use crate::monitor::ErrorMonitor;
    use crate::{ErrorLimits, Totals};

    const COUNT: usize = 3 * NEIGHBOURS;

    /// Documents that share a page.
    fn documents() -> Vec<Document> {
        let name = FieldName::distinct(["n"]).unwrap();
        let mut page = FieldsPage::default();
        let document = |number: usize| {
            let mut fields = page.begin();
            fields.field(&name[0]).integer(i64::try_from(number).unwrap());
            Document::written(number.to_string(), fields.finish())
        };
        (0..COUNT).map(document).collect()
    }

    /// For each document that has to be written: its number, and whether it is still where the source wrote it.
    fn taken(unchanged: impl Fn(usize) -> bool) -> Vec<(usize, bool)> {
        let (documents, folder) = (documents(), tempfile::tempdir().unwrap());
        let mut hasher = ContentHasher::new(None);
        let mut inventory = InventoryBuilder::new(1 << 20, folder.path().to_owned());
        for (_, document) in documents.iter().enumerate().filter(|(number, _)| unchanged(*number)) {
            let hash = hasher.of(document).unwrap();
            inventory.add(&document.id, Some(hash.as_str())).unwrap();
        }
        let decisions = Decisions {
            rules: BasicRules::default(),
            pipeline: None,
            force: false,
            restricted: false,
            known: BulkOpKind::Index,
            hashes: true,
            owns_id_field: false,
        };
        let places: Vec<_> = documents.iter().map(|document| document.text.as_bytes().as_ptr()).collect();
        let (dead_letters, _) = DeadLetters::open(0, None);
        let ledger = Ledger::new(ErrorMonitor::new(ErrorLimits::default()), dead_letters, Totals::default());
        let mut intake = Intake::new(decisions, Some(inventory.finish().unwrap()), Arc::new(ledger));
        for document in documents {
            intake.take(Message::Document(document)).unwrap();
        }
        let written = |document: Outgoing| {
            let number: usize = document.id.parse().unwrap();
            (number, document.text.as_bytes().as_ptr() == places[number])
        };
        intake.batch().into_iter().map(written).collect()
    }

    #[test]
    fn few_documents_that_changed_do_not_keep_the_memory_of_all_others() {
        let expected: Vec<_> = (0..COUNT).step_by(10).map(|number| (number, false)).collect();
        assert_eq!(taken(|number| number % 10 != 0), expected);
        let all: Vec<_> = (0..COUNT).map(|number| (number, number >= NEIGHBOURS)).collect();
        assert_eq!(taken(|_| false), all);
    }
}
