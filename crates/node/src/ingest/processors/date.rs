//! `date`.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Change, Step};
use crate::dates::{self, DateFormat};
use crate::error::{ApiError, Result};
use crate::ingest::config::Config;
use crate::ingest::document::{Fields, plain};
use crate::ingest::template::Template;

/// `output_format` when it is not set.
const OUTPUT: &str = "yyyy-MM-dd'T'HH:mm:ss.SSSXXX";

#[derive(Debug)]
struct Date {
    field: String,
    target: String,
    formats: Vec<String>,
    output: String,
    timezone: Option<Template>,
}

pub fn date(config: &mut Config) -> Result<Box<dyn Step>> {
    let field = config.string("field")?;
    let target = config.optional_string("target_field")?.unwrap_or_else(|| "@timestamp".to_owned());
    let timezone = match config.take("timezone") {
        None => None,
        Some(Value::String(text)) => {
            if !text.contains("{{") {
                dates::time_zone(&text).map_err(|error| config.error("timezone", error.reason))?;
            }
            Some(Template::compile(&text).map_err(|error| config.error("timezone", error.reason))?)
        }
        Some(other) => return Err(config.wrong_type("timezone", "a string", &other)),
    };
    if let Some(locale) = config.optional_string("locale")? {
        let language = locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        if !matches!(language.as_str(), "en" | "english" | "root" | "") {
            return Err(config.error(
                "locale",
                format!("[{locale}] is not supported, only English month and day names are read"),
            ));
        }
    }
    let formats =
        config.strings("formats")?.ok_or_else(|| config.error("formats", "required property is missing"))?;
    for format in &formats {
        if !matches!(format.as_str(), "ISO8601" | "UNIX" | "UNIX_MS") {
            DateFormat::compile(format).map_err(|error| config.error("formats", error.reason))?;
        }
    }
    let output = config.optional_string("output_format")?.unwrap_or_else(|| OUTPUT.to_owned());
    DateFormat::compile(&output)
        .map_err(|_| config.error("output_format", format!("invalid output format [{output}]")))?;
    Ok(Box::new(Date { field, target, formats, output, timezone }))
}

impl Change for Date {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        let text = plain(fields.get(&self.field)?);
        let zone = match &self.timezone {
            None => TimeZone::UTC,
            Some(template) => dates::time_zone(&template.render(fields))?,
        };
        let mut last = None;
        let ms = self.formats.iter().find_map(|format| match parse(format, &text, &zone) {
            Ok(ms) => Some(ms),
            Err(error) => {
                last = Some(error.reason);
                None
            }
        });
        let Some(ms) = ms else {
            let reason = last.unwrap_or_default();
            return Err(ApiError::illegal_argument(format!("unable to parse date [{text}]"))
                .with("caused_by", json!({ "type": "illegal_argument_exception", "reason": reason })));
        };
        let written = dates::format(ms, Some(&self.output), Some(&zone))?;
        fields.set(&self.target, written.into())
    }
}

fn parse(format: &str, text: &str, zone: &TimeZone) -> Result<i64> {
    let unreadable =
        || ApiError::illegal_argument(format!("failed to parse date field [{text}] with format [{format}]"));
    match format {
        "ISO8601" => DateFormat::compile("date_optional_time")?.parse(text, false, Some(zone)),
        "UNIX_MS" => text.parse().map_err(|_| unreadable()),
        "UNIX" => unix(text).ok_or_else(unreadable),
        pattern => DateFormat::compile(pattern)?.parse(text, false, Some(zone)),
    }
}

/// Seconds with an optional fraction, exactly: no way through floating point.
fn unix(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let milliseconds: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let whole = seconds.parse::<i64>().ok()?.checked_mul(1000)?;
    if seconds.starts_with('-') { whole.checked_sub(milliseconds) } else { whole.checked_add(milliseconds) }
}
