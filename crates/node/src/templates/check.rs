//! What a new definition must hold before it is saved.

use std::collections::BTreeMap;

use serde_json::Value;

use super::body::Settings;
use super::read::{bad_request, invalid, validation};
use super::set::{Composed, Templates};
use super::{ComponentTemplate, IndexTemplate};
use crate::cluster::{IndexMeta, check_setting_name, state_of};
use crate::error::{ApiError, Result};
use crate::mapping::Tree;
use crate::query;

const HIDDEN: &str = "index.hidden";

/// Why parts do not make an index. Elasticsearch words each part differently.
enum Fault {
    Settings(ApiError),
    Mappings(ApiError),
    Aliases(ApiError),
}

impl Composed {
    /// Makes what an index would be made of; answers its mapping as it would be printed.
    fn try_out(&self) -> Result<Value, Fault> {
        let set = self.settings.iter().filter(|(_, value)| !value.is_null());
        let settings: Settings = set.map(|(name, value)| (name.clone(), value.clone())).collect();
        let meta =
            IndexMeta::new("_na_".to_owned(), 0, settings, BTreeMap::new()).map_err(Fault::Settings)?;
        let limits = meta.limits();
        let state = state_of(meta, Tree::default(), &BTreeMap::new()).map_err(Fault::Settings)?;
        let mapping = match &self.mappings {
            None => state.mapping.to_json(),
            Some(mappings) => Tree::parse(&Value::Object(mappings.clone()))
                .and_then(|tree| state.mapping.merged(tree, &state.analyzers, limits))
                .map_err(Fault::Mappings)?
                .to_json(),
        };
        for (name, alias) in &self.aliases {
            if let Some(filter) = &alias.filter {
                query::parse(filter).map_err(|error| {
                    Fault::Aliases(
                        ApiError::illegal_argument(format!("failed to parse filter for alias [{name}]"))
                            .with("caused_by", error.cause()),
                    )
                })?;
            }
        }
        Ok(mapping)
    }
}

impl Templates {
    /// Checks an index template; answers the mapping it gives, as it would be printed.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it.
    pub(super) fn check_index(&self, name: &str, template: &IndexTemplate) -> Result<Value> {
        let composed = self.compose(template);
        if hides_everything(template, &composed) {
            return Err(bad_request("global composable templates may not specify the setting index.hidden"));
        }
        self.check_components(name, template)?;
        self.check_priority(name, template)?;
        let mut problems = name_problems(name);
        problems.extend(template.index_patterns.iter().flat_map(|pattern| pattern_problems(pattern)));
        let own = template.template.as_ref().and_then(|template| template.settings.as_ref());
        problems.extend(own.into_iter().flat_map(settings_problems));
        if let Some(text) = validation(&problems) {
            return Err(invalid(name, &text));
        }
        composed.try_out().map_err(|fault| composition(name, template, fault))
    }

    /// Component templates that must exist.
    fn check_components(&self, name: &str, template: &IndexTemplate) -> Result<()> {
        let missing: Vec<&str> = template
            .composed_of
            .iter()
            .filter(|component| template.needs(component) && !self.components.contains_key(*component))
            .map(String::as_str)
            .collect();
        let missing = match (missing.is_empty(), missing.join(", ")) {
            (true, _) => return Ok(()),
            (false, names) => names,
        };
        Err(invalid(
            name,
            &if template.ignore_missing.as_ref().is_none_or(Vec::is_empty) {
                format!("index template [{name}] specifies component templates [{missing}] that do not exist")
            } else {
                format!(
                    "index template [{name}] specifies a missing component templates [{missing}] that does not exist \
                     and is not part of 'ignore_missing_component_templates'"
                )
            },
        ))
    }

    /// Of two templates of one priority that match the same name, nobody could tell which applies.
    fn check_priority(&self, name: &str, template: &IndexTemplate) -> Result<()> {
        let same: Vec<(&str, &IndexTemplate)> = self
            .overlapping(name, template)
            .filter(|(_, other)| other.priority() == template.priority())
            .collect();
        if same.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = same.iter().map(|(other, _)| *other).collect();
        let patterns: Vec<String> = same
            .iter()
            .map(|(other, with)| format!("{other} => [{}]", with.index_patterns.join(", ")))
            .collect();
        Err(ApiError::illegal_argument(format!(
            "index template [{name}] has index patterns [{}] matching patterns from existing templates [{}] with \
             patterns ({}) that have the same priority [{}], multiple index templates may not match during index \
             creation, please use a different priority",
            template.index_patterns.join(", "),
            names.join(","),
            patterns.join(","),
            template.priority()
        )))
    }

    /// The definition to save for the body of a request; `None` when the same is saved already.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it.
    pub fn put_index(
        &self,
        name: &str,
        body: &Value,
        create: bool,
        now_ms: i64,
    ) -> Result<Option<IndexTemplate>> {
        let mut template = IndexTemplate::parse(body)?;
        let before = self.index.get(name);
        if create && before.is_some() {
            return Err(ApiError::illegal_argument(format!("index template [{name}] already exists")));
        }
        self.check_index(name, &template)?;
        template.dates.created_ms = before.map_or(now_ms, |before| before.dates.created_ms);
        template.dates.modified_ms = before.map_or(now_ms, |before| before.dates.modified_ms);
        if before == Some(&template) {
            return Ok(None);
        }
        template.dates.modified_ms = now_ms;
        Ok(Some(template))
    }

    /// As [`Templates::put_index`], for a component template: index templates that use it must stay valid.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it.
    pub fn put_component(
        &self,
        name: &str,
        body: &Value,
        create: bool,
        now_ms: i64,
    ) -> Result<Option<ComponentTemplate>> {
        let mut component = ComponentTemplate::parse(body)?;
        let before = self.components.get(name);
        if create && before.is_some() {
            return Err(ApiError::illegal_argument(format!("component template [{name}] already exists")));
        }
        for setting in component.template.settings.iter().flat_map(Settings::keys) {
            check_setting_name(setting)?;
        }
        if let Some(text) = validation(&name_problems(name)) {
            return Err(invalid(name, &text));
        }
        let mut alone = Composed::default();
        alone.overlay(&component.template);
        match alone.try_out() {
            // What a filter means is only checked together with an index template.
            Ok(_) | Err(Fault::Aliases(_)) => {}
            Err(Fault::Settings(error) | Fault::Mappings(error)) => return Err(error),
        }
        component.dates.created_ms = before.map_or(now_ms, |before| before.dates.created_ms);
        component.dates.modified_ms = before.map_or(now_ms, |before| before.dates.modified_ms);
        if before == Some(&component) {
            return Ok(None);
        }
        component.dates.modified_ms = now_ms;
        self.check_users(name, &component)?;
        Ok(Some(component))
    }

    /// Whether index templates can live with a changed component template.
    fn check_users(&self, name: &str, component: &ComponentTemplate) -> Result<()> {
        let users: Vec<(&String, &IndexTemplate)> = self
            .index
            .iter()
            .filter(|(_, template)| template.composed_of.iter().any(|part| part == name))
            .collect();
        if users.is_empty() {
            return Ok(());
        }
        let mut after = self.clone();
        after.components.insert(name.to_owned(), component.clone());
        let hiding: Vec<&str> = users
            .iter()
            .filter(|(_, template)| hides_everything(template, &after.compose(template)))
            .map(|(user, _)| user.as_str())
            .collect();
        if !hiding.is_empty() {
            return Err(ApiError::illegal_argument(format!(
                "cannot update component template [{name}] because the following global templates would resolve to \
                 specifying the [index.hidden] setting: [{}]",
                hiding.join(",")
            )));
        }
        for (user, template) in users {
            after.compose(template).try_out().map_err(|fault| {
                ApiError::illegal_argument(format!(
                    "updating component template [{name}] results in invalid composable template [{user}] after \
                     templates are merged"
                ))
                .with("caused_by", composition(user, template, fault).cause())
            })?;
        }
        Ok(())
    }
}

/// A template for every index must not hide them.
fn hides_everything(template: &IndexTemplate, composed: &Composed) -> bool {
    template.index_patterns.iter().any(|pattern| pattern == "*") && composed.settings.contains_key(HIDDEN)
}

/// The parts of an index template do not go together.
fn composition(name: &str, template: &IndexTemplate, fault: Fault) -> ApiError {
    let with = if template.composed_of.is_empty() {
        String::new()
    } else {
        format!(" with component templates [{}]", template.composed_of.join(", "))
    };
    let cause = match fault {
        Fault::Settings(error) | Fault::Aliases(error) => error,
        Fault::Mappings(error) => {
            ApiError::illegal_argument(format!("invalid composite mappings for [{name}]"))
                .with("caused_by", error.cause())
        }
    };
    ApiError::illegal_argument(format!(
        "composable template [{name}] template after composition{with} is invalid"
    ))
    .with("caused_by", cause.cause())
}

/// What is wrong with settings, each by itself.
fn settings_problems(settings: &Settings) -> Vec<String> {
    let mut problems: Vec<String> =
        settings.keys().filter_map(|name| check_setting_name(name).err()).map(|error| error.reason).collect();
    let set = settings.iter().filter(|(_, value)| !value.is_null());
    let set: Settings = set.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Err(error) = IndexMeta::new("_na_".to_owned(), 0, set, BTreeMap::new()) {
        problems.push(error.reason);
    }
    problems
}

fn name_problems(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.contains(' ') {
        problems.push("name must not contain a space".to_owned());
    }
    for char in [',', '#', '*'] {
        if name.contains(char) {
            problems.push(format!("name must not contain a '{char}'"));
        }
    }
    if name.starts_with('_') {
        problems.push("name must not start with '_'".to_owned());
    }
    if name.to_lowercase() != name {
        problems.push("name must be lower cased".to_owned());
    }
    problems
}

fn pattern_problems(pattern: &str) -> Vec<String> {
    const FORBIDDEN: [char; 9] = [' ', '"', ',', '/', '<', '>', '?', '\\', '|'];
    let mut problems = Vec::new();
    if pattern.contains(' ') {
        problems.push(format!("index_patterns [{pattern}] must not contain a space"));
    }
    for char in [',', '#', ':'] {
        if pattern.contains(char) {
            problems.push(format!("index_pattern [{pattern}] must not contain a '{char}'"));
        }
    }
    if pattern.starts_with('_') {
        problems.push(format!("index_pattern [{pattern}] must not start with '_'"));
    }
    if pattern.contains(FORBIDDEN) {
        problems.push(format!(
            "index_pattern [{pattern}] must not contain the following characters \
             [' ','\"','*',',','/','<','>','?','\\','|']"
        ));
    }
    problems
}
