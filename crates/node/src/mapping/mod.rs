//! Mappings: from JSON, to JSON, and from documents to fields.

mod coerce;
mod document;
mod dynamic;
mod json;
mod locate;
mod merge;
mod params;
mod plan;
mod templates;
mod tree;
mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

pub use coerce::canonical_ip;
pub use document::{Parsed, Unknown, over_limit};
pub use json::{Json, read as read_json};
pub use merge::Limits;
pub use params::boolean as parse_boolean;
pub use tree::{FieldNode, ObjectNode, Tree};
pub use types::{Dynamic, FieldMapping, FieldTable, FieldType};

use crate::analysis::Analyzers;
use crate::error::Result;
use crate::index::schema::Fields;
use crate::index::{IndexDocument, StoredDocument};

/// The mapping of one index, ready for use. Never changed: a new one takes its place.
#[derive(Debug)]
pub struct Mapping {
    tree: Tree,
    compiled: plan::Compiled,
    table: Arc<FieldTable>,
}

impl Mapping {
    /// Compiles a mapping. `slots` are those of documents already written.
    ///
    /// # Errors
    /// 400 for what only the whole can tell: unknown analyzers, aliases that lead nowhere.
    pub fn new(tree: Tree, slots: &BTreeMap<String, usize>, analyzers: &Analyzers) -> Result<Self> {
        merge::check_references(&tree)?;
        let mut compiled = plan::compile(&tree, slots, analyzers)?;
        let table = Arc::new(std::mem::take(&mut compiled.table));
        Ok(Self { tree, compiled, table })
    }

    /// With an explicit mapping merged in (`PUT _mapping`, templates).
    ///
    /// # Errors
    /// 400 for conflicts and limits.
    pub fn merged(&self, new: Tree, analyzers: &Analyzers, limits: Limits) -> Result<Self> {
        let tree = merge::merge(&self.tree, new)?;
        merge::check_limits(&tree, None, limits)?;
        Self::new(tree, &self.compiled.slots, analyzers)
    }

    /// With the new fields of a document.
    ///
    /// # Errors
    /// 400 for limits.
    pub fn extended(&self, new: &ObjectNode, analyzers: &Analyzers, limits: Limits) -> Result<Self> {
        let mut tree = self.tree.clone();
        merge::extend(&mut tree.root, new);
        merge::check_limits(&tree, Some(self.tree.root.count()), limits)?;
        Self::new(tree, &self.compiled.slots, analyzers)
    }

    /// As Elasticsearch prints it.
    pub fn to_json(&self) -> Value {
        self.tree.to_json()
    }

    /// The mapping of single fields, `{"full_name", "mapping": {"name": {..}}}` by path, for `_mapping/field`.
    pub fn fields_json(&self, patterns: &[&str]) -> Map<String, Value> {
        let mut out = Map::new();
        for path in self.table.fields.keys() {
            if patterns.iter().any(|pattern| simple_match(pattern, path))
                && let Some(field) = self.tree.field(path)
            {
                let name = path.rsplit('.').next().unwrap_or(path);
                out.insert(path.clone(), json!({ "full_name": path, "mapping": { name: field.to_json() } }));
            }
        }
        out
    }

    /// Text slots by path; saved with the mapping.
    pub fn slots(&self) -> &BTreeMap<String, usize> {
        &self.compiled.slots
    }

    /// What queries look fields up in.
    pub fn table(&self) -> &Arc<FieldTable> {
        &self.table
    }

    /// Whether writes need a routing value.
    pub fn routing_required(&self) -> bool {
        self.tree.routing_required == Some(true)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it.
    pub fn document(&self, id: &str, source: &Bytes, fields: &Arc<Fields>) -> Result<Parsed> {
        document::parse(&self.tree, &self.compiled, fields, id, source, Unknown::Dynamic)
    }

    /// Reads a document of the store again. It was accepted once; what the mapping says differently since then stays in
    /// its source.
    pub fn reparse(&self, stored: &StoredDocument, fields: &Arc<Fields>) -> IndexDocument {
        match document::parse(&self.tree, &self.compiled, fields, &stored.id, &stored.source, Unknown::Ignore)
        {
            Ok(Parsed::Document(document)) => document,
            Ok(Parsed::Extend(_)) => {
                IndexDocument::new(fields, &self.compiled.names, &stored.id, stored.source.clone())
            }
            Err(error) => {
                tracing::warn!(id = stored.id, %error, "a stored document no longer fits its mapping");
                IndexDocument::new(fields, &self.compiled.names, &stored.id, stored.source.clone())
            }
        }
    }
}

/// `*` matches any run of characters. Takes time by the product of both lengths at most, whatever the pattern.
pub fn simple_match(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let head = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(head) else { return false };
    let Some(tail) = parts.next_back() else { return rest.is_empty() };
    // The first place each part fits leaves the most to those after it.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(tail)
}

#[cfg(test)]
mod tests;
