//! `_analyze`: what an analyzer makes of a text.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::analysis::{
    Analyzer, Analyzers, POSITION_GAP, Token, char_filter_from_value, filter_from_value, tokenizer_from_value,
};
use crate::error::{ApiError, Result, token};
use crate::http::{Request, Response, Route};
use crate::mapping::{FieldTable, FieldType};
use crate::node::Node;
use crate::security::{check_action, check_index};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_analyze", analyze),
        Route::post("/_analyze", analyze),
        Route::get("/{index}/_analyze", analyze),
        Route::post("/{index}/_analyze", analyze),
    ]
}

/// `index.analyze.max_token_count`.
const MOST_TOKENS: usize = 10_000;

async fn analyze(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let body = request.json()?.ok_or_else(|| {
        let mut error = ApiError::parsing("request body or source parameter is required");
        error.kind = "parse_exception";
        error
    })?;
    let body_index = body.get("index").and_then(Value::as_str).map(str::to_owned);
    let index = request.params.string("index").or(body_index);
    let index = request.segment("index").map(str::to_owned).or(index);
    request.finish()?;
    match &index {
        Some(name) => check_index(&request.identity, "indices:admin/analyze", name)?,
        None => check_action(&request.identity, "cluster:admin/analyze")?,
    }
    let of_index = index.is_some();
    let (analyzers, table) = match index {
        None => (Arc::new(Analyzers::builtin()), Arc::new(FieldTable::default())),
        Some(name) => {
            let state = node.cluster.single(&name)?.state();
            (state.analyzers.clone(), state.mapping.table().clone())
        }
    };
    let wanted = Wanted::parse(&body)?;
    let analyzer = wanted.analyzer(&analyzers, &table).map_err(|error| within(error, of_index))?;
    Ok(Response::ok(json!({ "tokens": tokens(&analyzer, &wanted.texts)? })))
}

/// Elasticsearch speaks of global analyzers only where the request names no index.
fn within(mut error: ApiError, of_index: bool) -> ApiError {
    if of_index {
        error.reason = error.reason.replace("failed to find global analyzer [", "failed to find analyzer [");
    }
    error
}

/// The body of a request.
#[derive(Debug, Default)]
struct Wanted<'a> {
    texts: Vec<String>,
    analyzer: Option<&'a str>,
    field: Option<&'a str>,
    tokenizer: Option<&'a Value>,
    filters: Option<Vec<&'a Value>>,
    char_filters: Option<Vec<&'a Value>>,
}

impl<'a> Wanted<'a> {
    fn parse(body: &'a Value) -> Result<Self> {
        let members = body.as_object().ok_or_else(|| {
            ApiError::parsing("[analyze_request] Expected START_OBJECT but was: VALUE_STRING".to_owned())
        })?;
        let mut wanted = Self::default();
        let mut given = false;
        for (key, value) in members {
            let text = || {
                value.as_str().ok_or_else(|| {
                    parse_error(&format!(
                        "[analyze_request] {key} doesn't support values of type: {}",
                        token(value)
                    ))
                })
            };
            match key.as_str() {
                "text" => {
                    given = true;
                    wanted.texts = match value {
                        Value::Array(items) => items
                            .iter()
                            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                            .collect(),
                        Value::String(text) => vec![text.clone()],
                        Value::Number(_) | Value::Bool(_) => vec![value.to_string()],
                        _ => {
                            return Err(parse_error(&format!(
                                "[analyze_request] text doesn't support values of type: {}",
                                token(value)
                            )));
                        }
                    };
                }
                "analyzer" => wanted.analyzer = Some(text()?),
                "field" => wanted.field = Some(text()?),
                "index" => {
                    text()?;
                }
                "tokenizer" => wanted.tokenizer = Some(value),
                "filter" => wanted.filters = Some(list(value)),
                "char_filter" => wanted.char_filters = Some(list(value)),
                "explain" | "attributes" | "normalizer" => {
                    let refused = !matches!(value, Value::Bool(false));
                    if refused {
                        return Err(ApiError::illegal_argument(format!(
                            "[analyze_request] [{key}] is not supported by this node"
                        )));
                    }
                }
                _ => return Err(parse_error(&format!("[analyze_request] unknown field [{key}]"))),
            }
        }
        if !given || wanted.texts.is_empty() {
            let mut error = ApiError::illegal_argument("Validation Failed: 1: text is missing;");
            error.kind = "action_request_validation_exception";
            return Err(error);
        }
        Ok(wanted)
    }

    fn analyzer(&self, analyzers: &Analyzers, table: &FieldTable) -> Result<Arc<Analyzer>> {
        let parts = self.filters.is_some() || self.char_filters.is_some();
        if let Some(tokenizer) = self.tokenizer {
            if self.analyzer.is_some() {
                return Err(ApiError::illegal_argument("cannot define extra components on a named analyzer"));
            }
            return self.chain(tokenizer, analyzers).map(Arc::new);
        }
        if let Some(name) = self.analyzer {
            if parts {
                return Err(ApiError::illegal_argument("cannot define extra components on a named analyzer"));
            }
            return analyzers.get(name).ok_or_else(|| {
                ApiError::illegal_argument(format!("failed to find global analyzer [{name}]"))
            });
        }
        if parts {
            return self.chain(&Value::from("keyword"), analyzers).map(Arc::new);
        }
        match self.field.and_then(|field| table.get(field)) {
            Some(field) if field.kind == FieldType::Text => analyzers.get(&field.analyzer).ok_or_else(|| {
                ApiError::illegal_argument(format!("analyzer [{}] not found", field.analyzer))
            }),
            Some(field) if field.kind == FieldType::Keyword => {
                Ok(analyzers.get("keyword").unwrap_or_else(|| analyzers.default_analyzer()))
            }
            Some(field) => Err(ApiError::illegal_argument(format!(
                "Can't process field [{}], Analysis requests are only supported on tokenized fields",
                field.path
            ))),
            None => Ok(analyzers.default_analyzer()),
        }
    }

    /// A chain made for this request.
    fn chain(&self, tokenizer: &Value, analyzers: &Analyzers) -> Result<Analyzer> {
        let components = analyzers.components();
        let tokenizer = tokenizer_from_value(tokenizer, components)?;
        let filters = self.filters.iter().flatten();
        let filters = filters.map(|filter| filter_from_value(filter, components)).collect::<Result<_>>()?;
        let char_filters = self.char_filters.iter().flatten();
        let char_filters =
            char_filters.map(|filter| char_filter_from_value(filter, components)).collect::<Result<_>>()?;
        Ok(Analyzer::new("_anonymous_", char_filters, tokenizer, filters))
    }
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

fn parse_error(reason: &str) -> ApiError {
    let mut error = ApiError::parsing(reason);
    error.kind = "x_content_parse_exception";
    error
}

/// The tokens of all texts as the answer shows them: offsets in UTF-16 units, counted on over the texts, and positions
/// a gap apart.
fn tokens(analyzer: &Analyzer, texts: &[String]) -> Result<Vec<Value>> {
    let mut shown = Vec::new();
    let mut base_position = 0;
    let mut base_offset = 0;
    for text in texts {
        let offsets = Offsets::of(text);
        let mut last = None;
        for token in analyzer.tokens(text) {
            last = Some(last.unwrap_or(0).max(token.position));
            shown.push(show(&token, &offsets, base_offset, base_position));
            if shown.len() > MOST_TOKENS {
                let mut error = ApiError::illegal_argument(format!(
                    "The number of tokens produced by calling _analyze has exceeded the allowed maximum of [{MOST_TOKENS}]. This limit can be set by changing the [index.analyze.max_token_count] index level setting."
                ));
                error.kind = "illegal_state_exception";
                return Err(error);
            }
        }
        if let Some(last) = last {
            base_position += last + 1 + POSITION_GAP;
        } else {
            base_position += POSITION_GAP;
        }
        base_offset += text.encode_utf16().count() + 1;
    }
    Ok(shown)
}

fn show(token: &Token, offsets: &Offsets, base_offset: usize, base_position: usize) -> Value {
    let mut shown = json!({
        "token": token.text,
        "start_offset": base_offset + offsets.utf16(token.start),
        "end_offset": base_offset + offsets.utf16(token.end),
        "type": token.kind,
        "position": base_position + token.position,
    });
    if token.position_length > 1 {
        shown["positionLength"] = token.position_length.into();
    }
    shown
}

/// Bytes to UTF-16 units; nothing to do for ASCII.
struct Offsets(Option<Vec<usize>>);

impl Offsets {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self(None);
        }
        let mut units = vec![0; text.len() + 1];
        let mut at = 0;
        for (offset, c) in text.char_indices() {
            units[offset..offset + c.len_utf8()].fill(at);
            at += c.len_utf16();
        }
        units[text.len()] = at;
        Self(Some(units))
    }

    fn utf16(&self, byte: usize) -> usize {
        match &self.0 {
            None => byte,
            Some(units) => units.get(byte).or(units.last()).copied().unwrap_or(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &Value) -> Result<Vec<Value>> {
        let analyzers = Analyzers::builtin();
        let wanted = Wanted::parse(body)?;
        let analyzer = wanted.analyzer(&analyzers, &FieldTable::default())?;
        tokens(&analyzer, &wanted.texts)
    }

    /// As Elasticsearch 9.5 answers.
    #[test]
    fn tokens_with_offsets_and_positions() {
        assert_eq!(
            answer(&json!({ "text": ["a b", "", "\u{1F44D}x"], "analyzer": "standard" })).unwrap(),
            [
                json!({ "token": "a", "start_offset": 0, "end_offset": 1, "type": "<ALPHANUM>", "position": 0 }),
                json!({ "token": "b", "start_offset": 2, "end_offset": 3, "type": "<ALPHANUM>", "position": 1 }),
                json!({ "token": "\u{1F44D}", "start_offset": 5, "end_offset": 7, "type": "<EMOJI>", "position": 202 }),
                json!({ "token": "x", "start_offset": 7, "end_offset": 8, "type": "<ALPHANUM>", "position": 203 }),
            ]
        );
        let shingles =
            answer(&json!({ "text": "a b", "tokenizer": "standard", "filter": [{ "type": "shingle" }] }))
                .unwrap();
        assert_eq!(
            shingles[1],
            json!({
                "token": "a b", "start_offset": 0, "end_offset": 3, "type": "shingle", "position": 0, "positionLength": 2
            })
        );
    }

    #[test]
    fn what_is_unknown_is_named() {
        for (body, reason) in [
            (json!({ "analyzer": "standard" }), "Validation Failed: 1: text is missing;"),
            (json!({ "text": "x", "foo": 1 }), "[analyze_request] unknown field [foo]"),
            (json!({ "text": "x", "analyzer": "nope" }), "failed to find global analyzer [nope]"),
            (json!({ "text": "x", "tokenizer": "nope" }), "failed to find global tokenizer under [nope]"),
            (
                json!({ "text": "x", "tokenizer": "standard", "filter": [{ "type": "nope" }] }),
                "failed to find global filter under [nope]",
            ),
            (
                json!({ "text": "x", "analyzer": "standard", "filter": ["lowercase"] }),
                "cannot define extra components on a named analyzer",
            ),
            (
                json!({ "text": "x", "explain": true }),
                "[analyze_request] [explain] is not supported by this node",
            ),
        ] {
            assert_eq!(answer(&body).unwrap_err().reason, reason, "{body}");
        }
    }
}
