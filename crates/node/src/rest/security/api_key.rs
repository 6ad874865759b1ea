//! `_security/api_key`: making, finding and invalidating keys.

use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::owner;
use crate::cluster::{blocking, validation};
use crate::error::{ApiError, Result};
use crate::http::{Identity, Reader, Request, Response, Route, duration};
use crate::mapping::simple_match;
use crate::node::Node;
use crate::rest::write::validations;
use crate::security::{ApiKey, NewKey, Role, check_action, texts, unauthorized};

const CREATE: &str = "cluster:admin/xpack/security/api_key/create";
const GET: &str = "cluster:admin/xpack/security/api_key/get";
const INVALIDATE: &str = "cluster:admin/xpack/security/api_key/invalidate";
/// Longest name.
const MAX_NAME: usize = 256;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::post("/_security/api_key", create),
        Route::put("/_security/api_key", create),
        Route::get("/_security/api_key", get),
        Route::delete("/_security/api_key", invalidate),
    ]
}

async fn create(node: Arc<Node>, mut request: Request) -> Result<Response> {
    check_action(&request.identity, CREATE)?;
    crate::rest::write::refresh(&mut request.params)?;
    let body = request.required_json()?;
    request.finish()?;
    let reader = Reader("api_key_request");
    let (mut name, mut lifetime_ms, mut metadata) = (None, None, Map::new());
    let mut descriptors = Map::new();
    for (key, value) in reader.object(&body)? {
        match (key.as_str(), value) {
            ("name", Value::String(text)) => name = Some(text.clone()),
            ("expiration" | "metadata" | "role_descriptors", Value::Null) => {}
            ("expiration", Value::String(text)) => lifetime_ms = Some(lifetime(text)?),
            ("metadata", Value::Object(members)) => metadata = members.clone(),
            ("role_descriptors", Value::Object(members)) => descriptors = members.clone(),
            ("name" | "expiration" | "metadata" | "role_descriptors", other) => {
                return Err(reader.unsupported(key, other));
            }
            _ => return Err(reader.unknown(key)),
        }
    }
    let name = name.ok_or_else(|| ApiError::illegal_argument("Required [name]"))?;
    let problems = problems(&name, &metadata);
    if !problems.is_empty() {
        return Err(validations(&problems));
    }
    let (role, role_descriptors) = Role::parse(&descriptors)?;
    // A key could otherwise outlive itself, or grow.
    if matches!(request.identity, Identity::Key(_)) && (descriptors.is_empty() || role != Role::default()) {
        return Err(ApiError::illegal_argument(
            "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)",
        ));
    }
    let role = (!descriptors.is_empty()).then_some(role);
    let owner = owner(&request.identity);
    let new = NewKey { name: name.clone(), lifetime_ms, owner, metadata, role, role_descriptors };
    let keys = node.keys.clone();
    let made = blocking(move || keys.create(new)).await?;
    let mut answer = json!({ "id": made.id, "name": name });
    if let Some(expiration) = made.expiration {
        answer["expiration"] = expiration.into();
    }
    answer["api_key"] = made.secret.clone().into();
    answer["encoded"] = STANDARD.encode(format!("{}:{}", made.id, made.secret)).into();
    Ok(Response::ok(answer))
}

fn lifetime(text: &str) -> Result<i64> {
    let lifetime = duration("expiration", text)?;
    i64::try_from(lifetime.as_millis())
        .ok()
        .filter(|ms| *ms > 0 && *ms < i64::MAX / 4)
        .ok_or_else(|| ApiError::illegal_argument(format!("[expiration] cannot be [{text}]")))
}

fn problems(name: &str, metadata: &Map<String, Value>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |wrong: bool, text: &str| {
        if wrong {
            problems.push(text.to_owned());
        }
    };
    check(name.is_empty(), "api key name is required");
    check(name.chars().count() > MAX_NAME, "api key name may not be more than 256 characters long");
    check(name != name.trim(), "api key name may not begin or end with whitespace");
    check(name.starts_with('_'), "api key name may not begin with an underscore");
    check(metadata.keys().any(|key| key.starts_with('_')), "API key metadata keys may not start with [_]");
    problems
}

/// Which keys are meant.
#[derive(Debug, Default)]
struct Wanted {
    ids: Option<Vec<String>>,
    name: Option<String>,
    username: Option<String>,
    realm: Option<String>,
    owned: bool,
}

impl Wanted {
    /// Whether a key is meant by someone.
    fn includes(&self, identity: &Identity, key: &ApiKey) -> bool {
        let own = || match identity {
            // Of the keys of its owner a key knows itself alone.
            Identity::Key(asking) => asking.id == key.id,
            _ => key.owner() == owner(identity),
        };
        let is =
            |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        self.ids.as_ref().is_none_or(|ids| ids.contains(&key.id))
            && self.name.as_deref().is_none_or(|name| simple_match(name, &key.name()))
            && is(&self.username, &key.owner().username)
            && is(&self.realm, &key.owner().realm)
            && (!self.owned || own())
    }

    /// Whether only the asking key itself is meant.
    fn is_self(&self, identity: &Identity) -> bool {
        match (identity, &self.ids) {
            (Identity::Key(key), Some(ids)) => ids.iter().all(|id| *id == key.id) && !ids.is_empty(),
            _ => false,
        }
    }
}

async fn get(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let params = &mut request.params;
    let wanted = Wanted {
        ids: params.string("id").map(|id| vec![id]),
        name: params.string("name"),
        username: params.string("username"),
        realm: params.string("realm_name"),
        owned: params.bool("owner", false)?,
    };
    let active = params.bool("active_only", false)?;
    for unsupported in ["with_limited_by", "with_profile_uid"] {
        if params.bool(unsupported, false)? {
            return Err(ApiError::illegal_argument(format!("[{unsupported}] is not supported by this node")));
        }
    }
    request.finish()?;
    if wanted.ids.is_some() && wanted.name.is_some() {
        return Err(validation("only one of [api key id, api key name] can be specified"));
    }
    if wanted.owned && (wanted.username.is_some() || wanted.realm.is_some()) {
        return Err(validation(
            "neither username nor realm-name may be specified when retrieving owned API keys",
        ));
    }
    // A key may always look at itself.
    if !wanted.is_self(&request.identity) {
        check_action(&request.identity, GET)?;
    }
    let keys: Vec<Value> = node
        .keys
        .list()
        .iter()
        .filter(|key| wanted.includes(&request.identity, key) && (!active || key.is_active()))
        .map(|key| key.shown())
        .collect();
    // Somebody asked for one key, and there is none.
    let status = if wanted.ids.is_some() && keys.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    Ok(Response::json(status, json!({ "api_keys": keys })))
}

async fn invalidate(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let body = request.required_json()?;
    request.finish()?;
    let reader = Reader("invalidate_api_key");
    let mut wanted = Wanted::default();
    for (key, value) in reader.object(&body)? {
        let text = || value.as_str().map(str::to_owned).ok_or_else(|| reader.unsupported(key, value));
        match key.as_str() {
            _ if value.is_null() => {}
            "ids" => wanted.ids = Some(texts(value).ok_or_else(|| reader.unsupported(key, value))?),
            "name" => wanted.name = Some(text()?),
            "username" => wanted.username = Some(text()?),
            "realm_name" => wanted.realm = Some(text()?),
            "owner" => wanted.owned = reader.boolean(key, value)?,
            _ => return Err(reader.unknown(key)),
        }
    }
    let named = wanted.ids.is_some() || wanted.name.is_some();
    let of_user = wanted.username.is_some() || wanted.realm.is_some();
    let mut wrong = Vec::new();
    if !named && !of_user && !wanted.owned {
        wrong.push("One of [api key id(s), api key name, username, realm name] must be specified if [owner] flag is false");
    }
    if wanted.ids.as_ref().is_some_and(|ids| ids.is_empty() || ids.iter().any(String::is_empty)) {
        wrong.push("Field [ids] cannot be an empty array and must not contain blank ids");
    }
    if wanted.ids.is_some() && wanted.name.is_some() {
        wrong.push("only one of [api key id(s), api key name] can be specified");
    }
    if named && of_user {
        wrong.push("username or realm name must not be specified when the api key id(s) or api key name are specified");
    }
    if wanted.owned && of_user {
        wrong.push("neither username nor realm-name may be specified when invalidating owned API keys");
    }
    if !wrong.is_empty() {
        return Err(validations(&wrong.into_iter().map(str::to_owned).collect::<Vec<_>>()));
    }
    if let Identity::Key(key) = &request.identity
        && let Some(role) = &key.role
    {
        let itself = wanted.is_self(&request.identity) && role.has_cluster_privilege("manage_own_api_key");
        if !itself && !role.allows(INVALIDATE) {
            return Err(unauthorized(&request.identity, INVALIDATE));
        }
    }
    // Keys that ended before are not found any more, as in Elasticsearch.
    let ending: Vec<Arc<ApiKey>> = node
        .keys
        .list()
        .into_iter()
        .filter(|key| wanted.includes(&request.identity, key) && !key.is_invalidated())
        .collect();
    let ids: Vec<String> = ending.iter().map(|key| key.id.clone()).collect();
    let keys = node.keys.clone();
    blocking(move || ending.iter().try_for_each(|key| keys.invalidate(key))).await?;
    Ok(Response::ok(json!({
        "invalidated_api_keys": ids, "previously_invalidated_api_keys": [], "error_count": 0,
    })))
}
