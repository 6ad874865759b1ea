//! Types that a user gave fields of an index: what they may say, and how they are put together.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Types that need nothing said beside their name, of Elasticsearch and `OpenSearch`.
const SIMPLE: [&str; 42] = [
    "aggregate_metric_double",
    "binary",
    "boolean",
    "byte",
    "completion",
    "constant_keyword",
    "date",
    "date_nanos",
    "date_range",
    "dense_vector",
    "double",
    "double_range",
    "flat_object",
    "flattened",
    "float",
    "float_range",
    "geo_point",
    "geo_shape",
    "half_float",
    "histogram",
    "integer",
    "integer_range",
    "ip",
    "ip_range",
    "keyword",
    "long",
    "long_range",
    "match_only_text",
    "nested",
    "object",
    "percolator",
    "point",
    "rank_feature",
    "rank_features",
    "search_as_you_type",
    "semantic_text",
    "shape",
    "short",
    "text",
    "unsigned_long",
    "version",
    "wildcard",
];
/// Types that need more, and what to write instead of their name.
const NEED_MORE: [(&str, &str); 4] = [
    ("alias", r#"{"type": "alias", "path": "OTHER_FIELD"}"#),
    ("knn_vector", r#"{"type": "knn_vector", "dimension": 768}"#),
    ("scaled_float", r#"{"type": "scaled_float", "scaling_factor": 100}"#),
    ("token_count", r#"{"type": "token_count", "analyzer": "standard"}"#),
];
/// Fields of the server's own, which no document can have.
const METADATA: [&str; 12] = [
    "_doc_count",
    "_feature",
    "_field_names",
    "_id",
    "_ignored",
    "_index",
    "_nested_path",
    "_routing",
    "_seq_no",
    "_source",
    "_type",
    "_version",
];

/// Why a field cannot have a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMapping {
    /// Not `FIELD=TYPE`.
    #[error("{0:?} is not of the form FIELD=TYPE, such as created=date")]
    Form(String),
    /// An empty name, or dots without a name between them.
    #[error(
        "{0:?} is not the name of a field: give a name, or names with dots between them for a field of an object"
    )]
    Name(String),
    /// A metadata field.
    #[error("{0} is a field of the server's own and cannot be given a type")]
    Metadata(String),
    /// No such type.
    #[error("{field}: there is no field type \"{given}\"{}; a type that is not known here can be given as JSON: {{\"type\": \"{given}\"}}", .near.map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    Type {
        /// The field.
        field: String,
        /// What was given.
        given: String,
        /// A type with a similar name.
        near: Option<&'static str>,
    },
    /// A type that needs a parameter.
    #[error("{field}: the type {given} needs more than its name: {instead}")]
    NeedsMore {
        /// The field.
        field: String,
        /// The type.
        given: String,
        /// What to write.
        instead: &'static str,
    },
    /// JSON that is no mapping of a field.
    #[error(
        "{field}: {reason}; a field's mapping is a JSON object such as {{\"type\": \"date\", \"format\": \"yyyy-MM-dd\"}}"
    )]
    Definition {
        /// The field.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// A field below one that is no object.
    #[error(
        "{field}: {parent} is a {kind}, which has no fields of its own; take its type away first, or make it an object"
    )]
    NoObject {
        /// The field.
        field: String,
        /// The field above it.
        parent: String,
        /// The type of that.
        kind: String,
    },
    /// A type for an object whose fields have types.
    #[error(
        "{field}: fields below it have types ({below}); take those away first, or make it an object or nested"
    )]
    HasFields {
        /// The field.
        field: String,
        /// Fields below it.
        below: String,
    },
    /// A file that has something beside types.
    #[error(
        "{0:?} is not a field with its type: only \"properties\" are taken, as GET /INDEX/_mapping prints them, or pairs of field and type"
    )]
    File(String),
}

/// Types of fields, as `properties` of an index's mapping. Kept in a connector, for the indices that are made for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexMapping {
    /// Name to mapping; fields of objects are below `properties` of theirs.
    pub properties: Map<String, Value>,
}

/// A field and its mapping, from `FIELD=TYPE` or `FIELD={"type": …}`.
pub fn parse_pair(text: &str) -> Result<(String, Value), InvalidMapping> {
    let (field, kind) = text.split_once('=').ok_or_else(|| InvalidMapping::Form(text.to_owned()))?;
    let (field, kind) = (field.trim(), kind.trim());
    if field.is_empty() || kind.is_empty() {
        return Err(InvalidMapping::Form(text.to_owned()));
    }
    let given = if kind.starts_with(['{', '[', '"']) {
        serde_json::from_str(kind).map_err(|error| InvalidMapping::Definition {
            field: field.to_owned(),
            reason: format!("not JSON ({error})"),
        })?
    } else {
        Value::String(kind.to_owned())
    };
    // Said at once, and not only when it is put beside the others.
    let mut alone = IndexMapping::default();
    alone.set(field, &given)?;
    Ok((field.to_owned(), given))
}

impl IndexMapping {
    /// Whether no field has a type.
    pub fn is_empty(&self) -> bool {
        self.properties.is_empty()
    }

    /// Gives a field (`created`, or `author.name` in an object) a type: its name, or the whole mapping of the field.
    pub fn set(&mut self, field: &str, given: &Value) -> Result<(), InvalidMapping> {
        let definition = definition(field, given)?;
        let names: Vec<&str> = field.split('.').collect();
        if names.iter().any(|name| name.trim().is_empty()) {
            return Err(InvalidMapping::Name(field.to_owned()));
        }
        if METADATA.contains(&names[0]) {
            return Err(InvalidMapping::Metadata(names[0].to_owned()));
        }
        let mut level = &mut self.properties;
        for depth in 1..names.len() {
            let entry = level.entry(names[depth - 1]).or_insert_with(|| json!({}));
            if !is_object(entry) {
                return Err(InvalidMapping::NoObject {
                    field: field.to_owned(),
                    parent: names[..depth].join("."),
                    kind: kind_of(entry).to_owned(),
                });
            }
            level = below(entry);
        }
        let last = names[names.len() - 1];
        let definition = match level.get(last).and_then(|there| there.get("properties")) {
            Some(Value::Object(fields)) if !fields.is_empty() => {
                if !is_object(&definition) {
                    return Err(InvalidMapping::HasFields {
                        field: field.to_owned(),
                        below: fields.keys().cloned().collect::<Vec<_>>().join(", "),
                    });
                }
                let mut fields = fields.clone();
                let mut definition = definition;
                fields.append(below(&mut definition));
                definition["properties"] = Value::Object(fields);
                definition
            }
            _ => definition,
        };
        level.insert(last.to_owned(), definition);
        Ok(())
    }

    /// Gives several fields their types, one after the other.
    pub fn set_all(&mut self, types: &[(String, Value)]) -> Result<(), InvalidMapping> {
        types.iter().try_for_each(|(field, given)| self.set(field, given))
    }

    /// Takes a field's type away, and objects in which nothing is left; tells whether it had one.
    pub fn remove(&mut self, field: &str) -> bool {
        remove(&mut self.properties, field)
    }

    /// Takes in a file: `properties`, alone or in the answer to `GET /INDEX/_mapping`, or pairs of field and type.
    pub fn read(&mut self, file: &Value) -> Result<(), InvalidMapping> {
        let inner = match file {
            Value::Object(members) if members.len() == 1 => {
                members.values().next().filter(|inner| inner.get("mappings").is_some_and(Value::is_object))
            }
            _ => None,
        };
        let file = inner.unwrap_or(file);
        let file = file.get("mappings").filter(|mappings| mappings.is_object()).unwrap_or(file);
        let Value::Object(members) = file else { return Err(InvalidMapping::File(file.to_string())) };
        let fields = match members.get("properties") {
            Some(Value::Object(fields)) => {
                if let Some(other) = members.keys().find(|key| *key != "properties") {
                    return Err(InvalidMapping::File(other.clone()));
                }
                fields
            }
            _ => members,
        };
        fields.iter().try_for_each(|(field, given)| self.set(field, given))
    }

    /// Each field that has a type, by its full name, with what a person calls its type.
    pub fn fields(&self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        list("", &self.properties, &mut fields);
        fields
    }
}

fn list(above: &str, properties: &Map<String, Value>, into: &mut Vec<(String, String)>) {
    for (name, definition) in properties {
        let field = format!("{above}{name}");
        let members = definition.as_object();
        let only = |key: &str| members.is_some_and(|members| members.len() == 1 && members.contains_key(key));
        if only("type") {
            into.push((field, kind_of(definition).to_owned()));
            continue;
        }
        let Some(Value::Object(fields)) = definition.get("properties") else {
            into.push((field, definition.to_string()));
            continue;
        };
        if !only("properties") {
            let mut own = definition.clone();
            own.as_object_mut().and_then(|own| own.remove("properties"));
            let simple = own.as_object().is_some_and(|own| own.len() == 1 && own.contains_key("type"));
            into.push((field.clone(), if simple { kind_of(&own).to_owned() } else { own.to_string() }));
        }
        list(&format!("{field}."), fields, into);
    }
}

fn remove(level: &mut Map<String, Value>, field: &str) -> bool {
    let Some((head, rest)) = field.split_once('.') else { return level.remove(field).is_some() };
    let Some(Value::Object(fields)) = level.get_mut(head).and_then(|entry| entry.get_mut("properties"))
    else {
        return false;
    };
    let removed = remove(fields, rest);
    if fields.is_empty() && level.get(head).is_some_and(|entry| entry.get("type").is_none()) {
        level.remove(head);
    }
    removed
}

/// The mapping of a field, from what was given for it.
fn definition(field: &str, given: &Value) -> Result<Value, InvalidMapping> {
    let wrong = |reason: String| InvalidMapping::Definition { field: field.to_owned(), reason };
    match given {
        Value::String(kind) => simple(field, kind).map(|kind| json!({ "type": kind })),
        Value::Object(members) => {
            match members.get("type") {
                Some(Value::String(kind)) if !kind.is_empty() => {}
                Some(_) => return Err(wrong("its type is not a text".to_owned())),
                None if members.get("properties").is_some_and(Value::is_object) => {}
                None => return Err(wrong("it has no type".to_owned())),
            }
            let mut members = members.clone();
            if let Some(fields) = members.get("properties") {
                let Value::Object(fields) = fields else {
                    return Err(wrong("its properties are not an object".to_owned()));
                };
                let mut inner = Map::new();
                for (name, given) in fields {
                    inner.insert(name.clone(), definition(&format!("{field}.{name}"), given)?);
                }
                members.insert("properties".to_owned(), Value::Object(inner));
            }
            Ok(Value::Object(members))
        }
        other => Err(wrong(format!("{other} is no type"))),
    }
}

fn simple(field: &str, kind: &str) -> Result<&'static str, InvalidMapping> {
    if let Some(known) = SIMPLE.iter().find(|known| **known == kind) {
        return Ok(known);
    }
    if let Some((_, instead)) = NEED_MORE.iter().find(|(known, _)| *known == kind) {
        return Err(InvalidMapping::NeedsMore { field: field.to_owned(), given: kind.to_owned(), instead });
    }
    let lower = kind.to_ascii_lowercase();
    let usual = match lower.as_str() {
        "string" | "str" | "varchar" => Some("keyword"),
        "int" | "number" | "bigint" => Some("long"),
        "bool" => Some("boolean"),
        "datetime" | "timestamp" | "time" => Some("date"),
        "decimal" | "numeric" | "real" => Some("double"),
        _ => SIMPLE.iter().copied().find(|known| distance_is_one(known, &lower)),
    };
    Err(InvalidMapping::Type { field: field.to_owned(), given: kind.to_owned(), near: usual })
}

/// Whether one letter too many, too few or another one makes the difference, or only the case.
fn distance_is_one(known: &str, given: &str) -> bool {
    let same_start = known.bytes().zip(given.bytes()).take_while(|(a, b)| a == b).count();
    let (known, given) = (&known.as_bytes()[same_start..], &given.as_bytes()[same_start..]);
    match (known, given) {
        ([] | [_], []) | ([], [_]) => true,
        ([_, known @ ..], [_, other @ ..]) if known == other => true,
        ([_, known @ ..], given) if known == given => true,
        (known, [_, given @ ..]) => known == given,
        _ => false,
    }
}

fn kind_of(definition: &Value) -> &str {
    definition["type"].as_str().unwrap_or("object")
}

/// Whether a field may have fields of its own.
fn is_object(definition: &Value) -> bool {
    matches!(kind_of(definition), "object" | "nested")
}

/// The fields of an object, made if it has none.
fn below(definition: &mut Value) -> &mut Map<String, Value> {
    if !definition.get("properties").is_some_and(Value::is_object) {
        definition["properties"] = json!({});
    }
    match &mut definition["properties"] {
        Value::Object(fields) => fields,
        _ => unreachable!("made an object above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(pairs: &[&str]) -> Result<Value, InvalidMapping> {
        let mut mapping = IndexMapping::default();
        for pair in pairs {
            let (field, given) = parse_pair(pair)?;
            mapping.set(&field, &given)?;
        }
        Ok(Value::Object(mapping.properties))
    }

    #[test]
    fn names_objects_and_whole_mappings() {
        assert_eq!(
            mapped(&[
                "created=date",
                "author.name=keyword",
                "author.address.city = text",
                "author=nested",
                r#"price={"type": "scaled_float", "scaling_factor": 100}"#,
                r#"tags={"properties": {"id": "long", "of": {"type": "keyword", "ignore_above": 9}}}"#,
            ]),
            Ok(json!({
                "created": {"type": "date"},
                "author": {"type": "nested", "properties": {
                    "name": {"type": "keyword"},
                    "address": {"properties": {"city": {"type": "text"}}},
                }},
                "price": {"type": "scaled_float", "scaling_factor": 100},
                "tags": {"properties": {"id": {"type": "long"}, "of": {"type": "keyword", "ignore_above": 9}}},
            }))
        );
        // A later type replaces an earlier one.
        assert_eq!(mapped(&["a=long", "a=date"]), Ok(json!({"a": {"type": "date"}})));
    }

    #[test]
    fn what_cannot_be_is_said_with_what_to_write() {
        for (pairs, words) in [
            (&["created"][..], "FIELD=TYPE"),
            (&["=date"], "FIELD=TYPE"),
            (&["a="], "FIELD=TYPE"),
            (&["a..b=date"], "not the name of a field"),
            (&["_id=keyword"], "server's own"),
            (&["a=dat"], "did you mean date?"),
            (&["a=keywrod"], "there is no field type \"keywrod\""),
            (&["a=Keyword"], "did you mean keyword?"),
            (&["a=dates"], "did you mean date?"),
            (&["a=lomg"], "did you mean long?"),
            (&["a=string"], "did you mean keyword?"),
            (&["a=scaled_float"], "scaling_factor"),
            (&["a={"], "not JSON"),
            (&["a=[1]"], "[1] is no type"),
            (&[r#"a={"format": "x"}"#], "it has no type"),
            (&[r#"a={"type": 1}"#], "its type is not a text"),
            (&[r#"a={"properties": {"b": 1}}"#], "a.b: 1 is no type"),
            (&["a=keyword", "a.b=date"], "a is a keyword, which has no fields"),
            (&["a.b=date", "a=keyword"], "fields below it have types (b)"),
        ] {
            let error = mapped(pairs).unwrap_err().to_string();
            assert!(error.contains(words), "{pairs:?}: {error}");
        }
    }

    #[test]
    fn types_are_taken_away_and_listed() {
        let mut mapping = IndexMapping::default();
        let file = json!({
            "a": {"b": {"c": "x"}},
        });
        assert!(mapping.read(&file).is_err());
        let answer = json!({"docs": {"mappings": {"properties": {
            "at": {"type": "date"},
            "by": {"type": "nested", "properties": {"name": {"type": "text", "analyzer": "english"}}},
        }}}});
        mapping.read(&answer).unwrap();
        mapping.read(&json!({"x.y": "long"})).unwrap();
        let fields = |mapping: &IndexMapping| {
            mapping.fields().into_iter().map(|(field, kind)| format!("{field}={kind}")).collect::<Vec<_>>()
        };
        let listed = fields(&mapping);
        assert!(
            listed[2].starts_with("by.name={") && listed[2].contains(r#""analyzer":"english""#),
            "{listed:?}"
        );
        assert_eq!([&listed[..2], &listed[3..]].concat(), ["at=date", "by=nested", "x.y=long"]);
        assert!(mapping.remove("x.y") && !mapping.remove("x.y") && !mapping.remove("none"));
        assert!(mapping.remove("by.name"));
        assert_eq!(fields(&mapping), ["at=date", "by=nested"]);
        assert!(mapping.remove("by") && mapping.remove("at") && mapping.is_empty());
        assert!(mapping.read(&json!({"properties": {}, "dynamic": "strict"})).is_err());
        assert!(mapping.read(&json!([1])).is_err());
    }
}
