//! Where templates are kept, and when they change.

use connectors_protocol::indices;
use serde_json::{Value, json};

use super::{Cluster, now_ms};
use crate::error::Result;
use crate::templates::{COMPONENT_TEMPLATES, INDEX_TEMPLATES, TemplateStore, Templates};

impl TemplateStore for Cluster {
    fn list(&self, section: &str) -> Result<Vec<(String, Value)>> {
        self.meta_section(section)
    }

    fn put(&self, section: &str, name: &str, definition: &Value) -> Result<()> {
        self.put_meta(section, name, definition)
    }

    fn delete(&self, section: &str, names: &[String]) -> Result<()> {
        let changes: Vec<_> = names.iter().map(|name| (section, name.as_str(), None)).collect();
        self.store.meta_write(&changes)
    }
}

/// All of these read or change what is on disk; call them through [`super::blocking`].
impl Cluster {
    /// All templates.
    ///
    /// # Errors
    /// 500 when the store fails.
    pub fn templates(&self) -> Result<Templates> {
        Templates::load(self)
    }

    /// Saves an index template; with `create`, only a new one.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it.
    pub fn put_index_template(&self, name: &str, body: &Value, create: bool) -> Result<()> {
        let _held = self.change();
        match Templates::load(self)?.put_index(name, body, create, now_ms())? {
            Some(template) => self.put(INDEX_TEMPLATES, name, &template.to_json(true)),
            None => Ok(()),
        }
    }

    /// Saves the templates every Elasticsearch has for the indices of the connector protocol, where they are missing:
    /// Elastic's Python service creates the bare indices and leaves mappings and aliases to them.
    ///
    /// # Errors
    /// 500 when the store fails.
    pub(super) fn put_own_templates(&self) -> Result<()> {
        let present = self.templates()?;
        for (name, index, template) in [
            ("elastic-connectors", indices::CONCRETE_CONNECTORS_INDEX, indices::connectors_index_body()),
            ("elastic-connectors-sync-jobs", indices::CONCRETE_JOBS_INDEX, indices::jobs_index_body()),
        ] {
            if !present.index.contains_key(name) {
                let body = json!({
                    "index_patterns": [index], "priority": 100, "template": template, "_meta": {"managed": true},
                });
                self.put_index_template(name, &body, true)?;
            }
        }
        Ok(())
    }

    /// Removes index templates.
    ///
    /// # Errors
    /// 404 when something in the expression does not exist.
    pub fn delete_index_templates(&self, expression: &str) -> Result<()> {
        let _held = self.change();
        let names = Templates::load(self)?.deleted_index(expression)?;
        TemplateStore::delete(self, INDEX_TEMPLATES, &names)
    }

    /// Saves a component template; with `create`, only a new one.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it.
    pub fn put_component_template(&self, name: &str, body: &Value, create: bool) -> Result<()> {
        let _held = self.change();
        match Templates::load(self)?.put_component(name, body, create, now_ms())? {
            Some(component) => self.put(COMPONENT_TEMPLATES, name, &component.to_json(true)),
            None => Ok(()),
        }
    }

    /// Removes component templates that no index template needs.
    ///
    /// # Errors
    /// 404 when something in the expression does not exist, 400 while one is in use.
    pub fn delete_component_templates(&self, expression: &str) -> Result<()> {
        let _held = self.change();
        let names = Templates::load(self)?.deleted_components(expression)?;
        TemplateStore::delete(self, COMPONENT_TEMPLATES, &names)
    }
}
