//! The `_bulk` API: many document operations in one request.

mod body;
mod response;

use std::fmt;

pub use body::{BulkBody, BulkOp, BulkRequest};
use connectors_transport::Method;
pub use response::{BulkFailure, BulkItem, BulkResponse, BulkResult};

use crate::client::{EsClient, EsRequest};
use crate::error::EsError;
use crate::path::path;

/// What an operation does to its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BulkOpKind {
    /// Writes the document, replacing what was there.
    Index,
    /// Writes the document; fails with 409 if it exists.
    Create,
    /// Merges fields into the document, or creates it.
    Update,
    /// Removes the document.
    Delete,
}

impl BulkOpKind {
    /// The name in requests and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Index, Self::Create, Self::Update, Self::Delete].into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for BulkOpKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether a write waits until searches see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refresh {
    /// Does not wait: the index is refreshed when it is due.
    #[default]
    No,
    /// Refreshes now; costs the cluster a segment each time.
    Now,
    /// Waits for the next refresh.
    WaitFor,
}

impl Refresh {
    pub(crate) fn parameter(self) -> Option<&'static str> {
        match self {
            Self::No => None,
            Self::Now => Some("true"),
            Self::WaitFor => Some("wait_for"),
        }
    }
}

/// Where the operations of a bulk request go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BulkParams {
    /// The index or alias.
    pub index: String,
    /// The ingest pipeline that documents go through.
    pub pipeline: Option<String>,
    /// Whether to wait for searches to see the documents.
    pub refresh: Refresh,
}

impl BulkParams {
    /// Into an index, without a pipeline or refresh.
    pub fn new(index: impl Into<String>) -> Self {
        Self { index: index.into(), ..Self::default() }
    }
}

impl EsClient {
    /// Runs the operations, and answers with one item for each, in their order. An operation that failed is no error
    /// here: look at the items.
    ///
    /// The whole request is sent again after 429, 502, 503 and 504, after connection failures, and after timeouts if
    /// `retry_on_timeout`. That is safe even when the first one did run, because each operation names its document:
    /// index, update and delete leave the same documents behind, and only `create` and `delete` then answer 409 and
    /// 404. It is not sent again after a 500, which is about something in this body.
    pub async fn bulk(&self, params: &BulkParams, operations: &BulkRequest) -> Result<BulkResponse, EsError> {
        if operations.is_empty() {
            return Ok(BulkResponse::default());
        }
        let mut request = EsRequest::new(Method::POST, path([params.index.as_str(), "_bulk"]))
            .ndjson(operations.body().clone());
        if let Some(pipeline) = &params.pipeline {
            request = request.query("pipeline", pipeline.as_str());
        }
        if let Some(refresh) = params.refresh.parameter() {
            request = request.query("refresh", refresh);
        }
        let answer = self.send(request).await?;
        let response: BulkResponse = answer.json()?;
        if response.items.len() == operations.len() {
            Ok(response)
        } else {
            Err(answer.invalid(format!(
                "{} operations were sent, but {} are answered",
                operations.len(),
                response.items.len()
            )))
        }
    }
}
