//! What index templates say.

use connectors_transport::Method;
use serde_json::Value;

use crate::client::EsClient;
use crate::error::EsError;
use crate::path::path;

impl EsClient {
    /// What the index templates give an index of this name when it is created: `settings`, `mappings` and `aliases`.
    pub async fn template_of(&self, index: &str) -> Result<Value, EsError> {
        let simulate = |simulation: [&str; 3]| {
            let path = path(simulation);
            async move { self.request(Method::POST, &path, &[], None).await }
        };
        let mut answer = match simulate(["_index_template", "_simulate_index", index]).await {
            // OpenSearch does not try a name that an alias has: it is asked for the template of that name.
            Err(error) if error.status_code() == Some(500) => {
                let all = self.request(Method::GET, "/_index_template", &[], None).await?;
                let Some(name) = best(&all, index) else { return Ok(Value::Null) };
                simulate(["_index_template", "_simulate", name]).await?
            }
            other => other?,
        };
        Ok(answer["template"].take())
    }
}

/// The composable template that an index of this name gets, of the answer to `GET _index_template`: the one with the highest
/// priority among those with a pattern for it.
fn best<'a>(templates: &'a Value, index: &str) -> Option<&'a str> {
    let fits = |template: &&Value| match &template["index_template"]["index_patterns"] {
        Value::Array(patterns) => {
            patterns.iter().filter_map(Value::as_str).any(|pattern| matches(pattern, index))
        }
        Value::String(pattern) => matches(pattern, index),
        _ => false,
    };
    let all = templates["index_templates"].as_array()?;
    let best =
        all.iter().filter(fits).max_by_key(|template| template["index_template"]["priority"].as_u64())?;
    best["name"].as_str()
}

/// Whether a pattern, in which `*` stands for any text, is one for this name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_template_with_a_pattern_for_the_name_and_the_highest_priority_is_the_one() {
        let template = |name: &str, patterns: Value, priority: Value| json!({"name": name, "index_template": {"index_patterns": patterns, "priority": priority}});
        let all = json!({"index_templates": [
            template("none", json!(["search-*"]), json!(null)),
            template("low", json!("search-x*"), json!(5)),
            template("high", json!(["other", "*-xyz"]), json!(10)),
            template("elsewhere", json!(["logs-*"]), json!(99)),
        ]});
        assert_eq!(best(&all, "search-xyz"), Some("high"));
        assert_eq!(best(&all, "search-xy"), Some("low"));
        assert_eq!(best(&all, "search-"), Some("none"));
        assert_eq!(best(&all, "nothing"), None);
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "a", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*b", "ab", false),
            ("a**b", "a-b", true),
            ("*é*", "caféé", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
