//! What indexes would be made with, without making them.

use serde_json::{Map, Value, json};

use super::IndexTemplate;
use super::body::aliases_json;
use super::read::bad_request;
use super::set::Templates;
use crate::cluster::{TIER_PREFERENCE, settings_tree};
use crate::error::{ApiError, Result};

impl Templates {
    /// `_simulate_index`: what an index of this name would be made with, if `extra` were a template too; nothing when no
    /// template matches.
    ///
    /// # Errors
    /// 400 when `extra` could not be saved.
    pub fn simulate_index(&self, index: &str, extra: Option<&Value>) -> Result<Value> {
        let mut templates = self.clone();
        if let Some(body) = extra {
            templates.try_put(&temporary_name(), body)?;
        }
        match templates.matching(index, false) {
            Some((name, template)) => templates.simulated(name, template),
            None => Ok(json!({})),
        }
    }

    /// `_simulate`: what a saved template, or the one in a body, would give; with `create`, only a new one.
    ///
    /// # Errors
    /// 400 when there is no such template, or it could not be saved.
    pub fn simulate(&self, name: Option<&str>, body: Option<&Value>, create: bool) -> Result<Value> {
        let mut templates = self.clone();
        let name = match (name, body) {
            (None, None) => {
                return Err(bad_request(
                    "either index name or index template body must be specified for simulation",
                ));
            }
            (name, Some(body)) => {
                let name = name.map_or_else(temporary_name, str::to_owned);
                if create && self.index.contains_key(&name) {
                    return Err(ApiError::illegal_argument(format!(
                        "index template [{name}] already exists"
                    )));
                }
                templates.try_put(&name, body)?;
                name
            }
            (Some(name), None) => name.to_owned(),
        };
        let template = templates.index.get(&name).ok_or_else(|| {
            ApiError::illegal_argument(format!("unable to simulate template [{name}] that does not exist"))
        })?;
        templates.simulated(&name, template)
    }

    fn try_put(&mut self, name: &str, body: &Value) -> Result<()> {
        let template = IndexTemplate::parse(body)?;
        self.check_index(name, &template)?;
        self.index.insert(name.to_owned(), template);
        Ok(())
    }

    fn simulated(&self, name: &str, template: &IndexTemplate) -> Result<Value> {
        let mapping = self.check_index(name, template)?;
        let mut composed = self.compose(template);
        composed
            .settings
            .entry(TIER_PREFERENCE.0.to_owned())
            .or_insert_with(|| Value::from(TIER_PREFERENCE.1));
        let mut out = Map::new();
        out.insert("settings".to_owned(), settings_tree(composed.settings, false));
        if composed.mappings.is_some() {
            out.insert("mappings".to_owned(), mapping);
        }
        out.insert("aliases".to_owned(), aliases_json(&composed.aliases));
        let overlapping: Vec<Value> = self
            .overlapping(name, template)
            .map(|(other, with)| json!({ "name": other, "index_patterns": with.index_patterns }))
            .collect();
        Ok(json!({ "template": out, "overlapping": overlapping }))
    }
}

/// A template needs a name to be compared with others; this one is only seen in messages.
fn temporary_name() -> String {
    format!("simulate_index_template_{}", uuid::Uuid::new_v4().simple())
}
