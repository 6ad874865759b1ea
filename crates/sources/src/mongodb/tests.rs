//! The parts of the source that need no server. Those that do are in `tests/it/mongodb.rs`.

mod rules;
mod scripted;
mod server;
mod values;

use std::time::Duration;

use connectors_sdk::{DataSource, ErrorKind, SinkLimits, SourceContext, SourceError, channel};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::config::{MongoConfiguration, Settings};
use super::descriptor;

fn settings(values: &Value) -> Result<Settings, SourceError> {
    let source = descriptor();
    let mut stored = source.default_configuration();
    for (key, value) in json!({"host": "db", "database": "shop", "collection": "orders"}).as_object().unwrap()
    {
        stored.0[key]["value"] = value.clone();
    }
    for (key, value) in values.as_object().unwrap() {
        stored.0[key]["value"] = value.clone();
    }
    Settings::new(MongoConfiguration::parse(&source.configuration(&stored)?)?)
}

fn uri(values: &Value) -> String {
    settings(values).unwrap().uri.expose_secret().to_owned()
}

fn refused(values: &Value) -> String {
    let Err(error) = settings(values) else { panic!("{values} was taken") };
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    error.to_string()
}

/// What Elastic's connector has, so that stored configurations and forms fit.
#[test]
fn the_form_has_the_fields_of_elastics_connector() {
    let fields: Vec<(String, Value)> =
        descriptor().fields().iter().map(|field| (field.key().to_owned(), field.to_value())).collect();
    let keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "host",
            "user",
            "password",
            "database",
            "collection",
            "direct_connection",
            "ssl_enabled",
            "ssl_ca",
            "tls_insecure",
            "datetime_conversion"
        ]
    );
    for (index, (key, field)) in fields.iter().enumerate() {
        assert_eq!(field["order"], index + 1);
        assert_eq!(
            field.get("required") == Some(&json!(false)),
            ["user", "password", "ssl_ca", "datetime_conversion"].contains(&key.as_str()),
            "{key}"
        );
        assert_eq!(field.get("sensitive") == Some(&json!(true)), key == "password", "{key}");
        assert_eq!(field.get("default_value"), None, "{key}");
        let is_toggle = ["direct_connection", "ssl_enabled", "tls_insecure"].contains(&key.as_str());
        assert_eq!(field["type"], if is_toggle { "bool" } else { "str" }, "{key}");
        let expected = if is_toggle {
            json!(false)
        } else if key == "datetime_conversion" {
            json!("DATETIME")
        } else {
            json!("")
        };
        assert_eq!(field["value"], expected, "{key}");
        let depends = ["ssl_ca", "tls_insecure"].contains(&key.as_str());
        let dependency = json!([{"field": "ssl_enabled", "value": true}]);
        assert_eq!(field.get("depends_on"), depends.then_some(&dependency), "{key}");
        let advanced = ["tls_insecure", "datetime_conversion"].contains(&key.as_str());
        assert_eq!(field.get("ui_restrictions"), advanced.then_some(&json!(["advanced"])), "{key}");
    }
    let options: Vec<&str> = fields[9].1["options"]
        .as_array()
        .unwrap()
        .iter()
        .map(|option| option["value"].as_str().unwrap())
        .collect();
    assert_eq!(options, ["DATETIME", "DATETIME_CLAMP", "DATETIME_AUTO", "DATETIME_MS"]);
    assert_eq!(fields[9].1["display"], "dropdown");
    assert!(descriptor().replaces.contains(&"connectors.sources.mongo:MongoDataSource".to_owned()));
    let features = descriptor().capabilities;
    assert!(features.basic_rules && features.advanced_rules && features.incremental && features.changes);
    assert!(!features.access_control);
}

#[test]
fn hosts_and_connection_strings_are_taken() {
    for (host, expected) in [
        ("db", "mongodb://db"),
        (" db.example.com:27018 ", "mongodb://db.example.com:27018"),
        ("[::1]:27017", "mongodb://[::1]:27017"),
        ("a:1,b:2,c:3/?replicaSet=rs0", "mongodb://a:1,b:2,c:3/?replicaSet=rs0"),
        (
            "mongodb://a:1,b:2/shop?authSource=x&replicaSet=rs",
            "mongodb://u:p@a:1,b:2/shop?authSource=x&replicaSet=rs",
        ),
        ("mongodb+srv://c.example.com/?retryReads=false", "mongodb+srv://c.example.com/?retryReads=false"),
    ] {
        let login = if expected.contains("u:p@") {
            json!({"host": host, "user": "u", "password": "p"})
        } else {
            json!({"host": host})
        };
        assert_eq!(uri(&login), expected);
    }
}

#[test]
fn the_fields_go_before_the_login_in_the_connection_string() {
    let host = "mongodb://old:hunt%21@db/?authSource=admin";
    assert_eq!(uri(&json!({"host": host})), host);
    assert_eq!(
        uri(&json!({"host": host, "user": "me@x", "password": "a:b/c?%"})),
        "mongodb://me%40x:a%3Ab%2Fc%3F%25@db/?authSource=admin"
    );
    assert_eq!(uri(&json!({"host": host, "password": "new"})), "mongodb://old:new@db/?authSource=admin");
    assert_eq!(uri(&json!({"host": host, "user": "new"})), "mongodb://new:hunt%21@db/?authSource=admin");
    assert_eq!(uri(&json!({"host": "db", "user": "only"})), "mongodb://only@db");
    assert!(refused(&json!({"password": "hunter2"})).contains("`user` is empty"));
}

#[test]
fn contradictory_tls_options_are_refused() {
    for (option, enabled) in
        [("tls=true", false), ("ssl=true", false), ("tls=false", true), ("w=1&SSL=false", true)]
    {
        let host = format!("mongodb://u:hunter2@db/?{option}");
        let error = refused(&json!({"host": host, "ssl_enabled": enabled}));
        assert!(error.contains("`ssl_enabled`"), "{error}");
        settings(&json!({"host": host, "ssl_enabled": !enabled})).unwrap();
    }
    settings(&json!({"host": "mongodb+srv://c.example.com/", "ssl_enabled": false})).unwrap();
    assert!(settings(&json!({})).unwrap().tls.is_none());
}

#[test]
fn what_cannot_work_is_refused_without_the_secrets_in_it() {
    for key in ["host", "database", "collection"] {
        // An empty field fails the generic check already; blanks pass it.
        assert!(refused(&json!({key: "  "})).contains(key));
    }
    for host in [
        "mongodb://u:hunter2/x@db/",
        "mongodb://u:p@hunter2@db:port/",
        "mongodb://u:hunter2@db/?unknownOption=1&w=x&w=y",
        "mongodb://u:hunter2@",
        "mongodb://db/?proxyPassword=hunter2&tlsInsecure=maybe",
        "mongodb://db/?authMechanism=hunter2&authMechanismProperties=TOKEN:hunter2",
        "https://db",
    ] {
        assert!(refused(&json!({"host": host})).contains("`host`"), "{host}");
    }
    assert!(
        refused(&json!({"host": "mongodb://db/?maxPoolSize=many"})).to_lowercase().contains("maxpoolsize")
    );
    assert!(refused(&json!({"ssl_enabled": true, "ssl_ca": "nothing"})).contains("ssl_ca"));
}

#[test]
fn what_decides_on_documents_decides_on_the_fingerprint() {
    let fingerprint = |values: Value| settings(&values).unwrap().fingerprint;
    let plain = fingerprint(json!({}));
    assert_eq!(plain, fingerprint(json!({"user": "u", "password": "p", "ssl_enabled": true})));
    for other in [
        json!({"host": "other"}),
        json!({"database": "x"}),
        json!({"collection": "x"}),
        json!({"datetime_conversion": "DATETIME_MS"}),
        json!({"host": "mongodb://db/?uuidRepresentation=javaLegacy"}),
    ] {
        assert_ne!(plain, fingerprint(other.clone()), "{other}");
    }
}

fn source(values: &Value, context: SourceContext) -> Box<dyn DataSource> {
    let source = descriptor();
    let mut stored = source.default_configuration();
    for (key, value) in values.as_object().unwrap() {
        stored.0[key]["value"] = value.clone();
    }
    source.create(&source.configuration(&stored).unwrap(), context).unwrap()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let host = "mongodb://u:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=200";
    let values = json!({"host": host, "database": "d", "collection": "c", "password": "hunter22"});
    let source = source(&values, SourceContext::default());
    let (sink, _inbox) = channel(SinkLimits::default());
    for error in [
        source.ping().await.unwrap_err(),
        source.validate().await.unwrap_err(),
        source.documents(None, &sink).await.unwrap_err(),
        source.changes(None, None, &sink).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("direct_connection"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    assert!(source.changed(None).await.unwrap().perhaps(), "without a cursor nobody has to be asked");
}

#[tokio::test]
async fn a_stopped_job_does_not_wait_for_a_server() {
    let context = SourceContext::default();
    let values = json!({"host": "127.0.0.1:1", "database": "d", "collection": "c"});
    let source = source(&values, context.clone());
    let (sink, _inbox) = channel(SinkLimits::default());
    let stop = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        context.cancel.cancel();
    };
    let (result, ()) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(3), source.documents(None, &sink)), stop);
    assert_eq!(result.unwrap().unwrap_err().kind(), ErrorKind::Canceled);
}

#[test]
fn long_lists_of_names_are_cut() {
    let names: Vec<String> = (0..25).map(|index| format!("c{index:02}")).collect();
    assert!(super::listed(&names).ends_with("c19 and 5 more"));
    assert_eq!(super::listed(&names[..2]), "c00, c01");
    assert_eq!(super::listed(&[]), "none that the account may see");
}
