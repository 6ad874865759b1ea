//! End-to-end tests: the programs, real processes, real sockets.
//!
//! They run on an embedded node of their own, or on the server named by `CONNECTORS_TEST_URL` (`make ftest NAME=dir`).

mod commands;
mod dir;
mod embedded;
mod kinds;
mod service;
mod support;
