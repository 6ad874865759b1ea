//! Hits and scores against what a real Elasticsearch 9.5 answered (`tools/record-answers`).

use serde_json::Value;

use super::index::Fixture;

/// Words of ours where Elasticsearch's would say less or something untrue of this node; the status is the same.
const OWN_WORDS: &[&str] = &[
    "query malformed, empty clause found",
    "[match] unknown token [START_OBJECT] after [query]",
    "operator needs to be either OR or AND, but not [xor]",
    "operator needs to be either OR or AND, but not [x]",
    "[terms] query does not support arrays or objects as values",
    "Unknown time-zone ID: Mars",
    "[fuzzy] query does not support array of values",
    "negative [boost] are not allowed in [-1], use a value between 0 and 1 to deboost",
    "[dis_max] requires 'queries' field with at least one clause",
    "query [more_like_this] is not supported by this node",
    "For input string: \"x\"",
];

fn recorded() -> Value {
    serde_json::from_str(include_str!("recorded.json")).unwrap()
}

#[test]
fn hits_scores_and_errors_are_those_of_elasticsearch() {
    let recorded = recorded();
    let index = Fixture::recorded(&recorded);
    let mut wrong = Vec::new();
    for search in recorded["searches"].as_array().unwrap() {
        let query = &search["query"];
        if let Some(error) = search.get("error") {
            match index.compile(query) {
                Ok(_) => wrong.push(format!("{query}: accepted, not {error}")),
                Err(ours) => {
                    // Positions in the body are not told.
                    let theirs = error[1].as_str().unwrap();
                    let theirs =
                        if theirs.starts_with('[') && theirs[1..].starts_with(|c: char| c.is_ascii_digit()) {
                            theirs.split_once("] ").unwrap().1
                        } else {
                            theirs
                        };
                    let same = ours.reason == theirs && error[0] == ours.kind;
                    if !same && !OWN_WORDS.contains(&ours.reason.as_str()) {
                        wrong.push(format!(
                            "{query}:\n  ours   {} {}\n  theirs {error}",
                            ours.kind, ours.reason
                        ));
                    }
                }
            }
            continue;
        }
        let ours = match index.try_scored(query) {
            Ok(hits) => hits,
            Err(error) if OWN_WORDS.contains(&error.reason.as_str()) => continue,
            Err(error) => {
                wrong.push(format!("{query}: refused: {error}"));
                continue;
            }
        };
        let theirs: Vec<(&str, f64)> = search["hits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| (hit[0].as_str().unwrap(), hit[1].as_f64().unwrap()))
            .collect();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-5 * b.abs().max(1e-3);
        let same = ours.len() == theirs.len()
            && theirs.iter().all(|(id, score)| {
                ours.iter().any(|(other, ours)| other == id && close(f64::from(*ours), *score))
            });
        if !same {
            wrong.push(format!("{query}:\n  ours   {ours:?}\n  theirs {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
