//! New fields of a document: what the mapping has to get before the document can be indexed.

use std::borrow::Cow;
use std::cell::RefCell;

use super::json::Json;
use super::tree::{FieldNode, Node, ObjectNode, Tree};
use super::types::Dynamic;
use crate::dates::DateFormat;
use crate::error::Result;

/// Elasticsearch's `dynamic_date_formats` unless the mapping has its own. The second is written into the mapping, with
/// `epoch_millis` added.
const DATE_FORMATS: [&str; 2] = ["strict_date_optional_time", "yyyy/MM/dd HH:mm:ss||yyyy/MM/dd"];

/// Finds the members of `document` that the mapping lacks.
///
/// # Errors
/// 400 when a dynamic template gives them no valid mapping.
pub fn discover(tree: &Tree, document: &[(Cow<'_, str>, Json<'_>)]) -> Result<ObjectNode> {
    let mut found = ObjectNode::default();
    let discovery = Discovery { tree, copies: RefCell::default() };
    discovery.members(Some(&tree.root), &mut found, "", Dynamic::True, document)?;
    let dynamic = tree.root.dynamic.unwrap_or_default();
    for (path, value) in discovery.copies.take() {
        let parts: Vec<&str> = path.split('.').collect();
        discovery.member(Some(&tree.root), &mut found, "", dynamic, &parts, &value.borrowed())?;
    }
    Ok(found)
}

struct Discovery<'a> {
    tree: &'a Tree,
    /// Values that `copy_to` brings to other paths.
    copies: RefCell<Vec<(String, Copied)>>,
}

/// A scalar of the document.
enum Copied {
    Text(String),
    Other(Json<'static>),
}

impl Copied {
    fn borrowed(&self) -> Json<'_> {
        match self {
            Self::Text(text) => Json::Text(Cow::Borrowed(text)),
            Self::Other(value) => value.clone(),
        }
    }
}

impl Discovery<'_> {
    fn note_copies(&self, field: &FieldNode, value: &Json<'_>) {
        let Some(targets) = field.params.get("copy_to").and_then(|targets| targets.as_array()) else {
            return;
        };
        for path in targets.iter().filter_map(|path| path.as_str()) {
            let copied = match value {
                Json::Text(text) => Copied::Text(text.to_string()),
                Json::Bool(flag) => Copied::Other(Json::Bool(*flag)),
                Json::Integer(number) => Copied::Other(Json::Integer(*number)),
                Json::Big(number) => Copied::Other(Json::Big(*number)),
                Json::Float(number) => Copied::Other(Json::Float(*number)),
                Json::Null | Json::Array(_) | Json::Object(_) => continue,
            };
            self.copies.borrow_mut().push((path.to_owned(), copied));
        }
    }

    fn members(
        &self,
        known: Option<&ObjectNode>,
        found: &mut ObjectNode,
        path: &str,
        inherited: Dynamic,
        members: &[(Cow<'_, str>, Json<'_>)],
    ) -> Result<()> {
        if known.is_some_and(|known| known.enabled == Some(false)) || found.enabled == Some(false) {
            return Ok(());
        }
        let own = known.and_then(|known| known.dynamic).or(found.dynamic);
        let dynamic = own.unwrap_or(inherited);
        for (key, value) in members {
            let parts: Vec<&str> = key.split('.').filter(|part| !part.is_empty()).collect();
            self.member(known, found, path, dynamic, &parts, value)?;
        }
        Ok(())
    }

    fn member(
        &self,
        known: Option<&ObjectNode>,
        found: &mut ObjectNode,
        path: &str,
        dynamic: Dynamic,
        parts: &[&str],
        value: &Json<'_>,
    ) -> Result<()> {
        let Some((name, rest)) = parts.split_first() else { return Ok(()) };
        let full = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        if let Json::Array(items) = value {
            for item in items {
                self.member(known, found, path, dynamic, parts, item)?;
            }
            return Ok(());
        }
        let known_child = known.and_then(|known| known.children.get(*name));
        match known_child {
            Some(Node::Field(field)) => {
                self.note_copies(field, value);
                return Ok(());
            }
            Some(Node::Object(object)) => {
                let mut inner = match found.children.remove(*name) {
                    Some(Node::Object(inner)) => inner,
                    _ => ObjectNode::default(),
                };
                self.inside(Some(object), &mut inner, &full, dynamic, rest, value)?;
                // An object that is known and gets nothing new is nothing new.
                if !inner.children.is_empty() {
                    found.children.insert((*name).to_owned(), Node::Object(inner));
                }
                return Ok(());
            }
            None if dynamic != Dynamic::True || matches!(value, Json::Null) => return Ok(()),
            None => {}
        }
        if !rest.is_empty() || matches!(value, Json::Object(_)) {
            if !found.children.contains_key(*name) {
                let node = match self.template(name, &full, "object") {
                    Some(template) => template.node(name, &full, "object")?,
                    None => Node::Object(ObjectNode::default()),
                };
                found.children.insert((*name).to_owned(), node);
            }
            let Some(Node::Object(inner)) = found.children.get_mut(*name) else { return Ok(()) };
            return self.inside(None, inner, &full, dynamic, rest, value);
        }
        if !found.children.contains_key(*name)
            && let Some(node) = self.leaf(name, &full, value)?
        {
            found.children.insert((*name).to_owned(), node);
        }
        Ok(())
    }

    fn inside(
        &self,
        known: Option<&ObjectNode>,
        found: &mut ObjectNode,
        path: &str,
        inherited: Dynamic,
        rest: &[&str],
        value: &Json<'_>,
    ) -> Result<()> {
        match value {
            _ if !rest.is_empty() => {
                if known.is_some_and(|known| known.enabled == Some(false)) {
                    return Ok(());
                }
                let dynamic = known.and_then(|known| known.dynamic).or(found.dynamic).unwrap_or(inherited);
                self.member(known, found, path, dynamic, rest, value)
            }
            Json::Object(members) => self.members(known, found, path, inherited, members),
            _ => Ok(()),
        }
    }

    fn template(&self, name: &str, path: &str, kind: &str) -> Option<&super::templates::DynamicTemplate> {
        let templates = self.tree.dynamic_templates.as_ref()?;
        templates.iter().find(|template| template.matches(name, path, kind))
    }

    /// What a scalar becomes; `None` for null.
    fn leaf(&self, name: &str, path: &str, value: &Json<'_>) -> Result<Option<Node>> {
        let (kind, format) = match value {
            Json::Null | Json::Array(_) | Json::Object(_) => return Ok(None),
            Json::Bool(_) => ("boolean", None),
            Json::Integer(_) | Json::Big(_) => ("long", None),
            Json::Float(_) => ("double", None),
            Json::Text(text) => self.text_kind(text),
        };
        if let Some(template) = self.template(name, path, kind) {
            let mut node = template.node(name, path, kind)?;
            if let (Node::Field(field), Some(format)) = (&mut node, format)
                && field.type_name == "date"
                && !field.params.contains_key("format")
            {
                field.params.insert("format".into(), format.into());
            }
            return Ok(Some(node));
        }
        let mut field = match kind {
            "string" => FieldNode::dynamic_text(),
            "double" => FieldNode::plain("float"),
            other => FieldNode::plain(other),
        };
        if let Some(format) = format {
            field.params.insert("format".into(), format.into());
            // Elasticsearch prints the root locale here.
            field.params.insert("locale".into(), "".into());
        }
        Ok(Some(Node::Field(field)))
    }

    /// Date and number detection in text.
    fn text_kind(&self, text: &str) -> (&'static str, Option<String>) {
        let whole = text.parse::<i64>().is_ok();
        let number = text.parse::<f64>().is_ok();
        if self.tree.numeric_detection == Some(true) && (whole || number) {
            return (if whole { "long" } else { "double" }, None);
        }
        // Pure numbers are too often no dates.
        if whole || number || self.tree.date_detection == Some(false) {
            return ("string", None);
        }
        match &self.tree.dynamic_date_formats {
            Some(formats) => {
                for format in formats {
                    if fits(format, text) {
                        return ("date", Some(format.clone()));
                    }
                }
            }
            None => {
                // Cheap look before the parser: each default format starts with a four-digit year.
                let year = text.as_bytes().get(..4).is_some_and(|year| year.iter().all(u8::is_ascii_digit));
                if year && fits(DATE_FORMATS[0], text) {
                    return ("date", None);
                }
                if year && fits(DATE_FORMATS[1], text) {
                    return ("date", Some(format!("{}||epoch_millis", DATE_FORMATS[1])));
                }
            }
        }
        ("string", None)
    }
}

fn fits(format: &str, text: &str) -> bool {
    DateFormat::compile(format).is_ok_and(|format| format.try_parse(text, false, None).is_some())
}
