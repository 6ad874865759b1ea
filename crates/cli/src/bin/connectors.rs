//! The `connectors` program.

fn main() {}
