//! Advanced sync rules.

use connectors_sdk::ErrorKind;
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use serde_json::{Value, json};

use crate::mongodb::rules::Rules;

fn messages(snippet: Value) -> Vec<String> {
    Rules::parse(Some(&snippet))
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|violation| violation.message)
        .collect()
}

#[test]
fn every_option_is_understood() {
    let Ok(Rules::Find(find)) = Rules::parse(Some(&json!({"find": {
        "filter": {"a": 1}, "projection": ["a", "b"], "skip": 1, "limit": -2, "batch_size": 3, "max_time_ms": 4,
        "no_cursor_timeout": true, "allow_partial_results": false, "return_key": false, "show_record_id": true, "allow_disk_use": true,
    }}))) else {
        panic!("not a find")
    };
    assert_eq!(find.filter, doc! {"a": 1});
    let options = &find.options;
    assert_eq!(options.projection, Some(doc! {"a": 1, "b": 1}));
    assert_eq!((options.skip, options.limit, options.batch_size), (Some(1), Some(-2), Some(3)));
    assert_eq!(options.max_time.unwrap().as_millis(), 4);
    assert_eq!((options.no_cursor_timeout, options.allow_partial_results), (Some(true), Some(false)));
    assert_eq!(
        (options.return_key, options.show_record_id, options.allow_disk_use),
        (Some(false), Some(true), Some(true))
    );

    let Ok(Rules::Aggregate(aggregate)) = Rules::parse(Some(&json!({"aggregate": {
        "allowDiskUse": true, "maxTimeMS": 5, "batchSize": 6, "let": {"x": 1}, "pipeline": [{"$match": {"a": "$$x"}}],
    }}))) else {
        panic!("not an aggregate")
    };
    assert_eq!(aggregate.pipeline, [doc! {"$match": {"a": "$$x"}}]);
    let options = &aggregate.options;
    assert_eq!((options.allow_disk_use, options.batch_size), (Some(true), Some(6)));
    assert_eq!((options.max_time.unwrap().as_millis(), options.let_vars.clone()), (5, Some(doc! {"x": 1})));

    for all in [json!({}), Value::Null] {
        assert!(matches!(Rules::parse(Some(&all)), Ok(Rules::All)));
    }
    assert!(matches!(Rules::parse(None), Ok(Rules::All)));
    assert_eq!(messages(json!({"find": {}})), [""; 0]);
    assert_eq!(messages(json!({"find": {"projection": {"a": 0}}})), [""; 0]);
}

#[test]
fn violations_point_into_the_snippet() {
    for (snippet, expected) in [
        (json!([]), "the snippet must be an object"),
        (json!({"update": {}}), "`update` is not known"),
        (json!({"find": {}, "aggregate": {}}), "not both"),
        (json!({"find": []}), "`find` must be an object"),
        (json!({"aggregate": 1}), "`aggregate` must be an object"),
        (json!({"find": {"limit": "5"}}), "`find.limit` must be an integer"),
        (json!({"find": {"limit": 1.5}}), "`find.limit` must be an integer"),
        (json!({"find": {"skip": -1}}), "`find.skip` must not be negative"),
        (json!({"find": {"batch_size": 2_147_483_648_u64}}), "`find.batch_size` must be below"),
        (json!({"find": {"sort": {}}}), "`find.sort` is not known"),
        (json!({"find": {"filter": []}}), "`find.filter` must be an object"),
        (json!({"find": {"filter": {"_id": {"$oid": "x"}}}}), "`find.filter` is not valid extended JSON"),
        (json!({"find": {"projection": []}}), "`find.projection` must not be empty"),
        (json!({"find": {"projection": {}}}), "`find.projection` must not be empty"),
        (json!({"find": {"projection": [1]}}), "`find.projection` must name fields"),
        (json!({"find": {"projection": "a"}}), "`find.projection` must be an array or an object"),
        (json!({"find": {"allow_disk_use": 1}}), "`find.allow_disk_use` must be true or false"),
        (
            json!({"aggregate": {"pipeline": []}}),
            "`aggregate.pipeline` must be an array of at least one stage",
        ),
        (
            json!({"aggregate": {"pipeline": [{"$match": {}}, 5]}}),
            "`aggregate.pipeline[1]` must be an object",
        ),
        (json!({"aggregate": {"pipeline": [{}]}}), "`aggregate.pipeline[0]` must have exactly one field"),
        (json!({"aggregate": {"pipeline": [{"$out": "x"}]}}), "only reads"),
        (json!({"aggregate": {"pipeline": [{"$merge": {"into": "x"}}]}}), "only reads"),
        (json!({"aggregate": {"pipeline": [{"$changeStream": {}}]}}), "never ends"),
        (json!({"aggregate": {"maxTimeMS": null}}), "`aggregate.maxTimeMS` must be an integer"),
        (json!({"aggregate": {"max_time_ms": 1}}), "`aggregate.max_time_ms` is not known"),
        (json!({"aggregate": {"let": 1}}), "`aggregate.let` must be an object"),
    ] {
        let messages = messages(snippet.clone());
        assert_eq!(messages.len(), 1, "{snippet}: {messages:?}");
        assert!(messages[0].contains(expected), "{snippet}: {messages:?}");
    }
    assert_eq!(messages(json!({"find": {"skip": "x", "limit": "y"}, "x": 1})).len(), 3);
    let error = Rules::for_job(Some(&json!({"find": {"skip": "x"}}))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("`find.skip` must be an integer"), "{error}");
}

#[test]
fn extended_json_stands_for_what_json_has_not() {
    let Ok(Rules::Find(find)) = Rules::parse(Some(&json!({"find": {"filter": {
        "_id": {"$oid": "64b5f3a2c9e77b0001234567"},
        "at": {"$gte": {"$date": "2026-01-01T00:00:00Z"}},
        "name": {"$regex": "^a", "$options": "i"},
        "n": {"$in": [1, {"$numberLong": "5000000000"}]},
    }}}))) else {
        panic!("not a find")
    };
    let id = ObjectId::parse_str("64b5f3a2c9e77b0001234567").unwrap();
    let at = DateTime::parse_rfc3339_str("2026-01-01T00:00:00Z").unwrap();
    let in_list = find.filter.get_document("n").unwrap().get_array("$in").unwrap();
    assert_eq!(find.filter.get_object_id("_id").unwrap(), id);
    assert_eq!(find.filter.get_document("at").unwrap(), &doc! {"$gte": at});
    assert_eq!(find.filter.get_document("name").unwrap(), &doc! {"$regex": "^a", "$options": "i"});
    assert_eq!(
        (in_list[0].as_i32().or(in_list[0].as_i64().map(|_| 1)), in_list[1].as_i64()),
        (Some(1), Some(5_000_000_000))
    );
}

#[test]
fn rules_whose_result_changes_by_itself_are_known() {
    let unsteady = |snippet: Value| Rules::for_job(Some(&snippet)).unwrap().unsteady();
    for steady in [
        json!({}),
        json!({"find": {"filter": {"a": {"$gt": 1}, "$or": [{"b": "NOW"}, {"c": 1}]}, "projection": {"a": 1}, "limit": 3}}),
        json!({"aggregate": {"pipeline": [{"$match": {"a": 1}}, {"$group": {"_id": "$a", "n": {"$sum": 1}}}, {"$sort": {"n": 1}}]}}),
    ] {
        assert_eq!(unsteady(steady.clone()), None, "{steady}");
    }
    for (snippet, named) in [
        (json!({"find": {"filter": {"$expr": {"$gt": ["$at", "$$NOW"]}}}}), "$$NOW"),
        (json!({"find": {"filter": {"$or": [{"$where": "true"}]}}}), "$where"),
        (json!({"find": {"projection": {"r": {"$rand": {}}}}}), "$rand"),
        (json!({"find": {"allow_partial_results": true}}), "allow_partial_results"),
        (json!({"aggregate": {"pipeline": [{"$sample": {"size": 3}}]}}), "$sample"),
        (json!({"aggregate": {"pipeline": [{"$match": {}}, {"$lookup": {"from": "x"}}]}}), "$lookup"),
        (json!({"aggregate": {"pipeline": [{"$unionWith": "x"}]}}), "$unionWith"),
        (json!({"aggregate": {"pipeline": [{"$graphLookup": {}}]}}), "$graphLookup"),
        (json!({"aggregate": {"pipeline": [{"$facet": {}}]}}), "$facet"),
        (json!({"aggregate": {"pipeline": [{"$search": {}}]}}), "$search"),
        (json!({"aggregate": {"pipeline": [{"$match": {"$sampleRate": 0.5}}]}}), "$sampleRate"),
        (json!({"aggregate": {"pipeline": [{"$set": {"t": "$$CLUSTER_TIME"}}]}}), "$$CLUSTER_TIME"),
        (json!({"aggregate": {"pipeline": [{"$match": {}}], "let": {"now": "$$NOW"}}}), "$$NOW"),
    ] {
        assert!(unsteady(snippet.clone()).is_some_and(|reason| reason.contains(named)), "{snippet}");
    }
}

#[test]
fn only_rules_of_single_documents_allow_incremental_syncs() {
    let one = |snippet: Value| Rules::for_job(Some(&snippet)).unwrap().for_one_document();
    for (snippet, named) in [
        (json!({"aggregate": {"pipeline": [{"$match": {}}]}}), "aggregate"),
        (json!({"find": {"skip": 1}}), "find.skip"),
        (json!({"find": {"limit": 1}}), "find.limit"),
        (json!({"find": {"return_key": true}}), "find.return_key"),
    ] {
        let error = one(snippet).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("full content sync"), "{error}");
    }
    let query = one(json!({"find": {"filter": {"a": 1}, "projection": ["b"], "limit": 0, "skip": 0, "allow_partial_results": true}})).unwrap();
    assert_eq!((query.filter, query.options.projection), (doc! {"a": 1}, Some(doc! {"b": 1})));
    assert_eq!(
        (query.options.limit, query.options.skip, query.options.allow_partial_results),
        (None, None, None)
    );
    assert!(one(json!({})).unwrap().filter.is_empty());
}
