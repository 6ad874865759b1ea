//! Document level security: what an access control document holds.

use serde_json::{Value, json};

/// The field `query` of the access control document of somebody with these identities: a template of a query that finds the
/// documents which name one of them in `_allow_access_control`, and those that name nobody at all, which are open to
/// everybody. An application puts it into the role of that person's API key
/// (<https://www.elastic.co/docs/reference/search-connectors/es-dls-e2e-guide>).
pub fn access_control_query(identities: &[String]) -> Value {
    let source = r#"{"bool":{"should":[{"bool":{"must_not":{"exists":{"field":"_allow_access_control"}}}},{"terms":{"_allow_access_control.keyword":{{#toJson}}access_control{{/toJson}}}}]}}"#;
    json!({"template": {"params": {"access_control": identities}, "source": source}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_json_once_the_identities_are_filled_in() {
        let query = access_control_query(&["user:1".to_owned(), "everyone".to_owned()]);
        let template = &query["template"];
        let filled = template["source"].as_str().unwrap().replace(
            "{{#toJson}}access_control{{/toJson}}",
            &template["params"]["access_control"].to_string(),
        );
        let query: Value = serde_json::from_str(&filled).unwrap();
        let should = &query["bool"]["should"];
        assert_eq!(should[0]["bool"]["must_not"]["exists"]["field"], "_allow_access_control");
        assert_eq!(should[1]["terms"]["_allow_access_control.keyword"], json!(["user:1", "everyone"]));
    }
}
