//! What a job does with the index beside writing to it: it makes it, reads which documents it holds, and deletes those that the
//! source does not have.

use std::io;

use connectors_es_client::{BulkBody, Scan};
use connectors_protocol::sync_job::JobType;
use serde_json::Map;

use super::Job;
use crate::error::SyncError;
use crate::inventory::{Inventory, InventoryBuilder, Revision};
use crate::new_index;
use crate::progress::Phase;

/// Documents in a page when the index is scanned: the most Elasticsearch gives.
const SCAN_PAGE: usize = 10_000;

impl Job {
    /// Makes the index if it is missing, and lets the writer begin. Without an index the job fails.
    pub(super) async fn make_index(&self, exists: bool) {
        if !exists && !self.input.dry_run {
            let (known, own) = match self.input.job_type {
                JobType::AccessControl => (Map::new(), Map::new()),
                JobType::Full | JobType::Incremental => (
                    self.input.source.mapping(self.input.filter.advanced_rules()),
                    self.input.mapping.clone(),
                ),
            };
            let body = new_index::body(&self.client, &self.index, known, &own).await;
            if let Err(error) = self.client.create_index(&self.index, &body).await {
                return self.writer.fail(error.into());
            }
        }
        self.writer.open();
    }

    fn scan(&self) -> Scan {
        self.client.scan(&self.index, SCAN_PAGE).by_document_id(self.owns_id_field())
    }

    /// Reads ids and timestamps of the index.
    pub(super) async fn inventory(&self, exists: bool) -> Result<Inventory, SyncError> {
        let options = &self.input.options;
        let mut builder = InventoryBuilder::new(options.inventory_bytes, options.spill_directory.clone());
        if exists && !self.input.dry_run {
            // Documents of an interrupted run may not be visible yet.
            self.client.refresh(&self.index).await?;
        }
        if exists && self.client.count(&self.index, None).await? > 0 {
            let mut scan = self.scan().with_access(self.is_restricted());
            while let Some(page) = scan.next_page().await? {
                builder = self
                    .on_files(builder, move |builder| {
                        page.iter().try_for_each(|hit| {
                            let access = hit.access.iter().flatten().map(String::as_str);
                            let version = hit.content_hash.as_deref().or(hit.timestamp.as_deref());
                            let access: Vec<&str> = access.collect();
                            let revision = || Revision::new(version, access.iter().copied());
                            // A pipeline changed one of them: which one the source knows is not known.
                            if let Some(other) = &hit.other_document_id {
                                builder.add(other, revision())?;
                            }
                            builder.add(&hit.id, revision())
                        })
                    })
                    .await?;
            }
        }
        let inventory = tokio::task::spawn_blocking(|| builder.finish());
        let inventory = inventory.await.map_err(|panic| SyncError::Panic(panic.to_string()))?;
        let inventory = inventory.map_err(|error| self.file_error(error))?;
        tracing::debug!("the index {} holds {} documents", self.index, inventory.len());
        Ok(inventory)
    }

    /// Adds to the inventory on a blocking thread: it sorts and writes files when it is large.
    async fn on_files(
        &self,
        mut builder: InventoryBuilder,
        work: impl FnOnce(&mut InventoryBuilder) -> io::Result<()> + Send + 'static,
    ) -> Result<InventoryBuilder, SyncError> {
        let done = tokio::task::spawn_blocking(move || work(&mut builder).map(|()| builder)).await;
        done.map_err(|panic| SyncError::Panic(panic.to_string()))?.map_err(|error| self.file_error(error))
    }

    pub(super) fn file_error(&self, error: io::Error) -> SyncError {
        SyncError::File { path: self.input.options.spill_directory.display().to_string(), error }
    }

    /// Deletes what was in the index and was not seen in the source. The ids come from a second pass over the index.
    pub(super) async fn delete_leftovers(&self, inventory: &Inventory) -> Result<(), SyncError> {
        if inventory.leftovers() == 0 {
            return Ok(());
        }
        self.ledger.enter(Phase::Deleting);
        let mut scan = self.scan();
        while let Some(page) = scan.next_page().await? {
            let mut ids = Vec::new();
            for hit in &page {
                // A spilled inventory reads blocks of a file that was written a moment ago: they are in memory.
                let is_leftover =
                    |id: &str| inventory.is_leftover(id).map_err(|error| self.file_error(error));
                let other = hit.other_document_id.as_deref();
                if is_leftover(&hit.id)? && other.map_or(Ok(true), is_leftover)? {
                    ids.push(hit.document_id());
                }
            }
            let found = ids.len() as u64;
            self.ledger.count(|counters| counters.doc_deletes_queued += found);
            if self.input.dry_run {
                self.ledger.count(|counters| counters.deleted += found);
                continue;
            }
            for chunk in ids.chunks(self.input.options.chunk_size.max(1)) {
                let mut body = BulkBody::new();
                for id in chunk {
                    body.delete(id);
                }
                self.writer.submit(body.finish_request(), ()).await?;
            }
        }
        self.settle().await
    }
}
