//! What clauses match. The expectations are Elasticsearch 9.5's answers for the same documents.

use serde_json::{Value, json};

use super::index::Fixture;

fn library() -> Fixture {
    Fixture::new(
        &[
            ("title", "text"),
            ("title.keyword", "keyword"),
            ("body", "text"),
            ("far", "text overflow"),
            ("tags", "keyword"),
            ("year", "long"),
            ("small", "byte"),
            ("price", "double"),
            ("sold", "boolean"),
            ("published", "date"),
            ("host", "ip"),
            ("author.name", "keyword"),
        ],
        &[
            (
                "a",
                json!({
                    "title": "The Quick Brown Fox", "body": "jumps over the lazy dog", "far": "alpha beta gamma",
                    "tags": ["red", "Blue"], "year": 1999, "small": 1, "price": 3.0, "sold": true,
                    "published": "2024-01-15T10:00:00Z", "host": "10.0.0.7", "author": { "name": "ann" }
                }),
            ),
            (
                "b",
                json!({
                    "title": ["quick silver", "brown fox"], "body": "a fox", "far": ["beta", "alpha"], "tags": "green",
                    "year": 2001, "price": 2.5, "sold": false, "published": "2024-02-01", "host": "192.168.1.1"
                }),
            ),
            (
                "c",
                json!({
                    "title": "rust in action", "body": "the fox and the fox", "tags": [], "year": [5, 2024],
                    "price": 1e20, "published": 1_718_409_600_000_i64, "author": { "name": "bob" }
                }),
            ),
            ("d", json!({ "title": "action", "small": -7 })),
        ],
    )
}

fn check(cases: &[(Value, &str)]) {
    let index = library();
    for (query, expected) in cases {
        assert_eq!(index.ids(query), *expected, "{query}");
    }
}

#[test]
fn match_and_its_options() {
    check(&[
        (json!({ "match_all": {} }), "a b c d"),
        (json!({ "match_none": {} }), ""),
        (json!({ "match": { "title": "QUICK fox" } }), "a b"),
        (json!({ "match": { "title": { "query": "quick rust", "operator": "and" } } }), ""),
        (json!({ "match": { "title": { "query": "quick brown rust", "minimum_should_match": 2 } } }), "a b"),
        (json!({ "match": { "title": { "query": "qick", "fuzziness": "AUTO" } } }), "a b"),
        (json!({ "match": { "title": { "query": "qick", "fuzziness": 1, "prefix_length": 2 } } }), ""),
        (json!({ "match": { "title": { "query": "the", "analyzer": "stop" } } }), ""),
        (
            json!({ "match": { "title": { "query": "the", "analyzer": "stop", "zero_terms_query": "all" } } }),
            "a b c d",
        ),
        (json!({ "match": { "far": "gamma" } }), "a"),
        (json!({ "match": { "title.keyword": "action" } }), "d"),
        (json!({ "match": { "year": "2001" } }), "b"),
        (json!({ "match": { "sold": true } }), "a"),
        (json!({ "match": { "nothing": "x" } }), ""),
        (json!({ "match": { "year": { "query": "x", "lenient": true } } }), ""),
        (json!({ "match_bool_prefix": { "title": "silver qui" } }), "a b"),
    ]);
}

#[test]
fn phrases() {
    check(&[
        (json!({ "match_phrase": { "title": "quick brown" } }), "a"),
        (json!({ "match_phrase": { "title": "silver brown" } }), ""),
        (json!({ "match_phrase": { "title": { "query": "silver brown", "slop": 99 } } }), ""),
        (json!({ "match_phrase": { "title": { "query": "silver brown", "slop": 100 } } }), "b"),
        (json!({ "match_phrase": { "title": { "query": "the fox", "slop": 2 } } }), "a"),
        (json!({ "match_phrase": { "title": { "query": "fox brown", "slop": 1 } } }), ""),
        (json!({ "match_phrase": { "title": { "query": "fox brown", "slop": 2 } } }), "a b"),
        (json!({ "match_phrase": { "body": "the fox and the fox" } }), "c"),
        (json!({ "match_phrase": { "far": "alpha beta" } }), "a"),
        (json!({ "match_phrase_prefix": { "title": "quick bro" } }), "a"),
        (json!({ "match_phrase_prefix": { "title": "rust in ac" } }), "c"),
        (json!({ "match_phrase_prefix": { "title": "act" } }), "c d"),
        (json!({ "match_phrase_prefix": { "far": "beta ga" } }), "a"),
        (json!({ "match_phrase": { "tags": "red" } }), "a"),
    ]);
}

#[test]
fn terms_of_all_types() {
    check(&[
        (json!({ "term": { "title": "Quick" } }), ""),
        (json!({ "term": { "title": "quick" } }), "a b"),
        (json!({ "term": { "tags": "Blue" } }), "a"),
        (json!({ "term": { "tags": { "value": "blue", "case_insensitive": true } } }), "a"),
        (json!({ "term": { "year": 5 } }), "c"),
        (json!({ "term": { "year": "1999" } }), "a"),
        (json!({ "term": { "year": 2000.5 } }), ""),
        (json!({ "term": { "year": "99999999999999999999" } }), ""),
        (json!({ "term": { "small": 300 } }), ""),
        (json!({ "term": { "small": -7 } }), "d"),
        (json!({ "term": { "price": 3 } }), "a"),
        (json!({ "term": { "price": 2.5 } }), "b"),
        (json!({ "term": { "price": 1e20 } }), "c"),
        (json!({ "term": { "sold": "false" } }), "b"),
        (json!({ "term": { "published": "2024-02-01" } }), "b"),
        (json!({ "term": { "published": "2024-01-15" } }), "a"),
        (json!({ "term": { "host": "10.0.0.0/8" } }), "a"),
        (json!({ "term": { "author.name": "bob" } }), "c"),
        (json!({ "term": { "_id": "b" } }), "b"),
        (json!({ "term": { "_index": "recorded-answers" } }), "a b c d"),
        (json!({ "term": { "_index": "other" } }), ""),
        (json!({ "term": { "_seq_no": 2 } }), "c"),
        (json!({ "terms": { "tags": ["red", "green", "none"] } }), "a b"),
        (json!({ "terms": { "year": [5, "2001"] } }), "b c"),
        (json!({ "terms": { "tags": [] } }), ""),
        (json!({ "terms": { "_id": ["a", "d"] } }), "a d"),
        (json!({ "ids": { "values": ["a", "x", "c"] } }), "a c"),
        (json!({ "exists": { "field": "tags" } }), "a b"),
        (json!({ "exists": { "field": "author" } }), "a c"),
        (json!({ "exists": { "field": "t*" } }), "a b c d"),
        (json!({ "exists": { "field": "none" } }), ""),
    ]);
}

#[test]
fn ranges() {
    check(&[
        (json!({ "range": { "year": { "gt": 5, "lt": 2001 } } }), "a"),
        (json!({ "range": { "year": { "gte": 1999.5 } } }), "b c"),
        (json!({ "range": { "year": { "gte": "2001" } } }), "b c"),
        (json!({ "range": { "year": {} } }), "a b c"),
        (json!({ "range": { "year": { "gte": 10, "lte": 9 } } }), ""),
        (json!({ "range": { "small": { "lt": 1000 } } }), "a d"),
        (json!({ "range": { "price": { "gte": 2.5, "lte": 3 } } }), "a b"),
        (json!({ "range": { "price": { "gt": 2.5 } } }), "a c"),
        (json!({ "range": { "tags": { "gte": "green", "lt": "red" } } }), "b"),
        (json!({ "range": { "title": { "gte": "s" } } }), "a b"),
        (json!({ "range": { "far": { "gt": "beta" } } }), "a"),
        (json!({ "range": { "sold": { "gte": true } } }), "a"),
        (json!({ "range": { "published": { "gte": "2024-02-01" } } }), "b c"),
        (json!({ "range": { "published": { "gt": "2024-02-01" } } }), "c"),
        (json!({ "range": { "published": { "lte": "2024-01-15" } } }), "a"),
        (json!({ "range": { "published": { "lt": "2024-01-15" } } }), ""),
        (json!({ "range": { "published": { "gte": "now/d" } } }), "c"),
        (
            json!({ "range": { "published": { "gte": "15/01/2024", "lt": "16/01/2024", "format": "dd/MM/yyyy" } } }),
            "a",
        ),
        (json!({ "range": { "published": { "lt": "2024-02-01", "time_zone": "-01:00" } } }), "a b"),
        (json!({ "range": { "host": { "gte": "10.0.0.0", "lte": "10.255.0.0" } } }), "a"),
        (json!({ "range": { "_seq_no": { "gte": 1, "lt": 3 } } }), "b c"),
    ]);
}

#[test]
fn patterns() {
    check(&[
        (json!({ "prefix": { "title": "qui" } }), "a b"),
        (json!({ "prefix": { "tags": { "value": "bl", "case_insensitive": true } } }), "a"),
        (json!({ "prefix": { "far": "gam" } }), "a"),
        (json!({ "prefix": { "_index": "re" } }), "a b c d"),
        (json!({ "wildcard": { "tags": "*e*" } }), "a b"),
        (json!({ "wildcard": { "tags": { "value": "B?UE", "case_insensitive": true } } }), "a"),
        (json!({ "wildcard": { "title.keyword": "*act*n" } }), "c d"),
        (json!({ "regexp": { "tags": "r.d|gre+n" } }), "a b"),
        (json!({ "regexp": { "tags": "re" } }), ""),
        (json!({ "regexp": { "far": "[ab].*" } }), "a b"),
        (json!({ "fuzzy": { "tags": "gren" } }), "b"),
        (json!({ "fuzzy": { "title": { "value": "ruts", "fuzziness": 1 } } }), "c"),
        (json!({ "fuzzy": { "title": { "value": "ruts", "fuzziness": 1, "transpositions": false } } }), ""),
        (json!({ "fuzzy": { "far": "gammma" } }), "a"),
    ]);
}

#[test]
fn compounds() {
    check(&[
        (json!({ "bool": {} }), "a b c d"),
        (
            json!({ "bool": { "must": { "match": { "title": "fox" } }, "must_not": { "term": { "sold": true } } } }),
            "b",
        ),
        (json!({ "bool": { "must_not": [{ "term": { "sold": true } }] } }), "b c d"),
        (
            json!({ "bool": { "filter": [{ "exists": { "field": "year" } }], "should": { "term": { "tags": "red" } } } }),
            "a b c",
        ),
        (
            json!({ "bool": { "should": [{ "term": { "tags": "red" } }, { "match": { "title": "rust" } }] } }),
            "a c",
        ),
        (
            json!({ "bool": {
            "should": [{ "term": { "tags": "red" } }, { "match": { "title": "fox" } }], "minimum_should_match": "100%"
        } }),
            "a",
        ),
        (
            json!({ "bool": {
            "should": [{ "term": { "tags": "red" } }], "minimum_should_match": 2
        } }),
            "",
        ),
        (
            json!({ "bool": {
            "must": { "match_all": {} }, "should": [{ "term": { "tags": "red" } }, { "match": { "title": "fox" } }],
            "minimum_should_match": 1
        } }),
            "a b",
        ),
        (json!({ "constant_score": { "filter": { "match": { "title": "rust" } } } }), "c"),
        (
            json!({ "dis_max": { "queries": [{ "term": { "tags": "red" } }, { "match": { "title": "rust" } }] } }),
            "a c",
        ),
        (
            json!({ "boosting": {
            "positive": { "match": { "body": "fox" } }, "negative": { "term": { "tags": "green" } }, "negative_boost": 0.5
        } }),
            "b c",
        ),
        (json!({ "multi_match": { "query": "fox", "fields": ["title", "body"] } }), "a b c"),
        (json!({ "multi_match": { "query": "fox lazy", "fields": ["t*", "bo*"], "operator": "and" } }), ""),
        (
            json!({ "multi_match": { "query": "fox lazy", "fields": ["title", "body"], "type": "cross_fields", "operator": "and" } }),
            "a",
        ),
        (
            json!({ "multi_match": { "query": "the fox", "fields": ["title", "body"], "type": "phrase" } }),
            "c",
        ),
        (
            json!({ "multi_match": { "query": "the fo", "fields": ["title", "body"], "type": "phrase_prefix" } }),
            "c",
        ),
        (
            json!({ "multi_match": { "query": "silver qui", "fields": ["title"], "type": "bool_prefix" } }),
            "a b",
        ),
        (json!({ "multi_match": { "query": "2001" } }), "b"),
    ]);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let index = library();
    for (query, reason) in [
        (json!({ "foo": {} }), "unknown query [foo]"),
        (json!({ "mtch": {} }), "unknown query [mtch] did you mean [match]?"),
        (json!({ "nested": {} }), "query [nested] is not supported by this node"),
        (json!({}), "query malformed, empty clause found"),
        (json!([]), "[_na] query malformed, must start with start_object"),
        (json!({ "match": { "title": { "query": "a", "foo": 1 } } }), "[match] query does not support [foo]"),
        (
            json!({ "match": { "title": "a", "tags": "b" } }),
            "[match] query doesn't support multiple fields, found [title] and [tags]",
        ),
        (json!({ "match": "x" }), "[match] query malformed, no start_object after query name"),
        (json!({ "match": {} }), "No text specified for text query"),
        (
            json!({ "match_all": {}, "match_none": {} }),
            "[match_all] malformed query, expected [END_OBJECT] but found [FIELD_NAME]",
        ),
        (json!({ "term": { "title": ["a"] } }), "[term] query does not support array of values"),
        (json!({ "term": { "title": {} } }), "value cannot be null"),
        (json!({ "terms": { "title": "a" } }), "[terms] query does not support [title]"),
        (
            json!({ "terms": { "title": ["a"], "tags": ["b"] } }),
            "[terms] query does not support multiple fields",
        ),
        (json!({ "range": { "year": { "foo": 1 } } }), "[range] query does not support [foo]"),
        (json!({ "range": { "year": 5 } }), "[range] query does not support [year]"),
        (json!({ "exists": {} }), "[exists] must be provided with a [field]"),
        (json!({ "bool": { "foo": 1 } }), "[bool] unknown field [foo]"),
        (json!({ "bool": { "must": "x" } }), "[bool] must doesn't support values of type: VALUE_STRING"),
        (json!({ "term": { "year": "abc" } }), "failed to create query: For input string: \"abc\""),
        (
            json!({ "term": { "sold": "abc" } }),
            "failed to create query: Can't parse boolean value [abc], expected [true] or [false]",
        ),
        (
            json!({ "range": { "published": { "gte": "abc" } } }),
            "failed to parse date field [abc] with format [strict_date_optional_time||epoch_millis]: [failed to parse date field [abc] with format [strict_date_optional_time||epoch_millis]]",
        ),
        (
            json!({ "prefix": { "year": "1" } }),
            "Can only use prefix queries on keyword, text and wildcard fields - not on [year] which is of type [long]",
        ),
        (
            json!({ "match_all": { "_name": "x" } }),
            "[match_all] query: [_name] is not supported by this node: hits have no matched_queries",
        ),
    ] {
        assert_eq!(index.refused(&query), reason, "{query}");
    }
}

#[test]
fn query_strings() {
    let q = |text: &str| json!({ "query_string": { "query": text } });
    let on = |text: &str, field: &str| json!({ "query_string": { "query": text, "default_field": field } });
    check(&[
        (q("fox"), "a b c"),
        (q("title:fox"), "a b"),
        (q("title:(rust OR silver)"), "b c"),
        (q("title:quick AND NOT tags:red"), "b"),
        (q("+title:fox -title:silver"), "a"),
        (q("NOT title:fox"), "c d"),
        (q("*:*"), "a b c d"),
        (q("*"), "a b c d"),
        (q("year:*"), "a b c"),
        (q("_exists_:author.name"), "a c"),
        (q("year:[1999 TO 2001]"), "a b"),
        (q("year:[1999 TO 2001}"), "a"),
        (q("year:>2000"), "b c"),
        (q("published:[2024-02-01 TO *]"), "b c"),
        (q("title:\"brown quick\"~2"), "a"),
        (q("title:QUI*"), "a b"),
        (q("title:s?LVER"), "b"),
        (q("tags:/r.d/"), "a"),
        (q("title:rsut~"), "c"),
        (q("t*:fox"), "a b"),
        (q("title.\\*:action"), "d"),
        (q("nope:x"), ""),
        (q(""), ""),
        (on("quick rust", "title"), "a b c"),
        (on("year", "title"), ""),
        (
            json!({ "query_string": { "query": "quick brown", "default_field": "title", "default_operator": "AND" } }),
            "a b",
        ),
        (
            json!({ "query_string": { "query": "quick brown rust", "fields": ["title"], "minimum_should_match": 2 } }),
            "a b",
        ),
        (
            json!({ "query_string": { "query": "fox lazy", "fields": ["title", "body"], "type": "cross_fields", "default_operator": "AND" } }),
            "a",
        ),
        (json!({ "query_string": { "query": "a(b", "fields": ["title"], "escape": true } }), ""),
    ]);
    let index = library();
    assert_eq!(index.refused(&q("title:(fox")), "Failed to parse query [title:(fox]");
    assert!(index.refused(&on("abc", "year")).contains("For input string"));
    assert_eq!(
        index.refused(&json!({ "query_string": {} })),
        "[query_string] must be provided with a [query]"
    );
}

#[test]
fn simple_query_strings() {
    let q = |text: &str| json!({ "simple_query_string": { "query": text, "fields": ["title", "body"] } });
    check(&[
        (q("quick rust"), "a b c"),
        (q("quick + silver"), "b"),
        (q("quick | rust"), "a b c"),
        (q("-fox"), "d"),
        (q("quick + -silver"), "a"),
        (q("\"quick brown\""), "a"),
        (q("\"brown quick\"~2"), "a"),
        (q("qui*"), "a b"),
        (q("qick~1"), "a b"),
        (q("(rust | silver) + quick"), "b"),
        (q("\"unclosed fox"), "a b c"),
        (q("+ | ) ("), ""),
        (
            json!({ "simple_query_string": { "query": "quick silver", "fields": ["title"], "default_operator": "and" } }),
            "b",
        ),
        (
            json!({ "simple_query_string": { "query": "quick -silver", "fields": ["title"], "flags": "OR" } }),
            "a b",
        ),
        (json!({ "simple_query_string": { "query": "2001" } }), "b"),
    ]);
}
