//! `connectors rules`: from a file to rules in force.

use serde_json::{Value, json};

use crate::support::{Server, Workplace, answer, err, out, report, said};

#[tokio::test]
async fn a_draft_is_set_checked_rehearsed_and_applied() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-rules");
    server.forget(&place.index).await;
    for (name, text) in
        [("keep.txt", "a"), ("drafts/one.txt", "b"), ("drafts/two.txt", "c"), ("old.log", "d")]
    {
        place.write(name, text);
    }
    let config = place.config(&server.url, &json!({}));
    place.sync(&config);
    let (id, _) = server.connector(&place.index).await;
    let rules = |verb: &str, more: &[&str], lines: &[&str]| {
        answer(Workplace::command(&config).args(["rules", verb, &id]).args(more), lines)
    };
    let stored = async || -> Value { server.connector(&place.index).await.1["filtering"][0].clone() };

    // What cannot be a draft is refused, and the one that is there stays.
    let before = stored().await;
    for (text, message) in [
        ("[", "standard input: not valid JSON"),
        ("5", "a list of basic rules is expected"),
        (r#"{"rule": []}"#, "there is no \"rule\" in sync rules"),
        (r#"{"rules": {}}"#, "\"rules\" is a list"),
        (r#"{"advanced_snippet": [1]}"#, "whose \"value\" is the advanced rules"),
    ] {
        let output = rules("set", &[], &[text]);
        assert!(!output.status.success() && err(&output).contains(message), "{text}: {}", said(&output));
    }
    let output = rules("set", &["/no/such.json"], &[]);
    assert!(err(&output).contains("/no/such.json: cannot be read"), "{}", said(&output));
    assert_eq!(stored().await, before);

    // An invalid one is stored with its errors, which say where they are; it cannot be rehearsed or applied.
    let bad = json!({
        "rules": [
            {"policy": "exclude", "field": "path", "rule": "contains", "value": "/drafts/"},
            {"id": "all", "policy": "include", "field": "path", "rule": "regex", "value": ".*"},
        ],
        "advanced_snippet": {"value": {"find": "x"}},
    });
    let output = rules("set", &["-o", "json"], &[&bad.to_string()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let result = report(&output);
    assert_eq!(result["state"], "invalid");
    assert_eq!(result["errors"][0]["at"], json!(["rules[1] (id all)"]), "{result}");
    assert_eq!(result["errors"][1]["at"], json!(["advanced_snippet.value"]), "{result}");
    assert_eq!(stored().await["draft"]["validation"]["state"], "invalid");
    for verb in ["validate", "apply"] {
        let output = rules(verb, &[], &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(out(&output).contains("rules[1] (id all): Rule 2"), "{}", said(&output));
        assert!(
            out(&output).contains("advanced_snippet.value: System Directory has no advanced"),
            "{}",
            said(&output)
        );
    }
    let output = rules("preview", &[], &[]);
    assert!(
        !output.status.success() && err(&output).contains("sync rules are not valid"),
        "{}",
        said(&output)
    );
    assert_eq!(stored().await["active"], before["active"]);

    // A valid one: counted rule by rule, and nothing happens yet.
    let file = config.with_extension("rules.json");
    let good = json!([
        {"policy": "include", "field": "path", "rule": "ends_with", "value": "/two.txt"},
        {"policy": "exclude", "field": "path", "rule": "contains", "value": "/drafts/"},
        {"policy": "exclude", "field": "path", "rule": "ends_with", "value": ".log"},
    ]);
    std::fs::write(&file, good.to_string()).unwrap();
    let output = rules("set", &[file.to_str().unwrap()], &[]);
    assert!(output.status.success() && out(&output).contains("which is valid"), "{}", said(&output));
    assert!(rules("validate", &[], &[]).status.success());
    let output = rules("preview", &["-o", "json"], &[]);
    let counts = report(&output);
    let row = |id: &str| {
        let found = counts["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == id).unwrap();
        (found["kept"].as_u64().unwrap(), found["dropped"].as_u64().unwrap())
    };
    assert_eq!(
        [row("rule-1"), row("rule-2"), row("rule-3"), row("DEFAULT")],
        [(1, 0), (0, 1), (0, 1), (1, 0)]
    );
    assert_eq!(
        [
            &counts["extracted_document_count"],
            &counts["kept_document_count"],
            &counts["dropped_document_count"]
        ],
        [&json!(4), &json!(2), &json!(2)]
    );
    assert_eq!(
        (&counts["would_write_document_count"], &counts["would_delete_document_count"]),
        (&json!(0), &json!(2))
    );
    let text = out(&rules("preview", &[], &[]));
    assert!(text.contains("exclude path contains /drafts/") && text.contains("everything else"), "{text}");
    assert_eq!(server.documents(&place.index).await.len(), 4);
    assert_eq!(stored().await["active"], before["active"]);
    let shown = out(&rules("show", &[], &[]));
    assert!(shown.contains("active: valid") && shown.contains("rule-3"), "{shown}");

    // In force.
    let output = rules("apply", &["-o", "json"], &[]);
    assert_eq!(report(&output), json!({"id": id, "state": "valid", "errors": []}), "{}", said(&output));
    let after = stored().await;
    assert_eq!(after["active"], after["draft"]);
    assert_eq!(after["active"]["rules"][3]["id"], "DEFAULT");
    let synced = place.sync(&config);
    assert_eq!(
        (&synced["filtered_document_count"], &synced["deleted_document_count"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(server.documents(&place.index).await.len(), 2);
    // What was printed can be set again.
    let shown = report(&rules("show", &["-o", "json"], &[]));
    let output = rules("set", &[], &[&shown["active"].to_string()]);
    assert!(output.status.success(), "{}", said(&output));
    let output = answer(Workplace::command(&config).args(["rules", "show", "nope"]), &[]);
    assert!(
        !output.status.success() && err(&output).contains("there is no connector nope"),
        "{}",
        said(&output)
    );
    server.forget(&place.index).await;
}
