//! Creating and deleting indexes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::meta::{Alias, IndexMeta, no_object, parse_settings, shown};
use super::{Cluster, INDEX, names, new_uuid, now_ms, saved, state_of};
use crate::error::{ApiError, Result};
use crate::index::Index;
use crate::mapping::Tree;
use crate::templates::Template;

/// What the request for a new index says.
#[derive(Debug, Clone, Default)]
pub struct NewIndex {
    /// Settings by full name.
    pub settings: BTreeMap<String, Value>,
    /// Mapping, when one is given.
    pub mapping: Option<Map<String, Value>>,
    /// Aliases.
    pub aliases: BTreeMap<String, Alias>,
}

impl NewIndex {
    /// Reads `{"settings", "mappings", "aliases"}`; `unknown` words the error of other keys.
    ///
    /// # Errors
    /// 400.
    pub fn parse(body: &Value, unknown: impl Fn(&str) -> ApiError) -> Result<Self> {
        let Value::Object(members) = body else { return Err(ApiError::parsing("an object is expected")) };
        let mut new = Self::default();
        for (key, value) in members {
            match key.as_str() {
                "settings" | "mappings" | "aliases" if !value.is_object() => return Err(no_object(key)),
                "settings" => new.settings = parse_settings(value)?,
                "mappings" => new.mapping = value.as_object().cloned(),
                "aliases" => new.aliases = parse_aliases(value)?,
                other => return Err(unknown(other)),
            }
        }
        let typed = |members: &Map<String, Value>| {
            members.len() == 1 && members.get("_doc").is_some_and(Value::is_object)
        };
        if new.mapping.as_ref().is_some_and(typed) {
            return Err(ApiError::illegal_argument(
                "The mapping definition cannot be nested under a type [_doc].",
            ));
        }
        Ok(new)
    }

    /// As a part to lay over what a template gives.
    fn into_part(self) -> Template {
        Template { settings: Some(self.settings), mappings: self.mapping, aliases: Some(self.aliases) }
    }
}

fn parse_aliases(value: &Value) -> Result<BTreeMap<String, Alias>> {
    let Value::Object(members) = value else {
        return Err(no_object("aliases"));
    };
    members
        .iter()
        .map(|(name, body)| {
            names::check_alias(name)?;
            let alias = Alias::parse(name, body)?;
            super::aliases::check_filter(name, &alias)?;
            Ok((name.clone(), alias))
        })
        .collect()
}

/// 400 for a key of `PUT /index` that does not exist.
pub fn unknown_key(key: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", format!("unknown key [{key}] for create index"))
}

impl Cluster {
    /// Creates an index. Blocks for some milliseconds.
    ///
    /// # Errors
    /// 400 when it exists, or any part of it cannot be.
    pub fn create(&self, name: &str, body: Option<&Value>) -> Result<Arc<Index>> {
        names::check_index(name)?;
        let new = match body {
            Some(body) => NewIndex::parse(body, unknown_key)?,
            None => NewIndex::default(),
        };
        let _held = self.change();
        self.check_free(name)?;
        self.create_held(name, new)
    }

    /// The index writes to `target` go to; created, by its template when there is one.
    ///
    /// # Errors
    /// 400 for names that cannot be, 404 when an alias is required.
    pub fn write_target(&self, target: &str, require_alias: bool) -> Result<Arc<Index>> {
        if let Some(index) = self.existing_write_target(target, require_alias)? {
            return Ok(index);
        }
        names::check_index(target)?;
        let _held = self.change();
        // Another request may have been faster.
        if let Some(index) = self.existing_write_target(target, require_alias)? {
            return Ok(index);
        }
        self.check_auto_create(target)?;
        self.create_held(target, NewIndex::default())
    }

    /// A template may say that only `PUT` creates its indexes.
    fn check_auto_create(&self, name: &str) -> Result<()> {
        match self.templates()?.matching(name, false) {
            Some((_, template)) if template.allow_auto_create == Some(false) => {
                let text = format!(
                    "composable template [{}] forbids index auto creation",
                    template.index_patterns.join(", ")
                );
                let mut error = ApiError::index_not_found(&text);
                error.extra.retain(|key, _| !key.starts_with("resource."));
                Err(error)
            }
            _ => Ok(()),
        }
    }

    fn check_free(&self, name: &str) -> Result<()> {
        let indexes = self.indexes();
        if let Some(index) = indexes.get(name) {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "resource_already_exists_exception",
                format!("index [{name}/{}] already exists", index.uuid()),
            )
            .with("index_uuid", json!(&**index.uuid()))
            .with("index", json!(name)));
        }
        if indexes.values().any(|index| index.settings().aliases.contains_key(name)) {
            return Err(names::invalid_index(name, "already exists as alias"));
        }
        Ok(())
    }

    fn create_held(&self, name: &str, new: NewIndex) -> Result<Arc<Index>> {
        let hidden = new.settings.get("index.hidden").is_some_and(|hidden| shown(hidden) == "true");
        let templates = self.templates()?;
        let template = templates.matching(name, hidden).map(|(_, template)| templates.compose(template));
        let mut all = template.unwrap_or_default().for_index(name);
        all.overlay(&new.into_part());
        for alias in all.aliases.keys() {
            if alias == name {
                return Err(ApiError::illegal_argument(format!(
                    "alias name [{alias}] self-conflicts with index name"
                )));
            }
            if self.index(alias).is_some() {
                return Err(names::invalid_alias(
                    alias,
                    "an index, data stream, ESQL view, or ESQL dataset exists with the same name as the alias",
                ));
            }
        }
        all.settings.retain(|_, value| !value.is_null());
        let meta = IndexMeta::new(new_uuid(), now_ms(), all.settings, all.aliases)?;
        self.check_write_aliases(name, &meta)?;
        let tree = match all.mappings {
            Some(mappings) => Tree::parse(&Value::Object(mappings))?,
            None => Tree::default(),
        };
        tree.check_limits(meta.limits())?;
        let state = state_of(meta, tree, &BTreeMap::new())?;
        // The rows first: a crash in between leaves rows without index, which the next start removes.
        self.store.rows(&state.meta.uuid)?;
        self.put_meta(INDEX, name, &saved(&state))?;
        let index = Index::open(name, state, &self.store, &self.writer, &self.folder)?;
        self.set_indexes(|indexes| {
            indexes.insert(name.to_owned(), index.clone());
        });
        tracing::info!(index = name, "index created");
        Ok(index)
    }

    fn check_write_aliases(&self, name: &str, meta: &IndexMeta) -> Result<()> {
        for (alias, body) in &meta.aliases {
            if body.is_write_index != Some(true) {
                continue;
            }
            let indexes = self.indexes();
            let other = indexes.values().find(|index| {
                index.settings().aliases.get(alias).is_some_and(|alias| alias.is_write_index == Some(true))
            });
            if let Some(other) = other {
                return Err(super::aliases::two_write_indexes(alias, &[other.name(), name]));
            }
        }
        Ok(())
    }

    /// Deletes indexes. The metadata goes first, in one commit; the rest is removed now or, after a crash, at the next
    /// start. Blocks.
    ///
    /// # Errors
    /// 500 when the disk fails.
    pub fn delete(&self, indexes: &[Arc<Index>]) -> Result<()> {
        let _held = self.change();
        let mut indexes: Vec<Arc<Index>> = indexes.to_vec();
        indexes.sort_by(|a, b| a.name().cmp(b.name()));
        indexes.dedup_by(|a, b| a.name() == b.name());
        // Nobody may save the state of an index again behind its removal.
        let held: Vec<_> = indexes.iter().map(|index| index.change()).collect();
        let changes: Vec<_> = indexes.iter().map(|index| (INDEX, index.name(), None)).collect();
        self.store.meta_write(&changes)?;
        for index in &indexes {
            index.mark_deleted();
        }
        drop(held);
        self.set_indexes(|all| {
            for index in &indexes {
                all.remove(index.name());
            }
        });
        self.remove_files(&indexes)
    }

    /// Removes what indexes that are gone have on disk. Blocks.
    pub(super) fn remove_files<'a>(&self, indexes: impl IntoIterator<Item = &'a Arc<Index>>) -> Result<()> {
        for index in indexes {
            index.stop();
            self.store.drop_rows(index.rows())?;
            match std::fs::remove_dir_all(index.folder()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    // The next start tries again.
                    tracing::warn!(index = index.name(), %error, "cannot remove the folder of a deleted index");
                }
                _ => {}
            }
            tracing::info!(index = index.name(), "index deleted");
        }
        Ok(())
    }
}
