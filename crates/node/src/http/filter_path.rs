//! `?filter_path=`: which members of an answer are sent.

use serde_json::{Map, Value};

use crate::mapping::simple_match;

/// Compiled patterns: `a.b`, `*` within a name, `**` for any depth, `-` in front to leave out. Arrays are looked through.
#[derive(Debug, Default)]
pub(super) struct FilterPath {
    include: Vec<Vec<String>>,
    exclude: Vec<Vec<String>>,
}

impl FilterPath {
    pub(super) fn parse(text: &str) -> Self {
        let mut filter = Self::default();
        for pattern in text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
            match pattern.strip_prefix('-') {
                Some(rest) => filter.exclude.push(split(rest)),
                None => filter.include.push(split(pattern)),
            }
        }
        filter
    }

    pub(super) fn apply(&self, value: Value) -> Value {
        let kept = if self.include.is_empty() {
            Some(value)
        } else {
            let states: Vec<&[String]> = self.include.iter().map(Vec::as_slice).collect();
            include(value, &states)
        };
        let Some(mut kept) = kept else { return Value::Object(Map::new()) };
        if !self.exclude.is_empty() {
            let states: Vec<&[String]> = self.exclude.iter().map(Vec::as_slice).collect();
            exclude(&mut kept, &states);
        }
        kept
    }
}

/// Splits at dots that are not escaped with a backslash.
fn split(pattern: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                if let (Some(next), Some(part)) = (chars.next(), parts.last_mut()) {
                    part.push(next);
                }
            }
            '.' => parts.push(String::new()),
            other => {
                if let Some(part) = parts.last_mut() {
                    part.push(other);
                }
            }
        }
    }
    parts
}

/// What is left of each pattern after `name`; `None` = the pattern ended here, so the whole member matches.
fn advance<'a>(states: &[&'a [String]], name: &str) -> Option<Vec<&'a [String]>> {
    let mut next = Vec::new();
    for state in states {
        let (first, rest) = state.split_first()?;
        if first == "**" {
            next.push(*state);
            match rest.split_first() {
                None => return None,
                Some((after, tail)) if simple_match(after, name) => {
                    if tail.is_empty() {
                        return None;
                    }
                    next.push(tail);
                }
                Some(_) => {}
            }
        } else if simple_match(first, name) {
            if rest.is_empty() {
                return None;
            }
            next.push(rest);
        }
    }
    Some(next)
}

fn include(value: Value, states: &[&[String]]) -> Option<Value> {
    match value {
        Value::Object(object) => {
            let kept: Map<String, Value> = object
                .into_iter()
                .filter_map(|(name, member)| match advance(states, &name) {
                    None => Some((name, member)),
                    Some(next) if next.is_empty() => None,
                    Some(next) => include(member, &next).map(|member| (name, member)),
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept: Vec<Value> = items.into_iter().filter_map(|item| include(item, states)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

fn exclude(value: &mut Value, states: &[&[String]]) {
    match value {
        Value::Object(object) => {
            object.retain(|name, member| match advance(states, name) {
                None => false,
                Some(next) => {
                    if !next.is_empty() {
                        exclude(member, &next);
                    }
                    true
                }
            });
        }
        Value::Array(items) => items.iter_mut().for_each(|item| exclude(item, states)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::FilterPath;
    use crate::mapping::simple_match;

    fn filtered(pattern: &str) -> Value {
        let answer = json!({
            "took": 1,
            "hits": { "total": 2, "hits": [{ "_id": "1", "_source": { "a": 1 } }, { "_id": "2", "_source": { "b": 2 } }] },
            "nodes.list": [1],
        });
        FilterPath::parse(pattern).apply(answer)
    }

    #[test]
    fn keeps_and_leaves_out_by_path() {
        assert_eq!(filtered("took"), json!({ "took": 1 }));
        assert_eq!(
            filtered("hits.hits._id"),
            json!({ "hits": { "hits": [{ "_id": "1" }, { "_id": "2" }] } })
        );
        assert_eq!(filtered("**.a"), json!({ "hits": { "hits": [{ "_source": { "a": 1 } }] } }));
        assert_eq!(filtered("h*.t*l,took"), json!({ "took": 1, "hits": { "total": 2 } }));
        assert_eq!(filtered("hits,-hits.hits,-**.total"), json!({ "hits": {} }));
        assert_eq!(filtered("-hits,-took"), json!({ "nodes.list": [1] }));
        assert_eq!(filtered(r"nodes\.list"), json!({ "nodes.list": [1] }));
        assert_eq!(filtered("nope"), json!({}));
    }

    #[test]
    fn patterns_match_runs_of_characters() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*a", "ab", false),
            ("a*c", "abbc", true),
            ("a*a", "a", false),
            ("*é*", "caféx", true),
            ("a*b*c", "a-c-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**", "x", true),
        ] {
            assert_eq!(simple_match(pattern, text), expected, "{pattern} {text}");
        }
        let text = "a".repeat(50_000);
        assert!(!simple_match(&format!("{}b", "a*".repeat(1000)), &text));
    }
}
