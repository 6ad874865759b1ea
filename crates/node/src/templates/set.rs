//! All templates of a node, and what they give an index.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::body::{Settings, Template};
use super::merge::merge_mappings;
use super::pattern::overlap;
use super::{COMPONENT_TEMPLATES, ComponentTemplate, INDEX_TEMPLATES, IndexTemplate, TemplateStore};
use crate::cluster::Alias;
use crate::error::{ApiError, Result};
use crate::mapping::simple_match;

/// The templates of a node by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Templates {
    /// Index templates.
    pub index: BTreeMap<String, IndexTemplate>,
    /// Component templates.
    pub components: BTreeMap<String, ComponentTemplate>,
}

/// What an index is made with: the parts of several templates laid over each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Composed {
    /// Settings by full name.
    pub settings: Settings,
    /// The mapping, when any part has one.
    pub mappings: Option<Map<String, Value>>,
    /// Aliases by name.
    pub aliases: BTreeMap<String, Alias>,
}

impl Composed {
    /// Lays another part over this: its settings and aliases win, mappings are merged.
    pub fn overlay(&mut self, part: &Template) {
        self.settings
            .extend(part.settings.iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
        self.aliases.extend(part.aliases.iter().flatten().map(|(name, alias)| (name.clone(), alias.clone())));
        if let Some(mappings) = &part.mappings {
            merge_mappings(self.mappings.get_or_insert_default(), mappings);
        }
    }

    /// For an index: `{index}` in names of aliases becomes its name.
    #[must_use]
    pub fn for_index(mut self, index: &str) -> Self {
        self.aliases =
            self.aliases.into_iter().map(|(name, alias)| (name.replace("{index}", index), alias)).collect();
        self
    }
}

fn not_found(reason: String) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "resource_not_found_exception", reason)
}

/// 404 for an index template that is to go and does not exist.
pub fn missing(names: &str) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "index_template_missing_exception",
        format!("index_template [{names}] missing"),
    )
}

impl Templates {
    /// Reads what is saved.
    ///
    /// # Errors
    /// 500 when it cannot be read.
    pub fn load(store: &impl TemplateStore) -> Result<Self> {
        let index = store.list(INDEX_TEMPLATES)?.into_iter();
        let components = store.list(COMPONENT_TEMPLATES)?.into_iter();
        Ok(Self {
            index: index
                .map(|(name, saved)| Ok((name, IndexTemplate::load(&saved)?)))
                .collect::<Result<_>>()?,
            components: components
                .map(|(name, saved)| Ok((name, ComponentTemplate::load(&saved)?)))
                .collect::<Result<_>>()?,
        })
    }

    /// The template a new index of this name is made with: of those that match, the one of the highest priority.
    pub fn matching(&self, index: &str, hidden: bool) -> Option<(&str, &IndexTemplate)> {
        self.index
            .iter()
            .filter(|(_, template)| template.matches(index, hidden))
            .max_by_key(|(_, template)| template.priority())
            .map(|(name, template)| (name.as_str(), template))
    }

    /// A template with its component templates; those that do not exist give nothing.
    pub fn compose(&self, template: &IndexTemplate) -> Composed {
        let mut composed = Composed::default();
        for component in template.composed_of.iter().filter_map(|name| self.components.get(name)) {
            composed.overlay(&component.template);
        }
        if let Some(own) = &template.template {
            composed.overlay(own);
        }
        composed
    }

    /// Index templates by name or pattern; all without one. A pattern may match none.
    ///
    /// # Errors
    /// 404 for a name that does not exist, 400 for a list of names.
    pub fn find_index(&self, name: Option<&str>) -> Result<Vec<(&str, &IndexTemplate)>> {
        let pattern = name.unwrap_or("*");
        if pattern.contains(',') {
            return Err(ApiError::illegal_argument("template name may not contain ','"));
        }
        find(&self.index, pattern)
            .ok_or_else(|| not_found(format!("index template matching [{pattern}] not found")))
    }

    /// Component templates by name or pattern; all without one. A pattern may match none.
    ///
    /// # Errors
    /// 404 for a name that does not exist.
    pub fn find_components(&self, name: Option<&str>) -> Result<Vec<(&str, &ComponentTemplate)>> {
        let pattern = name.unwrap_or("*");
        find(&self.components, pattern)
            .ok_or_else(|| not_found(format!("component template matching [{pattern}] not found")))
    }

    /// Names of the index templates that go with an expression: one pattern, or names between commas.
    ///
    /// # Errors
    /// 404 when something in it does not exist.
    pub fn deleted_index(&self, expression: &str) -> Result<Vec<String>> {
        named(&self.index, expression).map_err(|names| missing(&names))
    }

    /// Names of the component templates that go with an expression: one pattern, or names between commas.
    ///
    /// # Errors
    /// 404 when something in it does not exist, 400 while an index template needs one.
    pub fn deleted_components(&self, expression: &str) -> Result<Vec<String>> {
        let names = named(&self.components, expression).map_err(not_found)?;
        let needs = |template: &IndexTemplate, name: &String| template.needs(name);
        let used: Vec<&str> = names
            .iter()
            .filter(|name| self.index.values().any(|template| needs(template, name)))
            .map(String::as_str)
            .collect();
        if used.is_empty() {
            return Ok(names);
        }
        let users: Vec<&str> = self
            .index
            .iter()
            .filter(|(_, template)| names.iter().any(|name| needs(template, name)))
            .map(|(name, _)| name.as_str())
            .collect();
        Err(ApiError::illegal_argument(format!(
            "component templates [{}] cannot be removed as they are still in use by index templates [{}]",
            used.join(", "),
            users.join(", ")
        )))
    }

    /// Other index templates some name of which this one also matches.
    pub(super) fn overlapping<'t>(
        &'t self,
        name: &'t str,
        template: &'t IndexTemplate,
    ) -> impl Iterator<Item = (&'t str, &'t IndexTemplate)> {
        self.index
            .iter()
            .filter(move |(other, with)| {
                *other != name
                    && template
                        .index_patterns
                        .iter()
                        .any(|a| with.index_patterns.iter().any(|b| overlap(a, b)))
            })
            .map(|(other, with)| (other.as_str(), with))
    }
}

/// What a name or pattern stands for; `None` for a name that does not exist.
fn find<'t, T>(all: &'t BTreeMap<String, T>, pattern: &str) -> Option<Vec<(&'t str, &'t T)>> {
    if pattern.contains('*') {
        return Some(
            all.iter()
                .filter(|(name, _)| simple_match(pattern, name))
                .map(|(name, template)| (name.as_str(), template))
                .collect(),
        );
    }
    all.get_key_value(pattern).map(|(name, template)| vec![(name.as_str(), template)])
}

/// Names of an expression, or what of it does not exist. As in Elasticsearch, a `*` works only in a pattern that stands
/// alone, and only `*` itself may match nothing.
fn named<T>(all: &BTreeMap<String, T>, expression: &str) -> Result<Vec<String>, String> {
    if !expression.contains(',') {
        let found: Vec<String> = all.keys().filter(|name| simple_match(expression, name)).cloned().collect();
        return if found.is_empty() && expression != "*" { Err(expression.to_owned()) } else { Ok(found) };
    }
    let (found, missing): (Vec<&str>, Vec<&str>) =
        expression.split(',').filter(|name| !name.is_empty()).partition(|name| all.contains_key(*name));
    if missing.is_empty() {
        Ok(found.into_iter().map(str::to_owned).collect())
    } else {
        Err(missing.join(","))
    }
}
