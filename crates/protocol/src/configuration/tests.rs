use serde_json::{Value, json};

use super::*;

fn raw(value: Value) -> RawConfiguration {
    serde_json::from_value(value).unwrap()
}

fn parse(value: Value) -> Configuration {
    Configuration::parse(&raw(value)).unwrap()
}

fn errors(configuration: &Configuration) -> Vec<String> {
    match configuration.check_valid() {
        Ok(()) => Vec::new(),
        Err(ConfigurationError::Invalid(errors)) => errors,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn an_optional_empty_field_has_its_default_and_a_required_one_has_not() {
    let configuration = parse(json!({
        "optional": {"type": "int", "required": false, "value": "", "default_value": "3"},
        "required": {"type": "int", "required": true, "value": null, "default_value": 3},
        "list": {"type": "list", "required": false, "value": [null, ""], "default_value": "a,b"},
        "set": {"type": "int", "required": false, "value": 4, "default_value": 3},
        "false": {"type": "bool", "required": false, "value": false, "default_value": true},
    }));
    assert_eq!(configuration.integer("optional"), Ok(Some(3)));
    assert_eq!(configuration.integer("required"), Ok(None));
    assert_eq!(configuration.list("list"), Ok(vec!["a".into(), "b".into()]));
    assert_eq!(configuration.integer("set"), Ok(Some(4)));
    assert_eq!(configuration.flag("false"), Ok(false));
    assert_eq!(configuration.get("nothing"), None);
    assert_eq!(configuration.fields().len(), 5);
}

#[test]
fn a_bare_value_is_a_text_field() {
    let configuration = parse(json!({"host": "localhost", "port": 80}));
    assert_eq!(configuration.text("host"), Ok("localhost"));
    assert_eq!(configuration.text("port"), Ok("80"));
    assert_eq!(configuration.field("host").unwrap().label, "Host");
}

#[test]
fn the_sources_types_win_and_its_defaults_answer_for_what_is_not_stored() {
    let stored = raw(json!({"port": {"value": "80", "type": "str"}}));
    let defaults = raw(json!({"port": {"type": "int"}, "path": {"value": "/data", "type": "str"}}));
    let configuration = Configuration::parse_with_defaults(&stored, &defaults).unwrap();
    assert_eq!(configuration.integer("port"), Ok(Some(80)));
    assert_eq!(configuration.text("path"), Ok("/data"));
    assert_eq!(configuration.text("other"), Err(ConfigurationError::UnknownField("other".into())));
}

#[test]
fn an_optional_empty_field_stays_empty_when_it_is_given_the_sources_type() {
    let stored = raw(json!({"n": {"value": "", "default_value": 5, "required": false}}));
    let defaults = raw(json!({"n": {"type": "int"}}));
    let configuration = Configuration::parse_with_defaults(&stored, &defaults).unwrap();
    assert!(configuration.field("n").unwrap().is_empty());
    assert_eq!(configuration.integer("n"), Ok(Some(5)));
}

#[test]
fn a_value_of_the_wrong_type_names_its_field_and_not_itself() {
    let stored = raw(json!({"port": {"label": "Port", "type": "int", "value": "hunter2"}}));
    let error = Configuration::parse(&stored).unwrap_err().to_string();
    assert!(error.contains("\"Port\" (port)"), "{error}");
    assert!(error.contains("whole number"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn typed_reading_refuses_another_type() {
    let configuration = parse(json!({
        "text": {"type": "str", "value": "a"},
        "number": {"type": "float", "value": 1.5},
        "list": {"type": "list", "value": ["a", 1, true, null, ""]},
        "nested": {"type": "list", "value": [["a"]]},
        "nulls": {"type": "other", "value": null},
    }));
    assert_eq!(configuration.float("number"), Ok(Some(1.5)));
    assert_eq!(configuration.list("list"), Ok(vec!["a".into(), "1".into(), "true".into()]));
    assert_eq!(configuration.text("nulls"), Ok(""));
    assert_eq!(configuration.float("nulls"), Ok(None));
    assert_eq!(configuration.flag("nulls"), Ok(false));
    assert_eq!(configuration.list("nulls"), Ok(vec![]));
    assert!(configuration.text("number").is_err());
    assert!(configuration.integer("number").is_err());
    assert!(configuration.float("text").is_err());
    assert!(configuration.flag("text").is_err());
    assert!(configuration.list("text").is_err());
    let nested = configuration.list("nested").unwrap_err().to_string();
    assert!(nested.contains("nested"), "{nested}");
}

#[test]
fn definitions_that_make_no_sense_are_refused() {
    for (field, part) in [
        (json!({"required": "yes"}), "required"),
        (json!({"sensitive": 1}), "sensitive"),
        (json!({"depends_on": {}}), "depends_on"),
        (json!({"depends_on": [{"value": 1}]}), "name a field"),
        (json!({"validations": "x"}), "validations"),
        (json!({"validations": [{"type": "odd", "constraint": 1}]}), "\"odd\""),
        (json!({"validations": [{"type": "less_than", "constraint": "x"}]}), "less_than"),
        (json!({"validations": [{"type": "list_type", "constraint": "bool"}]}), "list_type"),
    ] {
        let error = Configuration::parse(&raw(json!({"f": field}))).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let nulls = json!({"f": {"required": null, "sensitive": null, "depends_on": null, "validations": null, "label": null}});
    assert_eq!(parse(nulls).field("f").unwrap().label, "f");
}

#[test]
fn required_fields_need_a_value_unless_their_dependency_does_not_hold() {
    let stored = |on: Value| {
        json!({
            "on": {"type": "bool", "value": on},
            "secret": {"label": "Secret", "depends_on": [{"field": "on", "value": true}], "value": ""},
            "other": {"label": "Other", "depends_on": [{"field": "on", "value": "false"}], "value": ""},
        })
    };
    assert_eq!(errors(&parse(stored(json!(true)))), ["'Secret' cannot be empty."]);
    assert_eq!(errors(&parse(stored(json!("off")))), ["'Other' cannot be empty."]);
}

#[test]
fn a_dependency_on_a_missing_field_is_an_error_of_its_own() {
    let configuration =
        parse(json!({"a": {"label": "A", "depends_on": [{"field": "b", "value": 1}], "value": "x"}}));
    assert_eq!(
        configuration.check_valid().unwrap_err().to_string(),
        "'A' depends on the field 'b', which does not exist"
    );
}

#[test]
fn validations_say_label_value_and_constraint() {
    let field = |kind: &str, value: Value, validation: &str, constraint: Value| {
        parse(json!({"f": {"label": "F", "type": kind, "value": value,
            "validations": [{"type": validation, "constraint": constraint}]}}))
    };
    let fails = |configuration: &Configuration, parts: &[&str]| {
        let errors = errors(configuration);
        assert_eq!(errors.len(), 1, "{errors:?}");
        for part in ["'F'"].iter().chain(parts) {
            assert!(errors[0].contains(part), "{errors:?} lacks {part}");
        }
    };
    let passes = |configuration: &Configuration| assert_eq!(errors(configuration), [""; 0]);

    passes(&field("int", json!(4), "less_than", json!(5)));
    fails(&field("int", json!(5), "less_than", json!(5)), &["'5'", "less than 5"]);
    fails(&field("str", json!("x"), "less_than", json!(5)), &["'x'", "less than 5"]);
    passes(&field("float", json!(5.5), "greater_than", json!(5)));
    fails(&field("int", json!(5), "greater_than", json!(5)), &["'5'", "greater than 5"]);
    passes(&field("list", json!("a,b"), "list_type", json!("str")));
    fails(&field("list", json!(["a", 1]), "list_type", json!("str")), &["'1'", "str"]);
    passes(&field("list", json!([1, 2]), "list_type", json!("int")));
    fails(&field("list", json!([1, "b"]), "list_type", json!("int")), &["'b'", "int"]);
    fails(&field("str", json!("a"), "list_type", json!("str")), &["'a'", "list"]);
    passes(&field("list", json!("a,b"), "included_in", json!(["a", "b", "c"])));
    fails(&field("list", json!("a,d"), "included_in", json!(["a", "b"])), &["'d'", "a, b"]);
    passes(&field("float", json!(1), "included_in", json!([1, 2])));
    fails(&field("int", json!(3), "included_in", json!([1, 2])), &["'3'", "1, 2"]);
    passes(&field("str", json!("ab"), "regex", json!("a|ab")));
    fails(&field("str", json!("abc"), "regex", json!("a|ab")), &["'abc'", "a|ab"]);
    fails(&field("int", json!(1), "regex", json!("1")), &["'1'", "text"]);
    fails(&field("str", json!("a"), "regex", json!("(?=a)a")), &["(?=a)a"]);
}

#[test]
fn all_messages_are_joined_and_secrets_are_hidden() {
    let configuration = parse(json!({
        "a": {"label": "A", "value": ""},
        "b": {"label": "B", "sensitive": true, "value": "hunter2", "validations": [{"type": "regex", "constraint": "x"}]},
    }));
    let error = configuration.check_valid().unwrap_err().to_string();
    assert!(error.starts_with("Field validation errors: 'A' cannot be empty.; 'B' is (hidden)"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn an_optional_field_left_empty_has_nothing_to_validate() {
    let configuration = parse(json!({"f": {"type": "int", "required": false, "value": null,
        "validations": [{"type": "less_than", "constraint": 5}]}}));
    assert_eq!(configuration.check_valid(), Ok(()));
    let with_default =
        parse(json!({"f": {"type": "int", "required": false, "value": null, "default_value": 9,
        "validations": [{"type": "less_than", "constraint": 5}]}}));
    assert_eq!(errors(&with_default).len(), 1);
}

#[test]
fn missing_fields_are_those_of_the_defaults() {
    let defaults = raw(json!({"a": {"value": 1}, "b": {"value": 2}, "c": {"value": 3}}));
    let stored = raw(json!({"b": {"value": 7}, "own": {}}));
    let expected = raw(json!({"b": {"value": 7}, "own": {}, "a": {"value": 1}, "c": {"value": 3}}));
    assert_eq!(stored.completed(&defaults), expected);
}

#[test]
fn debug_forms_hide_every_value() {
    let stored = raw(json!({
        "password": {"sensitive": true, "value": "hunter2", "default_value": "hunter2"},
        "bare": "hunter2",
        "unmarked": {"value": "hunter2"},
    }));
    let configuration = Configuration::parse(&stored).unwrap();
    for shown in [format!("{stored:?}"), format!("{configuration:?}"), format!("{configuration:#?}")] {
        assert!(shown.contains("password"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_value_is_set_without_touching_the_definition() {
    let mut stored = raw(json!({"a": {"label": "A", "value": 1}, "bare": "x"}));
    assert!(stored.set_value("a", json!(2)));
    assert!(stored.set_value("bare", json!("y")));
    assert!(!stored.set_value("c", json!(3)));
    assert_eq!(stored, raw(json!({"a": {"label": "A", "value": 2}, "bare": "y"})));
}

#[test]
fn a_simple_configuration_has_every_property() {
    let simple = simple_configuration(
        json!({"my_key": {"type": "int", "value": 3, "future": 1}, "b": {"label": "B"}}).as_object().unwrap(),
    );
    assert_eq!(
        Value::Object(simple.0),
        json!({
            "my_key": {"default_value": null, "depends_on": [], "display": "text", "label": "MY_KEY", "options": [],
                "order": 1, "required": true, "sensitive": false, "tooltip": null, "type": "int", "ui_restrictions": [],
                "validations": [], "value": 3, "future": 1},
            "b": {"default_value": null, "depends_on": [], "display": "text", "label": "B", "options": [],
                "order": 1, "required": true, "sensitive": false, "tooltip": null, "type": "str", "ui_restrictions": [],
                "validations": [], "value": ""},
        })
    );
}

fn simple(value: &Value) -> RawConfiguration {
    simple_configuration(value.as_object().unwrap())
}

#[test]
fn preparing_nothing_writes_everything() {
    let defaults = simple(&json!({"a": {"value": 1}}));
    assert_eq!(prepare(&RawConfiguration::default(), &defaults), Preparation::Initial(defaults.clone()));
    assert_eq!(prepare(&defaults, &defaults), Preparation::Complete);
    let none = RawConfiguration::default();
    assert_eq!(prepare(&none, &none), Preparation::Complete);
}

#[test]
fn preparing_adds_missing_fields_and_updates_definitions_but_never_values() {
    let defaults = simple(&json!({"a": {"label": "New", "value": "default"}, "b": {"value": 2}}));
    let mut stored = simple(&json!({"a": {"label": "Old", "value": "mine"}, "custom": {"value": "kept"}}));
    assert_eq!(
        prepare(&stored, &defaults),
        Preparation::Additions(raw(json!({"a": {"label": "New"}, "b": defaults.0["b"].clone()})))
    );
    // Nothing missing: a changed label is someone's own, and stays.
    stored.0.insert("b".into(), defaults.0["b"].clone());
    assert_eq!(prepare(&stored, &defaults), Preparation::Complete);
}

#[test]
fn preparing_fills_missing_properties_and_wraps_bare_values() {
    let defaults = simple(&json!({"a": {"tooltip": "Why"}, "bare": {"type": "int"}}));
    let mut stored = defaults.clone();
    stored.0["a"].as_object_mut().unwrap().remove("tooltip");
    stored.0.insert("bare".into(), json!("7"));
    let Preparation::Additions(additions) = prepare(&stored, &defaults) else {
        panic!("nothing to add");
    };
    assert_eq!(additions.0["a"], json!({"tooltip": "Why"}));
    assert_eq!(additions.0["bare"]["value"], json!("7"));
    assert_eq!(additions.0["bare"]["type"], json!("int"));
}
