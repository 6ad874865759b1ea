//! `_security/user/_has_privileges`.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::owner;
use crate::error::{ApiError, Result};
use crate::http::{Identity, Reader, Request, Response, Route};
use crate::node::Node;
use crate::security::privileges::{unknown_cluster, unknown_index};
use crate::security::{Role, texts};

/// How many answers one request may ask for: names times privileges grow faster than the request.
const ANSWERS: usize = 100_000;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_security/user/_has_privileges", has_privileges),
        Route::post("/_security/user/_has_privileges", has_privileges),
    ]
}

async fn has_privileges(_node: Arc<Node>, mut request: Request) -> Result<Response> {
    let body = request.required_json()?;
    request.finish()?;
    let owner = owner(&request.identity);
    let wrong = |reason: String| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "parse_exception",
            format!("failed to parse privileges check [{}/has_privileges]. {reason}", owner.username),
        )
    };
    let Value::Object(members) = &body else {
        return Err(wrong("expected an object".to_owned()));
    };
    // Without a role everything is allowed.
    let role: Option<&Role> = match &request.identity {
        Identity::Key(key) => key.role.as_ref(),
        _ => None,
    };
    let (mut cluster, mut index, mut asked) = (Map::new(), Map::new(), false);
    let mut answers = 0_usize;
    for (key, value) in members {
        match key.as_str() {
            "cluster" => {
                asked = true;
                for name in
                    texts(value).ok_or_else(|| wrong("[cluster] must be a list of names".to_owned()))?
                {
                    if let Some(reason) = unknown_cluster(&name) {
                        return Err(ApiError::illegal_argument(reason));
                    }
                    let held = role.is_none_or(|role| role.has_cluster_privilege(&name));
                    cluster.insert(name, held.into());
                }
            }
            "index" => {
                asked = true;
                let Value::Array(entries) = value else {
                    return Err(wrong("[index] must be a list".to_owned()));
                };
                for entry in entries {
                    let (names, privileges) = index_check(entry, &wrong)?;
                    answers = answers.saturating_add(names.len().saturating_mul(privileges.len()));
                    if answers > ANSWERS {
                        return Err(ApiError::illegal_argument(format!(
                            "[index] asks for more than [{ANSWERS}] answers, names times privileges"
                        )));
                    }
                    for name in names {
                        let held = index.entry(name.clone()).or_insert_with(|| json!({}));
                        for privilege in &privileges {
                            held[privilege.as_str()] =
                                role.is_none_or(|role| role.has_index_privilege(&name, privilege)).into();
                        }
                    }
                }
            }
            "application" if value.as_array().is_some_and(Vec::is_empty) => asked = true,
            "application" => {
                return Err(wrong("[application] privileges are not supported by this node".to_owned()));
            }
            _ => return Err(wrong(format!("unexpected field [{key}]"))),
        }
    }
    if !asked {
        return Err(wrong("All privilege fields [cluster,index,applications] are missing".to_owned()));
    }
    let held = |value: &Value| value == &Value::Bool(true);
    let all = cluster.values().all(held)
        && index.values().filter_map(Value::as_object).all(|privileges| privileges.values().all(held));
    Ok(Response::ok(json!({
        "username": owner.username, "has_all_requested": all, "cluster": cluster, "index": index, "application": {},
    })))
}

fn index_check(entry: &Value, wrong: &impl Fn(String) -> ApiError) -> Result<(Vec<String>, Vec<String>)> {
    let Value::Object(members) = entry else {
        return Err(wrong("an entry of [index] must be an object".to_owned()));
    };
    let (mut names, mut privileges) = (None, None);
    for (key, value) in members {
        match key.as_str() {
            "names" => names = texts(value),
            "privileges" => privileges = texts(value),
            // Whether a role reaches restricted indices is the role's to say; the question is answered for the name.
            "allow_restricted_indices" => drop(Reader("has_privileges").boolean(key, value)?),
            _ => return Err(wrong(format!("unexpected field [{key}]"))),
        }
    }
    let missing = |key: &str| wrong(format!("missing required [{key}] field"));
    let names = names.ok_or_else(|| missing("names"))?;
    let privileges = privileges.ok_or_else(|| missing("privileges"))?;
    for name in &privileges {
        if let Some(reason) = unknown_index(name) {
            return Err(ApiError::illegal_argument(reason));
        }
    }
    Ok((names, privileges))
}
