//! Index templates: what indexes of some names are made with.

use serde_json::{Map, Value, json};

use super::body::{Template, print_given};
use super::component_template::nested;
use super::read::{Dates, bad_request};
use crate::error::{ApiError, Result};
use crate::http::Reader;
use crate::mapping::simple_match;

const READER: Reader = Reader("index_template");

/// One index template.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexTemplate {
    /// `index_patterns`: names with `*`.
    pub index_patterns: Vec<String>,
    /// `template`: wins over the component templates.
    pub template: Option<Template>,
    /// `composed_of`: names of component templates; later ones win.
    pub composed_of: Vec<String>,
    /// `priority`: the highest of the matching templates is the one that applies; 0 when not given.
    pub priority: Option<i64>,
    /// `version`: the user's own.
    pub version: Option<i64>,
    /// `_meta`: the user's own.
    pub meta: Option<Map<String, Value>>,
    /// `allow_auto_create`: whether writing to an index that does not exist makes it.
    pub allow_auto_create: Option<bool>,
    /// `ignore_missing_component_templates`: of `composed_of`, those that need not exist.
    pub ignore_missing: Option<Vec<String>>,
    /// `deprecated`.
    pub deprecated: Option<bool>,
    pub(super) dates: Dates,
}

impl IndexTemplate {
    /// Reads the body of a request. What the template says is checked later.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it.
    pub fn parse(value: &Value) -> Result<Self> {
        let mut patterns = None;
        let mut read = Self {
            index_patterns: Vec::new(),
            template: None,
            composed_of: Vec::new(),
            priority: None,
            version: None,
            meta: None,
            allow_auto_create: None,
            ignore_missing: None,
            deprecated: None,
            dates: Dates::default(),
        };
        for (key, value) in READER.object(value)? {
            match key.as_str() {
                "index_patterns" => patterns = Some(READER.texts(key, value)?),
                "template" if !value.is_object() => return Err(READER.unsupported(key, value)),
                "template" => {
                    read.template = Some(Template::parse(value).map_err(|error| nested(READER, error))?);
                }
                "composed_of" => read.composed_of = READER.texts(key, value)?,
                "priority" => read.priority = Some(READER.long(key, value)?),
                "version" => read.version = Some(READER.long(key, value)?),
                "_meta" => read.meta = Some(READER.map(key, value)?),
                "allow_auto_create" => read.allow_auto_create = Some(READER.boolean(key, value)?),
                "ignore_missing_component_templates" => {
                    read.ignore_missing = Some(READER.texts(key, value)?);
                }
                "deprecated" => read.deprecated = Some(READER.boolean(key, value)?),
                "data_stream" => {
                    return Err(ApiError::illegal_argument(
                        "[data_stream] is not supported by this node: it has no data streams",
                    ));
                }
                other => return Err(READER.unknown(other)),
            }
        }
        read.index_patterns =
            patterns.ok_or_else(|| ApiError::illegal_argument("Required [index_patterns]"))?;
        if read.index_patterns.is_empty() {
            return Err(ApiError::illegal_argument("There must be at least one pattern, zero given"));
        }
        if read.priority() < 0 {
            return Err(bad_request("index template priority must be >= 0"));
        }
        Ok(read)
    }

    /// Reads a definition that was saved.
    ///
    /// # Errors
    /// 500 when it is none.
    pub fn load(saved: &Value) -> Result<Self> {
        let template = Self::parse(&without_dates(saved)).map_err(ApiError::internal)?;
        Ok(Self { dates: Dates::read(saved), ..template })
    }

    /// As it is saved and, unless `flat` asks for full names of settings, printed.
    pub fn to_json(&self, flat: bool) -> Value {
        let mut out = Map::new();
        out.insert("index_patterns".to_owned(), json!(self.index_patterns));
        print_given(&mut out, "template", self.template.as_ref().map(|template| template.to_json(flat)));
        out.insert("composed_of".to_owned(), json!(self.composed_of));
        print_given(&mut out, "priority", self.priority);
        print_given(&mut out, "version", self.version);
        print_given(&mut out, "_meta", self.meta.as_ref());
        print_given(&mut out, "allow_auto_create", self.allow_auto_create);
        print_given(&mut out, "ignore_missing_component_templates", self.ignore_missing.as_ref());
        print_given(&mut out, "deprecated", self.deprecated);
        self.dates.print(&mut out);
        Value::Object(out)
    }

    /// `priority`, 0 when not given.
    pub fn priority(&self) -> i64 {
        self.priority.unwrap_or_default()
    }

    /// Whether the template is for indexes of this name. A pattern that matches everything leaves hidden indexes alone.
    pub fn matches(&self, index: &str, hidden: bool) -> bool {
        self.index_patterns.iter().any(|pattern| !(hidden && pattern == "*") && simple_match(pattern, index))
    }

    /// Whether a component template must exist for this one.
    pub fn needs(&self, component: &str) -> bool {
        let ignored = self.ignore_missing.iter().flatten().any(|name| name == component);
        !ignored && self.composed_of.iter().any(|name| name == component)
    }
}

/// A saved definition as it was sent.
pub(super) fn without_dates(saved: &Value) -> Value {
    let mut definition = saved.clone();
    if let Some(members) = definition.as_object_mut() {
        members.remove("created_date_millis");
        members.remove("modified_date_millis");
    }
    definition
}
