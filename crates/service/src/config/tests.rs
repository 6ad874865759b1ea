use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::Config;

fn parse(text: &str) -> Result<Config, String> {
    let environment = |name: &str| match name {
        "ES_PASSWORD" => Some("hunter2".to_owned()),
        "SIZE" => Some("7".to_owned()),
        _ => None,
    };
    Config::parse(Path::new("config.yml"), text, &environment).map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_has_the_peers_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.elasticsearch.host, "http://localhost:9200");
    assert_eq!(config.elasticsearch.bulk.chunk_size, 500);
    assert_eq!(config.elasticsearch.bulk.chunk_max_bytes, 3 * 1024 * 1024);
    assert_eq!(config.service.idling, Duration::from_secs(30));
    assert_eq!(config.service.max_file_download_bytes, 10_485_760);
    assert!((config.elasticsearch.bulk.error_monitor.max_error_rate - 0.15).abs() < 1e-9);
    assert!(config.elasticsearch.embedded.is_none());
    assert!(config.warnings.is_empty());
}

#[test]
fn nested_dotted_and_mixed_keys_mean_the_same() {
    for text in [
        "elasticsearch:\n  bulk:\n    chunk_size: 5\n",
        "elasticsearch.bulk.chunk_size: 5\n",
        "elasticsearch.bulk:\n  chunk_size: 5\n",
        "elasticsearch:\n  bulk.chunk_size: 5\n",
        "elasticsearch:\n  bulk.chunk_size: \"5\"\n",
    ] {
        assert_eq!(parse(text).unwrap().elasticsearch.bulk.chunk_size, 5, "{text}");
    }
}

#[test]
fn a_key_set_twice_is_refused_with_both_lines() {
    let error = parse("service.idling: 5\nservice:\n  idling: 6\n").unwrap_err();
    assert_eq!(error, "config.yml:3: service.idling: already set in line 1; keep one of the two");
}

#[test]
fn environment_references_are_filled_in() {
    let config = parse(
        "elasticsearch:\n  password: ${ES_PASSWORD}\n  username: a-${ABSENT|b}-c\n  bulk.chunk_size: ${SIZE}\n  headers:\n    x: $${LITERAL}\n",
    )
    .unwrap();
    assert_eq!(config.elasticsearch.password.expose_secret(), "hunter2");
    assert_eq!(config.elasticsearch.username, "a-b-c");
    assert_eq!(config.elasticsearch.bulk.chunk_size, 7);
    assert_eq!(config.elasticsearch.headers["x"], "${LITERAL}");
}

#[test]
fn a_missing_variable_is_named() {
    let error = parse("elasticsearch:\n  username: x\n  api_key: ${NOT_THERE}\n").unwrap_err();
    assert!(
        error.starts_with("config.yml:3: elasticsearch.api_key: the environment variable NOT_THERE"),
        "{error}"
    );
}

#[test]
fn unknown_keys_are_warned_about_with_the_nearest_known_one() {
    let config = parse("service:\n  idlign: 5\nsomething: 1\n").unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "config.yml:2: service.idlign: unknown key, ignored; did you mean service.idling?",
            "config.yml:3: something: unknown key, ignored",
        ]
    );
}

#[test]
fn wrong_types_name_file_line_and_key() {
    for (text, expected) in [
        (
            "service:\n  idling: soon\n",
            "config.yml:2: service.idling: expected a number, 0 or more, found \"soon\"",
        ),
        (
            "elasticsearch.bulk.chunk_size: 0\n",
            "config.yml:1: elasticsearch.bulk.chunk_size: expected a whole number, 1 or more, found 0",
        ),
        (
            "elasticsearch:\n  verify_certs: 3\n",
            "config.yml:2: elasticsearch.verify_certs: expected true or false, found 3",
        ),
        ("connectors: x\n", "config.yml:1: connectors: expected a list, found \"x\""),
        (
            "service.log_level: LOUD\n",
            "config.yml:1: service.log_level: expected DEBUG, INFO, WARNING, ERROR or CRITICAL, found \"LOUD\"",
        ),
        ("- a\n", "config.yml:1: : expected a mapping of settings, found something else"),
    ] {
        assert_eq!(parse(text).unwrap_err(), expected);
    }
    let syntax = parse("a: [1\nb: 2\n").unwrap_err();
    assert!(syntax.starts_with("config.yml:"), "{syntax}");
    assert!(syntax.contains("not valid YAML"), "{syntax}");
}

#[test]
fn a_secret_of_the_wrong_type_is_not_printed() {
    let error = parse("elasticsearch:\n  password: [hunter2]\n").unwrap_err();
    assert!(!error.contains("hunter2"), "{error}");
    let config = parse("elasticsearch:\n  api_key: sesame\n").unwrap();
    assert!(!format!("{config:?}").contains("sesame"));
}

#[test]
fn connectors_sources_and_the_legacy_pair() {
    let config = parse(
        "connectors:\n  - connector_id: one\n    service_type: dir\n    api_key: k\n  - connector_id: 2\nconnector_id: three\nservice_type: s3\nsources:\n  gdrive: gdrive:GoogleDriveDataSource\n  dir: connectors.sources.directory:DirectoryDataSource\n",
    )
    .unwrap();
    let ids: Vec<&str> = config.connectors.iter().map(|c| c.connector_id.as_str()).collect();
    assert_eq!(ids, ["one", "2", "three"]);
    assert_eq!(config.connectors[2].service_type.as_deref(), Some("s3"));
    assert_eq!(config.sources["gdrive"], "gdrive:GoogleDriveDataSource");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let error = parse("connectors:\n  - service_type: dir\n").unwrap_err();
    assert!(error.contains("connector_id"), "{error}");
}

#[test]
fn the_embedded_node_is_asked_for_by_its_key() {
    let config = parse("elasticsearch:\n  embedded:\n    path: /tmp/x\n    port: 9333\n").unwrap();
    let embedded = config.elasticsearch.embedded.unwrap();
    assert_eq!(embedded.path, Path::new("/tmp/x"));
    assert_eq!(embedded.port, Some(9333));
    assert!(parse("elasticsearch.embedded: {}\n").unwrap().elasticsearch.embedded.is_some());
}

#[test]
fn the_documentation_lists_exactly_the_keys_that_are_read() {
    let page = include_str!("../../../../docs/configuration.md");
    let documented: std::collections::BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|line| line.split(" | ").next().unwrap_or_default().split(", "))
        .map(|key| key.trim_matches(|c| c == '`' || c == ' ' || c == '+'))
        .collect();
    let everything = "extraction_service.host: http://localhost:8090\n";
    let document =
        super::Document::parse(Path::new("config.yml"), everything, &|_| None).expect("valid YAML");
    let (_, known) = Config::read_with_keys(&document).expect("valid values");
    let known: std::collections::BTreeSet<&str> = known.iter().map(String::as_str).collect();
    assert_eq!(documented, known);
}
