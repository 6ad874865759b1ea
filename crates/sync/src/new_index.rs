//! The index a job makes if there is none.

use connectors_es_client::{EsClient, EsError};
use connectors_protocol::language;
use serde_json::{Map, Value, json};

use crate::document::CONTENT_HASH;
use crate::own_types;

/// Makes a content index as a first job would, before there is one; tells whether it was made now. `known` are the fields
/// whose types the source knows, `own` those whose types the user gave. With a language (a code of [`language`]), texts are analyzed in it unless their field
/// says otherwise.
pub async fn create_content_index(
    client: &EsClient,
    index: &str,
    known: Map<String, Value>,
    own: &Map<String, Value>,
    language: Option<&str>,
) -> Result<bool, EsError> {
    let mut body = body(client, index, known, own).await;
    if let Some(analyzer) = language.and_then(language::analyzer) {
        body["settings"]["analysis"] = json!({"analyzer": {"default": {"type": analyzer}}});
    }
    client.create_index(index, &body).await
}

/// Body of the request that makes the index: on one machine without replicas, on more with one; the fields that every
/// document has; and the fields whose types the source knows, so that the first documents need no change of the mapping.
/// Everything else is mapped as it comes. What an index template says about the index comes first, then the types that the
/// user gave (`own`), then those of the source.
pub(crate) async fn body(
    client: &EsClient,
    index: &str,
    known: Map<String, Value>,
    own: &Map<String, Value>,
) -> Value {
    match client.template_of(index).await {
        Ok(template) => own_types::put(with_template(&template, known), &template, own),
        // Not allowed to look, or a server without this API: a template may say otherwise, so no more than is needed.
        Err(error) => {
            tracing::debug!("index templates are not known: {error}");
            own_types::put(with_template(&Value::Null, Map::new()), &Value::Null, own)
        }
    }
}

/// What becomes of fields whose first value is a number or looks like a date. Later documents may have something else in them (a text
/// column whose first value happens to be `2024`, documents of a database without a schema): such a value is stored and
/// cannot be searched, instead of keeping its document out of the index.
/// (<https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/ignore-malformed>)
///
/// Numbers with a fraction are `double`: `float`, which Elasticsearch would choose, keeps seven digits only and refuses what is
/// beyond 3.4e38.
fn dynamic_templates() -> Value {
    let template = |name: &str, kind: &str| {
        let mapping = json!({"type": kind, "ignore_malformed": true});
        json!({ name: {"match_mapping_type": kind, "mapping": mapping} })
    };
    json!([template("doubles", "double"), template("longs", "long"), template("dates", "date")])
}

/// Fields an index takes if nobody says otherwise (`index.mapping.total_fields.limit`).
const FIELDS: usize = 1000;
/// How many of them are left to what is not known before it comes.
const ROOM: usize = 100;

/// How many fields these are for that limit: objects and the further forms of a text count.
fn count(properties: &Map<String, Value>) -> usize {
    let below = |definition: &Value, key: &str| definition[key].as_object().map_or(0, count);
    properties.values().map(|one| 1 + below(one, "fields") + below(one, "properties")).sum()
}

fn with_template(template: &Value, known: Map<String, Value>) -> Value {
    let mut body = json!({});
    let settings = &template["settings"]["index"];
    if settings["number_of_replicas"].is_null() && settings["auto_expand_replicas"].is_null() {
        body["settings"] = json!({"auto_expand_replicas": "0-1"});
    }
    let mappings = &template["mappings"];
    // Whoever decides how fields are mapped decides it for all of them.
    let decided = ["dynamic", "dynamic_templates"].iter().any(|key| !mappings[key].is_null());
    if !decided {
        let mut properties = Map::from_iter([
            // Ids are only compared.
            ("id".to_owned(), json!({"type": "keyword"})),
            ("_timestamp".to_owned(), json!({"type": "date"})),
            // Read with the document, never searched.
            (CONTENT_HASH.to_owned(), json!({"type": "keyword", "index": false, "doc_values": false})),
            // A long text needs no second form for sorting.
            ("body".to_owned(), json!({"type": "text"})),
        ]);
        properties.extend(known);
        properties.retain(|name, _| mappings["properties"][name].is_null());
        let fields = count(&properties);
        if fields > FIELDS - ROOM && settings["mapping"]["total_fields"]["limit"].is_null() {
            // Without it no document of the last tables of a large database would get in.
            body["settings"]["mapping"] = json!({"total_fields": {"limit": fields + FIELDS}});
        }
        body["mappings"] = json!({ "dynamic_templates": dynamic_templates(), "properties": properties });
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Map<String, Value> {
        Map::from_iter([("size".to_owned(), json!({"type": "long"}))])
    }

    #[test]
    fn a_first_value_does_not_keep_later_documents_out() {
        let mapping = json!({"type": "date", "ignore_malformed": true});
        let template = json!({"dates": {"match_mapping_type": "date", "mapping": mapping}});
        assert!(dynamic_templates().as_array().unwrap().contains(&template), "{}", dynamic_templates());
    }

    #[test]
    fn without_a_template_known_fields_have_their_types() {
        assert_eq!(
            with_template(&Value::Null, known()),
            json!({
                "settings": {"auto_expand_replicas": "0-1"},
                "mappings": {
                    "dynamic_templates": dynamic_templates(),
                    "properties": {
                        "id": {"type": "keyword"}, "_timestamp": {"type": "date"}, "body": {"type": "text"},
                        "_content_hash": {"type": "keyword", "index": false, "doc_values": false},
                        "size": {"type": "long"},
                    },
                },
            })
        );
    }

    #[test]
    fn many_fields_raise_the_limit() {
        let text = json!({"type": "text", "fields": {"keyword": {"type": "keyword"}}});
        let limit = |texts: usize, template: &Value| {
            let known = (0..texts).map(|number| (format!("t{number}"), text.clone())).collect();
            with_template(template, known)["settings"]["mapping"]["total_fields"]["limit"].clone()
        };
        // Four are there already.
        assert_eq!((limit(448, &Value::Null), limit(449, &Value::Null)), (Value::Null, json!(1902)));
        let template = json!({"settings": {"index": {"mapping": {"total_fields": {"limit": "1000"}}}}});
        assert_eq!(limit(449, &template), Value::Null);
    }

    #[test]
    fn a_template_is_not_overruled() {
        let template = json!({
            "settings": {"index": {"number_of_replicas": "2"}},
            "mappings": {"properties": {"size": {"type": "double"}, "body": {"type": "match_only_text"}}},
        });
        assert_eq!(
            with_template(&template, known()),
            json!({"mappings": {
                "dynamic_templates": dynamic_templates(),
                "properties": {
                    "id": {"type": "keyword"}, "_timestamp": {"type": "date"},
                    "_content_hash": {"type": "keyword", "index": false, "doc_values": false},
                },
            }})
        );
        let strict = json!({"settings": {"index": {"auto_expand_replicas": "0-all"}}, "mappings": {"dynamic": "strict"}});
        assert_eq!(with_template(&strict, known()), json!({}));
    }
}
