//! `set`, `remove`, `rename`, `append`.

use serde_json::Value;

use super::{Change, Step};
use crate::error::{ApiError, Result};
use crate::ingest::config::Config;
use crate::ingest::document::Fields;
use crate::ingest::template::{Template, ValueTemplate};

#[derive(Debug)]
struct Set {
    field: Template,
    value: Source,
    overwrite: bool,
    ignore_empty: bool,
}

#[derive(Debug)]
enum Source {
    Value(ValueTemplate),
    Field(String),
}

pub fn set(config: &mut Config) -> Result<Box<dyn Step>> {
    let field = config.template("field")?;
    let value = match config.optional_string("copy_from")? {
        None => Source::Value(config.value_template("value")?),
        Some(field) if field.is_empty() => {
            return Err(
                config.error("copy_from", "cannot set both `copy_from` and `value` in the same processor")
            );
        }
        Some(field) => Source::Field(field),
    };
    if let Some(media_type) = config.optional_string("media_type")?
        && !matches!(
            media_type.as_str(),
            "application/json" | "text/plain" | "application/x-www-form-urlencoded"
        )
    {
        return Err(config.error(
            "media_type",
            format!("property does not contain a supported media type [{media_type}]"),
        ));
    }
    let overwrite = config.boolean("override", true)?;
    let ignore_empty = config.boolean("ignore_empty_value", false)?;
    Ok(Box::new(Set { field, value, overwrite, ignore_empty }))
}

impl Change for Set {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        let field = self.field.render(fields);
        if !self.overwrite && fields.find(&field).is_some_and(|value| !value.is_null()) {
            return Ok(());
        }
        let value = match &self.value {
            Source::Value(template) => template.render(fields),
            Source::Field(from) if self.ignore_empty => fields.find(from).cloned().unwrap_or(Value::Null),
            Source::Field(from) => fields.get(from)?.clone(),
        };
        let empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
        if self.ignore_empty && empty { Ok(()) } else { fields.set(&field, value) }
    }
}

#[derive(Debug)]
enum Remove {
    Fields { fields: Vec<Template>, ignore_missing: bool },
    Others { keep: Vec<Template> },
}

pub fn remove(config: &mut Config) -> Result<Box<dyn Step>> {
    let templates = |config: &Config, name: &str, texts: Vec<String>| {
        texts
            .iter()
            .map(|text| Template::compile(text).map_err(|error| config.error(name, error.reason)))
            .collect::<Result<Vec<_>>>()
    };
    let field = config.strings("field")?.unwrap_or_default();
    let keep = config.strings("keep")?.unwrap_or_default();
    let ignore_missing = config.boolean("ignore_missing", false)?;
    match (field.is_empty(), keep.is_empty()) {
        (false, true) => {
            Ok(Box::new(Remove::Fields { fields: templates(config, "field", field)?, ignore_missing }))
        }
        (true, false) => Ok(Box::new(Remove::Others { keep: templates(config, "keep", keep)? })),
        (true, true) => Err(config.error("keep", "or [field] must be specified")),
        (false, false) => Err(config.error("keep", "and [field] cannot both be used in the same processor")),
    }
}

impl Change for Remove {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        match self {
            Self::Fields { fields: paths, ignore_missing } => {
                for path in paths {
                    let path = path.render(fields);
                    if *ignore_missing && (path.is_empty() || fields.find(&path).is_none()) {
                        continue;
                    }
                    fields.remove(&path)?;
                }
            }
            Self::Others { keep } => {
                let keep: Vec<String> = keep.iter().map(|path| path.render(fields)).collect();
                retain(fields.source_mut(), "", &keep);
            }
        }
        Ok(())
    }
}

/// Keeps the members that a path in `keep` names, is above, or is below.
fn retain(value: &mut Value, prefix: &str, keep: &[String]) {
    let Value::Object(members) = value else { return };
    members.retain(|name, member| {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if keep.contains(&path) {
            return true;
        }
        let below = format!("{path}.");
        let wanted = member.is_object() && keep.iter().any(|kept| kept.starts_with(&below));
        if wanted {
            retain(member, &path, keep);
        }
        wanted
    });
}

#[derive(Debug)]
struct Rename {
    field: Template,
    target: Template,
    ignore_missing: bool,
    overwrite: bool,
}

pub fn rename(config: &mut Config) -> Result<Box<dyn Step>> {
    Ok(Box::new(Rename {
        field: config.template("field")?,
        target: config.template("target_field")?,
        ignore_missing: config.boolean("ignore_missing", false)?,
        overwrite: config.boolean("override", false)?,
    }))
}

impl Change for Rename {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        let path = self.field.render(fields);
        if path.is_empty() || fields.find(&path).is_none() {
            return if self.ignore_missing {
                Ok(())
            } else if path.is_empty() {
                Err(ApiError::illegal_argument("field path cannot be null nor empty"))
            } else {
                Err(ApiError::illegal_argument(format!("field [{path}] doesn't exist")))
            };
        }
        let target = self.target.render(fields);
        if !self.overwrite && fields.find(&target).is_some() {
            return Err(ApiError::illegal_argument(format!("field [{target}] already exists")));
        }
        let value = fields.remove(&path)?;
        // Without this the value would be lost when the target cannot be written.
        fields.set(&target, value.clone()).or_else(|error| {
            fields.set(&path, value)?;
            Err(error)
        })
    }
}

#[derive(Debug)]
struct Append {
    field: Template,
    value: Source,
    allow_duplicates: bool,
    ignore_empty: bool,
}

pub fn append(config: &mut Config) -> Result<Box<dyn Step>> {
    let field = config.template("field")?;
    let value = match config.optional_string("copy_from")? {
        Some(from) => Source::Field(from),
        None => Source::Value(config.value_template("value")?),
    };
    let allow_duplicates = config.boolean("allow_duplicates", true)?;
    let ignore_empty = config.boolean("ignore_empty_values", false)?;
    Ok(Box::new(Append { field, value, allow_duplicates, ignore_empty }))
}

impl Change for Append {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        let field = self.field.render(fields);
        let value = match &self.value {
            Source::Value(template) => template.render(fields),
            Source::Field(from) => fields.get(from)?.clone(),
        };
        let mut values = match value {
            Value::Array(items) => items,
            one => vec![one],
        };
        if self.ignore_empty {
            values.retain(|value| !value.is_null() && value.as_str() != Some(""));
            if values.is_empty() {
                return Ok(());
            }
        }
        fields.append(&field, values, self.allow_duplicates)
    }
}
