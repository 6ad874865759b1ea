//! The built-in sources, one folder each, named after its service type.

mod dir;

use connectors_sdk::Registry;

/// Every built-in source. This is the only place that names them.
pub fn registry() -> Registry {
    Registry::default().with(dir::descriptor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_complete() {
        for source in registry().iter() {
            let name = &source.service_type;
            assert!(!source.name.is_empty(), "{name}: a display name");
            assert!(!source.fields().is_empty(), "{name}: fields");
            for field in source.fields() {
                let properties = field.to_value();
                for property in ["label", "tooltip"] {
                    let text = properties[property].as_str().unwrap_or_default();
                    assert!(!text.is_empty(), "{name}.{}: {property}", field.key());
                }
            }
        }
    }
}
