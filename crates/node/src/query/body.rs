//! Reading the JSON of clauses: each member is asked for once, what nobody asked for is refused.

use serde_json::{Map, Value};

use crate::error::{ApiError, Result};

/// The members of a clause.
#[derive(Debug)]
pub struct Body<'a> {
    query: &'static str,
    members: &'a Map<String, Value>,
    asked: Vec<&'static str>,
}

impl<'a> Body<'a> {
    /// The body of `query`, which must be an object.
    pub fn of(query: &'static str, value: &'a Value) -> Result<Self> {
        let Some(members) = value.as_object() else {
            return Err(ApiError::parsing(format!(
                "[{query}] query malformed, no start_object after query name"
            )));
        };
        Ok(Self { query, members, asked: Vec::new() })
    }

    /// Name of the clause.
    pub fn query(&self) -> &'static str {
        self.query
    }

    /// The member `key`, `null` counting as absent.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.push(key);
        self.members.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, value: &Value, wanted: &str) -> ApiError {
        ApiError::parsing(format!("[{}] query: [{key}] must be {wanted}, found [{value}]", self.query))
    }

    /// A string; numbers and booleans are taken as their text.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => text(value).map(Some).ok_or_else(|| self.wrong(key, value, "a string")),
        }
    }

    /// A boolean, as such or as text.
    pub fn boolean(&mut self, key: &'static str) -> Result<Option<bool>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(Value::String(text)) => Err(ApiError::illegal_argument(format!(
                "Failed to parse value [{text}] as only [true] or [false] are allowed."
            ))),
            Some(value) => Err(self.wrong(key, value, "a boolean")),
        }
    }

    /// A number, as such or as text.
    pub fn number(&mut self, key: &'static str) -> Result<Option<f64>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.wrong(key, value, "a number"))
    }

    /// A whole number of at least 0.
    pub fn count(&mut self, key: &'static str) -> Result<Option<u32>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.wrong(key, value, "a whole number of at least 0"))
    }

    /// A string or a list of strings.
    pub fn texts(&mut self, key: &'static str) -> Result<Option<Vec<String>>> {
        match self.take(key) {
            None => Ok(None),
            Some(value @ Value::Array(items)) => items
                .iter()
                .map(|item| text(item).ok_or_else(|| self.wrong(key, value, "a list of strings")))
                .collect::<Result<Vec<_>>>()
                .map(Some),
            Some(value) => {
                Ok(Some(vec![text(value).ok_or_else(|| self.wrong(key, value, "a list of strings"))?]))
            }
        }
    }

    /// `boost`, 1 when absent; `_name` is refused here, because hits do not tell `matched_queries`.
    pub fn boost(&mut self) -> Result<f32> {
        if self.take("_name").is_some() {
            return Err(ApiError::parsing(format!(
                "[{}] query: [_name] is not supported by this node: hits have no matched_queries",
                self.query
            )));
        }
        let boost = self.number("boost")?.unwrap_or(1.0);
        if boost < 0.0 {
            return Err(ApiError::illegal_argument(format!(
                "negative [boost] are not allowed in [{boost}], use a value between 0 and 1 to deboost"
            )));
        }
        #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
        Ok(boost as f32)
    }

    /// Refuses the members nobody asked for.
    pub fn finish(self) -> Result<()> {
        match self.members.keys().find(|key| !self.asked.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(ApiError::parsing(format!("[{}] query does not support [{key}]", self.query))),
        }
    }

    /// As [`Body::finish`], in the words of the clauses that Elasticsearch parses by its newer parser.
    pub fn finish_object(self) -> Result<()> {
        match self.members.keys().find(|key| !self.asked.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let hint = did_you_mean(key, self.asked.iter().copied());
                Err(ApiError::parsing(format!("[{}] unknown field [{key}]{hint}", self.query)))
            }
        }
    }
}

/// The text of a string, number or boolean.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The one field of a clause such as `{"match": {"title": ...}}`, and what is said of it.
pub fn single_field<'a>(query: &'static str, value: &'a Value) -> Result<(&'a str, &'a Value)> {
    let Some(members) = value.as_object() else {
        return Err(ApiError::parsing(format!(
            "[{query}] query malformed, no start_object after query name"
        )));
    };
    let mut members = members.iter();
    let Some((field, body)) = members.next() else {
        return Err(ApiError::illegal_argument("field name is null or empty"));
    };
    if let Some((second, _)) = members.next() {
        return Err(ApiError::parsing(format!(
            "[{query}] query doesn't support multiple fields, found [{field}] and [{second}]"
        )));
    }
    Ok((field, body))
}

/// ` did you mean [x]?`, or ` did you mean any of [x, y]?`, if some of `known` are close to `name`.
pub fn did_you_mean<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let mut close: Vec<(f64, &str)> = known
        .filter_map(|known| {
            let length = name.len().max(known.len());
            let likeness = 1.0 - distance(name, known) as f64 / length as f64;
            (likeness > 0.5).then_some((likeness, known))
        })
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let names: Vec<&str> = close.into_iter().map(|(_, known)| known).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!(" did you mean [{one}]?"),
        several => format!(" did you mean any of [{}]?", several.join(", ")),
    }
}

/// Levenshtein distance in bytes: names of clauses are short and ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
