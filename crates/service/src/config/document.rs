//! The YAML text of a configuration file as flat, dotted keys that remember their line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Number, Value};

use super::ConfigError;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// Line in the file, from 1.
    pub(super) line: usize,
}

/// A configuration file, flattened: `elasticsearch: {bulk: {chunk_size: 5}}`, `elasticsearch.bulk: {chunk_size: 5}`
/// and `elasticsearch.bulk.chunk_size: 5` are the same.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) entries: BTreeMap<String, Entry>,
}

impl Document {
    /// Reads YAML text. `environment` answers `${NAME}`.
    pub(super) fn parse(
        path: &Path,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut document = Self { path: path.to_owned(), entries: BTreeMap::new() };
        let parsed = MarkedYaml::load_from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: error.marker().line(),
            message: error.info().to_owned(),
        })?;
        let reader = Reader { path, environment };
        match parsed.as_slice() {
            [] => {}
            [root] if is_null(root) => {}
            [root] => {
                let YamlData::Mapping(pairs) = &root.data else {
                    return Err(reader.wrong(root, "", "a mapping of settings", "something else"));
                };
                for (key, value) in pairs {
                    reader.flatten("", key, value, &mut document.entries)?;
                }
            }
            [_, second, ..] => {
                return Err(reader.wrong(second, "", "one YAML document", "a second one"));
            }
        }
        Ok(document)
    }
}

struct Reader<'a> {
    path: &'a Path,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    fn wrong(&self, node: &MarkedYaml<'_>, key: &str, expected: &str, found: &str) -> ConfigError {
        ConfigError::Type {
            path: self.path.to_owned(),
            line: node.span.start.line(),
            key: key.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }

    fn flatten(
        &self,
        prefix: &str,
        key: &MarkedYaml<'_>,
        value: &MarkedYaml<'_>,
        into: &mut BTreeMap<String, Entry>,
    ) -> Result<(), ConfigError> {
        let name = match &key.data {
            YamlData::Value(Scalar::String(text)) => text.to_string(),
            YamlData::Value(Scalar::Integer(number)) => number.to_string(),
            _ => return Err(self.wrong(key, prefix, "a name as key", "something else")),
        };
        let full = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        if let YamlData::Mapping(pairs) = &value.data
            && !pairs.is_empty()
        {
            for (key, value) in pairs {
                self.flatten(&full, key, value, into)?;
            }
            return Ok(());
        }
        let line = key.span.start.line();
        if let Some(earlier) = into.get(&full) {
            return Err(ConfigError::Duplicate {
                path: self.path.to_owned(),
                line,
                key: full,
                earlier: earlier.line,
            });
        }
        let value = self.value(&full, value)?;
        into.insert(full, Entry { value, line });
        Ok(())
    }

    fn value(&self, key: &str, node: &MarkedYaml<'_>) -> Result<Value, ConfigError> {
        Ok(match &node.data {
            YamlData::Value(scalar) => match scalar {
                Scalar::Null => Value::Null,
                Scalar::Boolean(flag) => Value::Bool(*flag),
                Scalar::Integer(number) => Value::from(*number),
                Scalar::FloatingPoint(number) => {
                    Number::from_f64(number.into_inner()).map_or(Value::Null, Value::Number)
                }
                Scalar::String(text) => self.text(key, node, text)?,
            },
            YamlData::Sequence(items) => {
                Value::Array(items.iter().map(|item| self.value(key, item)).collect::<Result<_, _>>()?)
            }
            YamlData::Mapping(pairs) => {
                let mut object = Map::new();
                for (name, value) in pairs {
                    let YamlData::Value(Scalar::String(name)) = &name.data else {
                        return Err(self.wrong(name, key, "a name as key", "something else"));
                    };
                    object.insert(name.to_string(), self.value(key, value)?);
                }
                Value::Object(object)
            }
            YamlData::Tagged(_, inner) => self.value(key, inner)?,
            YamlData::Representation(text, ..) => self.text(key, node, text)?,
            YamlData::Alias(_) | YamlData::BadValue => {
                return Err(self.wrong(node, key, "a value", "something YAML cannot resolve"));
            }
        })
    }

    /// Fills in `${NAME}` and `${NAME|default}`; `$${` stands for `${`. A text that is nothing but one reference
    /// takes the type its content reads as in YAML, so that `port: ${PORT}` is a number.
    fn text(&self, key: &str, node: &MarkedYaml<'_>, text: &str) -> Result<Value, ConfigError> {
        if !text.contains("${") {
            return Ok(Value::String(text.to_owned()));
        }
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        let mut references = 0;
        while let Some(start) = rest.find("${") {
            if rest[..start].ends_with('$') {
                filled.push_str(&rest[..start - 1]);
                filled.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            filled.push_str(&rest[..start]);
            let Some(end) = rest[start..].find('}') else {
                return Err(self.wrong(node, key, "a closing } after ${", "none"));
            };
            let inside = &rest[start + 2..start + end];
            let (name, default) = match inside.split_once('|') {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            match (self.environment)(name).or_else(|| default.map(str::to_owned)) {
                Some(value) => filled.push_str(&value),
                None => {
                    return Err(ConfigError::Environment {
                        path: self.path.to_owned(),
                        line: node.span.start.line(),
                        key: key.to_owned(),
                        name: name.to_owned(),
                    });
                }
            }
            references += 1;
            rest = &rest[start + end + 1..];
        }
        let alone = references == 1 && text.starts_with("${") && rest.is_empty();
        filled.push_str(rest);
        Ok(if alone { plain_scalar(&filled) } else { Value::String(filled) })
    }
}

/// A number or boolean if the text reads as one, else the text.
fn plain_scalar(text: &str) -> Value {
    match text {
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        _ => text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}

fn is_null(node: &MarkedYaml<'_>) -> bool {
    matches!(node.data, YamlData::Value(Scalar::Null))
}
