//! Query parameters: typed, and refused when nobody asked for them.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use crate::error::{ApiError, Result};

/// The query parameters of one request. Each getter marks its name as known; `Request::finish` refuses the rest.
#[derive(Debug, Clone, Default)]
pub struct Params {
    values: Vec<(String, String)>,
    known: BTreeSet<String>,
}

impl Params {
    /// Reads a raw query string (without `?`). `+` is a space; the last of equal names wins, as in Elasticsearch.
    ///
    /// # Errors
    /// 400 `bad_parameter_exception` for an invalid percent escape.
    pub fn parse(query: &str) -> Result<Self> {
        let mut values: Vec<(String, String)> = Vec::new();
        for pair in query.split(['&', ';']).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true).map_err(|reason| bad_parameter(&reason))?;
            let value = decode(value, true).map_err(|reason| bad_parameter(&reason))?;
            values.retain(|(other, _)| *other != name);
            values.push((name, value));
        }
        Ok(Self { values, known: BTreeSet::new() })
    }

    /// Whether a parameter is given; does not make it known.
    pub fn contains(&self, name: &str) -> bool {
        self.values.iter().any(|(other, _)| other == name)
    }

    /// The text of a parameter.
    pub fn get(&mut self, name: &str) -> Option<&str> {
        self.known.insert(name.to_owned());
        self.values.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The text of a parameter, owned.
    pub fn string(&mut self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A comma-separated list; `None` when the parameter is absent, empty when it has no text.
    pub fn list(&mut self, name: &str) -> Option<Vec<String>> {
        self.get(name)
            .map(|text| text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// `true`, `false`, or present without a value (true).
    ///
    /// # Errors
    /// 400 for any other text.
    pub fn bool(&mut self, name: &str, default: bool) -> Result<bool> {
        Ok(self.opt_bool(name)?.unwrap_or(default))
    }

    /// As [`Params::bool`], telling absent from given.
    pub fn opt_bool(&mut self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some("" | "true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(ApiError::illegal_argument(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            ))),
        }
    }

    /// A 32-bit integer, as Elasticsearch's `int` parameters.
    ///
    /// # Errors
    /// 400 for text that is none.
    pub fn int(&mut self, name: &str) -> Result<Option<i64>> {
        self.number::<i32>(name, "int").map(|value| value.map(i64::from))
    }

    /// A 64-bit integer.
    ///
    /// # Errors
    /// 400 for text that is none.
    pub fn long(&mut self, name: &str) -> Result<Option<i64>> {
        self.number::<i64>(name, "long")
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str, kind: &str) -> Result<Option<T>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let text = text.to_owned();
        text.parse().map(Some).map_err(|_| {
            ApiError::illegal_argument(format!("Failed to parse {kind} parameter [{name}] with value [{text}]"))
                .with(
                    "caused_by",
                    json!({ "type": "number_format_exception", "reason": format!("For input string: \"{text}\"") }),
                )
        })
    }

    /// A floating point number.
    ///
    /// # Errors
    /// 400 for text that is none.
    pub fn float(&mut self, name: &str) -> Result<Option<f64>> {
        self.number::<f64>(name, "float")
    }

    /// A time value with a unit (`30s`, `1m`, `500ms`, `-1` and `0` without one).
    ///
    /// # Errors
    /// 400 for a missing or unknown unit. `-1` ("no limit") is [`Duration::MAX`].
    pub fn duration(&mut self, name: &str) -> Result<Option<Duration>> {
        self.get(name).map(str::to_owned).map(|text| duration(name, &text)).transpose()
    }

    /// One of `allowed`.
    ///
    /// # Errors
    /// 400 naming the allowed values.
    pub fn one_of<'a>(&mut self, name: &str, allowed: &[&'a str]) -> Result<Option<&'a str>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match allowed.iter().find(|value| **value == text) {
            Some(value) => Ok(Some(value)),
            None => Err(ApiError::illegal_argument(format!(
                "unsupported value [{text}] for parameter [{name}], allowed are [{}]",
                allowed.join(", ")
            ))),
        }
    }

    /// Marks parameters as known whose every legal value means the same here (for example `master_timeout` on one node).
    /// Their text is still read by the given getters where it must be legal; use this only for free text.
    pub fn accept(&mut self, names: &[&str]) {
        self.known.extend(names.iter().map(|name| (*name).to_owned()));
    }

    /// Refuses what no getter asked for, in Elasticsearch's words.
    pub(super) fn finish(&self, path: &str) -> Result<()> {
        let mut unknown: Vec<&str> = self
            .values
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !self.known.contains(*name))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        unknown.sort_unstable();
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        let named = unknown
            .iter()
            .map(|name| match suggestion(name, &known) {
                None => format!("[{name}]"),
                Some(text) => format!("[{name}] -> did you mean {text}?"),
            })
            .collect::<Vec<_>>()
            .join(", ");
        let plural = if unknown.len() > 1 { "s" } else { "" };
        Err(ApiError::illegal_argument(format!(
            "request [{path}] contains unrecognized parameter{plural}: {named}"
        )))
    }
}

/// Parses an Elasticsearch time value; `setting` is named in the error.
///
/// # Errors
/// 400 in Elasticsearch's words.
pub fn duration(setting: &str, text: &str) -> Result<Duration> {
    const UNITS: [(&str, u64); 7] = [
        ("nanos", 1),
        ("micros", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ];
    let lower = text.trim().to_ascii_lowercase();
    if lower == "-1" {
        return Ok(Duration::MAX);
    }
    if lower == "0" {
        return Ok(Duration::ZERO);
    }
    for (suffix, nanos) in UNITS {
        let Some(number) = lower.strip_suffix(suffix) else { continue };
        // "5ms" also ends in "s": the rest must be a number.
        if let Ok(number) = number.trim().parse::<u64>() {
            return Ok(Duration::from_nanos(number.saturating_mul(nanos)));
        }
        if suffix == "s" && (lower.ends_with("nanos") || lower.ends_with("micros") || lower.ends_with("ms")) {
            continue;
        }
        let number = number.trim();
        let reason = if number.contains('.') {
            format!("failed to parse [{text}], fractional time values are not supported")
        } else {
            format!("failed to parse [{text}]")
        };
        return Err(ApiError::illegal_argument(reason)
            .because("number_format_exception", format!("For input string: \"{number}\"")));
    }
    Err(ApiError::illegal_argument(format!(
        "failed to parse setting [{setting}] with value [{text}] as a time value: unit is missing or unrecognized"
    )))
}

/// Percent-decodes `text`, strictly.
///
/// # Errors
/// The reason in Elasticsearch's words.
pub(super) fn decode(text: &str, plus_is_space: bool) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'+' if plus_is_space => out.push(b' '),
            b'%' => {
                let hex =
                    |offset: usize| bytes.get(at + offset).and_then(|byte| (*byte as char).to_digit(16));
                match bytes.len() - at {
                    1 => return Err(format!("unterminated escape sequence at end of string: {text}")),
                    2 => return Err(format!("partial escape sequence at end of string: {text}")),
                    _ => {}
                }
                let (Some(high), Some(low)) = (hex(1), hex(2)) else {
                    let found: String = text[at..].chars().take(3).collect();
                    return Err(format!("invalid escape sequence `{found}' at index {at} of: {text}"));
                };
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 2;
            }
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).map_err(|_| format!("invalid UTF-8 in: {text}"))
}

fn bad_parameter(reason: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "bad_parameter_exception",
        format!("java.lang.IllegalArgumentException: {reason}"),
    )
    .with("caused_by", json!({ "type": "illegal_argument_exception", "reason": reason }))
}

/// Known names whose edit distance is less than half of the longer name, nearest first: `[one]` or `any of [two, more]`.
pub fn suggestion(name: &str, known: &[&str]) -> Option<String> {
    let mut near: Vec<(f64, &str)> = known
        .iter()
        .map(|other| {
            let longest = name.chars().count().max(other.chars().count()).max(1);
            (1.0 - edit_distance(name, other) as f64 / longest as f64, *other)
        })
        .filter(|(score, _)| *score > 0.5)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    match near.as_slice() {
        [] => None,
        [(_, one)] => Some(format!("[{one}]")),
        many => {
            let names: Vec<&str> = many.iter().map(|(_, name)| *name).collect();
            Some(format!("any of [{}]", names.join(", ")))
        }
    }
}

/// Levenshtein distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(query).unwrap()
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest_known_ones() {
        let mut params = params("foo=1&waitforstatus=2");
        params.accept(&["wait_for_status", "wait_for_nodes", "wait_for_events", "timeout", "level"]);
        assert_eq!(
            params.finish("/_cluster/health").unwrap_err().reason,
            "request [/_cluster/health] contains unrecognized parameters: [foo], [waitforstatus] -> did you mean \
             any of [wait_for_status, wait_for_nodes, wait_for_events]?"
        );
    }

    #[test]
    fn typed_getters_word_errors_as_elasticsearch() {
        let mut params = params("size=abc&timeout=abc&b=maybe&on&n=7&wait=1m&ms=5ms&frac=1.5s");
        let error = params.int("size").unwrap_err();
        assert_eq!(error.reason, "Failed to parse int parameter [size] with value [abc]");
        assert_eq!(error.extra["caused_by"]["reason"], "For input string: \"abc\"");
        assert_eq!(
            params.duration("timeout").unwrap_err().reason,
            "failed to parse setting [timeout] with value [abc] as a time value: unit is missing or unrecognized"
        );
        assert_eq!(
            params.bool("b", false).unwrap_err().reason,
            "Failed to parse value [maybe] as only [true] or [false] are allowed."
        );
        assert!(params.bool("on", false).unwrap());
        assert_eq!(params.int("n").unwrap(), Some(7));
        assert_eq!(params.duration("wait").unwrap(), Some(Duration::from_mins(1)));
        assert_eq!(params.duration("ms").unwrap(), Some(Duration::from_millis(5)));
        assert!(params.duration("frac").is_err());
        params.finish("/").unwrap();
    }

    #[test]
    fn escapes_are_decoded_strictly() {
        let mut params = params("q=a%20b+c%C3%A9&q2=%2B");
        assert_eq!(params.get("q"), Some("a b cé"));
        assert_eq!(params.get("q2"), Some("+"));
        let error = Params::parse("q=%zz").unwrap_err();
        assert_eq!(error.kind, "bad_parameter_exception");
        assert_eq!(error.extra["caused_by"]["reason"], "invalid escape sequence `%zz' at index 0 of: %zz");
    }
}
