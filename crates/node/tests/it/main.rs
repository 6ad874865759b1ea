//! Integration tests of the embedded node, all over its HTTP API.

mod documents;
mod scenarios;
mod server;
