//! Component templates: parts that index templates are composed of.

use serde_json::{Map, Value};

use super::body::{Template, print_given};
use super::read::Dates;
use crate::error::{ApiError, Result};
use crate::http::Reader;

const READER: Reader = Reader("component_template");

/// One component template.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentTemplate {
    /// What it gives an index.
    pub template: Template,
    /// `version`: the user's own.
    pub version: Option<i64>,
    /// `_meta`: the user's own.
    pub meta: Option<Map<String, Value>>,
    /// `deprecated`.
    pub deprecated: Option<bool>,
    pub(super) dates: Dates,
}

impl ComponentTemplate {
    /// Reads the body of a request. What the template says is checked later.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it.
    pub fn parse(value: &Value) -> Result<Self> {
        let mut template = None;
        let (mut version, mut meta, mut deprecated) = (None, None, None);
        for (key, value) in READER.object(value)? {
            match key.as_str() {
                "template" if !value.is_object() => return Err(READER.unsupported(key, value)),
                "template" => template = Some(Template::parse(value).map_err(|error| nested(READER, error))?),
                "version" => version = Some(READER.long(key, value)?),
                "_meta" => meta = Some(READER.map(key, value)?),
                "deprecated" => deprecated = Some(READER.boolean(key, value)?),
                other => return Err(READER.unknown(other)),
            }
        }
        let template = template.ok_or_else(|| ApiError::illegal_argument("Required [template]"))?;
        Ok(Self { template, version, meta, deprecated, dates: Dates::default() })
    }

    /// Reads a definition that was saved.
    ///
    /// # Errors
    /// 500 when it is none.
    pub fn load(saved: &Value) -> Result<Self> {
        let template =
            Self::parse(&super::index_template::without_dates(saved)).map_err(ApiError::internal)?;
        Ok(Self { dates: Dates::read(saved), ..template })
    }

    /// As it is saved and, unless `flat` asks for full names of settings, printed.
    pub fn to_json(&self, flat: bool) -> Value {
        let mut out = Map::new();
        out.insert("template".to_owned(), self.template.to_json(flat));
        print_given(&mut out, "version", self.version);
        print_given(&mut out, "_meta", self.meta.as_ref());
        print_given(&mut out, "deprecated", self.deprecated);
        self.dates.print(&mut out);
        Value::Object(out)
    }
}

/// What is wrong inside `template`. Only complaints about its form are wrapped, as in Elasticsearch.
pub(super) fn nested(reader: Reader, error: ApiError) -> ApiError {
    if error.kind == "x_content_parse_exception" { reader.failed("template", &error) } else { error }
}
