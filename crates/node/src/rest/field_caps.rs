//! `_field_caps`: what the fields of several indices can do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::search::targets;
use crate::cluster::IndicesOptions;
use crate::error::{ApiError, Result};
use crate::http::{Request, Response, Route};
use crate::mapping::{FieldMapping, FieldTable, FieldType};
use crate::node::Node;
use crate::search::request::validation;
use crate::search::source::wildcard_match;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_field_caps", field_caps),
        Route::post("/_field_caps", field_caps),
        Route::get("/{index}/_field_caps", field_caps),
        Route::post("/{index}/_field_caps", field_caps),
    ]
}

/// Metadata fields: name, searchable, aggregatable.
const METADATA: [(&str, bool, bool); 9] = [
    ("_doc_count", false, false),
    ("_field_names", true, false),
    ("_id", true, false),
    ("_ignored", true, true),
    ("_index", true, true),
    ("_routing", true, false),
    ("_seq_no", true, true),
    ("_source", false, false),
    ("_version", false, true),
];

/// Which fields are wanted.
#[derive(Debug, Default)]
struct Wanted {
    patterns: Vec<String>,
    types: Vec<String>,
    /// `None`: both.
    metadata: Option<bool>,
    multi_fields: bool,
    objects: bool,
    unmapped: bool,
}

/// One field in one index.
struct Capability {
    type_name: String,
    metadata: bool,
    searchable: bool,
    aggregatable: bool,
}

/// The indices that have a field, by its type there.
type Types<'a> = BTreeMap<String, Vec<(&'a str, Capability)>>;

async fn field_caps(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let expression = request.segment("index").unwrap_or_default().to_owned();
    let body = request.json()?;
    let params = &mut request.params;
    let options = IndicesOptions::default().of(params)?;
    let mut wanted = Wanted {
        patterns: params.list("fields").unwrap_or_default(),
        types: params.list("types").unwrap_or_default(),
        unmapped: params.bool("include_unmapped", false)?,
        multi_fields: true,
        ..Wanted::default()
    };
    let filters = params.list("filters").unwrap_or_default();
    // As soon as anything is filtered, Elasticsearch names no objects.
    wanted.objects = filters.is_empty();
    for filter in filters {
        match filter.as_str() {
            "+metadata" => wanted.metadata = Some(true),
            "-metadata" => wanted.metadata = Some(false),
            "-multifield" => wanted.multi_fields = false,
            // There are no nested objects, and objects are left out in any case.
            "-parent" | "-nested" => {}
            other => return Err(ApiError::illegal_argument(format!("Unknown filter [{other}]"))),
        }
    }
    // An index all of whose fields are empty is not left out; the answer names what the mapping has.
    if params.opt_bool("include_empty_fields")? == Some(false) {
        return Err(ApiError::illegal_argument("[include_empty_fields=false] is not supported by this node"));
    }
    if let Some(body) = &body {
        read_body(body, &mut wanted)?;
    }
    request.finish()?;
    validation(if wanted.patterns.is_empty() { &["no fields specified"] } else { &[] })?;
    let targets = targets(&node, &expression, options).await?;
    let tables: Vec<(&str, &FieldTable)> =
        targets.iter().map(|target| (target.view.name.as_ref(), target.view.table.as_ref())).collect();
    Ok(Response::ok(answer(&tables, &wanted)))
}

fn read_body(body: &Value, wanted: &mut Wanted) -> Result<()> {
    let unknown = |key: &str| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "x_content_parse_exception",
            format!("[field_caps_request] unknown field [{key}]"),
        )
    };
    let members =
        body.as_object().ok_or_else(|| ApiError::parsing("[field_caps_request] must be an object"))?;
    for (key, value) in members {
        match (key.as_str(), value) {
            ("fields", Value::String(pattern)) => wanted.patterns = vec![pattern.clone()],
            ("fields", Value::Array(patterns)) if patterns.iter().all(Value::is_string) => {
                wanted.patterns = patterns.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            }
            ("index_filter" | "runtime_mappings", _) => {
                return Err(ApiError::illegal_argument(format!(
                    "[{key}] of [_field_caps] is not supported by this node"
                )));
            }
            (other, _) => return Err(unknown(other)),
        }
    }
    Ok(())
}

fn answer(tables: &[(&str, &FieldTable)], wanted: &Wanted) -> Value {
    let mut found: BTreeMap<String, Types<'_>> = BTreeMap::new();
    for (index, table) in tables {
        for (name, capability) in capabilities(table, wanted) {
            found
                .entry(name)
                .or_default()
                .entry(capability.type_name.clone())
                .or_default()
                .push((index, capability));
        }
    }
    let mut fields = Map::new();
    for (name, types) in found {
        fields.insert(name, field(types, tables, wanted.unmapped));
    }
    let indices: Vec<&str> = tables.iter().map(|(index, _)| *index).collect();
    json!({ "indices": indices, "fields": fields })
}

fn field(types: Types<'_>, tables: &[(&str, &FieldTable)], include_unmapped: bool) -> Value {
    let having: BTreeSet<&str> = types.values().flatten().map(|(index, _)| *index).collect();
    let lacking: Vec<&str> =
        tables.iter().map(|(index, _)| *index).filter(|index| !having.contains(index)).collect();
    let several = types.len() > 1 || (include_unmapped && !lacking.is_empty());
    let mut object = Map::new();
    for (type_name, indices) in types {
        let without = |can: fn(&Capability) -> bool| -> Vec<&str> {
            indices.iter().filter(|(_, capability)| !can(capability)).map(|(index, _)| *index).collect()
        };
        let unsearchable = without(|capability| capability.searchable);
        let unaggregatable = without(|capability| capability.aggregatable);
        let mut body = json!({
            "type": type_name,
            "metadata_field": indices.iter().any(|(_, capability)| capability.metadata),
            "searchable": unsearchable.is_empty(),
            "aggregatable": unaggregatable.is_empty(),
            "inference": false,
        });
        if several {
            body["indices"] = indices.iter().map(|(index, _)| *index).collect();
        }
        // Named only where the indices differ.
        for (name, list) in
            [("non_searchable_indices", unsearchable), ("non_aggregatable_indices", unaggregatable)]
        {
            if !list.is_empty() && list.len() < indices.len() {
                body[name] = list.into();
            }
        }
        object.insert(type_name, body);
    }
    if include_unmapped && !lacking.is_empty() {
        object.insert(
            "unmapped".into(),
            json!({
                "type": "unmapped", "metadata_field": false, "searchable": false, "aggregatable": false,
                "inference": false, "indices": lacking,
            }),
        );
    }
    Value::Object(object)
}

fn capabilities(table: &FieldTable, wanted: &Wanted) -> Vec<(String, Capability)> {
    let asked = |name: &str| wanted.patterns.iter().any(|pattern| wildcard_match(pattern, name));
    let mut found = Vec::new();
    if wanted.metadata != Some(true) {
        for (name, mapping) in &table.fields {
            let multi_field =
                mapping.path != mapping.source_path && !matches!(mapping.kind, FieldType::Alias { .. });
            if asked(name)
                && (wanted.multi_fields || !multi_field)
                && let Some(mapping) = table.get(name)
            {
                found.push((name.clone(), of_mapping(mapping)));
            }
        }
        for name in table.objects.iter().filter(|name| wanted.objects && asked(name)) {
            let capability = Capability {
                type_name: "object".into(),
                metadata: false,
                searchable: false,
                aggregatable: false,
            };
            found.push((name.clone(), capability));
        }
    }
    if wanted.metadata != Some(false) {
        for (name, searchable, aggregatable) in METADATA.iter().filter(|(name, ..)| asked(name)) {
            let type_name = if *name == "_doc_count" { "integer" } else { name };
            let capability = Capability {
                type_name: type_name.to_owned(),
                metadata: true,
                searchable: *searchable,
                aggregatable: *aggregatable,
            };
            found.push(((*name).to_owned(), capability));
        }
    }
    found.retain(|(_, capability)| wanted.types.is_empty() || wanted.types.contains(&capability.type_name));
    found
}

fn of_mapping(mapping: &FieldMapping) -> Capability {
    // Types that answer alike are named alike.
    let type_name = match mapping.type_name.as_str() {
        "wildcard" | "constant_keyword" => "keyword",
        "match_only_text" => "text",
        other => other,
    };
    let columns = mapping.doc_values && !matches!(mapping.kind, FieldType::Text | FieldType::Binary);
    Capability {
        type_name: type_name.to_owned(),
        metadata: false,
        // What has doc values can be searched by them.
        searchable: mapping.indexed || columns,
        aggregatable: columns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::tests::table;

    #[test]
    fn types_that_differ_between_indices_are_told_apart() {
        let one = table(&[("n", "long"), ("t", "text")]);
        let two = table(&[("n", "keyword")]);
        let wanted = Wanted {
            patterns: vec!["*".into()],
            metadata: Some(false),
            multi_fields: true,
            objects: true,
            unmapped: true,
            ..Wanted::default()
        };
        let answer = answer(&[("one", &one), ("two", &two)], &wanted);
        assert_eq!(answer["fields"]["n"]["long"]["indices"], json!(["one"]));
        assert_eq!(answer["fields"]["n"]["keyword"]["indices"], json!(["two"]));
        assert_eq!(answer["fields"]["t"]["text"]["aggregatable"], json!(false));
        assert_eq!(answer["fields"]["t"]["unmapped"]["indices"], json!(["two"]));
    }
}
