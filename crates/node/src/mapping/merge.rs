//! Two mappings into one.

use axum::http::StatusCode;

use super::params;
use super::tree::{FieldNode, Node, ObjectNode, Tree, java};
use crate::error::{ApiError, Result};

/// `index.mapping.*.limit`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `total_fields`: fields, multi-fields and objects.
    pub total_fields: usize,
    /// `depth`: objects in objects.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total_fields: 1000, depth: 20 }
    }
}

/// `base` with what an explicit mapping says on top.
///
/// # Errors
/// 400 for what cannot change, as Elasticsearch words it.
pub fn merge(base: &Tree, new: Tree) -> Result<Tree> {
    let mut merged = base.clone();
    merge_object("", &mut merged.root, new.root)?;
    merged.date_detection = new.date_detection.or(merged.date_detection);
    merged.numeric_detection = new.numeric_detection.or(merged.numeric_detection);
    merged.dynamic_date_formats = new.dynamic_date_formats.or(merged.dynamic_date_formats);
    merged.meta = new.meta.or(merged.meta);
    merged.routing_required = new.routing_required.or(merged.routing_required);
    // Templates are merged by name; later definitions win in the place of the earlier ones.
    if let Some(new) = new.dynamic_templates {
        let mut templates = merged.dynamic_templates.take().unwrap_or_default();
        for template in new {
            match templates.iter_mut().find(|known| known.name() == template.name()) {
                Some(known) => *known = template,
                None => templates.push(template),
            }
        }
        merged.dynamic_templates = Some(templates);
    }
    Ok(merged)
}

fn merge_object(path: &str, base: &mut ObjectNode, new: ObjectNode) -> Result<()> {
    if let Some(enabled) = new.enabled
        && base.enabled.unwrap_or(true) != enabled
    {
        let name = if path.is_empty() { "_doc" } else { path };
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "mapper_exception",
            format!("the [enabled] parameter can't be updated for the object mapping [{name}]"),
        ));
    }
    base.dynamic = new.dynamic.or(base.dynamic);
    for (name, node) in new.children {
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (base.children.get_mut(&name), node) {
            (None, node) => {
                base.children.insert(name, node);
            }
            (Some(Node::Object(base)), Node::Object(new)) => merge_object(&full, base, new)?,
            (Some(Node::Field(base)), Node::Field(new)) => merge_field(&full, base, new)?,
            _ => {
                return Err(ApiError::illegal_argument(format!(
                    "can't merge a non object mapping [{full}] with an object mapping"
                )));
            }
        }
    }
    Ok(())
}

fn merge_field(path: &str, base: &mut FieldNode, new: FieldNode) -> Result<()> {
    if base.type_name != new.type_name {
        return Err(ApiError::illegal_argument(format!(
            "mapper [{path}] cannot be changed from type [{}] to [{}]",
            base.type_name, new.type_name
        )));
    }
    let conflicts = params::conflicts(&base.type_name, &base.params, &new.params);
    if !conflicts.is_empty() {
        return Err(ApiError::illegal_argument(format!(
            "Mapper for [{path}] conflicts with existing mapper:\n\t{}",
            conflicts.join("\n\t")
        )));
    }
    base.params = new.params;
    for (name, field) in new.multi {
        match base.multi.get_mut(&name) {
            Some(known) => merge_field(&format!("{path}.{name}"), known, field)?,
            None => {
                base.multi.insert(name, field);
            }
        }
    }
    Ok(())
}

/// Adds what `base` does not have. What it has already stays: another document was faster, and the one that asked is
/// read again.
pub fn extend(base: &mut ObjectNode, new: &ObjectNode) {
    for (name, node) in &new.children {
        match (base.children.get_mut(name), node) {
            (None, node) => {
                base.children.insert(name.clone(), node.clone());
            }
            (Some(Node::Object(base)), Node::Object(new)) => extend(base, new),
            _ => {}
        }
    }
}

/// Checks the size of a mapping; `before` members were there when a document made it grow.
///
/// # Errors
/// 400 when it is too wide or too deep.
pub fn check_limits(tree: &Tree, before: Option<usize>, limits: Limits) -> Result<()> {
    let count = tree.root.count();
    if count > limits.total_fields && before.is_none_or(|before| count > before) {
        let adding = before.map(|before| format!(" while adding new fields [{}]", count - before));
        return Err(ApiError::illegal_argument(format!(
            "Limit of total fields [{}] has been exceeded{}",
            limits.total_fields,
            adding.unwrap_or_default()
        )));
    }
    check_depth("", &tree.root, 1, limits.depth)
}

fn check_depth(path: &str, object: &ObjectNode, depth: usize, limit: usize) -> Result<()> {
    for (name, node) in &object.children {
        let Node::Object(child) = node else { continue };
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if depth + 1 > limit {
            return Err(ApiError::illegal_argument(format!(
                "Limit of mapping depth [{limit}] has been exceeded due to object field [{full}]"
            )));
        }
        check_depth(&full, child, depth + 1, limit)?;
    }
    Ok(())
}

/// Checks what only the whole mapping can tell: targets of `alias` and `copy_to`.
///
/// # Errors
/// 400 as Elasticsearch words it.
pub fn check_references(tree: &Tree) -> Result<()> {
    check_references_of(tree, "", &tree.root)
}

fn check_references_of(tree: &Tree, path: &str, object: &ObjectNode) -> Result<()> {
    for (name, node) in &object.children {
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match node {
            Node::Object(child) => check_references_of(tree, &full, child)?,
            Node::Field(field) if field.type_name == "alias" => {
                let target = field.params.get("path").map(java).unwrap_or_default();
                let problem = if target == full {
                    "an alias cannot refer to itself."
                } else {
                    match tree.field(&target) {
                        None => "an alias must refer to an existing field in the mappings.",
                        Some(field) if field.type_name == "alias" => {
                            "an alias cannot refer to another alias."
                        }
                        Some(_) => continue,
                    }
                };
                return Err(super::tree::bad_mapping(format!(
                    "Invalid [path] value [{target}] for field alias [{full}]: {problem}"
                )));
            }
            Node::Field(_) => {}
        }
    }
    Ok(())
}
