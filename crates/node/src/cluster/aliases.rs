//! Changing aliases: all actions of a request, or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::meta::Alias;
use super::{Cluster, INDEX, IndexMeta, IndicesOptions, names, saved};
use crate::error::{ApiError, Result};
use crate::index::{Index, IndexState};
use crate::mapping::simple_match;

/// One action of `_aliases`.
#[derive(Debug, Clone, PartialEq)]
pub enum AliasAction {
    /// Adds or replaces aliases.
    Add {
        /// Index expressions.
        indices: Vec<String>,
        /// Alias names.
        aliases: Vec<String>,
        /// What they are.
        alias: Alias,
    },
    /// Removes aliases.
    Remove {
        /// Index expressions.
        indices: Vec<String>,
        /// Alias names or patterns.
        aliases: Vec<String>,
        /// `must_exist`: `Some(false)` makes a missing alias no error.
        must_exist: Option<bool>,
    },
    /// Deletes indexes.
    RemoveIndex {
        /// Index expressions.
        indices: Vec<String>,
    },
}

/// An index and its new aliases; none: the index is deleted.
type Touched<'a> = (&'a Arc<Index>, Option<BTreeMap<String, Alias>>);

/// 404 `aliases_not_found_exception`.
pub fn missing(aliases: &[String]) -> ApiError {
    let names = aliases.join(",");
    ApiError::new(StatusCode::NOT_FOUND, "aliases_not_found_exception", format!("aliases [{names}] missing"))
        .with("resource.type", json!("aliases"))
        .with("resource.id", json!(names))
}

/// 500 as Elasticsearch words it.
pub(super) fn two_write_indexes(alias: &str, indexes: &[&str]) -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "illegal_state_exception",
        format!("alias [{alias}] has more than one write index [{}]", indexes.join(",")),
    )
}

impl Cluster {
    /// Applies actions in order, in one commit; nothing is changed when one is wrong. Removing an alias that is not there
    /// is wrong only when it must exist, or nothing else is done; else it is told in the results, one for each action,
    /// which are returned when there is any such. Blocks.
    ///
    /// # Errors
    /// 400 and 404 as Elasticsearch words them.
    pub fn change_aliases(&self, actions: &[AliasAction]) -> Result<Option<Vec<Value>>> {
        let mut results: Vec<(Value, Option<ApiError>)> = Vec::new();
        let held = self.change();
        let indexes = self.indexes();
        let mut after: BTreeMap<String, BTreeMap<String, Alias>> =
            indexes.iter().map(|(name, index)| (name.clone(), index.settings().aliases.clone())).collect();
        let mut removed: Vec<Arc<Index>> = Vec::new();
        for action in actions {
            match action {
                AliasAction::RemoveIndex { indices } => {
                    let targets = self.concrete(indices)?;
                    results.push((described("remove_index", &targets, &[]), None));
                    for index in targets {
                        after.remove(index.name());
                        removed.push(index);
                    }
                }
                AliasAction::Add { indices, aliases, alias } => {
                    let targets = self.concrete(indices)?;
                    results.push((described("add", &targets, aliases), None));
                    for name in aliases {
                        names::check_alias(name)?;
                        check_filter(name, alias)?;
                        for index in &targets {
                            if let Some(all) = after.get_mut(index.name()) {
                                all.insert(name.clone(), alias.clone());
                            }
                        }
                    }
                }
                AliasAction::Remove { indices, aliases, must_exist } => {
                    let mut any = false;
                    let targets = self.concrete(indices)?;
                    for index in &targets {
                        if let Some(all) = after.get_mut(index.name()) {
                            let before = all.len();
                            all.retain(|name, _| !aliases.iter().any(|pattern| simple_match(pattern, name)));
                            any |= all.len() < before;
                        }
                    }
                    if !any && *must_exist == Some(true) {
                        return Err(missing(aliases));
                    }
                    let error = (!any).then(|| missing(aliases));
                    results.push((described("remove", &targets, aliases), error));
                }
            }
        }
        if let Some((_, Some(error))) = results.first()
            && results.iter().all(|(_, error)| error.is_some())
        {
            return Err(error.clone());
        }
        check(&after)?;
        let mut touched: BTreeMap<&str, Touched<'_>> = BTreeMap::new();
        for index in &removed {
            touched.insert(index.name(), (index, None));
        }
        for (name, aliases) in after {
            if let Some(index) = indexes.get(&name)
                && index.settings().aliases != aliases
            {
                touched.insert(index.name(), (index, Some(aliases)));
            }
        }
        self.commit_aliases(touched.into_values().collect())?;
        drop(held);
        let removed: BTreeMap<&str, &Arc<Index>> =
            removed.iter().map(|index| (index.name(), index)).collect();
        self.remove_files(removed.into_values())?;
        let failed = results.iter().any(|(_, error)| error.is_some());
        Ok(failed.then(|| results.into_iter().map(result).collect()))
    }

    /// Gives indexes their new aliases and takes those away that have none any more (`None`): in one commit, and in one
    /// moment for everybody who looks a name up. A name that moves from one index to another always stands for one of them.
    fn commit_aliases(&self, touched: Vec<Touched<'_>>) -> Result<()> {
        // Locked in order of names, so that no two changes wait for each other.
        let locks: Vec<_> = touched.iter().map(|(index, _)| index.change()).collect();
        let mut states = Vec::new();
        for (index, aliases) in touched {
            let state = aliases.map(|aliases| {
                let old = index.state();
                let meta = IndexMeta { aliases, ..(*old.meta).clone() };
                IndexState { meta: Arc::new(meta), ..(*old).clone() }
            });
            states.push((index, state));
        }
        let values: Vec<(&str, Option<Value>)> =
            states.iter().map(|(index, state)| (index.name(), state.as_ref().map(saved))).collect();
        let writes: Vec<_> = values.iter().map(|(name, value)| (INDEX, *name, value.as_ref())).collect();
        self.store.meta_write(&writes)?;
        self.set_indexes(|indexes| {
            for (index, state) in states {
                if let Some(state) = state {
                    index.replace_state(state);
                } else {
                    index.mark_deleted();
                    indexes.remove(index.name());
                }
            }
        });
        drop(locks);
        Ok(())
    }

    /// Indexes of expressions that cannot be aliases.
    fn concrete(&self, expressions: &[String]) -> Result<Vec<Arc<Index>>> {
        let options = IndicesOptions { allow_no_indices: false, ..IndicesOptions::default() };
        let expression = expressions.join(",");
        for name in expressions.iter().flat_map(|text| text.split(',')) {
            let is_alias = self.index(name).is_none()
                && self.indexes().values().any(|index| index.settings().aliases.contains_key(name));
            if is_alias {
                return Err(ApiError::illegal_argument(format!(
                    "The provided expression [{name}] matches an alias, specify the corresponding concrete indices \
                     instead."
                )));
            }
        }
        Ok(self.resolve(&expression, options)?.into_iter().map(|resolved| resolved.index).collect())
    }
}

/// An action as results name it.
fn described(kind: &str, indexes: &[Arc<Index>], aliases: &[String]) -> Value {
    let indexes: Vec<&str> = indexes.iter().map(|index| index.name()).collect();
    json!({ "type": kind, "indices": indexes, "aliases": aliases })
}

fn result((action, error): (Value, Option<ApiError>)) -> Value {
    match error {
        None => json!({ "action": action, "status": 200 }),
        Some(error) => {
            json!({ "action": action, "status": error.status.as_u16(), "error": error.cause() })
        }
    }
}

/// A filter has to be a query.
pub(super) fn check_filter(name: &str, alias: &Alias) -> Result<()> {
    let Some(filter) = &alias.filter else { return Ok(()) };
    crate::query::parse(filter).map(drop).map_err(|error| {
        ApiError::illegal_argument(format!("failed to parse filter for alias [{name}]"))
            .with("caused_by", error.cause())
    })
}

/// Rules that only all aliases together can break.
fn check(after: &BTreeMap<String, BTreeMap<String, Alias>>) -> Result<()> {
    let mut by_alias: BTreeMap<&str, Vec<(&str, &Alias)>> = BTreeMap::new();
    for (index, aliases) in after {
        for (name, alias) in aliases {
            by_alias.entry(name).or_default().push((index, alias));
        }
    }
    for (name, indexes) in by_alias {
        if after.contains_key(name) {
            return Err(names::invalid_alias(
                name,
                "an index, data stream, ESQL view, or ESQL dataset exists with the same name as the alias",
            ));
        }
        let write: Vec<&str> = indexes
            .iter()
            .filter(|(_, alias)| alias.is_write_index == Some(true))
            .map(|(index, _)| *index)
            .collect();
        if write.len() > 1 {
            return Err(two_write_indexes(name, &write));
        }
        let (hidden, shown): (Vec<_>, Vec<_>) =
            indexes.iter().partition(|(_, alias)| alias.is_hidden == Some(true));
        if !hidden.is_empty() && !shown.is_empty() {
            let list =
                |of: &[&(&str, &Alias)]| of.iter().map(|(index, _)| *index).collect::<Vec<_>>().join(",");
            return Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "illegal_state_exception",
                format!(
                    "alias [{name}] has is_hidden set to true on indices [{}] but does not have is_hidden set to true on \
                     indices [{}]; alias must have the same is_hidden setting on all indices",
                    list(&hidden),
                    list(&shown)
                ),
            ));
        }
    }
    Ok(())
}
