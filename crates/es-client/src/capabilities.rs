//! What kind of server answers, and what it can do.

use std::fmt;

use connectors_transport::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{EsClient, EsRequest, Repeat};
use crate::error::{EsError, EsErrorKind};
use crate::path::path;

/// The oldest Elasticsearch that this client is made for: `_connector` with all the calls we make, and the
/// `.elastic-connectors-v1` mappings we write.
const OLDEST: Version = Version { major: 9, minor: 0, patch: 0 };

/// The newest Elasticsearch that our scenarios run on.
const NEWEST_TESTED: Version = Version { major: 9, minor: 5, patch: u32::MAX };

/// The version of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Changes with what is incompatible.
    pub major: u32,
    /// Changes with new features.
    pub minor: u32,
    /// Changes with fixes.
    pub patch: u32,
}

impl Version {
    /// Reads `9.5.3`, `9.6.0-SNAPSHOT` or `9.1`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('-').next()?.splitn(3, '.').map(|part| part.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        let patch = numbers.next().unwrap_or(Some(0))?;
        Some(Self { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Which software a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Elasticsearch, self-managed or hosted.
    Elasticsearch,
    /// Elasticsearch Serverless: no version of its own, some APIs are missing.
    Serverless,
    /// `OpenSearch`: no connectors API, no licence.
    OpenSearch,
    /// The embedded node.
    Embedded,
}

impl fmt::Display for Distribution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Elasticsearch => "Elasticsearch",
            Self::Serverless => "Elasticsearch Serverless",
            Self::OpenSearch => "OpenSearch",
            Self::Embedded => "the embedded node",
        })
    }
}

/// What a server says about itself at `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its software.
    pub distribution: Distribution,
    /// Its version.
    pub version: Version,
    /// The name of the cluster.
    pub cluster_name: String,
    /// The identity of the cluster.
    pub cluster_uuid: String,
}

/// The outcome of [`ServerInfo::check_version`] when it is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionCheck {
    /// We are tested with this version.
    Tested,
    /// Newer than what we are tested with; worth a warning.
    Newer,
    /// Versions mean nothing here (serverless, `OpenSearch`, the embedded node), or the operator does not want to know.
    Skipped,
}

impl ServerInfo {
    /// Whether we work with this version. Elasticsearch must have our major version and at least our oldest minor
    /// version; a newer minor version is worth a warning only, because it keeps the APIs of its major version.
    ///
    /// Serverless has no version to compare, `OpenSearch` counts differently and is told apart by capabilities, and the
    /// embedded node is of our own version. `allow_mismatch` is the environment variable
    /// `ALLOW_ES_VERSION_MISMATCH`, for operators who tried it.
    pub fn check_version(&self, allow_mismatch: bool) -> Result<VersionCheck, EsError> {
        if allow_mismatch || self.distribution != Distribution::Elasticsearch {
            return Ok(VersionCheck::Skipped);
        }
        if self.version.major != OLDEST.major || self.version < OLDEST {
            return Err(EsError::new(
                EsErrorKind::Unsupported,
                format!(
                    "this is Elasticsearch {}, but Elasticsearch {}.x from {}.{} on is needed; \
                     set ALLOW_ES_VERSION_MISMATCH=true to try it nevertheless",
                    self.version, OLDEST.major, OLDEST.major, OLDEST.minor
                ),
            ));
        }
        Ok(if self.version > NEWEST_TESTED { VersionCheck::Newer } else { VersionCheck::Tested })
    }
}

/// The subscription a cluster has; each level includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum License {
    /// None, or an expired one.
    None,
    /// Free of charge.
    Basic,
    /// Gold.
    Gold,
    /// Platinum: from here on with document level security.
    Platinum,
    /// Enterprise.
    Enterprise,
    /// Everything, for a month.
    Trial,
}

impl License {
    fn parse(answer: &Value) -> Self {
        if answer["license"]["status"] != "active" {
            return Self::None;
        }
        match answer["license"]["type"].as_str() {
            // "standard" is what some basic licences of old clusters are called.
            Some("basic" | "standard") => Self::Basic,
            Some("gold") => Self::Gold,
            Some("platinum") => Self::Platinum,
            Some("enterprise") => Self::Enterprise,
            Some("trial") => Self::Trial,
            _ => Self::None,
        }
    }
}

/// What a server can do, as far as it matters to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// What the server says about itself.
    pub server: ServerInfo,
    /// Whether the connectors API (`_connector`) is there, and these credentials may use it. Without it, the protocol
    /// indices are read and written directly.
    pub connectors_api: bool,
    /// Whether bulk requests can name an ingest pipeline.
    pub ingest_pipelines: bool,
    /// The licence, as [`EsClient::license`] says.
    pub license: License,
}

impl EsClient {
    /// Asks the server what it is: one attempt, so that a caller can tell at once that it is not there. An error when
    /// it is neither Elasticsearch nor `OpenSearch`.
    pub async fn ping(&self) -> Result<ServerInfo, EsError> {
        self.info(Repeat::Never).await
    }

    /// Asks the server what it is and what it can do.
    pub async fn capabilities(&self) -> Result<Capabilities, EsError> {
        let server = self.info(Repeat::Always).await?;
        let (connectors_api, ingest_pipelines, license) =
            tokio::try_join!(self.connectors_api(&server), self.ingest_pipelines(), self.license(&server))?;
        Ok(Capabilities { server, connectors_api, ingest_pipelines, license })
    }

    async fn info(&self, repeat: Repeat) -> Result<ServerInfo, EsError> {
        let answer = self.send(EsRequest::new(Method::GET, "/").repeat(repeat)).await?;
        let product = answer.headers.get("x-elastic-product").is_some_and(|name| name == "Elasticsearch");
        let not_ours = || {
            EsError::new(
                EsErrorKind::Unsupported,
                format!(
                    "the server at {} is neither Elasticsearch nor OpenSearch: check elasticsearch.host",
                    self.address()
                ),
            )
        };
        let root: Root = answer.json().map_err(|error| if product { error } else { not_ours() })?;
        let distribution = match (root.version.distribution.as_deref(), root.version.build_flavor.as_deref())
        {
            (Some("opensearch"), _) => Distribution::OpenSearch,
            _ if !product => return Err(not_ours()),
            _ if root.version.build_type.as_deref() == Some("embedded") => Distribution::Embedded,
            (_, Some("serverless")) => Distribution::Serverless,
            _ => Distribution::Elasticsearch,
        };
        let version = Version::parse(&root.version.number)
            .ok_or_else(|| answer.invalid("the server's version is not a version"))?;
        Ok(ServerInfo {
            distribution,
            version,
            cluster_name: root.cluster_name,
            cluster_uuid: root.cluster_uuid,
        })
    }

    /// Whether this server has the connectors API (`_connector`), and these credentials may use it.
    pub async fn connectors_api(&self, server: &ServerInfo) -> Result<bool, EsError> {
        if server.distribution == Distribution::OpenSearch {
            return Ok(false);
        }
        let request =
            EsRequest::new(Method::GET, "/_connector").query("size", "1").accept(&[400, 403, 404, 405]);
        let answer = self.send(request).await?;
        Ok(match answer.status {
            200..=299 => true,
            // The API is there, but the index behind it is not yet.
            404 => {
                answer.json::<Value>().is_ok_and(|body| body["error"]["type"] == "index_not_found_exception")
            }
            403 => {
                tracing::info!(
                    "these credentials may not use the connectors API: the protocol indices are used directly"
                );
                false
            }
            _ => false,
        })
    }

    async fn ingest_pipelines(&self) -> Result<bool, EsError> {
        let probe = path(["_ingest", "pipeline", "search-default-ingestion"]);
        let answer = self.send(EsRequest::new(Method::GET, probe).accept(&[400, 403, 404, 405])).await?;
        Ok(match answer.status {
            // A pipeline that does not exist is answered with an empty object, an API that does not with an error.
            404 => answer.json::<Value>().is_ok_and(|body| body.get("error").is_none()),
            // Writing through a pipeline needs no right to read its definition.
            403 => true,
            status => status < 300,
        })
    }

    /// The licence. A server without such a thing withholds nothing and counts as [`License::Enterprise`]: `OpenSearch`,
    /// Serverless, the embedded node, and any that does not have the API. One whose licence these credentials may not read
    /// counts as [`License::None`].
    pub async fn license(&self, server: &ServerInfo) -> Result<License, EsError> {
        if server.distribution != Distribution::Elasticsearch {
            return Ok(License::Enterprise);
        }
        let answer =
            self.send(EsRequest::new(Method::GET, "/_license").accept(&[400, 403, 404, 405])).await?;
        Ok(match answer.status {
            200..=299 => License::parse(&answer.json()?),
            403 => {
                tracing::warn!(
                    "these credentials may not read the licence, which is taken for none: they need the cluster privilege monitor"
                );
                License::None
            }
            _ => License::Enterprise,
        })
    }
}

#[derive(Deserialize)]
struct Root {
    #[serde(default)]
    cluster_name: String,
    #[serde(default)]
    cluster_uuid: String,
    version: RootVersion,
}

#[derive(Deserialize)]
struct RootVersion {
    number: String,
    distribution: Option<String>,
    build_flavor: Option<String>,
    build_type: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(distribution: Distribution, version: &str) -> ServerInfo {
        ServerInfo {
            distribution,
            version: Version::parse(version).unwrap(),
            cluster_name: String::new(),
            cluster_uuid: String::new(),
        }
    }

    #[test]
    fn reads_versions() {
        let version = |text| Version::parse(text).map(|version| version.to_string());
        assert_eq!(version("9.5.3").as_deref(), Some("9.5.3"));
        assert_eq!(version("9.6.0-SNAPSHOT").as_deref(), Some("9.6.0"));
        assert_eq!(version("9.1").as_deref(), Some("9.1.0"));
        for text in ["", "9", "nine.one", "9.x", "9.1.x"] {
            assert_eq!(version(text), None, "{text}");
        }
        assert!(Version::parse("9.10.0") > Version::parse("9.9.9"));
    }

    #[test]
    fn the_same_major_version_is_needed_and_newer_is_told() {
        let check = |version| server(Distribution::Elasticsearch, version).check_version(false);
        assert_eq!(check("9.0.0").unwrap(), VersionCheck::Tested);
        assert_eq!(check("9.5.99").unwrap(), VersionCheck::Tested);
        assert_eq!(check("9.6.0").unwrap(), VersionCheck::Newer);
        for version in ["8.19.0", "10.0.0"] {
            let error = check(version).unwrap_err();
            assert_eq!(error.kind(), EsErrorKind::Unsupported);
            assert!(error.to_string().contains("ALLOW_ES_VERSION_MISMATCH"), "{error}");
        }
    }

    #[test]
    fn the_version_check_is_skipped_where_versions_mean_nothing() {
        for distribution in [Distribution::Serverless, Distribution::OpenSearch, Distribution::Embedded] {
            assert_eq!(server(distribution, "1.0.0").check_version(false).unwrap(), VersionCheck::Skipped);
        }
        let old = server(Distribution::Elasticsearch, "8.0.0");
        assert_eq!(old.check_version(true).unwrap(), VersionCheck::Skipped);
    }

    #[test]
    fn licences_are_ordered_and_an_expired_one_is_none() {
        let license =
            |kind: &str, status: &str| License::parse(&json!({"license": {"type": kind, "status": status}}));
        let levels = ["basic", "gold", "platinum", "enterprise", "trial"].map(|kind| license(kind, "active"));
        assert!(levels.is_sorted() && levels[0] > License::None);
        assert_eq!(license("standard", "active"), License::Basic);
        assert_eq!(license("trial", "expired"), License::None);
        assert_eq!(license("unheard-of", "active"), License::None);
    }
}
