//! The `elastic-ingest` program.

fn main() {}
