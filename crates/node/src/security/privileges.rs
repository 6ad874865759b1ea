//! Privileges by name, and the actions each grants.
//!
//! A request is an action with a name (`indices:data/read/search`); a privilege is a set of patterns over such names. Names,
//! their order in messages and what they grant are Elasticsearch 9's, taken from what a real one answers to a key without
//! privileges. Names that Elasticsearch knows and that grant nothing this node does are accepted and grant nothing.

/// Cluster privileges, in the order of Elasticsearch's messages.
pub const CLUSTER: &[&str] = &[
    "manage_own_api_key",
    "manage_data_stream_global_retention",
    "monitor_data_stream_global_retention",
    "none",
    "cancel_task",
    "clone_api_key",
    "cross_cluster_replication",
    "cross_cluster_search",
    "delegate_pki",
    "grant_api_key",
    "manage_autoscaling",
    "manage_index_templates",
    "manage_logstash_pipelines",
    "manage_oidc",
    "manage_saml",
    "manage_search_application",
    "manage_search_query_rules",
    "manage_search_synonyms",
    "manage_service_account",
    "manage_token",
    "manage_user_profile",
    "monitor_connector",
    "monitor_enrich",
    "monitor_esql",
    "monitor_inference",
    "monitor_ml",
    "monitor_reindex",
    "monitor_rollup",
    "monitor_snapshot",
    "monitor_stats",
    "monitor_text_structure",
    "monitor_watcher",
    "post_behavioral_analytics_event",
    "read_ccr",
    "read_connector_secrets",
    "read_fleet_secrets",
    "read_ilm",
    "read_pipeline",
    "read_project_routing",
    "read_security",
    "read_slm",
    "transport_client",
    "write_connector_secrets",
    "write_fleet_secrets",
    "create_snapshot",
    "manage_behavioral_analytics",
    "manage_ccr",
    "manage_connector",
    "manage_enrich",
    "manage_ilm",
    "manage_inference",
    "manage_ml",
    "manage_project_routing",
    "manage_reindex",
    "manage_rollup",
    "manage_slm",
    "manage_watcher",
    "monitor_data_frame_transforms",
    "monitor_transform",
    "manage_ingest_pipelines",
    "manage_pipeline",
    "manage_api_key",
    "manage_data_frame_transforms",
    "manage_transform",
    "manage_security",
    "monitor",
    "manage",
    "all",
];

/// Index privileges, in the alphabetical order in which Elasticsearch lists what there is.
pub const INDEX: &[&str] = &[
    "all",
    "auto_configure",
    "create",
    "create_dataset",
    "create_doc",
    "create_index",
    "create_view",
    "cross_cluster_replication",
    "cross_cluster_replication_internal",
    "delete",
    "delete_dataset",
    "delete_index",
    "delete_view",
    "index",
    "maintenance",
    "manage",
    "manage_data_stream_lifecycle",
    "manage_dataset",
    "manage_failure_store",
    "manage_follow_index",
    "manage_ilm",
    "manage_leader_index",
    "manage_view",
    "monitor",
    "none",
    "read",
    "read_cross_cluster",
    "read_dataset_metadata",
    "read_failure_store",
    "read_view_metadata",
    "view_index_metadata",
    "write",
];

/// Index privileges that grant something here, in the order in which messages name them: the narrowest first.
const GRANTING: [&str; 17] = [
    "auto_configure",
    "create_doc",
    "create_index",
    "maintenance",
    "monitor",
    "view_index_metadata",
    "cross_cluster_replication",
    "delete_index",
    "manage_follow_index",
    "create",
    "delete",
    "index",
    "manage",
    "read",
    "write",
    "all",
    "read_cross_cluster",
];

/// `*` at the end stands for everything.
fn any(patterns: &[&str], action: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => action.starts_with(start),
        None => *pattern == action,
    })
}

/// Whether a cluster privilege, or a pattern over actions in its place, grants an action.
pub fn cluster_grants(privilege: &str, action: &str) -> bool {
    const TEMPLATES: [&str; 3] =
        ["indices:admin/template/*", "indices:admin/index_template/*", "cluster:admin/component_template/*"];
    const TEMPLATE_READS: [&str; 3] = [
        "indices:admin/template/get",
        "indices:admin/index_template/get",
        "cluster:admin/component_template/get",
    ];
    match privilege {
        "all" => true,
        "manage" => {
            (action.starts_with("cluster:") && !action.starts_with("cluster:admin/xpack/security/"))
                || any(&TEMPLATES, action)
        }
        "monitor" => action.starts_with("cluster:monitor/") || any(&TEMPLATE_READS, action),
        "manage_index_templates" => any(&TEMPLATES, action),
        "manage_pipeline" | "manage_ingest_pipelines" => any(&["cluster:admin/ingest/pipeline/*"], action),
        "read_pipeline" => {
            any(&["cluster:admin/ingest/pipeline/get", "cluster:admin/ingest/pipeline/simulate"], action)
        }
        "manage_security" => any(&["cluster:admin/xpack/security/*"], action),
        "read_security" => any(&["cluster:admin/xpack/security/api_key/get"], action),
        "manage_api_key" => any(&["cluster:admin/xpack/security/api_key/*"], action),
        // What else it grants depends on whose key it is: see the API key endpoints.
        "manage_own_api_key" => any(&["cluster:admin/xpack/security/api_key/create"], action),
        "manage_connector" => {
            any(&["cluster:admin/xpack/connector/*"], action)
                && !any(&["cluster:admin/xpack/connector/secret/*"], action)
        }
        "monitor_connector" => any(
            &[
                "cluster:admin/xpack/connector/get",
                "cluster:admin/xpack/connector/list",
                "cluster:admin/xpack/connector/sync_job/get",
                "cluster:admin/xpack/connector/sync_job/list",
            ],
            action,
        ),
        "read_connector_secrets" => any(&["cluster:admin/xpack/connector/secret/get"], action),
        "write_connector_secrets" => any(
            &[
                "cluster:admin/xpack/connector/secret/delete",
                "cluster:admin/xpack/connector/secret/post",
                "cluster:admin/xpack/connector/secret/put",
            ],
            action,
        ),
        "cross_cluster_replication" | "cross_cluster_search" => any(&["cluster:monitor/xpack/info"], action),
        pattern => pattern.contains(':') && any(&[pattern], action),
    }
}

/// Whether an index privilege, or a pattern over actions in its place, grants an action.
pub fn index_grants(privilege: &str, action: &str) -> bool {
    match privilege {
        "all" => any(&["indices:*"], action),
        "read" => any(&["indices:data/read/*"], action),
        "write" => any(&["indices:data/write/*"], action),
        "index" => any(
            &["indices:data/write/index*", "indices:data/write/bulk*", "indices:data/write/update*"],
            action,
        ),
        "create" => any(&["indices:data/write/index*", "indices:data/write/bulk*"], action),
        "create_doc" => any(
            &[
                "indices:data/write/index",
                "indices:data/write/index:op_type/create",
                "indices:data/write/bulk*",
            ],
            action,
        ),
        "delete" => any(&["indices:data/write/delete*", "indices:data/write/bulk*"], action),
        "create_index" => any(&["indices:admin/create", "indices:admin/auto_create"], action),
        "auto_configure" => any(&["indices:admin/auto_create"], action),
        "delete_index" => any(&["indices:admin/delete"], action),
        "maintenance" => {
            any(&["indices:admin/refresh*", "indices:admin/flush*", "indices:admin/forcemerge*"], action)
        }
        "monitor" => any(&["indices:monitor/*"], action),
        "view_index_metadata" => any(
            &[
                "indices:admin/aliases/get",
                "indices:admin/exists",
                "indices:admin/get",
                "indices:admin/mappings/get",
                "indices:admin/mappings/fields/get*",
                "indices:admin/validate/query*",
                "indices:data/read/field_caps*",
                "indices:monitor/settings/get",
            ],
            action,
        ),
        "manage" => any(&["indices:monitor/*", "indices:admin/*", "indices:data/read/field_caps*"], action),
        "manage_follow_index" => any(&["indices:admin/close*"], action),
        "cross_cluster_replication" => any(&["indices:monitor/stats"], action),
        pattern => pattern.contains(':') && any(&[pattern], action),
    }
}

/// Names of the cluster privileges that grant an action, for messages.
pub fn cluster_granting(action: &str) -> String {
    let names: Vec<&str> = CLUSTER.iter().copied().filter(|name| cluster_grants(name, action)).collect();
    names.join(",")
}

/// Names of the index privileges that grant an action, for messages.
pub fn index_granting(action: &str) -> String {
    let names: Vec<&str> = GRANTING.into_iter().filter(|name| index_grants(name, action)).collect();
    names.join(",")
}

/// Why there is no such cluster privilege; `None` when there is.
pub fn unknown_cluster(name: &str) -> Option<String> {
    let known = CLUSTER.contains(&name) || name.starts_with("cluster:") || name.starts_with("indices:admin/");
    (!known).then(|| {
        format!(
            "unknown cluster privilege [{name}]. a privilege must be either one of the predefined cluster privilege names \
             [{}] or a pattern over one of the available cluster actions",
            CLUSTER.join(",")
        )
    })
}

/// Why there is no such index privilege; `None` when there is.
pub fn unknown_index(name: &str) -> Option<String> {
    let known = INDEX.contains(&name) || name.starts_with("indices:");
    (!known).then(|| {
        format!(
            "unknown index privilege [{name}]. a privilege must be either one of the predefined fixed indices privileges \
             [{}] or a pattern over one of the available index actions",
            INDEX.join(",")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a real Elasticsearch 9.5.3 names them to a key without privileges.
    #[test]
    fn messages_name_the_granting_privileges_as_elasticsearch() {
        for (action, names) in [
            ("indices:data/read/search", "read,all"),
            ("indices:data/write/bulk", "create_doc,create,delete,index,write,all"),
            ("indices:data/write/index", "create_doc,create,index,write,all"),
            ("indices:data/write/index:op_type/index", "create,index,write,all"),
            ("indices:data/write/update", "index,write,all"),
            ("indices:data/write/delete", "delete,write,all"),
            ("indices:admin/create", "create_index,manage,all"),
            ("indices:admin/auto_create", "auto_configure,create_index,manage,all"),
            ("indices:admin/delete", "delete_index,manage,all"),
            ("indices:admin/mappings/get", "view_index_metadata,manage,all"),
            ("indices:data/read/field_caps", "view_index_metadata,manage,read,all"),
            ("indices:monitor/settings/get", "monitor,view_index_metadata,manage,all"),
            ("indices:monitor/stats", "monitor,cross_cluster_replication,manage,all"),
            ("indices:admin/refresh", "maintenance,manage,all"),
            ("indices:admin/close", "manage_follow_index,manage,all"),
            ("indices:admin/analyze", "manage,all"),
        ] {
            assert_eq!(index_granting(action), names, "{action}");
        }
        for (action, names) in [
            ("cluster:monitor/health", "monitor,manage,all"),
            ("cluster:admin/xpack/license/basic_status", "manage,all"),
            ("indices:admin/index_template/get", "manage_index_templates,monitor,manage,all"),
            ("cluster:admin/component_template/put", "manage_index_templates,manage,all"),
            (
                "cluster:admin/ingest/pipeline/get",
                "read_pipeline,manage_ingest_pipelines,manage_pipeline,manage,all",
            ),
            ("cluster:admin/ingest/pipeline/put", "manage_ingest_pipelines,manage_pipeline,manage,all"),
            (
                "cluster:monitor/xpack/info",
                "cross_cluster_replication,cross_cluster_search,monitor,manage,all",
            ),
            (
                "cluster:admin/xpack/security/api_key/create",
                "manage_own_api_key,manage_api_key,manage_security,all",
            ),
            ("cluster:admin/xpack/security/api_key/get", "read_security,manage_api_key,manage_security,all"),
            ("cluster:admin/xpack/security/api_key/invalidate", "manage_api_key,manage_security,all"),
            ("cluster:admin/analyze", "manage,all"),
        ] {
            assert_eq!(cluster_granting(action), names, "{action}");
        }
    }

    #[test]
    fn connectors_do_not_give_away_secrets() {
        assert!(cluster_grants("manage_connector", "cluster:admin/xpack/connector/put"));
        assert!(!cluster_grants("manage_connector", "cluster:admin/xpack/connector/secret/get"));
        assert!(cluster_grants("monitor_connector", "cluster:admin/xpack/connector/list"));
        assert!(!cluster_grants("monitor_connector", "cluster:admin/xpack/connector/put"));
        assert!(cluster_grants("read_connector_secrets", "cluster:admin/xpack/connector/secret/get"));
        assert!(!cluster_grants("read_connector_secrets", "cluster:admin/xpack/connector/secret/put"));
    }

    #[test]
    fn names_that_grant_nothing_are_known_and_others_are_not() {
        assert_eq!(unknown_cluster("manage_ml"), None);
        assert!(!cluster_grants("manage_ml", "cluster:monitor/health"));
        assert!(!cluster_grants("none", "none"));
        assert!(unknown_cluster("bogus").is_some() && unknown_index("monitor_ml").is_some());
        assert!(index_grants("indices:data/read/*", "indices:data/read/get"));
        assert!(!index_grants("indices:data/read/*", "indices:data/write/index"));
    }
}
