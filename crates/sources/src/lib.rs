//! The built-in sources, one folder each, named after its service type.

mod dir;
mod shared;

use connectors_sdk::Registry;

/// Every built-in source. This is the only place that names them.
pub fn registry() -> Registry {
    Registry::default().with(dir::descriptor())
}
