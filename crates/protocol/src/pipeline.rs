//! The ingest pipeline documents go through.

use serde::{Deserialize, Serialize};

use crate::Extra;

/// The pipeline every connector uses until someone names another one.
pub const DEFAULT_PIPELINE: &str = "search-default-ingestion";

/// Ingest pipeline settings of a connector, copied into each of its jobs. A setting that is missing or null has its
/// default: `search-default-ingestion` with everything on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Name of the ingest pipeline a bulk request goes through.
    #[serde(default = "default_name", deserialize_with = "name_or_default")]
    pub name: String,
    /// Whether files are sent as `_attachment` for the pipeline to extract.
    #[serde(default = "enabled", deserialize_with = "true_if_null")]
    pub extract_binary_content: bool,
    /// Whether the pipeline squeezes white space.
    #[serde(default = "enabled", deserialize_with = "true_if_null")]
    pub reduce_whitespace: bool,
    /// Whether the pipeline runs the index's machine-learning inference pipelines.
    #[serde(default = "enabled", deserialize_with = "true_if_null")]
    pub run_ml_inference: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            name: default_name(),
            extract_binary_content: true,
            reduce_whitespace: true,
            run_ml_inference: true,
            extra: Extra::default(),
        }
    }
}

fn default_name() -> String {
    DEFAULT_PIPELINE.to_owned()
}

fn enabled() -> bool {
    true
}

fn name_or_default<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    Ok(name.filter(|n| !n.is_empty()).unwrap_or_else(default_name))
}

fn true_if_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<bool>::deserialize(deserializer).map(|flag| flag.unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_or_null_has_its_default() {
        let empty: Pipeline = serde_json::from_value(json!({})).unwrap();
        assert_eq!(empty, Pipeline::default());
        let nulls: Pipeline = serde_json::from_value(
            json!({"name": null, "extract_binary_content": null, "reduce_whitespace": null, "run_ml_inference": null}),
        )
        .unwrap();
        assert_eq!(nulls, Pipeline::default());
        let empty_name: Pipeline = serde_json::from_value(json!({"name": ""})).unwrap();
        assert_eq!(empty_name.name, "search-default-ingestion");
    }

    #[test]
    fn what_is_given_is_kept() {
        let stored = json!({"name": "mine", "extract_binary_content": false, "reduce_whitespace": true, "run_ml_inference": false, "new": 1});
        let pipeline: Pipeline = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(pipeline).unwrap(), stored);
    }
}
