//! Integration tests of the embedded node, all over its HTTP API.

mod documents;
mod kill;
mod scenarios;
mod search;
mod server;
