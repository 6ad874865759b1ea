//! Which source serves which service type: the built-in ones, as `sources:` of the configuration says.

use std::sync::Arc;

use anyhow::Result;
use connectors_sdk::{Registry, SourceDescriptor};
use connectors_service::config::Config;

/// The built-in sources and what `sources:` makes of them. The peer's class names stand for our built-in sources, under
/// whatever service type they are configured. A class nobody has is warned about, and its service type is not served:
/// its connectors' jobs fail and say so, instead of being run by another source.
pub fn registry(config: &Config) -> Result<Registry> {
    let built_in = connectors_sources::registry();
    let mut registry = built_in.clone();
    for (service_type, implementation) in &config.sources {
        if let Some(source) = built_in.replacing(implementation) {
            let mut source = SourceDescriptor::clone(source);
            source.service_type.clone_from(service_type);
            registry.insert(Arc::new(source));
        } else {
            registry.remove(service_type);
            tracing::warn!(
                "sources.{service_type}: this version has no source \"{implementation}\"; jobs of type {service_type} will not run"
            );
        }
    }
    Ok(registry)
}
