//! Basic sync rules: what each operator keeps and drops, on whatever server holds the documents.

use serde_json::{Value, json};

use crate::service::{change, connected};
use crate::support::Server;

fn rule(order: u64, policy: &str, field: &str, operator: &str, value: &str) -> Value {
    let now = "2026-01-01T00:00:00+00:00";
    json!({"id": format!("rule-{order}"), "order": order, "policy": policy, "field": field, "rule": operator, "value": value,
        "created_at": now, "updated_at": now})
}

#[tokio::test]
async fn each_operator_and_their_order_decide_what_is_indexed() {
    let server = Server::start().await;
    // note-0000.txt to note-0011.txt, 100 bytes each.
    let (place, connector) = connected(&server, "search-e2e-operators").await;
    place.write("small.md", "twelve bytes");
    place.write("Ünïcode.txt", "ten bytes!");
    let files = place.files().display().to_string();
    let config = place.config(&server.url, &json!({}));
    let (_, document) = server.connector(&place.index).await;
    let mut filtering = document["filtering"].clone();
    let all = 14_u64;
    for (rules, kept) in [
        (vec![], 14),
        (vec![rule(1, "exclude", "size", "equals", "100")], 2),
        (vec![rule(1, "exclude", "size", "equals", "100.0")], 2),
        (vec![rule(1, "exclude", "size", ">", "12")], 2),
        (vec![rule(1, "exclude", "size", "<", "12")], 13),
        (vec![rule(1, "exclude", "path", "contains", "/note-000")], 4),
        (vec![rule(1, "exclude", "path", "contains", "Ünï")], 13),
        (vec![rule(1, "exclude", "path", "starts_with", &format!("{files}/0"))], 4),
        (vec![rule(1, "exclude", "path", "ends_with", ".md")], 13),
        (vec![rule(1, "exclude", "path", "regex", ".*note-00(03|1.)\\.txt")], 11),
        (vec![rule(1, "exclude", "last_modified_time", "<", "2020-01-01T00:00:00Z")], 14),
        (vec![rule(1, "exclude", "last_modified_time", ">", "2020-01-01T00:00:00Z")], 0),
        (vec![rule(1, "exclude", "no_such_field", "equals", "x")], 14),
        // The first that matches decides, whatever the order in which they are stored.
        (vec![rule(2, "exclude", "size", ">", "0"), rule(1, "include", "path", "ends_with", ".md")], 1),
        (vec![rule(1, "exclude", "size", ">", "0"), rule(2, "include", "path", "ends_with", ".md")], 0),
    ] {
        filtering[0]["active"]["rules"] = json!(rules);
        change(&server, &connector, json!({ "filtering": filtering })).await;
        let report = place.sync(&config);
        assert_eq!(report["filtered_document_count"], all - kept, "{rules:?}: {report}");
        assert_eq!(server.documents(&place.index).await.len() as u64, kept, "{rules:?}");
    }
    // Rules that cannot be used end the job before it reads anything.
    for (rules, says) in [
        (vec![rule(1, "exclude", "size", "is about", "100")], "rule"),
        (vec![rule(1, "exclude", "path", "regex", "(")], "regex"),
        (vec![rule(1, "exclude", "path", "regex", ".*")], "matches everything"),
        (vec![rule(1, "exclude", "size", ">", "1"), rule(2, "include", "size", ">", "1")], "rule-1"),
    ] {
        filtering[0]["active"]["rules"] = json!(rules);
        change(&server, &connector, json!({ "filtering": filtering })).await;
        let output = place.sync_command(&config).output().unwrap();
        let report = crate::support::report(&output);
        assert_eq!(
            (output.status.code(), &report["status"]),
            (Some(1), &json!("error")),
            "{rules:?}: {report}"
        );
        let error = report["error"].as_str().unwrap();
        assert!(error.contains("sync rules are not valid") && error.contains(says), "{rules:?}: {error}");
    }
    server.forget(&place.index).await;
}
