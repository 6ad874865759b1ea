//! `dynamic_templates`: what new fields become.

use regex::Regex;
use serde_json::{Map, Value, json};

use super::params;
use super::tree::{FieldNode, Node, ObjectNode, bad_mapping, java};
use crate::error::{ApiError, Result};

/// JSON types a template can match, with the field type Elasticsearch gives them without one.
const MATCH_TYPES: [(&str, &str); 7] = [
    ("object", "object"),
    ("string", "text"),
    ("long", "long"),
    ("double", "float"),
    ("boolean", "boolean"),
    ("date", "date"),
    ("binary", "binary"),
];

/// One template.
#[derive(Debug, Clone)]
pub struct DynamicTemplate {
    name: String,
    body: Value,
    types: Vec<String>,
    not_types: Vec<String>,
    names: Vec<Pattern>,
    not_names: Vec<Pattern>,
    paths: Vec<Pattern>,
    not_paths: Vec<Pattern>,
    mapping: Map<String, Value>,
}

#[derive(Debug, Clone)]
enum Pattern {
    Simple(String),
    Regex(Regex),
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Simple(pattern) => super::simple_match(pattern, text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

impl PartialEq for DynamicTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.body == other.body
    }
}

fn list(value: &Value) -> Result<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(|item| params::string("match", item)).collect(),
        other => Ok(vec![params::string("match", other)?]),
    }
}

impl DynamicTemplate {
    /// Reads the list of templates.
    ///
    /// # Errors
    /// 400 for anything Elasticsearch refuses.
    pub fn parse_all(value: &Value) -> Result<Vec<Self>> {
        let Value::Array(items) = value else {
            return Err(bad_mapping("Dynamic template syntax error. An array of named objects is expected."));
        };
        items
            .iter()
            .map(|item| match item {
                Value::Object(entry) if entry.len() == 1 => {
                    let (name, body) = entry.iter().next().ok_or_else(|| bad_mapping("no template"))?;
                    Self::parse(name, body)
                }
                _ => Err(bad_mapping("A dynamic template must be defined with a name")),
            })
            .collect()
    }

    fn parse(name: &str, body: &Value) -> Result<Self> {
        let Value::Object(members) = body else {
            return Err(bad_mapping(format!("dynamic template [{name}] must be an object")));
        };
        let regex = match members.get("match_pattern").map(java).as_deref() {
            None | Some("simple") => false,
            Some("regex") => true,
            Some(other) => {
                return Err(ApiError::illegal_argument(format!("No matching pattern matched on [{other}]")));
            }
        };
        let patterns = |value: &Value| -> Result<Vec<Pattern>> {
            list(value)?
                .into_iter()
                .map(|text| {
                    if !regex {
                        return Ok(Pattern::Simple(text));
                    }
                    let whole = format!("^(?:{text})$");
                    Regex::new(&whole).map(Pattern::Regex).map_err(|error| {
                        bad_mapping(format!(
                            "Pattern [{text}] of type [regex] is invalid. Cannot create dynamic template [{name}]."
                        ))
                        .because("pattern_syntax_exception", error.to_string())
                    })
                })
                .collect()
        };
        let types = |value: &Value| -> Result<Vec<String>> {
            let types = list(value)?;
            for kind in &types {
                if kind != "*" && !MATCH_TYPES.iter().any(|(known, _)| known == kind) {
                    return Err(ApiError::illegal_argument(format!(
                        "No field type matched on [{kind}], possible values are [object, string, long, double, boolean, date, binary]"
                    )));
                }
            }
            Ok(types)
        };
        let mut template = Self {
            name: name.to_owned(),
            body: body.clone(),
            types: Vec::new(),
            not_types: Vec::new(),
            names: Vec::new(),
            not_names: Vec::new(),
            paths: Vec::new(),
            not_paths: Vec::new(),
            mapping: Map::new(),
        };
        let mut mapped = false;
        for (key, value) in members {
            match key.as_str() {
                "match_pattern" => {}
                "mapping" => {
                    let Value::Object(mapping) = value else {
                        return Err(bad_mapping(format!(
                            "template [{name}] must have an object as [mapping]"
                        )));
                    };
                    template.mapping.clone_from(mapping);
                    mapped = true;
                }
                "match_mapping_type" => template.types = types(value)?,
                "unmatch_mapping_type" => template.not_types = types(value)?,
                "match" => template.names = patterns(value)?,
                "unmatch" => template.not_names = patterns(value)?,
                "path_match" => template.paths = patterns(value)?,
                "path_unmatch" => template.not_paths = patterns(value)?,
                _ => {
                    return Err(ApiError::illegal_argument(format!(
                        "Illegal dynamic template parameter: [{key}]"
                    )));
                }
            }
        }
        if !mapped {
            return Err(bad_mapping(format!("template [{name}] must have either mapping or runtime set")));
        }
        template.check()?;
        Ok(template)
    }

    /// A template whose mapping can be valid for no type it matches is refused when it is put.
    fn check(&self) -> Result<()> {
        if Value::Object(self.mapping.clone()).to_string().contains("{name}") {
            return Ok(());
        }
        let has = |types: &[String], kind: &str| types.iter().any(|known| known == "*" || known == kind);
        let kinds: Vec<&str> = MATCH_TYPES
            .iter()
            .map(|(kind, _)| *kind)
            .filter(|kind| self.types.is_empty() || has(&self.types, kind))
            .filter(|kind| !has(&self.not_types, kind))
            .collect();
        let mut problem = None;
        for kind in &kinds {
            match self.node("__dynamic__", &format!("__dynamic__{}", self.name), kind) {
                Ok(_) => return Ok(()),
                Err(error) => problem = Some(error),
            }
        }
        let Some(problem) = problem else { return Ok(()) };
        let cause = match self.mapping.get("type").map(java) {
            Some(kind) if kind != "object" && !kind.contains('{') && !params::exists(&kind) => {
                ApiError::illegal_argument(format!("No mapper found for type [{kind}]"))
            }
            _ => problem,
        };
        let error = ApiError::illegal_argument(format!(
            "dynamic template [{}] has invalid content [{}], attempted to validate it with the following \
             match_mapping_type: [{}]",
            self.name,
            self.body,
            kinds.join(", ")
        ));
        Err(error.with("caused_by", cause.cause()))
    }

    /// As it was put.
    pub fn to_json(&self) -> Value {
        json!({ &self.name: self.body })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a new field of JSON type `kind` (as in `match_mapping_type`) becomes what the template says.
    pub fn matches(&self, name: &str, path: &str, kind: &str) -> bool {
        let any = |patterns: &[Pattern], text: &str| patterns.iter().any(|pattern| pattern.matches(text));
        let typed = |types: &[String]| types.iter().any(|known| known == "*" || known == kind);
        (self.types.is_empty() || typed(&self.types))
            && !typed(&self.not_types)
            && (self.names.is_empty() || any(&self.names, name))
            && !any(&self.not_names, name)
            && (self.paths.is_empty() || any(&self.paths, path))
            && !any(&self.not_paths, path)
    }

    /// The new field.
    ///
    /// # Errors
    /// 400 when the template's mapping is not valid for it.
    pub fn node(&self, name: &str, path: &str, kind: &str) -> Result<Node> {
        let default =
            MATCH_TYPES.iter().find(|(known, _)| *known == kind).map_or("text", |(_, default)| default);
        let Value::Object(mut mapping) = filled(&Value::Object(self.mapping.clone()), name, default) else {
            return Err(bad_mapping("no mapping"));
        };
        if !mapping.contains_key("type") && !mapping.contains_key("properties") {
            mapping.insert("type".into(), default.into());
        }
        if mapping.get("type").is_some_and(|kind| kind == "object") || mapping.contains_key("properties") {
            let body = json!({ "properties": { name: mapping } });
            let tree = super::tree::Tree::parse(&body)?;
            let node = tree.root.children.into_iter().next().map(|(_, node)| node);
            return Ok(node.unwrap_or_else(|| Node::Object(ObjectNode::default())));
        }
        FieldNode::parse(path, &mapping).map(Node::Field)
    }
}

/// Fills `{name}` and `{dynamic_type}` in, in keys and values.
fn filled(value: &Value, name: &str, kind: &str) -> Value {
    let fill = |text: &str| {
        text.replace("{name}", name).replace("{dynamic_type}", kind).replace("{dynamicType}", kind)
    };
    match value {
        Value::String(text) => fill(text).into(),
        Value::Array(items) => items.iter().map(|item| filled(item, name, kind)).collect::<Vec<_>>().into(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (fill(key), filled(value, name, kind)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}
