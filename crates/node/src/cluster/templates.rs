//! Index templates and component templates.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::create::NewIndex;
use super::meta::{printed, settings_tree};
use super::{Cluster, now_ms};
use crate::error::{ApiError, Result};
use crate::mapping::{Tree, simple_match};

const TEMPLATE: &str = "template";
const COMPONENT: &str = "component_template";

fn not_found(reason: String) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "resource_not_found_exception", reason)
}

fn unknown_field(object: &str, key: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "x_content_parse_exception",
        format!("[1:1] [{object}] unknown field [{key}]"),
    )
}

fn invalid(name: &str, cause: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "invalid_index_template_exception",
        format!("index_template [{name}] invalid, cause [{cause}]"),
    )
}

fn names(value: &Value, key: &str) -> Result<Vec<String>> {
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| ApiError::illegal_argument(format!("[{key}] must be text")))
    };
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => Ok(vec![text(other)?]),
    }
}

/// Checks a `template` and prints its settings as Elasticsearch does.
fn normalized(value: &Value) -> Result<Value> {
    let new = NewIndex::parse(value, |key| unknown_field("template", key))?;
    if let Some(mapping) = &new.mapping {
        Tree::parse(mapping)?;
    }
    let mut out = Map::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let value = match key.as_str() {
            "settings" => settings_tree(
                new.settings.iter().map(|(name, value)| (name.clone(), printed(value))).collect(),
                false,
            ),
            "mappings" => match &new.mapping {
                Some(mapping) => Tree::parse(mapping)?.to_json(),
                None => continue,
            },
            "aliases" => new
                .aliases
                .iter()
                .map(|(name, alias)| (name.clone(), alias.to_json()))
                .collect::<Map<_, _>>()
                .into(),
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    // What the index is made from; printed without.
    out.insert("_given".into(), value.clone());
    Ok(out.into())
}

/// What a saved template's `template` says.
fn given(body: &Value) -> Result<NewIndex> {
    match body.get("template").and_then(|template| template.get("_given")) {
        Some(given) => NewIndex::parse(given, |key| unknown_field("template", key)),
        None => Ok(NewIndex::default()),
    }
}

/// A saved template as it is printed.
fn shown(mut body: Value) -> Value {
    if let Some(template) = body.get_mut("template").and_then(Value::as_object_mut) {
        template.remove("_given");
    }
    body
}

fn stamped(body: Map<String, Value>, before: Option<&Value>) -> Value {
    let now = now_ms();
    let mut body = body;
    let created = before.and_then(|before| before.get("created_date_millis").cloned());
    body.insert("created_date_millis".into(), created.unwrap_or_else(|| now.into()));
    body.insert("modified_date_millis".into(), now.into());
    Value::Object(body)
}

impl Cluster {
    /// Saves an index template.
    ///
    /// # Errors
    /// 400 for anything in it that cannot be.
    pub fn put_template(&self, name: &str, body: &Value, create: bool) -> Result<()> {
        let Value::Object(members) = body else { return Err(ApiError::parsing("an object is expected")) };
        let mut saved = Map::new();
        for (key, value) in members {
            let value = match key.as_str() {
                "index_patterns" => names(value, key)?.into(),
                "template" => normalized(value)?,
                "composed_of" | "ignore_missing_component_templates" => names(value, key)?.into(),
                "priority" | "version" => {
                    if !value.is_u64() {
                        return Err(invalid(name, &format!("[{key}] must be a whole number")));
                    }
                    value.clone()
                }
                "_meta" | "allow_auto_create" | "deprecated" => value.clone(),
                "data_stream" => {
                    return Err(invalid(name, "data streams are not supported by this node"));
                }
                other => return Err(unknown_field("index_template", other)),
            };
            saved.insert(key.clone(), value);
        }
        if saved.get("index_patterns").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            return Err(ApiError::illegal_argument("Required [index_patterns]"));
        }
        saved.entry("composed_of").or_insert_with(|| json!([]));
        let _held = self.change();
        let before = self.get_meta(TEMPLATE, name)?;
        if create && before.is_some() {
            return Err(ApiError::illegal_argument(format!("index template [{name}] already exists")));
        }
        let ignored = saved.get("ignore_missing_component_templates").cloned().unwrap_or_else(|| json!([]));
        let mut missing = Vec::new();
        for component in saved["composed_of"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let may_miss = ignored.as_array().is_some_and(|names| names.iter().any(|name| name == component));
            if !may_miss && self.get_meta(COMPONENT, component)?.is_none() {
                missing.push(component);
            }
        }
        if !missing.is_empty() {
            return Err(invalid(
                name,
                &format!(
                    "index template [{name}] specifies component templates [{}] that do not exist",
                    missing.join(", ")
                ),
            ));
        }
        self.check_priority(name, &saved)?;
        self.put_meta(TEMPLATE, name, &stamped(saved, before.as_ref()))
    }

    /// Two templates of one priority whose patterns can match the same name are refused, as Elasticsearch does.
    fn check_priority(&self, name: &str, new: &Map<String, Value>) -> Result<()> {
        let priority = |body: &Value| body.get("priority").and_then(Value::as_u64).unwrap_or_default();
        let own = new.get("priority").and_then(Value::as_u64).unwrap_or_default();
        let patterns = names(&new["index_patterns"], "index_patterns")?;
        for (other, body) in self.meta_section(TEMPLATE)? {
            if other == name || priority(&body) != own {
                continue;
            }
            let others = names(&body["index_patterns"], "index_patterns")?;
            if patterns.iter().any(|pattern| others.iter().any(|other| overlaps(pattern, other))) {
                return Err(ApiError::illegal_argument(format!(
                    "index template [{name}] has index patterns [{}] matching patterns from existing templates [{other}] \
                     with patterns ({other} => [{}]) that have the same priority [{own}], multiple index templates may \
                     not match during index creation, please use a different priority",
                    patterns.join(", "),
                    others.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Index templates whose name matches; all without a pattern.
    ///
    /// # Errors
    /// 404 when a name without wildcard does not exist.
    pub fn templates(&self, pattern: Option<&str>) -> Result<Vec<(String, Value)>> {
        self.matching(TEMPLATE, pattern, |name| {
            not_found(format!("index template matching [{name}] not found"))
        })
    }

    /// As [`Cluster::templates`], for component templates.
    ///
    /// # Errors
    /// 404 when a name without wildcard does not exist.
    pub fn components(&self, pattern: Option<&str>) -> Result<Vec<(String, Value)>> {
        self.matching(COMPONENT, pattern, |name| {
            not_found(format!("component template matching [{name}] not found"))
        })
    }

    fn matching(
        &self,
        section: &str,
        pattern: Option<&str>,
        missing: impl Fn(&str) -> ApiError,
    ) -> Result<Vec<(String, Value)>> {
        let pattern = pattern.unwrap_or("*");
        let mut found = self.meta_section(section)?;
        found.retain(|(name, _)| pattern.split(',').any(|pattern| simple_match(pattern, name)));
        if found.is_empty() && !pattern.contains('*') {
            return Err(missing(pattern));
        }
        Ok(found.into_iter().map(|(name, body)| (name, shown(body))).collect())
    }

    /// Removes index templates by name or pattern.
    ///
    /// # Errors
    /// 404 when a name without wildcard does not exist.
    pub fn delete_template(&self, pattern: &str) -> Result<()> {
        let _held = self.change();
        let missing = |name: &str| {
            ApiError::new(
                StatusCode::NOT_FOUND,
                "index_template_missing_exception",
                format!("index_template [{name}] missing"),
            )
        };
        for (name, _) in self.matching(TEMPLATE, Some(pattern), missing)? {
            self.delete_meta(TEMPLATE, &name)?;
        }
        Ok(())
    }

    /// Saves a component template.
    ///
    /// # Errors
    /// 400 for anything in it that cannot be.
    pub fn put_component(&self, name: &str, body: &Value, create: bool) -> Result<()> {
        let Value::Object(members) = body else { return Err(ApiError::parsing("an object is expected")) };
        let mut saved = Map::new();
        for (key, value) in members {
            let value = match key.as_str() {
                "template" => normalized(value)?,
                "version" | "_meta" | "deprecated" => value.clone(),
                other => return Err(unknown_field("component_template", other)),
            };
            saved.insert(key.clone(), value);
        }
        if !saved.contains_key("template") {
            return Err(ApiError::illegal_argument("Required [template]"));
        }
        let _held = self.change();
        let before = self.get_meta(COMPONENT, name)?;
        if create && before.is_some() {
            return Err(ApiError::illegal_argument(format!("component template [{name}] already exists")));
        }
        self.put_meta(COMPONENT, name, &stamped(saved, before.as_ref()))
    }

    /// Removes component templates that no index template needs.
    ///
    /// # Errors
    /// 404 when the name does not exist, 400 while it is in use.
    pub fn delete_component(&self, pattern: &str) -> Result<()> {
        let _held = self.change();
        let found = self.matching(COMPONENT, Some(pattern), |name| not_found(name.to_owned()))?;
        let templates = self.meta_section(TEMPLATE)?;
        for (name, _) in &found {
            let users: Vec<&str> = templates
                .iter()
                .filter(|(_, body)| {
                    body["composed_of"].as_array().is_some_and(|parts| parts.iter().any(|part| part == name))
                })
                .map(|(template, _)| template.as_str())
                .collect();
            if !users.is_empty() {
                return Err(ApiError::illegal_argument(format!(
                    "component templates [{name}] cannot be removed as they are still in use by index templates [{}]",
                    users.join(", ")
                )));
            }
        }
        for (name, _) in found {
            self.delete_meta(COMPONENT, &name)?;
        }
        Ok(())
    }

    /// What the template of the highest priority gives a new index, with its mappings in the order they are merged.
    pub(super) fn template_for(&self, index: &str) -> Result<(NewIndex, Vec<Value>)> {
        let mut best: Option<(u64, Value)> = None;
        for (_, body) in self.meta_section(TEMPLATE)? {
            let patterns = names(&body["index_patterns"], "index_patterns")?;
            let priority = body.get("priority").and_then(Value::as_u64).unwrap_or_default();
            if patterns.iter().any(|pattern| simple_match(pattern, index))
                && best.as_ref().is_none_or(|(other, _)| priority > *other)
            {
                best = Some((priority, body));
            }
        }
        let mut new = NewIndex::default();
        let mut mappings = Vec::new();
        let Some((_, body)) = best else { return Ok((new, mappings)) };
        for component in body["composed_of"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if let Some(component) = self.get_meta(COMPONENT, component)? {
                let part = given(&component)?;
                mappings.extend(part.mapping.clone());
                new.overlay(part);
            }
        }
        let own = given(&body)?;
        mappings.extend(own.mapping.clone());
        new.overlay(own);
        Ok((new, mappings))
    }
}

/// Whether some name matches both patterns.
fn overlaps(a: &str, b: &str) -> bool {
    fn go(a: &[u8], b: &[u8]) -> bool {
        match (a.first(), b.first()) {
            (None, None) => true,
            (Some(b'*'), _) => go(&a[1..], b) || (!b.is_empty() && go(a, &b[1..])),
            (_, Some(b'*')) => go(a, &b[1..]) || (!a.is_empty() && go(&a[1..], b)),
            (Some(x), Some(y)) => x == y && go(&a[1..], &b[1..]),
            _ => false,
        }
    }
    go(a.as_bytes(), b.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::overlaps;

    #[test]
    fn patterns_that_share_a_name() {
        assert!(overlaps("logs-*", "logs-a*"));
        assert!(overlaps("*a", "b*"));
        assert!(overlaps("a", "*"));
        assert!(!overlaps("logs-*", "metrics-*"));
        assert!(!overlaps("a*b", "c*"));
    }
}
