//! The answer of a search, written as JSON. Sources are copied as they are stored, never parsed for it.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::keys::single;
use crate::error::{ApiError, Result};

/// Matches counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// The number, or its lower bound.
    pub value: u64,
    /// It is a lower bound (`relation: gte`).
    pub lower_bound: bool,
}

/// One hit.
#[derive(Debug, Clone, Default)]
pub struct Hit {
    /// `_index`.
    pub index: Arc<str>,
    /// `_id`; `None` with `stored_fields: _none_`.
    pub id: Option<String>,
    /// `_routing`, where the document has one.
    pub routing: Option<String>,
    /// `_version`, when asked for.
    pub version: Option<u64>,
    /// `_seq_no`, when asked for; `_primary_term` is always 1.
    pub seq_no: Option<u64>,
    /// `_score`; `None` is null.
    pub score: Option<f32>,
    /// `_ignored`: fields that left a value of the document out.
    pub ignored: Vec<String>,
    /// `_source` as JSON text.
    pub source: Option<Bytes>,
    /// `fields`.
    pub fields: Map<String, Value>,
    /// `highlight`.
    pub highlight: Option<Map<String, Value>>,
    /// `sort`.
    pub sort: Option<Vec<Value>>,
}

/// The answer of a search.
#[derive(Debug, Clone, Default)]
pub struct SearchResponse {
    /// `_scroll_id`.
    pub scroll_id: Option<String>,
    /// `pit_id`.
    pub pit_id: Option<String>,
    /// `took`, milliseconds.
    pub took: u64,
    /// `terminated_early`, when `terminate_after` was given.
    pub terminated_early: Option<bool>,
    /// Indices searched: each is one shard.
    pub shards: usize,
    /// What failed in some of them.
    pub failures: Vec<ApiError>,
    /// `hits.total`; `None` when it was not counted.
    pub total: Option<Total>,
    /// `hits.max_score`.
    pub max_score: Option<f32>,
    /// `hits.hits`.
    pub hits: Vec<Hit>,
    /// `aggregations`.
    pub aggregations: Option<Value>,
}

/// How the answer is to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Format {
    /// `rest_total_hits_as_int`.
    pub total_as_int: bool,
    /// Add `status: 200`: inside `_msearch`.
    pub with_status: bool,
}

impl SearchResponse {
    /// The JSON text of the answer.
    pub fn to_json(&self, format: Format) -> Result<Vec<u8>> {
        let mut out = Writer { bytes: Vec::with_capacity(256 + self.hits.len() * 512), first: true };
        out.open();
        if let Some(id) = &self.scroll_id {
            out.member("_scroll_id", id)?;
        }
        if let Some(id) = &self.pit_id {
            out.member("pit_id", id)?;
        }
        out.member("took", &self.took)?;
        out.member("timed_out", &false)?;
        if let Some(early) = self.terminated_early {
            out.member("terminated_early", &early)?;
        }
        out.member("_shards", &shards(self.shards, &self.failures))?;
        out.key("hits");
        self.write_hits(&mut out, format)?;
        if let Some(aggregations) = &self.aggregations {
            out.member("aggregations", aggregations)?;
        }
        if format.with_status {
            out.member("status", &200)?;
        }
        out.close();
        Ok(out.bytes)
    }

    fn write_hits(&self, out: &mut Writer, format: Format) -> Result<()> {
        out.open();
        match self.total {
            Some(total) if format.total_as_int => out.member("total", &total.value)?,
            Some(total) => {
                let relation = if total.lower_bound { "gte" } else { "eq" };
                out.member("total", &serde_json::json!({ "value": total.value, "relation": relation }))?;
            }
            None if format.total_as_int => out.member("total", &-1)?,
            None => {}
        }
        out.member("max_score", &score(self.max_score))?;
        out.key("hits");
        out.bytes.push(b'[');
        for (n, hit) in self.hits.iter().enumerate() {
            if n > 0 {
                out.bytes.push(b',');
            }
            hit.write(out)?;
        }
        out.bytes.push(b']');
        out.close();
        Ok(())
    }
}

impl Hit {
    fn write(&self, out: &mut Writer) -> Result<()> {
        out.open();
        out.member("_index", self.index.as_ref())?;
        if let Some(id) = &self.id {
            out.member("_id", id)?;
        }
        if let Some(version) = self.version {
            out.member("_version", &version)?;
        }
        if let Some(seq_no) = self.seq_no {
            out.member("_seq_no", &seq_no)?;
            out.member("_primary_term", &1)?;
        }
        out.member("_score", &score(self.score))?;
        if let Some(routing) = &self.routing {
            out.member("_routing", routing)?;
        }
        if !self.ignored.is_empty() {
            out.member("_ignored", &self.ignored)?;
        }
        if let Some(source) = &self.source {
            out.key("_source");
            out.bytes.extend_from_slice(source);
        }
        if !self.fields.is_empty() {
            out.member("fields", &self.fields)?;
        }
        if let Some(highlight) = &self.highlight {
            out.member("highlight", highlight)?;
        }
        if let Some(sort) = &self.sort {
            out.member("sort", sort)?;
        }
        out.close();
        Ok(())
    }
}

fn score(score: Option<f32>) -> Value {
    score.map_or(Value::Null, |score| single(f64::from(score)))
}

/// `_shards` of an answer over `count` indices.
pub fn shards(count: usize, failures: &[ApiError]) -> Value {
    let failed = failures.len();
    let mut shards = serde_json::json!({
        "total": count, "successful": count - failed, "skipped": 0, "failed": failed
    });
    if failed > 0 {
        shards["failures"] = failures.iter().filter_map(super::failed_shard).cloned().collect();
    }
    shards
}

struct Writer {
    bytes: Vec<u8>,
    first: bool,
}

impl Writer {
    fn open(&mut self) {
        self.bytes.push(b'{');
        self.first = true;
    }

    fn close(&mut self) {
        self.bytes.push(b'}');
        self.first = false;
    }

    /// Keys here are plain ASCII names.
    fn key(&mut self, name: &str) {
        if !self.first {
            self.bytes.push(b',');
        }
        self.first = false;
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        self.key(name);
        serde_json::to_writer(&mut self.bytes, value).map_err(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_answer_is_json_and_sources_are_verbatim() {
        let response = SearchResponse {
            took: 3,
            shards: 1,
            total: Some(Total { value: 10_000, lower_bound: true }),
            max_score: Some(0.287_682_1),
            hits: vec![Hit {
                index: "i".into(),
                id: Some("a\"b".into()),
                score: Some(1.0),
                source: Some(Bytes::from_static(b"{ \"x\" : 1.50 }")),
                sort: Some(vec![json!(1)]),
                ..Hit::default()
            }],
            ..SearchResponse::default()
        };
        let text = String::from_utf8(response.to_json(Format::default()).expect("json")).expect("UTF-8");
        assert_eq!(
            text,
            r#"{"took":3,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"hits":{"total":{"value":10000,"relation":"gte"},"max_score":0.2876821,"hits":[{"_index":"i","_id":"a\"b","_score":1.0,"_source":{ "x" : 1.50 },"sort":[1]}]}}"#
        );
        let int = response.to_json(Format { total_as_int: true, with_status: true }).expect("json");
        let int: Value = serde_json::from_slice(&int).expect("json");
        assert_eq!((&int["hits"]["total"], &int["status"]), (&json!(10_000), &json!(200)));
    }
}
