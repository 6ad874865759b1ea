//! One running node: its state, its start and its end.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::cluster::{Cluster, blocking, new_uuid};
use crate::error::{ApiError, Result};
use crate::http::{Credential, ServerHandle, ServerOptions, StartError, TlsFiles, bind};
use crate::lock::{FolderLock, LockError};
use crate::rest;
use crate::rest::connector::NameLock;
use crate::search::Contexts;
use crate::security::Keys;

/// The state all handlers share.
#[derive(Debug)]
pub struct Node {
    /// Node name (`name` of the root answer, `_nodes`, `_cat`).
    pub name: String,
    /// Cluster name.
    pub cluster_name: String,
    /// Cluster id, kept in the data folder.
    pub cluster_uuid: String,
    /// Node id, kept in the data folder.
    pub node_id: String,
    /// Where the node listens.
    pub address: SocketAddr,
    /// Indexes, aliases, templates, documents.
    pub cluster: Arc<Cluster>,
    /// Points in time and scrolls.
    pub contexts: Arc<Contexts>,
    /// API keys.
    pub keys: Arc<Keys>,
    /// Held while a content index is given to a connector.
    pub connector_names: NameLock,
}

/// How a node is started.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Data folder; made if it does not exist.
    pub path: PathBuf,
    /// Address to listen on; port 0 takes a free one. Anything but loopback needs credentials and TLS.
    pub bind: SocketAddr,
    /// Who may use the node; nobody in particular when empty.
    pub credentials: Vec<Credential>,
    /// Certificate and key.
    pub tls: Option<TlsFiles>,
}

impl NodeOptions {
    /// A node without credentials, which may only listen on loopback.
    pub fn new(path: PathBuf, bind: SocketAddr) -> Self {
        Self { path, bind, credentials: Vec::new(), tls: None }
    }

    /// A node on a loopback port, open to the users of this machine.
    pub fn local(path: impl Into<PathBuf>, port: u16) -> Self {
        Self::new(path.into(), (Ipv4Addr::LOCALHOST, port).into())
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data folder belongs to another process, or cannot be used.
    #[error(transparent)]
    Folder(#[from] LockError),
    /// The address cannot be served.
    #[error(transparent)]
    Server(#[from] StartError),
    /// The data cannot be read.
    #[error("the data folder cannot be opened: {0}")]
    Data(ApiError),
}

/// A running node. Dropping it stops it without saving what searches would have to catch up with.
#[derive(Debug)]
pub struct NodeHandle {
    server: ServerHandle,
    node: Arc<Node>,
    lock: FolderLock,
}

impl Node {
    /// Opens the data folder and serves it.
    ///
    /// # Errors
    /// [`NodeError`], worded for the operator.
    pub async fn start(options: NodeOptions) -> std::result::Result<NodeHandle, NodeError> {
        let NodeOptions { path, bind: address, credentials, tls } = options;
        let server = bind(ServerOptions { bind: address, credentials, tls }).await?;
        let opened = tokio::task::spawn_blocking(move || {
            let lock = FolderLock::acquire(&path)?;
            let cluster = Cluster::open(&path).map_err(NodeError::Data)?;
            let ids = identity(&cluster).map_err(NodeError::Data)?;
            let keys = Keys::open(cluster.clone()).map_err(NodeError::Data)?;
            Ok::<_, NodeError>((lock, cluster, Arc::new(keys), ids))
        });
        let opened = opened.await.map_err(|error| NodeError::Data(ApiError::internal(error)))?;
        let (lock, cluster, keys, (cluster_uuid, node_id)) = opened?;
        let node = Arc::new(Self {
            name: "embedded".to_owned(),
            cluster_name: "connectors".to_owned(),
            cluster_uuid,
            node_id,
            address: server.address(),
            cluster,
            contexts: Arc::new(Contexts::default()),
            keys: keys.clone(),
            connector_names: NameLock::default(),
        });
        let server = server.with_keys(keys).serve(rest::router(), node.clone());
        lock.publish(server.url())?;
        Ok(NodeHandle { server, node, lock })
    }
}

/// The ids of cluster and node, made at the first start.
fn identity(cluster: &Cluster) -> Result<(String, String)> {
    let id = |name: &str| -> Result<String> {
        if let Some(id) = cluster.get_meta("node", name)?.as_ref().and_then(|value| value.as_str()) {
            return Ok(id.to_owned());
        }
        let id = new_uuid();
        cluster.put_meta("node", name, &json!(id))?;
        Ok(id)
    };
    Ok((id("cluster_uuid")?, id("node_id")?))
}

impl NodeHandle {
    /// Where the node listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Answers what is in progress, saves, and gives the data folder back.
    pub async fn shutdown(self) {
        let Self { server, node, lock } = self;
        server.shutdown().await;
        let cluster = node.cluster.clone();
        let closed = blocking(move || {
            cluster.close();
            Ok(())
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "the node did not stop cleanly");
        }
        drop(node);
        drop(lock);
    }
}
