//! Aggregations over indices in memory. What is expected is what Elasticsearch 9.5 answers for the same documents.

use serde_json::{Value, json};

use crate::search::execute::Target;
use crate::search::tests::{index, search};

const FIELDS: [(&str, &str); 7] = [
    ("i", "integer"),
    ("l", "long"),
    ("d", "double"),
    ("f", "float"),
    ("k", "keyword"),
    ("b", "boolean"),
    ("dt", "date"),
];

/// Three documents in two segments.
fn sample() -> Target {
    index(
        "one",
        &FIELDS,
        &[
            vec![
                json!({"i": 1, "l": 10, "d": 1.5, "f": 1.25, "k": "a", "b": true, "dt": 1_704_164_645_000_i64}),
                json!({"x": "un"}),
            ],
            vec![
                json!({"i": [2, 5], "l": [20, 5], "d": [2.5, 2.5], "f": 2, "k": ["b", "a", "b"], "b": false,
                       "dt": 1_706_832_000_000_i64}),
            ],
        ],
    )
}

fn run(targets: &[Target], body: &Value) -> Value {
    let response = search(targets, &json!({"size": 0, "aggs": {"x": body}})).expect("a result");
    response.aggregations.expect("aggregations")["x"].clone()
}

fn one(body: &Value) -> Value {
    run(&[sample()], body)
}

fn reason(body: &Value) -> String {
    search(&[sample()], &json!({"aggs": {"x": body}})).expect_err("must be refused").body().to_string()
}

fn terms(buckets: &Value) -> Value {
    json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": buckets})
}

#[test]
fn terms_have_keys_in_the_form_of_their_type() {
    assert_eq!(
        one(&json!({"terms": {"field": "k"}})),
        terms(&json!([{"key": "a", "doc_count": 2}, {"key": "b", "doc_count": 1}]))
    );
    assert_eq!(
        one(&json!({"terms": {"field": "b"}})),
        terms(&json!([
            {"key": 0, "key_as_string": "false", "doc_count": 1},
            {"key": 1, "key_as_string": "true", "doc_count": 1}
        ]))
    );
    assert_eq!(
        one(&json!({"terms": {"field": "f"}})),
        terms(&json!([{"key": 1.25, "doc_count": 1}, {"key": 2.0, "doc_count": 1}]))
    );
    assert_eq!(
        one(&json!({"terms": {"field": "dt", "format": "yyyy"}})),
        terms(&json!([
            {"key": 1_704_164_645_000_i64, "key_as_string": "2024", "doc_count": 1},
            {"key": 1_706_832_000_000_i64, "key_as_string": "2024", "doc_count": 1}
        ]))
    );
    assert_eq!(
        one(&json!({"terms": {"field": "i", "missing": 7, "include": [5, 7]}})),
        terms(&json!([{"key": 5, "doc_count": 1}, {"key": 7, "doc_count": 1}]))
    );
    assert_eq!(one(&json!({"terms": {"field": "nope"}})), terms(&json!([])));
    assert_eq!(
        one(&json!({"terms": {"field": "nope", "missing": "x"}})),
        terms(&json!([{"key": "x", "doc_count": 3}]))
    );
    assert_eq!(one(&json!({"terms": {"field": "_index"}})), terms(&json!([{"key": "one", "doc_count": 3}])));
}

#[test]
fn terms_are_ordered_cut_and_chosen() {
    assert_eq!(
        one(
            &json!({"terms": {"field": "k", "size": 1, "order": {"_key": "desc"}, "show_term_doc_count_error": true}})
        ),
        json!({
            "doc_count_error_upper_bound": 0,
            "sum_other_doc_count": 2,
            "buckets": [{"key": "b", "doc_count": 1, "doc_count_error_upper_bound": 0}]
        })
    );
    assert_eq!(
        one(&json!({"terms": {"field": "k", "include": "[ac].*", "exclude": ["c"]}})),
        terms(&json!([{"key": "a", "doc_count": 2}]))
    );
    let by_metric = one(&json!({
        "terms": {"field": "k", "order": [{"m": "asc"}, {"_key": "desc"}]},
        "aggs": {"m": {"min": {"field": "i"}}}
    }));
    assert_eq!(by_metric["buckets"][0], json!({"key": "a", "doc_count": 2, "m": {"value": 1.0}}));
    let with_zero = search(
        &[sample()],
        &json!({"size": 0, "query": {"ids": {"values": ["0"]}},
                "aggs": {"x": {"terms": {"field": "k", "min_doc_count": 0}}}}),
    )
    .expect("a result");
    assert_eq!(
        with_zero.aggregations.expect("aggregations")["x"]["buckets"],
        json!([{"key": "a", "doc_count": 1}, {"key": "b", "doc_count": 0}])
    );
}

#[test]
fn metrics_count_every_value() {
    assert_eq!(one(&json!({"max": {"field": "dt"}}))["value_as_string"], "2024-02-02T00:00:00.000Z");
    assert_eq!(one(&json!({"max": {"field": "b"}})), json!({"value": 1.0, "value_as_string": "true"}));
    assert_eq!(one(&json!({"max": {"field": "nope"}})), json!({"value": null}));
    assert_eq!(one(&json!({"sum": {"field": "nope"}})), json!({"value": 0.0}));
    assert_eq!(one(&json!({"avg": {"field": "i", "missing": 3}})), json!({"value": 2.75}));
    assert_eq!(one(&json!({"value_count": {"field": "k"}})), json!({"value": 3}));
    assert_eq!(one(&json!({"cardinality": {"field": "k", "missing": "q"}})), json!({"value": 3}));
    assert_eq!(one(&json!({"cardinality": {"field": "d"}})), json!({"value": 2}));
    assert_eq!(
        one(&json!({"stats": {"field": "i"}})),
        json!({"count": 3, "min": 1.0, "max": 5.0, "avg": 2.666_666_666_666_666_5, "sum": 8.0})
    );
    let extended = one(&json!({"extended_stats": {"field": "i"}}));
    assert_eq!(extended["sum_of_squares"], 30.0);
    let deviation = extended["std_deviation_sampling"].as_f64().expect("a number");
    assert!((deviation - 2.081_665_999_466_133).abs() < 1e-12);
}

#[test]
fn ranges_are_named_by_their_ends() {
    assert_eq!(
        one(
            &json!({"range": {"field": "i", "ranges": [{"from": 3, "key": "x"}, {"to": 2}, {"from": 2, "to": 5.5}]}})
        ),
        json!({"buckets": [
            {"key": "*-2.0", "to": 2.0, "doc_count": 1},
            {"key": "2.0-5.5", "from": 2.0, "to": 5.5, "doc_count": 1},
            {"key": "x", "from": 3.0, "doc_count": 1}
        ]})
    );
    assert_eq!(
        one(&json!({"range": {"field": "d", "keyed": true, "ranges": [{"to": 2e7}]}, "meta": {"a": 1}})),
        json!({"meta": {"a": 1}, "buckets": {"*-2.0E7": {"to": 2e7, "doc_count": 2}}})
    );
    assert_eq!(
        one(&json!({"date_range": {"field": "dt", "format": "yyyy-MM", "ranges": [{"to": "2024-02"}]}})),
        json!({"buckets": [
            {"key": "*-2024-02", "to": 1_706_745_600_000.0, "to_as_string": "2024-02", "doc_count": 1}
        ]})
    );
}

#[test]
fn histograms_fill_their_gaps() {
    assert_eq!(
        one(&json!({"histogram": {"field": "l", "interval": 5}})),
        json!({"buckets": [
            {"key": 5.0, "doc_count": 1},
            {"key": 10.0, "doc_count": 1},
            {"key": 15.0, "doc_count": 0},
            {"key": 20.0, "doc_count": 1}
        ]})
    );
    assert_eq!(
        one(&json!({"histogram": {"field": "l", "interval": 5, "min_doc_count": 1, "keyed": true}})),
        json!({"buckets": {
            "5.0": {"key": 5.0, "doc_count": 1},
            "10.0": {"key": 10.0, "doc_count": 1},
            "20.0": {"key": 20.0, "doc_count": 1}
        }})
    );
    assert_eq!(
        one(&json!({"histogram": {"field": "f", "interval": 0.5, "offset": 0.25, "min_doc_count": 1}})),
        json!({"buckets": [{"key": 1.25, "doc_count": 1}, {"key": 1.75, "doc_count": 1}]})
    );
    let bounded = one(&json!({
        "histogram": {"field": "l", "interval": 5, "extended_bounds": {"min": 0, "max": 30}, "offset": 2}
    }));
    let keys: Vec<f64> = bounded["buckets"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|bucket| bucket["key"].as_f64())
        .collect();
    assert_eq!(keys, [-3.0, 2.0, 7.0, 12.0, 17.0, 22.0, 27.0]);
    assert!(
        reason(&json!({"histogram": {"field": "l", "interval": 0.0001}}))
            .contains("too_many_buckets_exception")
    );
}

#[test]
fn date_histograms_follow_the_calendar() {
    assert_eq!(
        one(&json!({"date_histogram": {"field": "dt", "calendar_interval": "month"}})),
        json!({"buckets": [
            {"key_as_string": "2024-01-01T00:00:00.000Z", "key": 1_704_067_200_000_i64, "doc_count": 1},
            {"key_as_string": "2024-02-01T00:00:00.000Z", "key": 1_706_745_600_000_i64, "doc_count": 1}
        ]})
    );
    assert_eq!(
        one(&json!({"date_histogram": {
            "field": "dt", "fixed_interval": "15d", "format": "yyyy-MM-dd", "keyed": true, "time_zone": "Europe/Berlin"
        }})),
        json!({"buckets": {
            "2023-12-19": {"key_as_string": "2023-12-19", "key": 1_702_940_400_000_i64, "doc_count": 1},
            "2024-01-03": {"key_as_string": "2024-01-03", "key": 1_704_236_400_000_i64, "doc_count": 0},
            "2024-01-18": {"key_as_string": "2024-01-18", "key": 1_705_532_400_000_i64, "doc_count": 0},
            "2024-02-02": {"key_as_string": "2024-02-02", "key": 1_706_828_400_000_i64, "doc_count": 1}
        }})
    );
    assert_eq!(
        one(&json!({"date_histogram": {
            "field": "dt", "calendar_interval": "month", "offset": "+6h", "time_zone": "+02:00"
        }}))["buckets"][0],
        json!({"key_as_string": "2024-01-01T06:00:00.000+02:00", "key": 1_704_081_600_000_i64, "doc_count": 1})
    );
}

#[test]
fn filters_divide_documents_and_carry_sub_aggregations() {
    assert_eq!(
        one(&json!({"filter": {"term": {"k": "a"}}, "aggs": {"y": {"sum": {"field": "i"}}}})),
        json!({"doc_count": 2, "y": {"value": 8.0}})
    );
    assert_eq!(
        one(
            &json!({"filters": {"filters": {"a": {"term": {"k": "b"}}, "all": {"match_all": {}}}, "other_bucket": true}})
        ),
        json!({"buckets": {"a": {"doc_count": 1}, "all": {"doc_count": 3}, "_other_": {"doc_count": 0}}})
    );
    assert_eq!(
        one(&json!({"filters": {"filters": [{"term": {"k": "a"}}], "other_bucket_key": "rest"}})),
        json!({"buckets": [{"doc_count": 2}, {"doc_count": 1}]})
    );
    assert_eq!(one(&json!({"missing": {"field": "k"}})), json!({"doc_count": 1}));
    assert_eq!(one(&json!({"missing": {"field": "nope"}})), json!({"doc_count": 3}));
    let response = search(
        &[sample()],
        &json!({"size": 0, "query": {"term": {"k": "b"}}, "aggs": {
            "all": {"global": {}, "aggs": {"n": {"value_count": {"field": "i"}}}},
            "some": {"value_count": {"field": "i"}}
        }}),
    )
    .expect("a result");
    assert_eq!(
        response.aggregations.expect("aggregations"),
        json!({"some": {"value": 2}, "all": {"doc_count": 3, "n": {"value": 3}}})
    );
}

#[test]
fn indices_are_merged_and_types_must_agree() {
    let floats = index(
        "two",
        &[("i", "double"), ("k", "keyword")],
        &[vec![json!({"i": 2.5, "k": "z"}), json!({"i": 5})]],
    );
    let targets = [sample(), floats];
    assert_eq!(
        run(&targets, &json!({"terms": {"field": "i"}})),
        terms(&json!([
            {"key": 5.0, "doc_count": 2}, {"key": 1.0, "doc_count": 1},
            {"key": 2.0, "doc_count": 1}, {"key": 2.5, "doc_count": 1}
        ]))
    );
    assert_eq!(run(&targets, &json!({"cardinality": {"field": "k"}})), json!({"value": 3}));
    let clash = index("three", &[("i", "keyword")], &[vec![json!({"i": "x"})]]);
    let error =
        search(&[sample(), clash], &json!({"aggs": {"x": {"terms": {"field": "i"}}}})).expect_err("a clash");
    assert!(error.body().to_string().contains("two different types"));
}

#[test]
fn typed_keys_name_the_type() {
    let mut request = crate::search::SearchRequest::parse(&json!({"size": 0, "aggs": {
        "s": {"terms": {"field": "k"}, "aggs": {"a": {"avg": {"field": "i"}}}},
        "l": {"terms": {"field": "i"}},
        "d": {"terms": {"field": "d"}}
    }}))
    .expect("valid");
    request.typed_keys = true;
    let answer =
        crate::search::execute(&[sample()], &request).expect("a result").aggregations.expect("aggregations");
    assert_eq!(
        answer.as_object().expect("an object").keys().collect::<Vec<_>>(),
        ["sterms#s", "lterms#l", "dterms#d"]
    );
    assert!(answer["sterms#s"]["buckets"][0]["avg#a"].is_object());
}

#[test]
fn what_is_not_known_is_refused() {
    for (body, part) in [
        (json!({"nope": {"field": "k"}}), "Unknown aggregation type [nope]"),
        (json!({"terms": {"field": "k", "foo": 1}}), "[terms] unknown field [foo]"),
        (json!({"terms": {"field": "k", "size": 0}}), "[size] must be greater than 0. Found [0] in [x]"),
        (json!({"terms": {}}), "Required one of fields [field, script], but none were specified."),
        (
            json!({"terms": {"field": "k"}, "sum": {"field": "i"}}),
            "Found two aggregation type definitions in [x]",
        ),
        (json!({}), "Missing definition for aggregation [x]"),
        (
            json!({"sum": {"field": "i"}, "aggs": {"y": {"sum": {"field": "i"}}}}),
            "cannot accept sub-aggregations",
        ),
        (
            json!({"max": {"field": "k"}}),
            "Field [k] of type [keyword] is not supported for aggregation [max]",
        ),
        (
            json!({"histogram": {"field": "l", "interval": 0}}),
            "[interval] must be >0 for histogram aggregation [x]",
        ),
        (
            json!({"date_histogram": {"field": "dt", "interval": "1d"}}),
            "[date_histogram] unknown field [interval]",
        ),
        (json!({"date_histogram": {"field": "dt"}}), "Invalid interval specified"),
        (
            json!({"terms": {"field": "i", "include": "a.*"}}),
            "cannot support regular expression style include/exclude",
        ),
        (json!({"terms": {"field": "k", "order": {"zz": "desc"}}}), "Cannot find aggregation named [zz]"),
        (json!({"range": {"field": "i", "ranges": []}}), "No [ranges] specified for the [x] aggregation"),
        (json!({"avg": {"field": "i", "script": "1"}}), "[script]"),
        (json!({"extended_stats": {"field": "dt"}}), "[extended_stats] on field [dt]"),
        (json!({"histogram": {"field": "b", "interval": 1}}), "[histogram] on field [b]"),
        (json!({"terms": {"field": "k", "size": "x"}}), "For input string"),
        (
            json!({"terms": {"field": "k", "order": {"m": "asc"}}, "aggs": {"m": {"stats": {"field": "i"}}}}),
            "Missing value key in [null] which refers to a multi-value metric aggregation",
        ),
    ] {
        let reason = reason(&body);
        assert!(reason.contains(part), "{body}: {reason}");
    }
}
