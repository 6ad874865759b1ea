//! Names of fields.

use std::borrow::Cow;

/// A name that Elasticsearch takes. It refuses names with nothing between two dots, or nothing at all, and in whole documents
/// the names of its metadata fields; others stay as they are.
pub(crate) fn field_name(name: &str, top: bool) -> Cow<'_, str> {
    /// Elasticsearch's metadata fields, and fields that have a meaning in the connector protocol.
    const RESERVED: [&str; 16] = [
        "_allow_access_control",
        "_attachment",
        "_doc_count",
        "_extract_binary_content",
        "_field_names",
        "_ignored",
        "_index",
        "_nested_path",
        "_reduce_whitespace",
        "_routing",
        "_run_ml_inference",
        "_seq_no",
        "_source",
        "_timestamp",
        "_type",
        "_version",
    ];
    if top && name.starts_with('_') && (RESERVED.contains(&name) || RESERVED_LATER.contains(&name)) {
        return Cow::Owned(format!("{name}_"));
    }
    let blank = |part: &str| part.trim().is_empty();
    if !name.split('.').any(blank) {
        return Cow::Borrowed(name);
    }
    let parts: Vec<&str> = name.split('.').map(|part| if blank(part) { "_" } else { part }).collect();
    Cow::Owned(parts.join("."))
}

/// Metadata fields that came with later versions or plugins of Elasticsearch.
const RESERVED_LATER: [&str; 6] =
    ["_data_stream_timestamp", "_ignored_source", "_primary_term", "_size", "_tier", "_tsid"];
