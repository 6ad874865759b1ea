//! `connectors index`.

use reqwest::Method;
use serde_json::json;

use crate::support::{Server, Workplace, answer, err, report, said};

#[tokio::test]
async fn indices_are_listed_cleaned_and_deleted() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-index");
    server.forget(&place.index).await;
    place.fill(12, 100);
    let config = place.config(&server.url, &json!({}));
    place.sync(&config);
    let (id, _) = server.connector(&place.index).await;
    let run = |arguments: &[&str], lines: &[&str]| {
        answer(Workplace::command(&config).arg("index").args(arguments), lines)
    };

    let list = report(&run(&["list", "-o", "json"], &[]));
    let ours = list.as_array().unwrap().iter().find(|index| index["index"] == place.index.as_str()).unwrap();
    assert_eq!((&ours["document_count"], &ours["connector_id"]), (&json!(12), &json!(id)), "{list}");
    assert!(!list.to_string().contains(".elastic-connectors-v1"), "hidden: {list}");
    let output = run(&["list", "--all"], &[]);
    assert!(said(&output).contains(".elastic-connectors-v1"), "{}", said(&output));

    let output = run(&["clean", &place.index], &[]);
    assert!(!output.status.success() && err(&output).contains("give --yes"), "{}", said(&output));
    assert!(err(&output).contains(&format!("connector {id}, with 12 documents?")), "{}", said(&output));
    let output = run(&["clean", &place.index], &["n"]);
    assert!(!output.status.success(), "{}", said(&output));
    assert_eq!(server.documents(&place.index).await.len(), 12);
    let output = run(&["clean", &place.index, "-o", "json"], &["yes"]);
    let expected = json!({"index": place.index, "result": "cleaned", "document_count": 12});
    assert_eq!(report(&output), expected, "{}", said(&output));
    assert!(server.documents(&place.index).await.is_empty());

    let output = run(&["delete", &place.index, "--yes"], &[]);
    assert!(output.status.success() && said(&output).contains("with 0 documents"), "{}", said(&output));
    assert_eq!(server.call(Method::HEAD, &format!("/{}", place.index), None).await.0, 404);
    for (index, message) in [
        (place.index.as_str(), "there is no index search-e2e-index"),
        ("search-*", "one at a time"),
        (".elastic-connectors-v1", "holds the connectors"),
    ] {
        for verb in ["clean", "delete"] {
            let output = run(&[verb, index, "--yes"], &[]);
            assert!(
                !output.status.success() && err(&output).contains(message),
                "{verb} {index}: {}",
                said(&output)
            );
        }
    }
    server.forget(&place.index).await;
}
