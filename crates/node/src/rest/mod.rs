//! The REST API: one module per group of endpoints, each with its table of routes.

mod license;
mod nodes;
mod root;

use crate::http::{Route, Router};
use crate::node::Node;

/// Every endpoint of the node. A module is added here with one line.
pub fn router() -> Router<Node> {
    let tables: Vec<Vec<Route<Node>>> = vec![license::routes(), nodes::routes(), root::routes()];
    Router::new(tables.into_iter().flatten())
}
