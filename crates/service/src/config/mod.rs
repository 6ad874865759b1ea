//! `config.yml`: the peer's keys and defaults, nested or dotted, with `${ENV}` references.
//!
//! Bad input is refused with file, line and key; keys nobody reads are warned about with the nearest known key.

mod document;
pub mod entry;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use document::Document;
use reader::Reader;

/// Why a configuration file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be opened.
    #[error("{}: cannot be read: {message}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// Not YAML.
    #[error("{}:{line}: not valid YAML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// A value of the wrong type or out of its range.
    #[error("{}:{line}: {key}: expected {expected}, found {found}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// Line, from 1; 0 when the key is absent.
        line: usize,
        /// Dotted key.
        key: String,
        /// What would be right.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The same key twice, perhaps once nested and once dotted.
    #[error("{}:{line}: {key}: already set in line {earlier}; keep one of the two", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// Line of the second.
        line: usize,
        /// Dotted key.
        key: String,
        /// Line of the first.
        earlier: usize,
    },
    /// `${NAME}` and no such variable.
    #[error("{}:{line}: {key}: the environment variable {name} is not set; set it or give a default: ${{{name}|value}}", path.display())]
    Environment {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Dotted key.
        key: String,
        /// The variable.
        name: String,
    },
}

/// Something worth telling that does not stop the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(String);

impl Warning {
    fn unknown_key(path: &Path, line: usize, key: &str, nearest: Option<&str>) -> Self {
        let hint = nearest.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
        Self(format!("{}:{line}: {key}: unknown key, ignored{hint}", path.display()))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The whole configuration, defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from; `None` when there is none.
    pub path: Option<PathBuf>,
    /// `elasticsearch.*`
    pub elasticsearch: Elasticsearch,
    /// `service.*`
    pub service: Service,
    /// `extraction_service.*`, when present.
    pub extraction_service: Option<ExtractionService>,
    /// `connectors`, with the legacy `connector_id`/`service_type` pair added.
    pub connectors: Vec<ConnectorEntry>,
    /// `sources`: service type → implementation.
    pub sources: BTreeMap<String, String>,
    /// What to tell the operator.
    pub warnings: Vec<Warning>,
}

/// `elasticsearch.*`: where to write and how hard to try.
#[derive(Debug, Clone)]
pub struct Elasticsearch {
    /// Run the node of this program instead of reaching for `host`.
    pub embedded: Option<Embedded>,
    /// URL.
    pub host: String,
    /// Use the connector API for signs of life and figures where the cluster has it (`feature_use_connectors_api`).
    pub use_connectors_api: bool,
    /// Basic authentication.
    pub username: String,
    /// Basic authentication.
    pub password: SecretString,
    /// API key; wins over `username`.
    pub api_key: Option<SecretString>,
    /// Whether `verify_certs` and `ca_certs` apply.
    pub ssl: bool,
    /// Verify the server's certificate.
    pub verify_certs: bool,
    /// PEM file of authorities to trust.
    pub ca_certs: Option<PathBuf>,
    /// Limit of one request.
    pub request_timeout: Duration,
    /// Limit of waiting for a server that is not there yet.
    pub max_wait_duration: Duration,
    /// Retry requests that timed out.
    pub retry_on_timeout: bool,
    /// Attempts after the first.
    pub max_retries: u32,
    /// Wait before retry n is n times this.
    pub retry_interval: Duration,
    /// First wait for a server that is not there yet.
    pub initial_backoff: Duration,
    /// Factor from one such wait to the next.
    pub backoff_multiplier: f64,
    /// Further request headers.
    pub headers: BTreeMap<String, String>,
    /// Send request bodies compressed (ours; the peer does not).
    pub compress: bool,
    /// `elasticsearch.bulk.*`
    pub bulk: Bulk,
}

/// `elasticsearch.embedded.*`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// Data folder.
    pub path: PathBuf,
    /// Port on 127.0.0.1. `None`: 9200 if free, else any.
    pub port: Option<u16>,
}

/// `elasticsearch.bulk.*`
#[derive(Debug, Clone)]
#[allow(missing_docs)] // the peer's keys; docs/configuration.md describes them
pub struct Bulk {
    pub queue_max_size: usize,
    pub queue_max_bytes: u64,
    pub display_every: u64,
    pub chunk_size: usize,
    pub chunk_max_bytes: u64,
    pub max_text_document_bytes: u64,
    pub max_concurrency: usize,
    pub concurrent_downloads: usize,
    pub max_retries: u32,
    pub retry_interval: Duration,
    pub enable_operations_logging: bool,
    pub error_monitor: ErrorMonitor,
}

/// `elasticsearch.bulk.error_monitor.*`
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct ErrorMonitor {
    pub enabled: bool,
    pub max_total_errors: u64,
    pub max_consecutive_errors: u64,
    pub max_error_rate: f64,
    pub error_window_size: usize,
    pub error_queue_size: usize,
}

/// `service.*`
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Service {
    pub worker_mode: bool,
    pub service_types: Vec<String>,
    pub idling: Duration,
    pub heartbeat: Duration,
    pub preflight_max_attempts: usize,
    pub preflight_idle: Duration,
    pub max_errors: u64,
    pub max_errors_span: Duration,
    pub max_concurrent_content_syncs: usize,
    pub max_concurrent_access_control_syncs: usize,
    pub max_concurrent_scheduling_tasks: usize,
    pub max_file_download_bytes: u64,
    pub job_cleanup_interval: Duration,
    /// Make a job at start for a schedule that was due while no service ran (ours).
    pub catch_up: bool,
    pub log_level: String,
}

/// `extraction_service.*`
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct ExtractionService {
    pub host: String,
    pub timeout: Duration,
    pub use_file_pointers: bool,
    pub stream_chunk_size: u64,
    pub shared_volume_dir: PathBuf,
}

/// One of `connectors`.
#[derive(Debug, Clone)]
pub struct ConnectorEntry {
    /// Document id in `.elastic-connectors`.
    pub connector_id: String,
    /// Expected service type.
    pub service_type: Option<String>,
    /// Replaces the credentials for this connector's jobs.
    pub api_key: Option<SecretString>,
}

impl Config {
    /// Reads a file, with `${NAME}` from the process environment.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), message: error.to_string() })?;
        Self::parse(path, &text, &|name| std::env::var(name).ok())
    }

    /// What holds without a file: every default, on the embedded node in `data`.
    pub fn embedded(data: &Path) -> Self {
        let mut config = Self::read(&Document::default()).expect("an empty document has no wrong values");
        config.elasticsearch.embedded = Some(Embedded { path: data.join("node"), port: None });
        config
    }

    /// Reads YAML text; `path` is for messages, `environment` answers `${NAME}`.
    pub fn parse(
        path: &Path,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::read(&Document::parse(path, text, environment)?)?;
        config.path = Some(path.to_owned());
        Ok(config)
    }

    fn read(document: &Document) -> Result<Self, ConfigError> {
        Self::read_with_keys(document).map(|(config, _)| config)
    }

    /// The configuration and every key that was asked for.
    fn read_with_keys(document: &Document) -> Result<(Self, BTreeSet<String>), ConfigError> {
        let mut reader = Reader::new(document);
        let r = &mut reader;
        let elasticsearch = read_elasticsearch(r)?;
        let service = read_service(r)?;
        let extraction_service = read_extraction_service(r)?;
        let connectors = read_connectors(r)?;
        let sources = r.text_map("sources")?;
        let warnings = reader.unknown();
        let config =
            Self { path: None, elasticsearch, service, extraction_service, connectors, sources, warnings };
        Ok((config, reader.into_known()))
    }
}

fn read_elasticsearch(r: &mut Reader<'_>) -> Result<Elasticsearch, ConfigError> {
    let embedded = r.has("elasticsearch.embedded");
    let path = r.text("elasticsearch.embedded.path")?;
    let port = match r.count("elasticsearch.embedded.port", 0)? {
        0 => None,
        port => Some(
            u16::try_from(port).map_err(|_| r.error("elasticsearch.embedded.port", "a port up to 65535"))?,
        ),
    };
    let embedded = embedded.then(|| Embedded {
        path: path.map_or_else(|| crate::data_folder().join("node"), PathBuf::from),
        port,
    });
    let mut host = r.text("elasticsearch.host")?.unwrap_or_else(|| "http://localhost:9200".to_owned());
    let ssl = r.flag("elasticsearch.ssl", true)?;
    if !host.contains("://") {
        host = format!("{}://{host}", if ssl { "https" } else { "http" });
    }
    // Accepted from the peer's files; our log level is one for the whole program.
    r.text("elasticsearch.log_level")?;
    Ok(Elasticsearch {
        embedded,
        host,
        use_connectors_api: r.flag("elasticsearch.feature_use_connectors_api", true)?,
        username: r.text("elasticsearch.username")?.unwrap_or_else(|| "elastic".to_owned()),
        password: r.secret("elasticsearch.password")?.unwrap_or_else(|| "changeme".into()),
        api_key: r.secret("elasticsearch.api_key")?,
        ssl,
        verify_certs: r.flag("elasticsearch.verify_certs", true)?,
        ca_certs: r.text("elasticsearch.ca_certs")?.map(PathBuf::from),
        request_timeout: r.seconds("elasticsearch.request_timeout", 240.0)?,
        max_wait_duration: r.seconds("elasticsearch.max_wait_duration", 240.0)?,
        retry_on_timeout: r.flag("elasticsearch.retry_on_timeout", true)?,
        max_retries: read_retries(r, "elasticsearch.max_retries")?,
        retry_interval: r.seconds("elasticsearch.retry_interval", 10.0)?,
        initial_backoff: r.seconds("elasticsearch.initial_backoff_duration", 1.0)?,
        backoff_multiplier: r.factor("elasticsearch.backoff_multiplier", 2.0)?,
        headers: r.text_map("elasticsearch.headers")?,
        compress: r.flag("elasticsearch.compress", false)?,
        bulk: read_bulk(r)?,
    })
}

fn read_retries(r: &mut Reader<'_>, key: &str) -> Result<u32, ConfigError> {
    u32::try_from(r.count(key, 5)?).map_err(|_| r.error(key, "a smaller number"))
}

fn read_bulk(r: &mut Reader<'_>) -> Result<Bulk, ConfigError> {
    // The peer's in-memory queue polls and times out; ours waits for room, so these two change nothing.
    r.seconds("elasticsearch.bulk.queue_refresh_interval", 1.0)?;
    r.seconds("elasticsearch.bulk.queue_refresh_timeout", 1300.0)?;
    let monitor = "elasticsearch.bulk.error_monitor";
    Ok(Bulk {
        queue_max_size: r.positive("elasticsearch.bulk.queue_max_size", 1024)?,
        queue_max_bytes: r.mebibytes("elasticsearch.bulk.queue_max_mem_size", 25.0)?,
        display_every: r.count("elasticsearch.bulk.display_every", 100)?,
        chunk_size: r.positive("elasticsearch.bulk.chunk_size", 500)?,
        chunk_max_bytes: r.mebibytes("elasticsearch.bulk.chunk_max_mem_size", 3.0)?,
        max_text_document_bytes: r.mebibytes("elasticsearch.bulk.max_text_document_size", 3.0)?,
        max_concurrency: r.positive("elasticsearch.bulk.max_concurrency", 5)?,
        concurrent_downloads: r.positive("elasticsearch.bulk.concurrent_downloads", 10)?,
        max_retries: read_retries(r, "elasticsearch.bulk.max_retries")?,
        retry_interval: r.seconds("elasticsearch.bulk.retry_interval", 10.0)?,
        enable_operations_logging: r.flag("elasticsearch.bulk.enable_operations_logging", false)?,
        error_monitor: ErrorMonitor {
            enabled: r.flag(&format!("{monitor}.enabled"), true)?,
            max_total_errors: r.count(&format!("{monitor}.max_total_errors"), 1000)?,
            max_consecutive_errors: r.count(&format!("{monitor}.max_consecutive_errors"), 10)?,
            max_error_rate: r.factor(&format!("{monitor}.max_error_rate"), 0.15)?,
            error_window_size: r.positive(&format!("{monitor}.error_window_size"), 100)?,
            error_queue_size: r.positive(&format!("{monitor}.error_queue_size"), 10)?,
        },
    })
}

fn read_service(r: &mut Reader<'_>) -> Result<Service, ConfigError> {
    if r.flag("service.fips_mode", false)? {
        return Err(r.error("service.fips_mode", "false (this build's TLS library is not FIPS-validated)"));
    }
    let log_level = r.text("service.log_level")?.unwrap_or_else(|| "INFO".to_owned());
    if crate::logging::Level::parse(&log_level).is_none() {
        return Err(r.error("service.log_level", "DEBUG, INFO, WARNING, ERROR or CRITICAL"));
    }
    // One tool may be started for several versions of the peer's file.
    r.text("service._use_native_connector_api_keys")?;
    Ok(Service {
        worker_mode: r.flag("service.worker_mode", false)?,
        service_types: r.texts("service.service_types")?,
        idling: r.seconds("service.idling", 30.0)?,
        heartbeat: r.seconds("service.heartbeat", 300.0)?,
        preflight_max_attempts: r.positive("service.preflight_max_attempts", 10)?,
        preflight_idle: r.seconds("service.preflight_idle", 30.0)?,
        max_errors: r.count("service.max_errors", 20)?,
        max_errors_span: r.seconds("service.max_errors_span", 600.0)?,
        max_concurrent_content_syncs: r.positive("service.max_concurrent_content_syncs", 1)?,
        max_concurrent_access_control_syncs: r.positive("service.max_concurrent_access_control_syncs", 1)?,
        max_concurrent_scheduling_tasks: r.positive("service.max_concurrent_scheduling_tasks", 4)?,
        max_file_download_bytes: r.count("service.max_file_download_size", 10_485_760)?,
        job_cleanup_interval: r.seconds("service.job_cleanup_interval", 300.0)?,
        catch_up: r.flag("service.catch_up", true)?,
        log_level,
    })
}

fn read_extraction_service(r: &mut Reader<'_>) -> Result<Option<ExtractionService>, ConfigError> {
    let Some(host) = r.text("extraction_service.host")? else { return Ok(None) };
    Ok(Some(ExtractionService {
        host,
        timeout: r.seconds("extraction_service.timeout", 30.0)?,
        use_file_pointers: r.flag("extraction_service.use_file_pointers", false)?,
        stream_chunk_size: r.count("extraction_service.stream_chunk_size", 65_536)?,
        shared_volume_dir: r
            .text("extraction_service.shared_volume_dir")?
            .unwrap_or_else(|| "/app/files".to_owned())
            .into(),
    }))
}

fn read_connectors(r: &mut Reader<'_>) -> Result<Vec<ConnectorEntry>, ConfigError> {
    let mut connectors = Vec::new();
    for (_, item) in r.objects("connectors")? {
        let field = |name: &str| match item.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(()),
        };
        let wrong =
            |name: &str, r: &Reader<'_>| r.error("connectors", &format!("text as {name} of each entry"));
        let known = ["connector_id", "service_type", "api_key"];
        if let Some(odd) = item.as_object().and_then(|o| o.keys().find(|key| !known.contains(&key.as_str())))
        {
            return Err(r.error("connectors", &format!("only {} in an entry, not {odd}", known.join(", "))));
        }
        let connector_id = field("connector_id").ok().flatten().ok_or_else(|| wrong("connector_id", r))?;
        connectors.push(ConnectorEntry {
            connector_id,
            service_type: field("service_type").map_err(|()| wrong("service_type", r))?,
            api_key: field("api_key").map_err(|()| wrong("api_key", r))?.map(SecretString::from),
        });
    }
    let legacy_id = r.text("connector_id")?;
    let legacy_type = r.text("service_type")?;
    if let Some(connector_id) = legacy_id
        && !connectors.iter().any(|entry| entry.connector_id == connector_id)
    {
        connectors.push(ConnectorEntry { connector_id, service_type: legacy_type, api_key: None });
    }
    Ok(connectors)
}
