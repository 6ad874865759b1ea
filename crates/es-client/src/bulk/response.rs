//! Reading the answer of a bulk request: only what is acted upon is kept, so that thousands of items stay small.

use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::BulkOpKind;

/// The answer of a bulk request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct BulkResponse {
    /// Milliseconds the cluster worked on it.
    #[serde(default)]
    pub took: u64,
    /// Whether any item failed.
    pub errors: bool,
    /// One item for each operation, in the order of the operations.
    pub items: Vec<BulkItem>,
}

impl BulkResponse {
    /// Positions of the operations that failed only because the cluster was busy: for
    /// [`BulkRequest::subset`](super::BulkRequest::subset).
    pub fn retryable(&self) -> impl Iterator<Item = usize> {
        self.items.iter().enumerate().filter(|(_, item)| item.is_retryable()).map(|(position, _)| position)
    }
}

/// What became of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkItem {
    /// The operation.
    pub op: BulkOpKind,
    /// The document; none when the operation named none.
    pub id: Option<Box<str>>,
    /// The HTTP status it would have had alone.
    pub status: u16,
    /// What it did; none when it failed.
    pub result: Option<BulkResult>,
    /// Why it failed.
    pub error: Option<Box<BulkFailure>>,
}

impl BulkItem {
    /// Whether the same operation may succeed a little later: the cluster was too busy (429), or the shard was not
    /// there (502, 503, 504).
    pub fn is_retryable(&self) -> bool {
        self.error.is_some() && matches!(self.status, 429 | 502 | 503 | 504)
    }
}

/// What a successful operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BulkResult {
    /// The document is new.
    Created,
    /// The document was replaced or changed.
    Updated,
    /// The document is gone.
    Deleted,
    /// There was nothing to delete.
    NotFound,
    /// Nothing was changed, for example because a pipeline dropped the document.
    Noop,
    /// A word that this client does not know.
    Other,
}

impl BulkResult {
    pub(crate) fn parse(word: &str) -> Self {
        match word {
            "created" => Self::Created,
            "updated" => Self::Updated,
            "deleted" => Self::Deleted,
            "not_found" => Self::NotFound,
            "noop" => Self::Noop,
            _ => Self::Other,
        }
    }
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BulkFailure {
    /// Elasticsearch's exception type, for example `document_parsing_exception`.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// Its text, with that of its cause.
    pub reason: Box<str>,
}

impl fmt::Display for BulkFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.kind, self.reason)
    }
}

/// The members of an item that are read.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(rename = "_id", default)]
    id: Option<Box<str>>,
    status: u16,
    #[serde(default, borrow)]
    result: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Failure {
    Object {
        #[serde(rename = "type", default)]
        kind: Box<str>,
        #[serde(default)]
        reason: Option<Box<str>>,
        #[serde(default)]
        caused_by: Option<Cause>,
    },
    Text(Box<str>),
}

#[derive(Deserialize)]
struct Cause {
    #[serde(rename = "type", default)]
    kind: Box<str>,
    #[serde(default)]
    reason: Option<Box<str>>,
}

impl From<Failure> for BulkFailure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Text(reason) => Self { kind: "exception".into(), reason },
            Failure::Object { kind, reason, caused_by } => {
                let mut reason = reason.unwrap_or_default();
                if let Some(Cause { kind, reason: Some(cause) }) = caused_by
                    && !reason.contains(&*cause)
                {
                    reason = format!("{reason}; {kind}: {cause}").into();
                }
                Self { kind, reason }
            }
        }
    }
}

impl<'de> Deserialize<'de> for BulkItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Item;

        impl<'de> Visitor<'de> for Item {
            type Value = BulkItem;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object with one operation")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BulkItem, A::Error> {
                let name = map
                    .next_key::<std::borrow::Cow<'de, str>>()?
                    .ok_or_else(|| A::Error::custom("an item is empty"))?;
                let op = BulkOpKind::parse(&name)
                    .ok_or_else(|| A::Error::custom("an item has an unknown operation"))?;
                let members: Members<'de> = map.next_value()?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(BulkItem {
                    op,
                    id: members.id,
                    status: members.status,
                    result: members.result.as_deref().map(BulkResult::parse),
                    error: members.error.map(|failure| Box::new(failure.into())),
                })
            }
        }

        deserializer.deserialize_map(Item)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(items: &serde_json::Value) -> serde_json::Result<BulkResponse> {
        serde_json::from_str(
            &json!({"took": 7, "errors": true, "ingest_took": 1, "items": items}).to_string(),
        )
    }

    #[test]
    fn keeps_op_id_status_result_and_error() {
        let response = parse(&json!([
            {"index": {"_index": "i", "_id": "a", "_version": 1, "result": "created", "_shards": {"total": 1}, "status": 201}},
            {"delete": {"_id": "b", "result": "not_found", "status": 404}},
            {"create": {"_id": "c\"\\", "status": 400, "error": {"type": "document_parsing_exception",
                "reason": "failed to parse", "caused_by": {"type": "x", "reason": "For input string"}}}},
            {"update": {"_id": "d", "status": 429, "error": {"type": "es_rejected_execution_exception", "reason": null}}},
            {"index": {"status": 503, "error": "text"}},
            {"index": {"_id": null, "result": "weird", "status": 200}},
        ]))
        .unwrap();
        assert_eq!((response.took, response.errors, response.items.len()), (7, true, 6));
        let first = &response.items[0];
        assert_eq!((first.op, first.id.as_deref(), first.status), (BulkOpKind::Index, Some("a"), 201));
        assert_eq!(first.result, Some(BulkResult::Created));
        assert_eq!(response.items[1].result, Some(BulkResult::NotFound));
        assert_eq!(response.items[2].id.as_deref(), Some("c\"\\"));
        let failure = response.items[2].error.as_ref().unwrap();
        assert_eq!(failure.to_string(), "document_parsing_exception: failed to parse; x: For input string");
        assert_eq!(response.items[4].error.as_ref().unwrap().to_string(), "exception: text");
        assert_eq!(response.items[5].result, Some(BulkResult::Other));
        assert_eq!(response.retryable().collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn refuses_items_it_cannot_account_for() {
        assert!(parse(&json!([{}])).is_err());
        assert!(parse(&json!([{"frobnicate": {"status": 200}}])).is_err());
        assert!(parse(&json!([{"index": {}}])).is_err());
        assert!(parse(&json!([7])).is_err());
        assert!(serde_json::from_str::<BulkResponse>("{\"items\":[]}").is_err());
    }

    #[test]
    fn knows_every_word_for_a_result() {
        for (word, expected) in [
            ("created", BulkResult::Created),
            ("updated", BulkResult::Updated),
            ("deleted", BulkResult::Deleted),
            ("not_found", BulkResult::NotFound),
            ("noop", BulkResult::Noop),
        ] {
            assert_eq!(BulkResult::parse(word), expected);
        }
    }
}
