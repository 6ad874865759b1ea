//! `_source` filtering: which parts of a document are answered.

use serde_json::{Map, Value};

use crate::error::{ApiError, Result};

/// What of the source a hit carries.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum SourceFilter {
    /// All of it, byte for byte.
    #[default]
    All,
    /// None.
    Nothing,
    /// Parts, by path patterns.
    Parts {
        /// Paths kept (empty: all).
        includes: Vec<String>,
        /// Paths removed.
        excludes: Vec<String>,
    },
}

impl SourceFilter {
    /// Reads `_source` of a body: a boolean, a pattern, a list of patterns or `{includes, excludes}`.
    pub fn parse(value: &Value) -> Result<Self> {
        match value {
            Value::Bool(true) => Ok(Self::All),
            Value::Bool(false) => Ok(Self::Nothing),
            Value::String(_) | Value::Array(_) => Ok(Self::parts(patterns(value)?, Vec::new())),
            Value::Object(object) => {
                let (mut includes, mut excludes) = (Vec::new(), Vec::new());
                for (name, value) in object {
                    match name.as_str() {
                        "includes" | "include" => includes = patterns(value)?,
                        "excludes" | "exclude" => excludes = patterns(value)?,
                        other => {
                            return Err(ApiError::parsing(format!(
                                "Unknown key for a {} in [{other}].",
                                crate::error::token(value)
                            )));
                        }
                    }
                }
                Ok(Self::parts(includes, excludes))
            }
            other => Err(ApiError::parsing(format!(
                "Expected one of [VALUE_BOOLEAN, VALUE_STRING, START_ARRAY, START_OBJECT] but found [{}]",
                crate::error::token(other)
            ))),
        }
    }

    /// Reads the URL parameters `_source`, `_source_includes` and `_source_excludes`; `None` when none is given.
    pub fn parse_url(source: Option<&str>, includes: Option<&str>, excludes: Option<&str>) -> Option<Self> {
        let list = |text: &str| -> Vec<String> {
            text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let mut kept = Vec::new();
        match source {
            Some("false") => return Some(Self::Nothing),
            Some("true") | None => {}
            Some(patterns) => kept = list(patterns),
        }
        if source.is_none() && includes.is_none() && excludes.is_none() {
            return None;
        }
        kept.extend(includes.map(list).unwrap_or_default());
        Some(Self::parts(kept, excludes.map(list).unwrap_or_default()))
    }

    fn parts(includes: Vec<String>, excludes: Vec<String>) -> Self {
        if includes.is_empty() && excludes.is_empty() {
            Self::All
        } else {
            Self::Parts { includes, excludes }
        }
    }

    /// The filtered source; `None` when nothing is to be answered.
    pub fn apply(&self, source: &Value) -> Option<Value> {
        match self {
            Self::All => Some(source.clone()),
            Self::Nothing => None,
            Self::Parts { includes, excludes } => {
                let Value::Object(object) = source else { return Some(source.clone()) };
                let walk = Walk { includes, excludes };
                Some(Value::Object(walk.object(object, "", includes.is_empty())))
            }
        }
    }
}

fn patterns(value: &Value) -> Result<Vec<String>> {
    let refuse = || ApiError::parsing("Expected a string or a list of strings in [_source]".to_owned());
    match value {
        Value::String(pattern) => Ok(vec![pattern.clone()]),
        Value::Array(list) => {
            list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(refuse)).collect()
        }
        _ => Err(refuse()),
    }
}

struct Walk<'a> {
    includes: &'a [String],
    excludes: &'a [String],
}

impl Walk<'_> {
    /// `kept`: a pattern already took in everything below.
    fn object(&self, object: &Map<String, Value>, prefix: &str, kept: bool) -> Map<String, Value> {
        let mut filtered = Map::new();
        for (key, value) in object {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            if self.excludes.iter().any(|pattern| wildcard_match(pattern, &path)) {
                continue;
            }
            let kept = kept || self.includes.iter().any(|pattern| wildcard_match(pattern, &path));
            let value = match value {
                Value::Object(inner) => {
                    let inner = self.object(inner, &path, kept);
                    if inner.is_empty() && !kept {
                        continue;
                    }
                    Value::Object(inner)
                }
                Value::Array(items) => {
                    let items = self.array(items, &path, kept);
                    if items.is_empty() && !kept {
                        continue;
                    }
                    Value::Array(items)
                }
                _ if !kept => continue,
                scalar => scalar.clone(),
            };
            filtered.insert(key.clone(), value);
        }
        filtered
    }

    fn array(&self, items: &[Value], path: &str, kept: bool) -> Vec<Value> {
        let mut filtered = Vec::new();
        for item in items {
            match item {
                Value::Object(inner) => {
                    let inner = self.object(inner, path, kept);
                    if kept || !inner.is_empty() {
                        filtered.push(Value::Object(inner));
                    }
                }
                Value::Array(inner) => {
                    let inner = self.array(inner, path, kept);
                    if kept || !inner.is_empty() {
                        filtered.push(Value::Array(inner));
                    }
                }
                scalar if kept => filtered.push(scalar.clone()),
                _ => {}
            }
        }
        filtered
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters, dots included.
pub fn wildcard_match(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    while let Some((part, next)) = rest.split_once('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
        rest = next;
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filter(source: &Value, document: &Value) -> Value {
        SourceFilter::parse(source).expect("valid").apply(document).unwrap_or(Value::Null)
    }

    #[test]
    fn wildcards_cross_dots_and_match_whole_paths() {
        assert!(wildcard_match("a*", "a.b"));
        assert!(wildcard_match("*.c", "a.b.c"));
        assert!(wildcard_match("a*c*e", "abcde"));
        assert!(!wildcard_match("a*c", "abcd"));
        assert!(!wildcard_match("a", "ab"));
        assert!(wildcard_match("*", ""));
    }

    #[test]
    fn parts_of_objects_and_arrays_are_kept_by_path() {
        let document = json!({"a": {"b": 1, "c": 2}, "l": [{"x": 1, "y": 2}, 3], "e": {}, "z": "end"});
        assert_eq!(filter(&json!(["a.b", "l.x"]), &document), json!({"a": {"b": 1}, "l": [{"x": 1}]}));
        assert_eq!(filter(&json!("a"), &document), json!({"a": {"b": 1, "c": 2}}));
        assert_eq!(
            filter(&json!({"excludes": ["a.*", "l"]}), &document),
            json!({"a": {}, "e": {}, "z": "end"})
        );
        assert_eq!(
            filter(&json!({"includes": ["a"], "excludes": ["*.c"]}), &document),
            json!({"a": {"b": 1}})
        );
        assert_eq!(filter(&json!("nope"), &document), json!({}));
        assert_eq!(filter(&json!(false), &document), Value::Null);
    }

    #[test]
    fn the_url_says_the_same_as_the_body() {
        assert_eq!(SourceFilter::parse_url(None, None, None), None);
        assert_eq!(SourceFilter::parse_url(Some("false"), None, None), Some(SourceFilter::Nothing));
        assert_eq!(
            SourceFilter::parse_url(Some("a,b"), None, Some("a.c")),
            Some(SourceFilter::Parts {
                includes: vec!["a".into(), "b".into()],
                excludes: vec!["a.c".into()]
            })
        );
    }
}
