//! Optional abilities of a connector, as its document lists them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a source can do, to be written as [`Features`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // the protocol's five independent flags
pub struct FeatureFlags {
    /// `sync_rules.basic`: basic sync rules are applied.
    pub basic_rules: bool,
    /// `sync_rules.advanced`: the source takes advanced rules.
    pub advanced_rules: bool,
    /// `document_level_security`: the source can tell who may read a document.
    pub document_level_security: bool,
    /// `incremental_sync`: the source can send only what changed.
    pub incremental_sync: bool,
    /// `native_connector_api_keys`: native connectors use an API key of their own.
    pub native_connector_api_keys: bool,
}

impl Default for FeatureFlags {
    /// Basic rules, and nothing else.
    fn default() -> Self {
        Self {
            basic_rules: true,
            advanced_rules: false,
            document_level_security: false,
            incremental_sync: false,
            native_connector_api_keys: false,
        }
    }
}

/// The `features` object. Unknown features are kept; a feature that is not listed is off, except that native API keys
/// count as on (connectors from before the feature existed).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Features(pub Map<String, Value>);

impl From<FeatureFlags> for Features {
    fn from(flags: FeatureFlags) -> Self {
        let enabled = |on: bool| json!({"enabled": on});
        let mut features = Map::new();
        let rules = json!({
            "basic": enabled(flags.basic_rules),
            "advanced": enabled(flags.advanced_rules),
        });
        for (name, value) in [
            ("document_level_security", enabled(flags.document_level_security)),
            ("incremental_sync", enabled(flags.incremental_sync)),
            ("sync_rules", rules),
            ("native_connector_api_keys", enabled(flags.native_connector_api_keys)),
        ] {
            features.insert(name.to_owned(), value);
        }
        Self(features)
    }
}

impl Features {
    fn flag(&self, path: &[&str]) -> Option<bool> {
        let (first, rest) = path.split_first()?;
        let start = self.0.get(*first)?;
        rest.iter().try_fold(start, |value, key| value.get(key))?.as_bool()
    }

    /// Whether incremental syncs are on.
    pub fn incremental_sync(&self) -> bool {
        self.flag(&["incremental_sync", "enabled"]).unwrap_or(false)
    }

    /// Whether document level security is on.
    pub fn document_level_security(&self) -> bool {
        self.flag(&["document_level_security", "enabled"]).unwrap_or(false)
    }

    /// Whether native connectors use their own API key.
    pub fn native_connector_api_keys(&self) -> bool {
        self.flag(&["native_connector_api_keys", "enabled"]).unwrap_or(true)
    }

    /// Whether sync rules of any kind are on, under their present or their former names. Only then are basic rules
    /// applied and drafts validated.
    pub fn sync_rules(&self) -> bool {
        [
            ["sync_rules", "basic", "enabled"].as_slice(),
            &["sync_rules", "advanced", "enabled"],
            &["filtering_rules"],
            &["filtering_advanced_config"],
        ]
        .iter()
        .any(|path| self.flag(path) == Some(true))
    }

    /// These features with those of `source` that are not listed yet; `None` when all are.
    pub(super) fn completed(&self, source: &Features) -> Option<Features> {
        let mut completed = source.0.clone();
        if completed.keys().all(|name| self.0.contains_key(name)) {
            return None;
        }
        completed.extend(self.0.clone());
        Some(Features(completed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(value: Value) -> Features {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn flags_are_written_in_the_protocols_shape() {
        let written = Features::from(FeatureFlags { incremental_sync: true, ..FeatureFlags::default() });
        assert_eq!(
            Value::Object(written.0.clone()),
            json!({
                "document_level_security": {"enabled": false},
                "incremental_sync": {"enabled": true},
                "sync_rules": {"basic": {"enabled": true}, "advanced": {"enabled": false}},
                "native_connector_api_keys": {"enabled": false},
            })
        );
        assert!(written.incremental_sync());
        assert!(!written.document_level_security());
        assert!(!written.native_connector_api_keys());
    }

    #[test]
    fn what_is_not_listed_is_off_but_native_api_keys() {
        let none = Features::default();
        assert!(!none.incremental_sync());
        assert!(!none.document_level_security());
        assert!(!none.sync_rules());
        assert!(none.native_connector_api_keys());
        let odd = features(json!({"incremental_sync": null, "document_level_security": {"enabled": "yes"}}));
        assert!(!odd.incremental_sync());
        assert!(!odd.document_level_security());
    }

    #[test]
    fn sync_rules_are_on_under_present_and_former_names() {
        for on in [
            json!({"sync_rules": {"basic": {"enabled": true}}}),
            json!({"sync_rules": {"advanced": {"enabled": true}}}),
            json!({"filtering_rules": true}),
            json!({"filtering_advanced_config": true}),
        ] {
            assert!(features(on.clone()).sync_rules(), "{on}");
        }
        let off = json!({"sync_rules": {"basic": {"enabled": false}}, "filtering_rules": false});
        assert!(!features(off).sync_rules());
    }

    #[test]
    fn completing_adds_and_never_overwrites() {
        let stored = features(json!({"incremental_sync": {"enabled": true}, "mine": 1}));
        let completed = stored.completed(&FeatureFlags::default().into()).unwrap();
        assert!(completed.incremental_sync());
        assert_eq!(completed.0["mine"], 1);
        assert!(completed.0.contains_key("document_level_security"));
        assert_eq!(completed.completed(&FeatureFlags::default().into()), None);
    }
}
