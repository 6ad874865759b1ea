//! Integration tests of the embedded node, all over its HTTP API.

mod bulk;
mod connectors;
mod documents;
mod indices;
mod kill;
mod scenarios;
mod search;
mod security;
mod server;
