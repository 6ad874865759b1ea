//! The state all handlers share.

use std::net::SocketAddr;

/// One running node.
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
}
