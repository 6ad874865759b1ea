//! The index that a rebuild fills: how it is made after the old one, and how it takes its place.

use connectors_es_client::{EsClient, EsError, IndexInfo};
use connectors_protocol::index_name::{self, InvalidIndexName};
use connectors_protocol::sync_job::Rebuild;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::counters::Counters;
use crate::job::SyncInput;
use crate::new_index;

/// Between the name and the time, in the name of a new index.
const MARK: &str = "-rebuild-";
/// Digits of the time: year to millisecond.
const DIGITS: usize = 17;
/// Settings that belong to one index alone, or would keep it from being filled.
const NOT_CARRIED: [&str; 11] = [
    "blocks",
    "creation_date",
    "creation_date_string",
    "frozen",
    "hidden",
    "history_uuid",
    "provided_name",
    "resize",
    "uuid",
    "verified_before_close",
    "version",
];

/// Why a rebuild did not come to its end. The name stands for what it stood for before.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Elasticsearch refused a request.
    #[error(transparent)]
    Elasticsearch(#[from] EsError),
    /// The name is too long to get a time at its end.
    #[error("no name for the new index: {0}; give the connector an index with a shorter name")]
    Name(#[from] InvalidIndexName),
    /// An alias of several indices.
    #[error("{name} stands for {} indices ({}); a rebuild can replace one only: take the others out of the alias", .indices.len(), .indices.join(", "))]
    Several {
        /// The alias.
        name: String,
        /// What is behind it.
        indices: Vec<String>,
    },
    /// A data stream, or something else that is no index.
    #[error(
        "{0} is neither an index nor an alias, so nothing can take its place; give the connector an index"
    )]
    NoIndex(String),
    /// An index is in the place of the alias.
    #[error(
        "the index {0} cannot be kept: its name is needed for the alias of the new index. Rebuild it without keeping it; from then on {0} is an alias"
    )]
    InTheWay(String),
    /// The credentials do not reach further than the index.
    #[error(
        "these credentials may not make the new index {index} and the alias: they need the privilege all on {pattern} too. {error}"
    )]
    Denied {
        /// The new index.
        index: String,
        /// What a role has to name.
        pattern: String,
        /// What the server said.
        error: EsError,
    },
    /// Something of this name is there.
    #[error("{0} is there already; try again")]
    Taken(String),
    /// Documents are missing in the new index that the old one may have.
    #[error(
        "{count} documents could not be written to the new index, so {name} is left as it was. Correct what refuses them (the types of fields, the pipeline), or leave them out by a sync rule"
    )]
    Unwritten {
        /// The name that was to be rebuilt.
        name: String,
        /// Documents that were not written.
        count: u64,
    },
    /// Documents went elsewhere, or somebody else wrote.
    #[error(
        "the new index has {found} documents, but {expected} were written to it, so {name} is left as it was. Does an ingest pipeline send documents elsewhere, or does something else write to {name}{MARK}*?"
    )]
    Count {
        /// The name that was to be rebuilt.
        name: String,
        /// Documents written.
        expected: u64,
        /// Documents there.
        found: u64,
    },
    /// The server did not do what it said, or somebody changed the alias.
    #[error("the alias {name} did not move to {index}: it stands for {found}. Try again")]
    NotMoved {
        /// The alias.
        name: String,
        /// The new index.
        index: String,
        /// What is behind the alias.
        found: String,
    },
}

impl RebuildError {
    /// Whether a request got no answer, so that nobody knows whether the server carried it out, or still will.
    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Elasticsearch(error) if error.status_code().is_none())
    }
}

/// The index that is there.
#[derive(Debug)]
pub(crate) struct Old {
    pub index: String,
    /// Whether it is reached by the name as an alias.
    pub by_alias: bool,
    info: IndexInfo,
}

/// A new index, made to be filled.
#[derive(Debug)]
pub(crate) struct Replacement {
    client: EsClient,
    /// The name that it is to get.
    name: String,
    pub index: String,
    pub old: Option<Old>,
    pub keep_old: bool,
    /// Its aliases by index templates.
    given: Map<String, Value>,
    /// `index.hidden` of the index in use.
    pub hidden: Value,
}

/// The pattern of the names of indices that rebuilds of `name` make.
pub fn rebuilds_of(name: &str) -> String {
    format!("{name}{MARK}*")
}

/// A name for a new index: the old one and the time.
pub(crate) fn new_name(name: &str, now: Timestamp) -> String {
    let milliseconds = now.as_millisecond().rem_euclid(1000);
    format!("{name}{MARK}{}{milliseconds:03}", now.strftime("%Y%m%d%H%M%S"))
}

fn is_new_name(index: &str, name: &str) -> bool {
    let time = index.strip_prefix(name).and_then(|rest| rest.strip_prefix(MARK));
    time.is_some_and(|time| time.len() == DIGITS && time.bytes().all(|digit| digit.is_ascii_digit()))
}

impl Replacement {
    /// Looks at what is there, removes what earlier rebuilds left unfinished, and makes the new index.
    pub(crate) async fn begin(input: &SyncInput, how: Rebuild, index: &str) -> Result<Self, RebuildError> {
        let (client, name) = (&input.client, &input.index);
        index_name::check(index)?;
        let old = Old::find(client, name).await?;
        if let Some(old) = &old
            && how.keep_old
            && !old.by_alias
        {
            return Err(RebuildError::InTheWay(name.clone()));
        }
        remove_unfinished(client, name).await?;
        let (body, mut given) = body(input, old.as_ref(), index).await;
        let denied = |error: EsError| {
            if !error.is_denied() {
                return RebuildError::from(error);
            }
            let (index, pattern) = (index.to_owned(), rebuilds_of(name));
            RebuildError::Denied { index, pattern, error }
        };
        if !client.create_index(index, &body).await.map_err(denied)? {
            return Err(RebuildError::Taken(index.to_owned()));
        }
        let made = client.indices_of(index).await?.remove(index).unwrap_or_default();
        let hidden = old.as_ref().map_or(&made, |old| &old.info).settings["index"]["hidden"].clone();
        // Not in the request that makes it: templates for all indices leave hidden ones out.
        client.put_settings(index, &json!({"index.hidden": true})).await?;
        // What a template adds would show it before it is complete.
        let removals: Vec<Value> =
            made.aliases.keys().map(|alias| json!({"remove": {"index": index, "alias": alias}})).collect();
        if !removals.is_empty() {
            client.update_aliases(&removals).await?;
        }
        given.extend(made.aliases);
        Ok(Self {
            client: client.clone(),
            name: name.clone(),
            index: index.to_owned(),
            old,
            keep_old: how.keep_old,
            given,
            hidden,
        })
    }

    /// Whether the new index holds all that was written to it, and everything was written.
    pub(crate) fn check(&self, counters: &Counters, found: Option<u64>) -> Result<(), RebuildError> {
        complete(&self.name, counters, found.unwrap_or_default())
    }

    /// Gives the new index the name, and the other aliases that the old one has by now: in one request, which the server carries
    /// out at one moment.
    pub(crate) async fn swap(&self) -> Result<(), RebuildError> {
        let mut old_aliases = Map::new();
        if let Some(old) = &self.old {
            // Where it is gone, or lost the name, the request is refused for what it removes.
            let now = self.client.indices_of(&old.index).await?.remove(&old.index);
            old_aliases = now.map(|info| info.aliases).unwrap_or_default();
        }
        let swapped = self.client.update_aliases(&self.actions(old_aliases)).await;
        // An answer that was lost says nothing of what was done, and of an alias that somebody changed meanwhile the server
        // says too little.
        let found = self.client.indices_of(&self.name).await?;
        if found.len() == 1 && found.contains_key(&self.index) {
            return Ok(());
        }
        swapped?;
        let found: Vec<String> = found.into_keys().collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        Err(RebuildError::NotMoved { name: self.name.clone(), index: self.index.clone(), found })
    }

    fn actions(&self, mut old_aliases: Map<String, Value>) -> Vec<Value> {
        let mut aliases = self.given.clone();
        let mut actions = Vec::new();
        if let Some(old) = &self.old {
            if old.by_alias {
                old_aliases.entry(self.name.as_str()).or_insert_with(|| json!({}));
                let names = old_aliases.keys();
                actions.extend(names.map(|alias| json!({"remove": {"index": old.index, "alias": alias}})));
            } else {
                actions.push(json!({"remove_index": {"index": old.index}}));
            }
        }
        aliases.extend(old_aliases);
        // What the job writes later goes through the alias.
        let own = aliases.entry(self.name.as_str()).or_insert_with(|| json!({}));
        own["is_write_index"] = json!(true);
        for (alias, mut says) in aliases {
            says["index"] = json!(self.index);
            says["alias"] = json!(alias);
            actions.push(json!({ "add": says }));
        }
        actions
    }
}

impl Old {
    /// The index that a name stands for; none if there is none.
    async fn find(client: &EsClient, name: &str) -> Result<Option<Self>, RebuildError> {
        let mut found = client.indices_of(name).await?;
        if found.len() > 1 {
            let indices = found.into_keys().collect();
            return Err(RebuildError::Several { name: name.to_owned(), indices });
        }
        let Some((index, info)) = found.pop_first() else { return Ok(None) };
        let by_alias = index != name;
        if by_alias && !info.aliases.contains_key(name) {
            return Err(RebuildError::NoIndex(name.to_owned()));
        }
        Ok(Some(Self { index, by_alias, info }))
    }
}

/// Whether an index that was empty holds what these counters say was written to it, and nothing is missing.
fn complete(name: &str, counters: &Counters, found: u64) -> Result<(), RebuildError> {
    let name = name.to_owned();
    // A text that is too large is in no index, whichever way it is written.
    let count = counters.dead_letters.saturating_sub(counters.docs_dropped_too_large);
    if count > 0 {
        return Err(RebuildError::Unwritten { name, count });
    }
    // A document that was written twice, or whose first answer was lost, is counted as replaced.
    let most = counters.indexed;
    let least = most.saturating_sub(counters.index.id_duplicates);
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(RebuildError::Count { name, expected: most, found })
    }
}

/// Removes an index that no alias leads to, if it is there.
pub(crate) async fn remove_unused(client: &EsClient, index: &str) -> Result<(), EsError> {
    if client.indices_of(index).await?.get(index).is_some_and(|info| info.aliases.is_empty()) {
        client.delete_index(index).await?;
    }
    Ok(())
}

/// Removes what rebuilds of this name left behind that were killed: indices of such names that are hidden and have no alias.
/// One that was kept on purpose is not hidden.
async fn remove_unfinished(client: &EsClient, name: &str) -> Result<(), EsError> {
    let unfinished = client.indices_of(&rebuilds_of(name)).await?;
    for (index, info) in unfinished {
        let hidden = info.settings["index"]["hidden"] == "true";
        if is_new_name(&index, name) && info.aliases.is_empty() && hidden {
            tracing::info!("removing {index}, which a rebuild left unfinished");
            client.delete_index(&index).await?;
        }
    }
    Ok(())
}

/// Body of the request that makes the new index: what a first job would say of an index of the old name, with the settings of
/// the old one; and the aliases it is to get when it is complete, as templates for the old name say.
async fn body(input: &SyncInput, old: Option<&Old>, index: &str) -> (Value, Map<String, Value>) {
    let (client, known) = (&input.client, input.source.mapping(input.filter.advanced_rules()));
    // A template for the name need not be one for the name of the new index, so what it says is said here.
    let template = client.template_of(&input.index).await;
    let template =
        template.inspect_err(|error| tracing::debug!("the template of {}: {error}", input.index)).ok();
    let named = if template.is_some() { input.index.as_str() } else { index };
    let mut body = new_index::body(client, named, known, &input.mapping).await;
    let template = template.unwrap_or_default();
    let mappings = merged(template["mappings"].clone(), body["mappings"].take());
    let settings = match old {
        Some(old) => {
            let mut settings = carried(&old.info.settings["index"]);
            raise_limit(&mut settings, &body["settings"]);
            json!({ "index": settings })
        }
        None => json!({ "index": body["settings"].take() }),
    };
    let settings = merged(template["settings"].clone(), settings);
    let mut whole = json!({ "settings": settings });
    if !mappings.is_null() {
        whole["mappings"] = mappings;
    }
    (whole, template["aliases"].as_object().cloned().unwrap_or_default())
}

/// Settings of an index that another one can have.
fn carried(settings: &Value) -> Value {
    let mut settings = settings.clone();
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|key, _| !NOT_CARRIED.contains(&key.as_str()));
    }
    if let Some(Value::Object(allocation)) = settings.pointer_mut("/routing/allocation") {
        allocation.remove("initial_recovery");
    }
    settings
}

/// An index that gets more fields than the old one may have needs room for them.
fn raise_limit(settings: &mut Value, wanted: &Value) {
    let limit = |settings: &Value| {
        let limit = settings.pointer("/mapping/total_fields/limit")?;
        limit.as_u64().or_else(|| limit.as_str()?.parse().ok())
    };
    if let Some(wanted) = limit(wanted)
        && limit(settings).is_none_or(|there| there < wanted)
    {
        settings["mapping"]["total_fields"]["limit"] = wanted.into();
    }
}

/// One JSON value over another: objects are put together, of anything else the upper one counts if there is one.
fn merged(under: Value, over: Value) -> Value {
    match (under, over) {
        (Value::Object(mut under), Value::Object(over)) => {
            for (key, value) in over {
                let below = under.remove(&key).unwrap_or_default();
                under.insert(key, merged(below, value));
            }
            Value::Object(under)
        }
        (under, Value::Null) => under,
        (_, over) => over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_names_are_known_again() {
        let name = new_name("docs", Timestamp::UNIX_EPOCH);
        assert_eq!(name, "docs-rebuild-19700101000000000");
        assert!(is_new_name(&name, "docs"));
        for other in
            ["docs", "docs-rebuild-1970", "docs-rebuild-1970010100000000x", "x-rebuild-19700101000000000"]
        {
            assert!(!is_new_name(other, "docs"), "{other}");
        }
        assert!(!is_new_name(&new_name(&name, Timestamp::UNIX_EPOCH), "docs"));
    }

    #[test]
    fn an_old_limit_of_fields_is_raised_and_never_lowered() {
        let raised = |mut settings: Value, wanted: Value| {
            raise_limit(&mut settings, &wanted);
            settings.pointer("/mapping/total_fields/limit").cloned()
        };
        let of = |limit: Value| json!({"mapping": {"total_fields": {"limit": limit}}});
        assert_eq!(raised(json!({"codec": "x"}), of(json!(1500))), Some(json!(1500)));
        assert_eq!(raised(of(json!("1200")), of(json!(1500))), Some(json!(1500)));
        assert_eq!(raised(of(json!("2000")), of(json!(1500))), Some(json!("2000")));
        assert_eq!(raised(json!({}), json!({"auto_expand_replicas": "0-1"})), None);
    }

    #[test]
    fn a_new_index_is_complete_if_it_holds_what_was_written() {
        let says = |counters: &Counters, found| {
            complete("docs", counters, found).err().map(|error| error.to_string())
        };
        let mut counters =
            Counters { docs_extracted: 12, docs_filtered: 2, indexed: 10, ..Counters::default() };
        assert_eq!(says(&counters, 10), None);
        assert!(
            says(&counters, 9).unwrap().starts_with("the new index has 9 documents, but 10 were written")
        );
        assert!(says(&counters, 11).unwrap().contains("docs-rebuild-*"));
        // The same document twice, or one answer that was lost: one document less, or not.
        counters.index.id_duplicates = 1;
        assert_eq!((says(&counters, 9), says(&counters, 10)), (None, None));
        assert!(says(&counters, 8).is_some());
        (counters.dead_letters, counters.docs_dropped_too_large) = (3, 3);
        assert_eq!(says(&counters, 10), None);
        counters.dead_letters = 4;
        assert!(says(&counters, 10).unwrap().starts_with("1 documents could not be written"));
    }

    #[test]
    fn settings_of_one_index_alone_are_left_behind() {
        let settings = json!({
            "uuid": "x", "version": {"created": "9"}, "creation_date": "1", "provided_name": "docs", "hidden": "true",
            "blocks": {"write": "true"}, "number_of_shards": "2", "analysis": {"analyzer": {"default": {"type": "german"}}},
            "routing": {"allocation": {"include": {"_tier_preference": "data_content"}, "initial_recovery": {"_id": "n"}}},
        });
        let left = json!({
            "number_of_shards": "2", "analysis": {"analyzer": {"default": {"type": "german"}}},
            "routing": {"allocation": {"include": {"_tier_preference": "data_content"}}},
        });
        assert_eq!(carried(&settings), left);
        assert_eq!(carried(&json!({"number_of_shards": "1"})), json!({"number_of_shards": "1"}));
        let template = json!({"index": {"number_of_shards": "3", "codec": "best_compression"}});
        let both = merged(template, json!({"index": {"number_of_shards": "1"}}));
        assert_eq!(both, json!({"index": {"number_of_shards": "1", "codec": "best_compression"}}));
    }
}
