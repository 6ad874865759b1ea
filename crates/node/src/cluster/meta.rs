//! Settings and aliases of one index, and how they are saved.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{ApiError, Result};
use crate::http::ELASTICSEARCH_VERSION;
use crate::mapping::{Limits, simple_match};

/// Settings an index may have. A trailing `.*` stands for everything below. Those without effect on one node are kept
/// and printed; what would change results and is not done here is not in the list.
const KNOWN: &[&str] = &[
    "index.number_of_shards",
    "index.number_of_replicas",
    "index.number_of_routing_shards",
    "index.auto_expand_replicas",
    "index.refresh_interval",
    "index.hidden",
    "index.max_result_window",
    "index.max_inner_result_window",
    "index.max_rescore_window",
    "index.max_docvalue_fields_search",
    "index.max_script_fields",
    "index.max_ngram_diff",
    "index.max_shingle_diff",
    "index.max_terms_count",
    "index.max_regex_length",
    "index.max_slices_per_scroll",
    "index.max_refresh_listeners",
    "index.highlight.max_analyzed_offset",
    "index.analyze.max_token_count",
    "index.default_pipeline",
    "index.final_pipeline",
    "index.query.default_field",
    "index.mapping.total_fields.limit",
    "index.mapping.depth.limit",
    "index.mapping.nested_fields.limit",
    "index.mapping.nested_objects.limit",
    "index.mapping.field_name_length.limit",
    "index.mapping.dimension_fields.limit",
    "index.analysis.*",
    "index.codec",
    "index.priority",
    "index.gc_deletes",
    "index.format",
    "index.store.type",
    "index.store.stats_refresh_interval",
    "index.shard.check_on_startup",
    "index.search.idle.after",
    "index.search.slowlog.*",
    "index.indexing.slowlog.*",
    "index.translog.*",
    "index.merge.*",
    "index.routing.allocation.*",
    "index.routing.rebalance.enable",
    "index.unassigned.node_left.delayed_timeout",
    "index.write.wait_for_active_shards",
    "index.lifecycle.*",
    "index.soft_deletes.*",
];

/// Settings that can only change while an index is closed, which no index here ever is.
const STATIC: &[&str] = &[
    "index.number_of_routing_shards",
    "index.analysis.*",
    "index.codec",
    "index.store.type",
    "index.shard.check_on_startup",
];

/// Settings that cannot change once the index exists.
const FINAL: &[&str] = &["index.number_of_shards", "index.format", "index.soft_deletes.*"];

/// A setting that exists and that nobody may set. The other settings of the node's own are unknown to requests, as in
/// Elasticsearch.
const PRIVATE: &str = "index.version.created";

/// A setting that Elasticsearch gives every index.
pub(crate) const TIER_PREFERENCE: (&str, &str) =
    ("index.routing.allocation.include._tier_preference", "data_content");

/// Elasticsearch's bound on `index.number_of_shards`.
const MAX_SHARDS: usize = 1024;

/// Values of `index.codec`.
const CODECS: [&str; 2] = ["default", "best_compression"];

/// One alias of an index. Saved as it is printed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Alias {
    /// Query that searches through the alias add.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub filter: Option<Value>,
    /// Routing of writes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub index_routing: Option<String>,
    /// Routing of searches.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub search_routing: Option<String>,
    /// Writes through the alias go to this index.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub is_write_index: Option<bool>,
    /// Wildcards do not match the alias.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub is_hidden: Option<bool>,
}

impl Alias {
    /// As `_alias` prints it.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }

    /// Reads `{"filter", "routing", ..}`.
    ///
    /// # Errors
    /// 400 for unknown keys and wrong types.
    pub fn parse(name: &str, body: &Value) -> Result<Self> {
        let mut alias = Self::default();
        match body {
            Value::Object(members) => {
                for (key, value) in members {
                    alias.set(name, key, value)?;
                }
            }
            Value::Array(_) => {
                return Err(ApiError::illegal_argument(format!(
                    "Unknown token [END_ARRAY] in alias [{name}]"
                )));
            }
            _ => return Err(ApiError::illegal_argument("No alias is specified")),
        }
        Ok(alias)
    }

    /// Sets one member.
    ///
    /// # Errors
    /// 400 for an unknown one, or a value of the wrong type.
    pub fn set(&mut self, name: &str, key: &str, value: &Value) -> Result<()> {
        let text = || match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(ApiError::illegal_argument(format!("[{key}] of alias [{name}] must be a string"))),
        };
        let flag = || match shown(value).as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(not_a_flag(other)),
        };
        match key {
            "filter" => {
                self.filter = match value {
                    Value::Object(filter) if !filter.is_empty() => Some(value.clone()),
                    Value::Object(_) | Value::Null => None,
                    _ => {
                        return Err(ApiError::illegal_argument(format!(
                            "[filter] of alias [{name}] must be an object"
                        )));
                    }
                }
            }
            "routing" => {
                let routing = text()?;
                self.index_routing = Some(routing.clone());
                self.search_routing = Some(routing);
            }
            "index_routing" => self.index_routing = Some(text()?),
            "search_routing" => self.search_routing = Some(text()?),
            "is_write_index" => self.is_write_index = Some(flag()?),
            "is_hidden" => self.is_hidden = flag()?.then_some(true),
            _ => return Err(ApiError::illegal_argument(format!("Unknown field [{key}] in alias [{name}]"))),
        }
        Ok(())
    }
}

/// What is saved of an index besides its mapping.
#[derive(Debug, Clone)]
pub struct IndexMeta {
    /// UUID; names rows and folder.
    pub uuid: String,
    /// Epoch milliseconds.
    pub created_ms: i64,
    /// Settings by full name (`index.refresh_interval`), as they were given.
    pub settings: BTreeMap<String, Value>,
    /// Aliases by name.
    pub aliases: BTreeMap<String, Alias>,
    /// `index.refresh_interval`; `None` when refreshes are off.
    pub refresh_interval: Option<Duration>,
}

impl IndexMeta {
    /// Reads what the settings mean.
    ///
    /// # Errors
    /// 400 for values that cannot be.
    pub fn new(
        uuid: String,
        created_ms: i64,
        settings: BTreeMap<String, Value>,
        aliases: BTreeMap<String, Alias>,
    ) -> Result<Self> {
        let refresh_interval = match settings.get("index.refresh_interval") {
            None => Some(Duration::from_secs(1)),
            Some(value) => {
                let interval = crate::http::duration("index.refresh_interval", &shown(value))?;
                (interval != Duration::MAX).then_some(interval)
            }
        };
        let meta = Self { uuid, created_ms, settings, aliases, refresh_interval };
        for (name, least) in [
            ("index.number_of_shards", 1),
            ("index.number_of_replicas", 0),
            ("index.max_result_window", 1),
            ("index.mapping.total_fields.limit", 0),
            ("index.mapping.depth.limit", 1),
        ] {
            meta.number(name, least)?;
        }
        if meta.shards() > MAX_SHARDS {
            return Err(ApiError::illegal_argument(format!(
                "Failed to parse value [{}] for setting [index.number_of_shards] must be <= {MAX_SHARDS}",
                meta.shards()
            )));
        }
        if let Some(codec) = meta.settings.get("index.codec").map(shown)
            && !CODECS.contains(&codec.as_str())
        {
            return Err(ApiError::illegal_argument(format!(
                "unknown value for [index.codec] must be one of [{}] but was: {codec}",
                CODECS.join(", ")
            )));
        }
        meta.flag("index.hidden")?;
        Ok(meta)
    }

    fn number(&self, name: &str, least: i64) -> Result<Option<i64>> {
        let Some(value) = self.settings.get(name) else { return Ok(None) };
        let text = shown(value);
        let number: i64 = text.parse().map_err(|_| {
            ApiError::illegal_argument(format!("Failed to parse value [{text}] for setting [{name}]"))
                .because("number_format_exception", format!("For input string: \"{text}\""))
        })?;
        if number < least {
            return Err(ApiError::illegal_argument(format!(
                "Failed to parse value [{number}] for setting [{name}] must be >= {least}"
            )));
        }
        Ok(Some(number))
    }

    fn flag(&self, name: &str) -> Result<bool> {
        let Some(value) = self.settings.get(name) else { return Ok(false) };
        match shown(value).as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            text => Err(not_a_flag(text)),
        }
    }

    fn count(&self, name: &str, default: usize) -> usize {
        // `new` has checked it.
        let number = self.number(name, 0).ok().flatten();
        number.and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
    }

    /// `index.number_of_replicas`: none exists, but answers count them as Elasticsearch on one node does.
    pub fn replicas(&self) -> usize {
        self.count("index.number_of_replicas", 1)
    }

    /// `index.number_of_shards`: always one here; kept for answers.
    pub fn shards(&self) -> usize {
        self.count("index.number_of_shards", 1)
    }

    /// `index.max_result_window`.
    pub fn max_result_window(&self) -> usize {
        self.count("index.max_result_window", 10_000)
    }

    /// Limits of the mapping.
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            total_fields: self.count("index.mapping.total_fields.limit", default.total_fields),
            depth: self.count("index.mapping.depth.limit", default.depth),
        }
    }

    /// `index.hidden`.
    pub fn hidden(&self) -> bool {
        self.flag("index.hidden").unwrap_or(false)
    }

    /// `default_pipeline` or `final_pipeline`; `_none` is none.
    pub fn pipeline(&self, which: &str) -> Option<String> {
        let text = shown(self.settings.get(&format!("index.{which}"))?);
        (text != "_none").then_some(text)
    }

    /// `settings.index.analysis` as an object.
    pub fn analysis(&self) -> Value {
        let mut out = Map::new();
        for (name, value) in &self.settings {
            if let Some(path) = name.strip_prefix("index.analysis.") {
                insert(&mut out, path, value.clone());
            }
        }
        Value::Object(out)
    }

    /// Settings as Elasticsearch prints them: `{"index": {..}}`, or with full names when `flat`.
    pub fn settings_json(&self, name: &str, flat: bool, patterns: Option<&[String]>) -> Value {
        let mut all: BTreeMap<String, Value> =
            self.settings.iter().map(|(name, value)| (name.clone(), printed(value))).collect();
        let fixed = [
            ("index.number_of_shards", self.shards().to_string()),
            ("index.number_of_replicas", self.replicas().to_string()),
            ("index.provided_name", name.to_owned()),
            ("index.creation_date", self.created_ms.to_string()),
            ("index.uuid", self.uuid.clone()),
            ("index.version.created", version_id()),
            (TIER_PREFERENCE.0, TIER_PREFERENCE.1.to_owned()),
        ];
        for (key, value) in fixed {
            all.insert(key.to_owned(), value.into());
        }
        if let Some(patterns) = patterns {
            all.retain(|key, _| {
                patterns.iter().any(|pattern| pattern == "_all" || simple_match(pattern, key))
            });
        }
        settings_tree(all, flat)
    }

    /// Aliases as Elasticsearch prints them.
    pub fn aliases_json(&self) -> Value {
        self.aliases.iter().map(|(name, alias)| (name.clone(), alias.to_json())).collect::<Map<_, _>>().into()
    }
}

/// Settings by full name as an object, or flat.
pub(crate) fn settings_tree(all: BTreeMap<String, Value>, flat: bool) -> Value {
    if flat {
        return all.into_iter().collect::<Map<_, _>>().into();
    }
    let mut out = Map::new();
    for (key, value) in all {
        insert(&mut out, &key, value);
    }
    Value::Object(out)
}

/// `9.5.3` → `9050399`, the form Elasticsearch uses in settings.
fn version_id() -> String {
    let mut parts = ELASTICSEARCH_VERSION.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    format!("{}{:02}{:02}99", next(), next(), next())
}

fn not_a_flag(text: &str) -> ApiError {
    ApiError::illegal_argument(format!(
        "Failed to parse value [{text}] as only [true] or [false] are allowed."
    ))
}

/// A value as text.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Elasticsearch prints every setting as text.
pub(crate) fn printed(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(printed).collect::<Vec<_>>().into(),
        other => shown(other).into(),
    }
}

fn insert(out: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            out.insert(path.to_owned(), value);
        }
        Some((head, rest)) => match out.entry(head.to_owned()).or_insert_with(|| json!({})) {
            Value::Object(inner) => insert(inner, rest, value),
            // A setting that is a value and a parent at once is printed flat, as Elasticsearch does.
            _ => {
                out.insert(path.to_owned(), value);
            }
        },
    }
}

/// Flattens settings of a body and checks the names. `null` means "back to the default".
///
/// # Errors
/// 400 for unknown and private settings.
pub fn parse_settings(body: &Value) -> Result<BTreeMap<String, Value>> {
    let flat = flat_settings(body)?;
    flat.keys().try_for_each(|name| check_setting_name(name))?;
    Ok(flat)
}

/// As [`parse_settings`], for an index that exists.
///
/// # Errors
/// 400 for unknown and private settings.
pub fn parse_changes(body: &Value) -> Result<BTreeMap<String, Value>> {
    let flat = flat_settings(body)?;
    if flat.contains_key(PRIVATE) {
        return Err(ApiError::illegal_argument(format!(
            "can not update private setting [{PRIVATE}]; this setting is managed by Elasticsearch"
        )));
    }
    flat.keys().try_for_each(|name| check_setting_name(name))?;
    Ok(flat)
}

/// Settings of a body by full name.
///
/// # Errors
/// 400 when the body is no object.
pub fn flat_settings(body: &Value) -> Result<BTreeMap<String, Value>> {
    let mut flat = BTreeMap::new();
    match body {
        Value::Object(members) => flatten("", members, &mut flat),
        Value::Null => {}
        _ => return Err(no_object("settings")),
    }
    Ok(flat)
}

/// 400 for a part of an index that is no object.
pub(super) fn no_object(key: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", format!("key [{key}] must be an object"))
}

/// Checks that a setting exists and is not the node's own.
///
/// # Errors
/// 400 naming it.
pub fn check_setting_name(name: &str) -> Result<()> {
    if name == PRIVATE {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "validation_exception",
            format!("Validation Failed: 1: private index setting [{name}] can not be set explicitly;"),
        ));
    }
    if !KNOWN.iter().any(|known| matches_setting(known, name)) {
        return Err(ApiError::illegal_argument(format!(
            "unknown setting [{name}] please check that any required plugins are installed, or check the breaking \
             changes documentation for removed settings"
        )));
    }
    Ok(())
}

fn flatten(prefix: &str, members: &Map<String, Value>, flat: &mut BTreeMap<String, Value>) {
    for (key, value) in members {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if let Value::Object(inner) = value {
            flatten(&name, inner, flat);
        } else {
            let name = if name.starts_with("index.") { name } else { format!("index.{name}") };
            flat.insert(name, value.clone());
        }
    }
}

fn matches_setting(known: &str, name: &str) -> bool {
    match known.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => known == name,
    }
}

/// Refuses changes of settings that only a new index can have.
///
/// # Errors
/// 400 naming them.
pub fn check_changeable(index: &str, uuid: &str, changes: &BTreeMap<String, Value>) -> Result<()> {
    let among = |known: &[&str]| {
        let named = changes.keys().filter(|name| known.iter().any(|known| matches_setting(known, name)));
        named.map(String::as_str).collect::<Vec<_>>()
    };
    let (fixed, never) = (among(STATIC), among(FINAL));
    let all: Vec<&str> = changes
        .keys()
        .map(String::as_str)
        .filter(|name| fixed.contains(name) || never.contains(name))
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    let way = if never.is_empty() {
        "You can either resubmit the update with `?reopen=true`, or create a new index with the desired setting(s) and \
         reindex your data."
            .to_owned()
    } else {
        format!(
            "The setting(s) [[{}]] cannot be modified on an index once it is created. You will need to create a new index \
             with the desired setting(s) and reindex your data.",
            never.join(", ")
        )
    };
    Err(ApiError::illegal_argument(format!(
        "Can't update non dynamic setting(s) [[{}]] for open indices [[{index}/{uuid}]]. {way} See \
         https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-reindex",
        all.join(", ")
    )))
}
