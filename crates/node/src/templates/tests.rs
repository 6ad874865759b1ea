use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::error::ApiError;

/// Definitions in memory.
#[derive(Default)]
struct Memory(RefCell<BTreeMap<(String, String), Value>>);

impl TemplateStore for Memory {
    fn list(&self, section: &str) -> Result<Vec<(String, Value)>> {
        let all = self.0.borrow();
        let of = all.iter().filter(|((other, _), _)| other == section);
        Ok(of.map(|((_, name), value)| (name.clone(), value.clone())).collect())
    }

    fn put(&self, section: &str, name: &str, definition: &Value) -> Result<()> {
        self.0.borrow_mut().insert((section.to_owned(), name.to_owned()), definition.clone());
        Ok(())
    }

    fn delete(&self, section: &str, names: &[String]) -> Result<()> {
        for name in names {
            self.0.borrow_mut().remove(&(section.to_owned(), name.clone()));
        }
        Ok(())
    }
}

impl Memory {
    fn load(&self) -> Templates {
        Templates::load(self).unwrap()
    }

    fn index(&self, name: &str, body: &Value) -> Result<()> {
        self.index_at(name, body, 1)
    }

    fn index_at(&self, name: &str, body: &Value, now_ms: i64) -> Result<()> {
        match self.load().put_index(name, body, false, now_ms)? {
            Some(template) => self.put(INDEX_TEMPLATES, name, &template.to_json(true)),
            None => Ok(()),
        }
    }

    fn component(&self, name: &str, body: &Value) -> Result<()> {
        match self.load().put_component(name, body, false, 1)? {
            Some(component) => self.put(COMPONENT_TEMPLATES, name, &component.to_json(true)),
            None => Ok(()),
        }
    }

    fn printed(&self, name: &str) -> Value {
        self.load().index[name].to_json(false)
    }
}

fn refused(result: Result<()>) -> ApiError {
    let error = result.unwrap_err();
    assert_eq!(error.status.as_u16(), 400, "{error}");
    error
}

#[test]
fn a_template_is_printed_as_elasticsearch_does_and_survives_saving() {
    let store = Memory::default();
    store
        .index(
            "t",
            &json!({
                "index_patterns": "logs-*",
                "priority": "12",
                "version": 4,
                "_meta": {},
                "allow_auto_create": "true",
                "template": {
                    "settings": {
                        "number_of_replicas": 0,
                        "index.codec": null,
                        "index": { "analysis": { "filter": { "f": { "type": "stop", "stopwords": ["a", 1] } } } },
                    },
                    "mappings": { "_doc": { "dynamic": false, "properties": { "o.a": { "type": "long" } } } },
                    "aliases": { "all": { "routing": "r", "filter": { "term": { "a": 1 } } } },
                },
            }),
        )
        .unwrap();
    assert_eq!(
        store.printed("t"),
        json!({
            "index_patterns": ["logs-*"],
            "template": {
                "settings": { "index": {
                    "analysis": { "filter": { "f": { "type": "stop", "stopwords": ["a", "1"] } } },
                    "codec": null,
                    "number_of_replicas": "0",
                } },
                "mappings": { "dynamic": false, "properties": { "o.a": { "type": "long" } } },
                "aliases": { "all": {
                    "filter": { "term": { "a": 1 } }, "index_routing": "r", "search_routing": "r",
                } },
            },
            "composed_of": [],
            "priority": 12,
            "version": 4,
            "_meta": {},
            "allow_auto_create": true,
            "created_date_millis": 1,
            "modified_date_millis": 1,
        })
    );
    // Empty parts are told from absent ones, and a flat print is one of full names.
    store
        .index("t", &json!({ "index_patterns": ["x"], "template": { "settings": {}, "mappings": {} } }))
        .unwrap();
    assert_eq!(store.printed("t")["template"], json!({ "settings": {} }));
    store
        .index("t", &json!({ "index_patterns": ["x"], "template": { "settings": { "hidden": true } } }))
        .unwrap();
    assert_eq!(
        store.load().index["t"].to_json(true)["template"],
        json!({ "settings": { "index.hidden": "true" } })
    );
}

#[test]
fn dates_say_when_a_definition_was_made_and_last_changed() {
    let store = Memory::default();
    let dates = |store: &Memory| {
        let printed = store.printed("t");
        (printed["created_date_millis"].as_i64().unwrap(), printed["modified_date_millis"].as_i64().unwrap())
    };
    store.index_at("t", &json!({ "index_patterns": ["a"] }), 5).unwrap();
    assert_eq!(dates(&store), (5, 5));
    store.index_at("t", &json!({ "index_patterns": ["a"] }), 7).unwrap();
    assert_eq!(dates(&store), (5, 5), "the same again is no change");
    store.index_at("t", &json!({ "index_patterns": ["b"] }), 9).unwrap();
    assert_eq!(dates(&store), (5, 9));
    let load = store.load();
    let error = load.put_index("t", &json!({ "index_patterns": ["b"] }), true, 9).unwrap_err();
    assert_eq!(error.reason, "index template [t] already exists");
}

#[test]
fn bodies_that_cannot_be_read_are_refused_in_elasticsearchs_words() {
    let store = Memory::default();
    let parse = |body: &Value| refused(store.index("t", body));
    for (body, kind, reason) in [
        (json!({}), "illegal_argument_exception", "Required [index_patterns]"),
        (
            json!({ "index_patterns": [] }),
            "illegal_argument_exception",
            "There must be at least one pattern, zero given",
        ),
        (
            json!([]),
            "x_content_parse_exception",
            "[index_template] Expected START_OBJECT but was: START_ARRAY",
        ),
        (
            json!({ "index_patterns": ["a"], "wrong": 1 }),
            "x_content_parse_exception",
            "[index_template] unknown field [wrong]",
        ),
        (
            json!({ "index_patterns": null }),
            "x_content_parse_exception",
            "[index_template] index_patterns doesn't support values of type: VALUE_NULL",
        ),
        (
            json!({ "index_patterns": ["a"], "template": 1 }),
            "x_content_parse_exception",
            "[index_template] template doesn't support values of type: VALUE_NUMBER",
        ),
        (
            json!({ "index_patterns": ["a"], "priority": -1 }),
            "action_request_validation_exception",
            "Validation Failed: 1: index template priority must be >= 0;",
        ),
        (
            json!({ "index_patterns": ["_a", "b:c"] }),
            "invalid_index_template_exception",
            "index_template [t] invalid, cause [Validation Failed: 1: index_pattern [_a] must not start with '_';2: \
             index_pattern [b:c] must not contain a ':';]",
        ),
        (
            json!({ "index_patterns": ["a"], "template": { "settings": { "foo": 1, "number_of_shards": -1 } } }),
            "invalid_index_template_exception",
            "index_template [t] invalid, cause [Validation Failed: 1: unknown setting [index.foo] please check that any \
             required plugins are installed, or check the breaking changes documentation for removed settings;2: Failed \
             to parse value [-1] for setting [index.number_of_shards] must be >= 1;]",
        ),
        (
            json!({ "index_patterns": ["*"], "template": { "settings": { "hidden": true } } }),
            "action_request_validation_exception",
            "Validation Failed: 1: global composable templates may not specify the setting index.hidden;",
        ),
    ] {
        let error = parse(&body);
        assert_eq!((error.kind, error.reason.as_str()), (kind, reason));
    }
    let error = parse(&json!({ "index_patterns": ["a"], "template": { "wrong": 1 } }));
    assert_eq!(error.reason, "[index_template] failed to parse field [template]");
    assert_eq!(error.body()["error"]["root_cause"][0]["reason"], "[template] unknown field [wrong]");
    let error = parse(&json!({ "index_patterns": ["a"], "version": "x" }));
    assert_eq!(error.reason, "[index_template] failed to parse field [version]");
    assert_eq!(error.extra["caused_by"]["reason"], "For input string: \"x\"");
    assert!(parse(&json!({ "index_patterns": ["a"], "data_stream": {} })).reason.contains("data_stream"));
    let aliases = json!({ "a": { "index_routing": "1,2" } });
    assert_eq!(
        parse(&json!({ "index_patterns": ["a"], "template": { "aliases": aliases } })).reason,
        "alias [a] has several index routing values associated with it"
    );
    assert_eq!(refused(store.component("c", &json!({}))).reason, "Required [template]");
    assert_eq!(
        refused(store.component("C c", &json!({ "template": {} }))).reason,
        "index_template [C c] invalid, cause [Validation Failed: 1: name must not contain a space;2: name must be lower \
         cased;]"
    );
}

#[test]
fn the_highest_priority_applies_and_equal_ones_are_refused() {
    let store = Memory::default();
    store.index("low", &json!({ "index_patterns": ["p-*"] })).unwrap();
    store.index("high", &json!({ "index_patterns": ["p-x*", "q"], "priority": 2 })).unwrap();
    store.index("all", &json!({ "index_patterns": ["*"], "priority": 1 })).unwrap();
    let templates = store.load();
    let name = |index: &str, hidden| templates.matching(index, hidden).map(|(name, _)| name);
    assert_eq!(name("p-x1", false), Some("high"));
    assert_eq!(name("p-1", false), Some("all"));
    assert_eq!(name("p-1", true), Some("low"), "a pattern for everything leaves hidden indexes alone");
    assert_eq!(name("z", true), None);
    assert_eq!(
        refused(store.index("other", &json!({ "index_patterns": ["a", "p-xy"], "priority": 2 }))).reason,
        "index template [other] has index patterns [a, p-xy] matching patterns from existing templates [high] with \
         patterns (high => [p-x*, q]) that have the same priority [2], multiple index templates may not match during \
         index creation, please use a different priority"
    );
}

#[test]
fn later_parts_win() {
    let store = Memory::default();
    store
        .component(
            "c1",
            &json!({ "template": {
                "settings": { "number_of_replicas": 0, "refresh_interval": "5s" },
                "mappings": { "properties": { "a": { "type": "keyword" }, "b": { "type": "keyword" } } },
                "aliases": { "x": { "routing": "1" }, "{index}-now": {} },
            } }),
        )
        .unwrap();
    store
        .component(
            "c2",
            &json!({ "template": { "mappings": { "properties": { "b": { "type": "long" } } }, "aliases": { "x": {} } } }),
        )
        .unwrap();
    store
        .index(
            "t",
            &json!({
                "index_patterns": ["logs-*"],
                "composed_of": ["c1", "c2", "later"],
                "ignore_missing_component_templates": ["later"],
                "template": { "settings": { "index.refresh_interval": "7s" } },
            }),
        )
        .unwrap();
    let templates = store.load();
    let (_, template) = templates.matching("logs-1", false).unwrap();
    let mut composed = templates.compose(template).for_index("logs-1");
    let request =
        json!({ "settings": { "number_of_replicas": null }, "mappings": { "date_detection": false } });
    composed.overlay(&Template::parse(&request).unwrap());
    assert_eq!(
        json!(composed.settings),
        json!({ "index.number_of_replicas": null, "index.refresh_interval": "7s" })
    );
    assert_eq!(
        Value::Object(composed.mappings.unwrap()),
        json!({
            "properties": { "a": { "type": "keyword" }, "b": { "type": "long" } },
            "date_detection": false,
        })
    );
    let names: Vec<&str> = composed.aliases.keys().map(String::as_str).collect();
    assert_eq!(names, ["logs-1-now", "x"]);
    assert_eq!(composed.aliases["x"].index_routing, None, "an alias is replaced as a whole");
}

#[test]
fn parts_must_go_together() {
    let store = Memory::default();
    let error = refused(store.index("t", &json!({ "index_patterns": ["a"], "composed_of": ["c", "d"] })));
    assert_eq!(error.kind, "invalid_index_template_exception");
    assert_eq!(
        error.reason,
        "index_template [t] invalid, cause [index template [t] specifies component templates [c, d] that do not exist]"
    );
    let nonsense = json!({ "mappings": { "properties": { "a": { "type": "nonsense" } } } });
    let error = refused(store.index("t", &json!({ "index_patterns": ["a"], "template": nonsense })));
    assert_eq!(error.reason, "composable template [t] template after composition is invalid");
    let cause = &error.extra["caused_by"];
    assert_eq!(cause["reason"], "invalid composite mappings for [t]");
    assert!(
        cause["caused_by"]["reason"]
            .as_str()
            .unwrap()
            .starts_with("Failed to parse mapping: The mapper type")
    );
    let error = refused(store.component("c", &json!({ "template": nonsense })));
    assert_eq!(error.kind, "mapper_parsing_exception");

    let filter = json!({ "aliases": { "x": { "filter": { "nosuch": {} } } } });
    store.component("c", &json!({ "template": filter })).unwrap();
    let error = refused(store.index("t", &json!({ "index_patterns": ["a"], "composed_of": ["c"] })));
    assert_eq!(error.extra["caused_by"]["reason"], "failed to parse filter for alias [x]");

    // A component that some template uses can neither break it nor go.
    store
        .component(
            "c",
            &json!({ "template": { "mappings": { "properties": { "a": { "type": "keyword" } } } } }),
        )
        .unwrap();
    let alias = json!({ "mappings": { "properties": { "al": { "type": "alias", "path": "a" } } } });
    store.index("t", &json!({ "index_patterns": ["a"], "composed_of": ["c"], "template": alias })).unwrap();
    let error = refused(store.component("c", &json!({ "template": {} })));
    assert_eq!(
        error.reason,
        "updating component template [c] results in invalid composable template [t] after templates are merged"
    );
    assert_eq!(
        store.load().deleted_components("c*").unwrap_err().reason,
        "component templates [c] cannot be removed as they are still in use by index templates [t]"
    );
    store
        .index(
            "all",
            &json!({ "index_patterns": ["*"], "composed_of": ["h"], "priority": 3,
        "ignore_missing_component_templates": ["h"] }),
        )
        .unwrap();
    let error = refused(store.component("h", &json!({ "template": { "settings": { "hidden": true } } })));
    assert_eq!(
        error.reason,
        "cannot update component template [h] because the following global templates would resolve to specifying the \
         [index.hidden] setting: [all]"
    );
    store.component("h", &json!({ "template": {} })).unwrap();
    assert_eq!(store.load().deleted_components("h").unwrap(), ["h"], "it may be missing, so it may go");
}

#[test]
fn names_and_patterns_find_and_delete() {
    let store = Memory::default();
    for name in ["a1", "a2", "b"] {
        store.component(name, &json!({ "template": {} })).unwrap();
        store.index(name, &json!({ "index_patterns": [name] })).unwrap();
    }
    let templates = store.load();
    let found = |name: Option<&str>| {
        templates.find_index(name).map(|found| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
    };
    assert_eq!(found(None).unwrap(), ["a1", "a2", "b"]);
    assert_eq!(found(Some("a*")).unwrap(), ["a1", "a2"]);
    assert!(found(Some("z*")).unwrap().is_empty());
    assert_eq!(found(Some("z")).unwrap_err().reason, "index template matching [z] not found");
    assert_eq!(found(Some("a1,b")).unwrap_err().reason, "template name may not contain ','");
    assert_eq!(
        templates.find_components(Some("a1,z")).unwrap_err().reason,
        "component template matching [a1,z] not found"
    );
    assert_eq!(templates.deleted_index("a*").unwrap(), ["a1", "a2"]);
    assert_eq!(templates.deleted_index("b,a1").unwrap(), ["b", "a1"]);
    let error = templates.deleted_index("a1,z,a*").unwrap_err();
    assert_eq!((error.status.as_u16(), error.reason.as_str()), (404, "index_template [z,a*] missing"));
    assert_eq!(templates.deleted_components("z*").unwrap_err().reason, "z*");
    let names = templates.deleted_index("*").unwrap();
    store.delete(INDEX_TEMPLATES, &names).unwrap();
    assert!(store.load().deleted_index("*").unwrap().is_empty());
}

#[test]
fn simulations_show_what_would_be() {
    let store = Memory::default();
    store.component("c", &json!({ "template": { "settings": { "number_of_replicas": 0 } } })).unwrap();
    store
        .index(
            "t",
            &json!({
                "index_patterns": ["x*"], "priority": 5, "composed_of": ["c"],
                "template": { "mappings": { "dynamic": false, "properties": { "o.a": { "type": "long" } } } },
            }),
        )
        .unwrap();
    store.index("other", &json!({ "index_patterns": ["*1"] })).unwrap();
    let templates = store.load();
    let tier = json!({ "routing": { "allocation": { "include": { "_tier_preference": "data_content" } } } });
    let expected = json!({
        "template": {
            "settings": { "index": { "number_of_replicas": "0", "routing": &tier["routing"] } },
            "mappings": { "dynamic": "false", "properties": { "o": { "properties": { "a": { "type": "long" } } } } },
            "aliases": {},
        },
        "overlapping": [{ "name": "other", "index_patterns": ["*1"] }],
    });
    assert_eq!(templates.simulate_index("x1", None).unwrap(), expected);
    assert_eq!(templates.simulate(Some("t"), None, false).unwrap(), expected);
    assert_eq!(templates.simulate_index("z", None).unwrap(), json!({}));
    let body = json!({ "index_patterns": ["x*"], "priority": 6 });
    let simulated = templates.simulate_index("x1", Some(&body)).unwrap();
    assert_eq!(simulated["template"], json!({ "settings": { "index": tier }, "aliases": {} }));
    assert_eq!(simulated["overlapping"].as_array().unwrap().len(), 2);
    assert_eq!(templates.simulate(None, Some(&body), false).unwrap(), simulated);
    let reason = |name, body, create| templates.simulate(name, body, create).unwrap_err().reason;
    assert_eq!(reason(Some("no"), None, false), "unable to simulate template [no] that does not exist");
    assert!(reason(None, None, false).contains("must be specified for simulation"));
    assert_eq!(reason(Some("t"), Some(&body), true), "index template [t] already exists");
}
