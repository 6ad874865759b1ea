//! What an API key may do: its role descriptors, read and checked.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::privileges::{cluster_grants, index_grants, unknown_cluster, unknown_index};
use crate::error::{ApiError, Result};
use crate::http::Reader;
use crate::mapping::simple_match;

/// Indices that hold secrets: privileges reach them only where a role says so.
const RESTRICTED: [&str; 2] = [".connector-secrets*", ".security*"];

/// Whether an index is one of those that hold secrets.
pub fn is_restricted(name: &str) -> bool {
    RESTRICTED.iter().any(|pattern| simple_match(pattern, name))
}

/// Privileges on indices.
#[derive(Debug, Clone, PartialEq, Eq)]
struct IndexGrant {
    names: Vec<String>,
    privileges: Vec<String>,
    restricted_too: bool,
}

/// The role descriptors of a key, together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    cluster: Vec<String>,
    indices: Vec<IndexGrant>,
}

/// A role and the form in which it is stored and shown.
pub type Parsed = (Role, Map<String, Value>);

impl Role {
    /// Reads `role_descriptors`.
    ///
    /// # Errors
    /// 400 for unknown members and privileges, and for what this node cannot enforce.
    pub fn parse(descriptors: &Map<String, Value>) -> Result<Parsed> {
        let mut role = Self::default();
        let mut shown = Map::new();
        for (name, descriptor) in descriptors {
            let descriptor = role.read(name, descriptor)?;
            shown.insert(name.clone(), descriptor);
        }
        Ok((role, shown))
    }

    /// Adds one descriptor; the result is its full form.
    fn read(&mut self, name: &str, descriptor: &Value) -> Result<Value> {
        let inside = |error: &ApiError| {
            let role = Reader("role_descriptors").failed(name, error);
            Reader("api_key_request").failed("role_descriptors", &role)
        };
        let wrong = |reason: String| inside(&parse_error(format!("failed to parse role [{name}]. {reason}")));
        let Value::Object(members) = descriptor else {
            return Err(wrong("expected an object".to_owned()));
        };
        let mut shown = json!({
            "cluster": [], "indices": [], "applications": [], "run_as": [], "metadata": {},
            "transient_metadata": { "enabled": true },
        });
        for (key, value) in members {
            match key.as_str() {
                "cluster" => {
                    let names =
                        texts(value).ok_or_else(|| wrong("[cluster] must be a list of names".to_owned()))?;
                    for name in &names {
                        if let Some(reason) = unknown_cluster(name) {
                            return Err(crate::cluster::validation(&reason));
                        }
                    }
                    shown["cluster"] = json!(names);
                    self.cluster.extend(names);
                }
                "indices" | "index" => {
                    let Value::Array(entries) = value else {
                        return Err(wrong("[indices] must be a list".to_owned()));
                    };
                    let grants = entries
                        .iter()
                        .map(|entry| IndexGrant::parse(name, entry, &inside))
                        .collect::<Result<Vec<_>>>()?;
                    shown["indices"] = grants.iter().map(IndexGrant::to_json).collect::<Vec<_>>().into();
                    self.indices.extend(grants);
                }
                "metadata" if value.is_object() => shown["metadata"] = value.clone(),
                "description" if value.is_string() => shown["description"] = value.clone(),
                "transient_metadata" if value.is_object() => {}
                "metadata" | "description" | "transient_metadata" => {
                    return Err(wrong(format!("[{key}] is of the wrong type")));
                }
                // Nothing asks for privileges of applications, and nobody can act as somebody else; what is empty
                // asks for nothing.
                "applications" | "run_as" | "global" | "remote_indices" | "remote_cluster" => {
                    let empty = match value {
                        Value::Null => true,
                        Value::Array(items) => items.is_empty(),
                        Value::Object(members) => members.is_empty(),
                        _ => false,
                    };
                    if !empty {
                        return Err(wrong(format!("[{key}] is not supported by this node; leave it out")));
                    }
                }
                _ => return Err(wrong(format!("unexpected field [{key}]"))),
            }
        }
        Ok(shown)
    }

    /// Whether a cluster action is granted.
    pub fn allows(&self, action: &str) -> bool {
        self.cluster.iter().any(|privilege| cluster_grants(privilege, action))
    }

    /// Whether a cluster privilege is held, by its name or by what others grant.
    pub fn has_cluster_privilege(&self, name: &str) -> bool {
        let broader = |privilege: &str| {
            privilege == name
                || privilege == "all"
                || (name == "manage_own_api_key" && matches!(privilege, "manage_api_key" | "manage_security"))
        };
        name == "none"
            || self.cluster.iter().any(|privilege| broader(privilege))
            || covers(name, |action| self.allows(action), cluster_grants, CLUSTER_ACTIONS)
    }

    /// Whether an index action is granted on an index or alias of this name.
    pub fn allows_on(&self, name: &str, action: &str) -> bool {
        let restricted = is_restricted(name);
        self.indices.iter().any(|grant| {
            (grant.restricted_too || !restricted)
                && grant.privileges.iter().any(|privilege| index_grants(privilege, action))
                && grant.names.iter().any(|pattern| simple_match(pattern, name))
        })
    }

    /// Whether an index privilege is held on an index or alias.
    pub fn has_index_privilege(&self, index: &str, name: &str) -> bool {
        name == "none" || covers(name, |action| self.allows_on(index, action), index_grants, INDEX_ACTIONS)
    }

    /// Whether an index action is granted on anything at all.
    pub fn allows_anywhere(&self, action: &str) -> bool {
        self.indices
            .iter()
            .any(|grant| grant.privileges.iter().any(|privilege| index_grants(privilege, action)))
    }
}

/// Cluster actions by which privileges are told apart.
const CLUSTER_ACTIONS: &[&str] = &[
    "cluster:monitor/main",
    "cluster:admin/settings/update",
    "cluster:admin/component_template/get",
    "cluster:admin/component_template/put",
    "indices:admin/index_template/get",
    "indices:admin/index_template/put",
    "indices:admin/template/get",
    "indices:admin/template/put",
    "cluster:admin/ingest/pipeline/get",
    "cluster:admin/ingest/pipeline/simulate",
    "cluster:admin/ingest/pipeline/put",
    "cluster:admin/xpack/connector/get",
    "cluster:admin/xpack/connector/list",
    "cluster:admin/xpack/connector/sync_job/get",
    "cluster:admin/xpack/connector/sync_job/list",
    "cluster:admin/xpack/connector/put",
    "cluster:admin/xpack/connector/secret/get",
    "cluster:admin/xpack/connector/secret/put",
    "cluster:admin/xpack/connector/secret/post",
    "cluster:admin/xpack/connector/secret/delete",
    "cluster:admin/xpack/security/api_key/create",
    "cluster:admin/xpack/security/api_key/get",
    "cluster:admin/xpack/security/api_key/invalidate",
    "cluster:admin/xpack/security/user/has_privileges",
];

/// Index actions by which privileges are told apart.
const INDEX_ACTIONS: &[&str] = &[
    "indices:data/read/search",
    "indices:data/read/field_caps",
    "indices:data/write/index",
    "indices:data/write/index:op_type/create",
    "indices:data/write/index:op_type/index",
    "indices:data/write/bulk",
    "indices:data/write/update",
    "indices:data/write/delete",
    "indices:admin/create",
    "indices:admin/auto_create",
    "indices:admin/delete",
    "indices:admin/exists",
    "indices:admin/get",
    "indices:admin/aliases",
    "indices:admin/aliases/get",
    "indices:admin/mappings/get",
    "indices:admin/mappings/fields/get",
    "indices:admin/validate/query",
    "indices:admin/refresh",
    "indices:admin/flush",
    "indices:admin/forcemerge",
    "indices:admin/close",
    "indices:monitor/settings/get",
    "indices:monitor/stats",
];

/// Whether everything a privilege, or a pattern over actions, grants is granted. A privilege that grants nothing here is
/// held by nobody but by its name; of a pattern its beginning has to be granted too, for actions that nobody knows yet.
fn covers(
    name: &str,
    allowed: impl Fn(&str) -> bool,
    grants: impl Fn(&str, &str) -> bool,
    actions: &[&str],
) -> bool {
    let mut granted = actions.iter().filter(|action| grants(name, action)).peekable();
    let named =
        if name.contains(':') { allowed(name.trim_end_matches('*')) } else { granted.peek().is_some() };
    named && granted.all(|action| allowed(action))
}

impl IndexGrant {
    fn parse(role: &str, entry: &Value, inside: &impl Fn(&ApiError) -> ApiError) -> Result<Self> {
        let wrong = |reason: String| {
            inside(&parse_error(format!("failed to parse indices privileges for role [{role}]. {reason}")))
        };
        let Value::Object(members) = entry else {
            return Err(wrong("expected an object".to_owned()));
        };
        let (mut names, mut privileges, mut restricted_too) = (None, None, false);
        for (key, value) in members {
            match key.as_str() {
                "names" => names = texts(value),
                "privileges" => privileges = texts(value),
                "allow_restricted_indices" => restricted_too = Reader("role").boolean(key, value)?,
                "query" | "field_security" if value.is_null() => {}
                "query" | "field_security" => {
                    return Err(wrong(format!(
                        "[{key}] (document and field level security) is not supported by this node; a key cannot be \
                         limited to parts of an index"
                    )));
                }
                _ => return Err(wrong(format!("unexpected field [{key}]"))),
            }
        }
        let missing = |key: &str| wrong(format!("missing required [{key}] field"));
        let names = names.filter(|names| !names.is_empty()).ok_or_else(|| missing("names"))?;
        let privileges = privileges.filter(|names| !names.is_empty()).ok_or_else(|| missing("privileges"))?;
        for name in &privileges {
            if let Some(reason) = unknown_index(name) {
                return Err(crate::cluster::validation(&reason));
            }
        }
        // `/regular expressions/` would be compared as if they were names, and grant nothing.
        if let Some(regex) = names.iter().find(|name| name.starts_with('/') || name.contains('?')) {
            return Err(wrong(format!("[{regex}]: of patterns only [*] is supported by this node")));
        }
        Ok(Self { names, privileges, restricted_too })
    }

    fn to_json(&self) -> Value {
        json!({
            "names": self.names,
            "privileges": self.privileges,
            "allow_restricted_indices": self.restricted_too,
        })
    }
}

fn parse_error(reason: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", reason)
}

/// One text or a list of them.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(value: Value) -> Result<Parsed> {
        Role::parse(value.as_object().unwrap())
    }

    #[test]
    fn names_and_privileges_have_to_fit_together() {
        let (role, _) = role(json!({
            "a": {"cluster": ["monitor"], "indices": [{"names": ["a*"], "privileges": ["read"]}]},
            "b": {"indices": [{"names": "b", "privileges": ["write"]}]},
        }))
        .unwrap();
        let (read, write) = ("indices:data/read/search", "indices:data/write/index");
        assert!(role.allows_on("abc", read) && role.allows_on("b", write));
        assert!(!role.allows_on("abc", write) && !role.allows_on("b", read) && !role.allows_on("bc", write));
        assert!(role.allows("cluster:monitor/health") && !role.allows("cluster:admin/settings/update"));
        assert!(role.allows_anywhere(read) && !role.allows_anywhere("indices:admin/delete"));
    }

    #[test]
    fn secrets_are_not_among_everything() {
        let all = |restricted: bool| {
            role(json!({"a": {"indices": [
                {"names": ["*"], "privileges": ["all"], "allow_restricted_indices": restricted},
            ]}}))
            .unwrap()
            .0
        };
        assert!(!all(false).allows_on(".connector-secrets-1", "indices:data/read/get"));
        assert!(all(true).allows_on(".connector-secrets", "indices:data/read/get"));
        assert!(all(false).allows_on(".elastic-connectors-v1", "indices:data/read/get"));
    }

    #[test]
    fn what_cannot_be_enforced_is_refused() {
        for descriptor in [
            json!({"bogus": []}),
            json!({"run_as": ["x"]}),
            json!({"cluster": ["bogus"]}),
            json!({"indices": [{"names": ["a"]}]}),
            json!({"indices": [{"names": ["a"], "privileges": ["bogus"]}]}),
            json!({"indices": [{"names": ["a"], "privileges": ["read"], "query": {"match_all": {}}}]}),
            json!({"indices": [{"names": ["a"], "privileges": ["read"], "field_security": {"grant": ["a"]}}]}),
            json!({"indices": [{"names": ["/a.*/"], "privileges": ["read"]}]}),
        ] {
            assert_eq!(role(json!({"r": descriptor})).unwrap_err().status, 400);
        }
    }

    #[test]
    fn privileges_imply_narrower_ones() {
        let (role, shown) = role(
            json!({"r": {"cluster": ["manage"], "indices": [{"names": ["a"], "privileges": ["write"]}]}}),
        )
        .unwrap();
        assert!(role.has_cluster_privilege("monitor") && role.has_cluster_privilege("manage_connector"));
        assert!(!role.has_cluster_privilege("manage_api_key") && !role.has_cluster_privilege("all"));
        assert!(role.has_index_privilege("a", "index") && role.has_index_privilege("a", "delete"));
        assert!(!role.has_index_privilege("a", "read") && !role.has_index_privilege("b", "write"));
        assert!(!role.has_index_privilege("a", "all"));
        assert!(role.has_cluster_privilege("cluster:monitor/*") && !role.has_cluster_privilege("cluster:*"));
        assert!(role.has_index_privilege("a", "indices:data/write/*"));
        assert!(!role.has_index_privilege("a", "indices:data/*"));
        let connectors = json!({"r": {"cluster": ["manage_connector"]}});
        let connectors = Role::parse(connectors.as_object().unwrap()).unwrap().0;
        assert!(!connectors.has_cluster_privilege("cluster:admin/xpack/connector/*"), "not its secrets");
        assert_eq!(shown["r"]["indices"][0]["allow_restricted_indices"], false);
    }
}
