//! The source without a server.

use connectors_protocol::configuration::{RawConfiguration, simple_configuration};
use connectors_sdk::{ErrorKind, SourceContext};
use serde_json::{Value, json};

use super::*;

fn stored(values: &[(&str, Value)]) -> RawConfiguration {
    let mut stored = simple_configuration(&descriptor().default_configuration().0);
    let all = [
        ("host", json!("db.example")),
        ("port", json!(5432)),
        ("username", json!("reader")),
        ("password", json!("pa55-word")),
        ("database", json!("shop")),
        ("schema", json!("public")),
    ];
    for (key, value) in all.iter().chain(values) {
        assert!(stored.set_value(key, value.clone()), "{key}");
    }
    stored
}

fn source(values: &[(&str, Value)]) -> Result<PostgresqlSource, SourceError> {
    PostgresqlSource::new(&descriptor().configuration(&stored(values))?, SourceContext::default())
}

/// The form of Elastic's connector, as its connector documents have it.
#[test]
fn the_form_begins_with_the_fields_of_elastics_connector() {
    let fields: Vec<Value> = descriptor().fields().iter().map(connectors_sdk::Field::to_value).collect();
    let keys: Vec<_> = descriptor().fields().iter().map(|field| field.key().to_owned()).collect();
    let expected = [
        "host",
        "port",
        "username",
        "password",
        "database",
        "schema",
        "tables",
        "fetch_size",
        "retry_count",
        "ssl_enabled",
        "ssl_ca",
        "watermark_column",
    ];
    assert_eq!(keys, expected);
    let of = |key: &str, property: &str| {
        let index = keys.iter().position(|known| known == key).unwrap();
        fields[index].get(property).cloned().unwrap_or_default()
    };
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(of(key, "order"), index + 1, "{key}");
        assert_eq!(of(key, "sensitive"), if key == "password" { json!(true) } else { Value::Null }, "{key}");
    }
    for (key, kind, display) in [
        ("host", "str", "text"),
        ("port", "int", "numeric"),
        ("tables", "list", "textarea"),
        ("fetch_size", "int", "numeric"),
        ("ssl_enabled", "bool", "toggle"),
        ("ssl_ca", "str", "text"),
    ] {
        assert_eq!((of(key, "type"), of(key, "display")), (json!(kind), json!(display)), "{key}");
    }
    assert_eq!((of("tables", "value"), of("ssl_enabled", "value")), (json!("*"), json!(false)));
    assert_eq!(
        (of("fetch_size", "default_value"), of("retry_count", "default_value")),
        (json!(50), json!(3))
    );
    assert_eq!(of("ssl_ca", "depends_on"), json!([{"field": "ssl_enabled", "value": true}]));
    for key in ["fetch_size", "retry_count", "watermark_column"] {
        assert_eq!((of(key, "ui_restrictions"), of(key, "required")), (json!(["advanced"]), json!(false)));
    }
}

#[test]
fn a_configuration_without_our_own_field_works() {
    let mut stored = stored(&[]);
    stored.0.remove("watermark_column");
    let configuration = descriptor().configuration(&stored).unwrap();
    configuration.check_valid().unwrap();
    let source = PostgresqlSource::new(&configuration, SourceContext::default()).unwrap();
    assert_eq!(source.configuration.watermark_column, None);
    assert_eq!((source.configuration.fetch_size, source.configuration.retry_count), (50, 3));
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    for (key, value) in
        [("port", json!(0)), ("port", json!(65_536)), ("host", json!(" ")), ("tables", json!(" , "))]
    {
        let error = source(&[(key, value.clone())]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(&format!("`{key}`")), "{value}: {error}");
    }
    let error = source(&[("ssl_enabled", json!(true)), ("ssl_ca", json!("nonsense"))]).unwrap_err();
    assert!(error.to_string().contains("`ssl_ca`"), "{error}");
}

#[test]
fn a_position_is_of_one_server_account_and_selection() {
    let settings = |key: &str, value: Value| source(&[(key, value)]).unwrap().settings(None);
    let before = source(&[]).unwrap().settings(None);
    assert_eq!(before, settings("password", json!("another")));
    for (key, value) in [
        ("host", json!("other.example")),
        ("port", json!(5433)),
        ("username", json!("other")),
        ("database", json!("other")),
        ("schema", json!("other")),
        ("tables", json!("t")),
        ("watermark_column", json!("at")),
    ] {
        assert_ne!(before, settings(key, value), "{key}");
    }
}

#[test]
fn no_secret_is_printed() {
    let source = source(&[]).unwrap();
    let text = format!("{source:?}");
    assert!(text.contains("db.example") && !text.contains("pa55-word"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let source = source(&[("host", json!("127.0.0.1")), ("port", json!(1))]).unwrap();
    let error = source.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("127.0.0.1:1") && text.contains("firewall") && !text.contains("pa55-word"),
        "{text}"
    );
    // Without a cursor there is nothing to ask the server for.
    assert!(source.changed(None).await.unwrap().perhaps());
    source.forget().await.unwrap();
}
