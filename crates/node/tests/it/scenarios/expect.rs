//! Compares an answer with what a step expects.

use serde_json::{Map, Value};

/// Follows a path such as `hits.hits.0._id`; a dot inside a key is written `\.`, the empty path is the whole value.
pub fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    if path.is_empty() {
        return Some(value);
    }
    let escaped = path.replace("\\.", "\u{0}");
    escaped.split('.').try_fold(value, |value, key| match value {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        other => other.get(key.replace('\u{0}', ".")),
    })
}

/// Collects the differences between `expected` and `got`.
///
/// A map expects at least its keys (in any order; with `exact` no others), a list its elements one by one, a scalar
/// itself. A map with one key that starts with `$` is a matcher: `$re` (regular expression over a string or number),
/// `$len`, `$type` (`string`, `number`, `integer`, `float`, `boolean`, `array`, `object`, `null`), `$near` (number,
/// within 1e-5 of it relatively), `$gte`, `$lte`, `$absent`, `$not`, `$unordered` (list in any order), `$exact` (no
/// further keys below), `$contains` (some element matches), `$any` (one of these).
pub fn compare(expected: &Value, got: Option<&Value>, exact: bool, path: &str, failures: &mut Vec<String>) {
    let mut fail = |what: &str| {
        let got = got.map_or("nothing".to_owned(), ToString::to_string);
        failures.push(format!("at `{path}`: expected {what}, got {got}"));
    };
    if let Some((matcher, argument)) = matcher(expected) {
        return matches(matcher, argument, got, exact, path, failures);
    }
    let Some(value) = got else { return fail(&expected.to_string()) };
    match (expected, value) {
        (Value::Object(expected), Value::Object(value)) => {
            for (key, expected) in expected {
                compare(expected, value.get(key), exact, &join(path, key), failures);
            }
            if exact {
                for key in value.keys().filter(|key| !expected.contains_key(*key)) {
                    failures.push(format!("at `{}`: unexpected {}", join(path, key), value[key]));
                }
            }
        }
        (Value::Array(expected), Value::Array(value)) => {
            if expected.len() != value.len() {
                return fail(&format!("{} elements", expected.len()));
            }
            for (n, (expected, value)) in expected.iter().zip(value).enumerate() {
                compare(expected, Some(value), exact, &join(path, &n.to_string()), failures);
            }
        }
        (expected, value) if expected == value => {}
        (expected, _) => fail(&expected.to_string()),
    }
}

fn matches(
    matcher: &str,
    argument: &Value,
    got: Option<&Value>,
    exact: bool,
    path: &str,
    failures: &mut Vec<String>,
) {
    let ok = |expected: &Value, got: Option<&Value>, exact: bool| {
        let mut inner = Vec::new();
        compare(expected, got, exact, path, &mut inner);
        inner.is_empty()
    };
    let number = || got.and_then(Value::as_f64);
    let limit = || argument.as_f64().unwrap_or_else(|| panic!("{path}: {matcher} needs a number"));
    let list = || argument.as_array().unwrap_or_else(|| panic!("{path}: {matcher} needs a list"));
    let passed = match matcher {
        "$exact" => return compare(argument, got, true, path, failures),
        "$absent" => got.is_none() == (argument == &Value::Bool(true)),
        "$not" => !ok(argument, got, exact),
        "$any" => list().iter().any(|one| ok(one, got, exact)),
        "$re" => {
            let pattern = argument.as_str().unwrap_or_else(|| panic!("{path}: $re needs text"));
            let pattern = regex::Regex::new(pattern).unwrap_or_else(|e| panic!("{path}: {e}"));
            match got {
                Some(Value::String(text)) => pattern.is_match(text),
                Some(Value::Number(number)) => pattern.is_match(&number.to_string()),
                _ => false,
            }
        }
        "$len" => {
            let length = match got {
                Some(Value::Array(list)) => Some(list.len()),
                Some(Value::Object(map)) => Some(map.len()),
                Some(Value::String(text)) => Some(text.chars().count()),
                _ => None,
            };
            length.is_some_and(|length| Some(length as u64) == argument.as_u64())
        }
        "$type" => match (argument.as_str(), got) {
            (Some("string"), Some(Value::String(_)))
            | (Some("number"), Some(Value::Number(_)))
            | (Some("boolean"), Some(Value::Bool(_)))
            | (Some("array"), Some(Value::Array(_)))
            | (Some("object"), Some(Value::Object(_)))
            | (Some("null"), Some(Value::Null)) => true,
            (Some("integer"), Some(Value::Number(n))) => !n.is_f64(),
            (Some("float"), Some(Value::Number(n))) => n.is_f64(),
            _ => false,
        },
        "$near" => number().is_some_and(|n| (n - limit()).abs() <= 1e-5 * limit().abs().max(1e-9)),
        "$gte" => number().is_some_and(|n| n >= limit()),
        "$lte" => number().is_some_and(|n| n <= limit()),
        "$contains" => {
            got.and_then(Value::as_array).is_some_and(|l| l.iter().any(|v| ok(argument, Some(v), exact)))
        }
        "$unordered" => got.and_then(Value::as_array).is_some_and(|got| {
            let mut left: Vec<&Value> = got.iter().collect();
            let all = list().iter().all(|expected| {
                let found = left.iter().position(|value| ok(expected, Some(value), exact));
                found.map(|n| left.remove(n)).is_some()
            });
            all && left.is_empty()
        }),
        other => panic!("{path}: unknown matcher {other}"),
    };
    if !passed {
        let got = got.map_or("nothing".to_owned(), ToString::to_string);
        failures.push(format!("at `{path}`: expected {matcher} {argument}, got {got}"));
    }
}

fn matcher(expected: &Value) -> Option<(&str, &Value)> {
    let map = expected.as_object().filter(|map| map.len() == 1)?;
    map.iter().next().filter(|(key, _)| key.starts_with('$')).map(|(key, value)| (key.as_str(), value))
}

fn join(path: &str, key: &str) -> String {
    let key = key.replace('.', "\\.");
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// Replaces `${name}` by stored values: a string that is nothing but a placeholder takes the value's own type.
pub fn fill(value: &Value, stored: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => {
            let whole =
                text.strip_prefix("${").and_then(|t| t.strip_suffix('}')).and_then(|name| stored.get(name));
            whole.cloned().unwrap_or_else(|| fill_text(text, stored).into())
        }
        Value::Array(list) => list.iter().map(|v| fill(v, stored)).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), fill(v, stored))).collect(),
        other => other.clone(),
    }
}

/// Replaces `${name}` inside text.
pub fn fill_text(text: &str, stored: &Map<String, Value>) -> String {
    stored.iter().fold(text.to_owned(), |text, (name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.replace(&format!("${{{name}}}"), &value)
    })
}

/// The judge is judged too: an expectation that is not met must be reported.
#[test]
fn unmet_expectations_are_reported() {
    use serde_json::json;

    let got = json!({ "a": 1, "f": 1.0, "s": "text", "l": [1, 2, 3], "o": { "x": { "y": null } } });
    let count = |expected: Value, exact: bool| {
        let mut failures = Vec::new();
        compare(&expected, Some(&got), exact, "", &mut failures);
        failures.len()
    };
    for met in [
        json!({ "a": 1 }),
        json!({ "a": { "$type": "integer" }, "f": { "$near": 1.000_000_1 }, "b": { "$absent": true } }),
        json!({ "s": { "$re": "^t.xt$" }, "l": { "$len": 3 }, "o": { "x": { "y": null } } }),
        json!({ "l": { "$unordered": [3, 1, 2] }, "s": { "$any": ["x", "text"] }, "a": { "$not": 2 } }),
        json!({ "l": { "$contains": 2 }, "a": { "$gte": 1 }, "f": { "$lte": 1 } }),
        json!({ "o": { "$exact": { "x": { "y": null } } } }),
    ] {
        assert_eq!(count(met.clone(), false), 0, "{met}");
    }
    for unmet in [
        json!({ "a": 1.0 }),
        json!({ "f": 1 }),
        json!({ "a": "1" }),
        json!({ "b": null }),
        json!({ "a": { "$absent": true } }),
        json!({ "l": [1, 2] }),
        json!({ "l": [1, 3, 2] }),
        json!({ "l": { "$unordered": [1, 2] } }),
        json!({ "l": { "$unordered": [1, 1, 2] } }),
        json!({ "l": { "$contains": 4 } }),
        json!({ "l": { "$len": 2 } }),
        json!({ "s": { "$re": "^x" } }),
        json!({ "s": { "$any": ["x", "y"] } }),
        json!({ "s": { "$not": "text" } }),
        json!({ "f": { "$near": 1.01 } }),
        json!({ "f": { "$type": "integer" } }),
        json!({ "a": { "$gte": 2 } }),
        json!({ "a": { "$lte": 0 } }),
        json!({ "o": { "$exact": { "x": {} } } }),
        json!({ "missing": { "deep": { "$re": "." } } }),
    ] {
        assert_ne!(count(unmet.clone(), false), 0, "{unmet}");
    }
    assert_ne!(count(json!({ "a": 1 }), true), 0, "exact allows no further keys");
    assert_eq!(at(&json!({ "a.b": [{ "c": 5 }] }), "a\\.b.0.c"), Some(&json!(5)));
}
