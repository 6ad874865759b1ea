//! Bodies of the connector API: their members by type, unknown ones refused.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::error::{ApiError, Result};
use crate::http::{Reader, Request};

/// The members of one body that are not read yet.
pub(super) struct Body {
    reader: Reader,
    members: Map<String, Value>,
}

impl Body {
    /// The body of a request, which may hold `known` members. `name` is what Elasticsearch calls it in complaints.
    ///
    /// # Errors
    /// 400 when there is none, or another member.
    pub(super) fn required(request: &mut Request, name: &'static str, known: &[&str]) -> Result<Self> {
        let body = request.required_json()?;
        Self::of(name, &body, known)
    }

    /// As [`Body::required`]; without a body there are no members.
    ///
    /// # Errors
    /// 400 for another member.
    pub(super) fn optional(request: &mut Request, name: &'static str, known: &[&str]) -> Result<Self> {
        match request.json()? {
            Some(body) => Self::of(name, &body, known),
            None => Ok(Self { reader: Reader(name), members: Map::new() }),
        }
    }

    /// An object inside a body.
    ///
    /// # Errors
    /// 400 for anything but an object, and for another member.
    pub(super) fn of(name: &'static str, value: &Value, known: &[&str]) -> Result<Self> {
        let reader = Reader(name);
        let members = reader.object(value)?.clone();
        match members.keys().find(|key| !known.contains(&key.as_str())) {
            Some(unknown) => Err(reader.unknown(unknown)),
            None => Ok(Self { reader, members }),
        }
    }

    /// The name in complaints.
    pub(super) fn reader(&self) -> Reader {
        self.reader
    }

    /// A member as it is; `Some(Null)` for a null that was given.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.members.remove(key)
    }

    /// A member that must be there.
    ///
    /// # Errors
    /// 400 in the words of Elasticsearch's object parser.
    pub(super) fn needed(&mut self, key: &str) -> Result<Value> {
        self.take(key).ok_or_else(|| ApiError::illegal_argument(format!("Required [{key}]")))
    }

    /// A text.
    ///
    /// # Errors
    /// 400 for anything else, null too.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.reader.unsupported(key, &other)),
        }
    }

    /// A text or null; `None` when it is not given.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn nullable_text(&mut self, key: &str) -> Result<Option<Value>> {
        match self.take(key) {
            None => Ok(None),
            Some(given @ (Value::Null | Value::String(_))) => Ok(Some(given)),
            Some(other) => Err(self.reader.unsupported(key, &other)),
        }
    }

    /// A boolean.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn boolean(&mut self, key: &str) -> Result<Option<bool>> {
        self.take(key).map(|value| self.reader.boolean(key, &value)).transpose()
    }

    /// A whole number.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn long(&mut self, key: &str) -> Result<Option<i64>> {
        self.take(key).map(|value| self.reader.long(key, &value)).transpose()
    }

    /// An object.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn object(&mut self, key: &str) -> Result<Option<Map<String, Value>>> {
        self.take(key).map(|value| self.reader.map(key, &value)).transpose()
    }

    /// A list of objects.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn objects(&mut self, key: &str) -> Result<Option<Vec<Value>>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(items)) => match items.iter().find(|item| !item.is_object()) {
                None => Ok(Some(items)),
                Some(other) => Err(self.reader.unsupported(key, other)),
            },
            Some(other) => Err(self.reader.unsupported(key, &other)),
        }
    }

    /// A date or null, as it was written.
    ///
    /// # Errors
    /// 400 for what is no date.
    pub(super) fn date(&mut self, key: &str) -> Result<Option<Value>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        check_date(self.reader, key, &value)?;
        Ok(Some(value))
    }

    /// One of several names, in any case. `parse` finds it; `what` names the kind in the complaint.
    ///
    /// # Errors
    /// 400 for another name or type.
    pub(super) fn named<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Option<T>,
        what: impl Fn(&str) -> String,
    ) -> Result<Option<T>> {
        let Some(name) = self.text(key)? else { return Ok(None) };
        match parse(&name) {
            Some(found) => Ok(Some(found)),
            None => Err(self.reader.failed(key, &ApiError::illegal_argument(what(&name)))),
        }
    }
}

/// Refuses what is neither a date nor null.
///
/// # Errors
/// 400 naming the member and the text.
pub(super) fn check_date(reader: Reader, key: &str, value: &Value) -> Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::String(text) => match connectors_protocol::timestamp::parse(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(reader.failed(
                key,
                &ApiError::new(StatusCode::BAD_REQUEST, "date_time_parse_exception", error.to_string()),
            )),
        },
        other => Err(reader.unsupported(key, other)),
    }
}

/// Now, as the protocol writes it.
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(value: Value) -> Result<Body> {
        Body::of("a_request", &value, &["text", "flag", "list", "at", "mode"])
    }

    #[test]
    fn members_have_their_type_or_are_refused() {
        let mut read =
            body(json!({"text": "a", "flag": true, "list": [{}], "at": "2024-01-01T00:00:00Z"})).unwrap();
        assert_eq!(read.text("text").unwrap(), Some("a".to_owned()));
        assert_eq!(read.boolean("flag").unwrap(), Some(true));
        assert_eq!(read.objects("list").unwrap(), Some(vec![json!({})]));
        assert_eq!(read.date("at").unwrap(), Some(json!("2024-01-01T00:00:00Z")));
        assert_eq!(read.text("text").unwrap(), None, "read once");
        assert_eq!(read.needed("text").unwrap_err().reason, "Required [text]");
        let reason = |value: Value, read: fn(&mut Body) -> Option<ApiError>| {
            read(&mut body(value).unwrap()).map(|error| error.reason)
        };
        assert_eq!(
            reason(json!({"text": null}), |body| body.text("text").err()).unwrap(),
            "[a_request] text doesn't support values of type: VALUE_NULL"
        );
        assert_eq!(reason(json!({"text": null}), |body| body.nullable_text("text").err()), None);
        assert!(reason(json!({"list": [1]}), |body| body.objects("list").err()).is_some());
        assert!(reason(json!({"at": "soon"}), |body| body.date("at").err()).is_some());
        let mode = |body: &mut Body| {
            body.named("mode", |name| (name == "on").then_some(()), |name| format!("no [{name}]")).err()
        };
        assert_eq!(reason(json!({"mode": "on"}), mode), None);
        assert!(reason(json!({"mode": "off"}), mode).is_some());
    }

    #[test]
    fn unknown_members_are_refused() {
        let error = body(json!({"text": "a", "bogus": 1})).err().unwrap();
        assert_eq!(error.reason, "[a_request] unknown field [bogus]");
        assert!(body(json!([])).is_err());
    }
}
