//! The action each route is, checked before its handler runs. A route without an entry here is closed to keys with a role.

use axum::http::Method;

use crate::cluster::IndicesOptions;
use crate::error::Result;
use crate::http::{Identity, Request, Route};
use crate::node::Node;
use crate::security::{check_action, check_anywhere, check_index, check_names, narrow};

/// How a route is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Whoever is let in may use it.
    Open,
    /// A cluster action.
    Cluster(&'static str),
    /// An index action on the expression in the path; on all indices without one.
    Indices(&'static str),
    /// An index action on all that the expression in the path stands for, or not at all: a pattern that its handler
    /// refuses must not become names.
    Named(&'static str),
    /// An index action on the one index in the path.
    Index(&'static str),
    /// An index action whose handler checks what the body names: granted anywhere, at least.
    Inside(&'static str),
}

/// The rule of a route.
fn rule(method: &Method, pattern: &str) -> Option<Rule> {
    use Rule::{Cluster, Index, Indices, Inside, Named, Open};
    let reads = method == Method::GET || method == Method::HEAD;
    let deletes = method == Method::DELETE;
    if let Some(rest) = pattern.strip_prefix("/_connector") {
        return connector(method, rest);
    }
    Some(match pattern {
        "/" | "/_cat" | "/_security/_authenticate" => Open,
        // Who may ask about which keys is more than an action.
        "/_security/api_key" => Open,
        "/_security/user/_has_privileges" => Open,
        "/_cat/health" | "/_cluster/health" | "/_cluster/health/{index}" => Cluster("cluster:monitor/health"),
        "/_cluster/pending_tasks" => Cluster("cluster:monitor/task"),
        "/_cluster/settings" if reads => Cluster("cluster:monitor/settings"),
        "/_nodes" | "/_nodes/{filter}" | "/_nodes/{filter}/{metric}" => Cluster("cluster:monitor/nodes/info"),
        "/_license" => Cluster("cluster:monitor/xpack/license/get"),
        "/_license/basic_status" => Cluster("cluster:admin/xpack/license/basic_status"),
        "/_license/trial_status" => Cluster("cluster:admin/xpack/license/trial_status"),
        "/_xpack" => Cluster("cluster:monitor/xpack/info"),
        "/_component_template" | "/_component_template/{name}" if reads => {
            Cluster("cluster:admin/component_template/get")
        }
        "/_component_template/{name}" if deletes => Cluster("cluster:admin/component_template/delete"),
        "/_component_template/{name}" => Cluster("cluster:admin/component_template/put"),
        "/_index_template/_simulate" | "/_index_template/_simulate/{name}" => {
            Cluster("indices:admin/index_template/simulate")
        }
        "/_index_template/_simulate_index/{name}" => Cluster("indices:admin/index_template/simulate_index"),
        "/_index_template" | "/_index_template/{name}" if reads => {
            Cluster("indices:admin/index_template/get")
        }
        "/_index_template/{name}" if deletes => Cluster("indices:admin/index_template/delete"),
        "/_index_template/{name}" => Cluster("indices:admin/index_template/put"),
        "/_template" | "/_template/{name}" if reads => Cluster("indices:admin/template/get"),
        "/_template/{name}" if deletes => Cluster("indices:admin/template/delete"),
        "/_template/{name}" => Cluster("indices:admin/template/put"),
        "/_ingest/pipeline/_simulate" | "/_ingest/pipeline/{id}/_simulate" => {
            Cluster("cluster:admin/ingest/pipeline/simulate")
        }
        "/_ingest/pipeline" | "/_ingest/pipeline/{id}" if reads => {
            Cluster("cluster:admin/ingest/pipeline/get")
        }
        "/_ingest/pipeline/{id}" if deletes => Cluster("cluster:admin/ingest/pipeline/delete"),
        "/_ingest/pipeline/{id}" => Cluster("cluster:admin/ingest/pipeline/put"),
        // A body may name an index; its handler checks that.
        "/_analyze" => Open,
        "/{index}/_analyze" => Index("indices:admin/analyze"),
        "/_aliases" => Inside("indices:admin/aliases"),
        "/_alias" | "/_alias/{name}" | "/{index}/_alias" => Indices("indices:admin/aliases/get"),
        "/{index}/_alias/{name}" if reads => Indices("indices:admin/aliases/get"),
        // The alias is a name too; the handler checks it.
        "/{index}/_alias/{name}" | "/{index}/_aliases/{name}" => Indices("indices:admin/aliases"),
        "/_cat/aliases" | "/_cat/aliases/{alias}" => Inside("indices:admin/aliases/get"),
        "/_cat/count" | "/_cat/count/{index}" | "/_count" | "/{index}/_count" => {
            Indices("indices:data/read/search")
        }
        "/_cat/indices" | "/_cat/indices/{index}" => Indices("indices:monitor/stats"),
        "/_stats" | "/_stats/{metric}" | "/{index}/_stats" | "/{index}/_stats/{metric}" => {
            Indices("indices:monitor/stats")
        }
        "/_field_caps" | "/{index}/_field_caps" => Indices("indices:data/read/field_caps"),
        "/_validate/query" | "/{index}/_validate/query" => Indices("indices:admin/validate/query"),
        "/_flush" | "/{index}/_flush" => Indices("indices:admin/flush"),
        "/_refresh" | "/{index}/_refresh" => Indices("indices:admin/refresh"),
        "/_forcemerge" | "/{index}/_forcemerge" => Indices("indices:admin/forcemerge"),
        "/{index}/_open" => Indices("indices:admin/open"),
        "/{index}/_close" => Indices("indices:admin/close"),
        "/_mapping" | "/{index}/_mapping" if reads => Indices("indices:admin/mappings/get"),
        "/{index}/_mapping" => Indices("indices:admin/mapping/put"),
        "/_mapping/field/{fields}" | "/{index}/_mapping/field/{fields}" => {
            Indices("indices:admin/mappings/fields/get")
        }
        "/_settings" | "/_settings/{name}" | "/{index}/_settings" | "/{index}/_settings/{name}" if reads => {
            Indices("indices:monitor/settings/get")
        }
        "/_settings" | "/{index}/_settings" => Indices("indices:admin/settings/update"),
        "/{index}" if reads => Indices("indices:admin/get"),
        "/{index}" if deletes => Named("indices:admin/delete"),
        "/{index}" => Index("indices:admin/create"),
        "/{index}/_search" => Indices("indices:data/read/search"),
        "/_search" | "/_msearch" | "/{index}/_msearch" => Inside("indices:data/read/search"),
        "/_mget" | "/{index}/_mget" => Inside("indices:data/read/mget"),
        "/_search/scroll" | "/_search/scroll/{scroll_id}" if deletes => Open,
        "/_search/scroll" | "/_search/scroll/{scroll_id}" => Inside("indices:data/read/scroll"),
        "/{index}/_pit" => Indices("indices:data/read/open_point_in_time"),
        "/_pit" => Open,
        "/_bulk" | "/{index}/_bulk" => Inside("indices:data/write/bulk"),
        "/{index}/_delete_by_query" | "/{index}/_update_by_query" => Inside("indices:data/write/bulk"),
        "/{index}/_doc/{id}" | "/{index}/_source/{id}" if reads => Index("indices:data/read/get"),
        // What exactly is written is the handler's to check.
        "/{index}/_doc/{id}" if deletes => Index("indices:data/write/delete"),
        "/{index}/_doc" | "/{index}/_doc/{id}" | "/{index}/_create/{id}" => Index("indices:data/write/index"),
        "/{index}/_update/{id}" => Index("indices:data/write/update"),
        _ => return None,
    })
}

/// The connector API: each action has the name Elasticsearch gives it, below `cluster:admin/xpack/connector/`.
fn connector(method: &Method, rest: &str) -> Option<Rule> {
    macro_rules! actions {
        ($($method:literal $path:literal => $action:literal,)*) => {
            match (method.as_str(), rest) {
                $(($method, $path) => Some(Rule::Cluster(concat!("cluster:admin/xpack/connector/", $action))),)*
                _ => None,
            }
        };
    }
    actions! {
        "PUT" "/{connector_id}" => "put",
        "PUT" "" => "put",
        "POST" "" => "post",
        "GET" "" => "list",
        "GET" "/{connector_id}" => "get",
        "DELETE" "/{connector_id}" => "delete",
        "PUT" "/{connector_id}/_check_in" => "update_last_seen",
        "PUT" "/{connector_id}/_api_key_id" => "update_api_key_id",
        "PUT" "/{connector_id}/_configuration" => "update_configuration",
        "PUT" "/{connector_id}/_error" => "update_error",
        "PUT" "/{connector_id}/_features" => "update_features",
        "PUT" "/{connector_id}/_filtering" => "update_filtering",
        "PUT" "/{connector_id}/_filtering/_validation" => "update_filtering/draft_validation",
        "PUT" "/{connector_id}/_filtering/_activate" => "update_filtering/activate",
        "PUT" "/{connector_id}/_index_name" => "update_index_name",
        "PUT" "/{connector_id}/_last_sync" => "update_last_sync_stats",
        "PUT" "/{connector_id}/_name" => "update_name",
        "PUT" "/{connector_id}/_native" => "update_native",
        "PUT" "/{connector_id}/_pipeline" => "update_pipeline",
        "PUT" "/{connector_id}/_scheduling" => "update_scheduling",
        "PUT" "/{connector_id}/_service_type" => "update_service_type",
        "PUT" "/{connector_id}/_status" => "update_status",
        "POST" "/_sync_job" => "sync_job/post",
        "GET" "/_sync_job" => "sync_job/list",
        "GET" "/_sync_job/{connector_sync_job_id}" => "sync_job/get",
        "DELETE" "/_sync_job/{connector_sync_job_id}" => "sync_job/delete",
        "PUT" "/_sync_job/{connector_sync_job_id}/_cancel" => "sync_job/cancel",
        "PUT" "/_sync_job/{connector_sync_job_id}/_check_in" => "sync_job/check_in",
        "PUT" "/_sync_job/{connector_sync_job_id}/_claim" => "sync_job/claim",
        "PUT" "/_sync_job/{connector_sync_job_id}/_error" => "sync_job/update_error",
        "PUT" "/_sync_job/{connector_sync_job_id}/_stats" => "sync_job/update_stats",
        "POST" "/_secret" => "secret/post",
        "PUT" "/_secret/{id}" => "secret/put",
        "GET" "/_secret/{id}" => "secret/get",
        "DELETE" "/_secret/{id}" => "secret/delete",
    }
}

/// The route with its check before it.
pub(super) fn guarded(route: Route<Node>) -> Route<Node> {
    let rule = rule(route.method(), route.pattern());
    let closed = format!("no action is known for [{} {}]", route.method(), route.pattern());
    route.checked(move |node: &Node, request| match rule {
        Some(rule) => rule.check(node, request),
        None if matches!(&request.identity, Identity::Key(key) if key.role.is_some()) => {
            Err(crate::security::unauthorized(&request.identity, &closed))
        }
        None => Ok(()),
    })
}

impl Rule {
    fn check(self, node: &Node, request: &mut Request) -> Result<()> {
        match self {
            Self::Open => Ok(()),
            Self::Cluster(action) => check_action(&request.identity, action),
            Self::Inside(action) => check_anywhere(&request.identity, action),
            Self::Named(action) => {
                let names = [request.required_segment("index")?.to_owned()];
                check_names(&node.cluster, &request.identity, action, &names)
            }
            Self::Index(action) => {
                let name = request.required_segment("index")?;
                check_index(&request.identity, action, name)
            }
            Self::Indices(action) => {
                // What is wrong with a parameter is the handler's to say.
                let options = IndicesOptions::default().of(&mut request.params.clone()).unwrap_or_default();
                let named = request.segment("index");
                let narrowed = narrow(&node.cluster, &request.identity, action, named, options)?;
                if let Some(narrowed) = narrowed
                    && Some(narrowed.as_str()) != named
                {
                    request.set_segment("index", narrowed);
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_rule() {
        let missing: Vec<String> = super::super::tables()
            .into_iter()
            .filter(|route| rule(route.method(), route.pattern()).is_none())
            .map(|route| format!("{route:?}"))
            .collect();
        assert!(missing.is_empty(), "routes without a rule: {missing:?}");
    }

    #[test]
    fn what_is_not_known_has_no_rule() {
        assert_eq!(rule(&Method::GET, "/_new"), None);
        assert_eq!(rule(&Method::PUT, "/_cluster/settings"), None);
        assert_eq!(rule(&Method::POST, "/_connector/{connector_id}/_new"), None);
    }
}
