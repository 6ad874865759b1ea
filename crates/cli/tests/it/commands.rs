//! The command lines: what they print, what they refuse, and their exit codes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Server, Workplace, err, out, report, said};

const INGEST: &str = env!("CARGO_BIN_EXE_elastic-ingest");
const CONNECTORS: &str = env!("CARGO_BIN_EXE_connectors");

/// Runs a program in an empty folder, away from the user's data and configuration.
fn run(program: &str, arguments: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    run_in(folder.path(), program, arguments)
}

fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("CONNECTORS_DATA", folder.join("data"))
        .env_remove("NO_SUCH_VARIABLE")
        .output()
        .unwrap()
}

#[test]
fn the_flags_of_both_guides_are_known() {
    let help = out(&run(INGEST, &["--help"]));
    for flag in [
        "--action",
        "-c, --config-file",
        "--log-level",
        "--debug",
        "--filebeat",
        "--version",
        "--uvloop",
        "--service-type",
    ] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
    for arguments in [
        &["--action", "list"][..],
        &["--action", "list", "--uvloop", "--filebeat", "--debug"],
        &["--action=list", "--log-level", "warning"],
    ] {
        let output = run(INGEST, arguments);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(
            out(&output),
            "Registered connectors:\n- System Directory (dir)\n- MongoDB (mongodb)\n- MySQL (mysql)\n- PostgreSQL (postgresql)\n"
        );
    }
    for flag in ["-v", "--version"] {
        assert_eq!(out(&run(INGEST, &[flag])), format!("elastic-ingest {}\n", env!("CARGO_PKG_VERSION")));
    }
    let output = run(INGEST, &["--debug", "--log-level", "INFO"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let output = run(INGEST, &["--action", "pol"]);
    assert!(err(&output).contains("poll"), "names the nearest action: {}", said(&output));
}

#[test]
fn the_default_configuration_of_a_source_is_printed_as_the_protocol_has_it() {
    let output = run(INGEST, &["--action", "config", "--service-type", "dir"]);
    let configuration = report(&output);
    assert_eq!(configuration["pattern"]["value"], "**/*.*", "{configuration}");
    let mut properties: Vec<&str> =
        configuration["directory"].as_object().unwrap().keys().map(String::as_str).collect();
    properties.sort_unstable();
    assert_eq!(
        properties,
        [
            "default_value",
            "depends_on",
            "display",
            "label",
            "options",
            "order",
            "required",
            "sensitive",
            "tooltip",
            "type",
            "ui_restrictions",
            "validations",
            "value"
        ]
    );
    let output = run(INGEST, &["--action", "config"]);
    assert!(!output.status.success() && err(&output).contains("--service-type dir"), "{}", said(&output));
    let output = run(INGEST, &["--action", "config", "--service-type", "nope"]);
    assert!(
        !output.status.success() && err(&output).contains("there is no source \"nope\""),
        "{}",
        said(&output)
    );
    let output = run(INGEST, &["--action", "list", "--action", "schedule"]);
    assert!(!output.status.success() && err(&output).contains("go alone"), "{}", said(&output));
}

#[test]
fn bad_configuration_files_are_refused_with_file_line_and_key() {
    let folder = TempDir::new().unwrap();
    for (text, message) in [
        ("service:\n  idling: soon\n", "config.yml:2: service.idling: expected a number"),
        ("elasticsearch:\n  api_key: ${NO_SUCH_VARIABLE}\n", "NO_SUCH_VARIABLE is not set"),
        ("a: [\n", "not valid YAML"),
        ("connectors:\n  - connector_id: changeme\n", "still \"changeme\""),
        ("service.worker_mode: true\n", "service.service_types"),
        ("service.idling: 1\n", "nothing to serve"),
    ] {
        std::fs::write(folder.path().join("config.yml"), text).unwrap();
        let output = run_in(folder.path(), INGEST, &[]);
        assert_eq!(output.status.code(), Some(1), "{text}: {}", said(&output));
        assert!(err(&output).contains(message), "{text}: {}", said(&output));
    }
    let output = run(INGEST, &["-c", "absent.yml", "--action", "list"]);
    assert!(
        !output.status.success() && err(&output).contains("absent.yml: cannot be read"),
        "{}",
        said(&output)
    );
    std::fs::write(folder.path().join("config.yml"), "service.idlign: 1\n").unwrap();
    let output = run_in(folder.path(), INGEST, &["--action", "list"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(err(&output).contains("did you mean service.idling?"), "{}", said(&output));
}

#[test]
fn sources_of_the_peer_stand_for_ours_and_others_are_named() {
    let folder = TempDir::new().unwrap();
    let text = "sources:\n  files: connectors.sources.directory:DirectoryDataSource\n  gdrive: gdrive:GoogleDriveDataSource\n";
    std::fs::write(folder.path().join("config.yml"), text).unwrap();
    let output = run_in(folder.path(), INGEST, &["--action", "list"]);
    assert!(out(&output).contains("- System Directory (files)"), "{}", said(&output));
    for (name, class) in [
        ("mongodb", "connectors.sources.mongo:MongoDataSource"),
        ("mysql", "connectors.sources.mysql:MySqlDataSource"),
        ("postgresql", "connectors.sources.postgresql:PostgreSQLDataSource"),
    ] {
        std::fs::write(folder.path().join("config.yml"), format!("sources:\n  {name}: {class}\n")).unwrap();
        let output = run_in(folder.path(), INGEST, &["--action", "list"]);
        assert!(out(&output).contains(&format!("({name})")), "{}", said(&output));
        assert!(!err(&output).contains("sources."), "{}", said(&output));
    }
    std::fs::write(folder.path().join("config.yml"), text).unwrap();
    let output = run_in(folder.path(), INGEST, &["--action", "list"]);
    assert!(err(&output).contains("sources.gdrive"), "{}", said(&output));
}

#[test]
fn filebeat_lines_are_json_in_the_common_schema() {
    let output = run(INGEST, &["--filebeat", "--action", "config"]);
    let line: Value = serde_json::from_str(err(&output).lines().next().unwrap()).unwrap();
    assert_eq!(line["log.level"], "error", "{line}");
    assert!(line["@timestamp"].is_string() && line["ecs.version"].is_string(), "{line}");
    assert!(line["message"].as_str().unwrap().contains("--service-type"), "{line}");
}

#[test]
fn a_node_is_not_opened_to_the_network_without_credentials() {
    let output = run(INGEST, &["node", "--bind", "0.0.0.0", "--port", "0", "--path", "data"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(err(&output).contains("not a loopback address"), "{}", said(&output));
}

#[test]
fn connectors_says_what_it_can_do() {
    let output = run(CONNECTORS, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("connectors sync dir --index"), "{}", said(&output));
    assert_eq!(out(&run(CONNECTORS, &["--version"])), format!("connectors {}\n", env!("CARGO_PKG_VERSION")));
    let output = run(CONNECTORS, &["source", "list"]);
    let listed = "SERVICE TYPE  NAME\ndir           System Directory\nmongodb       MongoDB\nmysql         MySQL\npostgresql    PostgreSQL\n";
    assert_eq!(out(&output), listed, "{}", said(&output));
    let output = run(CONNECTORS, &["source", "show", "dir"]);
    assert!(out(&output).contains("directory") && out(&output).contains("**/*.*"), "{}", said(&output));
    let output = run(CONNECTORS, &["source", "show", "dri"]);
    assert!(!output.status.success() && err(&output).contains("there is: dir"), "{}", said(&output));
}

#[tokio::test]
async fn a_sync_refuses_what_cannot_work_before_it_writes_anything() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-refusals");
    let config = place.config(&server.url, &json!({}));
    let config = config.to_str().unwrap();
    for (arguments, message) in [
        (&["sync", "nope", "-i", "search-e2e-refusals"][..], "there is no source \"nope\""),
        (&["sync", "dir", "-i", "Upper"], "lower"),
        (&["sync", "dir", "-i", "search-e2e-refusals", "--set", "dirctory=/"], "it has: directory, pattern"),
        (
            &["sync", "dir", "-i", "search-e2e-refusals", "--set", "directory=/no/such/folder"],
            "/no/such/folder",
        ),
        (&["sync", "dir", "-i", "search-e2e-refusals", "--set", "directory"], "KEY=VALUE"),
        (
            &["sync", "dir", "-i", "search-e2e-refusals", "--set-env", "directory=NO_SUCH_VARIABLE"],
            "NO_SUCH_VARIABLE is not set",
        ),
    ] {
        let output = run(CONNECTORS, &[&["--config", config], arguments].concat());
        assert!(!output.status.success(), "{}", said(&output));
        let all = said(&output);
        assert!(all.contains(message), "{arguments:?}: {all}");
    }
    let (status, answer) = server.call(reqwest::Method::HEAD, "/search-e2e-refusals", None).await;
    assert_eq!(status, 404, "{answer}");
    server.forget(&place.index).await;
}

#[tokio::test]
async fn progress_search_and_listings_for_people() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-people");
    server.forget(&place.index).await;
    place.write("a.txt", "the quick brown fox jumps over the lazy dog");
    place.write("b.txt", "nothing of note");
    place.write("long.txt", &"walrus ".repeat(200_000));
    let config = place.config(&server.url, &json!({}));
    let config = config.to_str().unwrap();
    let directory = format!("directory={}", place.files().display());
    let run = |arguments: &[&str]| run(CONNECTORS, &[&["--config", config], arguments].concat());

    let output = run(&["sync", "dir", "--index", &place.index, "--set", &directory, "--dry-run"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(out(&output).contains("3 would be written"), "{}", said(&output));
    let output = run(&["sync", "dir", "--index", &place.index, "--set", &directory]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(out(&output).starts_with("completed: 3 documents read, 3 written"), "{}", said(&output));
    assert!(out(&output).contains("Next: connectors search search-e2e-people"), "{}", said(&output));

    let output = run(&["search", &place.index, "brown fox"]);
    assert!(out(&output).contains("1 hit for \"brown fox\""), "{}", said(&output));
    assert!(out(&output).contains("[brown] [fox]") && out(&output).contains("a.txt"), "{}", said(&output));
    let output = run(&["search", &place.index, "fox", "-o", "json"]);
    assert_eq!(report(&output)["hits"]["total"]["value"], 1, "{}", said(&output));
    let output = run(&["search", &place.index, "walrus"]);
    assert!(out(&output).contains("[walrus]"), "longer than servers highlight by default: {}", said(&output));
    let output = run(&["search", "search-e2e-absent", "fox"]);
    assert!(!output.status.success() && err(&output).contains("search-e2e-absent"), "{}", said(&output));

    let output = run(&["connector", "list", "-o", "json"]);
    let list = report(&output);
    let ours = list.as_array().unwrap().iter().find(|c| c["index_name"] == "search-e2e-people").unwrap();
    assert_eq!(ours["status"], "connected", "{list}");
    let output = run(&["job", "list", ours["id"].as_str().unwrap(), "-o", "json"]);
    let jobs = report(&output);
    assert_eq!(jobs[0]["status"], "completed", "{jobs}");
    let id = jobs[0]["id"].as_str().unwrap();
    assert!(out(&run(&["job", "view", id])).contains("indexed_document_count: 3"));
    let output = run(&["job", "cancel", id]);
    assert!(!output.status.success() && err(&output).contains("completed"), "{}", said(&output));
    server.forget(&place.index).await;
}
