//! The contract between a source and the service.

use std::pin::Pin;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::{ErrorKind, Sink, SourceError};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A reason why a draft of advanced sync rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleViolation {
    /// What is wrong, in words for the author of the rules.
    pub message: String,
}

/// What a source knows of the time since the last sync.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed {
    /// Something may have changed; also when in doubt.
    Perhaps,
    /// Nothing did. With a cursor the next sync looks from there, without one from where this one did: a third party that
    /// keeps its history for a limited time forgets what an old cursor means.
    Nothing(Option<Value>),
}

impl Changed {
    /// Whether something may have changed.
    pub fn perhaps(&self) -> bool {
        matches!(self, Self::Perhaps)
    }
}

/// One third-party system, configured. Made by the [`Registry`](crate::Registry) for one job or one check, used by one task.
///
/// Only [`ping`](Self::ping) and [`documents`](Self::documents) have to be written. What a source supports beyond is said in
/// its [`Capabilities`](crate::Capabilities); the service calls an optional method only if the capability says so.
#[async_trait]
pub trait DataSource: Send + Sync {
    /// Checks what the generic check of required fields and validations cannot see (that named things exist, that formats
    /// are right). Errors are of kind [`ErrorKind::Config`] whenever the operator can fix them.
    async fn validate(&self) -> Result<(), SourceError> {
        Ok(())
    }

    /// Whether the third party is reachable with these credentials.
    async fn ping(&self) -> Result<(), SourceError>;

    /// Types of the fields whose types the source knows: `properties` of an index's mapping. They are for an index that a job
    /// makes, as far as no index template says otherwise; any other field is mapped as its first value comes. Called after
    /// [`validate`](Self::validate), in which a source may have learned them.
    fn mapping(&self, advanced_rules: Option<&Value>) -> Map<String, Value> {
        let _ = advanced_rules;
        Map::new()
    }

    /// Whether anything may have changed since the last sync; `cursor` is what the last completed sync left.
    /// [`Changed::Nothing`] ends the job at once, completed.
    async fn changed(&self, cursor: Option<&Value>) -> Result<Changed, SourceError> {
        let _ = cursor;
        Ok(Changed::Perhaps)
    }

    /// Sends every document. `Ok` says that the listing is complete: documents of the index that were not sent are deleted.
    /// A listing that could not be completed ends with an error ([`ErrorKind::Incomplete`] if parts were skipped): what was
    /// sent is written, nothing is deleted.
    async fn documents(&self, advanced_rules: Option<&Value>, sink: &Sink) -> Result<(), SourceError>;

    /// Whether documents may have a field `id` of their own that is not the document's identity (a column of that name). It is
    /// kept, and documents of the index are told apart by `_id` alone. Otherwise the field `id` is the document's identity.
    fn owns_id_field(&self) -> bool {
        false
    }

    /// Removes what the source keeps for this connector at the third party (a replication slot). Called when the connector is
    /// deleted; nothing to remove is no error.
    async fn forget(&self) -> Result<(), SourceError> {
        Ok(())
    }

    /// Whether every document says in `_allow_access_control` who may see it: the capability `access_control` is there and
    /// switched on. A document without it is not written then, because it would be open to everybody.
    fn restricts_access(&self) -> bool {
        false
    }

    /// Sends what changed since `cursor` (without one: every document), and the new cursor as
    /// [`Checkpoint`](crate::Message::Checkpoint). Needs the capability `changes`.
    async fn changes(
        &self,
        cursor: Option<&Value>,
        advanced_rules: Option<&Value>,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        let _ = (cursor, advanced_rules, sink);
        Err(unsupported("send changes only"))
    }

    /// Sends the documents of the access control index. Needs the capability `access_control`.
    async fn access_control(&self, sink: &Sink) -> Result<(), SourceError> {
        let _ = sink;
        Err(unsupported("list identities"))
    }

    /// Checks advanced sync rules. Needs the capability `advanced_rules`.
    async fn validate_advanced_rules(&self, rules: &Value) -> Result<Vec<RuleViolation>, SourceError> {
        let _ = rules;
        Err(unsupported("check advanced sync rules"))
    }
}

fn unsupported(operation: &'static str) -> SourceError {
    SourceError::new(ErrorKind::Unexpected, operation, "this source has no such feature")
        .with_hint("Use a full content sync.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SinkLimits, channel};

    struct Minimal;

    #[async_trait]
    impl DataSource for Minimal {
        async fn ping(&self) -> Result<(), SourceError> {
            Ok(())
        }

        async fn documents(&self, _: Option<&Value>, _: &Sink) -> Result<(), SourceError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn optional_methods_have_safe_defaults() {
        let source: Box<dyn DataSource> = Box::new(Minimal);
        let (sink, _inbox) = channel(SinkLimits::default());
        source.validate().await.unwrap();
        source.ping().await.unwrap();
        source.documents(None, &sink).await.unwrap();
        assert!(source.changed(None).await.unwrap().perhaps());
        assert!(!source.restricts_access() && !source.owns_id_field());
        source.forget().await.unwrap();
        assert!(source.changes(None, None, &sink).await.is_err());
        assert!(source.access_control(&sink).await.is_err());
        assert!(source.validate_advanced_rules(&Value::Null).await.is_err());
    }
}
