//! The REST API: one module per group of endpoints, each with its table of routes.

mod aliases;
mod bulk;
mod by_query;
mod cursors;
mod documents;
mod field_caps;
mod indices;
mod license;
mod nodes;
mod root;
mod search;
mod templates;
mod write;

use crate::http::{Route, Router};
use crate::node::Node;

/// Every endpoint of the node. A module is added here with one line.
pub fn router() -> Router<Node> {
    let tables: Vec<Vec<Route<Node>>> = vec![
        aliases::routes(),
        bulk::routes(),
        documents::routes(),
        indices::routes(),
        license::routes(),
        nodes::routes(),
        by_query::routes(),
        cursors::routes(),
        field_caps::routes(),
        search::routes(),
        root::routes(),
        templates::routes(),
    ];
    Router::new(tables.into_iter().flatten())
}
