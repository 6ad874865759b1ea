//! Fragments against what a real Elasticsearch 9.5 answered (`tools/record-answers`).

use serde_json::Value;

use super::Highlight;
use crate::query::parse;
use crate::query::tests::index::Fixture;

#[test]
fn fragments_are_those_of_elasticsearch() {
    let recorded: Value = serde_json::from_str(include_str!("recorded.json")).unwrap();
    let index = Fixture::recorded(&recorded);
    let mut wrong = Vec::new();
    for search in recorded["searches"].as_array().unwrap() {
        let highlight = Highlight::parse(&search["highlight"]);
        if let Some(error) = search.get("error") {
            let reason = highlight.unwrap_err().reason;
            let theirs = error[1].as_str().unwrap();
            assert!(theirs.ends_with(&reason), "{reason} is not {theirs}");
            continue;
        }
        let highlight = highlight.unwrap();
        let query = parse(&search["query"]).unwrap();
        let highlighter = highlight.prepare(Some(query.as_ref()), &index.context()).unwrap();
        for hit in search["hits"].as_array().unwrap() {
            let id = hit[0].as_str().unwrap();
            let ours = highlighter.highlight(id, &recorded["documents"][id]).unwrap();
            let ours = ours.map_or(Value::Null, Value::Object);
            if ours != hit[2] {
                wrong.push(format!("{search:.200} on {id}:\n  ours   {ours}\n  theirs {}", hit[2]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
