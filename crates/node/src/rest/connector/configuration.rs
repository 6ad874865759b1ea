//! A connector's configuration: replaced whole, or only values of fields that exist.

use std::sync::Arc;

use axum::http::StatusCode;
use connectors_protocol::configuration::RawConfiguration;
use connectors_protocol::connector::ConnectorStatus;
use serde_json::{Map, Value};

use super::body::Body;
use super::refused;
use super::settings::{change, id_of};
use crate::cluster::validation;
use crate::error::{ApiError, Result};
use crate::http::{Request, Response, Route};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![Route::put("/_connector/{connector_id}/_configuration", configuration)]
}

/// Either way the connector is `configured` then.
async fn configuration(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let known = ["configuration", "values"];
    let mut body = Body::required(&mut request, "connector_update_configuration_request", &known)?;
    let configuration = match body.object("configuration")? {
        None => None,
        Some(fields) => {
            let configuration = with_defaults(fields);
            configuration.check_definitions().map_err(|error| {
                let wrong =
                    ApiError::new(StatusCode::BAD_REQUEST, "x_content_parse_exception", error.to_string());
                body.reader().failed("configuration", &wrong)
            })?;
            Some(configuration)
        }
    };
    let values = body.object("values")?;
    request.finish()?;
    match (configuration, values) {
        (Some(configuration), None) => {
            change(&node, &id, |source| {
                source.insert("configuration".to_owned(), configuration.0.clone().into());
                configured(source);
                Ok(())
            })
            .await
        }
        (None, Some(values)) => {
            change(&node, &id, |source| {
                let stored = match source.get("configuration") {
                    Some(Value::Object(fields)) => fields.clone(),
                    _ => Map::new(),
                };
                let mut stored = RawConfiguration(stored);
                stored.set_values(&values).map_err(|unknown| {
                    refused(format!(
                        "Unknown [configuration] fields in the request payload: [{}]. Remove them from request or \
                         register their schema first.",
                        unknown.join(", ")
                    ))
                })?;
                source.insert("configuration".to_owned(), stored.0.into());
                configured(source);
                Ok(())
            })
            .await
        }
        (None, None) => Err(validation("[configuration] and [values] cannot both be null.")),
        (Some(_), Some(_)) => {
            Err(validation("[configuration] and [values] cannot both be provided in the same request."))
        }
    }
}

fn configured(source: &mut Map<String, Value>) {
    source.insert("status".to_owned(), ConnectorStatus::Configured.name().into());
}

/// The properties every stored field has, also when nobody gave them.
fn with_defaults(mut fields: Map<String, Value>) -> RawConfiguration {
    for properties in fields.values_mut().filter_map(Value::as_object_mut) {
        for (name, default) in [
            ("default_value", Value::Null),
            ("required", false.into()),
            ("sensitive", false.into()),
            ("value", Value::Null),
        ] {
            properties.entry(name).or_insert(default);
        }
    }
    RawConfiguration(fields)
}
