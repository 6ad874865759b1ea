//! Advanced sync rules: `{"find": {…}}` or `{"aggregate": {…}}`, with the options of Elastic's connector.

use std::time::Duration;

use connectors_sdk::{ErrorKind, RuleViolation, SourceError};
use mongodb::bson::{Bson, Document};
use mongodb::options::{AggregateOptions, FindOptions};
use serde_json::{Map, Value};

/// Which documents are synced.
#[derive(Debug)]
pub(super) enum Rules {
    /// All of the collection.
    All,
    /// Those a query finds.
    Find(Box<Find>),
    /// Those an aggregation makes.
    Aggregate(Box<Aggregate>),
}

/// A query.
#[derive(Debug, Default)]
pub(super) struct Find {
    pub filter: Document,
    pub options: FindOptions,
}

/// An aggregation.
#[derive(Debug, Default)]
pub(super) struct Aggregate {
    pub pipeline: Vec<Document>,
    pub options: AggregateOptions,
}

/// Stages whose result depends on nothing but the collection's documents. Not among them: those that read other collections, and
/// those that read a search index, which follows the collection only after a while.
const SELF_CONTAINED: [&str; 21] = [
    "$addFields",
    "$bucket",
    "$bucketAuto",
    "$count",
    "$densify",
    "$fill",
    "$geoNear",
    "$group",
    "$limit",
    "$match",
    "$project",
    "$redact",
    "$replaceRoot",
    "$replaceWith",
    "$set",
    "$setWindowFields",
    "$skip",
    "$sort",
    "$sortByCount",
    "$unset",
    "$unwind",
];

/// Operators whose result may be another one the next time.
const UNSTEADY_OPERATORS: [&str; 5] = ["$accumulator", "$function", "$rand", "$sampleRate", "$where"];

/// Variables that are the time.
const CLOCKS: [&str; 2] = ["$$NOW", "$$CLUSTER_TIME"];

impl Rules {
    /// Understands a snippet, or says all that is wrong with it.
    pub(super) fn parse(snippet: Option<&Value>) -> Result<Self, Vec<RuleViolation>> {
        let mut check = Check::default();
        let rules = check.rules(snippet.unwrap_or(&Value::Null));
        if check.violations.is_empty() { Ok(rules) } else { Err(check.violations) }
    }

    /// Like [`parse`](Self::parse), for a job.
    pub(super) fn for_job(snippet: Option<&Value>) -> Result<Self, SourceError> {
        Self::parse(snippet).map_err(|violations| {
            let messages: Vec<String> = violations.into_iter().map(|violation| violation.message).collect();
            SourceError::new(ErrorKind::Config, "use the advanced sync rules", messages.join("; "))
                .with_hint("Correct the advanced sync rules.")
        })
    }

    /// Why the documents may be others although the collection did not change; none if they cannot.
    pub(super) fn unsteady(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Find(find) => {
                if find.options.allow_partial_results == Some(true) {
                    return Some("`allow_partial_results` is on".to_owned());
                }
                let projection = find.options.projection.iter().flatten();
                find.filter.iter().chain(projection).find_map(|(key, value)| unsteady_part(key, value))
            }
            Self::Aggregate(aggregate) => {
                let stages = || aggregate.pipeline.iter().flatten();
                let variables = aggregate.options.let_vars.iter().flatten();
                stages()
                    .map(|(stage, _)| stage)
                    .find(|stage| !SELF_CONTAINED.contains(&stage.as_str()))
                    .map(|stage| format!("the stage `{stage}` may depend on more than the collection"))
                    .or_else(|| stages().chain(variables).find_map(|(key, value)| unsteady_part(key, value)))
            }
        }
    }

    /// The query that a changed document is looked up with, if these rules can be applied to one document.
    pub(super) fn for_one_document(&self) -> Result<Find, SourceError> {
        let refuse = |what: &str| {
            let problem =
                format!("the advanced sync rules have {what}, which depends on other documents too");
            Err(SourceError::new(ErrorKind::Config, "sync only what changed", problem).with_hint(
                "Use full content syncs with these rules; one that has nothing to do ends at once.",
            ))
        };
        match self {
            Self::All => Ok(Find::default()),
            Self::Aggregate(_) => refuse("an `aggregate`"),
            Self::Find(find) if find.options.skip.is_some_and(|skip| skip > 0) => refuse("`find.skip`"),
            Self::Find(find) if find.options.limit.is_some_and(|limit| limit != 0) => refuse("`find.limit`"),
            Self::Find(find) if find.options.return_key == Some(true) => refuse("`find.return_key`"),
            Self::Find(find) => {
                let mut options = find.options.clone();
                // They are for the listing; a document that a shard does not answer for is not deleted.
                (options.limit, options.skip, options.allow_partial_results) = (None, None, None);
                Ok(Find { filter: find.filter.clone(), options })
            }
        }
    }
}

fn unsteady_part(key: &str, value: &Bson) -> Option<String> {
    if UNSTEADY_OPERATORS.contains(&key) {
        return Some(format!("`{key}` may give something else each time"));
    }
    match value {
        Bson::Document(document) => document.iter().find_map(|(key, value)| unsteady_part(key, value)),
        Bson::Array(items) => items.iter().find_map(|item| unsteady_part("", item)),
        Bson::String(text) => CLOCKS
            .iter()
            .find(|clock| text.starts_with(**clock))
            .map(|clock| format!("`{clock}` is another time in each sync")),
        _ => None,
    }
}

/// Collects what is wrong.
#[derive(Default)]
struct Check {
    violations: Vec<RuleViolation>,
}

impl Check {
    fn add(&mut self, message: String) {
        self.violations.push(RuleViolation { message });
    }

    fn rules(&mut self, snippet: &Value) -> Rules {
        let snippet = match snippet {
            Value::Null => return Rules::All,
            Value::Object(snippet) => snippet,
            _ => {
                self.add("the snippet must be an object with `find` or `aggregate`".to_owned());
                return Rules::All;
            }
        };
        for key in snippet.keys().filter(|key| !["find", "aggregate"].contains(&key.as_str())) {
            self.add(format!("`{key}` is not known: use `find` or `aggregate`"));
        }
        if snippet.len() > 1 && self.violations.is_empty() {
            self.add("use either `find` or `aggregate`, not both".to_owned());
        }
        let mut part = |name: &str| {
            let value = snippet.get(name)?;
            if !value.is_object() {
                self.add(format!("`{name}` must be an object"));
            }
            value.as_object()
        };
        let (find, aggregate) = (part("find"), part("aggregate"));
        if let Some(find) = find {
            Rules::Find(Box::new(self.find(find)))
        } else if let Some(aggregate) = aggregate {
            Rules::Aggregate(Box::new(self.aggregate(aggregate)))
        } else {
            Rules::All
        }
    }

    fn find(&mut self, rules: &Map<String, Value>) -> Find {
        let mut find = Find::default();
        let options = &mut find.options;
        for (key, value) in rules {
            let at = format!("find.{key}");
            match key.as_str() {
                "filter" => find.filter = self.document(&at, value).unwrap_or_default(),
                "projection" => options.projection = self.projection(&at, value),
                "skip" => options.skip = self.count(&at, value),
                "limit" => options.limit = self.integer(&at, value),
                "batch_size" => options.batch_size = self.size(&at, value),
                "max_time_ms" => options.max_time = self.count(&at, value).map(Duration::from_millis),
                "no_cursor_timeout" => options.no_cursor_timeout = self.truth(&at, value),
                "allow_partial_results" => options.allow_partial_results = self.truth(&at, value),
                "return_key" => options.return_key = self.truth(&at, value),
                "show_record_id" => options.show_record_id = self.truth(&at, value),
                "allow_disk_use" => options.allow_disk_use = self.truth(&at, value),
                _ => self.add(format!("`{at}` is not known")),
            }
        }
        find
    }

    fn aggregate(&mut self, rules: &Map<String, Value>) -> Aggregate {
        let mut aggregate = Aggregate::default();
        let options = &mut aggregate.options;
        for (key, value) in rules {
            let at = format!("aggregate.{key}");
            match key.as_str() {
                "pipeline" => aggregate.pipeline = self.pipeline(&at, value),
                "allowDiskUse" => options.allow_disk_use = self.truth(&at, value),
                "maxTimeMS" => options.max_time = self.count(&at, value).map(Duration::from_millis),
                "batchSize" => options.batch_size = self.size(&at, value),
                "let" => options.let_vars = self.document(&at, value),
                _ => self.add(format!("`{at}` is not known")),
            }
        }
        aggregate
    }

    fn pipeline(&mut self, at: &str, value: &Value) -> Vec<Document> {
        let Some(stages) = value.as_array().filter(|stages| !stages.is_empty()) else {
            self.add(format!("`{at}` must be an array of at least one stage"));
            return Vec::new();
        };
        let mut pipeline = Vec::with_capacity(stages.len());
        for (index, stage) in stages.iter().enumerate() {
            let at = format!("{at}[{index}]");
            let Some(stage) = self.document(&at, stage) else { continue };
            match stage.keys().next().map(String::as_str) {
                Some(name @ ("$out" | "$merge")) => {
                    self.add(format!("`{at}` is `{name}`, which writes: a connector only reads"));
                }
                Some("$changeStream") => self.add(format!("`{at}` is `$changeStream`, which never ends")),
                _ if stage.len() != 1 => {
                    self.add(format!("`{at}` must have exactly one field, the name of the stage"));
                }
                _ => pipeline.push(stage),
            }
        }
        pipeline
    }

    /// Names of fields, or an object as the server takes it.
    fn projection(&mut self, at: &str, value: &Value) -> Option<Document> {
        let projection = match value {
            Value::Array(names) => {
                let fields: Option<Document> =
                    names.iter().map(|name| Some((name.as_str()?.to_owned(), Bson::Int32(1)))).collect();
                if fields.is_none() {
                    self.add(format!("`{at}` must name fields by text"));
                    return None;
                }
                fields
            }
            Value::Object(_) => self.document(at, value),
            _ => {
                self.add(format!("`{at}` must be an array or an object"));
                return None;
            }
        };
        if projection.as_ref().is_some_and(Document::is_empty) {
            self.add(format!("`{at}` must not be empty"));
        }
        projection
    }

    /// An object, in which MongoDB's extended JSON (`{"$oid": …}`, `{"$date": …}`) stands for what JSON has not.
    fn document(&mut self, at: &str, value: &Value) -> Option<Document> {
        if !value.is_object() {
            self.add(format!("`{at}` must be an object"));
            return None;
        }
        match serde_json::from_value(value.clone()) {
            Ok(document) => Some(document),
            Err(error) => {
                self.add(format!("`{at}` is not valid extended JSON: {error}"));
                None
            }
        }
    }

    fn integer(&mut self, at: &str, value: &Value) -> Option<i64> {
        let number = value.as_i64();
        if number.is_none() {
            self.add(format!("`{at}` must be an integer"));
        }
        number
    }

    fn count(&mut self, at: &str, value: &Value) -> Option<u64> {
        let number = u64::try_from(self.integer(at, value)?).ok();
        if number.is_none() {
            self.add(format!("`{at}` must not be negative"));
        }
        number
    }

    fn size(&mut self, at: &str, value: &Value) -> Option<u32> {
        let size = self.count(at, value)?;
        let fitting = i32::try_from(size).ok().and_then(|size| u32::try_from(size).ok());
        if fitting.is_none() {
            self.add(format!("`{at}` must be below 2147483648"));
        }
        fitting
    }

    fn truth(&mut self, at: &str, value: &Value) -> Option<bool> {
        let truth = value.as_bool();
        if truth.is_none() {
            self.add(format!("`{at}` must be true or false"));
        }
        truth
    }
}
