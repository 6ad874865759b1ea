//! `attachment`: the text of a file that stands in a field as base64.

use axum::http::StatusCode;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use connectors_extraction::{Extracted, Options, extract};
use serde_json::{Map, Value, json};

use super::strings::present;
use super::{Change, Step};
use crate::error::{ApiError, Result};
use crate::ingest::config::Config;
use crate::ingest::document::{Fields, cast_error};

/// Padding may be left out, as Java's decoder allows.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `indexed_chars` when it is not set.
const INDEXED_CHARACTERS: i64 = 100_000;

/// Properties Elasticsearch knows; those this node cannot tell stay absent, as with files that do not say them.
const PROPERTIES: [&str; 24] = [
    "content",
    "title",
    "author",
    "keywords",
    "date",
    "content_type",
    "content_length",
    "language",
    "modified",
    "format",
    "identifier",
    "contributor",
    "coverage",
    "modifier",
    "creator_tool",
    "publisher",
    "relation",
    "rights",
    "source",
    "type",
    "description",
    "print_date",
    "metadata_date",
    "latitude",
];

#[derive(Debug)]
struct Attachment {
    field: String,
    target: String,
    properties: Option<Vec<String>>,
    indexed_characters: i64,
    indexed_characters_field: Option<String>,
    resource_name: Option<String>,
    ignore_missing: bool,
    remove_binary: bool,
}

pub fn attachment(config: &mut Config) -> Result<Box<dyn Step>> {
    let field = config.string("field")?;
    let resource_name = config.optional_string("resource_name")?;
    let target = config.optional_string("target_field")?.unwrap_or_else(|| "attachment".to_owned());
    let properties = config.strings("properties")?;
    for name in properties.iter().flatten() {
        if !PROPERTIES.contains(&name.to_ascii_lowercase().as_str())
            && !matches!(name.as_str(), "longitude" | "altitude" | "rating" | "comments")
        {
            let known: Vec<String> = PROPERTIES.iter().map(|name| name.to_ascii_uppercase()).collect();
            return Err(config.error(
                "properties",
                format!("illegal field option [{name}]. valid values are [{}]", known.join(", ")),
            ));
        }
    }
    let indexed_characters = config.integer("indexed_chars")?.unwrap_or(INDEXED_CHARACTERS);
    let ignore_missing = config.boolean("ignore_missing", false)?;
    let indexed_characters_field = config.optional_string("indexed_chars_field")?;
    let remove_binary = config.boolean("remove_binary", false)?;
    Ok(Box::new(Attachment {
        field,
        target,
        properties,
        indexed_characters,
        indexed_characters_field,
        resource_name,
        ignore_missing,
        remove_binary,
    }))
}

impl Change for Attachment {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        let Some(value) = present(fields, &self.field, self.ignore_missing, "parse")? else { return Ok(()) };
        let Value::String(text) = value else { return Err(cast_error(&self.field, value, "[B")) };
        let bytes = BASE64.decode(text).map_err(|error| {
            ApiError::illegal_argument(format!("field [{}] is not base64: {error}", self.field))
        })?;
        let limit = self
            .indexed_characters_field
            .as_deref()
            .and_then(|path| fields.find(path))
            .and_then(Value::as_i64)
            .unwrap_or(self.indexed_characters);
        let name = self.resource_name.as_deref().and_then(|path| fields.find(path)).and_then(Value::as_str);
        let options = Options {
            extension: name.and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension),
            content_type: None,
            max_characters: usize::try_from(limit).ok(),
        };
        let extracted = extract(&bytes, &options).map_err(|error| {
            let reason = format!("Error parsing document in field [{}]", self.field);
            ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", reason)
                .with("caused_by", json!({ "type": "tika_exception", "reason": error.to_string() }))
        })?;
        let members = self.members(extracted);
        fields.set(&self.target, Value::Object(members))?;
        if self.remove_binary {
            fields.remove(&self.field)?;
        }
        Ok(())
    }
}

impl Attachment {
    fn members(&self, extracted: Extracted) -> Map<String, Value> {
        let length = extracted.text.encode_utf16().count();
        let content = extracted.text.trim();
        let content = (!extracted.text.is_empty()).then(|| content.to_owned());
        let found = [
            ("content", content.map(Value::from)),
            ("title", extracted.title.map(Value::from)),
            ("author", extracted.author.map(Value::from)),
            ("keywords", extracted.keywords.map(Value::from)),
            ("description", extracted.description.map(Value::from)),
            ("content_type", Some(extracted.content_type.into())),
            ("content_length", Some(length.into())),
        ];
        found
            .into_iter()
            .filter(|(name, _)| self.wants(name))
            .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
            .collect()
    }

    fn wants(&self, name: &str) -> bool {
        match &self.properties {
            None => true,
            Some(properties) => properties.iter().any(|property| property.eq_ignore_ascii_case(name)),
        }
    }
}
