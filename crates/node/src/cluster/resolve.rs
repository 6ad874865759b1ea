//! From index expressions (`a,logs-*,-logs-old,_all`) to indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Cluster;
use crate::error::{ApiError, Result};
use crate::http::Params;
use crate::index::Index;
use crate::mapping::simple_match;

/// How an expression is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndicesOptions {
    /// Names that do not exist are left out.
    pub ignore_unavailable: bool,
    /// No index at all is no error.
    pub allow_no_indices: bool,
    /// Wildcards match indexes that are not hidden.
    pub expand_open: bool,
    /// Wildcards match hidden indexes.
    pub expand_hidden: bool,
}

impl Default for IndicesOptions {
    fn default() -> Self {
        Self { ignore_unavailable: false, allow_no_indices: true, expand_open: true, expand_hidden: false }
    }
}

impl IndicesOptions {
    /// With `ignore_unavailable`, `allow_no_indices`, `expand_wildcards` and `ignore_throttled` of a request.
    ///
    /// # Errors
    /// 400 for values that cannot be.
    pub fn of(mut self, params: &mut Params) -> Result<Self> {
        self.ignore_unavailable = flag(params, "ignore_unavailable", self.ignore_unavailable)?;
        self.allow_no_indices = flag(params, "allow_no_indices", self.allow_no_indices)?;
        flag(params, "ignore_throttled", false)?;
        if let Some(states) = params.list("expand_wildcards") {
            (self.expand_open, self.expand_hidden) = (false, false);
            for state in states {
                match state.as_str() {
                    "open" => self.expand_open = true,
                    "hidden" => self.expand_hidden = true,
                    "all" => (self.expand_open, self.expand_hidden) = (true, true),
                    "none" => (self.expand_open, self.expand_hidden) = (false, false),
                    // No index is ever closed here.
                    "closed" => {}
                    other => {
                        return Err(ApiError::illegal_argument(format!(
                            "No valid expand wildcard value [{other}]"
                        )));
                    }
                }
            }
        }
        Ok(self)
    }
}

/// A boolean whose error names the parameter, as Elasticsearch does for these alone.
fn flag(params: &mut Params, name: &str, default: bool) -> Result<bool> {
    params.bool(name, default).map_err(|error| {
        ApiError::illegal_argument(format!("Could not convert [{name}] to boolean"))
            .because("illegal_argument_exception", error.reason)
    })
}

/// One index an expression stands for.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The index.
    pub index: Arc<Index>,
    /// Query of the aliases it was reached by; none when it was named itself or by an alias without filter.
    pub filter: Option<Value>,
}

/// Filters an index was reached by; `None` as soon as one way has no filter.
type Filters = Option<Vec<Value>>;
type Found = BTreeMap<String, (Arc<Index>, Filters)>;

impl Cluster {
    /// The indexes of an expression, in order of their names.
    ///
    /// # Errors
    /// 404 for names that do not exist, 400 for what cannot be a name.
    pub fn resolve(&self, expression: &str, options: IndicesOptions) -> Result<Vec<Resolved>> {
        let indexes = self.names();
        let mut found = Found::new();
        let parts: Vec<&str> = expression.split(',').filter(|part| !part.is_empty()).collect();
        let parts = if parts.is_empty() { vec!["*"] } else { parts };
        for part in parts {
            // No name starts so.
            if let Some(excluded) = part.strip_prefix('-') {
                found.retain(|name, (index, _)| {
                    let meta = index.settings();
                    !simple_match(excluded, name)
                        && !meta.aliases.keys().any(|alias| simple_match(excluded, alias))
                });
                continue;
            }
            if part == "_all" || part.contains('*') {
                let before = found.len();
                expand(&indexes, if part == "_all" { "*" } else { part }, options, &mut found);
                if found.len() == before && !options.allow_no_indices {
                    return Err(ApiError::index_not_found(part));
                }
                continue;
            }
            if !by_name(&indexes, part, &mut found) {
                if part.starts_with('_') {
                    return Err(super::names::invalid_index(part, "must not start with '_'."));
                }
                if !options.ignore_unavailable {
                    return Err(ApiError::index_not_found(part));
                }
            }
        }
        if found.is_empty() && !options.allow_no_indices {
            return Err(ApiError::index_not_found(expression));
        }
        Ok(found
            .into_values()
            .map(|(index, filters)| Resolved { index, filter: combined(filters) })
            .collect())
    }

    /// The indexes and aliases a pattern stands for, by name.
    pub fn names_like(&self, pattern: &str, options: IndicesOptions) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (name, index) in self.names().iter() {
            let meta = index.settings();
            if simple_match(pattern, name) && shows(pattern, name, meta.hidden(), options) {
                names.insert(name.clone());
            }
            let aliases = meta.aliases.iter().filter(|(alias, body)| {
                simple_match(pattern, alias) && shows(pattern, alias, body.is_hidden == Some(true), options)
            });
            names.extend(aliases.map(|(alias, _)| alias.clone()));
        }
        names
    }

    /// The one index a document API reads from (`GET /name/_doc/id`).
    ///
    /// # Errors
    /// 404 when it does not exist, 400 for an alias of several indexes.
    pub fn single(&self, target: &str) -> Result<Arc<Index>> {
        let indexes = self.names();
        if let Some(index) = indexes.get(target) {
            return Ok(index.clone());
        }
        let behind: Vec<&Arc<Index>> =
            indexes.values().filter(|index| index.settings().aliases.contains_key(target)).collect();
        match behind[..] {
            [] => Err(ApiError::index_not_found(target)),
            [index] => Ok(index.clone()),
            _ => Err(ApiError::illegal_argument(format!(
                "alias [{target}] has more than one index associated with it [{}], can't execute a single index op",
                behind.iter().map(|index| index.name()).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// The index writes to `target` go to, when it exists; `None` when it has to be created.
    ///
    /// # Errors
    /// 400 for an alias without write index, 404 when only an alias is allowed.
    pub fn existing_write_target(&self, target: &str, require_alias: bool) -> Result<Option<Arc<Index>>> {
        let indexes = self.names();
        if let Some(index) = indexes.get(target) {
            return if require_alias { Err(no_alias(target)) } else { Ok(Some(index.clone())) };
        }
        let behind: Vec<(&Arc<Index>, Option<bool>)> = indexes
            .values()
            .filter_map(|index| Some((index, index.settings().aliases.get(target)?.is_write_index)))
            .collect();
        let write = behind.iter().find(|(_, write)| *write == Some(true));
        match (write, &behind[..]) {
            (None, []) if require_alias => Err(no_alias(target)),
            (None, []) => Ok(None),
            (Some((index, _)), _) | (None, [(index, None)]) => Ok(Some((*index).clone())),
            _ => Err(ApiError::illegal_argument(format!(
                "no write index is defined for alias [{target}]. The write index may be explicitly disabled using \
                 is_write_index=false or the alias points to multiple indices without one being designated as a write \
                 index"
            ))),
        }
    }
}

fn no_alias(target: &str) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "index_not_found_exception",
        format!("no such index [{target}] and [require_alias] request flag is [true] and [{target}] is not an alias"),
    )
    .with("index_uuid", json!("_na_"))
    .with("index", json!(target))
}

/// Whether a pattern stands for a name that it matches.
fn shows(pattern: &str, name: &str, hidden: bool, options: IndicesOptions) -> bool {
    if hidden {
        options.expand_hidden || (options.expand_open && pattern.starts_with('.') && name.starts_with('.'))
    } else {
        options.expand_open
    }
}

fn expand(indexes: &BTreeMap<String, Arc<Index>>, pattern: &str, options: IndicesOptions, found: &mut Found) {
    for (name, index) in indexes {
        let meta = index.settings();
        if simple_match(pattern, name) && shows(pattern, name, meta.hidden(), options) {
            found.insert(name.clone(), (index.clone(), None));
            continue;
        }
        for (alias, body) in &meta.aliases {
            if simple_match(pattern, alias) && shows(pattern, alias, body.is_hidden == Some(true), options) {
                add(found, index, body.filter.as_ref());
            }
        }
    }
}

fn by_name(indexes: &BTreeMap<String, Arc<Index>>, target: &str, found: &mut Found) -> bool {
    if let Some(index) = indexes.get(target) {
        found.insert(target.to_owned(), (index.clone(), None));
        return true;
    }
    let mut any = false;
    for index in indexes.values() {
        if let Some(alias) = index.settings().aliases.get(target) {
            any = true;
            add(found, index, alias.filter.as_ref());
        }
    }
    any
}

fn add(found: &mut Found, index: &Arc<Index>, filter: Option<&Value>) {
    match found.get_mut(index.name()) {
        None => {
            let filters = filter.map(|filter| vec![filter.clone()]);
            found.insert(index.name().to_owned(), (index.clone(), filters));
        }
        Some((_, filters)) => match (filters.as_mut(), filter) {
            (Some(filters), Some(filter)) => filters.push(filter.clone()),
            _ => *filters = None,
        },
    }
}

fn combined(filters: Filters) -> Option<Value> {
    let mut filters = filters?;
    if filters.len() == 1 { filters.pop() } else { Some(json!({ "bool": { "should": filters } })) }
}
