//! Types that a user gave fields: below what an index template says, above what a source knows.

use serde_json::{Map, Value, json};

/// Puts the user's types into the body of a request that makes an index, as far as the template says nothing of the field.
/// A template that decides how fields are mapped decides it for those that nobody names.
pub(crate) fn put(mut body: Value, template: &Value, own: &Map<String, Value>) -> Value {
    let own = undecided(own, &template["mappings"]["properties"]);
    if own.is_empty() {
        return body;
    }
    let mut properties = match body["mappings"]["properties"].take() {
        Value::Object(properties) => properties,
        _ => Map::new(),
    };
    overlay(&mut properties, own);
    body["mappings"]["properties"] = json!(properties);
    body
}

/// The fields of which a template says nothing.
fn undecided(own: &Map<String, Value>, decided: &Value) -> Map<String, Value> {
    let mut left = Map::new();
    for (name, definition) in own {
        let Some(theirs) = decided.get(name) else {
            left.insert(name.clone(), definition.clone());
            continue;
        };
        // Of an object, a template may name some fields.
        if let (Some(fields), true) = (definition["properties"].as_object(), theirs["properties"].is_object())
        {
            let fields = undecided(fields, &theirs["properties"]);
            if !fields.is_empty() {
                left.insert(name.clone(), json!({ "properties": fields }));
            }
        }
    }
    left
}

/// Puts fields over others. Of objects on both sides, the fields are put over each other.
fn overlay(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, mut definition) in over {
        if let Some(Value::Object(fields)) =
            under.get_mut(&name).and_then(|there| there.get_mut("properties"))
            && let Some(Value::Object(own)) = definition.get_mut("properties").map(Value::take)
        {
            let mut fields = std::mem::take(fields);
            overlay(&mut fields, own);
            definition["properties"] = Value::Object(fields);
        }
        under.insert(name, definition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Map<String, Value> {
        let own = json!({
            "at": {"type": "date"},
            "by": {"type": "nested", "properties": {"name": {"type": "keyword"}, "mail": {"type": "keyword"}}},
        });
        own.as_object().cloned().unwrap()
    }

    #[test]
    fn the_user_overrules_the_source() {
        let known = json!({"mappings": {"properties": {
            "id": {"type": "keyword"}, "at": {"type": "long"},
            "by": {"properties": {"name": {"type": "text"}, "age": {"type": "long"}}},
        }}});
        let all = json!({"mappings": {"properties": {
            "id": {"type": "keyword"}, "at": {"type": "date"},
            "by": {"type": "nested", "properties": {
                "name": {"type": "keyword"}, "mail": {"type": "keyword"}, "age": {"type": "long"},
            }},
        }}});
        assert_eq!(put(known.clone(), &Value::Null, &own()), all);
        assert_eq!(put(known.clone(), &Value::Null, &Map::new()), known);
    }

    #[test]
    fn a_template_overrules_the_user_in_what_it_names() {
        let template = json!({"mappings": {"dynamic": "strict", "properties": {
            "at": {"type": "long"}, "by": {"properties": {"name": {"type": "text"}}},
        }}});
        assert_eq!(
            put(json!({}), &template, &own()),
            json!({"mappings": {"properties": {"by": {"properties": {"mail": {"type": "keyword"}}}}}})
        );
        let all = json!({"mappings": {"properties": {"at": {}, "by": {"type": "flattened"}}}});
        assert_eq!(put(json!({}), &all, &own()), json!({}));
    }
}
