//! The built-in sources, one folder each, named after its service type.

mod dir;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgresql")]
mod postgresql;
mod shared;

use connectors_sdk::Registry;

/// Every built-in source. This is the only place that names them.
pub fn registry() -> Registry {
    let registry = Registry::default().with(dir::descriptor());
    #[cfg(feature = "mongodb")]
    let registry = registry.with(mongodb::descriptor());
    #[cfg(feature = "mysql")]
    let registry = registry.with(mysql::descriptor());
    #[cfg(feature = "postgresql")]
    let registry = registry.with(postgresql::descriptor());
    registry
}
