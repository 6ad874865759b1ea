//! Where a program works: the cluster a configuration names, or the embedded node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use connectors_es_client::{EsClient, EsConfig};
use connectors_node::http::StartError;
use connectors_node::lock::{LockError, discover};
use connectors_node::{Node, NodeError, NodeHandle, NodeOptions};
use connectors_service::cluster::es_config;
use connectors_service::config::{Config, Embedded};

/// Port tried first when the configuration names none: where people look for Elasticsearch.
const USUAL_PORT: u16 = 9200;
/// From one look at the folder to the next, while another process owns it and does not answer yet.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is looked at: a node that catches up after a crash takes a while to answer.
const TRIES: usize = 120;

/// A client, the configuration it came from, and the node this process runs for it, if any.
pub struct Target {
    /// The configuration, defaults filled in.
    pub config: Config,
    /// A client of the cluster or node.
    pub client: EsClient,
    node: Option<NodeHandle>,
}

impl Target {
    /// Reads the configuration, starts or finds the embedded node if that is what it says, and builds the client.
    pub async fn open(config: Config, component: &'static str) -> Result<Self> {
        let Some(embedded) = config.elasticsearch.embedded.clone() else {
            let client = EsClient::new(es_config(&config.elasticsearch, component))?;
            return Ok(Self { config, client, node: None });
        };
        let (url, node) = embedded_node(&embedded).await?;
        tracing::debug!("the embedded node answers at {url}");
        // The node is on this machine and needs no credentials; those of the defaults are not its.
        let client = EsClient::new(EsConfig {
            hosts: vec![url],
            auth: None,
            ..es_config(&config.elasticsearch, component)
        })?;
        Ok(Self { config, client, node })
    }

    /// Stops the node, if this process runs it, once everything is on disk.
    pub async fn close(self) {
        if let Some(node) = self.node {
            node.shutdown().await;
        }
    }
}

/// URL of the node on this data folder: the one that runs already, or one started in this process.
async fn embedded_node(embedded: &Embedded) -> Result<(String, Option<NodeHandle>)> {
    let name = || format!("the embedded node on {}", embedded.path.display());
    // Another process may start or stop its node between our look and our start.
    for _ in 0..TRIES {
        if let Some(running) = discover(&embedded.path).await {
            return Ok((running.url, None));
        }
        match start(embedded).await {
            Ok(node) => return Ok((node.url().to_owned(), Some(node))),
            Err(NodeError::Folder(LockError::Held { .. })) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error).with_context(name),
        }
    }
    anyhow::bail!(
        "{}: another process owns its folder but does not answer; stop that process, or try again when it has started",
        name()
    )
}

async fn start(embedded: &Embedded) -> Result<NodeHandle, NodeError> {
    let options = |port| NodeOptions::local(&embedded.path, port);
    match embedded.port {
        Some(port) => Node::start(options(port)).await,
        None => match Node::start(options(USUAL_PORT)).await {
            Err(NodeError::Server(StartError::Bind { .. })) => Node::start(options(0)).await,
            other => other,
        },
    }
}

/// The configuration file to use: the one named, else the first of `usual` that exists, else none.
pub fn configuration(named: Option<&Path>, usual: &[&str]) -> Result<Config> {
    let path = match named {
        Some(path) => Some(path.to_owned()),
        None => usual.iter().map(PathBuf::from).find(|path| path.exists()),
    };
    let config = match path {
        Some(path) => Config::load(&path)?,
        None => Config::embedded(&connectors_service::data_folder()),
    };
    Ok(config)
}
