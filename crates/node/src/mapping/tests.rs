use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tantivy::schema::document::{Document, ReferenceValue, ReferenceValueLeaf, Value as _};

use super::*;
use crate::index::schema::schema;

fn mapping(body: Value) -> Mapping {
    Mapping::new(Tree::parse(&body).unwrap(), &BTreeMap::new(), &Analyzers::builtin()).unwrap()
}

fn reason(body: Value) -> String {
    Tree::parse(&body).unwrap_err().reason
}

/// Fields of a document as `name=value`, JSON fields by path.
fn fields_of(document: &IndexDocument) -> Vec<String> {
    fn leaf(value: ReferenceValueLeaf<'_>) -> String {
        match value {
            ReferenceValueLeaf::Str(text) => text.to_owned(),
            ReferenceValueLeaf::I64(number) => number.to_string(),
            ReferenceValueLeaf::U64(number) => number.to_string(),
            ReferenceValueLeaf::F64(number) => format!("{number:?}"),
            ReferenceValueLeaf::Bool(flag) => flag.to_string(),
            other => format!("{other:?}"),
        }
    }
    let schema = schema().0;
    let mut out = Vec::new();
    for (field, value) in document.iter_fields_and_values() {
        let name = schema.get_field_name(field);
        match value.as_value() {
            ReferenceValue::Leaf(value) => out.push(format!("{name}={}", leaf(value))),
            ReferenceValue::Object(members) => {
                for (path, value) in members {
                    if let ReferenceValue::Leaf(value) = value.as_value() {
                        out.push(format!("{name}.{path}={}", leaf(value)));
                    }
                }
            }
            ReferenceValue::Array(_) => {}
        }
    }
    out
}

/// Reads a document, letting the mapping grow; the mapping at the end and the document's fields.
fn read(start: Value, source: &str) -> Result<(Value, Vec<String>)> {
    let mut mapping = mapping(start);
    let fields = Arc::new(schema().1);
    let source = Bytes::from(source.to_owned());
    for _ in 0..5 {
        match mapping.document("1", &source, &fields)? {
            Parsed::Document(document) => return Ok((mapping.to_json(), fields_of(&document))),
            Parsed::Extend(new) => {
                mapping = mapping.extended(&new, &Analyzers::builtin(), Limits::default())?;
            }
        }
    }
    panic!("the mapping does not settle");
}

fn failure(start: Value, source: &str) -> (String, String) {
    let error = read(start, source).unwrap_err();
    let cause = error.extra.get("caused_by").and_then(|cause| cause["reason"].as_str()).unwrap_or_default();
    (error.reason.clone(), cause.to_owned())
}

#[test]
fn new_fields_get_the_types_elasticsearch_gives_them() {
    let (mapping, fields) = read(
        json!({}),
        r#"{"t":"one","n":1,"f":1.5,"b":true,"d":"2024-01-02","s":"2024/01/02","o":{"x":"y"},"a.b":2,"l":[1,2],"z":null,"e":[]}"#,
    )
    .unwrap();
    let text = json!({ "type": "text", "fields": { "keyword": { "type": "keyword", "ignore_above": 256 } } });
    assert_eq!(
        mapping["properties"],
        json!({
            "a": { "properties": { "b": { "type": "long" } } },
            "b": { "type": "boolean" },
            "d": { "type": "date" },
            "f": { "type": "float" },
            "l": { "type": "long" },
            "n": { "type": "long" },
            "o": { "properties": { "x": text } },
            "s": { "type": "date", "format": "yyyy/MM/dd HH:mm:ss||yyyy/MM/dd||epoch_millis", "locale": "" },
            "t": text,
        })
    );
    for expected in [
        "_id=1",
        "_t01=one",
        "_v.t.keyword=one",
        "_v.n=1",
        "_v.f=1.5",
        "_v.b=true",
        "_v.d=1704153600000",
        "_v.a.b=2",
        "_v.l=1",
        "_v.l=2",
        "_field_names=o",
        "_field_names=o.x",
        "_field_names=o.x.keyword",
        "_field_names=a.b",
    ] {
        assert!(fields.contains(&expected.to_owned()), "{expected} in {fields:?}");
    }
    assert!(!fields.iter().any(|field| field == "_field_names=z" || field == "_field_names=e"));
}

#[test]
fn detection_can_be_changed() {
    let properties = |start: Value, source: &str| read(start, source).unwrap().0["properties"].clone();
    assert_eq!(properties(json!({ "date_detection": false }), r#"{"d":"2024-01-02"}"#)["d"]["type"], "text");
    assert_eq!(
        properties(json!({ "numeric_detection": true }), r#"{"n":"12","f":"1.5"}"#),
        json!({ "f": { "type": "float" }, "n": { "type": "long" } })
    );
    assert_eq!(
        properties(
            json!({ "dynamic_date_formats": ["dd.MM.yyyy"] }),
            r#"{"d":"31.12.2024","e":"2024-01-02"}"#
        )["d"],
        json!({ "type": "date", "format": "dd.MM.yyyy", "locale": "" })
    );
}

#[test]
fn templates_decide_before_the_defaults() {
    let start = json!({ "dynamic_templates": [
        { "ids": { "match": "*_id", "match_mapping_type": "string", "mapping": { "type": "keyword" } } },
        { "deep": { "path_match": "meta.*", "unmatch": "skip", "mapping": { "type": "text", "copy_to": "all" } } },
        { "rx": { "match_pattern": "regex", "match": "^n[0-9]+$", "mapping": { "type": "{dynamic_type}", "index": false } } },
    ] });
    let (mapping, fields) =
        read(start, r#"{"user_id":"u","meta":{"a":"x","skip":"y"},"n12":5,"n":6}"#).unwrap();
    let properties = &mapping["properties"];
    assert_eq!(properties["user_id"], json!({ "type": "keyword" }));
    assert_eq!(properties["meta"]["properties"]["a"], json!({ "type": "text", "copy_to": ["all"] }));
    assert_eq!(properties["meta"]["properties"]["skip"]["fields"]["keyword"]["type"], "keyword");
    assert_eq!(properties["n12"], json!({ "type": "long", "index": false }));
    assert_eq!(properties["n"], json!({ "type": "long" }));
    // The target of `copy_to` is made as any new field.
    assert_eq!(properties["all"]["type"], "text");
    assert!(fields.iter().any(|field| field == "_v.all.keyword=x"), "{fields:?}");
    assert_eq!(mapping["dynamic_templates"].as_array().unwrap().len(), 3);
}

#[test]
fn dynamic_false_and_strict_and_enabled_false() {
    let (mapping, fields) = read(
        json!({ "dynamic": false, "properties": { "o": { "type": "object", "enabled": false } } }),
        r#"{"new":1,"o":{"anything":[{}, 1]}}"#,
    )
    .unwrap();
    assert_eq!(mapping["properties"], json!({ "o": { "type": "object", "enabled": false } }));
    assert_eq!(fields, ["_id=1", "_seq_no=0"]);
    let (reason, _) = failure(
        json!({ "properties": { "o": { "dynamic": "strict", "properties": {} } } }),
        r#"{"o":{"x":1}}"#,
    );
    assert_eq!(reason, "[1:11] mapping set to strict, dynamic introduction of [x] within [o] is not allowed");
}

#[test]
fn values_are_coerced_or_refused_in_elasticsearchs_words() {
    let types = json!({ "properties": {
        "l": { "type": "long" }, "i": { "type": "integer" }, "b": { "type": "byte" },
        "f": { "type": "float" }, "h": { "type": "half_float" }, "s": { "type": "scaled_float", "scaling_factor": 100 },
        "bo": { "type": "boolean" }, "d": { "type": "date" }, "ip": { "type": "ip" }, "k": { "type": "keyword" },
        "x": { "type": "long", "coerce": false }, "m": { "type": "long", "ignore_malformed": true },
        "n": { "type": "keyword", "null_value": "none" }, "o": { "properties": {} },
    } });
    let value = |source: &str| {
        let fields = read(types.clone(), source).unwrap().1;
        fields.into_iter().find(|field| field.starts_with("_v.")).unwrap_or_default()
    };
    for (source, expected) in [
        (r#"{"l":"12"}"#, "_v.l=12"),
        (r#"{"l":2.9}"#, "_v.l=2"),
        (r#"{"l":"-2.9"}"#, "_v.l=-2"),
        (r#"{"l":""}"#, ""),
        (r#"{"f":0.1}"#, "_v.f=0.10000000149011612"),
        (r#"{"h":0.1}"#, "_v.h=0.0999755859375"),
        (r#"{"s":1.239}"#, "_v.s=1.24"),
        (r#"{"bo":"true"}"#, "_v.bo=true"),
        (r#"{"bo":""}"#, "_v.bo=false"),
        (r#"{"d":0}"#, "_v.d=0"),
        (r#"{"ip":"::FFFF:10.0.0.1"}"#, "_v.ip=10.0.0.1"),
        (r#"{"k":1.5}"#, "_v.k=1.5"),
        (r#"{"n":null}"#, "_v.n=none"),
        (r#"{"m":"bad"}"#, "_v._ignored=m"),
    ] {
        assert_eq!(value(source), expected, "{source}");
    }
    for (source, expected, cause) in [
        (
            r#"{"l":"abc"}"#,
            "[1:6] failed to parse field [l] of type [long] in document with id '1'. Preview of field's value: 'abc'",
            r#"For input string: "abc""#,
        ),
        (
            r#"{"b":300}"#,
            "[1:6] failed to parse field [b] of type [byte] in document with id '1'. Preview of field's value: '300'",
            "Value [300] is out of range for a byte",
        ),
        (
            r#"{"l":{"a":1}}"#,
            "[1:12] failed to parse field [l] of type [long] in document with id '1'. Preview of field's value: '{a=1}'",
            "Cannot parse object as number",
        ),
        (
            r#"{"x":1.5}"#,
            "[1:6] failed to parse field [x] of type [long] in document with id '1'. Preview of field's value: '1.5'",
            "Value [1.5] has a decimal part",
        ),
        (
            r#"{"h":70000}"#,
            "[1:6] failed to parse field [h] of type [half_float] in document with id '1'. Preview of field's value: '70000'",
            "[half_float] supports only finite values, but got [70000.0]",
        ),
        (
            r#"{"bo":"x"}"#,
            "[1:7] failed to parse field [bo] of type [boolean] in document with id '1'. Preview of field's value: 'x'",
            "Failed to parse value [x] as only [true] or [false] are allowed.",
        ),
        (
            r#"{"d":"x"}"#,
            "[1:6] failed to parse field [d] of type [date] in document with id '1'. Preview of field's value: 'x'",
            "failed to parse date field [x] with format [strict_date_optional_time||epoch_millis]",
        ),
        (
            r#"{"ip":"x"}"#,
            "[1:7] failed to parse field [ip] of type [ip] in document with id '1'. Preview of field's value: 'x'",
            "'x' is not an IP string literal.",
        ),
        (
            r#"{"o":[1]}"#,
            "[1:7] object mapping for [o] tried to parse field [null] as object, but found a concrete value",
            "",
        ),
        (r#"[1]"#, "Malformed content, must start with an object", ""),
        (
            r#"{"":1}"#,
            "[1:2] failed to parse: field name cannot be an empty string",
            "field name cannot be an empty string",
        ),
        (r#"{" ":1}"#, "[1:2] Field name cannot contain only whitespace: [ ]", ""),
        (
            r#"{"a..b":1}"#,
            "[1:2] failed to parse: field name cannot contain only whitespace: ['a..b']",
            "field name cannot contain only whitespace: ['a..b']",
        ),
    ] {
        assert_eq!(failure(types.clone(), source), (expected.to_owned(), cause.to_owned()), "{source}");
    }
    assert!(failure(types, "{\"a\\u0001b\":1}").0.contains("control characters"));
}

#[test]
fn keywords_have_a_longest_length() {
    let long = "é".repeat(20_000);
    let types = json!({ "properties": { "k": { "type": "keyword" }, "s": { "type": "keyword", "ignore_above": 3 } } });
    let (reason, cause) = failure(types.clone(), &json!({ "k": long }).to_string());
    assert!(reason.starts_with("[1:6] failed to parse field [k] of type [keyword]"), "{}", &reason[..80]);
    assert!(cause.starts_with("Document contains at least one immense term in field=\"k\""), "{cause}");
    let fields = read(types, r#"{"s":["abc","abcd","ééé"]}"#).unwrap().1;
    assert!(fields.contains(&"_v.s=abc".to_owned()) && fields.contains(&"_v.s=ééé".to_owned()));
    assert!(!fields.contains(&"_v.s=abcd".to_owned()) && fields.contains(&"_v._ignored=s".to_owned()));
}

#[test]
fn text_beyond_the_slots_and_other_analyzers_are_encoded() {
    let properties: Map<String, Value> =
        (0..70).map(|n| (format!("f{n:02}"), json!({ "type": "text" }))).collect();
    let (_, fields) =
        read(json!({ "properties": properties }), r#"{"f00":["one","two"],"f69":"Three four"}"#).unwrap();
    assert!(fields.contains(&"_t00=one\u{FFFF}two".to_owned()), "{fields:?}");
    assert!(fields.contains(&"_tx.f69=\u{FFFE}0 1 5:three1 1 4:four".to_owned()), "{fields:?}");
    let types = json!({ "properties": { "t": { "type": "text", "analyzer": "whitespace" } } });
    let fields = read(types, r#"{"t":["A b","C"]}"#).unwrap().1;
    assert!(fields.contains(&"_t00=\u{FFFE}0 1 1:A1 1 1:b101 1 1:C".to_owned()), "{fields:?}");
}

#[test]
fn mappings_that_cannot_be_are_named() {
    for (body, expected) in [
        (json!({ "bogus": 1 }), "Root mapping definition has unsupported parameters:  [bogus : 1]"),
        (json!({ "properties": { "t": {} } }), "No type specified for field [t]"),
        (
            json!({ "properties": { "t": { "type": "keyword", "bogus": 1 } } }),
            "unknown parameter [bogus] on mapper [t] of type [keyword]",
        ),
        (json!({ "dynamic": "sometimes" }), "Could not convert [dynamic.dynamic] to boolean"),
        (
            json!({ "properties": { "t": { "type": "nested" } } }),
            "The mapper type [nested] declared on field [t] does not exist. It might have been created within a future \
             version or requires a plugin to be installed. Check the documentation.",
        ),
        (
            json!({ "properties": { "t": { "type": "alias" } } }),
            "Field [path] is required on mapper [t] of type [alias]",
        ),
        (
            json!({ "properties": { "t": { "type": "keyword", "ignore_above": "x" } } }),
            "For input string: \"x\"",
        ),
    ] {
        assert_eq!(reason(body), format!("Failed to parse mapping: {expected}"));
    }
    let unknown =
        Tree::parse(&json!({ "properties": { "t": { "type": "text", "analyzer": "nope" } } })).unwrap();
    let error = Mapping::new(unknown, &BTreeMap::new(), &Analyzers::builtin()).unwrap_err();
    assert_eq!(error.reason, "Failed to parse mapping: analyzer [nope] has not been configured in mappings");
    let alias = Tree::parse(&json!({ "properties": { "a": { "type": "alias", "path": "b" } } })).unwrap();
    let error = Mapping::new(alias, &BTreeMap::new(), &Analyzers::builtin()).unwrap_err();
    assert_eq!(
        error.reason,
        "Invalid [path] value [b] for field alias [a]: an alias must refer to an existing field in the mappings."
    );
}

#[test]
fn merging_keeps_what_cannot_change() {
    let base = mapping(json!({ "properties": {
        "l": { "type": "long" }, "k": { "type": "keyword", "ignore_above": 5 }, "o": { "properties": { "x": { "type": "keyword" } } },
        "t": { "type": "text" },
    } }));
    let merge = |body: Value| {
        base.merged(Tree::parse(&body).unwrap(), &Analyzers::builtin(), Limits { total_fields: 7, depth: 2 })
    };
    let reason = |body: Value| merge(body).unwrap_err().reason;
    assert_eq!(
        reason(json!({ "properties": { "l": { "type": "keyword" } } })),
        "mapper [l] cannot be changed from type [long] to [keyword]"
    );
    assert_eq!(
        reason(json!({ "properties": { "o": { "type": "keyword" } } })),
        "can't merge a non object mapping [o] with an object mapping"
    );
    assert_eq!(
        reason(json!({ "properties": { "t": { "type": "text", "analyzer": "english" } } })),
        "Mapper for [t] conflicts with existing mapper:\n\tCannot update parameter [analyzer] from [default] to [english]"
    );
    assert_eq!(
        reason(
            json!({ "properties": { "a": { "properties": { "b": { "properties": { "c": { "type": "long" } } } } } } })
        ),
        "Limit of total fields [7] has been exceeded"
    );
    assert_eq!(
        reason(json!({ "properties": { "a": { "properties": { "b": { "properties": {} } } } } })),
        "Limit of mapping depth [2] has been exceeded due to object field [a.b]"
    );
    let merged = merge(json!({ "_meta": { "v": 1 }, "properties": {
        "k": { "type": "keyword", "ignore_above": 7, "fields": { "t": { "type": "text" } } },
    } }))
    .unwrap();
    let properties = &merged.to_json()["properties"];
    assert_eq!(
        properties["k"],
        json!({ "type": "keyword", "ignore_above": 7, "fields": { "t": { "type": "text" } } })
    );
    assert_eq!(merged.to_json()["_meta"], json!({ "v": 1 }));
    // Slots of documents already written stay; new text gets the next.
    assert_eq!(merged.slots()["t"], 0);
    assert_eq!(merged.slots()["k.t"], 1);
}
