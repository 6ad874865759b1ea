//! Orders, pages, scrolls and points in time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ids, index, search};
use crate::search::execute::Target;
use crate::search::{Contexts, SearchRequest, SearchResponse};

const FIELDS: [(&str, &str); 5] =
    [("n", "long"), ("i", "integer"), ("d", "double"), ("k", "keyword"), ("b", "boolean")];

fn sample() -> Target {
    index(
        "one",
        &FIELDS,
        &[
            vec![
                json!({"n": 3, "d": 1.5, "k": "b", "b": true}),
                json!({"n": [1, 9], "d": 2, "k": ["a", "z"]}),
            ],
            vec![json!({"n": 2, "k": "c", "b": false}), json!({})],
        ],
    )
}

fn sorted(targets: &[Target], sort: &Value) -> (Vec<String>, Vec<Value>) {
    let response = search(targets, &json!({ "sort": sort })).expect("a result");
    let values = response.hits.iter().map(|hit| hit.sort.clone().unwrap_or_default()[0].clone()).collect();
    (ids(&response).into_iter().map(str::to_owned).collect(), values)
}

#[test]
fn numbers_sort_by_their_smallest_or_largest_value_and_missing_ones_last() {
    let targets = [sample()];
    assert_eq!(
        sorted(&targets, &json!(["n"])),
        (
            vec!["1".into(), "2".into(), "0".into(), "3".into()],
            vec![json!(1), json!(2), json!(3), json!(i64::MAX)]
        )
    );
    assert_eq!(
        sorted(&targets, &json!([{"n": "desc"}])),
        (
            vec!["1".into(), "0".into(), "2".into(), "3".into()],
            vec![json!(9), json!(3), json!(2), json!(i64::MIN)]
        )
    );
    assert_eq!(sorted(&targets, &json!([{"n": {"missing": "_first"}}])).0, ["3", "1", "2", "0"]);
    assert_eq!(sorted(&targets, &json!([{"n": {"missing": 2, "mode": "sum"}}])).1, [2, 2, 3, 10]);
    assert_eq!(sorted(&targets, &json!(["i"])).1, vec![json!(i32::MAX); 4]);
    assert_eq!(
        sorted(&targets, &json!(["d"])).1,
        [json!(1.5), json!(2.0), json!("Infinity"), json!("Infinity")]
    );
    assert_eq!(sorted(&targets, &json!([{"b": "desc"}])).1[..2], [json!(1), json!(0)]);
}

#[test]
fn keywords_sort_by_bytes_across_segments() {
    let targets = [sample()];
    assert_eq!(
        sorted(&targets, &json!(["k"])),
        (
            vec!["1".into(), "0".into(), "2".into(), "3".into()],
            vec![json!("a"), json!("b"), json!("c"), Value::Null]
        )
    );
    assert_eq!(
        sorted(&targets, &json!([{"k": "desc"}])).1,
        [json!("z"), json!("c"), json!("b"), Value::Null]
    );
    assert_eq!(
        sorted(&targets, &json!([{"k": {"order": "desc", "missing": "_first"}}])).1,
        [Value::Null, json!("z"), json!("c"), json!("b")]
    );
    assert_eq!(sorted(&targets, &json!([{"k": {"missing": "bb"}}])).1, ["a", "b", "bb", "c"]);
}

#[test]
fn search_after_goes_on_behind_the_values_given() {
    let targets = [sample()];
    for (sort, steps) in [
        (json!(["k"]), vec!["1", "0", "2", "3"]),
        (json!([{"k": "desc"}]), vec!["1", "2", "0", "3"]),
        (json!([{"n": "desc"}]), vec!["1", "0", "2", "3"]),
    ] {
        let mut body = json!({"size": 1, "sort": sort});
        let mut seen = Vec::new();
        loop {
            let page = search(&targets, &body).expect("a page");
            assert_eq!(page.total.expect("a total").value, 4);
            let Some(hit) = page.hits.first() else { break };
            seen.push(hit.id.clone().expect("an id"));
            body["search_after"] = hit.sort.clone().expect("sort values").into();
        }
        assert_eq!(seen, steps, "{sort}");
    }
    let between = search(&targets, &json!({"sort": ["k"], "search_after": ["aa"]})).expect("a page");
    assert_eq!(ids(&between), ["0", "2", "3"]);
}

#[test]
fn indices_are_merged_into_one_order() {
    let second = index("two", &[("n", "double")], &[vec![json!({"n": 2.5}), json!({"n": 0.5})]]);
    let targets = [sample(), second];
    let response = search(&targets, &json!({"sort": ["n"], "size": 4})).expect("a result");
    assert_eq!(ids(&response), ["1", "1", "2", "0"]);
    assert_eq!(response.total.expect("a total").value, 6);
    let page = search(&targets, &json!({"sort": ["n"], "from": 3, "size": 2})).expect("a result");
    assert_eq!(page.hits.iter().map(|hit| hit.index.as_ref()).collect::<Vec<_>>(), ["two", "one"]);
    let partly = search(&targets, &json!({"sort": ["k"]})).expect("the first index has the field");
    assert_eq!((partly.hits.len(), partly.failures.len()), (4, 1));
    let shards = super::super::response::shards(partly.shards, &partly.failures);
    assert_eq!((&shards["successful"], &shards["failures"][0]["index"]), (&json!(1), &json!("two")));
    let error = search(&targets, &json!({"sort": ["nope"]})).expect_err("neither index has the field");
    assert!(error.body().to_string().contains("No mapping found for [nope] in order to sort on"));
    assert_eq!(error.body()["error"]["failed_shards"].as_array().map(Vec::len), Some(2));
    search(&targets, &json!({"sort": [{"k": {"unmapped_type": "keyword"}}]})).expect("unmapped_type helps");
    let clash = index("three", &[("n", "keyword")], &[vec![json!({"n": "x"})]]);
    let error = search(&[sample(), clash], &json!({"sort": ["n"]})).expect_err("types clash");
    assert!(error.reason.contains("incompatible sort types"));
}

#[test]
fn totals_are_exact_bounded_or_left_out() {
    let targets = [sample()];
    let total = |track: Value| {
        search(&targets, &json!({"track_total_hits": track, "size": 1})).expect("a result").total
    };
    let exact = total(json!(true)).expect("a total");
    assert_eq!((exact.value, exact.lower_bound), (4, false));
    let bounded = total(json!(3)).expect("a total");
    assert_eq!((bounded.value, bounded.lower_bound), (3, true));
    assert_eq!(total(json!(false)), None);
}

fn scroll_all(targets: Vec<Target>, body: &Value) -> Vec<String> {
    let contexts = Arc::new(Contexts::default());
    let request = SearchRequest::parse(body).expect("valid");
    let mut page = contexts.open_scroll(targets, request, Duration::from_mins(1)).expect("opens");
    let mut seen = Vec::new();
    while !page.hits.is_empty() {
        assert_eq!(page.total.expect("a total").value, 8);
        seen.extend(page.hits.iter().map(|hit| format!("{}/{}", hit.index, hit.id.clone().expect("an id"))));
        let id = page.scroll_id.expect("an id");
        page = contexts.next_page(&id, None).expect("a page");
    }
    seen
}

#[test]
fn a_scroll_sees_every_document_once_in_any_order() {
    let two = || {
        let mut second = sample();
        second.view.name = "two".into();
        vec![sample(), second]
    };
    let whole = ["one/0", "one/1", "one/2", "one/3", "two/0", "two/1", "two/2", "two/3"];
    for body in [
        json!({"size": 3}),
        json!({"size": 3, "sort": ["_doc"]}),
        json!({"size": 1, "sort": ["n"]}),
        json!({"size": 2, "sort": [{"k": "desc"}]}),
        json!({"size": 3, "sort": [{"b": {"missing": "_first"}}]}),
        json!({"size": 3, "query": {"match_all": {}}}),
        json!({"size": 3, "query": {"constant_score": {"filter": {"match_all": {}}}}}),
    ] {
        let mut seen = scroll_all(two(), &body);
        if body.get("sort").is_some_and(|sort| *sort != json!(["_doc"])) {
            seen.sort();
        }
        assert_eq!(seen, whole, "{body}");
    }
    let shares: Vec<String> = (0..3).flat_map(|n| scroll_slice(two(), n)).collect();
    assert_eq!(shares.len(), 8);
}

fn scroll_slice(targets: Vec<Target>, id: u64) -> Vec<String> {
    let contexts = Arc::new(Contexts::default());
    let request = SearchRequest::parse(&json!({"slice": {"id": id, "max": 3}})).expect("valid");
    let page = contexts.open_scroll(targets, request, Duration::from_mins(1)).expect("opens");
    ids(&page).into_iter().map(str::to_owned).collect()
}

#[test]
fn contexts_end_by_closing_and_by_time() {
    let contexts = Arc::new(Contexts::default());
    let pit = contexts.open_pit(vec![sample()], Duration::from_mins(1)).expect("opens");
    assert_eq!(contexts.pit(&pit, None).expect("open").len(), 1);
    assert!(contexts.close_pit(&pit).expect("an id of ours"));
    assert!(!contexts.close_pit(&pit).expect("an id of ours"));
    let gone = contexts.pit(&pit, None).expect_err("closed");
    assert_eq!(gone.status.as_u16(), 404);
    assert!(gone.body().to_string().contains("search_context_missing_exception"));

    let open = |keep_alive| contexts.open_scroll(vec![sample()], SearchRequest::default(), keep_alive);
    let id = |response: SearchResponse| response.scroll_id.expect("an id");
    let brief = id(open(Duration::from_millis(1)).expect("opens"));
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(contexts.next_page(&brief, None).expect_err("expired").status.as_u16(), 404);
    assert_eq!(contexts.next_page("abc", None).expect_err("no id").reason, "Cannot parse scroll id");
    assert_eq!(contexts.next_page(&pit, None).expect_err("not a scroll").reason, "Cannot parse scroll id");
    let too_long = open(Duration::from_hours(48)).expect_err("too long");
    assert!(too_long.body().to_string().contains("Keep alive for request (2d) is too large"));

    let first = id(open(Duration::from_mins(1)).expect("opens"));
    let second = id(open(Duration::from_mins(1)).expect("opens"));
    assert_eq!(contexts.close_scrolls([first.as_str(), brief.as_str()]).expect("ids of ours"), 1);
    assert_eq!(contexts.close_all(), 1);
    assert_eq!(contexts.next_page(&second, None).expect_err("closed").status.as_u16(), 404);
}

#[test]
fn positions_order_all_documents_and_break_the_ties_of_a_point_in_time() {
    let targets = [sample()];
    for sort in [json!(["_doc"]), json!(["_shard_doc"]), json!([{"i": {"missing": 0}}])] {
        let mut body = json!({"pit": {"id": "x"}, "size": 1, "sort": sort});
        let mut seen = Vec::new();
        while let Some(hit) = search(&targets, &body).expect("a page").hits.first() {
            seen.push(hit.id.clone().expect("an id"));
            body["search_after"] = hit.sort.clone().expect("sort values").into();
        }
        assert_eq!(seen, ["0", "1", "2", "3"], "{sort}");
    }
    let body = json!({"pit": {"id": "x"}, "sort": ["n"], "size": 1});
    assert_eq!(search(&targets, &body).expect("a page").hits[0].sort.as_ref().map(Vec::len), Some(2));
}

#[test]
fn hits_carry_what_was_asked_for() {
    let targets = [sample()];
    let hit = |body: Value| search(&targets, &body).expect("a result").hits.remove(0);
    let plain = hit(json!({}));
    assert_eq!(plain.source.expect("a source"), r#"{"n":3,"d":1.5,"k":"b","b":true}"#);
    assert_eq!((plain.version, plain.seq_no, plain.score), (None, None, Some(1.0)));
    let none = hit(json!({"stored_fields": "_none_", "version": true, "seq_no_primary_term": true}));
    assert_eq!((none.id, none.source, none.version, none.seq_no), (None, None, Some(1), Some(0)));
    let parts = hit(
        json!({"_source": ["k"], "fields": ["n", "nope"], "docvalue_fields": ["k", "b"], "sort": ["_doc"]}),
    );
    assert_eq!(parts.source.expect("a source"), r#"{"k":"b"}"#);
    assert_eq!(Value::Object(parts.fields), json!({"n": [3], "k": ["b"], "b": [true]}));
    assert_eq!(parts.score, None);
    assert_eq!(hit(json!({"sort": ["_doc"], "track_scores": true})).score, Some(1.0));
}

#[test]
fn the_best_scores_are_the_same_with_and_without_pruning() {
    // Enough documents for several blocks of postings, in three segments; scores differ by how many clauses match.
    let document = |n: usize| json!({"k": format!("k{}", n % 7), "n": n % 5, "i": n % 3});
    let batches: Vec<Vec<Value>> =
        (0..3).map(|batch| (0..700).map(|n| document(batch * 1_000 + n * 13)).collect()).collect();
    let targets = [index("many", &FIELDS, &batches)];
    let query = json!({"bool": {"should": [
        {"term": {"k": "k1"}}, {"term": {"k": "k2"}}, {"term": {"n": 4}}, {"term": {"i": {"value": 2, "boost": 1.5}}}
    ]}});
    for size in [1, 10, 57, 2_000] {
        let pruned = search(&targets, &json!({"query": query, "size": size})).expect("a result");
        // A filter that lets everything through has every document looked at.
        let whole =
            search(&targets, &json!({"query": query, "size": size, "post_filter": {"match_all": {}}}))
                .expect("a result");
        assert_eq!(ids(&pruned), ids(&whole), "size {size}");
        assert_eq!(pruned.total, whole.total);
        assert_eq!(pruned.max_score, whole.max_score);
    }
    let bounded = search(&targets, &json!({"query": query, "track_total_hits": 50})).expect("a result");
    assert_eq!(bounded.total.map(|total| (total.value, total.lower_bound)), Some((50, true)));
}

/// Terms of columns have no block maxima: taken for zero, they would prune what ties with the worst hit.
#[test]
fn equal_scores_are_decided_by_position_whatever_the_order_of_segments() {
    let batch = |_| vec![json!({"flag": true}); 300];
    let targets = [index("a", &[("flag", "boolean")], &(0..6).map(batch).collect::<Vec<_>>())];
    for size in [10, 200, 1000, 1700] {
        let found =
            search(&targets, &json!({"query": {"term": {"flag": true}}, "size": size})).expect("a result");
        let expected: Vec<String> = (0..size).map(|n| n.to_string()).collect();
        assert_eq!(ids(&found), expected, "size {size}");
    }
}
