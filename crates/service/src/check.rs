//! What keeps a connector from working, and what to do about it. Asks only; writes nothing.

use std::time::Duration;

use connectors_es_client::protocol_index::Stored;
use connectors_es_client::{EsClient, EsError, License};
use connectors_protocol::connector::{ConnectorDocument, ConnectorStatus};
use connectors_protocol::cron::Schedule;
use connectors_protocol::index_name;
use connectors_protocol::indices::{CONNECTORS_INDEX, JOBS_INDEX};
use connectors_protocol::sync_job::{JobStatus, JobType};
use connectors_sdk::{DataSource, SourceDescriptor};
use jiff::Timestamp;
use serde::Serialize;

use crate::job::usable_pipeline;
use crate::service::{Service, ServiceError};
use crate::source::Surroundings;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, or may; somebody should look.
    Warning,
    /// It does not work.
    Failed,
    /// Not asked: it does not apply here, or another failure comes first.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// What it came to.
    pub result: Verdict,
    /// What was found.
    pub message: String,
    /// What to do about it; only where something is to be done.
    pub fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, result: Verdict::Ok, message: message.into(), fix: None }
    }

    fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, result: Verdict::Skipped, message: message.into(), fix: None }
    }

    fn warning(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, result: Verdict::Warning, message: message.into(), fix: Some(fix.into()) }
    }

    fn failed(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, result: Verdict::Failed, message: message.into(), fix: Some(fix.into()) }
    }
}

/// What the jobs of a connector do in its index.
const INDEX_PRIVILEGES: [&str; 5] = ["read", "write", "create_index", "view_index_metadata", "maintenance"];
/// What a service does in the protocol's indices.
const PROTOCOL_PRIVILEGES: [&str; 3] = ["read", "write", "view_index_metadata"];

impl Service {
    /// Whether the cluster answers, is of a version that we know, takes the credentials, and grants what a service needs. The
    /// first failure is the last finding when nothing further can be asked.
    pub async fn check_cluster(&self) -> Vec<Finding> {
        let client = &self.shared.client;
        let mut found = Vec::new();
        let server = match client.ping().await {
            Ok(server) => server,
            Err(error) => {
                let fix = "start the cluster, or name another: elasticsearch.host, `connectors login`";
                found.push(Finding::failed("cluster", without_hint(&error), error.hint().unwrap_or(fix)));
                return found;
            }
        };
        let name = format!("{} {} at {}", server.distribution, server.version, client.address());
        match server.check_version(false) {
            Ok(_) => found.push(Finding::ok("cluster", name)),
            Err(error) => found.push(Finding::failed(
                "cluster",
                error.to_string(),
                "upgrade the cluster, or set ALLOW_ES_VERSION_MISMATCH=true to try it nevertheless",
            )),
        }
        found.push(credentials(client, "elasticsearch.username and password, or api_key").await);
        let wanted = [(CONNECTORS_INDEX, &PROTOCOL_PRIVILEGES[..]), (JOBS_INDEX, &PROTOCOL_PRIVILEGES[..])];
        found.push(permissions(client, &["monitor"], &wanted).await);
        found
    }

    /// The connector with this id, or all of them; a finding if they cannot be read.
    pub async fn connectors_to_check(
        &self,
        id: Option<&str>,
    ) -> Result<Vec<Stored<ConnectorDocument>>, Finding> {
        const CHECK: &str = "connectors";
        let client = &self.shared.client;
        let found = async {
            if let Some(id) = id {
                return Ok(vec![self.connector(id).await?]);
            }
            if !client.index_exists(CONNECTORS_INDEX).await? {
                return Ok(Vec::new());
            }
            client.refresh(CONNECTORS_INDEX).await?;
            Ok(self.shared.connectors.all().await?)
        };
        found.await.map_err(|error: ServiceError| match error {
            ServiceError::Elasticsearch(error) => refused(CHECK, &error),
            error => Finding::failed(CHECK, error.to_string(), "connectors connector list"),
        })
    }

    /// Everything about one connector.
    pub async fn check_connector(&self, connector: &Stored<ConnectorDocument>) -> Vec<Finding> {
        let document = &connector.document;
        let mut found = self.check_source(connector).await;
        match self.data_client(Some(&connector.id)) {
            Ok(client) => {
                let own = format!("api_key of connector {} in the service's connectors", connector.id);
                found.push(credentials(&client, &own).await);
                found.extend(check_index(&client, connector).await);
                found.push(self.check_pipeline(&client, connector).await);
            }
            Err(error) => {
                found.push(Finding::failed(
                    "credentials",
                    error.to_string(),
                    "correct the configuration file",
                ));
            }
        }
        found.push(self.check_licence(connector).await);
        found.extend(check_schedules(connector));
        found.push(self.check_seen(document));
        found.extend(check_status(connector));
        found.extend(self.check_unwritten(connector).await);
        found
    }

    async fn check_source(&self, connector: &Stored<ConnectorDocument>) -> Vec<Finding> {
        let document = &connector.document;
        let configure = format!("connectors connector configure {}", connector.id);
        let descriptor = match self.source_of(connector) {
            Ok(descriptor) => descriptor,
            Err(error) => {
                let fix = "give it a service type that `connectors source list` prints, or name one in sources: of the configuration file";
                return vec![Finding::failed("source", error.to_string(), fix)];
            }
        };
        let mut found = vec![Finding::ok("source", descriptor.name.clone())];
        if !document.status.can_be_scheduled() {
            let message = format!("the connector is {}: nobody has filled in its fields", document.status);
            found.push(Finding::failed("configuration", message, configure));
            return found;
        }
        let source = match self.make_source(descriptor, &document.configuration, Surroundings::of(connector))
        {
            Ok(source) => source,
            Err(error) => {
                found.push(Finding::failed("configuration", error.to_string(), configure));
                return found;
            }
        };
        if let Err(error) = source.validate().await {
            found.push(Finding::failed("configuration", error.to_string(), configure));
            return found;
        }
        found.push(Finding::ok("configuration", format!("{} fields", document.configuration.0.len())));
        match source.ping().await {
            Ok(()) => found.push(Finding::ok("reachable", "the source answers")),
            Err(error) => {
                let fix =
                    format!("make the source answer from this machine, or correct its address: {configure}");
                found.push(Finding::failed("reachable", error.to_string(), fix));
            }
        }
        found.push(self.check_rules(connector, descriptor, source.as_ref()).await);
        found
    }

    async fn check_rules(
        &self,
        connector: &Stored<ConnectorDocument>,
        descriptor: &SourceDescriptor,
        source: &dyn DataSource,
    ) -> Finding {
        let Some(active) = connector.document.filtering.active() else {
            return Finding::ok("sync rules", "none");
        };
        let fix = format!("connectors rules set {id}, then connectors rules apply {id}", id = connector.id);
        match crate::rules::validate(active, descriptor, source).await {
            Ok(result) if crate::rules::is_valid(&result) => {
                Finding::ok("sync rules", format!("{} besides the default one", active.own_rules()))
            }
            Ok(result) => {
                let errors: Vec<String> =
                    result.errors.iter().map(|error| error.messages.join("; ")).collect();
                Finding::failed("sync rules", errors.join("; "), fix)
            }
            Err(error) => Finding::failed("sync rules", error.to_string(), fix),
        }
    }

    async fn check_pipeline(&self, client: &EsClient, connector: &Stored<ConnectorDocument>) -> Finding {
        const CHECK: &str = "pipeline";
        let wanted = &connector.document.pipeline;
        match usable_pipeline(client, &self.shared.client, wanted).await {
            Ok(usable) if usable.name.is_empty() => {
                Finding::ok(CHECK, "none: documents are written as they are")
            }
            Ok(usable) => Finding::ok(CHECK, usable.name),
            Err(ServiceError::Elasticsearch(error)) => refused(CHECK, &error),
            Err(error) => {
                let fix = format!(
                    "PUT _ingest/pipeline/{}, or name another in the connector's pipeline",
                    wanted.name
                );
                Finding::failed(CHECK, error.to_string(), fix)
            }
        }
    }

    /// Documents that the newest job could not write: it may have completed nevertheless.
    async fn check_unwritten(&self, connector: &Stored<ConnectorDocument>) -> Option<Finding> {
        const CHECK: &str = "documents";
        let newest = match self.shared.jobs.list(Some(&connector.id), 0, 1).await {
            Ok(page) => page.jobs.into_iter().next()?,
            // There may be no index of jobs yet.
            Err(error) if error.is_not_found() => return None,
            Err(error) => return Some(refused(CHECK, &error)),
        };
        let metadata = &newest.document.metadata;
        let counters = metadata.get("counters")?;
        let counted = ["dead_letters", "bulk_item_responses.delete.result_errors"];
        let count: u64 = counted.iter().filter_map(|counter| counters[*counter].as_u64()).sum();
        if count == 0 {
            return None;
        }
        let reason = metadata.get("dead_letters").and_then(|letters| letters[0]["reason"].as_str());
        Some(Finding::warning(
            CHECK,
            format!(
                "the last sync could not write or delete {count}: {}",
                reason.unwrap_or("no reason was kept")
            ),
            format!("connectors job view {}", newest.id),
        ))
    }

    async fn check_licence(&self, connector: &Stored<ConnectorDocument>) -> Finding {
        const CHECK: &str = "licence";
        let source = self.source_of(connector).and_then(|descriptor| {
            self.make_source(descriptor, &connector.document.configuration, Surroundings::of(connector))
        });
        if !source.is_ok_and(|source| source.restricts_access()) {
            return Finding::skipped(CHECK, "no document level security, which alone needs one");
        }
        match self.shared.client.capabilities().await {
            Ok(found) if found.license >= License::Platinum => {
                Finding::ok(CHECK, format!("{:?}", found.license).to_lowercase())
            }
            Ok(found) => Finding::failed(
                CHECK,
                format!(
                    "document level security needs a platinum licence, the cluster's is {}",
                    format!("{:?}", found.license).to_lowercase()
                ),
                "upgrade the licence, or switch document level security off in the connector's configuration",
            ),
            Err(error) => {
                Finding::failed(CHECK, error.to_string(), "let these credentials monitor the cluster")
            }
        }
    }

    fn check_seen(&self, document: &ConnectorDocument) -> Finding {
        const CHECK: &str = "service";
        let fix = "start elastic-ingest with this connector among its connectors or service_types; `connectors sync` needs none";
        let Some(seen) = document.last_seen else {
            return Finding::warning(CHECK, "no service has looked after this connector yet", fix);
        };
        let settings = &self.shared.config.service;
        let ago =
            Duration::from_secs((Timestamp::now().as_second() - seen.as_second()).max(0).unsigned_abs());
        if ago > settings.heartbeat * 2 + settings.idling {
            return Finding::warning(
                CHECK,
                format!("last seen {seen:.0}, {} minutes ago", ago.as_secs() / 60),
                fix,
            );
        }
        Finding::ok(CHECK, format!("last seen {seen:.0}"))
    }
}

async fn credentials(client: &EsClient, which: &str) -> Finding {
    const CHECK: &str = "credentials";
    match client.authenticated_as().await {
        Ok(user) => Finding::ok(CHECK, user),
        Err(error) if error.is_unknown_api() => {
            Finding::skipped(CHECK, "the cluster asks nobody for credentials")
        }
        Err(error) => Finding::failed(CHECK, without_hint(&error), format!("correct {which}")),
    }
}

async fn permissions(client: &EsClient, cluster: &[&str], indices: &[(&str, &[&str])]) -> Finding {
    const CHECK: &str = "permissions";
    match client.missing_privileges(cluster, indices).await {
        Ok(missing) if missing.is_empty() => Finding::ok(CHECK, "all that is needed"),
        Ok(missing) => Finding::failed(
            CHECK,
            format!("missing: {}", missing.join("; ")),
            "grant them to the role of this user or API key, or use another one",
        ),
        Err(error) if error.is_unknown_api() => Finding::skipped(CHECK, "the cluster has no permissions"),
        Err(error) => refused(CHECK, &error),
    }
}

fn refused(check: &'static str, error: &EsError) -> Finding {
    Finding::failed(check, without_hint(error), error.hint().unwrap_or("look at the log of the cluster"))
}

/// An error's text without what to do, which a finding says apart.
fn without_hint(error: &EsError) -> String {
    let text = error.to_string();
    let hint = error.hint().map(|hint| format!(" — {hint}")).unwrap_or_default();
    text.strip_suffix(&hint).unwrap_or(&text).to_owned()
}

async fn check_index(client: &EsClient, connector: &Stored<ConnectorDocument>) -> Vec<Finding> {
    const CHECK: &str = "index";
    let Some(index) = connector.document.index_name.as_deref().filter(|name| !name.is_empty()) else {
        let fix = format!("connectors connector delete {}, and create it with --index-name", connector.id);
        return vec![Finding::failed(CHECK, "the connector has no index to write to", fix)];
    };
    if let Err(error) = index_name::check(index) {
        let fix = "make another connector, with another index";
        return vec![Finding::failed(CHECK, error.to_string(), fix)];
    }
    let mut found = vec![permissions(client, &["monitor"], &[(index, &INDEX_PRIVILEGES[..])]).await];
    let counted = async {
        // Not everybody may see what is behind a name; the count alone is enough to go on.
        let behind: Vec<String> =
            client.indices_of(index).await.map(|found| found.into_keys().collect()).unwrap_or_default();
        let count =
            if client.index_exists(index).await? { Some(client.count(index, None).await?) } else { None };
        Ok((count, behind))
    };
    found.push(match counted.await {
        Ok((Some(_), behind)) if behind.len() > 1 => {
            let message = format!("{index} is an alias of {} indices: {}", behind.len(), behind.join(", "));
            let fix = format!(
                "take all but one out of the alias: a sync reads and writes all that is behind {index}"
            );
            Finding::failed(CHECK, message, fix)
        }
        Ok((Some(count), behind)) => {
            let alias = behind.first().filter(|behind| *behind != index);
            let alias = alias.map(|behind| format!(", an alias of {behind}")).unwrap_or_default();
            Finding::ok(CHECK, format!("{index}{alias}, {count} documents"))
        }
        Ok((None, _)) => Finding::ok(CHECK, format!("{index}, which the next sync makes")),
        Err(error) => refused(CHECK, &error),
    });
    found
}

fn check_schedules(connector: &Stored<ConnectorDocument>) -> Option<Finding> {
    const CHECK: &str = "schedule";
    let (id, document) = (&connector.id, &connector.document);
    let on: Vec<JobType> =
        JobType::ALL.into_iter().filter(|job_type| document.scheduling.of(*job_type).enabled).collect();
    for job_type in &on {
        let interval = document.scheduling.of(*job_type).interval.as_deref().unwrap_or_default();
        if let Err(error) = Schedule::parse(interval) {
            let flag = job_type.name().replace('_', "-");
            let fix = format!("connectors connector schedule {id} --{flag} \"0 0 2 * * ?\"");
            return Some(Finding::failed(CHECK, format!("{job_type}: {error}"), fix));
        }
    }
    let names: Vec<&str> = on.iter().map(|job_type| job_type.name()).collect();
    (!names.is_empty()).then(|| Finding::ok(CHECK, names.join(", ")))
}

/// How the last syncs ended, and what the service wrote into the connector.
fn check_status(connector: &Stored<ConnectorDocument>) -> Vec<Finding> {
    let document = &connector.document;
    let mut found = Vec::new();
    let families = [
        ("last sync", document.last_sync_status, &document.last_sync_error),
        (
            "last access control sync",
            document.last_access_control_sync_status,
            &document.last_access_control_sync_error,
        ),
    ];
    for (check, status, error) in families {
        match status {
            None if check == "last sync" => found.push(Finding::skipped(check, "none yet")),
            None => {}
            Some(JobStatus::Error) => found.push(Finding::failed(
                check,
                error.clone().unwrap_or_else(|| "it failed without saying why".to_owned()),
                format!("correct that, then connectors job start -i {} --watch", connector.id),
            )),
            Some(status) => {
                let at = document.last_synced.map(|at| format!(", {at:.0}")).unwrap_or_default();
                found.push(Finding::ok(check, format!("{status}{at}")));
            }
        }
    }
    let known = found.iter().any(|finding| Some(&finding.message) == document.error.as_ref());
    if document.status == ConnectorStatus::Error && !known {
        found.push(Finding::failed(
            "status",
            document.error.clone().unwrap_or_else(|| "error, without a reason".to_owned()),
            "correct that; the service looks again at its next turn",
        ));
    }
    found
}
