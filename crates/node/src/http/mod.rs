//! The HTTP side of the node: server, access rules, routing, parameters, bodies and answers.
//!
//! A rest module registers its handlers in one table and never sees hyper or axum:
//!
//! ```ignore
//! pub fn routes() -> Vec<Route<Node>> {
//!     vec![Route::get("/{index}/_count", count), Route::post("/{index}/_count", count)]
//! }
//!
//! async fn count(node: Arc<Node>, mut request: Request) -> Result<Response> {
//!     let index = request.required_segment("index")?.to_owned();
//!     let ignore = request.params.bool("ignore_unavailable", false)?;
//!     let body = request.json()?;
//!     request.finish()?; // refuses parameters and bodies nobody asked for; before anything is done
//!     Ok(Response::ok(json!({ "count": 0 })))
//! }
//! ```

pub mod access;
mod budget;
mod compression;
mod encode;
mod filter_path;
pub mod json;
mod media_type;
mod params;
mod pretty;
mod reader;
mod request;
mod response;
pub mod router;
mod server;
mod tls;

pub use access::{Credential, Identity};
pub use params::{Params, duration, suggestion};
pub use reader::Reader;
pub use request::Request;
pub use response::Response;
pub use router::{Route, Router};
pub use server::{BoundServer, MAX_BODY_BYTES, ServerHandle, ServerOptions, StartError, bind};
pub use tls::TlsFiles;

/// The Elasticsearch version whose REST API is served; clients choose their dialect by it.
pub const ELASTICSEARCH_VERSION: &str = "9.5.3";

#[cfg(test)]
mod tests;
