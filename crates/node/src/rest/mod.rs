//! The REST API: one module per group of endpoints, each with its table of routes.

mod aliases;
mod analyze;
mod bulk;
mod by_query;
mod cat;
mod cluster;
pub mod connector;
mod cursors;
mod documents;
mod field_caps;
mod health;
mod indices;
mod ingest;
mod license;
mod nodes;
mod privileges;
mod root;
mod search;
mod security;
mod stats;
mod table;
mod templates;
mod write;

use crate::http::{Route, Router};
use crate::node::Node;

/// Every endpoint of the node, each behind the check of its privileges.
pub fn router() -> Router<Node> {
    Router::new(tables().into_iter().map(privileges::guarded))
}

/// Every endpoint. A module is added here with one line.
fn tables() -> Vec<Route<Node>> {
    let tables: Vec<Vec<Route<Node>>> = vec![
        aliases::routes(),
        analyze::routes(),
        bulk::routes(),
        by_query::routes(),
        cat::routes(),
        cluster::routes(),
        connector::routes(),
        cursors::routes(),
        documents::routes(),
        field_caps::routes(),
        indices::routes(),
        ingest::routes(),
        license::routes(),
        nodes::routes(),
        root::routes(),
        search::routes(),
        security::routes(),
        stats::routes(),
        templates::routes(),
    ];
    tables.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
