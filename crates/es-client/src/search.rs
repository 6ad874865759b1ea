//! Searches.

use connectors_transport::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::client::{EsClient, EsRequest};
use crate::documents::Guard;
use crate::error::EsError;
use crate::path::path;

/// The answer of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchPage {
    /// The documents of this page, in order.
    pub hits: Vec<SearchHit>,
    /// How many documents match; none when the search does not count.
    pub total: Option<Total>,
    /// The results of the aggregations by name.
    pub aggregations: Map<String, Value>,
    /// Milliseconds the cluster worked on it.
    pub took: u64,
}

/// How many documents match a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// The number.
    pub value: u64,
    /// Whether it is only a lower bound, because the search stopped counting.
    pub at_least: bool,
}

/// A document that a search found.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SearchHit {
    /// The index it is in.
    #[serde(rename = "_index", default)]
    pub index: String,
    /// Its id.
    #[serde(rename = "_id")]
    pub id: String,
    /// How well it matches; none when the search sorts by something else.
    #[serde(rename = "_score", default)]
    pub score: Option<f64>,
    /// Its fields, as far as the search asked for them.
    #[serde(rename = "_source", default)]
    pub source: Map<String, Value>,
    /// The values it is sorted by, for `search_after`.
    #[serde(default)]
    pub sort: Vec<Value>,
    /// Fragments of its fields with the found words marked, by field.
    #[serde(default)]
    pub highlight: Map<String, Value>,
    #[serde(rename = "_seq_no", default)]
    seq_no: Option<u64>,
    #[serde(rename = "_primary_term", default)]
    primary_term: Option<u64>,
}

impl SearchHit {
    /// Its state for a guarded write, if the search asked for it (`seq_no_primary_term`).
    pub fn guard(&self) -> Option<Guard> {
        Some(Guard { seq_no: self.seq_no?, primary_term: self.primary_term? })
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    took: u64,
    #[serde(default)]
    timed_out: bool,
    #[serde(rename = "_shards", default)]
    shards: Shards,
    hits: Hits,
    #[serde(default)]
    aggregations: Map<String, Value>,
}

#[derive(Deserialize)]
struct Hits {
    #[serde(default)]
    total: Option<AnswerTotal>,
    hits: Vec<SearchHit>,
}

#[derive(Deserialize)]
struct AnswerTotal {
    value: u64,
    #[serde(default)]
    relation: String,
}

/// How many shards took part. An answer of some of them looks like a smaller index, which would make a sync delete or
/// rewrite documents, so it is an error everywhere.
#[derive(Deserialize, Default)]
pub(crate) struct Shards {
    #[serde(default)]
    pub(crate) failed: u64,
}

impl EsClient {
    /// Runs a search; `query` are parameters such as `expand_wildcards`. An answer that lacks shards or timed out is an
    /// error.
    pub async fn search(
        &self,
        index: &str,
        body: &Value,
        query: &[(&str, &str)],
    ) -> Result<SearchPage, EsError> {
        let mut request = EsRequest::new(Method::POST, path([index, "_search"])).json(body);
        for (name, value) in query {
            request = request.query(*name, *value);
        }
        let answer = self.send(request).await?;
        let page: Answer = answer.json()?;
        if page.timed_out || page.shards.failed > 0 {
            return Err(
                answer.invalid("the search did not reach all shards in time, so its answer is incomplete")
            );
        }
        Ok(SearchPage {
            hits: page.hits.hits,
            total: page
                .hits
                .total
                .map(|total| Total { value: total.value, at_least: total.relation == "gte" }),
            aggregations: page.aggregations,
            took: page.took,
        })
    }
}
