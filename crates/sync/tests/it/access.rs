//! Documents that say who may see them.

use std::sync::Arc;

use connectors_protocol::sync_job::JobType;
use connectors_sdk::{Document, ErrorKind, Message};
use connectors_sync::{Outcome, SyncInput};
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::source::{Listed, document, with_error};
use crate::{client, sync};

const T1: &str = "2026-01-01T00:00:00Z";

fn visible_to(mut document: Document, identities: &Value) -> Document {
    document.fields.insert("_allow_access_control".to_owned(), identities.clone());
    document
}

/// What the index holds of a document that everybody may see.
fn open(id: &str) -> Value {
    json!({"id": id, "_timestamp": T1, "_allow_access_control": ["everyone"], "body": "old"})
}

fn restricted(messages: Vec<Message>) -> Arc<Listed> {
    let mut source = Listed::new(messages);
    source.restricted = true;
    Arc::new(source)
}

#[tokio::test]
async fn nothing_stays_open_to_those_who_may_not_see_it_any_more() {
    for changes in [false, true] {
        let fake = Fake::start().await;
        for id in ["same", "closed", "unreadable", "vanished", "unknown", "empty"] {
            fake.put("docs", id, open(id));
        }
        let alice = json!(["user:alice"]);
        let source = restricted(
            [
                visible_to(document("same", T1), &json!(["everyone"])),
                visible_to(document("closed", T1), &alice),
                visible_to(with_error("unreadable", ErrorKind::PermissionDenied), &alice),
                visible_to(with_error("vanished", ErrorKind::NotFound), &alice),
                document("unknown", T1),
                visible_to(document("empty", T1), &json!([])),
            ]
            .map(Message::Document)
            .into(),
        );
        let job_type = if changes { JobType::Incremental } else { JobType::Full };
        let job = SyncInput {
            job_type,
            source_sends_changes: changes,
            ..SyncInput::full(client(&fake), "docs", source)
        };
        let report = sync(job).await;
        assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
        assert_eq!(fake.ids("docs"), ["closed", "same"], "changes: {changes}");
        assert_eq!(fake.document("docs", "closed")["_allow_access_control"], alice);
        assert_eq!(report.counters.docs_unchanged, u64::from(!changes), "{report:?}");
        assert_eq!(report.counters.dead_letters, 3, "{report:?}");
    }
}

#[tokio::test]
async fn without_restrictions_what_cannot_be_read_stays() {
    let fake = Fake::start().await;
    fake.put("docs", "unreadable", json!({"id": "unreadable", "_timestamp": "2025-01-01T00:00:00Z"}));
    let messages = vec![Message::Document(with_error("unreadable", ErrorKind::PermissionDenied))];
    let report = sync(SyncInput::full(client(&fake), "docs", Arc::new(Listed::new(messages)))).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!((fake.ids("docs"), report.counters.dead_letters), (vec!["unreadable".to_owned()], 1));
}
