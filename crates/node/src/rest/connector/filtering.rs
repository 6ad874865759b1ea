//! A connector's sync rules: the draft people edit, its validation, and its activation.

use std::sync::Arc;

use axum::http::StatusCode;
use connectors_protocol::filtering::{Filtering, Operator, Policy, ValidationResult};
use serde_json::{Map, Value, json};

use super::body::{Body, check_date, now};
use super::documents::typed;
use super::refused;
use super::settings::{change, id_of};
use crate::cluster::validation;
use crate::error::{ApiError, Result};
use crate::http::{Reader, Request, Response, Route};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::put("/_connector/{connector_id}/_filtering", edit),
        Route::put("/_connector/{connector_id}/_filtering/_validation", validate),
        Route::put("/_connector/{connector_id}/_filtering/_activate", activate),
    ]
}

/// Changes the rules of a connector.
async fn change_rules(
    node: &Arc<Node>,
    id: &str,
    with: impl Fn(Filtering) -> Result<Filtering>,
) -> Result<Response> {
    change(node, id, |source| {
        let stored = source.get("filtering").cloned().unwrap_or_default();
        let changed = with(typed("the filtering of connector", id, stored)?)?;
        source.insert("filtering".to_owned(), serde_json::to_value(changed).map_err(ApiError::internal)?);
        Ok(())
    })
    .await
}

/// `filtering` replaces everything; `rules` and `advanced_snippet` change the draft.
async fn edit(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let known = ["filtering", "rules", "advanced_snippet"];
    let mut body = Body::required(&mut request, "connector_update_filtering_request", &known)?;
    let reader = body.reader();
    let inside = |key: &str, checked: Result<()>| checked.map_err(|error| reader.failed(key, &error));
    let filtering = body.objects("filtering")?;
    if let Some(domains) = &filtering {
        inside("filtering", domains.iter().try_for_each(check_domain))?;
    }
    let rules = body.objects("rules")?;
    if let Some(rules) = &rules {
        inside("rules", rules.iter().try_for_each(check_rule))?;
    }
    let snippet = body.object("advanced_snippet")?;
    if let Some(snippet) = &snippet {
        inside("advanced_snippet", check_snippet(snippet))?;
    }
    request.finish()?;
    match filtering {
        Some(_) if rules.is_some() || snippet.is_some() => Err(validation(
            "If [filtering] is specified, [rules] and [advanced_snippet] should not be present in the request body.",
        )),
        Some(domains) => {
            change(&node, &id, |source| {
                source.insert("filtering".to_owned(), json!(domains));
                Ok(())
            })
            .await
        }
        None if rules.is_none() && snippet.is_none() => {
            Err(validation("[advanced_snippet] and [rules] cannot be both [null]."))
        }
        None => {
            let now = now();
            change_rules(&node, &id, |stored| {
                Ok(stored.with_draft_edited(rules.clone(), snippet.clone(), now))
            })
            .await
        }
    }
}

/// A service says what it found in the draft.
async fn validate(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let mut body = Body::required(&mut request, "connector_update_filtering_validation", &["validation"])?;
    let given = body.needed("validation")?;
    check_validation(&given).map_err(|error| body.reader().failed("validation", &error))?;
    let result: ValidationResult = typed("the validation of connector", &id, given)?;
    request.finish()?;
    change_rules(&node, &id, |stored| Ok(stored.with_draft_validation(result.clone(), now()))).await
}

async fn activate(node: Arc<Node>, request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    request.finish()?;
    change_rules(&node, &id, |stored| {
        stored.activated(now()).map_err(|error| {
            refused(format!(
                "Filtering draft needs to be validated by the connector service before activation. Current filtering \
                 draft validation state [{}] is not equal to [valid].",
                error.0.name()
            ))
        })
    })
    .await
}

fn needs(reader: Reader, members: &Map<String, Value>, keys: &[&str]) -> Result<()> {
    let missing: Vec<&str> = keys.iter().copied().filter(|key| !members.contains_key(*key)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.iter().map(|key| format!("[{key}]")).collect::<Vec<_>>().join(", ");
    Err(ApiError::new(
        StatusCode::BAD_REQUEST,
        "x_content_parse_exception",
        format!("[{}] Required {list}", reader.0),
    ))
}

/// One domain with its active rules and its draft.
fn check_domain(domain: &Value) -> Result<()> {
    let reader = Reader("connector_filtering");
    let members = reader.object(domain)?;
    needs(reader, members, &["active", "draft"])?;
    for key in ["active", "draft"] {
        check_filter(&members[key]).map_err(|error| reader.failed(key, &error))?;
    }
    match members.get("domain") {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(other) => Err(reader.unsupported("domain", other)),
    }
}

fn check_filter(filter: &Value) -> Result<()> {
    let reader = Reader("connector_filtering_rules");
    let members = reader.object(filter)?;
    needs(reader, members, &["advanced_snippet", "rules", "validation"])?;
    let inside = |key: &'static str, checked: Result<()>| checked.map_err(|error| reader.failed(key, &error));
    let snippet = reader.map("advanced_snippet", &members["advanced_snippet"])?;
    inside("advanced_snippet", check_snippet(&snippet))?;
    let Value::Array(rules) = &members["rules"] else {
        return Err(reader.unsupported("rules", &members["rules"]));
    };
    inside("rules", rules.iter().try_for_each(check_rule))?;
    inside("validation", check_validation(&members["validation"]))
}

/// Advanced rules are a source's own: an object or a list.
fn check_snippet(snippet: &Map<String, Value>) -> Result<()> {
    let reader = Reader("connector_filtering_advanced_snippet");
    needs(reader, snippet, &["value"])?;
    for (key, value) in snippet {
        match key.as_str() {
            "created_at" | "updated_at" => check_date(reader, key, value)?,
            "value" if value.is_object() || value.is_array() => {}
            "value" => return Err(reader.unsupported(key, value)),
            _ => {}
        }
    }
    Ok(())
}

/// The shape of a basic rule. Whether it makes sense is for the service that validates the draft.
fn check_rule(rule: &Value) -> Result<()> {
    let reader = Reader("connector_filtering_rule");
    let members = reader.object(rule)?;
    needs(reader, members, &["field", "id", "order", "policy", "rule", "value"])?;
    for (key, value) in members {
        let unknown = |what: &str| {
            let name = crate::search::bare(value);
            Err(reader.failed(key, &ApiError::illegal_argument(format!("Unknown {what} [{name}]."))))
        };
        match (key.as_str(), value) {
            ("created_at" | "updated_at", value) => check_date(reader, key, value)?,
            ("policy", Value::String(name)) => match Policy::from_name(name) {
                Some(_) => {}
                None => return unknown("FilteringPolicy"),
            },
            ("rule", Value::String(name)) => match Operator::from_name(name) {
                Some(_) => {}
                None => return unknown("FilteringRuleCondition"),
            },
            ("order", value) => drop(reader.long(key, value)?),
            ("field" | "id" | "value", Value::String(_)) => {}
            ("field" | "id" | "value" | "policy" | "rule", other) => {
                return Err(reader.unsupported(key, other));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_validation(validation: &Value) -> Result<()> {
    let reader = Reader("filtering_validation_info");
    let members = reader.object(validation)?;
    needs(reader, members, &["errors", "state"])?;
    let Value::Array(errors) = &members["errors"] else {
        return Err(reader.unsupported("errors", &members["errors"]));
    };
    for error in errors {
        let reader = Reader("connector_filtering_validation");
        let members = reader.object(error)?;
        needs(reader, members, &["ids", "messages"])?;
        for key in ["ids", "messages"] {
            reader.texts(key, &members[key])?;
        }
    }
    match &members["state"] {
        Value::String(name) if matches!(name.as_str(), "valid" | "invalid" | "edited") => Ok(()),
        Value::String(name) => {
            let unknown = format!("Unknown FilteringValidationState [{name}].");
            Err(reader.failed("state", &ApiError::illegal_argument(unknown)))
        }
        other => Err(reader.unsupported("state", other)),
    }
}
