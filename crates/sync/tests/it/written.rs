//! Documents whose fields a source wrote as JSON itself.

use connectors_protocol::filtering::Filter;
use connectors_sdk::{Document, FieldName, FieldsPage, Message};
use connectors_sync::{Outcome, SyncInput};
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::source::Listed;
use crate::{completed, input, sync};

/// A document with these fields.
fn written(id: &str, fields: &[(&str, Value)]) -> Document {
    let names = FieldName::distinct(fields.iter().map(|(name, _)| *name)).unwrap();
    let mut page = FieldsPage::default();
    let mut text = page.begin();
    for (name, (_, value)) in names.iter().zip(fields) {
        text.field(name).value(value);
    }
    Document::written(id, text.finish())
}

/// Leaves out what has this value in the field `n`.
fn without(value: u64) -> Filter {
    let rule = json!({"id": "r", "order": 1, "policy": "exclude", "field": "n", "rule": "equals", "value": value.to_string()});
    Filter { rules: vec![rule], ..Filter::default() }
}

#[tokio::test]
async fn they_are_written_when_they_changed() {
    let fake = Fake::start().await;
    let source = |n: u64| {
        let row = |id: &str, n: u64| {
            written(id, &[("n", json!(n)), ("t", json!("a\"\n")), ("o", json!({"x": [null]}))])
        };
        Listed::documents([row("a", 1), row("b", n)])
    };
    assert_eq!(completed(&fake, source(2)).await.counters.indexed, 2);
    let mut document = fake.document("docs", "b");
    assert!(document["_timestamp"].take().is_string() && document["_content_hash"].take().is_string());
    let expected = json!({
        "id": "b", "n": 2, "t": "a\"\n", "o": {"x": [null]}, "_timestamp": null, "_content_hash": null,
        "_extract_binary_content": true, "_reduce_whitespace": true, "_run_ml_inference": true,
    });
    assert_eq!(document, expected);
    assert_eq!(completed(&fake, source(2)).await.counters.docs_unchanged, 2);
    let report = completed(&fake, source(3)).await;
    assert_eq!((report.counters.indexed, report.counters.docs_unchanged), (1, 1));
}

#[tokio::test]
async fn rules_look_at_their_fields() {
    let fake = Fake::start().await;
    let source = || Listed::documents([written("a", &[("n", json!(1))]), written("b", &[("n", json!(2))])]);
    completed(&fake, source()).await;
    let report = sync(SyncInput { filter: without(2), ..input(&fake, source()) }).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    // The rule alone makes no other document of one.
    let counters = &report.counters;
    assert_eq!((counters.docs_filtered, counters.docs_unchanged, counters.deleted), (1, 1, 1));
    assert_eq!(fake.ids("docs"), ["a"]);
    assert_eq!(completed(&fake, source()).await.counters.docs_unchanged, 1);
}

#[tokio::test]
async fn what_rules_cannot_look_at_stays_as_it_is() {
    let fake = Fake::start().await;
    fake.put("docs", "deep", json!({"id": "deep"}));
    let nested = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let source = Listed::documents([written("deep", &[("n", nested)]), written("a", &[("n", json!(1))])]);
    let report = sync(SyncInput { filter: without(2), ..input(&fake, source) }).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!((report.counters.indexed, report.counters.dead_letters, report.counters.deleted), (1, 1, 0));
    assert_eq!(fake.ids("docs"), ["a", "deep"]);
    assert!(report.dead_letters[0].reason.contains("sync rules"), "{:?}", report.dead_letters);
}

#[tokio::test]
async fn the_field_id_is_the_sources_only_if_it_owns_it() {
    for (owns_id_field, id) in [(true, json!(7)), (false, json!("t_7"))] {
        let fake = Fake::start().await;
        let mut source = Listed::documents([written("t_7", &[("id", json!(7)), ("n", json!(1))])]);
        source.owns_id_field = owns_id_field;
        completed(&fake, source).await;
        assert_eq!(
            (&fake.document("docs", "t_7")["id"], &fake.document("docs", "t_7")["n"]),
            (&id, &json!(1))
        );
    }
}

#[tokio::test]
async fn timestamps_are_the_sources_and_other_fields_may_be_a_map() {
    let fake = Fake::start().await;
    let mut both = written("a", &[("n", json!(1))]).with_timestamp("2026-01-02T03:04:05Z");
    both.fields.insert("id".to_owned(), json!(7));
    both.fields.insert("m".to_owned(), json!([2]));
    let alone = written("b", &[("n", json!(1))]).with_timestamp("2026-01-02T03:04:06Z");
    let documents = Listed::documents([both, alone]);
    completed(&fake, documents).await;
    let expected = json!({"id": "a", "n": 1, "m": [2], "_timestamp": "2026-01-02T03:04:05Z"});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(fake.document("docs", "a")[field], *value);
    }
    assert_eq!(fake.document("docs", "b")["_timestamp"], "2026-01-02T03:04:06Z");
}

#[tokio::test]
async fn a_part_of_a_document_is_merged() {
    let fake = Fake::start().await;
    fake.put("docs", "a", json!({"id": "a", "kept": 1, "_content_hash": "h"}));
    let update = Message::Update(written("a", &[("n", json!(2))]));
    let mut changes = input(&fake, Listed::new(vec![update]));
    changes.job_type = connectors_protocol::sync_job::JobType::Incremental;
    changes.source_sends_changes = true;
    let report = sync(changes).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    let document = fake.document("docs", "a");
    assert_eq!(
        (&document["kept"], &document["n"], &document["_content_hash"]),
        (&json!(1), &json!(2), &Value::Null)
    );
}
