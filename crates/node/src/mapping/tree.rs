//! A mapping as it is written: objects, fields, and what Elasticsearch prints of them.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::params;
use super::templates::DynamicTemplate;
use super::types::Dynamic;
use crate::error::{ApiError, Result};

/// Longest path below which `properties` are read; Elasticsearch's `index.mapping.depth.limit` is checked when merging.
const PARSE_DEPTH: usize = 100;

/// A whole mapping.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Fields.
    pub root: ObjectNode,
    /// `date_detection`, when set.
    pub date_detection: Option<bool>,
    /// `numeric_detection`, when set.
    pub numeric_detection: Option<bool>,
    /// `dynamic_date_formats`, when set.
    pub dynamic_date_formats: Option<Vec<String>>,
    /// `dynamic_templates`, when set.
    pub dynamic_templates: Option<Vec<DynamicTemplate>>,
    /// `_meta`, when set.
    pub meta: Option<Value>,
    /// `_routing.required`, when set.
    pub routing_required: Option<bool>,
}

/// An object, or the root.
#[derive(Debug, Clone, Default)]
pub struct ObjectNode {
    /// `dynamic`, when set.
    pub dynamic: Option<Dynamic>,
    /// `enabled`, when set.
    pub enabled: Option<bool>,
    /// Members.
    pub children: BTreeMap<String, Node>,
}

/// A member of an object.
#[derive(Debug, Clone)]
pub enum Node {
    /// An object.
    Object(ObjectNode),
    /// A field.
    Field(FieldNode),
}

/// A leaf.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldNode {
    /// `type`.
    pub type_name: String,
    /// Parameters other than `type` and `fields`, without those that have their default.
    pub params: Map<String, Value>,
    /// Multi-fields.
    pub multi: BTreeMap<String, FieldNode>,
}

/// 400 `mapper_parsing_exception`.
pub fn bad_mapping(reason: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "mapper_parsing_exception", reason)
}

/// Wraps what went wrong in a mapping as Elasticsearch does.
fn failed(cause: &ApiError) -> ApiError {
    let outer = bad_mapping(format!("Failed to parse mapping: {}", cause.reason));
    if matches!(cause.kind, "mapper_parsing_exception" | "parse_exception") {
        outer.caused_by(cause)
    } else {
        outer.with("caused_by", cause.cause())
    }
}

impl Tree {
    /// Checks the size of a new mapping.
    ///
    /// # Errors
    /// 400 when it is too wide or too deep.
    pub fn check_limits(&self, limits: super::Limits) -> Result<()> {
        super::merge::check_limits(self, None, limits)
    }

    /// Reads a mapping body (`{"properties": ..}`).
    ///
    /// # Errors
    /// 400 `mapper_parsing_exception` as Elasticsearch words it, also for types and parameters this node does not have.
    pub fn parse(body: &Value) -> Result<Self> {
        Self::read(body).map_err(|error| failed(&error))
    }

    fn read(body: &Value) -> Result<Self> {
        let Value::Object(body) = body else {
            return Err(ApiError::illegal_argument("mapping must be an object"));
        };
        // `{"_doc": {..}}` is what old clients send.
        let body = match body.get("_doc") {
            Some(Value::Object(inner)) if body.len() == 1 => inner,
            _ => body,
        };
        let mut tree = Self::default();
        let mut unknown = Vec::new();
        for (key, value) in body {
            match key.as_str() {
                "properties" => tree.root.children = properties("", value, 0)?,
                "dynamic" => tree.root.dynamic = Some(dynamic(value)?),
                "enabled" => tree.root.enabled = Some(params::boolean("enabled", value)?),
                "date_detection" => tree.date_detection = Some(params::boolean(key, value)?),
                "numeric_detection" => tree.numeric_detection = Some(params::boolean(key, value)?),
                "dynamic_date_formats" => tree.dynamic_date_formats = Some(date_formats(value)?),
                "dynamic_templates" => tree.dynamic_templates = Some(DynamicTemplate::parse_all(value)?),
                "_meta" => tree.meta = Some(value.clone()),
                "_routing" => tree.routing_required = Some(only_flag("_routing", "required", value)?),
                "_source" => {
                    if !only_flag("_source", "enabled", value)? {
                        return Err(bad_mapping("[_source] cannot be disabled on this node"));
                    }
                }
                "_field_names" => {
                    only_flag("_field_names", "enabled", value)?;
                }
                "subobjects" if *value == json!(true) || *value == json!("true") => {}
                "runtime" if value.as_object().is_some_and(Map::is_empty) => {}
                "runtime" | "subobjects" | "_size" => {
                    return Err(bad_mapping(format!("[{key}] is not supported by this node")));
                }
                _ => unknown.push(format!("[{key} : {}]", java(value))),
            }
        }
        if unknown.is_empty() {
            Ok(tree)
        } else {
            Err(bad_mapping(format!(
                "Root mapping definition has unsupported parameters:  {}",
                unknown.join(" ")
            )))
        }
    }

    /// As Elasticsearch prints it.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        if let Some(dynamic) = self.root.dynamic {
            out.insert("dynamic".into(), dynamic_name(dynamic).into());
        }
        if self.root.enabled == Some(false) {
            out.insert("enabled".into(), false.into());
        }
        if let Some(meta) = &self.meta {
            out.insert("_meta".into(), meta.clone());
        }
        if self.routing_required == Some(true) {
            out.insert("_routing".into(), json!({ "required": true }));
        }
        if let Some(formats) = &self.dynamic_date_formats {
            out.insert("dynamic_date_formats".into(), json!(formats));
        }
        if let Some(templates) = &self.dynamic_templates {
            out.insert(
                "dynamic_templates".into(),
                templates.iter().map(DynamicTemplate::to_json).collect::<Vec<_>>().into(),
            );
        }
        if let Some(detection) = self.date_detection {
            out.insert("date_detection".into(), detection.into());
        }
        if let Some(detection) = self.numeric_detection {
            out.insert("numeric_detection".into(), detection.into());
        }
        if !self.root.children.is_empty() {
            out.insert("properties".into(), self.root.properties_json());
        }
        Value::Object(out)
    }

    /// The field at a full path, multi-fields included.
    pub fn field(&self, path: &str) -> Option<&FieldNode> {
        let mut object = &self.root;
        let mut parts = path.split('.');
        while let Some(part) = parts.next() {
            match object.children.get(part)? {
                Node::Object(next) => object = next,
                Node::Field(field) => {
                    return match parts.next() {
                        None => Some(field),
                        Some(sub) if parts.next().is_none() => field.multi.get(sub),
                        Some(_) => None,
                    };
                }
            }
        }
        None
    }
}

impl ObjectNode {
    fn properties_json(&self) -> Value {
        self.children.iter().map(|(name, node)| (name.clone(), node.to_json())).collect::<Map<_, _>>().into()
    }

    /// Members that count against the limit of fields.
    pub fn count(&self) -> usize {
        self.children
            .values()
            .map(|node| match node {
                Node::Object(object) => 1 + object.count(),
                Node::Field(field) => 1 + field.multi.len(),
            })
            .sum()
    }
}

impl Node {
    fn to_json(&self) -> Value {
        match self {
            Self::Field(field) => field.to_json(),
            Self::Object(object) => {
                let mut out = Map::new();
                if object.children.is_empty() {
                    out.insert("type".into(), "object".into());
                }
                if let Some(dynamic) = object.dynamic {
                    out.insert("dynamic".into(), dynamic_name(dynamic).into());
                }
                if object.enabled == Some(false) {
                    out.insert("enabled".into(), false.into());
                }
                if !object.children.is_empty() {
                    out.insert("properties".into(), object.properties_json());
                }
                Value::Object(out)
            }
        }
    }
}

impl FieldNode {
    /// A field with no parameters.
    pub fn plain(type_name: &str) -> Self {
        Self { type_name: type_name.to_owned(), params: Map::new(), multi: BTreeMap::new() }
    }

    /// What dynamic mapping makes of text.
    pub fn dynamic_text() -> Self {
        let mut keyword = Self::plain("keyword");
        keyword.params.insert("ignore_above".into(), 256.into());
        let mut text = Self::plain("text");
        text.multi.insert("keyword".into(), keyword);
        text
    }

    /// As Elasticsearch prints it.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("type".into(), self.type_name.clone().into());
        if !self.multi.is_empty() {
            let fields: Map<_, _> =
                self.multi.iter().map(|(name, field)| (name.clone(), field.to_json())).collect();
            out.insert("fields".into(), fields.into());
        }
        out.extend(self.params.clone());
        Value::Object(out)
    }

    /// Reads a field; `path` is for messages.
    ///
    /// # Errors
    /// 400 for unknown types and parameters.
    pub fn parse(path: &str, body: &Map<String, Value>) -> Result<Self> {
        let Some(type_name) = body.get("type") else {
            return Err(bad_mapping(format!("No type specified for field [{path}]")));
        };
        let type_name = params::string("type", type_name)?;
        let mut given = body.clone();
        given.remove("type");
        let multi = match given.remove("fields") {
            None => BTreeMap::new(),
            Some(fields) => multi_fields(path, &fields)?,
        };
        let params = params::normalize(path, &type_name, given)?;
        if type_name == "alias" && !multi.is_empty() {
            return Err(bad_mapping(format!(
                "unknown parameter [fields] on mapper [{path}] of type [alias]"
            )));
        }
        Ok(Self { type_name, params, multi })
    }
}

fn multi_fields(path: &str, fields: &Value) -> Result<BTreeMap<String, FieldNode>> {
    let Value::Object(fields) = fields else {
        return Err(bad_mapping(format!(
            "expected map for property [fields] on field [{path}] or a list with at most one element but got a {}",
            java_class(fields)
        )));
    };
    fields
        .iter()
        .map(|(name, body)| {
            let full = format!("{path}.{name}");
            check_name(name)?;
            let Value::Object(body) = body else {
                return Err(bad_mapping(format!("illegal field [{name}], only fields can be specified inside fields")));
            };
            let field = FieldNode::parse(&full, body)?;
            if field.type_name == "alias" {
                return Err(bad_mapping("Type [alias] cannot be used in multi field"));
            }
            if !field.multi.is_empty() {
                return Err(bad_mapping(format!("multi fields of [{full}] cannot have multi fields on this node")));
            }
            if field.params.contains_key("copy_to") {
                return Err(bad_mapping(format!(
                    "copy_to in multi fields is not allowed. Found the copy_to in field [{name}] which is within a \
                     multi field."
                )));
            }
            Ok((name.clone(), field))
        })
        .collect()
}

fn properties(path: &str, value: &Value, depth: usize) -> Result<BTreeMap<String, Node>> {
    if depth > PARSE_DEPTH {
        return Err(bad_mapping("mapping is nested too deep"));
    }
    let members = match value {
        Value::Object(members) => members,
        Value::Array(items) if items.is_empty() => return Ok(BTreeMap::new()),
        _ => {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "parse_exception",
                "properties must be a map type",
            ));
        }
    };
    let mut children = BTreeMap::new();
    for (name, body) in members {
        check_name(name)?;
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Value::Object(body) = body else {
            return Err(bad_mapping(format!(
                "Expected map for property [fields] on field [{name}] but got a {}",
                java_class(body)
            )));
        };
        let node = node(&full, body, depth)?;
        insert(&mut children, name, node)?;
    }
    Ok(children)
}

/// A name with dots stands for nested objects; what is said twice of an object is joined.
fn insert(children: &mut BTreeMap<String, Node>, name: &str, node: Node) -> Result<()> {
    let name = name.trim_end_matches('.');
    let (head, node) = match name.split_once('.') {
        None => (name, node),
        Some((head, rest)) => {
            let mut inner = ObjectNode::default();
            insert(&mut inner.children, rest, node)?;
            (head, Node::Object(inner))
        }
    };
    match (children.get_mut(head), node) {
        (Some(Node::Object(old)), Node::Object(new)) => {
            old.dynamic = new.dynamic.or(old.dynamic);
            old.enabled = new.enabled.or(old.enabled);
            for (name, node) in new.children {
                insert(&mut old.children, &name, node)?;
            }
        }
        (Some(Node::Field(old)), Node::Field(new)) => *old = new,
        (Some(_), _) => {
            return Err(ApiError::illegal_argument(format!(
                "can't merge a non object mapping [{head}] with an object mapping"
            )));
        }
        (None, node) => drop(children.insert(head.to_owned(), node)),
    }
    Ok(())
}

fn node(path: &str, body: &Map<String, Value>, depth: usize) -> Result<Node> {
    let is_object = match body.get("type") {
        None => {
            body.contains_key("properties") || body.contains_key("dynamic") || body.contains_key("enabled")
        }
        Some(kind) => kind == "object",
    };
    if !is_object {
        return FieldNode::parse(path, body).map(Node::Field);
    }
    let mut object = ObjectNode::default();
    let mut unknown = Vec::new();
    for (key, value) in body {
        match key.as_str() {
            "type" => {}
            "properties" => object.children = properties(path, value, depth + 1)?,
            "dynamic" => object.dynamic = Some(dynamic(value)?),
            "enabled" => object.enabled = Some(params::boolean(&format!("{path}.enabled"), value)?),
            "subobjects" if *value == json!(true) || *value == json!("true") => {}
            _ => unknown.push(format!("[{key} : {}]", java(value))),
        }
    }
    if unknown.is_empty() {
        Ok(Node::Object(object))
    } else {
        let name = path.rsplit('.').next().unwrap_or(path);
        Err(bad_mapping(format!(
            "Mapping definition for [{name}] has unsupported parameters:  {}",
            unknown.join(" ")
        )))
    }
}

fn check_name(name: &str) -> Result<()> {
    let parts = || name.trim_end_matches('.').split('.');
    let problem = if name.is_empty() {
        "field name cannot be an empty string".to_owned()
    } else if name.chars().all(|char| char == '.') {
        "field name cannot contain only dots".to_owned()
    } else if parts().any(str::is_empty) {
        "field name cannot be an empty string".to_owned()
    } else if parts().any(|part| part.trim().is_empty()) {
        "field name cannot contain only whitespaces".to_owned()
    } else if name.chars().any(char::is_control) {
        format!("field name [{}] has control characters", name.escape_debug())
    } else {
        return Ok(());
    };
    Err(ApiError::illegal_argument(problem))
}

fn dynamic(value: &Value) -> Result<Dynamic> {
    let text = match value {
        Value::Bool(flag) => flag.to_string(),
        Value::String(text) => text.to_ascii_lowercase(),
        other => java(other),
    };
    match text.as_str() {
        "true" => Ok(Dynamic::True),
        "false" => Ok(Dynamic::False),
        "strict" => Ok(Dynamic::Strict),
        "runtime" => Err(bad_mapping("[dynamic: runtime] is not supported by this node")),
        other => {
            let inner = format!("Failed to parse value [{other}] as only [true] or [false] are allowed.");
            Err(ApiError::illegal_argument("Could not convert [dynamic.dynamic] to boolean")
                .because("illegal_argument_exception", inner))
        }
    }
}

fn dynamic_name(dynamic: Dynamic) -> &'static str {
    match dynamic {
        Dynamic::True => "true",
        Dynamic::False => "false",
        Dynamic::Strict => "strict",
        Dynamic::Runtime => "runtime",
    }
}

fn date_formats(value: &Value) -> Result<Vec<String>> {
    let items = match value {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    items
        .iter()
        .map(|item| {
            let text = params::string("dynamic_date_formats", item)?;
            crate::dates::DateFormat::compile(&text)?;
            Ok(text)
        })
        .collect()
}

/// A metadata object with one boolean member (true by default for `enabled`, false for `required`).
fn only_flag(object: &str, flag: &str, value: &Value) -> Result<bool> {
    let Value::Object(members) = value else {
        return Err(bad_mapping(format!("[{object}] config must be an object")));
    };
    let mut result = flag == "enabled";
    for (key, value) in members {
        if key == flag {
            result = params::boolean(key, value)?;
        } else {
            return Err(bad_mapping(format!("unknown parameter [{key}] on metadata field [{object}]")));
        }
    }
    Ok(result)
}

/// A value as Java prints it, which is what Elasticsearch shows in errors.
pub fn java(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(java).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            // Java's hash map order cannot be foretold; sorted is at least stable.
            let mut parts: Vec<String> =
                members.iter().map(|(key, value)| format!("{key}={}", java(value))).collect();
            parts.sort();
            format!("{{{}}}", parts.join(", "))
        }
        other => other.to_string(),
    }
}

fn java_class(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "class java.lang.Boolean",
        Value::Number(_) => "class java.lang.Integer",
        Value::String(_) => "class java.lang.String",
        Value::Array(_) => "class java.util.ArrayList",
        Value::Object(_) => "class java.util.HashMap",
    }
}
