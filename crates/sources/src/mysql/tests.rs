//! What can be seen of the source without a server.

use connectors_protocol::configuration::{RawConfiguration, simple_configuration};
use connectors_sdk::{DataSource, ErrorKind, SourceContext, SourceError};
use serde_json::{Value, json};

use super::*;

fn source(values: &[(&str, Value)]) -> Result<Box<dyn DataSource>, SourceError> {
    let source = descriptor();
    let mut stored: RawConfiguration = simple_configuration(&source.default_configuration().0);
    let defaults = [
        ("host", json!("127.0.0.1")),
        ("port", json!(1)),
        ("user", json!("me")),
        ("password", json!("secret-word")),
        ("database", json!("shop")),
    ];
    for (key, value) in defaults.iter().chain(values) {
        assert!(stored.set_value(key, value.clone()), "no field {key}");
    }
    source.create(&source.configuration(&stored)?, SourceContext::default())
}

#[test]
fn the_form_is_the_one_of_elastics_connector_and_one_field_more() {
    let fields = descriptor().fields().to_vec();
    let keys: Vec<&str> = fields.iter().map(connectors_sdk::Field::key).collect();
    assert_eq!(
        keys,
        [
            "host",
            "port",
            "user",
            "password",
            "database",
            "tables",
            "ssl_enabled",
            "ssl_ca",
            "fetch_size",
            "retry_count",
            "watermark_column",
        ]
    );
    let of = |key: &str| {
        fields.iter().find(|field| field.key() == key).map(connectors_sdk::Field::to_value).unwrap()
    };
    assert_eq!(of("password")["sensitive"], true);
    assert_eq!(of("tables")["value"], "*");
    assert_eq!(of("tables")["type"], "list");
    assert_eq!(of("ssl_ca")["depends_on"], json!([{"field": "ssl_enabled", "value": true}]));
    assert_eq!(
        (of("fetch_size")["default_value"].clone(), of("retry_count")["default_value"].clone()),
        (json!(5000), json!(3))
    );
    assert_eq!(descriptor().replaces, ["connectors.sources.mysql:MySqlDataSource"]);
}

#[test]
fn wrong_settings_are_named() {
    for (key, value, expected) in [
        ("port", json!(0), "`port` is 0"),
        ("port", json!(70_000), "`port` is 70000"),
        ("fetch_size", json!(0), "`fetch_size` is 0"),
        ("retry_count", json!(-1), "`retry_count` is -1"),
        ("tables", json!(" , "), "`tables` names no table"),
    ] {
        let error = source(&[(key, value)]).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let tls = [("ssl_enabled", json!(true)), ("ssl_ca", json!("no certificate"))];
    assert!(source(&tls).map(drop).unwrap_err().to_string().contains("`ssl_ca` has no certificate"));
    source(&[("ssl_enabled", json!(true))]).map(drop).unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_and_no_secret_is() {
    let source = source(&[]).unwrap();
    for error in [source.ping().await.unwrap_err(), source.validate().await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let text = format!("{error} {error:?}");
        assert!(text.contains("127.0.0.1:1") && text.contains("bind-address"), "{text}");
        assert!(!text.contains("secret-word"), "{text}");
    }
    assert!(source.owns_id_field());
    assert!(source.changed(None).await.unwrap().perhaps());
    assert!(source.changed(Some(&json!({"settings": "old", "steady": true}))).await.unwrap().perhaps());
}

#[test]
fn empty_rules_are_no_rules() {
    for none in [json!(null), json!([]), json!({})] {
        assert_eq!(given(Some(&none)), None);
    }
    assert_eq!(given(None), None);
    assert!(given(Some(&json!([1]))).is_some() && given(Some(&json!("x"))).is_some());
}
