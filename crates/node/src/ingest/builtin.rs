//! Pipelines every new node has, as search clients expect them.

use serde_json::{Value, json};

/// Name and definition of the pipelines a node makes at its first start: connectors send their documents through one
/// of them, steered by members of the document that it removes.
pub fn builtin_pipelines() -> Vec<(&'static str, Value)> {
    vec![("search-default-ingestion", search_default()), ("ent-search-generic-ingestion", search_default())]
}

/// Text of `_attachment` becomes `body` where `_extract_binary_content` is true, white space in `body` is reduced where
/// `_reduce_whitespace` is true, and what steered the pipeline goes.
fn search_default() -> Value {
    let note = |what: &str| {
        json!([{ "append": {
            "field": "_ingestion_errors",
            "value": [format!("{what} of pipeline {{{{_ingest.on_failure_pipeline}}}} failed: {{{{_ingest.on_failure_message}}}}")],
        } }])
    };
    json!({
        "version": 1,
        "description": "Default pipeline of search connectors",
        "_meta": { "managed": true, "managed_by": "embedded node" },
        "processors": [
            { "attachment": {
                "description": "Extract the text of _attachment",
                "if": "ctx?._extract_binary_content == true",
                "field": "_attachment",
                "target_field": "_extracted_attachment",
                "ignore_missing": true,
                "indexed_chars_field": "_attachment_indexed_chars",
                "remove_binary": false,
                "on_failure": note("attachment"),
            } },
            { "set": {
                "description": "Make it the body",
                "if": "ctx?._extract_binary_content == true && ctx?._extracted_attachment?.content != null",
                "field": "body",
                "copy_from": "_extracted_attachment.content",
                "on_failure": note("set body"),
            } },
            { "gsub": {
                "description": "Reduce white space in the body",
                "if": "ctx?._reduce_whitespace == true",
                "field": "body",
                "pattern": "\\s+",
                "replacement": " ",
                "ignore_missing": true,
            } },
            { "trim": {
                "description": "Trim the body",
                "if": "ctx?._reduce_whitespace == true",
                "field": "body",
                "ignore_missing": true,
            } },
            { "remove": {
                "description": "Remove what only this pipeline needs",
                "field": [
                    "_attachment", "_attachment_indexed_chars", "_extracted_attachment",
                    "_extract_binary_content", "_reduce_whitespace", "_run_ml_inference",
                ],
                "ignore_missing": true,
            } },
        ],
    })
}
