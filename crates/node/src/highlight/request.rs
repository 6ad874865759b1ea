//! The `highlight` part of a search request.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{ApiError, Result};
use crate::query::{Clause, parse as parse_query};

/// How text is written between the tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoder {
    /// As it is.
    Plain,
    /// HTML escaped.
    Html,
}

/// Options of one field: the request's own, overridden by the field's.
#[derive(Debug, Clone)]
pub struct Options {
    /// `fragment_size`, in characters.
    pub fragment_size: usize,
    /// `number_of_fragments`; 0 means the whole value.
    pub number_of_fragments: usize,
    /// First of `pre_tags`.
    pub pre_tag: String,
    /// First of `post_tags`.
    pub post_tag: String,
    /// `encoder`.
    pub encoder: Encoder,
    /// `order: score`.
    pub order_by_score: bool,
    /// `require_field_match`.
    pub require_field_match: bool,
    /// `no_match_size`.
    pub no_match_size: usize,
    /// `boundary_scanner: word`.
    pub by_word: bool,
    /// `max_analyzed_offset`.
    pub max_analyzed_offset: Option<usize>,
    /// `type`.
    pub kind: String,
    /// `highlight_query`.
    pub highlight_query: Option<Arc<dyn Clause>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fragment_size: 100,
            number_of_fragments: 5,
            pre_tag: "<em>".into(),
            post_tag: "</em>".into(),
            encoder: Encoder::Plain,
            order_by_score: false,
            require_field_match: true,
            no_match_size: 0,
            by_word: false,
            max_analyzed_offset: None,
            kind: "unified".into(),
            highlight_query: None,
        }
    }
}

/// A parsed `highlight`.
#[derive(Debug, Clone)]
pub struct Highlight {
    fields: Vec<(String, Options)>,
}

const OPTIONS: &[&str] = &[
    "boundary_scanner",
    "boundary_scanner_locale",
    "encoder",
    "fields",
    "fragment_size",
    "highlight_query",
    "max_analyzed_offset",
    "no_match_size",
    "number_of_fragments",
    "order",
    "post_tags",
    "pre_tags",
    "require_field_match",
    "tags_schema",
    "type",
];

fn refused(reason: String) -> ApiError {
    let mut error = ApiError::parsing(reason);
    error.kind = "x_content_parse_exception";
    error
}

impl Highlight {
    /// Reads the JSON of `highlight`.
    ///
    /// # Errors
    /// 400 for members that are unknown, badly typed or not supported (`type` other than `unified`).
    pub fn parse(value: &Value) -> Result<Self> {
        let members =
            value.as_object().ok_or_else(|| refused("[highlight] expected an object".to_owned()))?;
        let mut options = Options::default();
        let mut fields: Vec<(&String, &Value)> = Vec::new();
        for (key, value) in members {
            match key.as_str() {
                "fields" => fields = field_list(value)?,
                _ => options.set("highlight", key, value)?,
            }
        }
        let fields = fields
            .into_iter()
            .map(|(name, value)| Ok((name.clone(), options.overridden(name, value)?)))
            .collect::<Result<_>>()?;
        Ok(Self { fields })
    }

    pub(super) fn fields(&self) -> &[(String, Options)] {
        &self.fields
    }
}

/// An object, or a list of objects with one member each.
fn field_list(value: &Value) -> Result<Vec<(&String, &Value)>> {
    match value {
        Value::Object(fields) => Ok(fields.iter().collect()),
        Value::Array(items) => {
            let mut fields = Vec::new();
            for item in items {
                match item.as_object() {
                    Some(object) if object.len() == 1 => fields.extend(object),
                    _ => {
                        return Err(refused(
                            "[fields] can be a single object with any number of fields or an array where each entry is an object with a single field"
                                .to_owned(),
                        ));
                    }
                }
            }
            Ok(fields)
        }
        _ => Err(refused("[highlight] [fields] must be an object or an array".to_owned())),
    }
}

impl Options {
    fn overridden(&self, name: &str, value: &Value) -> Result<Self> {
        let empty = Map::new();
        let members = match value {
            Value::Object(members) => members,
            Value::Null => &empty,
            _ => return Err(refused(format!("[highlight_field] [{name}] must be an object"))),
        };
        let mut options = self.clone();
        for (key, value) in members {
            options.set("highlight_field", key, value)?;
        }
        match options.kind.as_str() {
            "unified" => Ok(options),
            kind @ ("plain" | "fvh") => Err(ApiError::illegal_argument(format!(
                "highlighter type [{kind}] for the field [{name}] is not supported by this node"
            ))),
            kind => Err(ApiError::illegal_argument(format!(
                "unknown highlighter type [{kind}] for the field [{name}]"
            ))),
        }
    }

    fn set(&mut self, place: &str, key: &str, value: &Value) -> Result<()> {
        let wrong = || refused(format!("[{place}] failed to parse field [{key}]"));
        let text = || value.as_str().ok_or_else(wrong);
        let number = || -> Result<usize> {
            let number = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
            number.and_then(|number| usize::try_from(number).ok()).ok_or_else(wrong)
        };
        let unsupported = |value: &str| {
            ApiError::illegal_argument(format!("[{place}] [{key}] [{value}] is not supported by this node"))
        };
        match key {
            "fragment_size" => self.fragment_size = number()?,
            "number_of_fragments" => self.number_of_fragments = number()?,
            "no_match_size" => self.no_match_size = number()?,
            "pre_tags" => self.pre_tag = first_tag(value).ok_or_else(wrong)?,
            "post_tags" => self.post_tag = first_tag(value).ok_or_else(wrong)?,
            "tags_schema" => match text()? {
                "default" => (self.pre_tag, self.post_tag) = ("<em>".into(), "</em>".into()),
                "styled" => (self.pre_tag, self.post_tag) = ("<em class=\"hlt1\">".into(), "</em>".into()),
                other => return Err(ApiError::illegal_argument(format!("Unknown tag schema [{other}]"))),
            },
            "encoder" => match text()? {
                "default" => self.encoder = Encoder::Plain,
                "html" => self.encoder = Encoder::Html,
                other => return Err(unsupported(other)),
            },
            "order" => self.order_by_score = text()? == "score",
            "require_field_match" => {
                self.require_field_match = match value {
                    Value::Bool(value) => *value,
                    Value::String(text) if text == "true" => true,
                    Value::String(text) if text == "false" => false,
                    _ => return Err(wrong()),
                };
            }
            "boundary_scanner" => match text()? {
                "sentence" => self.by_word = false,
                "word" => self.by_word = true,
                other => return Err(unsupported(other)),
            },
            "boundary_scanner_locale" => match text()? {
                "" | "en" | "en-US" | "und" => {}
                other => return Err(unsupported(other)),
            },
            "type" => text()?.clone_into(&mut self.kind),
            "max_analyzed_offset" => match value.as_i64() {
                Some(-1) => self.max_analyzed_offset = Some(usize::MAX),
                _ => self.max_analyzed_offset = Some(number()?),
            },
            "highlight_query" => self.highlight_query = Some(Arc::from(parse_query(value)?)),
            _ => {
                let hint = crate::query::did_you_mean(key, OPTIONS.iter().copied());
                return Err(refused(format!("[{place}] unknown field [{key}]{hint}")));
            }
        }
        Ok(())
    }
}

fn first_tag(value: &Value) -> Option<String> {
    match value {
        Value::String(tag) => Some(tag.clone()),
        Value::Array(tags) => tags.first()?.as_str().map(str::to_owned),
        _ => None,
    }
}
