//! Each processor as its users configure it; JSON values are written in place.
#![allow(clippy::needless_pass_by_value)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;

fn document(source: Value) -> IngestDocument {
    let Value::Object(source) = source else { panic!("{source} is no object") };
    IngestDocument { index: "i".into(), id: Some("1".into()), routing: None, source }
}

/// Runs processors over a source: the source afterwards, null when dropped, or the error's `type: reason`.
fn run(processors: Value, source: Value) -> Result<Value, String> {
    run_with(&Pipelines::default(), &json!({ "processors": processors }), source)
}

fn run_with(pipelines: &Pipelines, definition: &Value, source: Value) -> Result<Value, String> {
    let pipeline = Pipeline::parse("p", definition).map_err(|error| error.to_string())?;
    pipelines.insert(pipeline);
    match pipelines.run("p", document(source)) {
        Ok(Outcome::Index(document)) => Ok(Value::Object(document.source)),
        Ok(Outcome::Drop) => Ok(Value::Null),
        Err(error) => Err(error.to_string()),
    }
}

fn error_of(processor: Value, source: Value) -> String {
    run(json!([processor]), source).unwrap_err()
}

fn changed(processor: Value, source: Value) -> Value {
    run(json!([processor]), source).unwrap()
}

#[test]
fn set() {
    for (options, source, expected) in [
        (
            json!({ "field": "a.b", "value": { "x": [1, "{{c}}"] } }),
            json!({ "c": "v" }),
            json!({ "c": "v", "a": { "b": { "x": [1, "v"] } } }),
        ),
        (json!({ "field": "a", "value": 2, "override": false }), json!({ "a": 1 }), json!({ "a": 1 })),
        (json!({ "field": "a", "value": 2, "override": false }), json!({ "a": null }), json!({ "a": 2 })),
        (
            json!({ "field": "a", "copy_from": "b.c" }),
            json!({ "b": { "c": [1] } }),
            json!({ "b": { "c": [1] }, "a": [1] }),
        ),
        (
            json!({ "field": "a", "copy_from": "z", "ignore_empty_value": true }),
            json!({ "a": 1 }),
            json!({ "a": 1 }),
        ),
        (
            json!({ "field": "a", "value": "{{z}}", "ignore_empty_value": true }),
            json!({ "a": 1 }),
            json!({ "a": 1 }),
        ),
        (
            json!({ "field": "{{name}}", "value": "{{{quote}}}|{{quote}}" }),
            json!({ "name": "n", "quote": "\"q\"" }),
            json!({ "name": "n", "quote": "\"q\"", "n": "\"q\"|\\\"q\\\"" }),
        ),
        (
            json!({ "field": "a.0.c", "value": "n" }),
            json!({ "a": [{ "c": 1 }] }),
            json!({ "a": [{ "c": "n" }] }),
        ),
        (
            json!({ "field": "_source.q", "value": "{{_index}}/{{_id}}/{{l.1}}/{{o}}" }),
            json!({ "l": [1, 2], "o": { "k": [true, null] } }),
            json!({ "l": [1, 2], "o": { "k": [true, null] }, "q": "i/1/2/{k=[true, null]}" }),
        ),
    ] {
        assert_eq!(changed(json!({ "set": options }), source), expected, "{options}");
    }
    for (options, source, error) in [
        (
            json!({ "field": "a", "copy_from": "z" }),
            json!({}),
            "illegal_argument_exception: field [z] not present as part of path [z]",
        ),
        (
            json!({ "field": "a.b", "value": 1 }),
            json!({ "a": null }),
            "illegal_argument_exception: cannot set [b] with null parent as part of path [a.b]",
        ),
        (
            json!({ "field": "a.b", "value": 1 }),
            json!({ "a": "s" }),
            "illegal_argument_exception: cannot set [b] with parent object of type [java.lang.String] as part of path [a.b]",
        ),
        (
            json!({ "field": "a.5", "value": 1 }),
            json!({ "a": [1] }),
            "illegal_argument_exception: [5] is out of bounds for array with length [1] as part of path [a.5]",
        ),
        (
            json!({ "field": "a.x", "value": 1 }),
            json!({ "a": [1] }),
            "illegal_argument_exception: [x] is not an integer, cannot be used as an index as part of path [a.x]",
        ),
        (
            json!({ "field": "a..b", "value": 1 }),
            json!({}),
            "illegal_argument_exception: path [a..b] is not valid",
        ),
        (
            json!({ "field": "", "value": 1 }),
            json!({}),
            "illegal_argument_exception: path cannot be null nor empty",
        ),
        (
            json!({ "field": "_index", "value": 7 }),
            json!({}),
            "illegal_argument_exception: _index [7] is wrong type, expected assignable to [java.lang.String], not [java.lang.Integer]",
        ),
        (
            json!({ "field": "_version", "value": 7 }),
            json!({}),
            "illegal_argument_exception: pipelines of this node cannot write the metadata field [_version], only [_index, _id, _routing]",
        ),
        (json!({ "field": "a" }), json!({}), "parse_exception: [value] required property is missing"),
        (
            json!({ "field": "a", "value": 1, "copy_from": "b" }),
            json!({}),
            "parse_exception: processor [set] doesn't support one or more provided configuration parameters [value]",
        ),
        (
            json!({ "field": "a", "value": "{{#x}}y{{/x}}" }),
            json!({}),
            "parse_exception: [value] template [{{#x}}y{{/x}}] uses [{{#x}}]; only {{field}} and {{{field}}} are supported",
        ),
        (
            json!({ "field": "a", "value": 1, "override": "maybe" }),
            json!({}),
            "parse_exception: [override] property isn't a boolean, but of type [java.lang.String]",
        ),
        (
            json!({ "field": 1, "value": 1 }),
            json!({}),
            "parse_exception: [field] property isn't a string, but of type [java.lang.Integer]",
        ),
    ] {
        assert_eq!(error_of(json!({ "set": options }), source), error, "{options}");
    }
}

#[test]
fn metadata_can_be_changed() {
    let pipelines = Pipelines::default();
    let definition = json!({ "processors": [
        { "set": { "field": "_index", "value": "{{to}}" } },
        { "set": { "field": "_routing", "value": "r" } },
        { "remove": { "field": "_id" } },
    ] });
    pipelines.insert(Pipeline::parse("p", &definition).unwrap());
    let Outcome::Index(changed) = pipelines.run("p", document(json!({ "to": "other" }))).unwrap() else {
        panic!("dropped")
    };
    assert_eq!((changed.index.as_str(), changed.id, changed.routing.as_deref()), ("other", None, Some("r")));
}

#[test]
fn remove_rename_append() {
    for (processor, source, expected) in [
        (
            json!({ "remove": { "field": ["a", "b.{{n}}"] } }),
            json!({ "a": 1, "b": { "c": 1, "d": 2 }, "n": "c" }),
            json!({ "b": { "d": 2 }, "n": "c" }),
        ),
        (json!({ "remove": { "field": ["a", "z"], "ignore_missing": true } }), json!({ "a": 1 }), json!({})),
        (json!({ "remove": { "field": "a.1" } }), json!({ "a": [1, 2, 3] }), json!({ "a": [1, 3] })),
        (
            json!({ "remove": { "keep": ["a.x", "b"] } }),
            json!({ "a": { "x": 1, "y": 2 }, "b": { "c": 1 }, "d": 1 }),
            json!({ "a": { "x": 1 }, "b": { "c": 1 } }),
        ),
        (
            json!({ "rename": { "field": "a.x", "target_field": "c.d" } }),
            json!({ "a": { "x": 1 } }),
            json!({ "a": {}, "c": { "d": 1 } }),
        ),
        (
            json!({ "rename": { "field": "a", "target_field": "b", "override": true } }),
            json!({ "a": 1, "b": 2 }),
            json!({ "b": 1 }),
        ),
        (
            json!({ "rename": { "field": "z", "target_field": "b", "ignore_missing": true } }),
            json!({ "b": 2 }),
            json!({ "b": 2 }),
        ),
        (
            json!({ "append": { "field": "a", "value": ["{{b}}", 2] } }),
            json!({ "a": 1, "b": "x" }),
            json!({ "a": [1, "x", 2], "b": "x" }),
        ),
        (
            json!({ "append": { "field": "a", "value": [1, 2], "allow_duplicates": false } }),
            json!({ "a": [1] }),
            json!({ "a": [1, 2] }),
        ),
        (json!({ "append": { "field": "n.a", "value": "v" } }), json!({}), json!({ "n": { "a": ["v"] } })),
    ] {
        assert_eq!(changed(processor.clone(), source), expected, "{processor}");
    }
    for (processor, source, error) in [
        (
            json!({ "remove": { "field": "a" } }),
            json!({}),
            "illegal_argument_exception: field [a] not present as part of path [a]",
        ),
        (
            json!({ "remove": { "field": "a.b" } }),
            json!({ "a": "s" }),
            "illegal_argument_exception: cannot remove [b] from object of type [java.lang.String] as part of path [a.b]",
        ),
        (json!({ "remove": {} }), json!({}), "parse_exception: [keep] or [field] must be specified"),
        (
            json!({ "rename": { "field": "a", "target_field": "b" } }),
            json!({}),
            "illegal_argument_exception: field [a] doesn't exist",
        ),
        (
            json!({ "rename": { "field": "a", "target_field": "b" } }),
            json!({ "a": 1, "b": 1 }),
            "illegal_argument_exception: field [b] already exists",
        ),
        (
            json!({ "rename": { "field": "a", "target_field": "b.c" } }),
            json!({ "a": 1, "b": "s" }),
            "illegal_argument_exception: cannot set [c] with parent object of type [java.lang.String] as part of path [b.c]",
        ),
    ] {
        assert_eq!(error_of(processor.clone(), source), error, "{processor}");
    }
}

#[test]
fn texts() {
    for (processor, source, expected) in [
        (json!({ "trim": { "field": "a" } }), json!({ "a": " x\n" }), json!({ "a": "x" })),
        (
            json!({ "lowercase": { "field": "a", "target_field": "b" } }),
            json!({ "a": ["ÀB", "c"] }),
            json!({ "a": ["ÀB", "c"], "b": ["àb", "c"] }),
        ),
        (json!({ "uppercase": { "field": "a" } }), json!({ "a": "straße" }), json!({ "a": "STRASSE" })),
        (
            json!({ "trim": { "field": "a", "ignore_missing": true } }),
            json!({ "a": null }),
            json!({ "a": null }),
        ),
        (
            json!({ "gsub": { "field": "a", "pattern": "\\s+", "replacement": " " } }),
            json!({ "a": "x \n\t y\u{a0}z" }),
            json!({ "a": "x y\u{a0}z" }),
        ),
        (
            json!({ "gsub": { "field": "a", "pattern": "(b)(?<n>c)", "replacement": "[$1x$12${n}\\$]" } }),
            json!({ "a": "abc" }),
            json!({ "a": "a[bxb2c$]" }),
        ),
        (
            json!({ "gsub": { "field": "a", "pattern": "[^\\w.]", "replacement": "" } }),
            json!({ "a": "é_1.x y" }),
            json!({ "a": "_1.xy" }),
        ),
        (
            json!({ "split": { "field": "a", "separator": ",\\s*" } }),
            json!({ "a": "x, y,,z,," }),
            json!({ "a": ["x", "y", "", "z"] }),
        ),
        (
            json!({ "split": { "field": "a", "separator": ",", "preserve_trailing": true } }),
            json!({ "a": "x,," }),
            json!({ "a": ["x", "", ""] }),
        ),
        (
            json!({ "join": { "field": "a", "separator": "-", "target_field": "b" } }),
            json!({ "a": ["x", 1, true] }),
            json!({ "a": ["x", 1, true], "b": "x-1-true" }),
        ),
    ] {
        assert_eq!(changed(processor.clone(), source), expected, "{processor}");
    }
    for (processor, source, error) in [
        (
            json!({ "trim": { "field": "a" } }),
            json!({}),
            "illegal_argument_exception: field [a] not present as part of path [a]",
        ),
        (
            json!({ "trim": { "field": "a" } }),
            json!({ "a": null }),
            "illegal_argument_exception: field [a] is null, cannot process it.",
        ),
        (
            json!({ "trim": { "field": "a" } }),
            json!({ "a": 1.5 }),
            "illegal_argument_exception: field [a] of type [java.lang.Double] cannot be cast to [java.lang.String]",
        ),
        (
            json!({ "trim": { "field": "a" } }),
            json!({ "a": { "b": 1 } }),
            "illegal_argument_exception: field [a] of type [java.util.HashMap] cannot be cast to [java.lang.String]",
        ),
        (
            json!({ "trim": { "field": "a.b" } }),
            json!({ "a": 12_345_678_901_u64 }),
            "illegal_argument_exception: cannot resolve [b] from object of type [java.lang.Long] as part of path [a.b]",
        ),
        (
            json!({ "trim": { "field": "a" } }),
            json!({ "a": ["x", 1] }),
            "illegal_argument_exception: value [1] of type [java.lang.Integer] in list field [a] cannot be cast to [java.lang.String]",
        ),
        (
            json!({ "gsub": { "field": "a", "pattern": "b", "replacement": "$1" } }),
            json!({ "a": "abc" }),
            "index_out_of_bounds_exception: No group 1",
        ),
        (
            json!({ "gsub": { "field": "a", "pattern": "b", "replacement": "$x" } }),
            json!({ "a": "abc" }),
            "illegal_argument_exception: Illegal group reference",
        ),
        (
            json!({ "gsub": { "field": "a", "pattern": "(b", "replacement": "x" } }),
            json!({}),
            "parse_exception: [pattern] Invalid regex pattern. unclosed group: (b",
        ),
        (
            json!({ "gsub": { "field": "a", "pattern": "(?=b)", "replacement": "x" } }),
            json!({}),
            "parse_exception: [pattern] Invalid regex pattern. look-around, including look-ahead and look-behind, is not supported: (?=b)",
        ),
    ] {
        assert_eq!(error_of(processor.clone(), source), error, "{processor}");
    }
}

#[test]
fn convert_and_json() {
    for (processor, source, expected) in [
        (
            json!({ "convert": { "field": "a", "type": "integer" } }),
            json!({ "a": ["12", "-0x1F"] }),
            json!({ "a": [12, -31] }),
        ),
        (
            json!({ "convert": { "field": "a", "type": "double" } }),
            json!({ "a": "1.5" }),
            json!({ "a": 1.5 }),
        ),
        (
            json!({ "convert": { "field": "a", "type": "boolean" } }),
            json!({ "a": "TRUE" }),
            json!({ "a": true }),
        ),
        (
            json!({ "convert": { "field": "a", "type": "string", "target_field": "b" } }),
            json!({ "a": 1 }),
            json!({ "a": 1, "b": "1" }),
        ),
        (
            json!({ "convert": { "field": "a", "type": "auto" } }),
            json!({ "a": ["1", "1.5", "x", "false", 7] }),
            json!({ "a": [1, 1.5, "x", false, 7] }),
        ),
        (json!({ "convert": { "field": "a", "type": "ip" } }), json!({ "a": "::1" }), json!({ "a": "::1" })),
        (
            json!({ "json": { "field": "a", "target_field": "b" } }),
            json!({ "a": "{\"x\":[1]}" }),
            json!({ "a": "{\"x\":[1]}", "b": { "x": [1] } }),
        ),
        (
            json!({ "json": { "field": "a", "add_to_root": true, "add_to_root_conflict_strategy": "merge" } }),
            json!({ "a": "{\"o\":{\"y\":2}}", "o": { "x": 1 } }),
            json!({ "a": "{\"o\":{\"y\":2}}", "o": { "x": 1, "y": 2 } }),
        ),
    ] {
        assert_eq!(changed(processor.clone(), source), expected, "{processor}");
    }
    for (processor, source, error) in [
        (
            json!({ "convert": { "field": "a", "type": "integer" } }),
            json!({ "a": "x" }),
            "illegal_argument_exception: unable to convert [x] to integer",
        ),
        (
            json!({ "convert": { "field": "a", "type": "integer" } }),
            json!({ "a": 3_000_000_000_u64 }),
            "illegal_argument_exception: unable to convert [3000000000] to integer",
        ),
        (
            json!({ "convert": { "field": "a", "type": "nope" } }),
            json!({}),
            "parse_exception: [type] type [nope] not supported, cannot convert field.",
        ),
        (
            json!({ "json": { "field": "a", "add_to_root": true } }),
            json!({ "a": "[1]" }),
            "illegal_argument_exception: cannot add non-map fields to root of document",
        ),
    ] {
        assert_eq!(error_of(processor.clone(), source), error, "{processor}");
    }
}

#[test]
fn dates() {
    let date = |options: Value, text: Value| {
        changed(json!({ "date": options }), json!({ "d": text }))["out"].clone()
    };
    let formats = json!(["dd/MM/yyyy", "ISO8601", "UNIX", "UNIX_MS"]);
    let plain = json!({ "field": "d", "formats": formats, "target_field": "out" });
    assert_eq!(date(plain.clone(), json!("05/02/2024")), "2024-02-05T00:00:00.000Z");
    assert_eq!(date(plain.clone(), json!("2024-02-05T10:00:00.5+01:00")), "2024-02-05T09:00:00.500Z");
    assert_eq!(date(plain.clone(), json!(1_707_127_200)), "2024-02-05T10:00:00.000Z");
    assert_eq!(date(plain, json!("1707127200.25")), "2024-02-05T10:00:00.250Z");
    let ms = json!({ "field": "d", "formats": ["UNIX_MS"], "target_field": "out", "output_format": "yyyy/MM/dd HH:mm", "timezone": "Europe/Berlin" });
    assert_eq!(date(ms, json!("1707127200000")), "2024/02/05 11:00");
    let local = json!({ "field": "d", "formats": ["yyyy-MM-dd HH:mm"], "target_field": "out", "timezone": "{{zone}}" });
    let source = json!({ "d": "2024-07-01 12:00", "zone": "Europe/Berlin" });
    assert_eq!(changed(json!({ "date": local }), source)["out"], "2024-07-01T12:00:00.000+02:00");
    let plain = json!({ "date": { "field": "d", "formats": ["ISO8601"] } });
    assert_eq!(changed(plain.clone(), json!({ "d": "2024" }))["@timestamp"], "2024-01-01T00:00:00.000Z");
    assert_eq!(
        error_of(plain, json!({ "d": "nonsense" })),
        "illegal_argument_exception: unable to parse date [nonsense]"
    );
    assert!(
        error_of(json!({ "date": { "field": "d", "formats": ["foo"] } }), json!({}))
            .starts_with("parse_exception: [formats]")
    );
    let locale = json!({ "date": { "field": "d", "formats": ["ISO8601"], "locale": "fr" } });
    assert!(error_of(locale, json!({})).contains("[fr] is not supported"));
}

#[test]
fn attachments() {
    let page = STANDARD.encode("<html><head><title>T</title></head><p>One<p>Two</html>");
    let result =
        changed(json!({ "attachment": { "field": "data", "remove_binary": true } }), json!({ "data": page }));
    assert_eq!(
        result,
        json!({ "attachment": { "content": "One\nTwo", "title": "T", "content_type": "text/html; charset=UTF-8", "content_length": 7 } })
    );
    let some = json!({ "attachment": { "field": "data", "target_field": "x", "properties": ["CONTENT"], "indexed_chars": 5, "indexed_chars_field": "n" } });
    let text = STANDARD.encode("Hello world");
    assert_eq!(changed(some.clone(), json!({ "data": text }))["x"], json!({ "content": "Hello" }));
    assert_eq!(changed(some, json!({ "data": text, "n": -1 }))["x"], json!({ "content": "Hello world" }));
    let plain = json!({ "attachment": { "field": "data" } });
    assert_eq!(changed(plain.clone(), json!({ "data": "" }))["attachment"]["content_length"], 0);
    assert_eq!(
        error_of(plain.clone(), json!({})),
        "illegal_argument_exception: field [data] not present as part of path [data]"
    );
    assert!(
        error_of(plain.clone(), json!({ "data": "%%" }))
            .starts_with("illegal_argument_exception: field [data] is not base64")
    );
    let pipelines = Pipelines::default();
    pipelines.insert(Pipeline::parse("p", &json!({ "processors": [plain] })).unwrap());
    let error = pipelines.run("p", document(json!({ "data": STANDARD.encode("%PDF-1.7") }))).unwrap_err();
    assert_eq!(error.to_string(), "parse_exception: Error parsing document in field [data]");
    assert_eq!(
        error.extra["caused_by"]["reason"],
        "no text can be extracted from [application/pdf]: plain text, HTML and XML are supported"
    );
    let wrong = json!({ "attachment": { "field": "data", "properties": ["nope"] } });
    assert!(error_of(wrong, json!({})).starts_with(
        "parse_exception: [properties] illegal field option [nope]. valid values are [CONTENT, TITLE,"
    ));
}

#[test]
fn failures_are_ignored_handled_or_end_the_document() {
    let failing = |extra: Value| {
        let mut options = json!({ "field": "z", "tag": "T" });
        for (name, value) in extra.as_object().unwrap() {
            options[name] = value.clone();
        }
        json!({ "remove": options })
    };
    let after = json!({ "set": { "field": "after", "value": 1 } });
    assert_eq!(
        run(json!([failing(json!({ "ignore_failure": true })), after]), json!({})),
        Ok(json!({ "after": 1 }))
    );
    let told = "{{_ingest.on_failure_processor_type}}/{{_ingest.on_failure_processor_tag}}/{{_ingest.on_failure_pipeline}}: {{_ingest.on_failure_message}}";
    let tell = json!([{ "set": { "field": "told", "value": told } }]);
    let message = "remove/T/p: field [z] not present as part of path [z]";
    assert_eq!(
        run(
            json!([failing(json!({ "on_failure": tell })), after, { "set": { "field": "gone", "value": "{{_ingest.on_failure_message}}" } }]),
            json!({})
        ),
        Ok(json!({ "told": message, "after": 1, "gone": "" }))
    );
    let whole = json!({ "processors": [failing(json!({})), after], "on_failure": tell });
    assert_eq!(run_with(&Pipelines::default(), &whole, json!({})), Ok(json!({ "told": message })));
    let twice =
        json!({ "processors": [failing(json!({ "on_failure": [{ "fail": { "message": "no {{a}}" } }] }))] });
    assert_eq!(
        run_with(&Pipelines::default(), &twice, json!({ "a": "way" })),
        Err("fail_processor_exception: no way".to_owned())
    );
    let empty = failing(json!({ "on_failure": [] }));
    assert_eq!(error_of(empty, json!({})), "parse_exception: [on_failure] processors list cannot be empty");
}

#[test]
fn drop_and_pipeline() {
    assert_eq!(run(json!([{ "drop": { "if": "ctx?.a == 1" } }]), json!({ "a": 1 })), Ok(Value::Null));
    assert_eq!(run(json!([{ "drop": { "if": "ctx?.a == 1" } }]), json!({ "a": 2 })), Ok(json!({ "a": 2 })));
    let pipelines = Pipelines::default();
    let inner = json!({ "processors": [{ "set": { "field": "inner", "value": true } }, { "remove": { "field": "z", "tag": "deep" } }] });
    pipelines.insert(Pipeline::parse("inner-1", &inner).unwrap());
    let outer = json!({
        "processors": [{ "pipeline": { "name": "inner-{{n}}" } }],
        "on_failure": [{ "set": { "field": "who", "value": "{{_ingest.on_failure_processor_tag}} of {{_ingest.on_failure_pipeline}}" } }],
    });
    assert_eq!(
        run_with(&pipelines, &outer, json!({ "n": 1 })),
        Ok(json!({ "n": 1, "inner": true, "who": "deep of inner-1" }))
    );
    let absent = |extra: Value| {
        let mut options = json!({ "name": "absent" });
        options["ignore_missing_pipeline"] = extra;
        json!({ "processors": [{ "pipeline": options }] })
    };
    assert_eq!(run_with(&pipelines, &absent(json!(true)), json!({})), Ok(json!({})));
    assert_eq!(
        run_with(&pipelines, &absent(json!(false)), json!({})),
        Err("illegal_state_exception: Pipeline processor configured for non-existent pipeline [absent]"
            .into())
    );
    let cycle = json!({ "processors": [{ "pipeline": { "name": "p" } }] });
    assert_eq!(
        run_with(&pipelines, &cycle, json!({})),
        Err("graph_structure_exception: Cycle detected for pipeline: p".into())
    );
    assert_eq!(
        pipelines.run("nope", document(json!({}))).unwrap_err().to_string(),
        "illegal_argument_exception: pipeline with id [nope] does not exist"
    );
}

#[test]
fn conditions() {
    let source = json!({ "t": true, "f": false, "n": 3, "s": "it's", "o": { "x": null, "y": { "z": 1 } } });
    for (condition, expected) in [
        ("ctx?.t == true", true),
        ("ctx.t==true", true),
        ("return ctx?.f == true;", false),
        ("ctx?.f != true", true),
        ("ctx?.absent == null", true),
        ("ctx?.absent?.deeper != null", false),
        ("ctx?.n == 3.0", true),
        ("ctx?.n == '3'", false),
        ("ctx?.s == \"it's\"", true),
        ("ctx?.s == 'it\\'s'", true),
        ("ctx['o']?.y?.z == 1", true),
        ("ctx?.o?.y?.z == 1 && ctx?.t == false", false),
        ("ctx?.t == false || ctx?.o?.y?.z == 1 && ctx?.n != -3", true),
        ("(ctx?.t == false || ctx?.n == 3) && (ctx?.f == false)", true),
        ("ctx._index == 'i'", true),
    ] {
        let processor = json!([{ "drop": { "if": condition } }]);
        let dropped = run(processor, source.clone()).unwrap().is_null();
        assert_eq!(dropped, expected, "{condition}");
    }
    let script = json!([{ "drop": { "if": { "lang": "painless", "source": "ctx.t == true" } } }]);
    assert_eq!(run(script, source.clone()), Ok(Value::Null));
    for condition in [
        "",
        "ctx?.t",
        "true",
        "ctx?.t = true",
        "ctx?.n > 2",
        "ctx?.s.contains('x')",
        "doc['x'] == 1",
        "ctx?.t == true &&",
        "ctx == null",
        "(ctx?.t == true",
        "ctx?.t == ctx.f",
        "ctx?.s == 'open",
        "ctx.containsKey('t')",
    ] {
        let error = error_of(json!({ "drop": { "if": condition } }), json!({}));
        assert!(error.contains(&format!("[if] condition [{condition}] is not supported")), "{error}");
    }
    let unsafe_access = error_of(json!({ "drop": { "if": "ctx.absent.deeper == 1" } }), json!({}));
    assert_eq!(unsafe_access, "script_exception: runtime error");
    let deep = format!("{}ctx?.t == true{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(error_of(json!({ "drop": { "if": deep } }), json!({})).contains("is not supported"));
}

#[test]
fn definitions_are_checked_as_elasticsearch_does() {
    let error = |definition: Value| Pipeline::parse("p", &definition).unwrap_err();
    assert_eq!(error(json!({})).to_string(), "parse_exception: [processors] required property is missing");
    assert_eq!(error(json!({})).extra["property_name"], "processors");
    for (definition, reason) in [
        (json!({ "processors": [{ "nope": {} }] }), "No processor type exists with name [nope]"),
        (
            json!({ "processors": [], "nope": 1 }),
            "pipeline [p] doesn't support one or more provided configuration parameters [nope]",
        ),
        (json!({ "processors": {} }), "[processors] property isn't a list, but of type [java.util.HashMap]"),
        (
            json!({ "processors": [], "on_failure": [] }),
            "pipeline [p] cannot have an empty on_failure option defined",
        ),
        (json!({ "processors": [], "version": "x" }), "[version] property cannot be converted to an int [x]"),
        (
            json!({ "processors": [], "_meta": 1 }),
            "[_meta] property isn't a map, but of type [java.lang.Integer]",
        ),
        (json!({ "processors": [{ "set": "x" }] }), "property isn't a map, but of type [java.lang.String]"),
        (
            json!({ "processors": [{ "set": { "field": "a", "value": 1, "nope": 1, "b": 2 } }] }),
            "processor [set] doesn't support one or more provided configuration parameters [b, nope]",
        ),
    ] {
        let error = error(definition.clone());
        assert_eq!((error.kind, error.reason.as_str()), ("parse_exception", reason), "{definition}");
    }
    let tagged = error(json!({ "processors": [{ "set": { "tag": "T", "value": 1 } }] }));
    assert_eq!(
        (&tagged.extra["processor_tag"], &tagged.extra["processor_type"]),
        (&json!("T"), &json!("set"))
    );
    Pipeline::parse(
        "p",
        &json!({ "processors": [{}], "version": 1, "_meta": {}, "description": "d", "deprecated": true }),
    )
    .unwrap();
    let mut nested = json!({ "fail": { "message": "m" } });
    for _ in 0..40 {
        nested = json!({ "fail": { "message": "m", "on_failure": [nested] } });
    }
    assert!(error(json!({ "processors": [nested] })).reason.contains("nested too deep"));
}

#[test]
fn definitions_are_kept_with_their_dates() {
    let pipelines = Pipelines::default();
    let first = pipelines.prepare("p", &json!({ "processors": [] })).unwrap();
    let created = first.definition()["created_date_millis"].clone();
    assert!(created.is_i64());
    pipelines.insert(first);
    let second = pipelines.prepare("p", &json!({ "processors": [], "version": 2 })).unwrap();
    assert_eq!(second.definition()["created_date_millis"], created);
    let kept = Value::Object(second.definition().clone());
    let loaded = Pipelines::load([("p".to_owned(), kept.clone()), ("q".to_owned(), kept)]).unwrap();
    let names = |patterns: &[&str]| -> Vec<String> {
        loaded.matching(patterns).iter().map(|pipeline| pipeline.id.clone()).collect()
    };
    assert_eq!(names(&["*"]), ["p", "q"]);
    assert_eq!(names(&["q", "z*"]), ["q"]);
    loaded.remove("q");
    assert!(!loaded.contains("q") && loaded.contains("p"));
}

#[test]
fn simulations_show_each_processor() {
    let pipelines = Pipelines::default();
    let definition = json!({ "processors": [
        { "set": { "field": "a", "value": 1, "tag": "T", "description": "D" } },
        { "drop": { "if": "ctx?.a == 2" } },
        { "remove": { "field": "z", "ignore_failure": true } },
        { "remove": { "field": "z" } },
    ] });
    let pipeline = Pipeline::parse("_simulate_pipeline", &definition).unwrap();
    let shown = pipelines.simulate(&pipeline, document(json!({})), true);
    let results = shown["processor_results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["success", "skipped", "error_ignored", "error"]);
    assert_eq!((&results[0]["tag"], &results[0]["description"]), (&json!("T"), &json!("D")));
    assert_eq!(results[0]["doc"]["_source"], json!({ "a": 1 }));
    assert_eq!(results[0]["doc"]["_ingest"]["pipeline"], "_simulate_pipeline");
    assert_eq!(results[1]["if"], json!({ "condition": "ctx?.a == 2", "result": false }));
    assert_eq!(results[3]["error"]["reason"], "field [z] not present as part of path [z]");
    let inner =
        json!({ "processors": [{ "set": { "field": "in", "value": 1 } }, { "remove": { "field": "z" } }] });
    pipelines.insert(Pipeline::parse("inner", &inner).unwrap());
    let outer = json!({ "processors": [
        { "pipeline": { "name": "inner", "tag": "P", "on_failure": [{ "set": { "field": "b", "value": 1 } }] } },
    ] });
    let outer = Pipeline::parse("_simulate_pipeline", &outer).unwrap();
    let shown = pipelines.simulate(&outer, document(json!({})), true);
    let results = shown["processor_results"].as_array().unwrap();
    assert_eq!(results[0], json!({ "processor_type": "pipeline", "status": "success", "tag": "P" }));
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["success", "success", "error", "success"]);
    assert_eq!(results[3]["doc"]["_ingest"]["on_failure_processor_tag"], Value::Null);
    assert_eq!(results[3]["doc"]["_ingest"]["on_failure_pipeline"], "inner");
    let plain = pipelines.simulate(&pipeline, document(json!({ "z": 1 })), false);
    assert_eq!(plain["error"]["type"], "illegal_argument_exception");
}

#[test]
fn connectors_find_their_pipelines() {
    let definitions = builtin_pipelines().into_iter().map(|(name, definition)| (name.to_owned(), definition));
    let pipelines = Pipelines::load(definitions).unwrap();
    let through = |source: Value| match pipelines.run("search-default-ingestion", document(source)).unwrap() {
        Outcome::Index(document) => Value::Object(document.source),
        Outcome::Drop => Value::Null,
    };
    let text = STANDARD.encode("  Hello \n\n world ");
    let flags = |extract: bool, reduce: bool| json!({ "t": " t ", "_attachment": text, "_extract_binary_content": extract, "_reduce_whitespace": reduce, "_run_ml_inference": true });
    assert_eq!(through(flags(true, true)), json!({ "t": " t ", "body": "Hello world" }));
    assert_eq!(through(flags(true, false)), json!({ "t": " t ", "body": "Hello \n\n world" }));
    assert_eq!(through(flags(false, true)), json!({ "t": " t " }));
    let body = json!({ "body": " a  b ", "_extract_binary_content": true, "_reduce_whitespace": true });
    assert_eq!(through(body), json!({ "body": "a b" }));
    assert_eq!(through(json!({ "a": 1 })), json!({ "a": 1 }));
    let bad = through(json!({ "_attachment": STANDARD.encode("%PDF-"), "_extract_binary_content": true }));
    let errors = bad["_ingestion_errors"][0].as_str().unwrap();
    assert!(
        errors.starts_with("attachment of pipeline search-default-ingestion failed: Error parsing"),
        "{errors}"
    );
    assert!(pipelines.contains("ent-search-generic-ingestion"));
}
