//! What is behind a name: indices, their aliases and settings.

use std::collections::BTreeMap;

use connectors_transport::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::{EsClient, EsRequest};
use crate::error::EsError;
use crate::path::path;

/// An index without its mapping.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct IndexInfo {
    /// Its aliases with what they say (`filter`, `is_write_index`, …).
    #[serde(default)]
    pub aliases: Map<String, Value>,
    /// Its settings, `{"index": {…}}`.
    #[serde(default)]
    pub settings: Value,
}

impl EsClient {
    /// The indices an index, alias or pattern stands for, hidden ones too, by name; empty if there is none.
    pub async fn indices_of(&self, expression: &str) -> Result<BTreeMap<String, IndexInfo>, EsError> {
        let request =
            EsRequest::new(Method::GET, path([expression])).query("expand_wildcards", "all").accept(&[404]);
        let answer = self.send(request).await?;
        if answer.status == 404 { Ok(BTreeMap::new()) } else { answer.json() }
    }

    /// Carries out actions of `_aliases`, all at one moment. An error also when one of them had nothing to do.
    pub async fn update_aliases(&self, actions: &[Value]) -> Result<(), EsError> {
        let request = EsRequest::new(Method::POST, "/_aliases").json(&json!({ "actions": actions }));
        let answer = self.send(request).await?;
        let body: Value = answer.json()?;
        if body["errors"] == true {
            let mut results = body["action_results"].as_array().into_iter().flatten();
            let reason = results.find_map(|result| result["error"]["reason"].as_str());
            return Err(
                answer.invalid(format!("not all was done: {}", reason.unwrap_or("no reason was given")))
            );
        }
        Ok(())
    }

    /// Changes settings of an index that is there; null brings the default back.
    pub async fn put_settings(&self, index: &str, settings: &Value) -> Result<(), EsError> {
        self.request(Method::PUT, &path([index, "_settings"]), &[], Some(settings)).await.map(drop)
    }
}
