//! Reading the ids and timestamps of a whole index.

use std::borrow::Cow;
use std::fmt;

use connectors_transport::Method;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::client::{EsClient, EsRequest, EsResponse};
use crate::error::{EsError, EsErrorKind};
use crate::path::path;
use crate::search::Shards;

/// How long the server keeps the view of the index after a page: a page is worked on in well under that.
const KEEP_ALIVE: &str = "10m";

/// What a page of a scan holds of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanHit {
    /// The id of the source: the field `id`, or `_id` where that is missing.
    pub id: String,
    /// The document's `_id` where it is another (an ingest pipeline can change it).
    pub other_document_id: Option<String>,
    /// The field `_timestamp`, as it was written.
    pub timestamp: Option<String>,
    /// The field `_content_hash`.
    pub content_hash: Option<String>,
    /// The field `_allow_access_control`, if the scan reads it ([`Scan::with_access`]) and it is a list of texts.
    pub access: Option<Vec<String>>,
}

impl ScanHit {
    /// The id to delete the document by.
    pub fn document_id(&self) -> &str {
        self.other_document_id.as_deref().unwrap_or(&self.id)
    }
}

/// A running scan of one index; made by [`EsClient::scan`]. It sees the index as of its first page, whatever is written
/// meanwhile, and each document once.
#[derive(Debug)]
pub struct Scan {
    client: EsClient,
    index: String,
    page_size: usize,
    with_access: bool,
    by_document_id: bool,
    state: State,
}

/// How a point in time is opened and closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// `/_pit`: Elasticsearch from 7.12, and the embedded node.
    Elasticsearch,
    /// `/_search/point_in_time`, with the `_shard_doc` order that `OpenSearch` has from 3.3. Older ones are scrolled.
    OpenSearch,
}

#[derive(Debug)]
enum State {
    Start,
    PointInTime { dialect: Dialect, id: String, after: Option<Box<RawValue>> },
    Scroll { id: String },
    End,
}

impl EsClient {
    /// Starts to read ids and timestamps of all documents that searches see, in pages of `page_size` (1 to 10,000), in
    /// no particular order. Makes no request yet.
    pub fn scan(&self, index: &str, page_size: usize) -> Scan {
        let page_size = page_size.clamp(1, 10_000);
        Scan {
            client: self.clone(),
            index: index.to_owned(),
            page_size,
            with_access: false,
            by_document_id: false,
            state: State::Start,
        }
    }
}

impl Scan {
    /// Reads who may see each document, too.
    #[must_use]
    pub fn with_access(mut self, with_access: bool) -> Self {
        self.with_access = with_access;
        self
    }

    /// Takes `_id` for the id: the field `id` is something else in these documents.
    #[must_use]
    pub fn by_document_id(mut self, by_document_id: bool) -> Self {
        self.by_document_id = by_document_id;
        self
    }

    fn fields(&self) -> Vec<&'static str> {
        let mut fields = vec!["_timestamp", "_content_hash"];
        if !self.by_document_id {
            fields.push("id");
        }
        if self.with_access {
            fields.push("_allow_access_control");
        }
        fields
    }

    /// The next page; none at the end. After an error the scan cannot go on.
    pub async fn next_page(&mut self) -> Result<Option<Vec<ScanHit>>, EsError> {
        let page = match std::mem::replace(&mut self.state, State::End) {
            State::Start => self.first_page().await?,
            State::PointInTime { dialect, id, after } => self.pit_page(dialect, id, after).await?,
            State::Scroll { id } => self.scroll_page(&id).await?,
            State::End => return Ok(None),
        };
        // A page that is not full is the last: asking for an empty one more would be wasted.
        if page.len() < self.page_size {
            self.close().await;
        }
        Ok(if page.is_empty() { None } else { Some(page) })
    }

    /// Frees the server's view of the index when the scan is not read to its end. The server does it by itself after
    /// some minutes, so a failure is not an error.
    pub async fn close(&mut self) {
        let (path, body) = match std::mem::replace(&mut self.state, State::End) {
            State::Start | State::End => return,
            State::PointInTime { dialect: Dialect::OpenSearch, id, .. } => {
                ("/_search/point_in_time", json!({ "pit_id": [id] }))
            }
            State::PointInTime { id, .. } => ("/_pit", json!({ "id": id })),
            State::Scroll { id } => ("/_search/scroll", json!({ "scroll_id": [id] })),
        };
        let request = EsRequest::new(Method::DELETE, path).json(&body).accept(&[404]);
        if let Err(error) = self.client.send(request).await {
            tracing::debug!("a scan of {} stays open until it expires: {error}", self.index);
        }
    }

    /// Finds out by trying how the server keeps a view open. Needs no more rights than reading the index.
    async fn first_page(&mut self) -> Result<Vec<ScanHit>, EsError> {
        for dialect in [Dialect::Elasticsearch, Dialect::OpenSearch] {
            let opened = match self.open(dialect).await {
                Ok(id) => self.pit_page(dialect, id, None).await,
                Err(error) => Err(error),
            };
            match opened {
                Err(error) if is_missing_api(&error) => self.close().await,
                result => return result,
            }
        }
        let request = EsRequest::new(Method::POST, path([self.index.as_str(), "_search"]))
            .query("scroll", KEEP_ALIVE)
            .query("allow_partial_search_results", "false")
            .json(&json!({ "size": self.page_size, "sort": ["_doc"], "_source": self.fields() }));
        self.scrolled(request).await
    }

    async fn open(&self, dialect: Dialect) -> Result<String, EsError> {
        let (api, field): (&[&str], _) = match dialect {
            Dialect::OpenSearch => (&["_search", "point_in_time"], "pit_id"),
            Dialect::Elasticsearch => (&["_pit"], "id"),
        };
        let segments = std::iter::once(self.index.as_str()).chain(api.iter().copied());
        let request = EsRequest::new(Method::POST, path(segments)).query("keep_alive", KEEP_ALIVE);
        let answer = self.client.send(request).await?;
        let body: Value = answer.json()?;
        match body[field].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => Err(answer.invalid("the answer has no id of a point in time")),
        }
    }

    async fn pit_page(
        &mut self,
        dialect: Dialect,
        id: String,
        after: Option<Box<RawValue>>,
    ) -> Result<Vec<ScanHit>, EsError> {
        let mut body = json!({
            "size": self.page_size,
            "pit": { "id": id, "keep_alive": KEEP_ALIVE },
            "sort": ["_shard_doc"],
            "track_total_hits": false,
            "_source": self.fields(),
        });
        if let Some(after) = &after {
            body["search_after"] = serde_json::from_str(after.get()).unwrap_or_default();
        }
        // Kept before the request: the view is closed also when that fails.
        self.state = State::PointInTime { dialect, id, after };
        let request = EsRequest::new(Method::POST, "/_search")
            .query("allow_partial_search_results", "false")
            .json(&body);
        let answer = self.client.send(request).await?;
        let page: Page<'_> = complete(&answer)?;
        if let State::PointInTime { id, after, .. } = &mut self.state {
            // The server may continue under another id.
            if let Some(new) = &page.pit_id {
                new.as_ref().clone_into(id);
            }
            *after = page.hits.hits.last().and_then(|hit| hit.sort).map(ToOwned::to_owned);
        }
        let full = page.hits.hits.len() >= self.page_size;
        if full && !matches!(&self.state, State::PointInTime { after: Some(_), .. }) {
            return Err(answer.invalid("the hits have no sort values, so the next page cannot be asked for"));
        }
        Ok(page.into_hits())
    }

    async fn scroll_page(&mut self, id: &str) -> Result<Vec<ScanHit>, EsError> {
        // Not sent again unless it surely did not run: the second answer to the same request is the next page.
        let request = EsRequest::new(Method::POST, "/_search/scroll")
            .json(&json!({ "scroll": KEEP_ALIVE, "scroll_id": id }));
        self.scrolled(request).await
    }

    async fn scrolled(&mut self, request: EsRequest) -> Result<Vec<ScanHit>, EsError> {
        let answer = self.client.send(request).await?;
        let page: Page<'_> = complete(&answer)?;
        match &page.scroll_id {
            Some(id) => self.state = State::Scroll { id: id.clone().into_owned() },
            None => return Err(answer.invalid("the answer has no scroll id")),
        }
        Ok(page.into_hits())
    }
}

/// Whether a refusal means that the server does not have the API, as servers say it in different ways: "no handler
/// found", a method that is not allowed, an index or document named like the API, a sort field that does not exist.
fn is_missing_api(error: &EsError) -> bool {
    match error.kind() {
        EsErrorKind::Status(404) => error.error_type() != Some("index_not_found_exception"),
        EsErrorKind::Status(400 | 405) => true,
        _ => false,
    }
}

fn complete(answer: &EsResponse) -> Result<Page<'_>, EsError> {
    let page: Page<'_> = answer.json()?;
    if page.timed_out || page.shards.failed > 0 {
        return Err(answer.invalid("the scan did not reach all shards in time, so its page is incomplete"));
    }
    Ok(page)
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    pit_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "_scroll_id", default)]
    scroll_id: Option<Cow<'a, str>>,
    #[serde(default)]
    timed_out: bool,
    #[serde(rename = "_shards", default)]
    shards: Shards,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source", default)]
    source: Fields,
    #[serde(borrow, default)]
    sort: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Fields {
    #[serde(default)]
    id: Scalar,
    #[serde(rename = "_timestamp", default)]
    timestamp: Scalar,
    #[serde(rename = "_content_hash", default)]
    content_hash: Scalar,
    #[serde(rename = "_allow_access_control", default)]
    access: Value,
}

impl Page<'_> {
    fn into_hits(self) -> Vec<ScanHit> {
        let hit = |hit: Hit<'_>| {
            let Fields { id, timestamp, content_hash, access } = hit.source;
            let (id, other_document_id) = match id.0 {
                Some(id) if id != hit.id => (id, Some(hit.id)),
                _ => (hit.id, None),
            };
            let access = serde_json::from_value(access).ok();
            ScanHit { id, other_document_id, timestamp: timestamp.0, content_hash: content_hash.0, access }
        };
        self.hits.hits.into_iter().map(hit).collect()
    }
}

/// A string, or a number or boolean as text; anything else counts as absent, as no source writes it.
#[derive(Debug, Default, PartialEq)]
struct Scalar(Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Option<String>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }

            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Some(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
                Ok(Some(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Some(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Some(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Some(value.to_string()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Some(value.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
                while sequence.next_element::<IgnoredAny>()?.is_some() {}
                Ok(None)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(None)
            }
        }

        deserializer.deserialize_any(Any).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_timestamps_are_text_whatever_they_were() {
        let fields: Vec<Fields> = serde_json::from_str(
            r#"[{"id":"a\n","_timestamp":"2026-01-01T00:00:00Z"},{"id":7,"_timestamp":-1},{"id":1.5,"_timestamp":null},
                {"id":["x"],"_timestamp":{"y":1}},{"id":true},{}]"#,
        )
        .unwrap();
        let seen: Vec<_> =
            fields.iter().map(|fields| (fields.id.0.as_deref(), fields.timestamp.0.as_deref())).collect();
        assert_eq!(
            seen,
            [
                (Some("a\n"), Some("2026-01-01T00:00:00Z")),
                (Some("7"), Some("-1")),
                (Some("1.5"), None),
                (None, None),
                (Some("true"), None),
                (None, None),
            ]
        );
    }
}
