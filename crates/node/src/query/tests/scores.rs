//! Scores, compared with those Elasticsearch 9.5 gives the same documents.

use serde_json::json;

use super::index::Fixture;

fn shelf() -> Fixture {
    Fixture::new(
        &[("t", "text"), ("k", "keyword"), ("n", "long"), ("b", "boolean")],
        &[
            ("1", json!({ "t": "the quick brown fox", "k": "x", "n": 1, "b": true })),
            (
                "2",
                json!({ "t": "fox fox and a very long text about a brown bear", "k": ["x", "y"], "n": 2, "b": false }),
            ),
            ("3", json!({ "t": "quick", "k": "z", "b": true })),
            ("4", json!({ "n": 7 })),
            ("5", json!({ "k": "y" })),
        ],
    )
}

#[test]
fn constant_scores() {
    let index = shelf();
    for query in [
        json!({ "match_all": {} }),
        json!({ "term": { "n": 1 } }),
        json!({ "terms": { "k": ["x", "z"] } }),
        json!({ "range": { "n": { "gte": 1 } } }),
        json!({ "prefix": { "t": "qu" } }),
        json!({ "wildcard": { "k": "?" } }),
        json!({ "exists": { "field": "n" } }),
        json!({ "ids": { "values": ["1"] } }),
        json!({ "constant_score": { "filter": { "match": { "t": "fox" } } } }),
    ] {
        let scores = index.scored(&query);
        assert!(
            !scores.is_empty() && scores.iter().all(|(_, score)| (*score - 1.0).abs() < 1e-6),
            "{query} {scores:?}"
        );
    }
    for (_, score) in index.scored(&json!({ "bool": { "filter": { "term": { "k": "x" } } } })) {
        assert!(score.abs() < 1e-6);
    }
    assert_eq!(index.scored(&json!({ "match_all": { "boost": 2.5 } }))[0].1, 2.5);
}
