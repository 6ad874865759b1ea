//! End-to-end tests: the programs, real processes, real sockets.
//!
//! They run on an embedded node of their own, or on the server named by `CONNECTORS_TEST_URL` (`make ftest NAME=dir`).

mod check;
mod commands;
mod completions;
mod connector;
mod create;
mod dir;
mod embedded;
mod filtering;
mod index;
mod job;
mod kinds;
mod login;
mod rebuild;
mod reference;
mod rules;
mod service;
mod states;
mod support;
